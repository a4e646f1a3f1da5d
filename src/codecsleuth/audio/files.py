"""Which files a user means: paths as given, lists of paths, and the audio files below folders."""

from __future__ import annotations

import hashlib
import os
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO, Final

from codecsleuth.audio.containers import looks_like_audio
from codecsleuth.audio.source import STDIN
from codecsleuth.errors import AudioError, UsageError

#: Names that promise audio; those that cannot be decoded get an error entry, not silence.
AUDIO_SUFFIXES: Final = frozenset(
    f".{name}"
    for name in (
        *("wav", "wave", "bwf", "rf64", "w64", "flac", "aif", "aiff", "aifc", "au", "snd", "caf"),
        *("mp3", "mp2", "ogg", "oga", "opus", "spx"),
        *("m4a", "m4b", "aac", "ac3", "eac3", "wma", "amr", "awb", "weba", "mka", "gsm"),
        *("mp4", "m4v", "mov", "3gp", "3g2", "webm", "mkv", "avi", "wmv", "asf", "flv", "ts"),
        *("mpg", "mpeg", "ogv"),
    )
)

#: Files of each reason that are named; the others are counted.
_NAMED: Final = 100
#: Bytes of a list that show how it is separated; no path is as long.
_LIST_HEAD: Final = 8192
_LIST_CHUNK: Final = 1 << 16
_BYTE_ORDER_MARK: Final = b"\xef\xbb\xbf"
#: Bytes without a separator that show that something is no list of paths.
_NO_LIST: Final = 1 << 20
#: What `FileWalk` calls a folder that is to be looked into.
_FOLDER: Final = "folder"

#: A path, and why there is nothing to analyse under it.
WalkEntry = tuple[str, AudioError | None]


@dataclass(frozen=True)
class LeftOut:
    """Files below folders that are not looked at, for one reason.

    Attributes:
        files: how many.
        names: of the first of them.
    """

    files: int = 0
    names: tuple[str, ...] = ()

    def add(self, path: str) -> LeftOut:
        """One more."""
        named = len(self.names) < _NAMED
        return LeftOut(self.files + 1, (*self.names, path) if named else self.names)


@dataclass(frozen=True)
class Shard:
    """One of several equal shares of the files, told apart by the hash of the path.

    So a file stays in its share, whatever other files there are.

    Attributes:
        number: of this share, from 1.
        of: how many shares there are.
    """

    number: int = 1
    of: int = 1

    @classmethod
    def parse(cls, text: str) -> Shard:
        """Read ``K/N``.

        Raises:
            UsageError: it is something else.
        """
        number, slash, of = text.partition("/")
        if slash and number.isdecimal() and of.isdecimal() and 1 <= int(number) <= int(of):
            return cls(int(number), int(of))
        raise UsageError(f"shard {text!r}: give K/N, such as 1/8, with K from 1 to N")

    def holds(self, path: str) -> bool:
        """Whether a path is in this share."""
        if self.of == 1:
            return True
        digest = hashlib.sha256(os.fsencode(path)).hexdigest()
        return int(digest, 16) % self.of == self.number - 1


@dataclass
class FileWalk:
    """The files that a user means, found as they are asked for; to be iterated over once.

    Folders are expanded into the audio and video files below them, sorted; other paths are left
    alone.

    Attributes:
        paths: as given.
        shard: which share of the files is meant.
        own: real paths of files that this run writes: below a folder they are not counted as
            left out, since they may be there or not.
        left_out: files below folders that were not looked at so far, by reason.
    """

    paths: Iterable[str]
    shard: Shard = Shard()
    own: frozenset[str] = frozenset()
    left_out: dict[str, LeftOut] = field(default_factory=dict)

    def __iter__(self) -> Iterator[WalkEntry]:
        """Each path, in order, with the error of one that leads to no file."""
        return (found for found in self._all() if self.shard.holds(found[0]))

    def counts(self) -> dict[str, int]:
        """Files that were not looked at so far, by reason."""
        return {reason: left.files for reason, left in sorted(self.left_out.items())}

    def _all(self) -> Iterator[WalkEntry]:
        for path in self.paths:
            if not is_folder(path):
                yield path, None
                continue
            empty = True
            for found in self._below(path):
                empty = False
                yield found
            if empty:
                yield path, AudioError("no_audio", "no audio files below this folder")

    def _below(self, folder: str) -> Iterator[WalkEntry]:
        """Audio files and unreadable folders below a folder, in the order of their names."""
        try:
            names = sorted(os.listdir(folder), key=os.fsencode)  # noqa: PTH208 - strings take less
        except OSError as error:
            kind = "permission" if isinstance(error, PermissionError) else "io"
            yield folder, AudioError(kind, f"the folder cannot be read: {error.strerror}")
            return
        for name in names:
            path = os.path.join(folder, name)  # noqa: PTH118 - Path would drop a leading ./
            reason = self._reason(path, name)
            if reason == _FOLDER:
                yield from self._below(path)
            elif not reason:
                yield path, None
            elif self.shard.holds(path) and os.path.realpath(path) not in self.own:
                self.left_out[reason] = self.left_out.get(reason, LeftOut()).add(path)

    def _reason(self, path: str, name: str) -> str:
        """Why something below a folder is left out; empty for audio, `_FOLDER` for a folder."""
        if name.startswith("."):
            return "hidden"
        if is_folder(path):
            # A link may lead round in a circle.
            return "linked_folder" if os.path.islink(path) else _FOLDER  # noqa: PTH114
        return "" if is_audio(path) else "not_audio"


def is_folder(path: str) -> bool:
    """Whether a path is a folder; False for what cannot be a path at all."""
    return os.path.isdir(path)  # noqa: PTH112 - unlike pathlib's, it never raises


def is_audio(path: str) -> bool:
    """Whether a file is taken for audio or video: by its name, or by its first bytes."""
    if Path(path).suffix.lower() in AUDIO_SUFFIXES:
        return True
    try:
        if not os.path.isfile(path):  # noqa: PTH113
            return False
        with open(path, "rb") as file:  # noqa: PTH123
            return looks_like_audio(file.read(16))
    except OSError:
        return False


def listed_paths(file: str) -> Iterator[str]:
    """The paths in a list, separated by NUL if there is one in it, by newlines if not.

    Args:
        file: the list, which is read as paths are asked for; ``-`` for standard input.

    Raises:
        UsageError: it cannot be read.
    """
    try:
        with _opened(file) as source:
            for item in _separated(source):
                # A file of that name; standard input is not in a list.
                yield f"./{STDIN}" if item == STDIN.encode() else os.fsdecode(item)
    except OSError as error:
        raise UsageError(f"{file}: the list cannot be read: {error.strerror or error}") from error


def _opened(file: str) -> BinaryIO:
    if file != STDIN:
        return open(file, "rb")  # noqa: PTH123 - Path takes "" for "."
    if sys.stdin is None:
        raise OSError("standard input is closed")
    return os.fdopen(os.dup(sys.stdin.fileno()), "rb")


def _separated(source: BinaryIO) -> Iterator[bytes]:
    chunk = source.read(_LIST_HEAD).removeprefix(_BYTE_ORDER_MARK)
    separator, ending = (b"\0", b"") if b"\0" in chunk else (b"\n", b"\r")
    rest = b""
    while chunk:
        *items, rest = (rest + chunk).split(separator)
        if len(rest) > _NO_LIST:
            raise OSError("not a list of paths, one a line")
        yield from (item for item in (one.removesuffix(ending) for one in items) if item)
        chunk = source.read(_LIST_CHUNK)
    if last := rest.removesuffix(ending):
        yield last
