"""``codecsleuth analyze``."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from codecsleuth import verdict
from codecsleuth.cli import status
from codecsleuth.cli.loading import Computing
from codecsleuth.cli.options import (
    CalibrationOption,
    Device,
    DeviceOption,
    EngineName,
    JsonOption,
    ModelOption,
    OfflineOption,
    OutputOption,
    Precision,
    PrecisionOption,
    WorkersOption,
)
from codecsleuth.errors import UsageError

if TYPE_CHECKING:
    from codecsleuth.audio.files import FileList
    from codecsleuth.cli.output import Output
    from codecsleuth.inference.answer import Result
    from codecsleuth.inference.engine import Input
    from codecsleuth.report.writers import Write, Writer


class FailOn(StrEnum):
    """Verdicts that may set the exit status."""

    codec = verdict.CODEC
    vocoder = verdict.VOCODER
    neural = verdict.NEURAL
    mixed = verdict.MIXED

    def matches(self, name: str) -> bool:
        """Whether a verdict is meant: ``neural`` means every verdict that states neural speech."""
        return name == self or (self is FailOn.neural and verdict.by_name(name).neural)


class Sort(StrEnum):
    """Orders of the table."""

    evidence = "evidence"


@dataclass(frozen=True)
class Request:
    """What one call of the command asks for.

    Attributes:
        paths: as given.
        form: ``table``, ``json``, ``jsonl`` or ``csv``.
        sort: order of the table; None for that of the files.
        model: name or path.
        computing: how it computes.
        fail_on: verdicts that set the exit status.
    """

    paths: tuple[str, ...]
    form: str
    sort: str | None
    model: str
    computing: Computing
    fail_on: tuple[FailOn, ...]


def analyze(
    paths: Annotated[
        list[str],
        typer.Argument(metavar="PATH...", help="Audio or video files, folders of them, or -."),
    ],
    batch: Annotated[
        bool, typer.Option("--batch", help="PATH is a folder: analyse every file below it.")
    ] = False,
    json: JsonOption = False,
    jsonl: Annotated[
        bool, typer.Option("--jsonl", help="A header line, then a line of JSON a file.")
    ] = False,
    csv: Annotated[bool, typer.Option("--csv", help="One CSV record a file.")] = False,
    sort: Annotated[
        Sort | None, typer.Option(help="Order of the table: the strongest evidence first.")
    ] = None,
    output: OutputOption = None,
    report: Annotated[
        Path | None, typer.Option(metavar="FILE.html", help="Write a page to read and print there.")
    ] = None,
    force: Annotated[
        bool, typer.Option("--force", help="Let --output and --report overwrite a file.")
    ] = False,
    model: ModelOption = "compact",
    calibration: CalibrationOption = None,
    device: DeviceOption = Device.cpu,
    precision: PrecisionOption = Precision.float32,
    workers: WorkersOption = None,
    engine: Annotated[EngineName, typer.Option(help="What spreads the work.")] = EngineName.local,
    offline: OfflineOption = False,
    fail_on: Annotated[
        list[FailOn] | None,
        typer.Option(
            help="Exit with status 3 if any file gets this verdict; repeatable. neural includes "
            "codec, vocoder and mixed."
        ),
    ] = None,
) -> None:
    r"""Say of speech recordings whether they passed through a neural codec, and of which kind.

    Exit status: 0 all analysed; 1 some input could not be; 2 wrong usage; 3 by --fail-on.

    A verdict does not change the exit status unless --fail-on asks for that.

    \b
    Examples:
      codecsleuth analyze suspicious.wav
      codecsleuth analyze --batch folder/ --json -o answers.json
      codecsleuth analyze *.m4a --report page.html
      ffmpeg -i talk.mkv -f wav - | codecsleuth analyze -
    """
    from codecsleuth.cli.output import Output, quiet_libraries, refuse_same_file

    request = Request(
        paths=tuple(paths),
        form=_form(json=json, jsonl=jsonl, csv=csv),
        sort=sort,
        model=model,
        computing=Computing(device, precision, offline, workers, engine, calibration),
        fail_on=tuple(fail_on or ()),
    )
    _check(request, batch)
    if force and output is None and report is None:
        raise UsageError("--force is for --output and --report")
    target, page = Output.checked(output, force), Output.extra(report, force, "--report")
    refuse_same_file(target, page)
    with quiet_libraries():
        raise typer.Exit(run(request, target, page))


def _form(**chosen: bool) -> str:
    names = [name for name, on in chosen.items() if on]
    if len(names) > 1:
        raise UsageError(f"--{names[0]} and --{names[1]} exclude each other")
    return names[0] if names else "table"


def _check(request: Request, batch: bool) -> None:
    from codecsleuth.audio.files import is_folder

    if batch:
        for path in request.paths:
            if not is_folder(path):
                raise UsageError(f"--batch {path}: not a folder; leave --batch out for a file")
    if request.sort and request.form != "table":
        raise UsageError(f"--sort is for the table, not for --{request.form}")
    if request.paths.count("-") > 1:
        raise UsageError("-: standard input can be read once")


def run(request: Request, target: Output, page: Output | None) -> int:
    """Analyse, report and return the exit status."""
    from codecsleuth.audio.files import find_files
    from codecsleuth.cli.loading import load_model, make_engine
    from codecsleuth.cli.output import refuse_inputs
    from codecsleuth.report.header import Header
    from codecsleuth.report.summary import Summary
    from codecsleuth.weights import find_weights

    files = find_files(request.paths)
    engine = make_engine(request.computing)
    model = load_model(request.model, request.computing)
    weights = find_weights(request.model, offline=request.computing.offline)
    calibration = request.computing.calibration
    refuse_inputs((*files.paths, weights, *filter(None, [calibration])), target, page)
    _name_left_out(files)
    left_out = {reason: left.files for reason, left in files.left_out.items()}
    summary = Summary(by_folder=files.folders, left_out=left_out)
    failed_on = False
    with ExitStack() as stack:
        writers = [_writer(request, files, stack.enter_context(target))]
        if page is not None:
            writers.append(_page_writer(stack.enter_context(page)))
        for writer in writers:
            writer.begin(Header.of(model))
        results = engine.score(model, _inputs(files))
        for result in _with_progress(results, len(files.paths), request, target):
            summary.add(result)
            failed_on = failed_on or _matches(result, request)
            for writer in writers:
                writer.result(result)
        for writer in writers:
            writer.end(summary)
    if failed_on:
        return status.VERDICT
    return status.INPUT if summary.counts[verdict.ERROR.name] else status.OK


def _matches(result: Result, request: Request) -> bool:
    from codecsleuth.report.summary import outcome

    return any(wanted.matches(outcome(result)) for wanted in request.fail_on)


def _inputs(files: FileList) -> Iterator[Input]:
    from codecsleuth.inference.engine import Input

    for path in files.paths:
        yield Input(path, problem=files.problems.get(path))


def _name_left_out(files: FileList) -> None:
    for reason, left in files.left_out.items():
        more = left.files - len(left.names)
        names = ", ".join(left.names) + (f" and {more} more" if more else "")
        status.tell(f"left out ({reason.replace('_', ' ')}): {names}")


def _writer(request: Request, files: FileList, target: Output) -> Writer:
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

    single = len(files.paths) == 1 and not files.folders
    return TableWriter(ConsoleOutput.of(target), single=single, sort=request.sort)


def _page_writer(page: Output) -> Writer:
    from codecsleuth.report.analysis_page import PageWriter

    return PageWriter(page.write)


def _with_progress(
    results: Iterator[Result], total: int, request: Request, target: Output
) -> Iterator[Result]:
    """Pass results on; say which could not be analysed, and show progress on a terminal."""
    import sys

    from codecsleuth.cli.progress import counting
    from codecsleuth.inference.answer import FileError

    # Lines that stream onto the same terminal would run into the bar.
    streaming = target.path is None and request.form != "json" and sys.stdout.isatty()
    with counting("Analysing", total, shown=total > 1 and not streaming) as advance:
        for result in results:
            if isinstance(result, FileError):
                status.tell(f"{result.path}: {result.message}")
            advance(1)
            yield result
