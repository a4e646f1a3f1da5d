"""Figures of merit over clips, for one weighting of the clips or for many at once.

A detection score is a natural log-odds codec : bona fide; higher means codec. Every figure takes
``weights`` of shape ``(..., clips)`` and gives an array of shape ``(...)``: the figure itself is
the one with all weights 1 (the default), and a bootstrap is many rows of draw counts. A row's
figure does not depend on the other rows, to the last bit. A figure that is not defined, because a
class has no clips, is NaN and never a guess.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final, cast

import numpy as np

from codecsleuth.arrays import BoolArray, FloatArray, IntArray

#: Costs and prior of a codec clip in ASVspoof 5 (Wang et al., 2024) for the normalised DCF.
COST_FALSE_ALARM: Final = 1.0
COST_MISS: Final = 10.0
PRIOR_CODEC: Final = 0.05
ECE_BINS: Final = 15
#: Quantile of the normal distribution that leaves 2.5 % above it.
_Z: Final = 1.959964


def ratio(numerator: FloatArray, denominator: FloatArray) -> FloatArray:
    """Quotient, NaN where there is nothing to divide by."""
    shape = np.broadcast_shapes(numerator.shape, denominator.shape)
    nothing = np.full(shape, np.nan)
    return cast(FloatArray, np.divide(numerator, denominator, out=nothing, where=denominator != 0))


def ones_unless(weights: FloatArray | None, clips: int) -> FloatArray:
    """The weights, or 1 for every clip if there are none."""
    return np.ones(clips) if weights is None else np.asarray(weights, dtype=np.float64)


def sums_by_cell(cells: IntArray, count: int, weights: FloatArray) -> FloatArray:
    """Sum of the weights in each of ``count`` cells.

    Args:
        cells: ``(clips,)`` the cell of each clip.
        count: how many cells there are.
        weights: ``(..., clips)``.

    Returns:
        ``(..., count)``.
    """
    # Row by row: a product with a matrix of ones and zeros would need that matrix, and the last
    # bits of a product of matrices depend on how many rows it has.
    if not len(cells):
        return np.zeros((*weights.shape[:-1], count))
    rows = weights.reshape(-1, len(cells))
    sums = np.stack([np.bincount(cells, row, minlength=count) for row in rows])
    return sums.astype(np.float64, copy=False).reshape(*weights.shape[:-1], count)


def weighted_mean(values: FloatArray | BoolArray, weights: FloatArray | None = None) -> FloatArray:
    """Mean of ``(clips,)`` values; NaN over no clips."""
    weights = ones_unless(weights, len(values))
    return ratio((weights * values).sum(axis=-1), weights.sum(axis=-1))


class OperatingPoints:
    """The thresholds that the scores of some clips tell apart.

    Clips with equal scores pass a threshold together, so ties give one operating point, not an
    arbitrary path through them.
    """

    def __init__(self, scores: FloatArray, is_codec: BoolArray) -> None:
        """Sort the clips once for all weightings.

        Args:
            scores: ``(clips,)``.
            is_codec: ``(clips,)``.
        """
        self._order = np.argsort(scores, kind="stable")
        self._is_codec = is_codec[self._order]
        ordered = scores[self._order]
        last = np.append(ordered[1:] != ordered[:-1], True)[: len(ordered)]
        self._last_of_score = np.flatnonzero(last)

    def error_rates(self, weights: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Miss rate and false alarm rate at each threshold, each ``(..., points)``.

        They run from "all called codec" to "none called codec".
        """
        ordered = np.take(weights, self._order, axis=-1)
        codec_below = self._cumulated(ordered * self._is_codec)
        real_below = self._cumulated(ordered * ~self._is_codec)
        misses = ratio(codec_below, codec_below[..., -1:])
        return misses, 1.0 - ratio(real_below, real_below[..., -1:])

    def _cumulated(self, ordered: FloatArray) -> FloatArray:
        """Weight of the clips up to and with each distinct score, a zero first."""
        sums = np.take(np.cumsum(ordered, axis=-1), self._last_of_score, axis=-1)
        return np.concatenate([np.zeros((*sums.shape[:-1], 1)), sums], axis=-1)


