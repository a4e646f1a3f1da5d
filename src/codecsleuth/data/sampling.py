"""Balanced sampling: how often each training clip is drawn."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Sequence

import numpy as np

from codecsleuth.arrays import BoolArray, FloatArray
from codecsleuth.data.items import Item
from codecsleuth.errors import DataError


def sampling_weights(
    items: Sequence[Item],
    *,
    bona_fide_share: float,
    vocoder_share: float = 0.0,
    evenness: float,
    balance: str | None = None,
) -> FloatArray:
    """Probability of each clip, so that no source, codec or class dominates by its number of clips.

    Bona fide clips are balanced over sources; codec clips over codecs, and each codec over its
    sources; clips of the labels ``vocoder`` and ``neural`` over the systems that made them (their
    ``variant``), and each system over its sources.

    Args:
        items: the training clips.
        bona_fide_share: share of draws that are bona fide.
        vocoder_share: share of draws that are of the labels ``vocoder`` or ``neural``, where there
            are such clips; all other draws are codec clips.
        evenness: 0 leaves the clips as they are, 1 makes every source (codec, system) equally
            likely.
        balance: ``vq``, ``aux`` or ``dec`` to make the known classes of that axis equally likely
            among codec clips, as the paper's balanced lists do.

    Returns:
        ``(items,)``, summing to 1.

    Raises:
        DataError: there are no bona fide or no codec clips.
    """
    bona_fide = np.array([item.is_bona_fide for item in items], dtype=bool)
    codec = np.array([item.is_codec for item in items], dtype=bool)
    for label, chosen in (("bona fide", bona_fide), ("codec", codec)):
        if not chosen.any():
            raise DataError(f"no {label} clips to train on; both labels are needed")
    other = ~bona_fide & ~codec
    other_share = vocoder_share if other.any() else 0.0
    weights = np.zeros(len(items))
    weights[bona_fide] = _even([one.source for one in _chosen(items, bona_fide)], evenness)
    weights[codec] = _codec_weights(_chosen(items, codec), evenness, balance)
    weights[other] = _even_within([(i.variant, i.source) for i in _chosen(items, other)], evenness)
    shares = (bona_fide_share, 1.0 - bona_fide_share - other_share, other_share)
    for label_clips, share in zip((bona_fide, codec, other), shares, strict=True):
        if label_clips.any():
            weights[label_clips] *= share / weights[label_clips].sum()
    return weights


def _chosen(items: Sequence[Item], chosen: BoolArray) -> list[Item]:
    return [item for item, taken in zip(items, chosen, strict=True) if taken]


def _codec_weights(items: Sequence[Item], evenness: float, balance: str | None) -> FloatArray:
    weights = _even_within([(item.codec, item.source) for item in items], evenness)
    if balance is not None:
        weights = _equal_classes(weights, [getattr(item, balance) for item in items])
    return weights


def _equal_classes(weights: FloatArray, classes: Sequence[str | None]) -> FloatArray:
    """Give each known class the same total; clips of unknown class keep their share."""
    names = sorted({name for name in classes if name is not None})
    labels = np.array([name or "" for name in classes])
    known = weights[labels != ""].sum()
    balanced = weights.copy()
    for name in names:
        chosen = labels == name
        balanced[chosen] *= known / len(names) / weights[chosen].sum()
    return balanced


def _even_within(keys: Sequence[tuple[str, str]], evenness: float) -> FloatArray:
    """Weights that are even over the first name, and within it over the second."""
    firsts = [first for first, _ in keys]
    share_of_first = _counts(keys) / _counts(firsts)
    weights: FloatArray = _even(firsts, evenness) * share_of_first**-evenness
    return weights


def _even(keys: Sequence[Hashable], evenness: float) -> FloatArray:
    weights: FloatArray = _counts(keys) ** -evenness
    return weights


def _counts(keys: Sequence[Hashable]) -> FloatArray:
    totals = Counter(keys)
    return np.array([totals[key] for key in keys], dtype=np.float64)
