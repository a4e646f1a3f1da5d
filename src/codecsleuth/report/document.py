"""The answer for machines: the JSON document, JSON lines and CSV.

Their fields are a contract, written down in ``docs/schema/analysis.schema.json``.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from typing import Any, Final

from codecsleuth.audio import recording as audio
from codecsleuth.inference.model import Analysis, AxisAnswer, FileError, Model
from codecsleuth.report.summary import Summary
from codecsleuth.text import valid_unicode
from codecsleuth.version import __version__

SCHEMA: Final = "codecsleuth/analysis/1"
_PROBABILITY_DIGITS: Final = 6
_LR_DIGITS: Final = 4
_TIME_DIGITS: Final = 4

Result = Analysis | FileError

CSV_COLUMNS: Final = (
    "path",
    "status",
    "verdict",
    "codec_probability",
    "log10_lr",
    "vq",
    "vq_probability",
    "aux",
    "aux_probability",
    "dec",
    "dec_probability",
    "candidates",
    "duration_s",
    "sample_rate",
    "channels",
    "format",
    "bytes",
    "sha256",
    "warnings",
    "error_kind",
    "error_message",
)


def entry(result: Result) -> dict[str, Any]:
    """One element of ``results``."""
    if isinstance(result, FileError):
        error = {"kind": result.kind, "message": valid_unicode(result.message)}
        return {"path": valid_unicode(result.path), "status": "error", "error": error}
    return {
        "path": valid_unicode(result.path),
        "status": "ok",
        "evidence": asdict(result.evidence),
        "verdict": result.verdict,
        "codec_probability": _probability(result.codec_probability),
        "log10_lr": _rounded(result.log10_lr, _LR_DIGITS),
        "taxonomy": {axis: _axis(answer) for axis, answer in result.taxonomy.items()},
        "familiarity": None if result.familiarity is None else _probability(result.familiarity),
        "candidates": [
            {
                "codec": candidate.codec,
                "score": _probability(candidate.score),
                "taxonomy": candidate.taxonomy,
                "disagrees": list(candidate.disagrees),
            }
            for candidate in result.candidates
        ],
        "segments": [
            {
                "start_s": _rounded(segment.start_s, _TIME_DIGITS),
                "end_s": _rounded(segment.end_s, _TIME_DIGITS),
                "codec_probability": _probability(segment.codec_probability),
            }
            for segment in result.segments
        ],
        "warnings": list(result.warnings),
    }


def _axis(answer: AxisAnswer) -> dict[str, Any]:
    return {
        "label": answer.label,
        "probability": _probability(answer.probability),
        "probabilities": {name: _probability(p) for name, p in answer.probabilities.items()},
    }


def _probability(value: float) -> float:
    return _rounded(value, _PROBABILITY_DIGITS)


def _rounded(value: float, digits: int) -> float:
    return round(value, digits) + 0.0  # turns -0.0 into 0.0


def content(results: Sequence[Result], summary: Summary, model: Model) -> dict[str, Any]:
    """What the JSON document over all results holds."""
    return {
        "schema": SCHEMA,
        "tool": {"name": "codecsleuth", "version": __version__},
        "model": {
            "name": model.name,
            "version": model.version,
            "sha256": model.sha256,
            "tasks": list(model.tasks),
        },
        # Only what can change an answer: how the work was spread must not show.
        "settings": {
            "sample_rate": audio.SAMPLE_RATE,
            "window_s": audio.WINDOW_S,
            "hop_s": audio.HOP_S,
            "codec_threshold": model.calibration.codec_threshold,
            "bona_fide_threshold": model.calibration.bona_fide_threshold,
            "device": model.device,
            **({"precision": model.precision} if model.precision else {}),
        },
        "summary": summary.to_dict(),
        "results": [entry(result) for result in results],
    }


def document(results: Sequence[Result], summary: Summary, model: Model) -> str:
    """The JSON document over all results, ending in a newline."""
    return _json(content(results, summary, model), indent=2)


def json_line(result: Result) -> str:
    """One result as a line of JSON."""
    return _json(entry(result))


def _json(values: dict[str, Any], indent: int | None = None) -> str:
    return json.dumps(values, ensure_ascii=False, allow_nan=False, indent=indent) + "\n"


def csv_header() -> str:
    """The line with the column names."""
    return _csv([CSV_COLUMNS])


def csv_line(result: Result) -> str:
    """One result as a CSV record."""
    values = _csv_values(entry(result))
    return _csv([[values.get(column, "") for column in CSV_COLUMNS]])


def _csv_values(item: dict[str, Any]) -> dict[str, Any]:
    if item["status"] == "error":
        error = {"error_kind": item["error"]["kind"], "error_message": item["error"]["message"]}
        return {"path": item["path"], "status": "error", **error}
    axes = {axis: answer["label"] for axis, answer in item["taxonomy"].items()}
    sure = {f"{axis}_probability": item["taxonomy"][axis]["probability"] for axis in axes}
    lists = {
        "candidates": "; ".join(one["codec"] for one in item["candidates"]),
        "warnings": "; ".join(item["warnings"]),
    }
    return {**item, **item["evidence"], **axes, **sure, **lists}


def _csv(rows: Iterable[Sequence[Any]]) -> str:
    buffer = io.StringIO()
    csv.writer(buffer, lineterminator="\n").writerows(rows)
    return buffer.getvalue()
