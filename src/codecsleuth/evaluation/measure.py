"""From scores to figures: a pure function of arrays, whatever computed them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from codecsleuth.calibration import Calibration
from codecsleuth.data.items import Item, class_indices
from codecsleuth.evaluation import metrics
from codecsleuth.evaluation.scores import ScoreTable
from codecsleuth.taxonomy import CLASSES

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
BoolArray = NDArray[np.bool_]

_CALLED_CODEC: Final = metrics.VERDICTS.index("codec")
#: Clip lengths at which tables are split, in seconds.
LENGTH_EDGES_S: Final = (2.0, 3.5)
LENGTH_RANGES: Final = ("under 2 s", "2 to 3.5 s", "3.5 s and over")
NOT_NAMED: Final = "(not named)"
#: The tables of parts, as JSON names them.
PARTS: Final = ("per_codec", "per_system", "per_source", "per_kind", "per_length")
#: What macro figures are over, and what a clip is of there; empty if of none.
MACRO: Final[Mapping[str, Callable[[Item], str]]] = {
    "codec": lambda item: item.codec,
    "system": lambda item: item.system,
}


@dataclass(frozen=True)
class Figure:
    """A figure with its 95 % interval and what the best constant answer would reach.

    Attributes:
        value: None where it is not defined.
        interval: None where it is not defined, or not asked for.
        constant: None where it is not defined.
    """

    value: float | None
    interval: tuple[float, float] | None = None
    constant: float | None = None


Figures = dict[str, Figure]


def figures_dict(figures: Figures) -> dict[str, Any]:
    """Plain values for JSON: each figure under its own name, null where not defined."""
    shown = figures.items()
    return {
        **{name: figure.value for name, figure in shown},
        "intervals": {name: figure.interval for name, figure in shown if figure.interval},
        "constant": {n: figure.constant for n, figure in shown if figure.constant is not None},
    }


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

    figures: Figures
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
        """Plain values for JSON."""
        return {
            **figures_dict(self.figures),
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
    """The figures of some of the clips: of one codec, one system, one range of lengths.

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
        accuracy_intervals: their 95 % intervals (Wilson).
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
    accuracy_intervals: dict[str, tuple[float, float] | None]

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {"clips": self.codec_clips + self.bona_fide_clips, **vars(self)}


@dataclass(frozen=True)
class Evaluation:
    """All figures over a choice of clips; shares, not per cent.

    ``macro`` has, for "codec" and "system", the figures of each task under which every codec, or
    system, counts the same; an entry is left out where there are not two of them.
    """

    clips: int
    tasks: dict[str, TaskResult]
    macro: dict[str, dict[str, Figures]]
    per_codec: dict[str, Part]
    per_system: dict[str, Part]
    per_source: dict[str, Part]
    per_kind: dict[str, Part]
    per_length: dict[str, Part]
    warnings: tuple[str, ...]

    def tables(self) -> list[str]:
        """Which of `PARTS` are worth a table: not empty, not the same as one before."""
        parts = [getattr(self, name) for name in PARTS]
        return [n for k, n in enumerate(PARTS) if parts[k] and parts[k] not in parts[:k]]

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {
            "clips": self.clips,
            "tasks": {task: result.to_dict() for task, result in self.tasks.items()},
            "macro": {
                over: {task: figures_dict(figures) for task, figures in tasks.items()}
                for over, tasks in self.macro.items()
            },
            **{name: {k: p.to_dict() for k, p in getattr(self, name).items()} for name in PARTS},
            "warnings": list(self.warnings),
        }


@dataclass(frozen=True)
class Judged:
    """Labelled clips, and what one or several calibrated models say of them.

    Attributes:
        items: the clips.
        answers: per task, in the order of the clips.
    """

    items: tuple[Item, ...]
    answers: Mapping[str, metrics.Answers]

    @classmethod
    def of(cls, scores: ScoreTable, calibration: Calibration) -> Judged:
        """Calibrate a model's raw logits."""
        tasks = scores.logits.items()
        return cls(scores.items, {t: metrics.answers_of(t, v, calibration) for t, v in tasks})

    @classmethod
    def joined(cls, parts: Sequence[Judged]) -> Judged:
        """The clips of several models with the same tasks, one after the other."""
        items = tuple(item for part in parts for item in part.items)
        tasks = parts[0].answers
        return cls(items, {t: metrics.joined([part.answers[t] for part in parts]) for t in tasks})

    @property
    def is_codec(self) -> BoolArray:
        """``(clips,)``."""
        return np.array([item.is_codec for item in self.items], dtype=bool)

    @property
    def detection(self) -> metrics.DetectionAnswers | None:
        """What is said on ``BIN``; None for models without it."""
        found = self.answers.get("BIN")
        return found if isinstance(found, metrics.DetectionAnswers) else None

    @property
    def axes(self) -> dict[str, metrics.AxisAnswers]:
        """What is said on each taxonomy axis."""
        answers = self.answers.items()
        return {task: one for task, one in answers if isinstance(one, metrics.AxisAnswers)}

    def labels(self, task: str) -> IntArray:
        """True classes ``(clips,)``; -1 where they are not known."""
        return class_indices(self.items, task)

    def point_figures(self) -> dict[str, dict[str, float]]:
        """The figures per task, without intervals; NaN where not defined."""
        return {t: metrics.known_figures(one, self.labels(t)) for t, one in self.answers.items()}