def error_rates(
    scores: FloatArray, is_codec: BoolArray, weights: FloatArray | None = None
) -> tuple[FloatArray, FloatArray]:
    """Miss rate and false alarm rate at every threshold; see `OperatingPoints`.

    Args:
        scores: ``(clips,)``.
        is_codec: ``(clips,)``.
        weights: ``(..., clips)``.

    Returns:
        The share of codec clips missed and the share of bona fide clips called codec, each
        ``(..., points)``, from "all called codec" to "none called codec".
    """
    return OperatingPoints(scores, is_codec).error_rates(ones_unless(weights, len(scores)))


def equal_error_rate(
    scores: FloatArray, is_codec: BoolArray, weights: FloatArray | None = None
) -> FloatArray:
    """Where both error rates are equal, on straight lines between the operating points.

    This is the EER of ``sklearn.metrics.roc_curve`` with linear interpolation. It does not depend
    on the order of clips with equal scores, a constant score gives 0.5, and the convex hull, which
    would flatter a small test, is not taken.
    """
    return crossing(*error_rates(scores, is_codec, weights))


def crossing(misses: FloatArray, false_alarms: FloatArray) -> FloatArray:
    """Equal error rate ``(...)`` of error rates ``(..., points)``; see `equal_error_rate`."""
    gap = misses - false_alarms
    after = np.argmax(gap >= 0, axis=-1)[..., None]
    before = np.maximum(after - 1, 0)
    gap_before, gap_after = _take(gap, before), _take(gap, after)
    # The gap rises from -1 to 1, so the step at which it reaches 0 is never flat.
    part = ratio(-gap_before, gap_after - gap_before)
    start, end = _take(misses, before), _take(misses, after)
    return start + part * (end - start)


def _take(values: FloatArray, places: IntArray) -> FloatArray:
    return np.take_along_axis(values, places, axis=-1)[..., 0]


def area_under_curve(
    scores: FloatArray, is_codec: BoolArray, weights: FloatArray | None = None
) -> FloatArray:
    """Chance that a codec clip scores above a bona fide clip, ties counted half.

    This is the Mann-Whitney statistic (Hanley and McNeil, 1982).
    """
    return area(*error_rates(scores, is_codec, weights))


def area(misses: FloatArray, false_alarms: FloatArray) -> FloatArray:
    """Area under the ROC curve ``(...)`` of error rates ``(..., points)``."""
    detected = 1.0 - misses
    heights = 0.5 * (detected[..., 1:] + detected[..., :-1])
    return cast(FloatArray, (heights * -np.diff(false_alarms, axis=-1)).sum(axis=-1))


def minimum_dcf(
    scores: FloatArray,
    is_codec: BoolArray,
    weights: FloatArray | None = None,
    *,
    miss_cost: float = COST_MISS * PRIOR_CODEC,
    alarm_cost: float = COST_FALSE_ALARM * (1.0 - PRIOR_CODEC),
) -> FloatArray:
    """Least detection cost over all thresholds, 1 for the better constant answer.

    The defaults are those of ASVspoof 5 (Wang et al., 2024): codec clips are rare (0.05) and ten
    times as costly to miss as a bona fide clip is to accuse.

    Args:
        scores: ``(clips,)``.
        is_codec: ``(clips,)``.
        weights: ``(..., clips)``.
        miss_cost: of a miss, times the prior of a codec clip.
        alarm_cost: of a false alarm, times the prior of a bona fide clip.
    """
    return least_cost(*error_rates(scores, is_codec, weights), miss_cost, alarm_cost)


def least_cost(
    misses: FloatArray,
    false_alarms: FloatArray,
    miss_cost: float = COST_MISS * PRIOR_CODEC,
    alarm_cost: float = COST_FALSE_ALARM * (1.0 - PRIOR_CODEC),
) -> FloatArray:
    """Normalised minimum DCF ``(...)`` of error rates ``(..., points)``; see `minimum_dcf`."""
    costs = miss_cost * misses + alarm_cost * false_alarms
    return cast(FloatArray, costs.min(axis=-1) / min(miss_cost, alarm_cost))


