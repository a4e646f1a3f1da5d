"""What calibrated models say of labelled clips, as arrays."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, Self

import numpy as np
from numpy.typing import NDArray

from codecsleuth.arrays import BoolArray, FloatArray, IntArray
from codecsleuth.calibration import CODEC, VOCODER, Calibration, detection_log_odds
from codecsleuth.data.items import Item
from codecsleuth.evaluation.labels import CLASS_PAIRS, DETECTION_PAIR, true_classes
from codecsleuth.verdict import MIXED, NEURAL, VERDICTS
from codecsleuth.verdict import VOCODER as CALLED_VOCODER

#: Verdicts as they are numbered here.
VERDICT_NAMES: Final = tuple(verdict.name for verdict in VERDICTS)
#: Verdicts that a clip's logits cannot give, or only those of a model with a class for vocoders.
_NEVER: Final = frozenset({MIXED})
_WITH_VOCODER: Final = frozenset({CALLED_VOCODER, NEURAL})


def possible_verdicts(classes: Sequence[str]) -> tuple[str, ...]:
    """Verdicts that a model with these detection classes can give on a clip's logits."""
    left_out = _NEVER if VOCODER in classes else _NEVER | _WITH_VOCODER
    return tuple(name for name in VERDICT_NAMES if name not in left_out)


@dataclass(frozen=True)
class _PerClip:
    """Arrays of one entry a clip, chosen from and joined as one."""

    def __getitem__(self, chosen: BoolArray) -> Self:
        return self.with_arrays({name: values[chosen] for name, values in self.arrays().items()})

    def arrays(self) -> dict[str, NDArray[Any]]:
        """All fields that have one entry a clip."""
        return {name: one for name, one in vars(self).items() if isinstance(one, np.ndarray)}

    def with_arrays(self, arrays: Mapping[str, NDArray[Any]]) -> Self:
        """The same of other clips."""
        return replace(self, **arrays)


@dataclass(frozen=True)
class DetectionAnswers(_PerClip):
    """What a calibrated model says of clips on ``BIN``.

    Attributes:
        classes: the model's detection classes.
        ranking: ``(clips,)`` log-odds codec : bona fide, calibrated but not limited: in the order
            of the raw ones, and comparable between models.
        log_odds: ``(clips,)`` calibrated natural log-odds codec : bona fide.
        verdicts: ``(clips,)`` places in `VERDICT_NAMES`.
        pair_scores: ``(clips, pairs)`` raw log-odds of each of `CLASS_PAIRS`; NaN where the model
            does not have its classes.
    """

    classes: tuple[str, ...]
    ranking: FloatArray
    log_odds: FloatArray
    verdicts: IntArray
    pair_scores: FloatArray

    @classmethod
    def of(cls, logits: FloatArray, calibration: Calibration) -> DetectionAnswers:
        """Calibrate ``(clips, classes)`` logits."""
        classes = calibration.classes
        nothing = np.full(len(logits), np.nan)
        pairs = [
            detection_log_odds(logits, classes, pair.positive, pair.negative)
            if pair.is_distinguished_by(classes)
            else nothing
            for pair in CLASS_PAIRS
        ]
        return cls(
            classes=classes,
            ranking=calibration.unlimited_log_odds(logits),
            log_odds=calibration.log_odds(logits),
            verdicts=_verdicts(logits, calibration),
            pair_scores=np.stack(pairs, axis=1),
        )

    @property
    def columns(self) -> tuple[str, ...]:
        """Verdicts that the model can give or has given, in the order of the table."""
        seen = {VERDICT_NAMES[place] for place in np.unique(self.verdicts)}
        return tuple(
            name
            for name in VERDICT_NAMES
            if name in seen or name in possible_verdicts(self.classes)
        )

    def verdict_is(self, name: str) -> BoolArray:
        """Whether each clip got a verdict, ``(clips,)``."""
        return np.asarray(self.verdicts == VERDICT_NAMES.index(name))


def _verdicts(logits: FloatArray, calibration: Calibration) -> IntArray:
    columns = calibration.probabilities(logits)
    rows = zip(*(column.tolist() for column in columns.values()), strict=True)
    names = (calibration.verdict(dict(zip(columns, row, strict=True))) for row in rows)
    return np.array([VERDICT_NAMES.index(name) for name in names], dtype=np.int64)


