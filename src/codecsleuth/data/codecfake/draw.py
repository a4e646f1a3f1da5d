"""Balanced draws from CodecFake+ where it has no list: pairs of an original and a codec version."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from typing import TypeVar

import numpy as np

from codecsleuth.data.codecfake.protocols import UNKNOWN, Row, catalogue_classes
from codecsleuth.data.items import BONA_FIDE
from codecsleuth.taxonomy import AXES, CLASSES

T = TypeVar("T")


def draw(rows: Iterable[Row], balance: str, seed: int | Sequence[int]) -> tuple[list[Row], int]:
    """Pair each original with one of its codec versions, all classes of an axis equally often.

    Utterances are taken in random order, those with the fewest classes to choose from first; each
    gets the class that is behind, and one of its versions of that class at random. So where all
    versions are there, the classes' counts differ by one at most, as in the paper's lists.

    Args:
        rows: CoRS clips.
        balance: ``vq``, ``aux`` or ``dec``.
        seed: of the draw.

    Returns:
        Original, version, original, version, ..., sorted by utterance; and how many utterances are
        left out, having no original or no version of known class.
    """
    originals: dict[str, Row] = {}
    versions: dict[str, dict[str, list[Row]]] = defaultdict(lambda: defaultdict(list))
    axis = [one.lower() for one in AXES].index(balance)
    for row in rows:
        clip = row.clip
        if clip is None:
            continue
        if row.label == BONA_FIDE:
            originals[clip.utterance] = row
            continue
        known = catalogue_classes(clip.codec)[1] or UNKNOWN
        if name := row.classes[axis] or known[axis]:
            versions[clip.utterance][name].append(row)
    utterances = sorted(originals.keys() & versions.keys())
    rng = np.random.default_rng(seed)
    order = [utterances[place] for place in rng.permutation(len(utterances))]
    taken = Counter(dict.fromkeys(CLASSES[balance.upper()], 0))
    drawn: dict[str, Row] = {}
    for utterance in sorted(order, key=lambda utterance: len(versions[utterance])):
        choices = versions[utterance]
        fewest = min(taken[name] for name in choices)
        name = _any(sorted(name for name in choices if taken[name] == fewest), rng)
        taken[name] += 1
        drawn[utterance] = _any(sorted(choices[name], key=lambda row: row.stem), rng)
    left_out = len(originals.keys() | versions.keys()) - len(utterances)
    return [row for one in utterances for row in (originals[one], drawn[one])], left_out


def _any(choices: Sequence[T], rng: np.random.Generator) -> T:
    return choices[int(rng.integers(len(choices)))]
