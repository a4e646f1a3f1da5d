"""Rows of a CSV table that a person wrote: what is wrong with it is said with the row's number."""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Iterator, Sequence
from io import StringIO
from pathlib import Path

from codecsleuth.errors import DataError

Row = dict[str, str]


def read_bytes(table: Path) -> bytes:
    """The content of a table.

    Raises:
        DataError: it cannot be read; says whether the table or its folder is missing.
    """
    try:
        return table.read_bytes()
    except FileNotFoundError as error:
        if not table.parent.is_dir():
            raise DataError(f"{table.parent}: no such folder") from error
        raise DataError(f"{table.parent}: no {table.name} in this folder") from error
    except OSError as error:
        if table.parent.exists() and not table.parent.is_dir():
            raise DataError(f"{table.parent}: not a folder with an {table.name}") from error
        raise DataError(f"{table}: cannot read the table: {error.strerror or error}") from error


def read_rows(
    table: Path, content: bytes, required: Sequence[str], optional: Sequence[str]
) -> Iterator[tuple[int, Row]]:
    """Rows by column with their numbers (the header is row 1), empty lines left out.

    Args:
        table: name of the table, for messages.
        content: UTF-8 text.
        required: columns that must be there.
        optional: columns that may be there.

    Raises:
        DataError: this is no such table; names the row.
    """
    records = _records(table, content)
    number, header = next(records, (1, []))
    _check_columns(table, header, required, optional)
    for number, record in records:
        if len(record) != len(header):
            raise DataError(
                f"{table}, row {number}: {len(record)} values for {len(header)} columns"
            )
        yield number, dict(zip(header, (value.strip() for value in record), strict=True))


def _records(table: Path, content: bytes) -> Iterator[tuple[int, list[str]]]:
    """Rows with their numbers, empty lines left out."""
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        row = content.count(b"\n", 0, error.start) + 1
        raise DataError(f"{table}, row {row}: not UTF-8 text") from error
    number = 0
    try:
        for number, record in enumerate(csv.reader(StringIO(text, newline=""), strict=True), 1):
            if record:
                yield number, record
    except csv.Error as error:
        raise DataError(f"{table}, row {number + 1}: not a CSV table ({error})") from error


def _check_columns(
    table: Path, header: list[str], required: Sequence[str], optional: Sequence[str]
) -> None:
    if not header:
        raise DataError(f"{table}: the table is empty")
    repeated = [name for name, count in Counter(header).items() if count > 1]
    unknown = [name for name in header if name not in (*required, *optional)]
    absent = [name for name in required if name not in header]
    for problem, names in (("repeated", repeated), ("unknown", unknown), ("missing", absent)):
        if names:
            listed = ", ".join(repr(name) for name in names)
            raise DataError(f"{table}, row 1: {problem} column {listed}")
