"""Published weights that can be fetched: the table ``registry.csv`` beside this file."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from functools import cache
from pathlib import Path, PurePosixPath

from codecsleuth.taxonomy import KINDS


@dataclass(frozen=True)
class Published:
    """Weights that their authors publish.

    Attributes:
        name: what ``--model`` takes.
        kind: one of the paper's kinds of model.
        balance: axis whose classes are equally frequent in the training list; empty where
            the file's name does not say.
        repository: on the Hugging Face hub.
        revision: of it; a branch, since no revision is stated anywhere.
        file: path in the repository.
        gigabytes: to download, about.
        licence: as its authors state it.
    """

    name: str
    kind: str
    balance: str
    repository: str
    revision: str
    file: str
    gigabytes: float
    licence: str

    @property
    def tasks(self) -> tuple[str, ...]:
        """The tasks that the model answers."""
        return KINDS[self.kind]

    @property
    def file_name(self) -> str:
        """The last part of the path."""
        return PurePosixPath(self.file).name


@cache
def registry() -> dict[str, Published]:
    """All published weights by name, in the order of the table."""
    table = Path(__file__).with_name("registry.csv").read_text(encoding="utf-8")
    rows = csv.DictReader(table.splitlines())
    return {
        row["name"]: Published(**{**row, "gigabytes": float(row["gigabytes"])})  # type: ignore[arg-type]
        for row in rows
    }
