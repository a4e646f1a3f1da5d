"""A run of ``analyze``: recordings in, results out, straight or by way of a journal."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from codecsleuth import verdict
from codecsleuth.audio.files import FileWalk
from codecsleuth.cli import status
from codecsleuth.cli.journaled import GO_ON, Fill
from codecsleuth.cli.loading import load_model, make_engine
from codecsleuth.cli.output import Guard, Output
from codecsleuth.cli.progress import counting
from codecsleuth.inference.answer import FileError, Result
from codecsleuth.inference.engine import Engine, Input
from codecsleuth.inference.model import Model
from codecsleuth.report.header import Header
from codecsleuth.report.journal import Journal, journal_path
from codecsleuth.report.summary import Summary, outcome
from codecsleuth.weights import find_weights

if TYPE_CHECKING:
    from codecsleuth.cli.analyze import Request
    from codecsleuth.report.writers import Write, Writer


@dataclass(frozen=True)
class Work:
    """What is to be done, made ready.

    Attributes:
        request: what was asked for.
        model: that answers.
        engine: that spreads the work.
        walk: the files.
        guard: knows the outputs, which no input may be.
    """

    request: Request
    model: Model
    engine: Engine
    walk: FileWalk
    guard: Guard

    @classmethod
    def prepared(cls, request: Request, own: frozenset[str], *outputs: Output | None) -> Work:
        """Load what is needed, and look at those inputs that are known.

        Args:
            request: what was asked for.
            own: real paths of files that the run writes.
            outputs: the same, as outputs.

        Raises:
            UsageError: no such model or device, or an output is an input.
        """
        engine = make_engine(request.computing)
        model = load_model(request.model, request.computing)
        guard = Guard(*outputs)
        guard.check(find_weights(request.model, offline=request.computing.offline))
        if request.computing.calibration is not None:
            guard.check(request.computing.calibration)
        selection = request.selection
        for path in (*selection.paths, *([selection.files_from] if selection.files_from else [])):
            guard.check(path)
            guard.check_folder(path)
        return cls(request, model, engine, selection.walk(own), guard)

    def inputs(self) -> Iterator[Input]:
        """What the engine is given."""
        return self.request.selection.inputs(self.walk, self.guard.check)

    def score(self, inputs: Iterable[Input]) -> Iterator[Result]:
        """Results in the order of the inputs."""
        return self.engine.score(self.model, inputs)

    @contextmanager
    def progress(self, shown: bool) -> Iterator[Callable[[Result | None], None]]:
        """Gives a function that counts results, and says which files could not be analysed."""
        total = self.request.selection.total()
        with counting("Analysing", total, shown=shown and total != 1) as advance:

            def done(result: Result | None) -> None:
                if isinstance(result, FileError):
                    status.tell(f"{result.path}: {result.message}")
                advance(1)

            yield done
        _name_left_out(self.walk)


def run(request: Request, target: Output, page: Output | None) -> int:
    """Analyse, report and return the exit status."""
    if target.path is not None:
        return _by_journal(request, target, target.path, page)
    # Lines that stream onto the same terminal would run into the bar.
    streaming = not request.sort and sys.stdout.isatty()
    with status.interruptible(lambda: "interrupted"):
        work = Work.prepared(request, frozenset(), page)
        with work.progress(shown=not streaming) as done:
            return _write(work, _counted(work, done), target, page)


def _counted(work: Work, done: Callable[[Result | None], None]) -> Iterator[Result]:
    with closing(work.score(work.inputs())) as results:  # type: ignore[type-var]
        for result in results:
            done(result)
            yield result


def _by_journal(request: Request, target: Output, final: Path, page: Output | None) -> int:
    """Gather results in a journal, and make the final files from it."""
    beside = journal_path(final)
    named = [one.name_temporary() for one in (target, page) if one is not None]
    written = [final, beside, *filter(None, named), *([page.path] if page and page.path else [])]
    own = frozenset(map(os.path.realpath, written))
    fill: Fill | None = None

    def message() -> str:
        if fill is None:
            return "interrupted"
        return f"interrupted; {fill.journal.finished} results are in {beside}: {GO_ON}"

    with status.interruptible(message):
        work = Work.prepared(request, own, target, page, *map(Output, written))
        header = Header.of(work.model)
        with Journal.open(final, header, request.named(), request.resume) as journal:
            fill = Fill(journal)
            with work.progress(shown=True) as done:
                fill.run(work.inputs(), work.score, done)
            ended = _write(work, journal.results(fill.places), target, page)
            journal.remove()
    return ended


def _write(work: Work, results: Iterator[Result], target: Output, page: Output | None) -> int:
    """Pass results to the writers, and give the exit status."""
    request = work.request
    summary = Summary(by_folder=request.selection.folders())
    failed_on = False
    with ExitStack() as stack:
        writers = [_writer(request, stack.enter_context(target))]
        if page is not None:
            writers.append(_page_writer(request, stack.enter_context(page)))
        for writer in writers:
            writer.begin(Header.of(work.model))
        for result in results:
            summary.add(result)
            failed_on = failed_on or any(one.matches(outcome(result)) for one in request.fail_on)
            for writer in writers:
                writer.result(result)
        summary.left_out = work.walk.counts()
        for writer in writers:
            writer.end(summary)
    if failed_on:
        return status.VERDICT
    return status.INPUT if summary.counts[verdict.ERROR.name] else status.OK


def _name_left_out(walk: FileWalk) -> None:
    for reason, left in sorted(walk.left_out.items()):
        more = left.files - len(left.names)
        names = ", ".join(left.names) + (f" and {more} more" if more else "")
        status.tell(f"left out ({reason.replace('_', ' ')}): {names}")


def _writer(request: Request, target: Output) -> Writer:
    from codecsleuth.report import writers

    machine: dict[str, Callable[[Write], Writer]] = {
        "json": writers.JsonWriter,
        "jsonl": writers.JsonlWriter,
        "csv": writers.CsvWriter,
    }
    if request.form in machine:
        return machine[request.form](target.write)
    from codecsleuth.cli.console import ConsoleOutput
    from codecsleuth.report.table import TableWriter

    single = request.selection.total() == 1
    return TableWriter(ConsoleOutput.of(target), single=single, sort=request.sort)


def _page_writer(request: Request, page: Output) -> Writer:
    from codecsleuth.report.analysis_page import PageWriter

    return PageWriter(page.write, request.page)
