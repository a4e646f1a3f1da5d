"""``codecsleuth analyze``."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from codecsleuth.errors import UsageError

if TYPE_CHECKING:
    from rich.console import Console

    from codecsleuth.audio.files import Found
    from codecsleuth.cli.output import Output
    from codecsleuth.inference.model import Analysis, FileError, Model

    Result = Analysis | FileError

EXIT_INPUT: Final = 1
EXIT_CODEC: Final = 3


class Device(StrEnum):
    """Where the network runs."""

    auto = "auto"
    cpu = "cpu"
    cuda = "cuda"
    mps = "mps"


class Precision(StrEnum):
    """The arithmetic of networks that have a choice."""

    auto = "auto"
    float32 = "float32"
    bfloat16 = "bfloat16"


class FailOn(StrEnum):
    """Verdicts that may set the exit status."""

    codec = "codec"


@dataclass(frozen=True)
class Request:
    """One call of the command."""

    paths: tuple[str, ...]
    form: str
    model: str
    device: str
    precision: str
    offline: bool
    batch_size: int
    workers: int
    fail_on_codec: bool


def analyze(
    paths: Annotated[
        list[str], typer.Argument(metavar="PATH...", help="Audio files, or folders of them.")
    ],
    batch: Annotated[
        bool, typer.Option("--batch", help="PATH is a folder: analyse every audio file below it.")
    ] = False,
    json: Annotated[bool, typer.Option("--json", help="One JSON document.")] = False,
    jsonl: Annotated[
        bool, typer.Option("--jsonl", help="One line of JSON a file, as soon as it is there.")
    ] = False,
    csv: Annotated[bool, typer.Option("--csv", help="One CSV record a file.")] = False,
    output: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write there instead of stdout.")
    ] = None,
    report: Annotated[
        Path | None, typer.Option(metavar="FILE.html", help="Write a page to read and print there.")
    ] = None,
    force: Annotated[
        bool, typer.Option("--force", help="Let --output and --report overwrite a file.")
    ] = False,
    model: Annotated[
        str, typer.Option(metavar="NAME|PATH", help="Model name, or a weights file.")
    ] = "compact",
    device: Annotated[
        Device, typer.Option(help="Where the network runs; answers are reproducible on the CPU.")
    ] = Device.cpu,
    precision: Annotated[
        Precision,
        typer.Option(help="Of a large network; auto: bfloat16 where the hardware computes in it."),
    ] = Precision.auto,
    batch_size: Annotated[
        int, typer.Option(min=1, max=1024, help="Windows read ahead per file.")
    ] = 8,
    workers: Annotated[
        int | None,
        typer.Option(min=1, max=256, show_default="CPU cores", help="Files or windows at a time."),
    ] = None,
    offline: Annotated[
        bool,
        typer.Option("--offline", help="Never use the network (the embedded model needs none)."),
    ] = False,
    fail_on: Annotated[
        FailOn | None, typer.Option(help="Exit with status 3 if any file gets this verdict.")
    ] = None,
) -> None:
    """Say of speech recordings whether they passed through a neural codec, and of which kind.

    Exit status: 0 all analysed; 1 some input could not be; 2 wrong usage.

    A verdict does not change the exit status unless --fail-on asks for that.
    """
    from codecsleuth.cli.output import Output, quiet_libraries, refuse_same_file

    chosen = [name for name, on in (("json", json), ("jsonl", jsonl), ("csv", csv)) if on]
    if len(chosen) > 1:
        raise UsageError(f"--{chosen[0]} and --{chosen[1]} exclude each other")
    if force and output is None and report is None:
        raise UsageError("--force is for --output and --report")
    refuse_same_file(output=output, report=report)
    request = Request(
        paths=tuple(paths),
        form=chosen[0] if chosen else "table",
        model=model,
        device=device.value,
        precision=precision.value,
        offline=offline,
        batch_size=batch_size,
        workers=workers or available_cores(),
        fail_on_codec=fail_on is not None,
    )
    target = Output.checked(output, force)
    page = Output.extra(report, force, "--report")
    with quiet_libraries():
        status = run(request, target, page)
    raise typer.Exit(status)


def available_cores() -> int:
    """CPU cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def load_model(name: str, device: str, precision: str, offline: bool) -> Model:
    """Load a model as the options say; what is downloaded is announced on stderr."""
    from codecsleuth.cli.output import tell
    from codecsleuth.inference.model import Model

    return Model.load(name, device, precision=precision, offline=offline, announce=tell)


