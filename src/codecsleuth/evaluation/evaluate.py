"""From scores to figures: a pure function of arrays, whatever computed them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from codecsleuth.calibration import Calibration, sigmoid
from codecsleuth.data.items import Item
from codecsleuth.evaluation import metrics
from codecsleuth.evaluation.scores import ScoreTable
from codecsleuth.taxonomy import AXES, CLASSES

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
BoolArray = NDArray[np.bool_]

_CALLED_CODEC: Final = metrics.VERDICTS.index("codec")
#: Clip lengths at which tables are split, in seconds.
LENGTH_EDGES_S: Final = (2.0, 3.5)
LENGTH_RANGES: Final = ("under 2 s", "2 to 3.5 s", "3.5 s and over")
NOT_NAMED: Final = "(not named)"
_BIN_CONSTANT: Final = {"eer": 0.5, "auc": 0.5, "min_dcf": 1.0, "cllr": 1.0}


@dataclass(frozen=True)
class Figure:
    """A figure with its 95 % interval and what the best constant answer would reach.

    Attributes:
        value: None where it is not defined.
        interval: None where it is not defined, or not asked for.
        constant: None where a constant answer has no such figure.
    """

    value: float | None
    interval: tuple[float, float] | None = None
    constant: float | None = None


@dataclass(frozen=True)
class TaskResult:
    """The figures of one task.

    Attributes:
        figures: by name, in the order to show them.
        support: clips of each true class.
        unknown: clips left out since their class is not known.
        f1: per class; None for a class that has no clips. Empty for ``BIN``.
        columns: what was answered: the task's classes, or for ``BIN`` the verdicts.
        confusion: clips per true class (rows) and answer (columns).
    """

    figures: dict[str, Figure]
    support: dict[str, int]
    unknown: int
    f1: dict[str, float | None]
    columns: tuple[str, ...]
    confusion: tuple[tuple[int, ...], ...]

    @property
    def empty_classes(self) -> list[str]:
        """Classes that no clip belongs to."""
        return [name for name, clips in self.support.items() if not clips]

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON: each figure under its own name, null where not defined."""
        shown = self.figures.items()
        return {
            **{name: figure.value for name, figure in shown},
            "intervals": {name: figure.interval for name, figure in shown if figure.interval},
            "constant": {n: figure.constant for n, figure in shown if figure.constant is not None},
            "clips": sum(self.support.values()),
            "unknown": self.unknown,
            "support": self.support,
            "empty_classes": self.empty_classes,
            **({"f1": self.f1} if self.f1 else {}),
            "confusion": {
                "true": list(self.support),
                "answered": list(self.columns),
                "clips": [list(row) for row in self.confusion],
            },
        }


@dataclass(frozen=True)
class Part:
    """The figures of some of the clips: of one codec, one source, one range of lengths.

    Attributes:
        codec_clips: clips that passed through a codec.
        bona_fide_clips: clips that did not.
        detected: share of the codec clips with verdict "codec"; None without any.
        detected_interval: its 95 % interval (Wilson).
        false_alarms: share of the bona fide clips with verdict "codec"; None without any.
        false_alarms_interval: its 95 % interval (Wilson).
        verdicts: share of all its clips per verdict; empty for a model without ``BIN``.
        eer: for a codec, of its clips against all bona fide clips; None without both.
        accuracy: per axis, the share of its codec clips of known class for which the class that
            ``analyze`` shows is the true one; None without any.
    """

    codec_clips: int
    bona_fide_clips: int
    detected: float | None
    detected_interval: tuple[float, float] | None
    false_alarms: float | None
    false_alarms_interval: tuple[float, float] | None
    verdicts: dict[str, float]
    eer: float | None
    accuracy: dict[str, float | None]

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {"clips": self.codec_clips + self.bona_fide_clips, **vars(self)}


@dataclass(frozen=True)
class Evaluation:
    """All figures of one model on one choice of clips; shares, not per cent."""

    clips: int
    tasks: dict[str, TaskResult]
    per_codec: dict[str, Part]
    per_source: dict[str, Part]
    per_kind: dict[str, Part]
    per_length: dict[str, Part]
    warnings: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        parts = ("per_codec", "per_source", "per_kind", "per_length")
        return {
            "clips": self.clips,
            "tasks": {task: result.to_dict() for task, result in self.tasks.items()},
            **{name: {k: p.to_dict() for k, p in getattr(self, name).items()} for name in parts},
            "warnings": list(self.warnings),
        }


