"""The figures of a task, as functions of the clips' weights."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Final, Generic, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from codecsleuth import verdict
from codecsleuth.arrays import BoolArray, FloatArray, IntArray, sigmoid
from codecsleuth.calibration import BONA_FIDE, CODEC, Calibration
from codecsleuth.evaluation import metrics
from codecsleuth.evaluation.answers import (
    VERDICT_NAMES,
    AxisAnswers,
    DetectionAnswers,
    TaskAnswers,
    calibrated,
)
from codecsleuth.evaluation.labels import DETECTION_PAIR, detection_classes
from codecsleuth.taxonomy import CLASSES

#: What the best constant answer reaches in each figure of ``BIN``: it may be "codec", "bona fide"
#: or even odds, and the last is perfectly calibrated.
_CONSTANT_DETECTION: Final = {
    **{"eer": 0.5, "auc": 0.5, "min_dcf": 1.0, "cllr": 1.0, "ece": 0.0},
    **{"codec_called_codec": 1.0, "codec_called_bona_fide": 0.0},
    **{"bona_fide_called_codec": 0.0, "inconclusive": 0.0},
}


class TaskFigures(Protocol):
    """The figures of one task over some clips."""

    def at(self, weights: FloatArray) -> dict[str, FloatArray]:
        """Figures ``(...)`` at weights ``(..., clips)``; NaN where not defined."""

    def constants(self, weights: FloatArray) -> dict[str, float]:
        """What the best constant answer reaches in each figure, at weights ``(clips,)``."""

    def trials(self) -> dict[str, BoolArray]:
        """The figures that are plain shares, each with the clips ``(clips,)`` it is a share of."""


class ClassFigures(TaskFigures, Protocol):
    """The figures of a task in which each clip has a true class and gets an answer."""

    @property
    def classes(self) -> tuple[str, ...]:
        """The true classes."""

    @property
    def columns(self) -> tuple[str, ...]:
        """The answers."""

    def confusion(self, weights: FloatArray) -> FloatArray:
        """Clips per true class and answer, ``(..., classes, columns)``."""


@dataclass(frozen=True)
class DetectionFigures:
    """Codec against bona fide.

    EER, AUC and minimum DCF are of the log-odds without limit, whose order calibration does not
    change; Cllr, calibration error (at even prior odds) and the shares of verdicts are of the
    calibrated ones.

    Attributes:
        answers: on the clips.
        is_codec: ``(clips,)``; the others are bona fide.
    """

    answers: DetectionAnswers
    is_codec: BoolArray

    @property
    def classes(self) -> tuple[str, ...]:
        """Codec and bona fide, whatever other classes the model has."""
        return DETECTION_PAIR

    @property
    def columns(self) -> tuple[str, ...]:
        """Verdicts that the model can give or has given."""
        return self.answers.columns

    def confusion(self, weights: FloatArray) -> FloatArray:
        """Clips per true class and verdict, ``(..., classes, columns)``."""
        true = np.where(self.is_codec, DETECTION_PAIR.index(CODEC), DETECTION_PAIR.index(BONA_FIDE))
        columns = np.array([VERDICT_NAMES.index(name) for name in self.columns])
        counts = metrics.confusion_matrix(
            true, self.answers.verdicts, (len(DETECTION_PAIR), len(VERDICT_NAMES)), weights
        )
        return np.take(counts, columns, axis=-1)

    @cached_property
    def _points(self) -> metrics.OperatingPoints:
        return metrics.OperatingPoints(self.answers.ranking, self.is_codec)

    @cached_property
    def _shares(self) -> dict[str, tuple[BoolArray, BoolArray]]:
        """Per share the clips that count in it, and those it is a share of."""
        answers, codec, real = self.answers, self.is_codec, ~self.is_codec
        called_codec = answers.verdict_is(verdict.CODEC)
        return {
            "codec_called_codec": (called_codec, codec),
            "codec_called_bona_fide": (answers.verdict_is(verdict.BONA_FIDE), codec),
            "bona_fide_called_codec": (called_codec, real),
            "inconclusive": (answers.verdict_is(verdict.INCONCLUSIVE), codec | real),
        }

    def at(self, weights: FloatArray) -> dict[str, FloatArray]:
        """Figures ``(...)`` at weights ``(..., clips)``."""
        rates = self._points.error_rates(weights)
        even = metrics.even_prior(self.is_codec, weights)
        log_odds = self.answers.log_odds
        return {
            "eer": metrics.crossing(*rates),
            "auc": metrics.area(*rates),
            "min_dcf": metrics.least_cost(*rates),
            "cllr": metrics.log_likelihood_ratio_cost(log_odds, self.is_codec, weights),
            "ece": metrics.calibration_error(sigmoid(log_odds), self.is_codec, even),
            **{
                name: metrics.weighted_mean(hits, weights * trials)
                for name, (hits, trials) in self._shares.items()
            },
        }

    def constants(self, weights: FloatArray) -> dict[str, float]:
        """What the best constant answer reaches, the same at any weights."""
        return dict(_CONSTANT_DETECTION)

    def trials(self) -> dict[str, BoolArray]:
        """Shares of verdicts."""
        return {name: trials for name, (_, trials) in self._shares.items()}


@dataclass(frozen=True)
class AxisFigures:
    """A taxonomy axis.

    F1 is of the largest logit with ``Real`` as a class, as in the paper. Accuracy and calibration
    error are of what ``analyze`` shows, over codec clips alone.

    Attributes:
        axis: ``VQ``, ``AUX`` or ``DEC``.
        answers: on the clips.
        true: ``(clips,)`` true classes.
    """

    axis: str
    answers: AxisAnswers
    true: IntArray

    @property
    def classes(self) -> tuple[str, ...]:
        """Those of the axis, ``Real`` first."""
        return CLASSES[self.axis]

    @property
    def columns(self) -> tuple[str, ...]:
        """The same."""
        return self.classes

    @cached_property
    def _is_right(self) -> BoolArray:
        return np.asarray(self.answers.likeliest == self.true)

    def at(self, weights: FloatArray) -> dict[str, FloatArray]:
        """Figures ``(...)`` at weights ``(..., clips)``."""
        codec = weights * (self.true > 0)
        stated = self.answers.probabilities.max(axis=1, initial=0.0)
        confusion = self.confusion(weights)
        return {
            **{name: figure(confusion) for name, figure in metrics.F1_FIGURES.items()},
            "accuracy": metrics.weighted_mean(self._is_right, codec),
            "ece": metrics.calibration_error(stated, self._is_right, codec),
        }

    def confusion(self, weights: FloatArray) -> FloatArray:
        """Clips per true and predicted class, ``(..., classes, classes)``."""
        shape = (len(self.classes), len(self.classes))
        return metrics.confusion_matrix(self.true, self.answers.predicted, shape, weights)

    def constants(self, weights: FloatArray) -> dict[str, float]:
        """What the best constant answer reaches in each figure."""
        support = metrics.sums_by_cell(self.true, len(self.classes), weights)
        codec = support[1:]
        accuracy = float(codec.max() / codec.sum()) if codec.any() else np.nan
        return {**metrics.constant_f1(support), "accuracy": accuracy, "ece": 0.0}

    def trials(self) -> dict[str, BoolArray]:
        """Accuracy is a share of the codec clips."""
        return {"accuracy": self.true > 0}


@dataclass(frozen=True)
class PairFigures:
    """One group of classes against another, by one score.

    Attributes:
        scores: ``(clips,)`` log-odds of the first group against the second.
        is_positive: ``(clips,)`` whether a clip belongs to the first group.
    """

    scores: FloatArray
    is_positive: BoolArray

    @cached_property
    def _points(self) -> metrics.OperatingPoints:
        return metrics.OperatingPoints(self.scores, self.is_positive)

    def at(self, weights: FloatArray) -> dict[str, FloatArray]:
        """EER ``(...)`` at weights ``(..., clips)``."""
        return {"eer": metrics.crossing(*self._points.error_rates(weights))}

    def constants(self, weights: FloatArray) -> dict[str, float]:
        """What a constant answer reaches."""
        return {"eer": _CONSTANT_DETECTION["eer"]}

    def trials(self) -> dict[str, BoolArray]:
        """There are no shares."""
        return {}


@dataclass(frozen=True)
class Balance:
    """Parts of the clips that shall count the same; see `metrics.balanced_weights`.

    Attributes:
        parts: ``(clips,)`` index of each clip's part.
        is_codec: ``(clips,)`` the labels that keep their shares.
    """

    parts: IntArray
    is_codec: BoolArray

    def weights(self, weights: FloatArray, places: IntArray) -> FloatArray:
        """Weights of the clips at some places, ``(..., places)``, balanced among these."""
        parts = np.unique(self.parts[places], return_inverse=True)[1]
        return metrics.balanced_weights(parts, self.is_codec[places], weights)


SomeFigures = TypeVar("SomeFigures", bound=TaskFigures, covariant=True)


@dataclass(frozen=True)
class SubsetFigures(Generic[SomeFigures]):
    """The figures of some of the clips, at weights of all clips.

    Attributes:
        figures: over the clips chosen.
        chosen: ``(clips,)`` whether a clip is one of them.
        balance: parts of the clips that shall count the same, for macro figures.
    """

    figures: SomeFigures
    chosen: BoolArray
    balance: Balance | None = None

    @cached_property
    def _places(self) -> IntArray:
        return np.flatnonzero(self.chosen)

    def weights(self, weights: FloatArray) -> FloatArray:
        """Weights ``(..., chosen clips)`` that count, of those of all clips."""
        # np.take keeps rows contiguous, so that sums over them do not depend on their number.
        own = np.take(weights, self._places, axis=-1)
        return own if self.balance is None else self.balance.weights(own, self._places)

    def at(self, weights: FloatArray) -> dict[str, FloatArray]:
        """Figures ``(...)`` at weights ``(..., clips)``."""
        return self.figures.at(self.weights(weights))

    def once(self) -> dict[str, float]:
        """The figures themselves, each clip counted once."""
        return {name: float(value) for name, value in self.at(self._ones).items()}

    def constants(self) -> dict[str, float]:
        """What the best constant answer reaches in each figure."""
        return self.figures.constants(self.weights(self._ones))

    def trials(self, groups: IntArray) -> dict[str, float]:
        """Per figure that is a share, of how many independent utterances it is one.

        Args:
            groups: ``(clips,)`` the utterance of each clip.
        """
        weights, own = self.weights(self._ones), groups[self._places]
        return {
            name: metrics.effective_groups(own, weights * trials)
            for name, trials in self.figures.trials().items()
        }

    @property
    def _ones(self) -> FloatArray:
        return np.ones(len(self.chosen))


def task_figures(task: str, answers: TaskAnswers, true: IntArray) -> SubsetFigures[ClassFigures]:
    """The figures of a task over the clips whose class is known.

    Args:
        task: which.
        answers: on the clips.
        true: classes ``(clips,)``; -1 where not known.
    """
    known = np.asarray(true >= 0)
    own = true[known]
    if isinstance(answers, DetectionAnswers):
        is_codec = np.asarray(own == DETECTION_PAIR.index(CODEC))
        return SubsetFigures(DetectionFigures(answers[known], is_codec), known)
    return SubsetFigures(AxisFigures(task, answers[known], own), known)


def task_metrics(
    logits: Mapping[str, NDArray[np.floating]],
    labels: Mapping[str, NDArray[np.integer]],
    calibration: Calibration | None = None,
) -> dict[str, dict[str, float]]:
    """Figures per task, without intervals; light enough for every epoch of a training.

    Args:
        logits: per task ``(clips, classes)``.
        labels: per task ``(clips,)``, places in its classes (of ``BIN``: in those of the
            calibration); -1 where not known.
        calibration: of the model; none by default.

    Returns:
        For ``BIN`` ``eer``, ``auc``, ``min_dcf``, ``cllr`` and more; for an axis ``f1_weighted``,
        ``f1_macro``, ``f1_macro_codec``, ``accuracy``, ``ece``. NaN where not defined.
    """
    calibration = calibration or Calibration()
    true = {task: np.asarray(labels[task]).astype(np.int64) for task in logits}
    if "BIN" in true:
        true["BIN"] = detection_classes(true["BIN"], calibration.classes)
    return {
        task: task_figures(task, calibrated(task, values, calibration), true[task]).once()
        for task, values in logits.items()
    }