@dataclass(frozen=True)
class AxisAnswers(_PerClip):
    """What a calibrated model says of clips on a taxonomy axis.

    Attributes:
        predicted: ``(clips,)`` the class of the largest logit, ``Real`` among them, as in the
            paper.
        probabilities: ``(clips, classes - 1)`` of the codec classes, as ``analyze`` shows them.
    """

    predicted: IntArray
    probabilities: FloatArray

    @classmethod
    def of(cls, axis: str, logits: FloatArray, calibration: Calibration) -> AxisAnswers:
        """Calibrate ``(clips, classes)`` logits."""
        return cls(logits.argmax(axis=1), calibration.axis_probabilities(axis, logits))

    @property
    def likeliest(self) -> IntArray:
        """The likeliest codec class, as ``analyze`` shows it, ``(clips,)``; never ``Real``."""
        return np.asarray(self.probabilities.argmax(axis=1) + 1)


TaskAnswers = DetectionAnswers | AxisAnswers


def _concatenated(parts: Sequence[TaskAnswers]) -> TaskAnswers:
    """Answers of several models on one task, one after the other."""
    each = [part.arrays() for part in parts]
    joined = {name: np.concatenate([one[name] for one in each]) for name in each[0]}
    return parts[0].with_arrays(joined)


def calibrated(task: str, logits: NDArray[np.floating], calibration: Calibration) -> TaskAnswers:
    """What a calibrated model says on a task, of its logits ``(clips, classes)``."""
    values = np.asarray(logits).astype(np.float64)
    if task == "BIN":
        return DetectionAnswers.of(values, calibration)
    return AxisAnswers.of(task, values, calibration)


@dataclass(frozen=True)
class ClipAnswers:
    """Labelled clips, and what one or several calibrated models say of them.

    Attributes:
        items: the clips.
        answers: per task, in the order of the clips.
    """

    items: tuple[Item, ...]
    answers: Mapping[str, TaskAnswers]

    @classmethod
    def of(
        cls,
        items: tuple[Item, ...],
        logits: Mapping[str, FloatArray],
        calibration: Calibration,
        verdicts: Sequence[str] = (),
    ) -> ClipAnswers:
        """Calibrate a model's raw logits.

        Args:
            items: the clips.
            logits: per task ``(clips, classes)``.
            calibration: of the model.
            verdicts: that ``analyze`` gave; if none, those at the calibrated probabilities.
        """
        answers = {task: calibrated(task, values, calibration) for task, values in logits.items()}
        if verdicts and "BIN" in answers:
            places = np.array([VERDICT_NAMES.index(name) for name in verdicts], dtype=np.int64)
            answers["BIN"] = answers["BIN"].with_arrays({"verdicts": places})
        return cls(items, answers)

    @classmethod
    def concatenated(cls, parts: Sequence[ClipAnswers]) -> ClipAnswers:
        """The clips of several models with the same tasks and classes, one after the other."""
        items = tuple(item for part in parts for item in part.items)
        tasks = {task: [part.answers[task] for part in parts] for task in parts[0].answers}
        return cls(items, {task: _concatenated(each) for task, each in tasks.items()})

    @property
    def is_codec(self) -> BoolArray:
        """``(clips,)``."""
        return np.array([item.is_codec for item in self.items], dtype=bool)

    @property
    def detection(self) -> DetectionAnswers | None:
        """What is said on ``BIN``; None for models without it."""
        answers = self.answers.get("BIN")
        return answers if isinstance(answers, DetectionAnswers) else None

    def codec_against_bona_fide(self) -> tuple[DetectionAnswers, BoolArray] | None:
        """What is said on ``BIN`` of codec and bona fide clips, and which of them are codec.

        Returns:
            None for models without ``BIN``.
        """
        if self.detection is None:
            return None
        true = self.labels("BIN")
        return self.detection[true >= 0], np.asarray(true[true >= 0] == DETECTION_PAIR.index(CODEC))

    @property
    def axes(self) -> dict[str, AxisAnswers]:
        """What is said on each taxonomy axis."""
        answers = self.answers.items()
        return {task: one for task, one in answers if isinstance(one, AxisAnswers)}

    def labels(self, task: str) -> IntArray:
        """True classes ``(clips,)``; see `codecsleuth.evaluation.labels.true_classes`."""
        return true_classes(self.items, task)
