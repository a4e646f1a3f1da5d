"""Answers computed anew and compared: what a file of answers says against what is found now."""

from __future__ import annotations

import json
import os
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from itertools import zip_longest
from pathlib import Path
from typing import Any, Final, NamedTuple

from codecsleuth import verdict
from codecsleuth.audio.facts import Excerpt
from codecsleuth.audio.source import STDIN
from codecsleuth.errors import AudioError, DataError, UsageError
from codecsleuth.inference.answer import Result
from codecsleuth.inference.engine import Engine, Input
from codecsleuth.inference.model import Model
from codecsleuth.report.header import SCHEMA, Header
from codecsleuth.text import from_valid_unicode

#: What a value is where there is none.
ABSENT: Final = "(not there)"
IDENTICAL: Final = "identical"
DIFFERS: Final = "differs"
UNREADABLE: Final = "unreadable"
OUTCOMES: Final = (IDENTICAL, DIFFERS, UNREADABLE)


class Difference(NamedTuple):
    """One value that is not what it was; the key is dotted, such as ``taxonomy.vq.label``."""

    key: str
    was: Any
    now: Any


@dataclass(frozen=True)
class Answers:
    """A file of answers.

    Attributes:
        header: what it states of the run.
        entries: its entries, to be read once.
        summary: its counts; None for JSON lines, which have none.
    """

    header: Mapping[str, Any]
    entries: Iterable[Any]
    summary: Mapping[str, Any] | None = None

    def part(self, *keys: str) -> Any:
        """A value of the header.

        Raises:
            DataError: it is not there.
        """
        value: Any = self.header
        for key in keys:
            if not isinstance(value, dict) or key not in value:
                raise DataError(f"no answers of this tool: {'.'.join(keys)} is missing")
            value = value[key]
        return value


@dataclass(frozen=True)
class Verified:
    """What became of one entry.

    Attributes:
        path: as the entry has it.
        outcome: one of `OUTCOMES`.
        bytes_unchanged: whether the file's hash is what it was; None if one of them is not known.
        differences: between the entry and the result now.
    """

    path: str
    outcome: str
    bytes_unchanged: bool | None
    differences: tuple[Difference, ...]

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        outside = [one for one in self.differences if not one.key.startswith("evidence.")]
        return {
            "path": self.path,
            "outcome": self.outcome,
            "bytes_unchanged": self.bytes_unchanged,
            "answer_identical": not outside,
            "differences": [one._asdict() for one in self.differences],
        }


@dataclass
class Recount:
    """Counts of the entries, to be compared with those that the file states."""

    files: int = 0
    analysed: int = 0
    errors: int = 0
    verdicts: dict[str, int] = field(
        default_factory=lambda: {one.name: 0 for one in verdict.VERDICTS}
    )

    def add(self, entry: Mapping[str, Any]) -> None:
        """Count an entry."""
        self.files += 1
        if entry.get("status") == "ok":
            self.analysed += 1
            name = str(entry.get("verdict"))
            self.verdicts[name] = self.verdicts.get(name, 0) + 1
        else:
            self.errors += 1

    def differences(self, summary: Mapping[str, Any]) -> list[Difference]:
        """What the file states otherwise."""
        counted = asdict(self)
        stated = {key: summary.get(key, ABSENT) for key in counted}
        return list(differences(stated, counted, "summary"))


def read_answers(path: Path) -> Answers:
    """Open what ``analyze --json`` or ``--jsonl`` has written.

    Raises:
        UsageError: there is no such file.
        DataError: it holds something else.
    """
    try:
        with path.open("rb") as file:
            first = _parsed(file.readline(), path)
            if isinstance(first, dict) and "results" not in first:
                return _checked(Answers(first, _lines(path)), path)
            document = first if first is not None else _parsed(path.read_bytes(), path)
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror or error}") from error
    if not isinstance(document, dict) or not isinstance(document.get("results"), list):
        raise DataError(f"{path}: not what 'analyze --json' or --jsonl writes")
    header = {key: value for key, value in document.items() if key not in ("results", "summary")}
    return _checked(Answers(header, document["results"], document.get("summary")), path)


