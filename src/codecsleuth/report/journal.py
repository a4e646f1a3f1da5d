"""The journal of a run: results as they come, so that an interrupted run can go on.

It lies beside the final file. Its first line says of what run it is, every other one holds a
result, with what tells whether the recording is still the same. Lines are only ever added, each by
one write; a last line that is not whole is dropped. The final file is made from it.
"""

from __future__ import annotations

import json
import os
import time
from array import array
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from hashlib import blake2b
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import numpy as np

from codecsleuth.audio.facts import Excerpt
from codecsleuth.errors import CodecsleuthError, UsageError
from codecsleuth.inference.answer import Result, result_from_dict
from codecsleuth.report.header import Header

SUFFIX: Final = ".part"
FORMAT: Final = "codecsleuth/journal/1"
_START: Final = f'{{"journal": "{FORMAT}"'.encode()
#: Seconds after which what was written is made to last through a loss of power.
_SYNC_S: Final = 1.0

#: Kinds of errors that may have another cause than the bytes; those are tried again.
_TRIED_AGAIN: Final = ("crashed", "timeout", "memory", "internal")

#: Size of a file and what changes with its content; see `codecsleuth.audio.source.stamp`.
Stamp = tuple[int | None, int | str] | None


def journal_path(final: Path) -> Path:
    """Where the journal of a final file lies."""
    return final.with_name(final.name + SUFFIX)


def unfinished(final: Path) -> Mapping[str, Any] | None:
    """What the journal beside a final file says of its run; None if there is none.

    Raises:
        UsageError: what lies there is no journal, or cannot be read.
    """
    path = journal_path(final)
    try:
        with path.open("rb") as file:
            head = file.readline()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise UsageError(f"{path}: cannot be read: {error.strerror or error}") from error
    if not _is_start(head):
        raise UsageError(f"{path}: not a journal of this tool; move it away, it is needed here")
    return _parsed(head) or {}


