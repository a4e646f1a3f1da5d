"""Folds of whole sources: a fold is measured with a network that was trained on the rest."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from codecsleuth.data.items import Item
from codecsleuth.errors import DataError, UsageError
from codecsleuth.taxonomy import AXES, CLASSES, DETECTION

#: The classes of each task by which the clips of the folds are spread evenly, and their weight.
#: ``Real`` is the bona fide class once more.
_SPREAD: Final = (
    ("BIN", DETECTION, 1.0),
    *((axis, CLASSES[axis][1:], 0.25) for axis in AXES),
)


def source_folds(items: Iterable[Item], folds: int = 5) -> list[list[str]]:
    """Deal whole sources into folds, so that a model trained on the rest can be measured on a fold.

    The deal depends on the table alone. First, each fold gets one of the sources with the most
    clips of codecs found nowhere else, so that each fold has codecs that no source outside it has
    (where there are at least ``folds`` such sources). The other sources follow from large to
    small, each to the fold where it leaves clips spread most evenly: bona fide, codec and vocoder
    clips and, with a quarter of the weight, the classes of each axis.

    Args:
        items: clips of all splits (a fold takes whole sources, whatever the split).
        folds: how many.

    Returns:
        One sorted list of sources per fold.

    Raises:
        DataError: there are fewer sources than folds.
    """
    items = list(items)
    sizes = _source_sizes(items)
    if len(sizes) < folds:
        raise DataError(f"{len(sizes)} sources cannot make {folds} folds; see the source column")
    novelty = _clips_of_own_codecs(items)
    first = sorted(novelty, key=lambda source: (-novelty[source], source))[:folds]
    others = sorted(sizes.keys() - set(first), key=lambda s: (-float(sizes[s].sum()), s))
    dealt: list[list[str]] = [[] for _ in range(folds)]
    loads = np.zeros((folds, next(iter(sizes.values())).size))
    for turn, source in enumerate(first + others):
        # One source more adds |load + size|^2 - |load|^2 to the sum of squares; take the least.
        growth = ((loads + sizes[source]) ** 2 - loads**2).sum(axis=1)
        fold = turn if turn < len(first) else int(growth.argmin())
        dealt[fold].append(source)
        loads[fold] += sizes[source]
    return [sorted(sources) for sources in dealt]


def fold_sources(items: Iterable[Item], fold: str) -> list[str]:
    """Sources of one fold, named ``K/N``: the K-th of N, counted from 1; see `source_folds`.

    Raises:
        UsageError: this is not the name of a fold.
        DataError: there are fewer sources than folds.
    """
    match = re.fullmatch(r"([0-9]{1,3})/([0-9]{1,3})", fold)
    number, folds = map(int, match.groups()) if match else (0, 0)
    if not 1 <= number <= folds or folds < 2:
        raise UsageError(f"--fold {fold!r}: not a fold such as 1/5, the first of five")
    return source_folds(items, folds)[number - 1]


def _source_sizes(items: Sequence[Item]) -> dict[str, NDArray[np.float64]]:
    """Per source, the weighted share it has of the clips of each class, shape ``(classes,)``."""
    counts: dict[str, Counter[tuple[str, int | None]]] = defaultdict(Counter)
    for item in items:
        counts[item.source].update(
            (task, item.class_index(task, classes)) for task, classes, _ in _SPREAD
        )
    columns = [(task, place) for task, classes, _ in _SPREAD for place in range(len(classes))]
    weights = np.array([weight for _, classes, weight in _SPREAD for _ in classes])
    table = np.array([[counts[source][column] for column in columns] for source in counts])
    shares = weights * table / np.maximum(table.sum(axis=0), 1)
    return dict(zip(counts, shares, strict=True))


def _clips_of_own_codecs(items: Sequence[Item]) -> Mapping[str, int]:
    """Clips, per source, of codecs that are found in no other source."""
    homes: dict[str, set[str]] = defaultdict(set)
    for item in items:
        homes[item.codec].add(item.source)
    own = (item for item in items if item.codec and len(homes[item.codec]) == 1)
    return Counter(item.source for item in own)
