"""``codecsleuth analyze``."""

from __future__ import annotations

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
    from codecsleuth.cli.inputs import Selection
    from codecsleuth.report.analysis_page import PageOptions


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
        selection: the recordings.
        form: ``table``, ``json``, ``jsonl`` or ``csv``.
        sort: order of the table; None for that of the files.
        model: name or path.
        computing: how it computes.
        fail_on: verdicts that set the exit status.
        force: whether files may be overwritten.
        resume: whether an interrupted run goes on.
        page: what a page has beside the answers; None if none is asked for.
    """

    selection: Selection
    form: str
    sort: str | None
    model: str
    computing: Computing
    fail_on: tuple[FailOn, ...]
    force: bool
    resume: bool
    page: PageOptions | None = None

    def named(self) -> dict[str, object]:
        """What a journal says of it."""
        selection = self.selection
        return {
            "paths": list(selection.paths),
            "files_from": selection.files_from,
            "form": self.form,
            "force": self.force,
        }


def analyze(
    paths: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="PATH...",
            show_default=False,
            help="Audio or video files, folders of them, URLs, or -.",
        ),
    ] = None,
    batch: Annotated[
        bool, typer.Option("--batch", help="PATH is a folder: analyse every file below it.")
    ] = False,
    files_from: Annotated[
        str | None,
        typer.Option(
            metavar="FILE|-", help="Take further paths from a list, separated by newlines or NUL."
        ),
    ] = None,
    shard: Annotated[
        str,
        typer.Option(
            metavar="K/N", help="Only the K-th of N equal shares, told apart by the path's hash."
        ),
    ] = "1/1",
    start: Annotated[
        float | None, typer.Option(metavar="S", help="Begin there, in seconds.")
    ] = None,
    end: Annotated[float | None, typer.Option(metavar="S", help="End there, in seconds.")] = None,
    channel: Annotated[
        str,
        typer.Option(
            metavar="mix|each|N", help="Mean of the channels, an answer for each, or one of them."
        ),
    ] = "mix",
    track: Annotated[int, typer.Option(metavar="N", help="Audio track of a video.")] = 1,
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
    case: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE.toml", help="Case, exhibits, examiner and date for the page of --report."
        ),
    ] = None,
    embed_audio: Annotated[
        bool,
        typer.Option(
            "--embed-audio", help="Make the recordings part of the page (10 min at most)."
        ),
    ] = False,
    force: Annotated[
        bool, typer.Option("--force", help="Let --output and --report overwrite a file.")
    ] = False,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with a run to --output that was interrupted.")
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
    """Say of speech recordings whether they passed through a neural codec, and of which kind.

    Exit status: 0 all analysed; 1 some input could not be; 2 wrong usage; 3 by --fail-on.

    A verdict does not change the exit status unless --fail-on asks for that.

    \b
    Examples:
      codecsleuth analyze suspicious.wav
      codecsleuth analyze --batch folder/ --json -o answers.json
      codecsleuth analyze *.m4a --report page.html
      ffmpeg -i talk.mkv -f wav - | codecsleuth analyze -
    """  # noqa: D301 - the backspace keeps lines as they are
    from codecsleuth.audio.files import Shard
    from codecsleuth.cli.analysis_run import run
    from codecsleuth.cli.inputs import Selection, make_excerpt
    from codecsleuth.cli.journaled import may_replace
    from codecsleuth.cli.output import Output, quiet_libraries, refuse_same_file

    excerpt, each = make_excerpt(start, end, channel, track)
    goes_on, replace = may_replace(output, resume, force)
    request = Request(
        selection=Selection(
            tuple(paths or ()), files_from, Shard.parse(shard), excerpt, each, offline
        ),
        form=_form(json=json, jsonl=jsonl, csv=csv),
        sort=sort,
        model=model,
        computing=Computing(device, precision, offline, workers, engine, calibration),
        fail_on=tuple(fail_on or ()),
        force=replace,
        resume=resume,
        page=_page_options(report, case, embed_audio),
    )
    _check(request, batch)
    if force and output is None and report is None:
        raise UsageError("--force is for --output and --report")
    target = Output.checked(output, replace, resumed=goes_on)
    page = Output.extra(report, replace, "--report", resumed=goes_on)
    refuse_same_file(target, page)
    with quiet_libraries():
        raise typer.Exit(run(request, target, page))


def _page_options(report: Path | None, case: Path | None, embed_audio: bool) -> PageOptions | None:
    """What the page has beside the answers; None if no page is asked for.

    Raises:
        UsageError: an option of the page without a page, or a case file that cannot be used.
    """
    if report is None:
        for option, given in (("--case", case is not None), ("--embed-audio", embed_audio)):
            if given:
                raise UsageError(f"{option} is for the page of --report")
        return None
    from codecsleuth.report.analysis_page import PageOptions
    from codecsleuth.report.case import Case, read_case

    stated = Case() if case is None else read_case(case)
    return PageOptions(stated, embed_audio, status.tell)


def _form(**chosen: bool) -> str:
    names = [name for name, on in chosen.items() if on]
    if len(names) > 1:
        raise UsageError(f"--{names[0]} and --{names[1]} exclude each other")
    return names[0] if names else "table"


def _check(request: Request, batch: bool) -> None:
    from codecsleuth.audio.files import is_folder

    request.selection.check()
    if batch:
        for path in request.selection.paths:
            if not is_folder(path):
                raise UsageError(f"--batch {path}: not a folder; leave --batch out for a file")
    if request.sort and request.form != "table":
        raise UsageError(f"--sort is for the table, not for --{request.form}")
