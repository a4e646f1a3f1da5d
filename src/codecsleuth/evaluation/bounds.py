"""How strong a likelihood ratio a validation set supports: empirical lower and upper bounds.

Vergeer, van Es, de Jongh, Alberink and Stoel, "Numerical likelihood ratios outputted by LR systems
are often based on extrapolation: When to stop extrapolating?", Science and Justice 56 (2016),
482-491. A likelihood ratio is supported as long as acting on it costs no more than acting on none,
also if one more misleading value turned up on either side.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from codecsleuth.arrays import BoolArray, FloatArray

#: Accuracy of the bounds, on the scale of log10 likelihood ratios.
STEP: Final = 0.01


def empirical_bounds(
    log10_lr: FloatArray, is_positive: BoolArray, weights: FloatArray
) -> tuple[float, float]:
    """Lower and upper bound (ELUB) of log10 likelihood ratios.

    With weights of 1 these are the bounds of the paper (and of ``lir.algorithms.bayeserror.elub``
    of the Netherlands Forensic Institute). Weights that add up to 1 over the clips of each source
    put the number of sources in the place of the number of clips: the value that is added on either
    side to mislead then weighs as much as a source, and no bound is beyond the logarithm of the
    number of sources and one.

    Args:
        log10_lr: ``(clips,)``.
        is_positive: ``(clips,)``.
        weights: ``(clips,)``, positive.

    Returns:
        A lower bound of 0 or less, and an upper one of 0 or more.
    """
    positive, negative = (weights[label].sum() for label in (is_positive, ~is_positive))
    low = max(float(log10_lr.min()), -float(np.log10(positive + 1)))
    high = min(float(log10_lr.max()), float(np.log10(negative + 1)))
    first, last = min(0, int(low // STEP)), max(0, int(high // STEP) + 1)
    thresholds = np.linspace(first * STEP, last * STEP, last - first + 1)
    costly = _costs(log10_lr, is_positive, weights, thresholds) > np.minimum(1.0, 10**thresholds)
    below = thresholds[costly & (thresholds <= 0)] + STEP
    above = thresholds[costly & (thresholds >= 0)] - STEP
    lower, upper = below.max(initial=thresholds[0]), above.min(initial=thresholds[-1])
    return min(round(float(lower), 2), 0.0), max(round(float(upper), 2), 0.0)


def _costs(
    log10_lr: FloatArray, is_positive: BoolArray, weights: FloatArray, thresholds: FloatArray
) -> FloatArray:
    """Expected cost of deciding at each threshold, with one more misleading value on either side.

    A missed positive costs 1, an accepted negative the threshold itself, which makes the threshold
    the one of least expected cost (a Bayes decision).
    """
    misses = _share_up_to(log10_lr[is_positive], weights[is_positive], thresholds, added=1.0)
    passed = _share_up_to(log10_lr[~is_positive], weights[~is_positive], thresholds, added=0.0)
    return np.asarray(misses + 10**thresholds * (1.0 - passed))


def _share_up_to(
    values: FloatArray, weights: FloatArray, thresholds: FloatArray, added: float
) -> FloatArray:
    """Share of the weight at or below each threshold; a value of weight 1 is added to all."""
    order = np.argsort(values, kind="stable")
    summed = np.concatenate([[0.0], np.cumsum(weights[order])])
    below = summed[np.searchsorted(values[order], thresholds, side="right")]
    return np.asarray((below + added) / (summed[-1] + 1.0))
