"""From answers to figures: a pure function of arrays, whatever computed them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Final

import numpy as np

from codecsleuth.arrays import FloatArray, IntArray
from codecsleuth.calibration import Calibration
from codecsleuth.data.items import Item
from codecsleuth.evaluation import metrics
from codecsleuth.evaluation.answers import ClipAnswers
from codecsleuth.evaluation.bootstrap import Bootstrap, Interval
from codecsleuth.evaluation.breakdown import breakdowns, per_label
from codecsleuth.evaluation.figures import (
    Balance,
    ClassFigures,
    PairFigures,
    SubsetFigures,
    TaskFigures,
    task_figures,
)
from codecsleuth.evaluation.labels import CLASS_PAIRS, DETECTION_LABELS, has_label
from codecsleuth.evaluation.results import Evaluation, Figure, Figures, PairResult, TaskResult
from codecsleuth.evaluation.scores import ScoreTable

#: What macro figures are over, and what a clip is of there; empty if of none.
MACRO: Final[Mapping[str, Callable[[Item], str]]] = {
    "codec": lambda item: item.codec,
    "system": lambda item: item.system,
}
#: What figures are over (all clips, a name of `MACRO`, a class pair), and of which task or pair.
_Key = tuple[str, str]
_CLIPS: Final = "clips"
_PAIRS: Final = "pairs"


def evaluate(
    scores: ScoreTable, calibration: Calibration, *, draws: int = 1000, seed: int = 0
) -> Evaluation:
    """All figures of a model's scores; see `evaluate_answers`.

    Args:
        scores: clips with their raw logits.
        calibration: of the model.
        draws: bootstrap draws for the 95 % intervals; 0 for none.
        seed: of the draws.
    """
    answers = ClipAnswers.of(scores.items, scores.logits, calibration, scores.verdicts)
    return evaluate_answers(answers, draws=draws, seed=seed)


def evaluate_answers(answers: ClipAnswers, *, draws: int = 1000, seed: int = 0) -> Evaluation:
    """All figures of what models say of labelled clips.

    Args:
        answers: the clips and what is said of them.
        draws: bootstrap draws for the 95 % intervals; 0 for none. Utterances are drawn, so all
            versions of one stay together; all figures share the draws.
        seed: of the draws.
    """
    groups = _numbered([item.group for item in answers.items])
    tasks, pairs = _tasks(answers), _pairs(answers)
    sets: dict[_Key, SubsetFigures[TaskFigures]] = {
        **{(_CLIPS, task): one for task, one in tasks.items()},
        **_macro(tasks, answers),
        **{(_PAIRS, name): one for name, one in pairs.items()},
    }
    figures = _with_intervals(sets, Bootstrap(groups, draws, seed))
    results = {task: _task_result(one, figures[_CLIPS, task]) for task, one in tasks.items()}
    macro = {over: {t: figures[over, t] for t in tasks if (over, t) in sets} for over in MACRO}
    return Evaluation(
        clips=len(answers.items),
        tasks=results,
        macro={over: one for over, one in macro.items() if one},
        class_pairs={n: _pair_result(one, figures[_PAIRS, n]) for n, one in pairs.items()},
        per_label=per_label(answers, groups),
        **breakdowns(answers, groups),
        warnings=tuple(_warnings(results, answers)),
    )


def point_figures(answers: ClipAnswers) -> dict[str, dict[str, float]]:
    """The figures per task, without intervals; NaN where not defined."""
    return {task: one.once() for task, one in _tasks(answers).items()}


def _numbered(names: Sequence[str]) -> IntArray:
    return np.unique(np.asarray(names), return_inverse=True)[1].astype(np.int64)


def _tasks(answers: ClipAnswers) -> dict[str, SubsetFigures[ClassFigures]]:
    """Per task its figures, over the clips of known class."""
    tasks = answers.answers.items()
    return {task: task_figures(task, one, answers.labels(task)) for task, one in tasks}


def _macro(
    tasks: Mapping[str, SubsetFigures[ClassFigures]], answers: ClipAnswers
) -> dict[_Key, SubsetFigures[ClassFigures]]:
    """The same figures, with weights under which every codec, or system, counts the same."""
    sets: dict[_Key, SubsetFigures[ClassFigures]] = {}
    for over, name_of in MACRO.items():
        names = [name_of(item) for item in answers.items]
        if len(set(names) - {""}) > 1:
            balance = Balance(_numbered(names), answers.is_codec)
            sets |= {(over, task): replace(one, balance=balance) for task, one in tasks.items()}
    return sets


def _pairs(answers: ClipAnswers) -> dict[str, SubsetFigures[PairFigures]]:
    """The class pairs that the model distinguishes."""
    sets: dict[str, SubsetFigures[PairFigures]] = {}
    for place, pair in enumerate(CLASS_PAIRS):
        if answers.detection is not None and pair.is_distinguished_by(answers.detection.classes):
            positive = has_label(answers.items, *pair.positive_labels)
            chosen = positive | has_label(answers.items, *pair.negative_labels)
            scores = answers.detection.pair_scores[chosen, place]
            sets[pair.name] = SubsetFigures(PairFigures(scores, positive[chosen]), chosen)
    return sets


def _with_intervals(
    sets: Mapping[_Key, SubsetFigures[TaskFigures]], bootstrap: Bootstrap
) -> dict[_Key, Figures]:
    """Each figure with its interval and a constant answer's."""
    drawn = bootstrap.intervals(sets)
    return {
        key: _figures(one, drawn[key], one.trials(bootstrap.groups) if bootstrap.draws else {})
        for key, one in sets.items()
    }


