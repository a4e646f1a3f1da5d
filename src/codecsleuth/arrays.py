"""Types of arrays, and the few functions of them that every room needs."""

from __future__ import annotations

import math
from typing import Final, cast

import numpy as np
from numpy.typing import NDArray

#: Audio, ``(samples,)`` or ``(frames, channels)``, scaled to -1..1.
Samples = NDArray[np.float32]
FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
BoolArray = NDArray[np.bool_]

#: A natural logarithm divided by this is a decimal one.
LN10: Final = math.log(10.0)


def sigmoid(log_odds: FloatArray) -> FloatArray:
    """Probability of natural log-odds, any shape."""
    probability: FloatArray = 1.0 / (1.0 + np.exp(-log_odds))
    return probability


def softmax(scores: FloatArray) -> FloatArray:
    """Softmax over the last axis; same shape."""
    shifted = np.exp(scores - scores.max(axis=-1, keepdims=True))
    normalised: FloatArray = shifted / shifted.sum(axis=-1, keepdims=True)
    return normalised


def log_softmax(logits: FloatArray) -> FloatArray:
    """Logarithm of the softmax over the last axis; same shape."""
    shifted = logits - logits.max(axis=-1, keepdims=True)
    return cast(FloatArray, shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True)))


def log_sum_exp(scores: FloatArray) -> FloatArray:
    """Logarithm of the summed exponentials over the last axis, ``(..., n)`` to ``(...)``."""
    return cast(FloatArray, np.logaddexp.reduce(scores, axis=-1))
