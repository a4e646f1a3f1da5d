"""The answer for people: a table over several files, a fuller account of one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from rich.console import Console, Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from codecsleuth.calibration import UNKNOWN
from codecsleuth.inference.model import Analysis, AxisAnswer, Candidate, FileError, Model, Segment
from codecsleuth.report.summary import Summary, outcome
from codecsleuth.report.words import (
    AXIS_TITLES,
    DISCLAIMER,
    VERDICT_WORDS,
    probability,
    ratio,
    support,
)
from codecsleuth.text import fold, printable, shorten

_STYLES: Final = {
    "codec": "bold yellow",
    "bona_fide": "green",
    "inconclusive": "cyan",
    "error": "red",
}
#: Cells that the columns beside the file name take, with their gaps.
_OTHER_COLUMNS: Final = 58
_NAME_LINES: Final = 2
_NAMED: Final = 3
#: Score below which a second or third family is left to the machine-readable answer.
_WORTH_NAMING: Final = 0.05
_UNKNOWN_MARK: Final = "?"
_UNKNOWN_NOTE: Final = "? unknown: like no codec that the model has met, and of no clear class."
_BRACKETS_NOTE: Final = "( ) the codec's kind if there were one; the verdict does not say so."


def render(
    results: Sequence[Analysis | FileError], summary: Summary, model: Model, console: Console
) -> None:
    """Print the answer for people; errors show in the table, their reasons go elsewhere."""
    if len(results) == 1:
        if isinstance(results[0], Analysis):
            console.print(_account(results[0], model, console.width))
        return
    console.print(_table(results, console.width))
    console.print(_below(results, summary, model))


def _table(results: Sequence[Analysis | FileError], width: int) -> Table:
    name_cells = max(12, width - _OTHER_COLUMNS)
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    table.add_column("File", width=name_cells, no_wrap=True)
    table.add_column("Verdict", width=16)
    table.add_column("Codec", width=5)
    table.add_column("VQ", width=5)
    table.add_column("AUX", width=16)
    table.add_column("DEC", width=6)
    for result in results:
        name = fold(shorten(printable(result.path), _NAME_LINES * (name_cells - 1)), name_cells)
        table.add_row(Text(name), *_cells(result))
    return table


def _cells(result: Analysis | FileError) -> Iterator[Text]:
    style = _STYLES[outcome(result)]
    if isinstance(result, FileError):
        yield Text(f"not analysed: {result.kind.replace('_', ' ')}", style)
        return
    yield Text(VERDICT_WORDS[result.verdict], style)
    yield Text(probability(result.codec_probability))
    for axis in AXIS_TITLES:
        yield _axis_cell(result, axis)


def _axis_cell(result: Analysis, axis: str) -> Text:
    if axis not in result.taxonomy:
        return Text("-")
    answer = result.taxonomy[axis]
    known = f"{_short(answer.label)}\n{answer.probability:.2f}"
    cell = _UNKNOWN_MARK if answer.label == UNKNOWN else known
    return Text(cell) if result.verdict == "codec" else Text(f"({cell})", "dim")


def _short(label: str) -> str:
    return {"Semantic distillation": "Semantic dist.", "Frequency": "Freq."}.get(label, label)


def _below(results: Sequence[Analysis | FileError], summary: Summary, model: Model) -> Group:
    lines: list[RenderableType] = [Text()]
    lines.append(Text(_counts(summary.counts)))
    if len(summary.directories) > 1:
        for path, counts in summary.directories.items():
            lines.append(Text(f"  {shorten(printable(path), 60)}: {_counts(counts)}"))
    if summary.left_out:
        reasons = ", ".join(f"{n} {why.replace('_', ' ')}" for why, n in summary.left_out.items())
        lines.append(Text(f"Left out: {reasons}"))
    warned = [r for r in results if isinstance(r, Analysis) and r.warnings]
    if warned:
        lines.append(Text(f"{len(warned)} with warnings: see --json, or analyse them one by one"))
    if any(isinstance(r, Analysis) and r.verdict != "codec" for r in results):
        lines.append(Text(_BRACKETS_NOTE, "dim"))
    if any(_has_unknown(r) for r in results):
        lines.append(Text(_UNKNOWN_NOTE, "dim"))
    lines.append(_footer(model))
    return Group(*lines)


def _has_unknown(result: Analysis | FileError) -> bool:
    return isinstance(result, Analysis) and any(
        answer.label == UNKNOWN for answer in result.taxonomy.values()
    )


def _counts(counts: Mapping[str, int]) -> str:
    words = {**VERDICT_WORDS, "error": "not analysed"}
    total = sum(counts.values())
    parts = [f"{counts[name]} {words[name]}" for name in words if counts.get(name)]
    return f"{total} file{'s' * (total != 1)}: {', '.join(parts)}"


def _footer(model: Model) -> Text:
    return Text(f"{DISCLAIMER} Model: {model.name} {model.version}.", "dim")


def _account(result: Analysis, model: Model, width: int) -> Group:
    facts = result.evidence
    channels = f"{facts.channels} channel{'s' * (facts.channels != 1)}"
    described = (
        f"{facts.format}, {facts.sample_rate} Hz, {channels}, {facts.duration_s:.2f} s, "
        f"{facts.bytes:,} bytes"
    )
    parts: list[RenderableType] = [
        Text(shorten(printable(result.path), 2 * width), "bold"),
        Text(described, "dim"),
        Text(f"sha256 {facts.sha256}", "dim"),
        Text(),
        _findings(result),
        Text(),
        _axes(result),
    ]
    if result.warnings:
        parts += [Text(), Text("Warnings", "bold")]
        parts += [Padding(Text(f"- {warning}"), (0, 0, 0, 2)) for warning in result.warnings]
    return Group(*parts, Text(), _footer(model))


def _findings(result: Analysis) -> Table:
    table = Table.grid(padding=(0, 3, 0, 0))
    table.add_row("Verdict", Text(VERDICT_WORDS[result.verdict], _STYLES[result.verdict]))
    table.add_row(
        "Codec probability", f"{probability(result.codec_probability)} (at even prior odds)"
    )
    odds = f"{ratio(result.log10_lr)}, {support(result.log10_lr)}"
    table.add_row("Likelihood ratio", odds)
    if len(result.segments) > 1:
        table.add_row("Segments", _spread(result.segments))
    return table


def _spread(segments: Sequence[Segment]) -> str:
    values = [segment.codec_probability for segment in segments]
    return (
        f"{len(values)}, codec probability {probability(min(values))} to {probability(max(values))}"
    )


def _axes(result: Analysis) -> Group:
    certain = result.verdict == "codec"
    title = "Kind of codec" if certain else "Kind of codec, if there were one"
    table = Table.grid(padding=(0, 3, 0, 0))
    for axis, answer in result.taxonomy.items():
        table.add_row(AXIS_TITLES[axis], Text(answer.label), _ranked(answer))
    if result.candidates:
        table.add_row("Codecs it resembles", "", _named(result.candidates))
    style = "" if certain else "dim"
    return Group(
        Text(title, "bold" if certain else "dim"), Padding(table, (0, 0, 0, 2), style=style)
    )


def _named(candidates: Sequence[Candidate]) -> Text:
    """The likeliest families, at least one; a mark where the axes say otherwise."""
    first, *others = candidates[:_NAMED]
    shown = [first, *(one for one in others if one.score >= _WORTH_NAMING)]
    named = ", ".join(f"{one.codec} {one.score:.2f}{'*' * bool(one.disagrees)}" for one in shown)
    marked = any(one.disagrees for one in shown)
    return Text(f"{named}\n* of another kind than stated above" if marked else named)


def _ranked(answer: AxisAnswer) -> Text:
    first = f"{answer.probability:.2f}"
    others = (f"{n} {p:.2f}" for n, p in answer.probabilities.items() if n != answer.label)
    listed = f"({', '.join(others)})"
    return Text(listed if answer.label == UNKNOWN else f"{first}   {listed}")
