"""Fitting a recalibration to labelled clips, and measuring it on sources that it was not fitted on.

Log-odds are recalibrated by an affine function, fitted by logistic regression at even prior odds
(Brümmer and du Preez, 2006; Morrison, "Tutorial on logistic-regression calibration and fusion",
2013), every source of a label weighing the same. A little regularisation draws it to the model's
own calibration where there are few sources (Morrison and Poh, "Avoiding overstating the strength of
forensic evidence", 2018). Likelihood ratios are limited to the empirical bounds over sources.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from codecsleuth.arrays import BoolArray, FloatArray, IntArray, sigmoid
from codecsleuth.calibration import Calibration
from codecsleuth.data.items import Item
from codecsleuth.errors import DataError
from codecsleuth.evaluation.labels import DETECTION_LABELS, LABEL_NAMES, has_label
from codecsleuth.evaluation.metrics import even_prior
from codecsleuth.evaluation.trials import Trials, numbered_sources, source_weights, trials_of
from codecsleuth.inference.recalibration import Affine, Recalibration

#: Standard deviation, in each of the two numbers, of what recalibrations are expected to be: the
#: regularisation weighs like this much knowledge beside one source's.
_EXPECTED_CHANGE: Final = 3.0
#: Scale and bias that change nothing.
_OWN: Final = np.array([1.0, 0.0])
_STEPS: Final = 50
_ACCURACY: Final = 1e-12
#: Scores that do not tell the labels apart get next to no weight; a factor of 0 would be no order.
_LEAST_SCALE: Final = 1e-3
MOST_FOLDS: Final = 10


def fit_affine(log_odds: FloatArray, is_positive: BoolArray, sources: IntArray) -> Affine:
    """The affine function of log-odds that makes them likelihood ratios, by Newton's method.

    Args:
        log_odds: ``(clips,)`` natural logarithms.
        is_positive: ``(clips,)``.
        sources: ``(clips,)`` number of each clip's source.
    """
    by_source = source_weights(sources, is_positive)
    weights = even_prior(is_positive, by_source)
    penalty = 1.0 / (_EXPECTED_CHANGE**2 * _rarer(is_positive, by_source))
    signs = np.where(is_positive, 1.0, -1.0)
    columns = np.stack([log_odds, np.ones_like(log_odds)], axis=1) * signs[:, None]
    fitted = _OWN
    for _ in range(_STEPS):
        wrong = sigmoid(-columns @ fitted)
        gradient = penalty * (fitted - _OWN) - columns.T @ (weights * wrong)
        curvature = columns.T @ (columns * (weights * wrong * (1 - wrong))[:, None])
        step = np.linalg.solve(curvature + penalty * np.eye(2), gradient)
        cost = _cost(fitted, columns, weights, penalty)
        # Far from the solution the curvature is nearly nothing, and a whole step much too far.
        while step.any() and _cost(fitted - step, columns, weights, penalty) > cost:
            step = np.where(np.abs(step) > _ACCURACY, 0.5 * step, 0.0)
        fitted = fitted - step
    return Affine(max(float(fitted[0]), _LEAST_SCALE), float(fitted[1]))


def _cost(fitted: FloatArray, columns: FloatArray, weights: FloatArray, penalty: float) -> float:
    """Cross-entropy, and what a change of the model's own calibration costs."""
    entropy = weights @ np.logaddexp(0.0, -columns @ fitted)
    return float(entropy + 0.5 * penalty * np.square(fitted - _OWN).sum())


def _rarer(is_positive: BoolArray, weights: FloatArray) -> float:
    """Sources of the label that has fewer."""
    return float(min(weights[is_positive].sum(), weights[~is_positive].sum()))


@dataclass(frozen=True)
class LabelledScores:
    """Clips with the logits of a model.

    Attributes:
        items: the clips.
        logits: of ``BIN``, ``(clips, classes)``.
        calibration: the model's own.
        model: name, version and sha256 of its weights.
    """

    items: tuple[Item, ...]
    logits: FloatArray
    calibration: Calibration
    model: Mapping[str, str]

    def chosen(self, clips: BoolArray) -> LabelledScores:
        """Some of the clips ``(clips,)``."""
        items = tuple(item for item, take in zip(self.items, clips, strict=True) if take)
        return replace(self, items=items, logits=self.logits[clips])

    def trials(self, calibration: Calibration) -> list[Trials]:
        """The comparisons, under a calibration."""
        everywhere = np.ones(len(self.items), dtype=bool)
        return list(trials_of(self.items, self.logits, [(calibration, everywhere)]))


def fit_recalibration(scores: LabelledScores) -> Recalibration:
    """A recalibration fitted to all clips.

    Raises:
        DataError: a label has no clips.
    """
    trials = scores.trials(scores.calibration)
    if not trials or trials[0].comparison.part != "bin":
        raise DataError("a recalibration needs codec and bona fide clips")
    parts = {
        one.comparison.part: fit_affine(one.ranking, one.is_positive, one.sources) for one in trials
    }
    free = Recalibration(scores.model, parts, (-np.inf, np.inf), {}, {})
    limits = [
        one.bounds
        for one in scores.trials(free.applied(scores.calibration))
        if one.comparison.limited
    ]
    lower, upper = max(low for low, _ in limits), min(high for _, high in limits)
    clips, sources = count_labels(scores.items)
    return replace(free, log10_lr_limits=(lower, upper), clips=clips, sources=sources)


def count_labels(items: Sequence[Item]) -> tuple[dict[str, int], dict[str, int]]:
    """Clips and sources of each label that there is, by the names that answers have."""
    numbers = numbered_sources(items)
    chosen = {name: has_label(items, label) for label, name in LABEL_NAMES.items()}
    clips = {name: int(some.sum()) for name, some in chosen.items() if some.any()}
    return clips, {name: len(np.unique(numbers[chosen[name]])) for name in clips}


def leave_sources_out(scores: LabelledScores) -> list[tuple[Calibration, BoolArray]]:
    """Recalibrations that were each fitted without some of the sources, and the clips of these.

    Returns:
        As `trials_of` takes them.

    Raises:
        DataError: without some of the sources, a label would have no clips.
    """
    numbers = numbered_sources(scores.items)
    folds = _folds(scores.items, numbers)
    fitted = []
    for fold in range(int(folds.max()) + 1):
        left_out = folds[numbers] == fold
        rest = scores.chosen(~left_out)
        if not all(has_label(rest.items, label).any() for label in DETECTION_LABELS):
            raise DataError(
                "too few sources: codec and bona fide recordings of two sources each are the least "
                "that a recalibration can be fitted to and measured on"
            )
        fitted.append((fit_recalibration(rest).applied(scores.calibration), left_out))
    return fitted


def _folds(items: Sequence[Item], numbers: IntArray) -> IntArray:
    """The fold of each source; sources with the same labels are dealt out one after the other."""
    labels = np.stack([has_label(items, label) for label in DETECTION_LABELS])
    count = int(numbers.max()) + 1
    kinds = np.stack([np.bincount(numbers, row, minlength=count) > 0 for row in labels])
    order = np.lexsort((np.arange(count), kinds[1], kinds[0]))
    folds = np.empty(count, dtype=np.int64)
    folds[order] = np.arange(count) % min(MOST_FOLDS, count)
    return folds
