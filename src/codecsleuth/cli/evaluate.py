"""``codecsleuth evaluate``."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from codecsleuth.cli.options import Device, Precision
from codecsleuth.errors import DataError, UsageError
from codecsleuth.inference.compute import available_cores

if TYPE_CHECKING:
    from codecsleuth.cli.output import Output
    from codecsleuth.evaluation.document import Report
    from codecsleuth.evaluation.scores import Scored, Unreadable
    from codecsleuth.evaluation.selection import Selection

EXIT_INPUT: Final = 1
SEED: Final = 0
FOLD_MARK: Final = "{fold}"


@dataclass(frozen=True)
class Job:
    """One model and the clips it is to score."""

    model: str
    selection: Selection
    scores: Output | None


@dataclass(frozen=True)
class Computing:
    """How models compute."""

    device: str
    precision: str
    offline: bool
    workers: int


def evaluate(
    data: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Folder with an items.csv, or CodecFake+."),
    ] = None,
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
    folds: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            min=2,
            help="N folds, a model each; {fold} in --model and --scores is the number.",
        ),
    ] = None,
    from_scores: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="FILE", help="Take the scores from a file of --scores; several are pooled."
        ),
    ] = None,
    model: Annotated[
        str | None,
        typer.Option(
            metavar="NAME|PATH", show_default="compact", help="Model name, or a weights file."
        ),
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="One JSON document.")] = False,
    output: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write there instead of stdout.")
    ] = None,
    scores: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write each clip's scores there, as CSV.")
    ] = None,
    report: Annotated[
        Path | None, typer.Option(metavar="FILE.html", help="Write a page with plots there.")
    ] = None,
    force: Annotated[
        bool, typer.Option("--force", help="Let --output, --scores and --report overwrite a file.")
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
    from functools import partial

    from codecsleuth.cli.output import Output, quiet_libraries, refuse_same_file
    from codecsleuth.evaluation.document import Report

    choice = {
        "--data": data,
        "--protocol": protocol,
        "--split": split,
        "--source": source,
        "--leave-out-source": leave_out_source,
        "--fold": fold,
        "--folds": folds,
        "--model": model,
        "--scores": scores,
        "--allow-missing": allow_missing,
    }
    _check_options(choice, from_scores, model or "", str(scores or FOLD_MARK))
    if force and output is None and scores is None and report is None:
        raise UsageError("--force is for --output, --scores and --report")
    refuse_same_file(output=output, scores=scores, report=report)
    target = Output.checked(output, force)
    page = Output.extra(report, force, "--report")
    computing = Computing(device.value, precision.value, offline, workers or available_cores())

    def job(number: str, select: Callable[..., Selection]) -> Job:
        """The work of one fold; of all if there are none."""
        place = None if scores is None else Path(str(scores).replace(FOLD_MARK, number))
        chosen = select(
            split=split,
            sources=source or (),
            left_out=leave_out_source or (),
            fold=f"{number}/{folds}" if folds else fold,
        )
        name = (model or "compact").replace(FOLD_MARK, number)
        return Job(name, chosen, Output.extra(place, force, "--scores"))

    with quiet_libraries():
        if from_scores:
            from codecsleuth.evaluation.scores import read_scored

            runs = [read_scored(path) for path in from_scores]
        else:
            from codecsleuth.cli.loading import read_table
            from codecsleuth.evaluation.selection import DEFAULT_SPLIT, select

            unseen = leave_out_source or fold or folds
            splits = (split or DEFAULT_SPLIT,) if split or not (unseen or protocol) else None
            table = read_table(data or Path(), protocol, splits, allow_missing=allow_missing)
            numbers = [str(n + 1) for n in range(folds)] if folds else [FOLD_MARK]
            runs = score_all([job(n, partial(select, table)) for n in numbers], computing)
        finished = Report(tuple(runs), bootstrap, SEED, tuple(from_scores or ()))
        _answer(finished, json, target, page)
    unread = not from_scores and any(run.origin.unreadable for run in runs)
    raise typer.Exit(EXIT_INPUT if unread else 0)


def _check_options(
    choice: Mapping[str, object], from_scores: list[Path] | None, model: str, scores: str
) -> None:
    """Refuse options that do not go together.

    Raises:
        UsageError: with what to do instead.
    """
    if from_scores:
        given = [name for name, value in choice.items() if value]
        if given:
            raise UsageError(f"{given[0]} is not for --from-scores: the file says what was scored")
        return
    if not choice["--data"]:
        raise UsageError("name the clips with --data, or a file of scores with --from-scores")
    if choice["--folds"]:
        others = [n for n in ("--fold", "--source", "--leave-out-source") if choice[n]]
        if others:
            raise UsageError(f"--folds and {others[0]} exclude each other")
        for option, value in (("--model", model), ("--scores", scores)):
            if FOLD_MARK not in value:
                raise UsageError(f"{option} with --folds needs {FOLD_MARK!r}, the fold's number")


def score_all(jobs: list[Job], computing: Computing) -> list[Scored]:
    """Score every job's clips; weights that are not there are found out before the first."""
    from codecsleuth.cli.status import tell
    from codecsleuth.weights import find_weights

    for job in jobs:
        find_weights(job.model, offline=computing.offline, announce=tell)
    return [_score(job, computing) for job in jobs]


def _score(job: Job, computing: Computing) -> Scored:
    """Score a job's clips, and write the scores down at once if they are asked for."""
    from codecsleuth.evaluation.scores import Origin, Scored, score_items, scores_csv
    from codecsleuth.evaluation.selection import overlap_warnings

    selection = job.selection
    from codecsleuth.inference.model import Model

    model = Model.load(job.model, computing.device)
    with _progress(len(selection.items)) as advance:
        answers, unreadable = score_items(
            model, selection.items, workers=computing.workers, advance=advance
        )
    _complain_of(unreadable)
    if not answers.items:
        folder = selection.table.folder
        raise DataError(f"{folder}: none of the {len(unreadable)} clips could be read")
    notes = (*overlap_warnings(selection, model.training), *model.notes)
    scored = Scored(answers, Origin.of(model, selection, unreadable, notes))
    if job.scores is not None:
        job.scores.write(scores_csv(scored))
        job.scores.close()
    return scored


def _answer(report: Report, as_json: bool, target: Output, page: Output | None) -> None:
    if page is not None:
        from codecsleuth.report.evaluation_page import evaluation_page

        page.write(evaluation_page(report))
        page.close()
    target.write(report.to_json() if as_json else _as_text(report, target))
    target.close()
    if as_json or target.path is not None:
        _say(f"codecsleuth: {warning}" for warning in report.warnings)


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
    from codecsleuth.text import printable

    for line in lines:
        typer.echo(printable(line), err=True)


def _as_text(report: Report, target: Output) -> str:
    """Plain text of 80 columns for a file; for stdout, what the terminal can show."""
    from rich.console import Console

    from codecsleuth.report.evaluation_tables import render

    console = Console(highlight=False)
    if target.path is not None:
        console = Console(no_color=True, width=80, highlight=False, force_terminal=False)
    with console.capture() as captured:
        console.print(render(report, console.width))
    return captured.get()
