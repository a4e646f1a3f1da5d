"""The answer for people: a line or two for each of several files, a fuller account of one."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Final

from rich.cells import cell_len
from rich.console import Console, Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from codecsleuth import verdict
from codecsleuth.calibration import UNKNOWN
from codecsleuth.findings import Severity
from codecsleuth.inference.answer import (
    Analysis,
    AxisAnswer,
    Candidate,
    FileError,
    Passage,
    Result,
    WindowAnswer,
)
from codecsleuth.inference.explain import BASE, LIMIT
from codecsleuth.report.header import Header
from codecsleuth.report.summary import Summary, outcome
from codecsleuth.report.words import (
    AXIS_TITLES,
    DISCLAIMER,
    clock,
    excerpt,
    probability,
    ratio,
    support,
)
from codecsleuth.text import printable, shorten

#: Width from which a file takes one line.
WIDE: Final = 120
_NAMED: Final = 3
_FILES_NAMED: Final = 20
#: Score below which a second or third family is left to the machine-readable answer.
_WORTH_NAMING: Final = 0.05
_UNKNOWN_NOTE: Final = (
    "? unknown: unlike the codecs that the model has learned, and of no clear class."
)
_BRACKETS_NOTE: Final = "( ) the codec's kind if there were one; the verdict does not say so."
_SHORT_CLASSES: Final = {
    "Semantic distillation": "Semantic",
    "Disentanglement": "Disent.",
    "Frequency": "Freq",
    UNKNOWN: "?",
}
#: Title and cells of each column beside the file's name.
_COLUMNS: Final = (
    ("Verdict", 16),
    ("log10 LR", 8),
    ("Codec", 5),
    ("VQ", 11),
    ("AUX", 16),
    ("DEC", 12),
)
_GAP: Final = 2

SORTS: Final[Mapping[str, Callable[[Result], float]]] = {
    "evidence": lambda result: -_stated(result),
}


def _stated(result: Result) -> float:
    """The evidence that an answer states; none where there is no answer, or nothing to go by."""
    if isinstance(result, FileError) or result.decisive:
        return float("-inf")
    return result.log10_lr


class TableWriter:
    """Prints a line a file as results come, or an account if there is one file alone."""

    def __init__(self, console: Console, *, single: bool, sort: str | None = None) -> None:
        """Prepare.

        Args:
            console: to print to.
            single: whether one file alone is analysed.
            sort: key of `SORTS`; results are then printed at the end.
        """
        self._console, self._single, self._sort = console, single, sort
        self._header: Header | None = None
        self._sorted: list[Result] = []
        self._warnings: list[str] = []
        self._shown: set[str] = set()

    def begin(self, header: Header) -> None:
        """Print the titles of the columns."""
        self._header = header
        if not self._single:
            self._print_row(Text("File", "bold"), [Text(title, "bold") for title, _ in _COLUMNS])

    def result(self, result: Result) -> None:
        """Print a file's line, or account."""
        if self._single:
            if isinstance(result, Analysis):
                self._console.print(_account(result, self._console.width))
        elif self._sort:
            self._sorted.append(result)
        else:
            self._line(result)

    def end(self, summary: Summary) -> None:
        """Print what is below the lines."""
        if self._sort:
            for result in sorted(self._sorted, key=SORTS[self._sort]):
                self._line(result)
        if not self._single:
            for line in self._below(summary):
                self._console.print(line)
        if not self._single or not summary.counts[verdict.ERROR.name]:
            self._console.print(self._footer())

    def _line(self, result: Result) -> None:
        self._print_row(Text(_name(result)), list(self._cells(result)))
        if isinstance(result, Analysis):
            kinds = [f.kind for f in result.findings if f.severity != Severity.note]
            if kinds:
                listed = ", ".join(kind.replace("_", " ") for kind in kinds)
                self._warnings.append(f"{_name(result)}: {listed}")

    def _print_row(self, name: Text, cells: Sequence[Text]) -> None:
        """One line where there is room for it, else the name above the rest."""
        wide = self._console.width >= WIDE
        taken = sum(width + _GAP for _, width in _COLUMNS)
        room = self._console.width - taken if wide else self._console.width
        shown = Text(shorten(name.plain, room), name.style)
        row = _padded(shown, room) if wide else Text("  ")
        for cell, (_, width) in zip(cells, _COLUMNS, strict=True):
            row = (
                row + Text(" " * (_GAP if wide or row.plain.strip() else 0)) + _padded(cell, width)
            )
        row.rstrip()
        if not wide:
            self._console.print(shown, no_wrap=True, crop=False, overflow="ignore")
        self._console.print(row, no_wrap=True, crop=False, overflow="ignore")

    def _cells(self, result: Result) -> Iterator[Text]:
        row = verdict.by_name(outcome(result))
        if isinstance(result, FileError):
            yield Text(shorten(result.kind.replace("_", " "), _COLUMNS[0][1]), row.style)
            yield from (Text("-") for _ in _COLUMNS[1:])
            return
        yield Text(row.short, row.style)
        if result.decisive:
            yield from (Text("-") for _ in _COLUMNS[1:])
            return
        yield Text(f"{result.log10_lr:+.2f}")
        yield Text(probability(result.codec_probability))
        for axis in AXIS_TITLES:
            yield self._axis_cell(result, axis, row.states_codec)

    def _axis_cell(self, result: Analysis, axis: str, stated: bool) -> Text:
        if axis not in result.taxonomy:
            return Text("-")
        answer = result.taxonomy[axis]
        name = _SHORT_CLASSES.get(answer.label, answer.label)
        known = answer.label != UNKNOWN
        cell = f"{name} {probability(answer.probability)}" if known else name
        self._shown |= {_UNKNOWN_NOTE} - ({_UNKNOWN_NOTE} if known else set())
        if stated:
            return Text(cell)
        self._shown.add(_BRACKETS_NOTE)
        return Text(f"({cell})", "dim")

    def _below(self, summary: Summary) -> Iterator[RenderableType]:
        yield Text()
        yield Text(_counts(summary.counts))
        if len(summary.folders) > 1:
            for path, counts in summary.folders.items():
                yield Text(f"  {shorten(printable(path), 60)}: {_counts(counts)}")
        if summary.left_out:
            reasons = (f"{n} {why.replace('_', ' ')}" for why, n in summary.left_out.items())
            yield Text(f"Left out: {', '.join(reasons)}")
        if self._warnings:
            yield Text("Warnings (--json has them in full):", "bold")
            yield from (Text(f"  {line}") for line in self._warnings[:_FILES_NAMED])
            if (more := len(self._warnings) - _FILES_NAMED) > 0:
                yield Text(f"  and {more} more files")
        for note in (_BRACKETS_NOTE, _UNKNOWN_NOTE):
            if note in self._shown:
                yield Text(note, "dim")

    def _footer(self) -> Text:
        model = self._header.model if self._header else {"name": "", "version": ""}
        return Text(f"{DISCLAIMER} Model: {model['name']} {model['version']}.", "dim")


