"""Which files a user means: paths as given, and the audio files below folders."""

from __future__ import annotations

import os
from collections import Counter
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
        *("m4a", "m4b", "aac", "mp4", "wma", "amr", "webm", "weba", "mka"),
    )
)


@dataclass(frozen=True)
class Found:
    """The files of a run.

    Attributes:
        paths: files to analyse, in order, as given or joined to their folder.
        problems: errors of paths that lead to no file.
        left_out: files below folders that are not looked at, by reason.
        folders: whether any path was a folder.
    """

    paths: tuple[str, ...]
    problems: Mapping[str, AudioError]
    left_out: Mapping[str, int]
    folders: bool


def find_files(paths: Iterable[str]) -> Found:
    """Expand folders into the audio files below them, sorted; leave other paths as they are."""
    found: list[str] = []
    problems: dict[str, AudioError] = {}
    left_out: Counter[str] = Counter()
    folders = False
    for path in paths:
        if not os.path.isdir(path):  # noqa: PTH112 - unlike pathlib's, it never raises
            found.append(path)
            continue
        folders = True
        below = list(_below(path, problems, left_out))
        if not below:
            problems[path] = AudioError("no_audio", "no audio files below this folder")
            below = [path]
        found += below
    return Found(tuple(found), problems, dict(sorted(left_out.items())), folders)


def _below(folder: str, problems: dict[str, AudioError], left_out: Counter[str]) -> Iterator[str]:
    """Audio files and unreadable folders below a folder, in the order of their names."""
    try:
        entries = sorted(os.scandir(folder), key=lambda entry: os.fsencode(entry.name))
    except OSError as error:
        kind = "permission" if isinstance(error, PermissionError) else "io"
        problems[folder] = AudioError(kind, f"the folder cannot be read: {error.strerror}")
        yield folder
        return
    for entry in entries:
        if entry.name.startswith("."):
            left_out["hidden"] += 1
        elif entry.is_dir(follow_symlinks=False):
            yield from _below(entry.path, problems, left_out)
        elif entry.is_dir():
            left_out["linked_folder"] += 1  # a link may lead round in a circle
        elif _is_audio(entry):
            yield entry.path
        else:
            left_out["not_audio"] += 1


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
