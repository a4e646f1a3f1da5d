"""``codecsleuth evaluate``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from codecsleuth.cli import status
from codecsleuth.cli.loading import Computing
from codecsleuth.cli.options import (
    AllowMissingOption,
    BootstrapOption,
    CalibrationOption,
    Device,
    DeviceOption,
    JsonOption,
    OfflineOption,
    OutputOption,
    PlotsOption,
    Precision,
    PrecisionOption,
    ProtocolOption,
    WorkersOption,
)
from codecsleuth.errors import DataError, UsageError

if TYPE_CHECKING:
    from codecsleuth.cli.output import Output
    from codecsleuth.data.items import ItemTable
    from codecsleuth.evaluation.document import Report
    from codecsleuth.evaluation.score_file import ScoreFile
    from codecsleuth.evaluation.selection import Selection

SEED: Final = 0
FOLD_MARK: Final = "{fold}"
DEFAULT_MODEL: Final = "compact"


@dataclass(frozen=True)
class Clips:
    """Which clips of which data folder."""

    data: Path | None
    protocols: tuple[Path, ...]
    split: str | None
    sources: tuple[str, ...]
    left_out: tuple[str, ...]
    fold: str | None
    folds: int | None
    allow_missing: bool

    def read(self) -> ItemTable:
        """The data folder's clips."""
        from codecsleuth.cli.loading import read_table
        from codecsleuth.evaluation.selection import DEFAULT_SPLIT

        held_out = self.left_out or self.fold or self.folds
        by_default = None if held_out or self.protocols else DEFAULT_SPLIT
        split = self.split or by_default
        return read_table(
            self.data or Path(),
            self.protocols,
            (split,) if split else None,
            allow_missing=self.allow_missing,
        )

    def select(self, table: ItemTable, number: str) -> Selection:
        """The clips of one fold; all if there are none."""
        from codecsleuth.evaluation.selection import select

        return select(
            table,
            split=self.split,
            sources=self.sources,
            left_out=self.left_out,
            fold=f"{number}/{self.folds}" if self.folds else self.fold,
        )


@dataclass(frozen=True)
class Job:
    """One model, the clips that it is to score, and the file for the scores."""

    model: str
    selection: Selection
    scores: Output | None


def evaluate(
    data: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Folder with an items.csv, or CodecFake+."),
    ] = None,
    protocol: ProtocolOption = None,
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
    calibration: CalibrationOption = None,
    json: JsonOption = False,
    output: OutputOption = None,
    scores: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Write each clip's scores there, as CSV (.csv, .csv.gz or .csv.xz).",
        ),
    ] = None,
    report: PlotsOption = None,
    force: Annotated[
        bool, typer.Option("--force", help="Let --output, --scores and --report overwrite a file.")
    ] = False,
    allow_missing: AllowMissingOption = False,
    bootstrap: BootstrapOption = 1000,
    device: DeviceOption = Device.cpu,
    precision: PrecisionOption = Precision.float32,
    workers: WorkersOption = None,
    offline: OfflineOption = False,
) -> None:
    """Measure a model on labelled clips: error rates, F1, confusion, calibration.

    Exit status: 0 all clips scored; 1 some could not be read (the others were scored); 2 wrong
    usage.
    """
    from codecsleuth.cli.output import Output, quiet_libraries, refuse_inputs, refuse_same_file
    from codecsleuth.evaluation.document import Report
    from codecsleuth.evaluation.score_file import read_score_file

    choice = {
        "--data": data,
        "--protocol": protocol,
        "--split": split,
        "--source": source,
        "--leave-out-source": leave_out_source,
        "--fold": fold,
        "--folds": folds,
        "--model": model,
        "--calibration": calibration,
        "--scores": scores,
        "--allow-missing": allow_missing,
    }
    _check_options(choice, from_scores, model or "", str(scores or FOLD_MARK))
    if force and output is None and scores is None and report is None:
        raise UsageError("--force is for --output, --scores and --report")
    target, page = Output.checked(output, force), Output.extra(report, force, "--report")
    refuse_same_file(target, page, Output(scores, "--scores"))
    clips = Clips(
        data,
        tuple(protocol or ()),
        split,
        tuple(source or ()),
        tuple(leave_out_source or ()),
        fold,
        folds,
        allow_missing,
    )
    computing = Computing(device, precision, offline, workers, calibration=calibration)
    with quiet_libraries():
        if from_scores:
            refuse_inputs(from_scores, target, page)
            runs = [read_score_file(path) for path in from_scores]
        else:
            jobs = _jobs(clips, model or DEFAULT_MODEL, scores, force)
            runs = score_all(clips, jobs, computing, (target, page))
        _answer(Report(tuple(runs), bootstrap, SEED, tuple(from_scores or ())), json, target, page)
    unread = not from_scores and any(run.provenance.unreadable for run in runs)
    raise typer.Exit(status.INPUT if unread else status.OK)


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
    if choice["--folds"] and choice["--calibration"]:
        raise UsageError("--calibration is for one model; --folds has one a fold")
    if choice["--folds"]:
        others = [n for n in ("--fold", "--source", "--leave-out-source") if choice[n]]
        if others:
            raise UsageError(f"--folds and {others[0]} exclude each other")
        for option, value in (("--model", model), ("--scores", scores)):
            if FOLD_MARK not in value:
                raise UsageError(f"{option} with --folds needs {FOLD_MARK!r}, the fold's number")