def run(request: Request, target: Output, page: Output | None = None) -> int:
    """Analyse, report and return the exit status."""
    from codecsleuth.audio.files import find_files
    from codecsleuth.inference.model import Analysis

    model = load_model(request.model, request.device, request.precision, request.offline)
    found = find_files(request.paths)
    results: list[Result] = []
    for result in _with_progress(_answers(model, found, request), len(found.paths), request):
        results.append(result)
        _stream(result, len(results) == 1, request, target)
    _finish(results, found, model, request, target, page)
    target.close()
    if not all(isinstance(result, Analysis) for result in results):
        return EXIT_INPUT
    hit = any(isinstance(result, Analysis) and result.verdict == "codec" for result in results)
    return EXIT_CODEC if hit and request.fail_on_codec else 0


def _answers(model: Model, found: Found, request: Request) -> Iterator[Result]:
    """Answers in the order of the paths, with those that lead to no file in their places."""
    from codecsleuth.inference.model import FileError, analyze_files

    readable = [path for path in found.paths if path not in found.problems]
    answers = analyze_files(model, readable, workers=request.workers, batch_size=request.batch_size)
    for path in found.paths:
        problem = found.problems.get(path)
        yield FileError(path, problem.kind, str(problem)) if problem else next(answers)
    answers.close()  # type: ignore[attr-defined]


def _with_progress(results: Iterator[Result], total: int, request: Request) -> Iterator[Result]:
    """Pass results on; report errors, and progress if there is a terminal to see it."""
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
    )

    console = Console(stderr=True, file=sys.stderr, highlight=False, soft_wrap=True)
    # Lines that stream onto the same terminal would run into the bar.
    streaming = request.form in ("jsonl", "csv") and bool(sys.stdout) and sys.stdout.isatty()
    shown = total > 1 and console.is_terminal and not console.is_dumb_terminal and not streaming
    columns = (TextColumn("Analysing"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True, disable=not shown) as progress:
        for result in progress.track(results, total=total):
            _complain_of(result, console)
            yield result


def _complain_of(result: Result, console: Console) -> None:
    from rich.text import Text

    from codecsleuth.inference.model import FileError
    from codecsleuth.text import printable

    if isinstance(result, FileError):
        line = f"codecsleuth: {printable(result.path)}: {printable(result.message)}"
        console.print(Text(line))


def _stream(result: Result, first: bool, request: Request, target: Output) -> None:
    from codecsleuth.report.document import csv_header, csv_line, json_line

    if request.form == "jsonl":
        target.write(json_line(result))
    elif request.form == "csv":
        target.write((csv_header() if first else "") + csv_line(result))


def _finish(
    results: list[Result],
    found: Found,
    model: Model,
    request: Request,
    target: Output,
    page: Output | None,
) -> None:
    from codecsleuth.report.document import content, document
    from codecsleuth.report.summary import summarize

    summary = summarize(results, found.left_out, folders=found.folders)
    if page is not None:
        from codecsleuth.report.analysis_page import analysis_page

        page.write(analysis_page(content(results, summary, model)))
        page.close()
    if request.form == "json":
        target.write(document(results, summary, model))
    elif request.form == "table":
        from codecsleuth.report.table import render

        console = _console(target)
        with console.capture() as captured:
            render(results, summary, model, console)
        target.write(captured.get())


def _console(target: Output) -> Console:
    """Plain text for a file; for stdout, what the terminal can show."""
    from rich.console import Console

    if target.path is not None:
        return Console(no_color=True, width=80, highlight=False, force_terminal=False)
    return Console(highlight=False)
