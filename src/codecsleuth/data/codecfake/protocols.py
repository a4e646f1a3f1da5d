"""Lists of CodecFake+ clips: the authors' protocol files and the release's label files.

A line has the speaker (CoRS) or the system (CoSG), the clip, what is known of its classes, and the
label. The words for the classes say which axis they are of, so that their order, which differs
from list to list, does not matter.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache, lru_cache
from pathlib import Path
from types import MappingProxyType
from typing import Final, NamedTuple

from codecsleuth.data.items import BONA_FIDE, SPOOF
from codecsleuth.errors import DataError
from codecsleuth.taxonomy import catalogue, find_entries

Classes = tuple[str | None, str | None, str | None]
UNKNOWN: Final[Classes] = (None, None, None)

_SPEAKER: Final = re.compile(r"[ps]\d+")
_CLIP: Final = re.compile(rf"({_SPEAKER.pattern})(_\d+)(?:_(.+))?")
_SUFFIX: Final = re.compile(r"\.(wav|flac)$", re.IGNORECASE)
_LABELS: Final = MappingProxyType({"bonafide": BONA_FIDE, "spoof": SPOOF, "spoofs": SPOOF})
#: Per word, its place among VQ, AUX and DEC, and the class.
_WORDS: Final = MappingProxyType(
    {
        **{"mvq": (0, "MVQ"), "svq": (0, "SVQ"), "sq": (0, "SQ"), "scq": (0, "SQ")},
        **{"trad": (1, "None"), "none": (1, "None"), "sem": (1, "Semantic distillation")},
        **{"disent": (1, "Disentanglement"), "time": (2, "Time"), "freq": (2, "Frequency")},
    }
)


class ClipName(NamedTuple):
    """What the name of a CoRS clip says, such as ``p225_001_bigcodec``.

    Attributes:
        speaker: ``p225``.
        utterance: ``p225_001``, the name of the original.
        codec: ``bigcodec``; empty for an original.
    """

    speaker: str
    utterance: str
    codec: str


def is_speaker(name: str) -> bool:
    """Whether this is a speaker of VCTK, by whom CoRS clips are; else it is a CoSG system."""
    return _SPEAKER.fullmatch(name) is not None


@cache
def is_system(name: str) -> bool:
    """Whether CodecFake+ has CoSG clips of a system by this name, such as ``VALLE``."""
    systems = [entry for entry in catalogue() if entry.kind == "system"]
    return name.upper() in {alias for entry in systems for alias in (entry.name, *entry.aliases)}


def parse_clip(stem: str) -> ClipName | None:
    """Take the name of a CoRS clip apart; None for any other name."""
    match = _CLIP.fullmatch(stem)
    if match is None:
        return None
    speaker, number, codec = match.groups()
    return ClipName(speaker, speaker + number, codec or "")


class Row(NamedTuple):
    """One clip of a list.

    Attributes:
        number: of its line, from 1.
        owner: speaker or system.
        stem: the clip's file name without its suffix.
        label: ``bonafide`` or ``spoof``.
        classes: on VQ, AUX and DEC; None where the list does not say.
    """

    number: int
    owner: str
    stem: str
    label: str
    classes: Classes = UNKNOWN

    @property
    def clip(self) -> ClipName | None:
        """The parts of a CoRS clip's name; None for a CoSG clip."""
        clip = parse_clip(self.stem)
        return clip if clip and clip.speaker == self.owner else None


@dataclass(frozen=True)
class Protocol:
    """A list as it was read.

    Attributes:
        path: the file.
        rows: each clip once.
        repeated: lines left out since an earlier one says the same.
    """

    path: Path
    rows: tuple[Row, ...]
    repeated: int = 0


def read_protocol(path: Path) -> Protocol:
    """Read a list of any of the forms that the data set comes with.

    Raises:
        DataError: it cannot be read, or a line makes no sense; one line that names file and line.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: not UTF-8 text") from error
    except OSError as error:
        raise DataError(f"{path}: cannot read the list: {error.strerror or error}") from error
    first: dict[tuple[str, str], Row] = {}
    repeated = 0
    for row in _rows(path, text):
        known = first.setdefault((row.owner, row.stem), row)
        if known is row:
            continue
        if (known.label, known.classes) != (row.label, row.classes):
            raise DataError(f"{path}, line {row.number}: contradicts line {known.number}")
        repeated += 1
    if not first:
        raise DataError(f"{path}: the list is empty")
    return Protocol(path, tuple(first.values()), repeated)


def _rows(path: Path, text: str) -> Iterator[Row]:
    for number, line in enumerate(text.split("\n"), 1):
        words = line.split(None, 2)
        if not words or (number == 1 and words[:2] == ["Model", "ClipID"]):
            continue
        try:
            owner, clip, rest = words
            label, classes = _meaning(rest)
        except ValueError as error:
            reason = str(error) if len(words) == 3 else "not 'speaker clip ... label'"
            raise DataError(f"{path}, line {number}: {reason}") from error
        if "/" in clip or "\0" in clip:
            raise DataError(f"{path}, line {number}: {clip!r} is not the name of a clip")
        stem = _SUFFIX.sub("", clip)
        if not stem.startswith(f"{owner}_"):
            owner, stem = _by_speaker(owner, stem, label)
        yield Row(number, owner, stem, label, classes)


def _by_speaker(owner: str, stem: str, label: str) -> tuple[str, str]:
    """Speaker and full name of a CoRS clip that a list has under its codec; others as they are."""
    clip = parse_clip(stem)
    if clip is None or is_system(owner):
        return owner, stem
    coded = label == SPOOF and not clip.codec
    return clip.speaker, f"{stem}_{owner}" if coded else stem


@lru_cache(maxsize=1024)
def _meaning(rest: str) -> tuple[str, Classes]:
    """Label and classes from what follows the clip's name.

    Raises:
        ValueError: a word is unknown, or words contradict each other.
    """
    *words, last = rest.split()
    label = _LABELS.get(last.lower())
    if label is None:
        raise ValueError(f"label {last!r} is neither bonafide nor spoof")
    classes: list[str | None] = ["Real"] * 3 if label == BONA_FIDE else [None] * 3
    for word in words:
        if word == "-":
            continue
        place, name = _WORDS.get(word.lower(), (-1, "Real"))
        if place < 0 and word.lower() != "real":
            raise ValueError(f"{word!r} is not a class of VQ, AUX or DEC")
        if (label == BONA_FIDE) != (name == "Real"):
            raise ValueError(f"label {last!r} contradicts class {word!r}")
        if place >= 0:
            classes[place] = name
    vq, aux, dec = classes
    return label, (vq, aux, dec)


@cache
def catalogue_classes(name: str) -> tuple[str, Classes | None]:
    """Name and classes in the catalogue; the name itself and None if it is not there."""
    entries = find_entries(name)
    if len(entries) != 1:
        return name, None
    return entries[0].name, (entries[0].vq, entries[0].aux, entries[0].dec)