def _name(result: Result) -> str:
    """The path, and which part of the recording if not all of it."""
    part = excerpt(result.excerpt)
    return printable(result.path) + (f" ({part})" if part else "")


def _padded(text: Text, cells: int) -> Text:
    return text + Text(" " * max(0, cells - cell_len(text.plain)))


def _counts(counts: Mapping[str, int]) -> str:
    total = sum(counts.values())
    parts = [f"{counts[one.name]} {one.words}" for one in verdict.OUTCOMES if counts.get(one.name)]
    return f"{total} file{'s' * (total != 1)}: {', '.join(parts)}"


def _account(result: Analysis, width: int) -> Group:
    facts = result.evidence
    channels = f"{facts.channels} channel{'s' * (facts.channels != 1)}"
    described = (
        f"{facts.container} {facts.coding}, {facts.sample_rate} Hz, {channels}, "
        f"{facts.duration_s:.2f} s, {facts.bytes:,} bytes; decoded by {facts.decoder}"
    )
    parts: list[RenderableType] = [
        Text(shorten(_name(result), 2 * width), "bold"),
        Text(described, "dim"),
        Text(f"sha256 {facts.sha256}", "dim"),
        Text(),
        _evidence(result),
    ]
    if not result.decisive:
        parts += [Text(), _axes(result)]
    if result.findings:
        parts += [Text(), Text("Findings", "bold")]
        parts += [
            Padding(Text(f"- {finding.severity}: {printable(finding.message)}"), (0, 0, 0, 2))
            for finding in result.findings
        ]
    return Group(*parts, Text())


def _evidence(result: Analysis) -> Table:
    row = verdict.by_name(result.verdict)
    table = Table.grid(padding=(0, 3, 0, 0))
    table.add_row("Verdict", Text(row.words, row.style))
    if result.decisive:
        table.add_row("Likelihood ratio", "not stated: see the findings")
        return table
    table.add_row(
        "Codec probability", f"{probability(result.codec_probability)} (at even prior odds)"
    )
    odds = f"{ratio(result.log10_lr)}, {support(result.log10_lr)}"
    table.add_row("Likelihood ratio", odds)
    if (neural := result.log10_lr_neural) is not None:
        words = f"{ratio(neural)}, {support(neural, 'neural synthesis')}"
        table.add_row("Codec or vocoder", words)
    if len(result.windows) > 1:
        table.add_row("Windows", _spread(result.windows))
    if len(result.passages) > 1:
        table.add_row("Passages", "\n".join(map(_passage, result.passages)))
    if result.explanation:
        table.add_row("Carried by", _carried(result.explanation))
    return table


def _passage(passage: Passage) -> str:
    words = verdict.by_name(passage.verdict).words
    return f"{clock(passage.start_s)} to {clock(passage.end_s)}: {words}"


def _carried(explanation: Mapping[str, float]) -> str:
    """The blocks of statistics that moved the likelihood ratio most, in log10."""
    blocks = [(name, value) for name, value in explanation.items() if name not in (BASE, LIMIT)]
    most = sorted(blocks, key=lambda pair: -abs(pair[1]))[:_NAMED]
    return ", ".join(f"{name} {value:+.2f}" for name, value in most) + " (log10 LR)"


def _spread(windows: Sequence[WindowAnswer]) -> str:
    values = [window.codec_probability for window in windows]
    return (
        f"{len(values)}, codec probability {probability(min(values))} to {probability(max(values))}"
    )


def _axes(result: Analysis) -> Group:
    certain = verdict.by_name(result.verdict).states_codec
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
