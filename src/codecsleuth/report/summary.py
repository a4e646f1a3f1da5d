"""What a run over many files came to, as a whole and per folder."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from codecsleuth.inference.model import Analysis, FileError
from codecsleuth.text import valid_unicode

COUNTED: Final = ("codec", "bona_fide", "inconclusive", "error")


@dataclass(frozen=True)
class Summary:
    """Counts of a run.

    Attributes:
        counts: per verdict, and of errors.
        left_out: files not looked at, by reason.
        directories: the same counts per folder, in the order met; empty unless a folder was given.
    """

    counts: Mapping[str, int]
    left_out: Mapping[str, int]
    directories: Mapping[str, Mapping[str, int]]

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        folders = [
            {"path": valid_unicode(path), **_totals(n)} for path, n in self.directories.items()
        ]
        return {**_totals(self.counts), "left_out": dict(self.left_out), "directories": folders}


def summarize(
    results: Sequence[Analysis | FileError], left_out: Mapping[str, int], *, folders: bool
) -> Summary:
    """Count verdicts and errors, and per folder if folders were asked for."""
    directories: dict[str, Counter[str]] = {}
    for result in results if folders else ():
        where = directories.setdefault(os.path.dirname(result.path) or ".", Counter())  # noqa: PTH120
        where[outcome(result)] += 1
    return Summary(Counter(outcome(result) for result in results), left_out, directories)


def outcome(result: Analysis | FileError) -> str:
    """The verdict, or ``error``."""
    return "error" if isinstance(result, FileError) else result.verdict


def _totals(counts: Mapping[str, int]) -> dict[str, Any]:
    values = {name: counts.get(name, 0) for name in COUNTED}
    errors = values.pop("error")
    total = sum(values.values())
    return {"files": total + errors, "analysed": total, "errors": errors, "verdicts": values}
