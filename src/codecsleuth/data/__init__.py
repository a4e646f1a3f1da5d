"""Labelled data: the table of clips, folds of sources, sampling, and CodecFake+."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from codecsleuth.data.codecfake.reader import read_codecfake
from codecsleuth.data.codecfake.sets import FOLDER, absent_message, find_codecfake
from codecsleuth.data.items import TABLE, ItemTable, read_items
from codecsleuth.errors import DataError, UsageError

__all__ = ["ItemTable", "read_data"]


def read_data(
    folder: str | Path,
    *,
    protocols: Sequence[str | Path] = (),
    splits: Sequence[str] | None = None,
    allow_missing: bool = False,
    balance: str | None = None,
    seed: int = 1234,
) -> ItemTable:
    """Read a data folder of either kind.

    Args:
        folder: with an ``items.csv``, all of which is read; or CodecFake+, or the folder that
            holds it, of which sets are read as `read_codecfake` has it.
        protocols: lists of CodecFake+.
        splits: sets of CodecFake+.
        allow_missing: leave clips out whose audio is not there (they are listed in ``missing``).
        balance: axis of a balanced draw from CodecFake+ without lists.
        seed: of that draw.

    Raises:
        DataError: the folder cannot be used; one line that says what to do.
        UsageError: the arguments do not go together.
    """
    folder = Path(folder)
    table = folder / TABLE
    if table.exists():
        if protocols:
            raise UsageError(f"--protocol is for CodecFake+; {table} says what is in this folder")
        return read_items(folder, allow_missing=allow_missing)
    root = find_codecfake(folder)
    if root is None and (protocols or folder.name.casefold().startswith(FOLDER.casefold()[:-1])):
        raise DataError(absent_message(folder))
    if root is None:
        return read_items(folder, allow_missing=allow_missing)
    return read_codecfake(
        root,
        protocols=[Path(path) for path in protocols],
        splits=splits,
        allow_missing=allow_missing,
        balance=balance,
        seed=seed,
    )