class Journal:
    """An open journal, which no other process writes to."""

    def __init__(self, path: Path, descriptor: int) -> None:
        self.path = path
        self.finished = 0
        self._descriptor = descriptor
        # With a place in the file of its own.
        self._reader = path.open("rb")
        self._end = 0
        self._synced = time.monotonic()
        self._index = _Index()

    @classmethod
    def open(cls, final: Path, header: Header, request: Mapping[str, Any], resume: bool) -> Self:
        """Begin a journal, or go on with one.

        Args:
            final: the file that is made from it.
            header: of the run; results of another model or other settings do not mix.
            request: what was asked for, to be read by people.
            resume: whether what is there is kept.

        Raises:
            UsageError: it cannot be written; another process has it; it is of another run.
        """
        path = journal_path(final)
        try:
            journal = cls(path, os.open(path, os.O_RDWR | os.O_CREAT | _BINARY, 0o666))
            try:
                journal._lock()
                journal._start(header, request, resume)
            except BaseException:
                journal._close()
                raise
        except OSError as error:
            raise UsageError(f"{path}: cannot be written: {error.strerror or error}") from error
        return journal

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close it; it stays where it is."""
        self.sync()
        self._close()

    def kept(self, path: str, excerpt: Excerpt, stamp: Stamp) -> int | None:
        """The place of the result of a recording that has not changed; None if there is none."""
        for place in self._index.places(_key(path, excerpt, stamp)):
            line = self._line(place)
            if (line["path"], line["excerpt"]) == (path, excerpt.to_dict()):
                return place
        return None

    def add(self, result: Result, stamp: Stamp) -> int:
        """Write a result.

        Args:
            result: of a recording.
            stamp: of its file before it was read.

        Returns:
            Its place.

        Raises:
            CodecsleuthError: it cannot be written.
        """
        size, changed = stamp or (None, None)
        line: dict[str, Any] = {"path": result.path, "excerpt": result.excerpt.to_dict()}
        line |= {"bytes": size, "changed": changed, "entry": result.to_dict()}
        place = self._write(line)
        self.finished += 1
        if time.monotonic() - self._synced > _SYNC_S:
            self.sync()
        return place

    def results(self, places: Iterable[int]) -> Iterator[Result]:
        """The results at some places, in that order."""
        for place in places:
            line = self._line(place)
            # The entry has a path that is fit to be shown.
            yield replace(result_from_dict(line["entry"]), path=line["path"])

    def sync(self) -> None:
        """Make what was written last through a loss of power."""
        os.fsync(self._descriptor)
        self._synced = time.monotonic()

    def remove(self) -> None:
        """Remove it: the final file is in its place."""
        self.path.unlink()

    def _close(self) -> None:
        self._reader.close()
        os.close(self._descriptor)

    def _lock(self) -> None:
        try:
            import fcntl
        except ImportError:  # not on Windows
            return
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise UsageError(f"{self.path}: another run is writing to it") from error
        except OSError:  # a file system without locks
            return
        if os.fstat(self._descriptor).st_nlink == 0:
            raise UsageError(f"{self.path}: another run has just ended")

    def _start(self, header: Header, request: Mapping[str, Any], resume: bool) -> None:
        run = header.to_dict()
        if resume:
            self._read(run)
        os.ftruncate(self._descriptor, self._end)
        if self._end == 0:
            self._write({"journal": FORMAT, "run": run, "request": dict(request)})
            self.sync()

    def _read(self, run: Mapping[str, Any]) -> None:
        """Index what is whole.

        Raises:
            UsageError: it is of another run.
        """
        for raw in self._reader:
            line = _parsed(raw)
            if line is None:
                return
            if self._end == 0:
                self._compare(run, line.get("run"))
            elif (key := _key_of(line)) is not None:
                self._index.add(key, self._end)
                self.finished += 1
            self._end += len(raw)

    def _compare(self, run: Mapping[str, Any], other: Any) -> None:
        if run == other:
            return
        differs = [part for part in run if not isinstance(other, dict) or run[part] != other[part]]
        raise UsageError(
            f"{self.path}: results of another run ({', '.join(differs)}); give the same options "
            "again, or --force without --resume to begin anew"
        )

    def _write(self, line: Mapping[str, Any]) -> int:
        """Add a line and give its place."""
        place, content = self._end, json.dumps(line, allow_nan=False).encode() + b"\n"
        try:
            os.lseek(self._descriptor, place, os.SEEK_SET)
            written = os.write(self._descriptor, content)
            while written < len(content):
                written += os.write(self._descriptor, content[written:])
        except OSError as error:
            raise CodecsleuthError(
                f"{self.path}: {error.strerror or error}; the same command with --resume goes on"
            ) from error
        self._end += len(content)
        return place

    def _line(self, place: int) -> dict[str, Any]:
        self._reader.seek(place)
        line: dict[str, Any] = json.loads(self._reader.readline())
        return line


class _Index:
    """Places by key, in 16 bytes each."""

    def __init__(self) -> None:
        self._keys, self._places = array("Q"), array("Q")
        self._sorted: tuple[Any, Any] | None = None

    def add(self, key: int, place: int) -> None:
        """Add a place, before any is asked for."""
        self._keys.append(key)
        self._places.append(place)

    def places(self, key: int) -> list[int]:
        """The places under a key; other keys may be the same by chance."""
        if self._sorted is None:
            order = np.argsort(np.asarray(self._keys, np.uint64), kind="stable")
            self._sorted = (
                np.asarray(self._keys, np.uint64)[order],
                np.asarray(self._places, np.uint64)[order],
            )
        keys, places = self._sorted
        first, last = (np.searchsorted(keys, np.uint64(key), side) for side in ("left", "right"))
        return [int(place) for place in places[first:last]]


def _key(path: str, excerpt: Excerpt, stamp: Stamp) -> int:
    """Eight bytes that stand for a recording as it is now."""
    text = json.dumps([path, excerpt.to_dict(), stamp])
    return int.from_bytes(blake2b(text.encode(), digest_size=8).digest(), "big")


def _key_of(line: Mapping[str, Any]) -> int | None:
    """The key of a line whose result may be kept.

    None for standard input, which is another each time, and for an error that is not one of the
    bytes: a file that was missing may be there now.
    """
    entry = line["entry"]
    if line["bytes"] is None and line["changed"] is None:
        return None
    if entry["status"] == "error" and (
        "sha256" not in entry["evidence"] or entry["error"]["kind"] in _TRIED_AGAIN
    ):
        return None
    return _key(line["path"], Excerpt.from_dict(line["excerpt"]), (line["bytes"], line["changed"]))


def _is_start(head: bytes) -> bool:
    """Whether a first line is that of a journal, or the beginning of one."""
    return head.startswith(_START) or _START.startswith(head)


def _parsed(raw: bytes) -> dict[str, Any] | None:
    """A line that is whole; None for another."""
    if not raw.endswith(b"\n"):
        return None
    try:
        line = json.loads(raw)
        return line if isinstance(line, dict) and ("run" in line or "entry" in line) else None
    except ValueError:
        return None


_BINARY: Final = getattr(os, "O_BINARY", 0)