def log_likelihood_ratio_cost(
    log_odds: FloatArray, is_codec: BoolArray, weights: FloatArray | None = None
) -> FloatArray:
    """Cllr in bits (Brümmer and du Preez, 2006): 0 is perfect, 1 is what saying nothing costs.

    Args:
        log_odds: ``(clips,)`` natural log likelihood ratios codec : bona fide.
        is_codec: ``(clips,)``.
        weights: ``(..., clips)``.
    """
    weights = ones_unless(weights, len(log_odds))
    bits = np.logaddexp(0.0, np.where(is_codec, -log_odds, log_odds)) / np.log(2.0)
    return 0.5 * (
        weighted_mean(bits, weights * is_codec) + weighted_mean(bits, weights * ~is_codec)
    )


def calibration_error(
    probabilities: FloatArray,
    came_true: BoolArray,
    weights: FloatArray | None = None,
    *,
    bins: int = ECE_BINS,
) -> FloatArray:
    """Expected calibration error over equally wide bins (Guo et al., 2017).

    Args:
        probabilities: ``(clips,)`` stated probabilities of an event.
        came_true: ``(clips,)`` whether the event was the case.
        weights: ``(..., clips)``.
        bins: how many parts the range 0 to 1 is cut into.
    """
    weights = ones_unless(weights, len(probabilities))
    excess = sums_by_cell(
        probability_bins(probabilities, bins), bins, weights * (probabilities - came_true)
    )
    return ratio(np.abs(excess).sum(axis=-1), weights.sum(axis=-1))


def probability_bins(probabilities: FloatArray, bins: int = ECE_BINS) -> IntArray:
    """The bin of each probability, any shape; the last one holds 1 too."""
    return np.clip((probabilities * bins).astype(np.int64), 0, bins - 1)


def even_prior(is_codec: BoolArray, weights: FloatArray | None = None) -> FloatArray:
    """Weights under which codec and bona fide clips count equally much, as calibration assumes.

    NaN throughout where one of the two has no clips.
    """
    weights = ones_unless(weights, len(is_codec))
    codec = (weights * is_codec).sum(axis=-1, keepdims=True)
    real = (weights * ~is_codec).sum(axis=-1, keepdims=True)
    return weights * ratio(np.where(is_codec, real, codec), 2.0 * codec * real)


def balanced_weights(
    parts: IntArray, is_codec: BoolArray, weights: FloatArray | None = None
) -> FloatArray:
    """Weights under which, within each label, every part of the clips counts the same.

    They turn a figure over clips into the macro figure over systems, or codecs: the labels keep
    their shares, but a system with most of the clips no longer decides. Parts with no weight (not
    drawn in a bootstrap) are left out.

    Args:
        parts: ``(clips,)`` index of each clip's part, from 0 without gaps.
        is_codec: ``(clips,)``.
        weights: ``(..., clips)``.
    """
    weights = ones_unless(weights, len(parts))
    cells = 2 * parts + is_codec
    totals = sums_by_cell(cells, 2 * (int(parts.max(initial=0)) + 1), weights)
    even = weights * np.take(_zero_unless(np.ones(()), totals), cells, axis=-1)
    for label in (is_codec, ~is_codec):
        total = (weights * label).sum(axis=-1, keepdims=True)
        share = _zero_unless(total, (even * label).sum(axis=-1, keepdims=True))
        even *= np.where(label, share, 1.0)
    return even


def _zero_unless(numerator: FloatArray, denominator: FloatArray) -> FloatArray:
    return np.nan_to_num(ratio(numerator, denominator))


