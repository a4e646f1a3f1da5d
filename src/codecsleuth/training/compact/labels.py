"""What the compact network learns of a table's clips: classes that the labels allow, families."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from codecsleuth.arrays import BoolArray, FloatArray, IntArray
from codecsleuth.data.items import UNKNOWN_CLASS, VOCODER, Item, ItemTable
from codecsleuth.taxonomy import CLASSES, DETECTION, find_family
from codecsleuth.training.compact.config import TrainingConfig

#: Training clips that a codec family needs for a class of its own.
MIN_FAMILY_CLIPS: Final = 8


def detection_classes(table: ItemTable, config: TrainingConfig) -> tuple[str, ...]:
    """Three classes where detection is trained and some clips are labelled ``vocoder``, else two.

    The table decides as a whole, so that all folds of it have the same classes.
    """
    vocoders = any(item.label == VOCODER for item in table)
    return DETECTION if vocoders and "BIN" in config.task_names else CLASSES["BIN"]


def known_families(table: ItemTable, config: TrainingConfig) -> tuple[str, ...]:
    """Families with enough training clips, by name; none where the network has no such head."""
    if not config.family_weight:
        return ()
    counts = Counter(
        find_family(item.codec)
        for item in table
        if item.codec and item.split == "train" and item.source not in config.left_out_sources
    )
    return tuple(
        sorted(name for name, clips in counts.items() if name and clips >= MIN_FAMILY_CLIPS)
    )


def family_indices(items: Sequence[Item], families: Sequence[str]) -> IntArray:
    """Index of each clip's family, ``(items,)``; `UNKNOWN_CLASS` if it is none of these."""
    index = {name: place for place, name in enumerate(families)}
    places = [
        index.get(find_family(item.codec) or "", UNKNOWN_CLASS) if item.codec else UNKNOWN_CLASS
        for item in items
    ]
    return np.array(places, dtype=np.int64)


def one_hot(indices: IntArray, width: int) -> BoolArray:
    """Class indices ``(clips,)`` as allowed classes ``(clips, width)``."""
    allowed: BoolArray = indices[:, None] == np.arange(width)
    return allowed


def rarity(counts: NDArray[Any]) -> FloatArray:
    """What to add to log-probabilities, ``(classes,)``, to have the classes equally frequent.

    The mean over the clips is 0. Classes without clips stay as they are.

    Args:
        counts: of the clips of each class, ``(classes,)``.
    """
    there = counts > 0
    added = np.zeros(len(counts))
    added[there] = np.log(counts[there].sum() / counts[there])
    added[there] -= np.average(added[there], weights=counts[there])
    return added
