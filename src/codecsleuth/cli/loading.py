"""Loading of models and data tables for commands; what there is to know goes to stderr."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from codecsleuth.cli.status import tell
from codecsleuth.errors import UsageError

if TYPE_CHECKING:
    from codecsleuth.data.items import ItemTable
    from codecsleuth.inference.engine import Engine
    from codecsleuth.inference.model import Model


@dataclass(frozen=True)
class Computing:
    """How models compute, and what spreads the work."""

    device: str
    precision: str
    offline: bool
    workers: int | None
    engine: str = "local"
    calibration: Path | None = None


def load_model(name: str, computing: Computing) -> Model:
    """Load a model as the options say; a download is announced.

    Raises:
        UsageError: no such model or device, or the recalibration is not one for these weights.
        WeightsError: the weights are damaged or cannot be downloaded.
    """
    from codecsleuth.inference.model import Model

    return Model.load(
        name,
        computing.device,
        precision=computing.precision,
        offline=computing.offline,
        calibration=computing.calibration,
        announce=tell,
    )


def make_engine(computing: Computing) -> Engine:
    """The engine of that name.

    Raises:
        UsageError: there is none, or it is not installed.
    """
    from codecsleuth.inference.engine.local import LocalEngine

    if computing.engine == "local":
        return LocalEngine(computing.workers)
    raise UsageError(f"--engine {computing.engine}: no such engine; there is local")


def read_table(
    folder: Path, protocols: Sequence[Path] | None, splits: Sequence[str] | None, **options: Any
) -> ItemTable:
    """Read a data folder as `codecsleuth.data.read_data` does, and say what there is to know."""
    from codecsleuth.data import read_data
    from codecsleuth.data.items import missing_message

    table = read_data(folder, protocols=protocols or (), splits=splits, **options)
    for note in table.notes:
        tell(note)
    if table.missing:
        tell(missing_message(table.folder, table.missing, len(table) + len(table.missing)))
    return table
