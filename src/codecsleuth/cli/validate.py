"""``codecsleuth validate``."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

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
    ModelOption,
    OfflineOption,
    OutputOption,
    PlotsOption,
    Precision,
    PrecisionOption,
    WorkersOption,
)
from codecsleuth.errors import DataError, UsageError

if TYPE_CHECKING:
    from codecsleuth.cli.output import Output
    from codecsleuth.data.items import ItemTable
    from codecsleuth.evaluation.validation import Validation

SEED = 0


@dataclass(frozen=True)
class Request:
    """What one call of the command asks for; the files can be written."""

    data: Path
    allow_missing: bool
    model: str
    computing: Computing
    draws: int
    target: Output
    page: Output | None
    calibration: Output | None


def validate(
    data: Annotated[
        Path,
        typer.Option(
            metavar="DIR",
            help="Folder with an items.csv, or with the folders codec and bona_fide (and vocoder).",
        ),
    ],
    model: ModelOption = "compact",
    calibration: CalibrationOption = None,
    json: JsonOption = False,
    output: OutputOption = None,
    report: PlotsOption = None,
    calibration_out: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Fit a recalibration, measure it by leaving sources out, and write it there.",
        ),
    ] = None,
    force: Annotated[
        bool,
        typer.Option(
            "--force", help="Let --output, --report and --calibration-out overwrite a file."
        ),
    ] = False,
    allow_missing: AllowMissingOption = False,
    bootstrap: BootstrapOption = 1000,
    device: DeviceOption = Device.cpu,
    precision: PrecisionOption = Precision.float32,
    workers: WorkersOption = None,
    offline: OfflineOption = False,
) -> None:
    r"""Validate a model on a laboratory's own labelled recordings, in the condition of a case.

    Cllr and its parts, Tippett, PAV and reliability plots, errors with refusals counted, the limits
    of the likelihood ratio that the sources support.

    Exit status: 0 all analysed; 1 some recording could not be (it counts as a refusal); 2 wrong
    usage.

    \b
    Examples:
      codecsleuth validate --data phones/ --report phones.html
      codecsleuth validate --data phones/ --calibration-out phones.json
      codecsleuth analyze exhibit.wav --calibration phones.json
    """
    from codecsleuth.cli.output import Output, quiet_libraries, refuse_same_file

    if calibration and calibration_out:
        raise UsageError("--calibration-out fits to the model itself; leave --calibration out")
    if force and not (output or report or calibration_out):
        raise UsageError("--force is for --output, --report and --calibration-out")
    request = Request(
        data=data,
        allow_missing=allow_missing,
        model=model,
        computing=Computing(device, precision, offline, workers, calibration=calibration),
        draws=bootstrap,
        target=Output.checked(output, force),
        page=Output.extra(report, force, "--report"),
        calibration=Output.extra(calibration_out, force, "--calibration-out"),
    )
    refuse_same_file(request.target, request.page, request.calibration)
    with quiet_libraries():
        validation = _measure(request)
        _write(request, validation, json)
    raise typer.Exit(status.INPUT if validation.unreadable else status.OK)


def _measure(request: Request) -> Validation:
    """Score the recordings; what is wrong with weights or outputs is noticed before."""
    from codecsleuth.cli.loading import load_model, make_engine
    from codecsleuth.cli.progress import counting
    from codecsleuth.data.folders import read_laboratory
    from codecsleuth.evaluation.score_file import Provenance, ScoreFile
    from codecsleuth.evaluation.scores import score_items
    from codecsleuth.evaluation.selection import Selection, overlap_warnings
    from codecsleuth.evaluation.validation import Validation

    table = read_laboratory(request.data, allow_missing=request.allow_missing)
    for note in table.notes:
        status.tell(note)
    if not table.items:
        raise DataError(f"{table.folder}: none of the recordings is there")
    _refuse_inputs(request, table)
    model = load_model(request.model, request.computing)
    engine = make_engine(request.computing)
    with counting("Scoring", len(table.items)) as advance:
        scores, unreadable = score_items(model, table.items, engine, lambda: advance(1))
    for clip in unreadable:
        status.tell(f"{clip.item.path}: {clip.message}")
    selection = Selection(table, table.items, table.missing, None, None, None, left_out=True)
    limits = (finding.message for finding in model.findings)
    notes = (*overlap_warnings(selection, model.training), *limits)
    return Validation(
        run=ScoreFile(scores, Provenance.of(model, selection, unreadable, notes)),
        unreadable=tuple(clip.item for clip in unreadable),
        refit=request.calibration is not None,
        draws=request.draws,
        seed=SEED,
    )


def _refuse_inputs(request: Request, table: ItemTable) -> None:
    from codecsleuth.cli.output import refuse_inputs
    from codecsleuth.data.items import TABLE
    from codecsleuth.weights import find_weights

    weights = find_weights(request.model, offline=request.computing.offline, announce=status.tell)
    audio = (item.path for item in (*table.items, *table.missing))
    own = filter(None, [request.computing.calibration])
    outputs = (request.target, request.page, request.calibration)
    refuse_inputs((weights, table.folder / TABLE, *own, *audio), *outputs)


def _write(request: Request, validation: Validation, as_json: bool) -> None:
    """Write all that is asked for; nothing of it if a figure cannot be had."""
    from codecsleuth.cli.console import ConsoleOutput
    from codecsleuth.evaluation.validation_document import validation_json
    from codecsleuth.report.validation_page import validation_page
    from codecsleuth.report.validation_tables import render_validation

    page = validation_page(validation) if request.page else ""
    document = validation_json(validation) if as_json else ""
    fitted = validation.recalibration
    if request.calibration is not None and fitted is not None and validation.recalibrated:
        with request.calibration as file:
            file.write(fitted.to_bytes().decode())
    if request.page is not None:
        with request.page as file:
            file.write(page)
    with request.target as target:
        if as_json:
            target.write(document)
        else:
            console = ConsoleOutput.of(target)
            console.print(render_validation(validation))
    if as_json or target.path is not None:
        for warning in validation.warnings:
            status.tell(warning)