def _checked(answers: Answers, path: Path) -> Answers:
    if answers.header.get("schema") != SCHEMA:
        raise DataError(
            f"{path}: schema {answers.header.get('schema')!r}; this version verifies {SCHEMA!r}"
        )
    return answers


def _parsed(raw: bytes, path: Path) -> Any:
    """What is in a JSON text; None if it is none."""
    try:
        return json.loads(raw)
    except (ValueError, RecursionError):
        return None


def _lines(path: Path) -> Iterator[Any]:
    with path.open("rb") as file:
        file.readline()
        for number, raw in enumerate(file, 2):
            entry = _parsed(raw, path)
            if entry is None:
                raise DataError(f"{path}, line {number}: not JSON; it may be cut short")
            yield entry


def run_differences(answers: Answers, model: Model) -> tuple[list[Difference], list[Difference]]:
    """What a run would state of weights and settings now, against what the file states.

    Returns:
        What bears on the answers, and what does not: the tool's version.
    """
    now = Header.of(model).to_dict()
    bearing = [
        one
        for part in ("model", "settings")
        for one in differences(answers.header.get(part), now[part], part)
    ]
    return bearing, list(differences(answers.header.get("tool"), now["tool"], "tool"))


def verify(
    answers: Answers, model: Model, engine: Engine, recount: Recount | None = None
) -> Iterator[Verified]:
    """Compute every answer anew.

    Args:
        answers: what was found.
        model: that computes.
        engine: that spreads the work.
        recount: counts the entries on the way.

    Raises:
        DataError: an entry is damaged.
    """
    waiting: deque[Mapping[str, Any]] = deque()

    def inputs() -> Iterator[Input]:
        for number, entry in enumerate(answers.entries, 1):
            given = _input(entry, number)
            waiting.append(entry)
            if recount is not None:
                recount.add(entry)
            yield given

    for result in engine.score(model, inputs()):
        yield compare(waiting.popleft(), result)


def _input(entry: Any, number: int) -> Input:
    try:
        path, excerpt = entry["path"], Excerpt.from_dict(entry.get("excerpt"))
        if not isinstance(path, str) or not isinstance(entry["evidence"], dict):
            raise TypeError
    except (KeyError, TypeError, AttributeError, UsageError) as error:
        raise DataError(f"entry {number} of the answers is damaged") from error
    if path == STDIN:
        problem = AudioError("missing", "came from standard input, which is gone")
        return Input(path, excerpt, problem)
    if not os.path.lexists(path):
        path = from_valid_unicode(path)
    return Input(path, excerpt)


def compare(entry: Mapping[str, Any], result: Result) -> Verified:
    """Compare an entry with the result now."""
    now = result.to_dict()
    found = tuple(differences(entry, now))
    hashes = [one["evidence"].get("sha256") for one in (entry, now)]
    unchanged = None if None in hashes else hashes[0] == hashes[1]
    outcome = DIFFERS if found else IDENTICAL
    if now["status"] == "error" and hashes[1] is None and entry.get("status") == "ok":
        outcome = UNREADABLE
    return Verified(str(entry["path"]), outcome, unchanged, found)


def differences(was: Any, now: Any, key: str = "") -> Iterator[Difference]:
    """Values of two plain structures that are not equal, by their dotted keys."""
    if isinstance(was, dict) and isinstance(now, dict):
        for name in dict.fromkeys((*was, *now)):
            inner = f"{key}.{name}" if key else str(name)
            yield from differences(was.get(name, ABSENT), now.get(name, ABSENT), inner)
    elif isinstance(was, list) and isinstance(now, list):
        pairs = zip_longest(was, now, fillvalue=ABSENT)
        for number, (one, other) in enumerate(pairs):
            yield from differences(one, other, f"{key}[{number}]")
    elif was != now or isinstance(was, bool) != isinstance(now, bool):
        yield Difference(key, was, now)