def _jobs(clips: Clips, model: str, scores: Path | None, force: bool) -> list[Job]:
    """The work of each fold, or of all clips at once; its files can be written."""
    from codecsleuth.cli.output import Output

    table = clips.read()
    jobs = []
    for number in [str(n + 1) for n in range(clips.folds)] if clips.folds else [FOLD_MARK]:
        path = None if scores is None else Path(str(scores).replace(FOLD_MARK, number))
        selection = clips.select(table, number)
        output = Output.extra(path, force, "--scores")
        jobs.append(Job(model.replace(FOLD_MARK, number), selection, output))
    return jobs


def score_all(
    clips: Clips, jobs: list[Job], computing: Computing, outputs: tuple[Output | None, ...]
) -> list[ScoreFile]:
    """Score every job's clips; what is wrong with weights or outputs is noticed before the first.

    Args:
        clips: of which the jobs are parts.
        jobs: a model and its clips each.
        computing: how models compute.
        outputs: other files that will be written.
    """
    from codecsleuth.cli.output import refuse_inputs
    from codecsleuth.data.items import TABLE
    from codecsleuth.weights import find_weights

    offline, tell = computing.offline, status.tell
    weights = [find_weights(job.model, offline=offline, announce=tell) for job in jobs]
    tables = [job.selection.table for job in jobs[:1]]
    audio = [item.path for table in tables for item in (*table.items, *table.missing)]
    lists = [table.folder / TABLE for table in tables]
    own = [computing.calibration] if computing.calibration else []
    inputs = [*weights, *own, *clips.protocols, *lists, *audio]
    refuse_inputs(inputs, *outputs, *(job.scores for job in jobs))
    return [_score(job, computing) for job in jobs]


def _score(job: Job, computing: Computing) -> ScoreFile:
    """Score a job's clips, and write the scores down at once if they are asked for."""
    from codecsleuth.cli.loading import load_model, make_engine
    from codecsleuth.cli.progress import counting
    from codecsleuth.evaluation.score_file import Provenance, ScoreFile
    from codecsleuth.evaluation.scores import score_items
    from codecsleuth.evaluation.selection import overlap_warnings

    selection, engine = job.selection, make_engine(computing)
    model = load_model(job.model, computing)
    with counting("Scoring", len(selection.items)) as advance:
        scores, unreadable = score_items(model, selection.items, engine, lambda: advance(1))
    for clip in unreadable:
        status.tell(f"{clip.item.path} (row {clip.item.row}): {clip.message}")
    if not scores.items:
        folder = selection.table.folder
        raise DataError(f"{folder}: none of the {len(unreadable)} clips could be read")
    limits = (finding.message for finding in model.findings)
    notes = (*overlap_warnings(selection, model.training), *limits)
    run = ScoreFile(scores, Provenance.of(model, selection, unreadable, notes))
    if job.scores is not None and job.scores.path is not None:
        run.write(job.scores.path)
    return run


def _answer(report: Report, as_json: bool, target: Output, page: Output | None) -> None:
    """Write the figures, as a page too if there is to be one."""
    from codecsleuth.cli.console import ConsoleOutput
    from codecsleuth.report.evaluation_tables import render

    if page is not None:
        from codecsleuth.report.evaluation_page import evaluation_page

        page.write(evaluation_page(report))
        page.close()
    with target:
        if as_json:
            target.write(report.to_json())
        else:
            console = ConsoleOutput.of(target)
            console.print(render(report, console.width))
    if as_json or target.path is not None:
        for warning in report.warnings:
            status.tell(warning)
