"""What a run over many files came to, as a whole and per folder."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from codecsleuth import verdict
from codecsleuth.inference.answer import FileError, Result
from codecsleuth.text import valid_unicode


@dataclass
class Summary:
    """Counts of a run, which grow as results come.

    Attributes:
        by_folder: whether to count per folder too.
        left_out: files below folders that were not looked at, by reason.
        counts: per outcome.
        folders: the same counts per folder, in the order of the results.
    """

    by_folder: bool = False
    left_out: Mapping[str, int] = field(default_factory=dict)
    counts: Counter[str] = field(default_factory=Counter)
    folders: dict[str, Counter[str]] = field(default_factory=dict)

    def add(self, result: Result) -> None:
        """Count a result."""
        name = outcome(result)
        self.counts[name] += 1
        if self.by_folder:
            folder = os.path.dirname(result.path) or "."  # noqa: PTH120
            self.folders.setdefault(folder, Counter())[name] += 1

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        folders = [{"path": valid_unicode(p), **_totals(n)} for p, n in self.folders.items()]
        return {**_totals(self.counts), "left_out": dict(self.left_out), "directories": folders}


def outcome(result: Result) -> str:
    """The verdict's name, or ``error``."""
    return verdict.ERROR.name if isinstance(result, FileError) else result.verdict


def _totals(counts: Mapping[str, int]) -> dict[str, Any]:
    verdicts = {one.name: counts.get(one.name, 0) for one in verdict.VERDICTS}
    errors, analysed = counts.get(verdict.ERROR.name, 0), sum(verdicts.values())
    return {
        "files": analysed + errors,
        "analysed": analysed,
        "errors": errors,
        "verdicts": verdicts,
    }
