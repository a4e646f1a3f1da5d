"""Two-class views of the detection logits of a network with two or three detection classes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from codecsleuth.arrays import FloatArray, IntArray, log_sum_exp
from codecsleuth.data.items import UNKNOWN_CLASS
from codecsleuth.taxonomy import CLASSES


def codec_pair(logits: FloatArray, classes: Sequence[str]) -> FloatArray:
    """Logits of codec and bona fide alone, in the order of ``CLASSES["BIN"]``.

    Args:
        logits: ``(..., classes)``.
        classes: names of the classes in order.

    Returns:
        ``(..., 2)``.
    """
    return logits[..., [classes.index(name) for name in CLASSES["BIN"]]]


def codec_pair_labels(labels: IntArray, classes: Sequence[str]) -> IntArray:
    """The classes that go with `codec_pair`; other classes are `UNKNOWN_CLASS`.

    Args:
        labels: ``(clips,)``, places among the classes, or `UNKNOWN_CLASS`.
        classes: names of the classes in order.
    """
    pair = CLASSES["BIN"]
    places = [pair.index(name) if name in pair else UNKNOWN_CLASS for name in classes]
    # The last place is what the index -1 finds.
    return np.array([*places, UNKNOWN_CLASS], dtype=np.int64)[labels]


def neural_pair(logits: FloatArray, classes: Sequence[str]) -> FloatArray:
    """Logits of neural synthesis (all classes but bona fide together) and of bona fide.

    Args:
        logits: ``(..., classes)``.
        classes: names of the classes in order.

    Returns:
        ``(..., 2)`` in the order of ``CLASSES["BIN"]``.
    """
    bona_fide = classes.index("bona fide")
    neural = [place for place in range(len(classes)) if place != bona_fide]
    return np.stack([log_sum_exp(logits[..., neural]), logits[..., bona_fide]], axis=-1)
