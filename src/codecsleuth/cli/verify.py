"""``codecsleuth verify``."""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from codecsleuth.cli import status
from codecsleuth.cli.loading import Computing
from codecsleuth.cli.options import CalibrationOption, JsonOption, OfflineOption, WorkersOption
from codecsleuth.errors import UsageError

if TYPE_CHECKING:
    from codecsleuth.inference.model import Model
    from codecsleuth.report.verification import Answers, Difference, Verified

SCHEMA: Final = "codecsleuth/verification/1"
#: Differences of one file that are named to people; JSON has all of them.
_NAMED: Final = 4
#: What of an entry tells most, most first; facts of the file tell least.
_TELLING: Final = ("error", "verdict", "log10_lr", "codec_probability", "status")


def verify(
    answers: Annotated[
        Path, typer.Argument(metavar="ANSWERS", help="What analyze --json or --jsonl has written.")
    ],
    model: Annotated[
        str | None,
        typer.Option(
            "--model",
            metavar="NAME|PATH",
            show_default="by the name in ANSWERS",
            help="The weights, if they are elsewhere.",
        ),
    ] = None,
    calibration: CalibrationOption = None,
    json: JsonOption = False,
    workers: WorkersOption = None,
    offline: OfflineOption = False,
) -> None:
    r"""Compute answers anew: are files, weights and answers what they were?

    The files are looked for under the paths in ANSWERS, seen from the present folder, and examined
    with the settings that it states.

    Exit status: 0 all identical; 1 something differs or cannot be read; 2 wrong usage.
    """
    from codecsleuth.cli.output import quiet_libraries
    from codecsleuth.report.verification import read_answers

    given = read_answers(answers)
    with quiet_libraries(), status.interruptible(lambda: "interrupted"):
        loaded = _load(given, model, calibration, offline)
        raise typer.Exit(_run(given, loaded, workers, _JsonPrinter() if json else _Printer()))


def _load(answers: Answers, name: str | None, calibration: Path | None, offline: bool) -> Model:
    from codecsleuth.cli.loading import load_model

    if calibration is None and "calibration" in answers.part("settings"):
        raise UsageError("the answers were recalibrated; --calibration says by which file")

    settings = [str(answers.part("settings", key)) for key in ("device", "precision")]
    named = str(answers.part("model", "name"))
    computing = Computing(settings[0], settings[1], offline, None, calibration=calibration)
    try:
        return load_model(name or named, computing)
    except UsageError as error:
        hint = "" if name else "; --model says where the weights are"
        raise UsageError(f"{error}{hint}") from error


def _run(answers: Answers, model: Model, workers: int | None, printer: _Printer) -> int:
    from codecsleuth.cli.loading import make_engine
    from codecsleuth.cli.progress import counting
    from codecsleuth.report.verification import IDENTICAL, Recount, run_differences, verify

    engine = make_engine(Computing(model.device, model.precision, True, workers))
    bearing, other = run_differences(answers, model)
    printer.begin(model, bearing, other)
    recount, outcomes = Recount(), Counter[str]()
    with counting("Verifying", None, shown=not sys.stdout.isatty()) as advance:
        for one in verify(answers, model, engine, recount):
            outcomes[one.outcome] += 1
            printer.result(one)
            advance(1)
    miscounted = recount.differences(answers.summary) if answers.summary is not None else []
    printer.end(outcomes, miscounted)
    same = not bearing and not miscounted and outcomes.total() == outcomes[IDENTICAL]
    return status.OK if same else status.INPUT


class _Printer:
    """Lines for people."""

    def begin(
        self, model: Model, bearing: Sequence[Difference], other: Sequence[Difference]
    ) -> None:
        """Say what is known of weights and settings."""
        weights = [one for one in bearing if one.key.startswith("model.")]
        settings = [one for one in bearing if not one.key.startswith("model.")]
        known = f"unchanged: {model.name} {model.version}, sha256 {model.sha256}"
        _print("Weights", f"DIFFER: {_named(weights)}" if weights else known)
        _print("Settings", f"DIFFER: {_named(settings)}" if settings else "unchanged")
        if other:
            _print("Tool", f"another version, which does not count: {_named(other)}")

    def result(self, one: Verified) -> None:
        """Say what became of an entry."""
        if not one.differences:
            _print(one.path, one.outcome)
            return
        changed = {True: "bytes unchanged", False: "BYTES CHANGED", None: "bytes not known"}
        _print(
            one.path,
            f"{one.outcome.upper()}: {changed[one.bytes_unchanged]}; {_named(one.differences)}",
        )

    def end(self, outcomes: Counter[str], miscounted: Sequence[Difference]) -> None:
        """Say how many there were."""
        if miscounted:
            _print("Summary", f"DIFFERS from the entries: {_named(miscounted)}")
        total = outcomes.total()
        counts = ", ".join(f"{count} {name}" for name, count in sorted(outcomes.items()))
        typer.echo(f"{total} file{'s' * (total != 1)}: {counts or 'nothing to verify'}")


class _JsonPrinter(_Printer):
    """One JSON document."""

    def __init__(self) -> None:
        self._document: dict[str, Any] = {}
        self._results: list[dict[str, Any]] = []

    def begin(
        self, model: Model, bearing: Sequence[Difference], other: Sequence[Difference]
    ) -> None:
        """Take what is known of weights and settings."""
        keys = [one.key for one in bearing]
        self._document = {
            "schema": SCHEMA,
            "model": {"name": model.name, "version": model.version, "sha256": model.sha256},
            "weights_unchanged": "model.sha256" not in keys,
            "settings_unchanged": not any(key.startswith("settings") for key in keys),
            "differences": [one._asdict() for one in (*bearing, *other)],
        }

    def result(self, one: Verified) -> None:
        """Take an entry."""
        self._results.append(one.to_dict())

    def end(self, outcomes: Counter[str], miscounted: Sequence[Difference]) -> None:
        """Print it."""
        from codecsleuth.report.verification import OUTCOMES

        counts = {"files": outcomes.total(), **{name: outcomes[name] for name in OUTCOMES}}
        self._document["differences"] += [one._asdict() for one in miscounted]
        document = {**self._document, "summary": counts, "results": self._results}
        typer.echo(json.dumps(document, ensure_ascii=False, indent=2))


def _named(differences: Sequence[Difference]) -> str:
    """The first few differences in words."""
    ranked = sorted(differences, key=_rank)
    parts = [f"{one.key} was {_short(one.was)}, now {_short(one.now)}" for one in ranked]
    more = len(parts) - _NAMED
    return "; ".join(parts[:_NAMED]) + (f"; and {more} more" if more > 0 else "")


def _rank(one: Difference) -> int:
    if one.key in _TELLING:
        return _TELLING.index(one.key)
    return len(_TELLING) + one.key.startswith("evidence.")


def _short(value: Any) -> str:
    if isinstance(value, dict) and "message" in value:
        value = value["message"]
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 70 else f"{text[:69]}…"


def _print(name: str, text: str) -> None:
    from codecsleuth.text import one_line

    typer.echo(one_line(f"{name}: {text}"))