def confusion_matrix(
    true: IntArray, predicted: IntArray, shape: tuple[int, int], weights: FloatArray | None = None
) -> FloatArray:
    """Clips per true class (rows) and answer (columns), ``(..., rows, columns)``."""
    rows, columns = shape
    weights = ones_unless(weights, len(true))
    counts = sums_by_cell(true * columns + predicted, rows * columns, weights)
    return counts.reshape(*weights.shape[:-1], rows, columns)


def f1_scores(confusion: FloatArray) -> FloatArray:
    """F1 per class of ``(..., classes, classes)``; NaN for a class that has no clips.

    F1 is the harmonic mean of precision and recall (van Rijsbergen, 1979).
    """
    support, predicted = confusion.sum(axis=-1), confusion.sum(axis=-2)
    hits = np.diagonal(confusion, axis1=-2, axis2=-1)
    return np.where(support > 0, ratio(2.0 * hits, support + predicted), np.nan)


def weighted_f1(confusion: FloatArray) -> FloatArray:
    """Mean of F1 weighted by the clips of each class (Chen et al., 2025, section 4)."""
    support = confusion.sum(axis=-1)
    total = (np.nan_to_num(f1_scores(confusion)) * support).sum(axis=-1)
    return ratio(total, support.sum(axis=-1))


def macro_f1(confusion: FloatArray, first: int = 0) -> FloatArray:
    """Plain mean of F1 over the classes from ``first`` on that have clips.

    A class without clips has no F1; who prints this figure must say which classes those are.
    """
    scores = f1_scores(confusion)[..., first:]
    defined = ~np.isnan(scores)
    return ratio(
        np.where(defined, scores, 0.0).sum(axis=-1), defined.sum(axis=-1).astype(np.float64)
    )


def _macro_f1_codec(confusion: FloatArray) -> FloatArray:
    return macro_f1(confusion, first=1)


#: The F1 figures of a taxonomy task; each takes confusion counts with ``Real`` as class 0.
F1_FIGURES: Final[Mapping[str, Callable[[FloatArray], FloatArray]]] = {
    "f1_weighted": weighted_f1,
    "f1_macro": macro_f1,
    "f1_macro_codec": _macro_f1_codec,
}


def constant_f1(support: FloatArray) -> dict[str, float]:
    """Best that any constant answer reaches in each F1 figure.

    Args:
        support: ``(classes,)`` weight of the clips of each class.
    """
    classes = len(support)
    confusion = np.zeros((classes, classes, classes))
    confusion[np.arange(classes), :, np.arange(classes)] = support
    return {
        name: float(np.max(figure(confusion))) if support.sum() else np.nan
        for name, figure in F1_FIGURES.items()
    }


def effective_groups(groups: IntArray, weights: FloatArray | None = None) -> float:
    """How many independent groups clips are worth: ``(sum of weights)^2 / sum of their squares``.

    A group's weight is the sum over its clips. Where all weigh the same, this is the number of
    groups (Kish, "Survey Sampling", 1965, section 11.7); versions of one utterance count once.

    Args:
        groups: ``(clips,)`` index of each clip's group.
        weights: ``(clips,)``.

    Returns:
        0 over no clips.
    """
    weights = ones_unless(weights, len(groups))
    totals = np.bincount(groups, weights) if len(groups) else np.zeros(1)
    return float(_zero_unless(totals.sum() ** 2, (totals**2).sum()))


def wilson_interval(share: float, trials: float) -> tuple[float, float]:
    """95 % interval of a share (Wilson, 1927).

    It leaves room for doubt where a bootstrap does not: over few trials, and at 0 and 1.

    Args:
        share: 0 to 1.
        trials: of how many trials; need not be a whole number.

    Returns:
        Lower and upper limit; NaN over no trials.
    """
    if not trials or not np.isfinite(share):
        return np.nan, np.nan
    hits = share * trials
    centre = (hits + _Z * _Z / 2) / (trials + _Z * _Z)
    half = _Z * np.sqrt(hits * (1.0 - share) + _Z * _Z / 4) / (trials + _Z * _Z)
    # Rounding must not put the share itself outside.
    return float(min(share, max(0.0, centre - half))), float(max(share, min(1.0, centre + half)))
