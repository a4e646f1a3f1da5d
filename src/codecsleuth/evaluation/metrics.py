"""Figures of merit over clips and tasks, for one weighting of the clips or for many at once.

A detection score is a natural log-odds codec : bona fide; higher means codec. Every figure takes
``weights`` of shape ``(..., clips)`` and gives an array of shape ``(...)``: the figure itself is
the one with all weights 1 (the default), and a bootstrap is a thousand rows of draw counts in one
call. A figure that is not defined, because a class has no clips, is NaN and never a guess.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Self, cast

import numpy as np
from numpy.typing import NDArray

from codecsleuth.arrays import sigmoid
from codecsleuth.calibration import Calibration
from codecsleuth.taxonomy import BIN_BONA_FIDE, BIN_CODEC

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
BoolArray = NDArray[np.bool_]
Figures = Callable[[FloatArray], dict[str, FloatArray]]

VERDICTS: Final = ("codec", "inconclusive", "bona_fide")
_CALLED_CODEC, _CALLED_BONA_FIDE = VERDICTS.index("codec"), VERDICTS.index("bona_fide")

#: Costs and prior of a codec clip in ASVspoof 5 (Wang et al., 2024) for the normalised DCF.
COST_BONA_FIDE_CALLED_CODEC: Final = 1.0
COST_CODEC_CALLED_BONA_FIDE: Final = 10.0
PRIOR_CODEC: Final = 0.05
ECE_BINS: Final = 15
#: A constant answer may be "codec", "bona fide" or even odds; the last is perfectly calibrated.
_BIN_CONSTANT: Final = {
    **{"eer": 0.5, "auc": 0.5, "min_dcf": 1.0, "cllr": 1.0, "ece": 0.0},
    **{"codec_called_codec": 1.0, "codec_called_bona_fide": 0.0},
    **{"bona_fide_called_codec": 0.0, "inconclusive": 0.0},
}
_DRAWS_AT_ONCE: Final = 100


def _ratio(numerator: FloatArray, denominator: FloatArray) -> FloatArray:
    """Quotient, NaN where there is nothing to divide by."""
    shape = np.broadcast_shapes(numerator.shape, denominator.shape)
    nothing = np.full(shape, np.nan)
    return cast(FloatArray, np.divide(numerator, denominator, out=nothing, where=denominator != 0))


def _weights(weights: FloatArray | None, clips: int) -> FloatArray:
    return np.ones(clips) if weights is None else np.asarray(weights, dtype=np.float64)


def weighted_mean(values: FloatArray, weights: FloatArray | None = None) -> FloatArray:
    """Mean of ``(clips,)`` values; NaN over no clips."""
    weights = _weights(weights, len(values))
    return _ratio(weights @ np.asarray(values, dtype=np.float64), weights.sum(axis=-1))


def error_rates(
    scores: FloatArray, is_codec: BoolArray, weights: FloatArray | None = None
) -> tuple[FloatArray, FloatArray]:
    """Both error rates at every threshold that the scores tell apart.

    Clips with equal scores pass a threshold together, so ties give one operating point, not an
    arbitrary path through them.

    Args:
        scores: ``(clips,)``.
        is_codec: ``(clips,)``.
        weights: ``(..., clips)``.

    Returns:
        The share of codec clips missed and the share of bona fide clips called codec, each
        ``(..., points)``, from "all called codec" to "none called codec".
    """
    weights = _weights(weights, len(scores))
    order = np.argsort(scores, kind="stable")
    ordered = scores[order]
    ends = np.flatnonzero(np.append(ordered[1:] != ordered[:-1], True))[: len(ordered)]
    below_codec = _cumulated(weights * is_codec, order, ends)
    below_real = _cumulated(weights * ~is_codec, order, ends)
    missed = _ratio(below_codec, below_codec[..., -1:])
    false_alarms = 1.0 - _ratio(below_real, below_real[..., -1:])
    return missed, false_alarms


def _cumulated(weights: FloatArray, order: IntArray, ends: IntArray) -> FloatArray:
    """Weight of the clips up to and with each distinct score, a zero first."""
    sums = np.cumsum(weights[..., order], axis=-1)[..., ends]
    return np.concatenate([np.zeros_like(sums[..., :1]), sums], axis=-1)


def equal_error_rate(
    scores: FloatArray, is_codec: BoolArray, weights: FloatArray | None = None
) -> FloatArray:
    """Where both error rates are equal, on straight lines between the operating points.

    This is the EER of ``sklearn.metrics.roc_curve`` with linear interpolation. It does not depend
    on the order of clips with equal scores, a constant score gives 0.5, and the convex hull, which
    would flatter a small test, is not taken.
    """
    return _crossing(*error_rates(scores, is_codec, weights))


def _crossing(missed: FloatArray, false_alarms: FloatArray) -> FloatArray:
    gap = missed - false_alarms
    after = np.argmax(gap >= 0, axis=-1)[..., None]
    before = np.maximum(after - 1, 0)
    gap_before, gap_after = _take(gap, before), _take(gap, after)
    # The gap rises from -1 to 1, so the step at which it reaches 0 is never flat.
    part = _ratio(-gap_before, gap_after - gap_before)
    start, end = _take(missed, before), _take(missed, after)
    return start + part * (end - start)


def _take(values: FloatArray, places: IntArray) -> FloatArray:
    return np.take_along_axis(values, places, axis=-1)[..., 0]


def area_under_curve(
    scores: FloatArray, is_codec: BoolArray, weights: FloatArray | None = None
) -> FloatArray:
    """Chance that a codec clip scores above a bona fide clip, ties counted half."""
    return _area(*error_rates(scores, is_codec, weights))


def _area(missed: FloatArray, false_alarms: FloatArray) -> FloatArray:
    detected = 1.0 - missed
    heights = 0.5 * (detected[..., 1:] + detected[..., :-1])
    return cast(FloatArray, (heights * -np.diff(false_alarms, axis=-1)).sum(axis=-1))


def minimum_dcf(
    scores: FloatArray,
    is_codec: BoolArray,
    weights: FloatArray | None = None,
    *,
    prior_codec: float = PRIOR_CODEC,
    cost_false_alarm: float = COST_BONA_FIDE_CALLED_CODEC,
    cost_miss: float = COST_CODEC_CALLED_BONA_FIDE,
) -> FloatArray:
    """Least detection cost over all thresholds, 1 for the better constant answer.

    The defaults are those of ASVspoof 5: codec clips are rare (0.05) and ten times as costly to
    miss as a bona fide clip is to accuse.
    """
    rates = error_rates(scores, is_codec, weights)
    return _least_cost(*rates, cost_miss * prior_codec, cost_false_alarm * (1.0 - prior_codec))


def _least_cost(
    missed: FloatArray,
    false_alarms: FloatArray,
    miss_cost: float = COST_CODEC_CALLED_BONA_FIDE * PRIOR_CODEC,
    alarm_cost: float = COST_BONA_FIDE_CALLED_CODEC * (1.0 - PRIOR_CODEC),
) -> FloatArray:
    costs = miss_cost * missed + alarm_cost * false_alarms
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
    weights = _weights(weights, len(log_odds))
    surprise = np.logaddexp(0.0, np.where(is_codec, -log_odds, log_odds)) / np.log(2.0)
    codec = _ratio((weights * is_codec) @ surprise, (weights * is_codec).sum(axis=-1))
    real = _ratio((weights * ~is_codec) @ surprise, (weights * ~is_codec).sum(axis=-1))
    return 0.5 * (codec + real)


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
    weights = _weights(weights, len(probabilities))
    places = np.clip((probabilities * bins).astype(np.int64), 0, bins - 1)
    excess = np.zeros((len(probabilities), bins))
    excess[np.arange(len(probabilities)), places] = probabilities - came_true
    return _ratio(np.abs(weights @ excess).sum(axis=-1), weights.sum(axis=-1))


def even_prior(is_codec: BoolArray, weights: FloatArray | None = None) -> FloatArray:
    """Weights under which codec and bona fide clips count equally much, as calibration assumes.

    NaN throughout where one of the two has no clips.
    """
    weights = _weights(weights, len(is_codec))
    codec = (weights * is_codec).sum(axis=-1, keepdims=True)
    real = (weights * ~is_codec).sum(axis=-1, keepdims=True)
    return weights * _ratio(np.where(is_codec, real, codec), 2.0 * codec * real)


def alike(parts: IntArray, is_codec: BoolArray, weights: FloatArray | None = None) -> FloatArray:
    """Weights under which, within each label, every part of the clips counts the same.

    They turn a figure over clips into the macro figure over systems, or codecs: the labels keep
    their shares, but a system with most of the clips no longer decides. Parts with no weight (not
    drawn in a bootstrap) are left out.

    Args:
        parts: ``(clips,)`` index of each clip's part, from 0 without gaps.
        is_codec: ``(clips,)``.
        weights: ``(..., clips)``.
    """
    weights = _weights(weights, len(parts))
    cells = 2 * parts + is_codec
    member = (cells[:, None] == np.arange(2 * (int(parts.max(initial=0)) + 1))).astype(np.float64)
    share = _filled(np.ones(()), weights @ member)
    even = weights * share[..., cells]
    for label in (is_codec, ~is_codec):
        total = (weights * label).sum(axis=-1, keepdims=True)
        even = even * np.where(label, _filled(total, (even * label).sum(axis=-1, keepdims=True)), 1)
    return even


def _filled(numerator: FloatArray, denominator: FloatArray) -> FloatArray:
    return np.nan_to_num(_ratio(numerator, denominator))


def confusion_matrix(
    true: IntArray, predicted: IntArray, classes: int, weights: FloatArray | None = None
) -> FloatArray:
    """Clips per true class (rows) and predicted class (columns), ``(..., classes, classes)``."""
    weights = _weights(weights, len(true))
    cells = np.zeros((len(true), classes * classes))
    cells[np.arange(len(true)), true * classes + predicted] = 1.0
    return (weights @ cells).reshape(*weights.shape[:-1], classes, classes)


def f1_scores(confusion: FloatArray) -> FloatArray:
    """F1 per class of ``(..., classes, classes)``; NaN for a class that has no clips."""
    support, predicted = confusion.sum(axis=-1), confusion.sum(axis=-2)
    hits = np.diagonal(confusion, axis1=-2, axis2=-1)
    return np.where(support > 0, _ratio(2.0 * hits, support + predicted), np.nan)


def weighted_f1(confusion: FloatArray) -> FloatArray:
    """Mean of F1 weighted by the clips of each class, as in the paper."""
    support = confusion.sum(axis=-1)
    total = (np.nan_to_num(f1_scores(confusion)) * support).sum(axis=-1)
    return _ratio(total, support.sum(axis=-1))


def macro_f1(confusion: FloatArray, first: int = 0) -> FloatArray:
    """Plain mean of F1 over the classes from ``first`` on that have clips.

    A class without clips has no F1; who prints this figure must say which classes those are.
    """
    scores = f1_scores(confusion)[..., first:]
    there = ~np.isnan(scores)
    return _ratio(np.where(there, scores, 0.0).sum(axis=-1), there.sum(axis=-1).astype(np.float64))


def constant_f1(support: FloatArray) -> dict[str, float]:
    """Best that any constant answer reaches in each F1 figure.

    Args:
        support: ``(classes,)`` clips of each class.
    """
    classes = len(support)
    confusion = np.zeros((classes, classes, classes))
    confusion[np.arange(classes), :, np.arange(classes)] = support
    return {
        name: float(np.max(figure(confusion))) if support.sum() else np.nan
        for name, figure in F1_FIGURES.items()
    }


def constants(task: str, support: FloatArray) -> dict[str, float]:
    """What the best constant answer reaches in each figure of a task, figure by figure.

    Args:
        task: which.
        support: ``(classes,)`` weight of the clips of each class.
    """
    if task == "BIN":
        return dict(_BIN_CONSTANT)
    accuracy = float(support[1:].max() / support[1:].sum()) if support[1:].any() else np.nan
    return {**constant_f1(support), "accuracy": accuracy, "ece": 0.0}


def _macro_f1_codec(confusion: FloatArray) -> FloatArray:
    return macro_f1(confusion, first=1)


#: The figures of a taxonomy task; each takes confusion counts with ``Real`` as class 0.
F1_FIGURES: Final[Mapping[str, Callable[[FloatArray], FloatArray]]] = {
    "f1_weighted": weighted_f1,
    "f1_macro": macro_f1,
    "f1_macro_codec": _macro_f1_codec,
}


def draw_counts(groups: IntArray, draws: int, seed: int) -> FloatArray:
    """Bootstrap weights that draw whole groups with replacement, ``(draws, clips)``.

    Versions of one utterance rise and fall together; clips drawn one by one would make intervals
    too narrow (Field and Welsh, "Bootstrapping clustered data", 2007).

    Args:
        groups: ``(clips,)`` index of each clip's group, from 0 without gaps.
        draws: how many.
        seed: of the random generator.
    """
    count = int(groups.max()) + 1
    generator = np.random.default_rng(seed)
    drawn = generator.integers(0, count, size=(draws, count))
    flat = drawn + np.arange(draws)[:, None] * count
    counts = np.bincount(flat.ravel(), minlength=draws * count).reshape(draws, count)
    return counts[:, groups].astype(np.float64)


def intervals(
    figures: Callable[[FloatArray], Mapping[str, FloatArray]],
    groups: IntArray,
    draws: int,
    seed: int = 0,
    coverage: float = 0.95,
) -> dict[str, tuple[float, float]]:
    """Percentile bootstrap intervals of several figures.

    Args:
        figures: from weights ``(draws, clips)`` to named figures ``(draws,)``.
        groups: ``(clips,)`` index of each clip's group.
        draws: how many.
        seed: of the random generator.
        coverage: share of the draws inside the interval.

    Returns:
        Lower and upper limit per figure, over the draws in which it is defined; NaN if none. No
        figures over no clips.
    """
    if not len(groups):
        return {}
    weights = draw_counts(groups, draws, seed)
    parts = [figures(weights[i : i + _DRAWS_AT_ONCE]) for i in range(0, draws, _DRAWS_AT_ONCE)]
    return {
        name: _limits(np.concatenate([part[name] for part in parts]), coverage) for name in parts[0]
    }


def _limits(values: FloatArray, coverage: float) -> tuple[float, float]:
    values = values[np.isfinite(values)]
    if not values.size:
        return np.nan, np.nan
    lower, upper = np.quantile(values, [0.5 - coverage / 2, 0.5 + coverage / 2])
    return float(lower), float(upper)


def wilson_interval(hits: int, clips: int) -> tuple[float, float]:
    """95 % interval of a share (Wilson, 1927), honest for few clips where a bootstrap is not."""
    if not clips:
        return np.nan, np.nan
    z = 1.959964
    centre = (hits + z * z / 2) / (clips + z * z)
    half = z * np.sqrt(hits * (clips - hits) / clips + z * z / 4) / (clips + z * z)
    return float(max(0.0, centre - half)), float(min(1.0, centre + half))


def bin_log_odds(logits: FloatArray) -> FloatArray:
    """Raw natural log-odds codec : bona fide ``(...)`` of ``BIN`` logits ``(..., 2)``."""
    return np.asarray(logits[..., BIN_CODEC] - logits[..., BIN_BONA_FIDE])


class _PerClip:
    """Arrays of one entry a clip, chosen from as one."""

    def __getitem__(self, chosen: BoolArray) -> Self:
        return type(self)(**{name: values[chosen] for name, values in vars(self).items()})


@dataclass(frozen=True)
class DetectionAnswers(_PerClip):
    """What a calibrated model says of clips on ``BIN``.

    Attributes:
        ranking: ``(clips,)`` log-odds calibrated but not limited: in the order of the raw ones,
            and comparable between models.
        log_odds: ``(clips,)`` calibrated natural log-odds codec : bona fide.
        answered: ``(clips,)`` verdicts as places in `VERDICTS`.
    """

    ranking: FloatArray
    log_odds: FloatArray
    answered: IntArray

    @classmethod
    def of(cls, logits: FloatArray, calibration: Calibration) -> DetectionAnswers:
        """Calibrate ``(clips, 2)`` logits."""
        ranking = calibration.bin_scale * bin_log_odds(logits) + calibration.bin_bias
        log_odds = calibration.log_odds(logits)
        verdicts = [VERDICTS.index(calibration.verdict(float(p))) for p in sigmoid(log_odds)]
        return cls(ranking, log_odds, np.array(verdicts, dtype=np.int64))

    def figures(self, true: IntArray) -> Figures:
        """Detection figures against true classes ``(clips,)``, as a function of weights.

        EER, AUC and minimum DCF are of the log-odds without limit, whose order calibration does not
        change; Cllr, calibration error (at even prior odds) and the shares of verdicts are of the
        calibrated ones.
        """
        is_codec = true == BIN_CODEC
        probabilities = sigmoid(self.log_odds)
        called_codec = (self.answered == _CALLED_CODEC).astype(np.float64)
        called_real = (self.answered == _CALLED_BONA_FIDE).astype(np.float64)

        def figures(weights: FloatArray) -> dict[str, FloatArray]:
            even = even_prior(is_codec, weights)
            rates = error_rates(self.ranking, is_codec, weights)
            return {
                "eer": _crossing(*rates),
                "auc": _area(*rates),
                "min_dcf": _least_cost(*rates),
                "cllr": log_likelihood_ratio_cost(self.log_odds, is_codec, weights),
                "ece": calibration_error(probabilities, is_codec, even),
                "codec_called_codec": weighted_mean(called_codec, weights * is_codec),
                "codec_called_bona_fide": weighted_mean(called_real, weights * is_codec),
                "bona_fide_called_codec": weighted_mean(called_codec, weights * ~is_codec),
                "inconclusive": weighted_mean(1.0 - called_codec - called_real, weights),
            }

        return figures


@dataclass(frozen=True)
class AxisAnswers(_PerClip):
    """What a calibrated model says of clips on a taxonomy axis.

    Attributes:
        answered: ``(clips,)`` the class of the largest logit, ``Real`` among them, as in the paper.
        probabilities: ``(clips, classes - 1)`` of the codec classes, as ``analyze`` shows them.
    """

    answered: IntArray
    probabilities: FloatArray

    @classmethod
    def of(cls, axis: str, logits: FloatArray, calibration: Calibration) -> AxisAnswers:
        """Calibrate ``(clips, classes)`` logits."""
        return cls(logits.argmax(axis=1), calibration.axis_probabilities(axis, logits))

    @property
    def shown(self) -> IntArray:
        """Class that ``analyze`` shows, ``(clips,)``: the likeliest but for ``Real``."""
        return np.asarray(self.probabilities.argmax(axis=1) + 1)

    def figures(self, true: IntArray) -> Figures:
        """Taxonomy figures against true classes ``(clips,)``, as a function of weights.

        F1 is of the largest logit with ``Real`` as a class, as in the paper. Accuracy and
        calibration error are of what ``analyze`` shows, over codec clips alone.
        """
        right, is_codec = self.shown == true, true > 0
        stated = self.probabilities.max(axis=1, initial=0.0)
        classes = self.probabilities.shape[1] + 1

        def figures(weights: FloatArray) -> dict[str, FloatArray]:
            confusion = confusion_matrix(true, self.answered, classes, weights)
            codec = weights * is_codec
            return {
                **{name: figure(confusion) for name, figure in F1_FIGURES.items()},
                "accuracy": weighted_mean(right.astype(np.float64), codec),
                "ece": calibration_error(stated, right, codec),
            }

        return figures


Answers = DetectionAnswers | AxisAnswers


def joined(parts: Sequence[Answers]) -> Answers:
    """Answers of several models on one task, one after the other."""
    each = [vars(part) for part in parts]
    return type(parts[0])(**{name: np.concatenate([one[name] for one in each]) for name in each[0]})


def answers_of(task: str, logits: NDArray[np.floating], calibration: Calibration) -> Answers:
    """What a calibrated model says on a task, of its logits ``(clips, classes)``."""
    values = logits.astype(np.float64)
    if task == "BIN":
        return DetectionAnswers.of(values, calibration)
    return AxisAnswers.of(task, values, calibration)


def task_metrics(
    logits: Mapping[str, NDArray[np.floating]],
    labels: Mapping[str, NDArray[np.integer]],
    calibration: Calibration | None = None,
) -> dict[str, dict[str, float]]:
    """Figures per task, without intervals; light enough for every epoch of a training.

    Args:
        logits: per task ``(clips, classes)``.
        labels: per task ``(clips,)`` in the order of `CLASSES`, -1 where not known.
        calibration: of the model; none by default.

    Returns:
        For ``BIN`` ``eer``, ``auc``, ``min_dcf``, ``cllr`` and more; for an axis ``f1_weighted``,
        ``f1_macro``, ``f1_macro_codec``, ``accuracy``, ``ece``. NaN where not defined.
    """
    calibration = calibration or Calibration()
    return {
        task: known_figures(
            answers_of(task, np.asarray(values), calibration), np.asarray(labels[task])
        )
        for task, values in logits.items()
    }


def known_figures(answers: Answers, true: NDArray[np.integer]) -> dict[str, float]:
    """The figures themselves, over the clips whose class is known, each counted once.

    Args:
        answers: on the clips.
        true: classes ``(clips,)``, -1 where not known.
    """
    known = true >= 0
    figures = answers[known].figures(true[known].astype(np.int64))(np.ones(int(known.sum())))
    return {name: float(value) for name, value in figures.items()}
