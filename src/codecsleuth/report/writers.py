"""Answers for machines and for people, one writer a format behind one interface.

A writer takes a run's header, each result as it comes, and the summary. It states what the result
objects hold and derives nothing anew. JSON, JSON lines and CSV are a contract, written down in
``docs/schema/analysis.schema.json``.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, Protocol

from codecsleuth.inference.answer import FileError, Result
from codecsleuth.report.header import Header
from codecsleuth.report.summary import Summary

Write = Callable[[str], None]
#: What makes a spreadsheet take a text for a formula.
_FORMULA_STARTS: Final = ("=", "+", "-", "@", "\t", "\r")

THRESHOLDS: Final = ("codec_threshold", "bona_fide_threshold")
RUN_COLUMNS: Final = ("schema", "tool_version", "model", "model_sha256", *THRESHOLDS)
CSV_COLUMNS: Final = (
    *("path", "status", "verdict", "codec_probability", "vocoder_probability"),
    *("bona_fide_probability", "log10_lr", "log10_lr_neural", "log10_lr_limit"),
    *("vq", "vq_likeliest", "vq_probability"),
    *("aux", "aux_likeliest", "aux_probability"),
    *("dec", "dec_likeliest", "dec_probability"),
    *("familiarity", "candidates", "passages", "findings"),
    *("start_s", "end_s", "channel", "track"),
    *("duration_s", "speech_s", "sample_rate", "channels", "container", "coding", "decoder"),
    *("bytes", "sha256", "error_kind", "error_message"),
    *RUN_COLUMNS,
)


class Writer(Protocol):
    """Takes a run's results one after the other."""

    def begin(self, header: Header) -> None:
        """Take what is known before the first result."""

    def result(self, result: Result) -> None:
        """Take the next result."""

    def end(self, summary: Summary) -> None:
        """Take the counts, after the last result."""


class JsonWriter:
    """One JSON document; results are written as they come, the summary stands behind them."""

    def __init__(self, write: Write) -> None:
        self._write = write
        self._count = 0

    def begin(self, header: Header) -> None:
        """Open the document."""
        text = _json(header.to_dict(), indent=2)
        self._write(text.removesuffix("\n}\n") + ',\n  "results": [')

    def result(self, result: Result) -> None:
        """Write an entry."""
        self._count += 1
        entry = _json(result.to_dict(), indent=2).rstrip("\n").replace("\n", "\n    ")
        self._write(("," if self._count > 1 else "") + f"\n    {entry}")

    def end(self, summary: Summary) -> None:
        """Close the document."""
        counts = _json(summary.to_dict(), indent=2).rstrip("\n").replace("\n", "\n  ")
        self._write(("\n  ]" if self._count else "]") + f',\n  "summary": {counts}\n}}\n')


class JsonlWriter:
    """A header line, then an entry a line."""

    def __init__(self, write: Write) -> None:
        self._write = write

    def begin(self, header: Header) -> None:
        """Write the header line."""
        self._write(_json(header.to_dict()))

    def result(self, result: Result) -> None:
        """Write an entry."""
        self._write(_json(result.to_dict()))

    def end(self, summary: Summary) -> None:
        """Nothing more: every line but the first is an entry."""


class CsvWriter:
    """A record a file; the columns of the run are the same in every record."""

    def __init__(self, write: Write) -> None:
        self._write = write
        self._run: dict[str, Any] = {}

    def begin(self, header: Header) -> None:
        """Write the names of the columns."""
        content = header.to_dict()
        model = content["model"]
        self._run = {
            "schema": content["schema"],
            "tool_version": content["tool"]["version"],
            "model": f"{model['name']} {model['version']}",
            "model_sha256": model["sha256"],
            **{name: content["settings"][name] for name in THRESHOLDS},
        }
        self._record(CSV_COLUMNS)

    def result(self, result: Result) -> None:
        """Write a record."""
        values = {**self._run, **_csv_values(result)}
        self._record([_cell(values.get(column)) for column in CSV_COLUMNS])

    def end(self, summary: Summary) -> None:
        """Nothing more."""

    def _record(self, cells: Sequence[Any]) -> None:
        buffer = io.StringIO()
        csv.writer(buffer, lineterminator="\n").writerow(cells)
        self._write(buffer.getvalue())


def _csv_values(result: Result) -> dict[str, Any]:
    entry = result.to_dict()
    entry |= entry["evidence"] | entry.get("excerpt", {})
    if isinstance(result, FileError):
        return entry | {f"error_{name}": value for name, value in entry["error"].items()}
    return {
        **entry,
        **{f"{name}_probability": p for name, p in entry["probabilities"].items()},
        **_axis_values(entry["taxonomy"]),
        "candidates": "; ".join(one["codec"] for one in entry["candidates"]),
        "passages": "; ".join(
            f"{one['start_s']:g}-{one['end_s']:g} {one['verdict']}" for one in entry["passages"]
        ),
        "findings": "; ".join(f"{one['kind']}: {one['message']}" for one in entry["findings"]),
    }


def _axis_values(taxonomy: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """Label, likeliest class and its probability per axis."""
    values: dict[str, Any] = {}
    for axis, answer in taxonomy.items():
        values[axis] = _class_name(answer["label"])
        values[f"{axis}_likeliest"] = _class_name(answer["likeliest"])
        values[f"{axis}_probability"] = answer["probability"]
    return values


def _class_name(name: str) -> str:
    """The class as CSV has it: readers of tables take ``None`` for a missing value."""
    return "none" if name == "None" else name


def _cell(value: Any) -> Any:
    """A value as CSV has it; a name that a spreadsheet would run as a formula is put in quotes."""
    if isinstance(value, str) and value.startswith(_FORMULA_STARTS):
        return f"'{value}"
    return "" if value is None else value


def _json(values: Mapping[str, Any], indent: int | None = None) -> str:
    return json.dumps(values, ensure_ascii=False, allow_nan=False, indent=indent) + "\n"
