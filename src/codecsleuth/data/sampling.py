"""Balanced sampling: how often each training clip is drawn."""

from __future__ import annotations

from collections.abc import Hashable, Sequence

import numpy as np
from numpy.typing import NDArray

from codecsleuth.data.items import Item
from codecsleuth.errors import DataError

Weights = NDArray[np.float64]


def sampling_weights(
    items: Sequence[Item],
    *,
    bona_fide_share: float,
    evenness: float,
    balance: str | None = None,
) -> Weights:
    """Probability of each clip, so that no source, codec or class dominates by its number of clips.

    Bona fide clips are balanced over sources; codec clips over codecs, and each codec over its
    sources.

    Args:
        items: the training clips.
        bona_fide_share: share of draws that are bona fide.
        evenness: 0 leaves the clips as they are, 1 makes every source (codec) equally likely.
        balance: ``vq``, ``aux`` or ``dec`` to make the known classes of that axis equally likely
            among codec clips, as the paper's balanced lists do.

    Returns:
        ``(items,)``, summing to 1.

    Raises:
        DataError: one of the labels is absent.
    """
    codec = np.array([item.is_codec for item in items])
    if codec.all() or not codec.any():
        absent = "bona fide" if codec.all() else "codec"
        raise DataError(f"no {absent} clips to train on; both labels are needed")
    weights = np.empty(len(items))
    weights[~codec] = _even([item.source for item in items if not item.is_codec], evenness)
    spoofed = [item for item in items if item.is_codec]
    weights[codec] = _codec_weights(spoofed, evenness, balance)
    for is_codec, share in ((False, bona_fide_share), (True, 1.0 - bona_fide_share)):
        weights[codec == is_codec] *= share / weights[codec == is_codec].sum()
    return weights


def _codec_weights(items: Sequence[Item], evenness: float, balance: str | None) -> Weights:
    codecs = [item.codec for item in items]
    pages = [(item.codec, item.source) for item in items]
    share_of_codec = _counts(pages) / _counts(codecs)
    weights = _even(codecs, evenness) * share_of_codec**-evenness
    if balance is not None:
        weights = _equal_classes(weights, [getattr(item, balance) for item in items])
    return weights


def _equal_classes(weights: Weights, classes: Sequence[str | None]) -> Weights:
    """Give each known class the same total; clips of unknown class keep their share."""
    names = sorted({name for name in classes if name is not None})
    labels = np.array([name or "" for name in classes])
    known = weights[labels != ""].sum()
    balanced = weights.copy()
    for name in names:
        chosen = labels == name
        balanced[chosen] *= known / len(names) / weights[chosen].sum()
    return balanced


def _even(keys: Sequence[Hashable], evenness: float) -> Weights:
    return _counts(keys) ** -evenness


def _counts(keys: Sequence[Hashable]) -> Weights:
    totals: dict[Hashable, int] = {}
    for key in keys:
        totals[key] = totals.get(key, 0) + 1
    return np.array([totals[key] for key in keys], dtype=np.float64)
