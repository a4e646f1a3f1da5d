"""What the labels of clips mean for detection, and which classes are set against each other."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from codecsleuth import calibration
from codecsleuth.arrays import BoolArray, IntArray
from codecsleuth.data.items import BONA_FIDE, SPOOF, Item, class_indices
from codecsleuth.taxonomy import CLASSES

VOCODER: Final = "vocoder"
#: Neural speech of which the table does not say whether a codec or a vocoder made it.
NEURAL: Final = "neural"
LABELS: Final = (SPOOF, VOCODER, NEURAL, BONA_FIDE)
#: The labels by the names that answers have for their classes.
LABEL_NAMES: Final = {SPOOF: "codec", VOCODER: "vocoder", NEURAL: "neural", BONA_FIDE: "bona_fide"}
#: The two classes that detection figures set against each other, whatever others a model has.
DETECTION_PAIR: Final = CLASSES["BIN"]
#: Labels whose clips detection figures are over; of others there are shares of verdicts.
DETECTION_LABELS: Final = (SPOOF, BONA_FIDE)


@dataclass(frozen=True)
class ClassPair:
    """Two detection classes, or groups of them, of which one is to be distinguished from the other.

    Attributes:
        name: as JSON has it.
        words: as people read it.
        positive: classes of the model whose odds are the score.
        negative: classes against which.
        positive_labels: labels of the clips that should score high.
        negative_labels: labels of the clips that should score low.
    """

    name: str
    words: str
    positive: tuple[str, ...]
    negative: tuple[str, ...]
    positive_labels: tuple[str, ...]
    negative_labels: tuple[str, ...]

    def is_distinguished_by(self, classes: Iterable[str]) -> bool:
        """Whether a model with these detection classes has all that the pair is about."""
        return {*self.positive, *self.negative} <= {*classes}


#: What a model of three classes is measured on beside codec against bona fide.
CLASS_PAIRS: Final = (
    ClassPair(
        "vocoder_against_bona_fide",
        "vocoder against bona fide",
        (calibration.VOCODER,),
        (calibration.BONA_FIDE,),
        (VOCODER,),
        (BONA_FIDE,),
    ),
    ClassPair(
        "codec_against_vocoder",
        "codec against vocoder",
        (calibration.CODEC,),
        (calibration.VOCODER,),
        (SPOOF,),
        (VOCODER,),
    ),
    ClassPair(
        "neural_against_bona_fide",
        "codec or vocoder against bona fide",
        calibration.NEURAL,
        (calibration.BONA_FIDE,),
        (SPOOF, VOCODER, NEURAL),
        (BONA_FIDE,),
    ),
)


def has_label(items: Sequence[Item], *labels: str) -> BoolArray:
    """Whether each item has one of the labels, ``(items,)``."""
    return np.array([item.label in labels for item in items], dtype=bool)


def true_classes(items: Sequence[Item], task: str) -> IntArray:
    """True classes of a task, ``(items,)``; -1 where they are not known.

    Those of ``BIN`` are places in `DETECTION_PAIR`; clips of other labels have none.
    """
    if task != "BIN":
        return class_indices(items, task)
    return _places([item.label for item in items], DETECTION_LABELS)


def detection_classes(labels: NDArray[np.integer], classes: Sequence[str]) -> IntArray:
    """Places in `DETECTION_PAIR` of labels that are places in a model's detection classes.

    Args:
        labels: any shape; -1 where not known.
        classes: the model's.

    Returns:
        The same shape; -1 where not known, or neither codec nor bona fide.
    """
    # The last place is that of -1.
    return np.asarray(_places([*classes, ""], DETECTION_PAIR)[labels], dtype=np.int64)


def _places(names: Sequence[str], known: Sequence[str]) -> IntArray:
    places = [known.index(name) if name in known else -1 for name in names]
    return np.array(places, dtype=np.int64)
