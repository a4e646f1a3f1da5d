"""An evaluation for people: tables of at most 80 columns."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Final

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from codecsleuth.evaluation.document import Report
from codecsleuth.evaluation.labels import CLASS_PAIRS, DETECTION_LABELS
from codecsleuth.evaluation.results import (
    Evaluation,
    Figure,
    Figures,
    LabelResult,
    PairResult,
    Part,
    TaskResult,
)
from codecsleuth.taxonomy import AXES
from codecsleuth.text import printable, shorten
from codecsleuth.verdict import by_name

Column = tuple[str, Callable[[Part], str]]

_NUMBER_CELLS: Final = 5
_NAME_CELLS: Final = 18
FIGURE_WORDS: Final = {
    "eer": "EER",
    "auc": "AUC",
    "min_dcf": "Minimum DCF",
    "cllr": "Cllr, bits",
    "ece": "Calibration error",
    "codec_called_codec": "Codec called codec",
    "codec_called_bona_fide": "Codec called bona fide",
    "bona_fide_called_codec": "Bona fide called codec",
    "inconclusive": "Inconclusive",
    "f1_weighted": "F1 weighted",
    "f1_macro": "F1 macro",
    "f1_macro_codec": "F1 macro, codec",
    "accuracy": "Accuracy",
}
#: What the text shows of macro figures; JSON has them all.
_MACRO_FIGURES: Final = ("eer", "min_dcf", "cllr", "f1_weighted", "f1_macro", "accuracy")
_ANSWER_WORDS: Final = {
    "Semantic distillation": "Semantic dist.",
    "Disentanglement": "Disentangl.",
}
_NOTES: Final = (
    "Fractions. Intervals: 95 %, bootstrap over utterances; of accuracy and of shares of verdicts "
    "Wilson's, over the effective number of utterances. Constant: the best constant answer. "
    "F1: classes with Real, clips of unknown class left out; 'macro, codec' leaves Real out. "
    "Accuracy and the columns VQ, AUX, DEC: the likeliest class, over codec clips. "
    "Calibration error of BIN at even prior odds. "
    "Minimum DCF: codec prior 0.05, a miss 10 times the cost of a false alarm."
)


def number(value: float | None) -> str:
    """Three decimals without a leading zero; a dash for what is not defined."""
    if value is None:
        return "-"
    text = f"{value:.3f}"
    return text[1:] if text.startswith("0.") else text


def notes(evaluation: Evaluation) -> str:
    """How to read the figures, and what the verdicts in them mean."""
    verdicts = evaluation.tasks["BIN"].columns if "BIN" in evaluation.tasks else ()
    words = {spaced(name): by_name(name).words for name in verdicts}
    meanings = [f"{name}: {meaning}" for name, meaning in words.items() if meaning != name]
    return " ".join([_NOTES, *([f"Verdicts: {'; '.join(meanings)}."] if meanings else [])])


def spaced(name: str) -> str:
    """A name of JSON as people read it."""
    return name.replace("_", " ")


def class_pairs(evaluation: Evaluation) -> list[tuple[str, PairResult]]:
    """The class pairs that the model distinguishes, each in words with its figures."""
    pairs = evaluation.class_pairs
    return [(pair.words, pairs[pair.name]) for pair in CLASS_PAIRS if pair.name in pairs]


def labels_worth_a_table(evaluation: Evaluation) -> dict[str, LabelResult]:
    """The verdicts per label, where they say more than the confusion of codec and bona fide."""
    labels = evaluation.per_label
    return labels if labels.keys() - set(DETECTION_LABELS) else {}


def render(report: Report, width: int = 80) -> Group:
    """All tables of an evaluation, with what limits them below."""
    evaluation = report.evaluation
    parts: list[RenderableType] = [Text(printable(report.title), "bold"), Text()]
    if len(report.runs) > 1:
        parts += [_spread(report), Text()]
    for task, result in evaluation.tasks.items():
        if task == "BIN":
            parts += [_detection(result), Text()]
    axes = {axis: evaluation.tasks[axis] for axis in AXES if axis in evaluation.tasks}
    if axes:
        parts += [_taxonomy(axes), Text()]
    for task, result in evaluation.tasks.items():
        parts += [_confusion(task, result), Text()]
    if labels := labels_worth_a_table(evaluation):
        parts += [_labels(labels), Text()]
    if pairs := class_pairs(evaluation):
        parts += [_class_pairs(pairs), Text()]
    for over, tasks in evaluation.macro.items():
        parts += [_macro(over, tasks), Text()]
    columns = _columns(evaluation)
    for key in evaluation.breakdowns():
        title = key.removeprefix("per_")
        parts += [_breakdown(title, getattr(evaluation, key), columns[title], width), Text()]
    parts += [Text(f"! {printable(warning)}", "yellow") for warning in report.warnings]
    parts += [Text(printable(note), "dim") for note in report.notes]
    return Group(*parts, Text(f"[ ] interval; ( ) constant. {notes(evaluation)}", "dim"))


def _plain_table(first: str) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0), header_style="bold")
    table.add_column(first)
    return table


def _with_interval(figure: Figure) -> str:
    if figure.interval is None:
        return number(figure.value)
    low, high = figure.interval
    return f"{number(figure.value)} [{number(low)} {number(high)}]"


def _constant(figure: Figure) -> str:
    return "" if figure.constant is None else f"({number(figure.constant)})"


def _detection(result: TaskResult) -> Table:
    table = _plain_table("BIN: codec or bona fide")
    for column in ("", "95 % interval", "constant"):
        table.add_column(column, justify="right")
    for name, figure in result.figures.items():
        table.add_row(FIGURE_WORDS[name], *_three_cells(figure))
    return table


def _taxonomy(axes: Mapping[str, TaskResult]) -> Table:
    table = _plain_table("Taxonomy")
    for axis in axes:
        table.add_column(axis, min_width=_NAME_CELLS)
    for name in next(iter(axes.values())).figures:
        figures = [result.figures[name] for result in axes.values()]
        table.add_row(FIGURE_WORDS[name], *map(_with_interval, figures))
        if any(figure.constant is not None for figure in figures):
            table.add_row("", *map(_constant, figures), style="dim")
    table.add_row("Clips", *(str(sum(result.support.values())) for result in axes.values()))
    table.add_row("Class unknown", *(str(result.unknown) for result in axes.values()))
    return table


def _spread(report: Report) -> Table:
    """Mean and spread of every figure over the runs."""
    table = _plain_table(f"Over {len(report.runs)} runs; what follows is pooled")
    for column in ("mean", "deviation", "lowest", "highest"):
        table.add_column(column, justify="right")
    for task, figures in report.spread.items():
        for name, spread in figures.items():
            if spread is not None:
                values = [value for value in spread.values if value is not None]
                cells = (spread.mean, spread.deviation, min(values), max(values))
                table.add_row(f"{task}: {FIGURE_WORDS[name]}", *map(number, cells))
    return table


def _macro(over: str, tasks: Mapping[str, Figures]) -> Table:
    """The figures in which every codec, or every system, counts the same."""
    table = _plain_table(f"Macro: every {over} counts the same")
    for column in ("", "95 % interval", "constant"):
        table.add_column(column, justify="right")
    for task, figures in tasks.items():
        for name in _MACRO_FIGURES:
            if name in figures:
                table.add_row(f"{task}: {FIGURE_WORDS[name]}", *_three_cells(figures[name]))
    return table


def _three_cells(figure: Figure) -> tuple[str, str, str]:
    low, high = figure.interval or (None, None)
    interval = f"{number(low)} to {number(high)}" if figure.interval else ""
    return number(figure.value), interval, _constant(figure)


def _confusion(task: str, result: TaskResult) -> Table:
    table = _plain_table(f"{task}: true \\ answer")
    table.columns[0].min_width = 22
    for answer in result.columns:
        table.add_column(_ANSWER_WORDS.get(answer, spaced(answer)), justify="right")
    if result.f1:
        table.add_column("F1", justify="right")
    for (name, clips), row in zip(result.support.items(), result.confusion, strict=True):
        f1 = [number(result.f1[name])] if result.f1 else []
        table.add_row(name if clips else f"{name} (no clips)", *map(str, row), *f1)
    return table


def _labels(labels: Mapping[str, LabelResult]) -> Table:
    """Shares of verdicts, a row per label."""
    table = _plain_table("Label \\ verdict")
    table.add_column("Clips", justify="right")
    for name in next(iter(labels.values())).verdicts:
        table.add_column(spaced(name), justify="right")
    for label, one in labels.items():
        table.add_row(label, str(one.clips), *map(number, one.verdicts.values()))
    return table


def _class_pairs(pairs: Sequence[tuple[str, PairResult]]) -> Table:
    table = _plain_table("EER of class pairs")
    for column in ("", "95 % interval", "constant", "clips"):
        table.add_column(column, justify="right")
    for words, pair in pairs:
        clips = f"{pair.positive_clips}/{pair.negative_clips}"
        table.add_row(words, *_three_cells(pair.figures["eer"]), clips)
    return table


def _columns(evaluation: Evaluation) -> Mapping[str, Sequence[Column]]:
    """What the tables of parts show."""
    axes: list[Column] = [
        (axis, lambda part, axis=axis: number(part.accuracy[axis]))  # type: ignore[misc]
        for axis in AXES
        if axis in evaluation.tasks
    ]
    clips: Column = ("Clips", lambda part: str(part.codec_clips))
    detected: Column = ("Detect", lambda part: number(part.detected))
    unsure: Column = ("Incon.", lambda part: number(part.verdicts.get("inconclusive")))
    missed: Column = ("Missed", lambda part: number(part.verdicts.get("bona_fide")))
    real: Column = ("Bona f.", lambda part: str(part.bona_fide_clips))
    alarms: Column = ("Alarms", lambda part: number(part.false_alarms))
    eer: Column = ("EER", lambda part: number(part.eer))
    mixed = [("Codec", clips[1]), detected, real, alarms, unsure, eer, *axes]
    return {
        "codec": [clips, detected, unsure, missed, eer, *axes],
        **dict.fromkeys(("system", "source", "kind", "length"), mixed),
    }


def _breakdown(
    title: str, parts: Mapping[str, Part], columns: Sequence[Column], width: int
) -> Table:
    table = _plain_table(title.capitalize())
    taken = sum(max(_NUMBER_CELLS, len(header)) + 1 for header, _ in columns)
    table.columns[0].width = max(_NAME_CELLS, width - taken - 1)
    for header, _ in columns:
        table.add_column(header, justify="right", no_wrap=True)
    for name, part in parts.items():
        label = shorten(printable(name), table.columns[0].width)
        table.add_row(Text(label), *(cell(part) for _, cell in columns))
    return table