def evaluate(
    scores: ScoreTable, calibration: Calibration, *, draws: int = 1000, seed: int = 0
) -> Evaluation:
    """All figures of a model's scores.

    Args:
        scores: clips with their raw logits.
        calibration: of the model.
        draws: bootstrap draws for the 95 % intervals; 0 for none. Utterances are drawn, so all
            versions of one stay together.
        seed: of the draws.
    """
    _, groups = np.unique([item.group for item in scores.items], return_inverse=True)
    tasks = {
        task: _task_result(task, scores, calibration, groups, draws, seed) for task in scores.logits
    }
    answers = _Answers.of(scores, calibration)
    return Evaluation(
        clips=len(scores.items),
        tasks=tasks,
        per_codec=_parts(answers, _codec_name, against_all=True),
        per_source=_parts(answers, lambda item: item.source or NOT_NAMED),
        per_kind=_parts(answers, lambda item: item.kind, against_all=True),
        per_length=_by_length(answers),
        warnings=tuple(text for task, result in tasks.items() for text in _gaps(task, result)),
    )


def _codec_name(item: Item) -> str:
    return (item.codec or NOT_NAMED) if item.is_codec else ""


def _length_range(item: Item) -> str:
    """Range of the clip's length; empty if that is not stated."""
    if item.duration_s is None:
        return ""
    return LENGTH_RANGES[int(np.searchsorted(LENGTH_EDGES_S, item.duration_s, side="right"))]


def _by_length(answers: _Answers) -> dict[str, Part]:
    parts = _parts(answers, _length_range)
    return {name: parts[name] for name in LENGTH_RANGES if name in parts}


def _task_result(
    task: str, scores: ScoreTable, calibration: Calibration, groups: IntArray, draws: int, seed: int
) -> TaskResult:
    labels, classes = scores.labels(task), CLASSES[task]
    known = labels >= 0
    figures, true = metrics.known_figures(task, scores.logits[task], labels, calibration)
    support = np.bincount(true, minlength=len(classes))
    constant = _BIN_CONSTANT if task == "BIN" else _axis_constant(support)
    limits = metrics.intervals(figures, _renumbered(groups[known]), draws, seed) if draws else {}
    columns, answered = _answers(task, scores.logits[task][known], calibration)
    confusion = _counts(true, answered, len(classes), len(columns))
    values = metrics.point_figures(figures, true)
    return TaskResult(
        figures={n: _figure(v, limits.get(n), constant.get(n)) for n, v in values.items()},
        support=dict(zip(classes, support.tolist(), strict=True)),
        unknown=int((~known).sum()),
        f1={} if task == "BIN" else _f1_per_class(classes, confusion),
        columns=columns,
        confusion=tuple(tuple(row) for row in confusion.astype(int).tolist()),
    )


def _figure(value: float, limits: tuple[float, float] | None, constant: float | None) -> Figure:
    if not np.isfinite(value):
        return Figure(None)
    return Figure(value, _pair(limits), _value(constant))


def _axis_constant(support: IntArray) -> dict[str, float]:
    codec = support[1:].astype(np.float64)
    accuracy = float(codec.max() / codec.sum()) if codec.sum() else np.nan
    return {**metrics.constant_f1(support.astype(np.float64)), "accuracy": accuracy}


def _answers(
    task: str, logits: FloatArray, calibration: Calibration
) -> tuple[tuple[str, ...], IntArray]:
    """What a confusion matrix counts: verdicts for ``BIN``, the largest logit for an axis."""
    if task == "BIN":
        return metrics.VERDICTS, metrics.verdict_indices(
            sigmoid(calibration.log_odds(logits)), calibration
        )
    return CLASSES[task], logits.argmax(axis=1)


def _counts(true: IntArray, answered: IntArray, rows: int, columns: int) -> FloatArray:
    counts = np.zeros((rows, columns))
    np.add.at(counts, (true, answered), 1.0)
    return counts


def _f1_per_class(classes: Sequence[str], confusion: FloatArray) -> dict[str, float | None]:
    scores = metrics.f1_scores(confusion).tolist()
    return {name: _value(score) for name, score in zip(classes, scores, strict=True)}


