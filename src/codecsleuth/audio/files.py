"""Which files a user means: paths as given, and the audio files below folders."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from codecsleuth.audio.containers import looks_like_audio
from codecsleuth.errors import AudioError

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
class FileList:
    """The files of a run.

    Attributes:
        paths: files to analyse, in order, as given or joined to their folder.
        problems: errors of paths that lead to no file.
        left_out: files below folders that are not looked at, by reason.
        folders: whether any path was a folder.
    """

    paths: tuple[str, ...]
    problems: Mapping[str, AudioError]
    left_out: Mapping[str, LeftOut]
    folders: bool


def find_files(paths: Iterable[str]) -> FileList:
    """Expand folders into the audio and video files below them, sorted; leave other paths alone."""
    files: list[str] = []
    problems: dict[str, AudioError] = {}
    left_out: dict[str, LeftOut] = {}
    folders = False
    for path in paths:
        if not is_folder(path):
            files.append(path)
            continue
        folders = True
        below = list(_below(path, problems, left_out))
        if not below:
            problems[path] = AudioError("no_audio", "no audio files below this folder")
            below = [path]
        files += below
    return FileList(tuple(files), problems, dict(sorted(left_out.items())), folders)


def is_folder(path: str) -> bool:
    """Whether a path is a folder; False for what cannot be a path at all."""
    return os.path.isdir(path)  # noqa: PTH112 - unlike pathlib's, it never raises


def _below(
    folder: str, problems: dict[str, AudioError], left_out: dict[str, LeftOut]
) -> Iterator[str]:
    """Audio files and unreadable folders below a folder, in the order of their names."""
    try:
        entries = sorted(os.scandir(folder), key=lambda entry: os.fsencode(entry.name))
    except OSError as error:
        kind = "permission" if isinstance(error, PermissionError) else "io"
        problems[folder] = AudioError(kind, f"the folder cannot be read: {error.strerror}")
        yield folder
        return
    for entry in entries:
        reason = ""
        if entry.name.startswith("."):
            reason = "hidden"
        elif entry.is_dir(follow_symlinks=False):
            yield from _below(entry.path, problems, left_out)
        elif entry.is_dir():
            reason = "linked_folder"  # a link may lead round in a circle
        elif _is_audio(entry):
            yield entry.path
        else:
            reason = "not_audio"
        if reason:
            left_out[reason] = left_out.get(reason, LeftOut()).add(entry.path)


def _is_audio(entry: os.DirEntry[str]) -> bool:
    if Path(entry.name).suffix.lower() in AUDIO_SUFFIXES:
        return True
    try:
        if not entry.is_file():
            return False
        with open(entry.path, "rb") as file:  # noqa: PTH123
            return looks_like_audio(file.read(16))
    except OSError:
        return False
