"""``codecsleuth evaluate``."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from codecsleuth.cli.analyze import Device, Precision, available_cores
from codecsleuth.errors import DataError, UsageError

if TYPE_CHECKING:
    from codecsleuth.cli.output import Output
    from codecsleuth.data.items import ItemTable
    from codecsleuth.evaluation.document import Report
    from codecsleuth.evaluation.scores import Unreadable
    from codecsleuth.evaluation.selection import Selection

EXIT_INPUT: Final = 1
SEED: Final = 0


@dataclass(frozen=True)
class Request:
    """One call of the command, without the choice of clips."""

    model: str
    device: str
    precision: str
    offline: bool
    workers: int
    draws: int
    as_json: bool


def evaluate(
    data: Annotated[
        Path, typer.Option(metavar="DIR", help="Folder with an items.csv, or CodecFake+.")
    ],
    protocol: Annotated[
        list[Path] | None,
        typer.Option(metavar="FILE", help="Take the clips of this CodecFake+ list; repeatable."),
    ] = None,
    split: Annotated[
        str | None,
        typer.Option(
            help="train, dev or test; of CodecFake+ also CoRS_ALL, CoSG_ALL or CoSG_SEEN. By "
            "default dev, or all clips of sources left out or of the lists named."
        ),
    ] = None,
    source: Annotated[
        list[str] | None, typer.Option(metavar="NAME", help="Only this source; repeatable.")
    ] = None,
    leave_out_source: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME", help="Only this source, which the weights must not know; repeatable."
        ),
    ] = None,
    fold: Annotated[
        str | None,
        typer.Option(metavar="K/N", help="Only the K-th of N groups of whole sources, likewise."),
    ] = None,
    model: Annotated[
        str, typer.Option(metavar="NAME|PATH", help="Model name, or a weights file.")
    ] = "compact",
    json: Annotated[bool, typer.Option("--json", help="One JSON document.")] = False,
    output: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write there instead of stdout.")
    ] = None,
    scores: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write each clip's scores there, as CSV.")
    ] = None,
    force: Annotated[
        bool, typer.Option("--force", help="Let --output and --scores overwrite a file.")
    ] = False,
    allow_missing: Annotated[
        bool, typer.Option("--allow-missing", help="Go on without audio that is not there.")
    ] = False,
    bootstrap: Annotated[
        int, typer.Option(min=0, max=100_000, help="Draws for the intervals; 0 for none.")
    ] = 1000,
    device: Annotated[Device, typer.Option(help="Where the network runs.")] = Device.cpu,
    precision: Annotated[
        Precision,
        typer.Option(help="Of a large network; auto: bfloat16 where the hardware computes in it."),
    ] = Precision.auto,
    workers: Annotated[
        int | None, typer.Option(min=1, max=256, show_default="CPU cores", help="Files at a time.")
    ] = None,
    offline: Annotated[bool, typer.Option("--offline", help="Never use the network.")] = False,
) -> None:
    """Measure a model on labelled clips: error rates, F1, confusion, calibration.

    Exit status: 0 all clips scored; 1 some could not be read (the others were scored); 2 wrong
    usage.
    """
    from codecsleuth.cli.data import read_table
    from codecsleuth.cli.output import Output, quiet_libraries
    from codecsleuth.evaluation.selection import DEFAULT_SPLIT, select

    if force and output is None and scores is None:
        raise UsageError("--force is for --output and --scores")
    if output is not None and output == scores:
        raise UsageError("--output and --scores name the same file")
    targets = Output.checked(output, force), _scores_target(scores, force)
    unseen = leave_out_source or fold
    splits = (split or DEFAULT_SPLIT,) if split or not (unseen or protocol) else None
    table = read_table(data, protocol, splits, allow_missing=allow_missing)
    selection = select(
        table, split=split, sources=source or (), left_out=leave_out_source or (), fold=fold
    )
    request = Request(
        model=model,
        device=device.value,
        precision=precision.value,
        offline=offline,
        workers=workers or available_cores(),
        draws=bootstrap,
        as_json=json,
    )
    with quiet_libraries():
        raise typer.Exit(run(request, table, selection, *targets))


def _scores_target(path: Path | None, force: bool) -> Output | None:
    from codecsleuth.cli.output import Output

    try:
        return None if path is None else Output.checked(path, force)
    except UsageError as error:
        raise UsageError(str(error).replace("--output", "--scores", 1)) from error


def run(
    request: Request, table: ItemTable, selection: Selection, target: Output, scores: Output | None
) -> int:
    """Score, evaluate, report and return the exit status."""
    from codecsleuth.cli.output import tell
    from codecsleuth.evaluation.document import Report
    from codecsleuth.evaluation.evaluate import evaluate as evaluated
    from codecsleuth.evaluation.scores import score_items, scores_csv
    from codecsleuth.evaluation.selection import overlap_warnings
    from codecsleuth.inference import Model

    model = Model.load(
        request.model,
        request.device,
        precision=request.precision,
        offline=request.offline,
        announce=tell,
    )
    with _progress(len(selection.items)) as advance:
        answers, unreadable = score_items(
            model, selection.items, workers=request.workers, advance=advance
        )
    _complain_of(unreadable)
    if not answers.items:
        raise DataError(f"{table.folder}: none of the {len(unreadable)} clips could be read")
    evaluation = evaluated(answers, model.calibration, draws=request.draws, seed=SEED)
    notes = (*overlap_warnings(selection, model.training), *model.notes)
    report = Report(evaluation, model, table, selection, unreadable, request.draws, SEED, notes)
    if scores is not None:
        scores.write(scores_csv(answers, model.calibration))
        scores.close()
    target.write(report.to_json() if request.as_json else _as_text(report, target))
    target.close()
    if request.as_json or target.path is not None:
        _say(f"codecsleuth: {warning}" for warning in report.warnings)
    return EXIT_INPUT if unreadable else 0


@contextmanager
def _progress(total: int) -> Iterator[Callable[[], None]]:
    """Something to call once per clip; shown if there is a terminal to see it."""
    from rich.console import Console
    from rich.progress import Progress

    console = Console(stderr=True, file=sys.stderr)
    shown = console.is_terminal and not console.is_dumb_terminal
    with Progress(console=console, transient=True, disable=not shown) as progress:
        task = progress.add_task("Scoring", total=total)
        yield lambda: progress.advance(task)


def _complain_of(unreadable: Iterable[Unreadable]) -> None:
    _say(f"codecsleuth: {bad.item.path} (row {bad.item.row}): {bad.message}" for bad in unreadable)


def _say(lines: Iterable[str]) -> None:
    from codecsleuth.report.words import printable

    for line in lines:
        typer.echo(printable(line), err=True)


def _as_text(report: Report, target: Output) -> str:
    """Plain text of 80 columns for a file; for stdout, what the terminal can show."""
    from rich.console import Console

    from codecsleuth.evaluation.tables import render

    console = Console(highlight=False)
    if target.path is not None:
        console = Console(no_color=True, width=80, highlight=False, force_terminal=False)
    with console.capture() as captured:
        console.print(render(report, console.width))
    return captured.get()