def evaluate(
    scores: ScoreTable, calibration: Calibration, *, draws: int = 1000, seed: int = 0
) -> Evaluation:
    """All figures of a model's scores; see `evaluate_judged`.

    Args:
        scores: clips with their raw logits.
        calibration: of the model.
        draws: bootstrap draws for the 95 % intervals; 0 for none.
        seed: of the draws.
    """
    return evaluate_judged(Judged.of(scores, calibration), draws=draws, seed=seed)


def evaluate_judged(judged: Judged, *, draws: int = 1000, seed: int = 0) -> Evaluation:
    """All figures of what models say of labelled clips.

    Args:
        judged: the clips and the answers.
        draws: bootstrap draws for the 95 % intervals; 0 for none. Utterances are drawn, so all
            versions of one stay together.
        seed: of the draws.
    """
    bootstrap = _Bootstrap(_numbered([item.group for item in judged.items]), draws, seed)
    tasks = {task: _task_result(task, judged, bootstrap) for task in judged.answers}
    return Evaluation(
        clips=len(judged.items),
        tasks=tasks,
        macro=_macro(judged, bootstrap),
        per_codec=_per_codec(judged),
        per_system=_parts(judged, lambda item: item.system),
        per_source=_parts(judged, lambda item: item.source or NOT_NAMED),
        per_kind=_parts(judged, lambda item: item.kind, against_all=True),
        per_length=_by_length(judged),
        warnings=tuple(text for task, result in tasks.items() for text in _gaps(task, result)),
    )


def _numbered(names: Sequence[str] | IntArray) -> IntArray:
    return np.unique(np.asarray(names), return_inverse=True)[1].astype(np.int64)


def _per_codec(judged: Judged) -> dict[str, Part]:
    parts = _parts(judged, _codec_name, against_all=True)
    return {} if set(parts) == {NOT_NAMED} else parts


def _codec_name(item: Item) -> str:
    return (item.codec or NOT_NAMED) if item.is_codec else ""


def _length_range(item: Item) -> str:
    """Range of the clip's length; empty if that is not stated."""
    if item.duration_s is None:
        return ""
    return LENGTH_RANGES[int(np.searchsorted(LENGTH_EDGES_S, item.duration_s, side="right"))]


def _by_length(judged: Judged) -> dict[str, Part]:
    parts = _parts(judged, _length_range)
    return {name: parts[name] for name in LENGTH_RANGES if name in parts}


@dataclass(frozen=True)
class _Bootstrap:
    """How intervals are drawn; ``groups`` is the utterance ``(clips,)``."""

    groups: IntArray
    draws: int
    seed: int

    def figures(
        self, figures: metrics.Figures, chosen: BoolArray, constant: Mapping[str, float]
    ) -> Figures:
        """Figures over the chosen clips, each with its interval and a constant answer's."""
        values, groups = figures(np.ones(int(chosen.sum()))), _numbered(self.groups[chosen])
        limits = metrics.intervals(figures, groups, self.draws, self.seed) if self.draws else {}
        return {n: _figure(float(v), limits.get(n), constant[n]) for n, v in values.items()}


def _figure(value: float, limits: tuple[float, float] | None, constant: float) -> Figure:
    if not np.isfinite(value):
        return Figure(None)
    return Figure(value, _pair(limits), _value(constant))


def _task_result(task: str, judged: Judged, bootstrap: _Bootstrap) -> TaskResult:
    labels, classes = judged.labels(task), CLASSES[task]
    known = labels >= 0
    answers, true = judged.answers[task][known], labels[known]
    support = np.bincount(true, minlength=len(classes))
    columns = metrics.VERDICTS if task == "BIN" else classes
    confusion = np.zeros((len(classes), len(columns)))
    np.add.at(confusion, (true, answers.answered), 1.0)
    return TaskResult(
        figures=bootstrap.figures(
            answers.figures(true), known, metrics.constants(task, support.astype(np.float64))
        ),
        support=dict(zip(classes, support.tolist(), strict=True)),
        unknown=int((~known).sum()),
        f1={} if task == "BIN" else _f1_per_class(classes, confusion),
        columns=columns,
        confusion=tuple(tuple(row) for row in confusion.astype(int).tolist()),
    )