def _renumbered(groups: IntArray) -> IntArray:
    return np.unique(groups, return_inverse=True)[1]


def _value(value: float | None) -> float | None:
    return None if value is None or not np.isfinite(value) else float(value)


def _pair(limits: tuple[float, float] | None) -> tuple[float, float] | None:
    return None if limits is None or not np.isfinite(limits).all() else limits


def _gaps(task: str, result: TaskResult) -> list[str]:
    """Say which figures lack clips to stand on."""
    if not result.empty_classes:
        return []
    names = ", ".join(result.empty_classes)
    undefined = [name for name, figure in result.figures.items() if figure.value is None]
    left = f"; not defined: {', '.join(undefined)}" if undefined else ""
    over = "" if task == "BIN" else "; macro F1 is over the other classes"
    return [f"{task}: no clips of {names}{over}{left}"]


@dataclass(frozen=True)
class _Answers:
    """Per clip, what tables of parts are counted from."""

    items: tuple[Item, ...]
    is_codec: BoolArray
    log_odds: FloatArray | None
    verdicts: IntArray | None
    right: dict[str, FloatArray]

    @classmethod
    def of(cls, scores: ScoreTable, calibration: Calibration) -> _Answers:
        logits = scores.logits.get("BIN")
        right = {axis: _right(axis, scores, calibration) for axis in AXES if axis in scores.logits}
        return cls(
            items=scores.items,
            is_codec=np.array([item.is_codec for item in scores.items], dtype=bool),
            log_odds=None if logits is None else metrics.bin_log_odds(logits),
            verdicts=None if logits is None else _answers("BIN", logits, calibration)[1],
            right=right,
        )


def _right(axis: str, scores: ScoreTable, calibration: Calibration) -> FloatArray:
    """1 where the class shown is the true one, 0 where not, NaN where there is none to know."""
    true = scores.labels(axis)
    shown = calibration.axis_probabilities(axis, scores.logits[axis]).argmax(axis=1) + 1
    return np.where(true > 0, (shown == true).astype(np.float64), np.nan)


def _parts(
    answers: _Answers, key: Callable[[Item], str], against_all: bool = False
) -> dict[str, Part]:
    """One part per key; clips without a key (an empty one) belong to none."""
    keys = np.array([key(item) for item in answers.items], dtype=object)
    rivals = ~answers.is_codec if against_all else np.zeros(len(keys), dtype=bool)
    return {name: _part(answers, keys == name, rivals) for name in sorted(set(keys) - {""})}


def _part(answers: _Answers, chosen: BoolArray, rivals: BoolArray) -> Part:
    codec, real = chosen & answers.is_codec, chosen & ~answers.is_codec
    detected, false_alarms = _share_called_codec(answers, codec), _share_called_codec(answers, real)
    return Part(
        codec_clips=int(codec.sum()),
        bona_fide_clips=int(real.sum()),
        detected=detected[0],
        detected_interval=detected[1],
        false_alarms=false_alarms[0],
        false_alarms_interval=false_alarms[1],
        verdicts=_verdict_shares(answers, chosen),
        eer=_eer(answers, codec, real | rivals),
        accuracy={axis: _mean(right[codec]) for axis, right in answers.right.items()},
    )


def _share_called_codec(
    answers: _Answers, chosen: BoolArray
) -> tuple[float | None, tuple[float, float] | None]:
    if answers.verdicts is None or not chosen.any():
        return None, None
    hits, clips = int((answers.verdicts[chosen] == _CALLED_CODEC).sum()), int(chosen.sum())
    return hits / clips, metrics.wilson_interval(hits, clips)


def _verdict_shares(answers: _Answers, chosen: BoolArray) -> dict[str, float]:
    if answers.verdicts is None:
        return {}
    counts = np.bincount(answers.verdicts[chosen], minlength=len(metrics.VERDICTS))
    return dict(zip(metrics.VERDICTS, (counts / counts.sum()).tolist(), strict=True))


def _eer(answers: _Answers, codec: BoolArray, real: BoolArray) -> float | None:
    if answers.log_odds is None:
        return None
    chosen = codec | real
    return _value(float(metrics.equal_error_rate(answers.log_odds[chosen], codec[chosen])))


def _mean(values: FloatArray) -> float | None:
    known = values[~np.isnan(values)]
    return float(known.mean()) if known.size else None
