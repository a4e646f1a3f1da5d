"""The best monotonic calibration of scores, and what is lost without it.

Isotonic regression by the pool-adjacent-violators algorithm (Ayer et al., 1955; Zadrozny and Elkan,
2002) gives the log-odds at which the scores, in their order, would have cost least: the Cllr after
it measures discrimination alone (Brümmer and du Preez, 2006).
"""

from __future__ import annotations

import numpy as np

from codecsleuth.arrays import BoolArray, FloatArray
from codecsleuth.evaluation.metrics import even_prior, log_likelihood_ratio_cost, ones_unless


def pool_adjacent_violators(values: FloatArray, weights: FloatArray) -> FloatArray:
    """The non-decreasing sequence nearest to some values by weighted squares.

    Args:
        values: ``(n,)``.
        weights: ``(n,)``, not negative.

    Returns:
        ``(n,)``; values of weight 0 take part as far as they must.
    """
    sums: list[float] = []
    masses: list[float] = []
    sizes: list[int] = []
    for value, weight in zip(values.tolist(), weights.tolist(), strict=True):
        total, mass, size = value * weight, weight, 1
        # Means are compared as products, so that a pool of weight 0 is no exception.
        while sizes and (not mass or not masses[-1] or sums[-1] * mass >= total * masses[-1]):
            total, mass, size = total + sums.pop(), mass + masses.pop(), size + sizes.pop()
        sums.append(total)
        masses.append(mass)
        sizes.append(size)
    means = [total / mass if mass else 0.0 for total, mass in zip(sums, masses, strict=True)]
    return np.repeat(means, sizes)


def isotonic_log_odds(
    log_odds: FloatArray, is_positive: BoolArray, weights: FloatArray | None = None
) -> FloatArray:
    """Natural log likelihood ratios of least Cllr that keep the order of the scores, ``(clips,)``.

    They are infinite beyond the last score of the other label. Clips with equal scores get equal
    ones.

    Args:
        log_odds: ``(clips,)`` any scores.
        is_positive: ``(clips,)``.
        weights: ``(clips,)``; NaN comes back where a label has none.
    """
    even = even_prior(is_positive, ones_unless(weights, len(log_odds)))
    _, place = np.unique(log_odds, return_inverse=True)
    mass = np.bincount(place, even).astype(np.float64)
    with np.errstate(divide="ignore", invalid="ignore"):
        share = np.nan_to_num(np.bincount(place, even * is_positive) / mass)
        fitted = np.clip(pool_adjacent_violators(share, mass), 0.0, 1.0)
        # The prior odds are even, so posterior odds are likelihood ratios.
        return np.asarray((np.log(fitted) - np.log1p(-fitted))[place])


def minimum_cllr(
    log_odds: FloatArray, is_positive: BoolArray, weights: FloatArray | None = None
) -> FloatArray:
    """Cllr after isotonic calibration on the same clips, in bits: the part that is discrimination.

    Args:
        log_odds: ``(clips,)``.
        is_positive: ``(clips,)``.
        weights: ``(..., clips)``.

    Returns:
        ``(...)``; NaN where a label has no weight.
    """
    weights = ones_unless(weights, len(log_odds))
    rows = weights.reshape(-1, len(log_odds))
    costs = [_row(log_odds, is_positive, row) for row in rows]
    return np.array(costs).reshape(weights.shape[:-1])


def _row(log_odds: FloatArray, is_positive: BoolArray, weights: FloatArray) -> float:
    drawn = weights > 0
    if not (drawn & is_positive).any() or not (drawn & ~is_positive).any():
        return float("nan")
    labels, weights = is_positive[drawn], weights[drawn]
    best = isotonic_log_odds(log_odds[drawn], labels, weights)
    return float(log_likelihood_ratio_cost(best, labels, weights))