def _figures(
    one: SubsetFigures[TaskFigures], drawn: Mapping[str, Interval], trials: Mapping[str, float]
) -> Figures:
    values, constants = one.once(), one.constants()
    # A share has another interval, since its bootstrap has no width at 0 and at 1.
    wilson = {name: metrics.wilson_interval(values[name], of) for name, of in trials.items()}
    limits = {**drawn, **wilson}
    return {n: _figure(value, limits.get(n), constants[n]) for n, value in values.items()}


def _figure(value: float, limits: Interval | None, constant: float) -> Figure:
    if not np.isfinite(value):
        return Figure(None)
    return Figure(value, limits, _defined(constant))


def _task_result(one: SubsetFigures[ClassFigures], figures: Figures) -> TaskResult:
    of = one.figures
    confusion = of.confusion(np.ones(int(one.chosen.sum())))
    support = confusion.sum(axis=1).astype(int).tolist()
    f1 = _f1_per_class(of.classes, confusion) if of.columns == of.classes else {}
    return TaskResult(
        figures=figures,
        support=dict(zip(of.classes, support, strict=True)),
        unknown=int((~one.chosen).sum()),
        f1=f1,
        columns=of.columns,
        confusion=tuple(tuple(row) for row in confusion.astype(int).tolist()),
    )


def _pair_result(one: SubsetFigures[PairFigures], figures: Figures) -> PairResult:
    positive = one.figures.is_positive
    return PairResult(figures, int(positive.sum()), int((~positive).sum()))


def _f1_per_class(classes: Sequence[str], confusion: FloatArray) -> dict[str, float | None]:
    scores = metrics.f1_scores(confusion).tolist()
    return {name: _defined(score) for name, score in zip(classes, scores, strict=True)}


def _defined(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None


def _warnings(tasks: Mapping[str, TaskResult], answers: ClipAnswers) -> list[str]:
    """Say which figures lack clips to stand on, and which clips are in none."""
    gaps = [text for task, result in tasks.items() for text in _gaps(task, result)]
    others = int((~has_label(answers.items, *DETECTION_LABELS)).sum())
    if others and "BIN" in tasks:
        gaps.append(
            f"BIN: {others} clips are neither codec nor bona fide; see the verdicts by label"
        )
    return gaps


def _gaps(task: str, result: TaskResult) -> list[str]:
    if not result.empty_classes:
        return []
    names = ", ".join(result.empty_classes)
    undefined = [name for name, figure in result.figures.items() if figure.value is None]
    left = f"; not defined: {', '.join(undefined)}" if undefined else ""
    over = "" if task == "BIN" else "; macro F1 is over the other classes"
    return [f"{task}: no clips of {names}{over}{left}"]
