"""Where the audio of CodecFake+ is: one look into each folder, in any of its layouts."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Final

from codecsleuth.data.codecfake.protocols import is_system

AUTHORS_CORS: Final = "all_data_16k"
AUTHORS_COSG: Final = "SLMdemos_16k"
RELEASED_CORS: Final = "Codecfake_plus_CoRS"
RELEASED_COSG: Final = "CoSG"
AUDIO_FOLDERS: Final = (AUTHORS_CORS, AUTHORS_COSG, RELEASED_CORS, RELEASED_COSG)
SUFFIXES: Final = (".wav", ".flac")
#: How often the folder of a clip may be nested below the data folder.
_DEPTH: Final = 4

#: Spellings of the same codec in clip names; the first of each is the right one.
_SPELLINGS: Final = (
    ("xcodec_hubert_librispeech", "xcodec_hubert_libirispeech"),
    ("xcodec_hubert_general_audio", "xocdec_hubert_general_audio"),
)
RIGHT_SPELLING: Final[Mapping[str, str]] = MappingProxyType(
    {wrong: right for right, *others in _SPELLINGS for wrong in others}
)
_OTHERS: Final = {
    name: tuple(other for other in group if other != name) for group in _SPELLINGS for name in group
}


class Clips:
    """The audio files below a folder, by system and stem.

    CoRS clips, and CoSG clips that are not in a folder of their system, have the system "".
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self._files: dict[tuple[str, str], str] = {}
        self._released = any((root / one).is_dir() for one in (RELEASED_CORS, RELEASED_COSG))
        for folder, names in _listings(root, "", _DEPTH):
            parent, _, name = folder.rpartition("/")
            own = parent.endswith(AUTHORS_COSG) or is_system(name)
            self._add(name if own else "", folder, names)

    def _add(self, system: str, folder: str, names: list[str]) -> None:
        prefix = f"{folder}/" if folder else ""
        for name in names:
            key = system, name.rpartition(".")[0]
            # Where a clip is there in both formats, .wav is taken, whatever the order.
            if name.lower().endswith(SUFFIXES[0]) or key not in self._files:
                self._files[key] = prefix + name

    def __len__(self) -> int:
        return len(self._files)

    def __iter__(self) -> Iterator[tuple[str, str]]:
        """System and stem of every file, sorted."""
        return iter(sorted(self._files))

    def expected(self, system: str, stem: str) -> str:
        """Where a clip that is not there would be, in the layout of what is there."""
        if self._released:
            return f"{RELEASED_COSG if system else RELEASED_CORS}/{stem}.wav"
        return f"{AUTHORS_COSG}/{system}/{stem}.wav" if system else f"{AUTHORS_CORS}/{stem}.wav"

    def find(self, system: str, stem: str, codec: str = "") -> str | None:
        """Path of a clip below the folder, whichever way its codec is spelt; None if not there."""
        found = self._files.get((system, stem)) or self._files.get(("", stem))
        if found is None and codec in _OTHERS:
            utterance = stem.removesuffix(codec)
            found = next(filter(None, (self.find("", utterance + o) for o in _OTHERS[codec])), None)
        return found


def _listings(root: Path, below: str, depth: int) -> Iterator[tuple[str, list[str]]]:
    """Each folder, relative to the root, with the names of its audio files.

    Raises:
        OSError: a folder cannot be listed.
    """
    names, folders = [], []
    with os.scandir(root / below) as entries:
        for entry in entries:
            name = entry.name
            if name.startswith("."):
                continue
            if name.lower().endswith(SUFFIXES):
                # Known from the listing alone, unless it is a link.
                if entry.is_file():
                    names.append(name)
            elif depth and entry.is_dir():
                folders.append(name)
    if names:
        yield below, names
    for name in sorted(folders):
        yield from _listings(root, f"{below}/{name}" if below else name, depth - 1)
