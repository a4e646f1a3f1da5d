"""What an evaluation comes to: figures with intervals, confusion, breakdowns; plain values."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from codecsleuth.evaluation.bootstrap import Interval

#: The breakdowns, as JSON names them.
BREAKDOWNS: Final = ("per_codec", "per_system", "per_source", "per_kind", "per_length")


@dataclass(frozen=True)
class Figure:
    """A figure with its 95 % interval and what the best constant answer would reach.

    Attributes:
        value: None where it is not defined.
        interval: None where it is not defined, or not asked for.
        constant: None where it is not defined.
    """

    value: float | None
    interval: Interval | None = None
    constant: float | None = None


Figures = dict[str, Figure]


def figures_dict(figures: Figures) -> dict[str, Any]:
    """Plain values for JSON: each figure under its own name, null where not defined."""
    pairs = figures.items()
    return {
        **{name: figure.value for name, figure in pairs},
        "intervals": {name: figure.interval for name, figure in pairs if figure.interval},
        "constant": {n: figure.constant for n, figure in pairs if figure.constant is not None},
    }


@dataclass(frozen=True)
class TaskResult:
    """The figures of one task.

    Attributes:
        figures: by name, in the order to show them.
        support: clips of each true class.
        unknown: clips left out since their class is not known, or not one of those.
        f1: per class; None for a class that has no clips. Empty for ``BIN``.
        columns: the answers: the task's classes, or for ``BIN`` the verdicts.
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
class PairResult:
    """How well one group of detection classes is distinguished from another.

    Attributes:
        figures: by name.
        positive_clips: clips of the first group.
        negative_clips: clips of the second.
    """

    figures: Figures
    positive_clips: int
    negative_clips: int

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        counts = {"positive_clips": self.positive_clips, "negative_clips": self.negative_clips}
        return {**figures_dict(self.figures), **counts}


@dataclass(frozen=True)
class LabelResult:
    """What verdicts the clips of one label got.

    Attributes:
        clips: of the label.
        verdicts: share of them per verdict.
        intervals: 95 % intervals of the shares (Wilson).
    """

    clips: int
    verdicts: dict[str, float]
    intervals: dict[str, Interval]

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return dict(vars(self))


@dataclass(frozen=True)
class Part:
    """The figures of some of the clips: of one codec, one system, one range of lengths.

    Attributes:
        codec_clips: clips that passed through a codec.
        bona_fide_clips: clips that are bona fide.
        other_clips: clips of other labels.
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
    other_clips: int
    detected: float | None
    detected_interval: Interval | None
    false_alarms: float | None
    false_alarms_interval: Interval | None
    verdicts: dict[str, float]
    eer: float | None
    accuracy: dict[str, float | None]
    accuracy_intervals: dict[str, Interval | None]

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {"clips": self.codec_clips + self.bona_fide_clips + self.other_clips, **vars(self)}


@dataclass(frozen=True)
class Evaluation:
    """All figures over a choice of clips; shares, not per cent.

    ``macro`` has, for "codec" and "system", the figures of each task under which every codec, or
    system, counts the same; an entry is left out where there are not two of them. ``class_pairs``
    and ``per_label`` are empty for a model without ``BIN``.
    """

    clips: int
    tasks: dict[str, TaskResult]
    macro: dict[str, dict[str, Figures]]
    class_pairs: dict[str, PairResult]
    per_label: dict[str, LabelResult]
    per_codec: dict[str, Part]
    per_system: dict[str, Part]
    per_source: dict[str, Part]
    per_kind: dict[str, Part]
    per_length: dict[str, Part]
    warnings: tuple[str, ...]

    def breakdowns(self) -> list[str]:
        """Which of `BREAKDOWNS` are worth a table: not empty, not the same as one before."""
        parts = [getattr(self, name) for name in BREAKDOWNS]
        return [n for k, n in enumerate(BREAKDOWNS) if parts[k] and parts[k] not in parts[:k]]

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        tables = ("tasks", "class_pairs", "per_label", *BREAKDOWNS)
        return {
            "clips": self.clips,
            "macro": {
                over: {task: figures_dict(figures) for task, figures in tasks.items()}
                for over, tasks in self.macro.items()
            },
            **{name: {k: v.to_dict() for k, v in getattr(self, name).items()} for name in tables},
            "warnings": list(self.warnings),
        }