def _macro(judged: Judged, bootstrap: _Bootstrap) -> dict[str, dict[str, Figures]]:
    found = {}
    for over, name_of in MACRO.items():
        names = [name_of(item) for item in judged.items]
        if len(set(names) - {""}) > 1:
            parts = _numbered(names)
            found[over] = {task: _alike(task, judged, parts, bootstrap) for task in judged.answers}
    return found


def _alike(task: str, judged: Judged, parts: IntArray, bootstrap: _Bootstrap) -> Figures:
    """The figures of a task in which all parts of the clips count the same."""
    labels = judged.labels(task)
    known = labels >= 0
    true, parts, is_codec = labels[known], parts[known], judged.is_codec[known]
    plain = judged.answers[task][known].figures(true)

    def figures(weights: FloatArray) -> dict[str, FloatArray]:
        return plain(metrics.alike(parts, is_codec, weights))

    weights = metrics.alike(parts, is_codec)
    support = np.bincount(true, weights, len(CLASSES[task])).astype(np.float64)
    return bootstrap.figures(figures, known, metrics.constants(task, support))


def _f1_per_class(classes: Sequence[str], confusion: FloatArray) -> dict[str, float | None]:
    scores = metrics.f1_scores(confusion).tolist()
    return {name: _value(score) for name, score in zip(classes, scores, strict=True)}


def _value(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None


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


def _parts(
    judged: Judged, key: Callable[[Item], str], against_all: bool = False
) -> dict[str, Part]:
    """One part per key; clips without a key (an empty one) belong to none."""
    keys = np.array([key(item) for item in judged.items], dtype=object)
    is_codec = judged.is_codec
    rivals = ~is_codec if against_all else np.zeros(len(keys), dtype=bool)
    right = {axis: _right(judged.labels(axis), one) for axis, one in judged.axes.items()}
    return {
        name: _part(judged.detection, is_codec, right, keys == name, rivals)
        for name in sorted(set(keys) - {""})
    }


def _right(true: IntArray, answers: metrics.AxisAnswers) -> FloatArray:
    """1 where the class shown is the true one, 0 where not, NaN where there is none to know."""
    return np.where(true > 0, (answers.shown == true).astype(np.float64), np.nan)


def _part(
    detection: metrics.DetectionAnswers | None,
    is_codec: BoolArray,
    right: Mapping[str, FloatArray],
    chosen: BoolArray,
    rivals: BoolArray,
) -> Part:
    codec, real = chosen & is_codec, chosen & ~is_codec
    called = None if detection is None else detection.answered == _CALLED_CODEC
    detected, false_alarms = _share(called, codec), _share(called, real)
    accuracy = {axis: _share(hits, codec & ~np.isnan(hits)) for axis, hits in right.items()}
    return Part(
        codec_clips=int(codec.sum()),
        bona_fide_clips=int(real.sum()),
        detected=detected[0],
        detected_interval=detected[1],
        false_alarms=false_alarms[0],
        false_alarms_interval=false_alarms[1],
        verdicts=_verdict_shares(detection, chosen),
        eer=_eer(detection, codec, real | rivals),
        accuracy={axis: share for axis, (share, _) in accuracy.items()},
        accuracy_intervals={axis: interval for axis, (_, interval) in accuracy.items()},
    )


def _share(
    hits: FloatArray | BoolArray | None, chosen: BoolArray
) -> tuple[float | None, tuple[float, float] | None]:
    """Share of hits among the chosen clips with its interval; None without any."""
    if hits is None or not chosen.any():
        return None, None
    count, clips = int(hits[chosen].sum()), int(chosen.sum())
    return count / clips, metrics.wilson_interval(count, clips)


def _verdict_shares(
    detection: metrics.DetectionAnswers | None, chosen: BoolArray
) -> dict[str, float]:
    if detection is None:
        return {}
    counts = np.bincount(detection.answered[chosen], minlength=len(metrics.VERDICTS))
    return dict(zip(metrics.VERDICTS, (counts / counts.sum()).tolist(), strict=True))


def _eer(
    detection: metrics.DetectionAnswers | None, codec: BoolArray, real: BoolArray
) -> float | None:
    if detection is None:
        return None
    chosen = codec | real
    return _value(float(metrics.equal_error_rate(detection.ranking[chosen], codec[chosen])))
