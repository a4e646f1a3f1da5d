"""A data set as a folder: audio files and one table, ``items.csv``, that labels them."""

from __future__ import annotations

import hashlib
import math
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path, PurePosixPath
from types import MappingProxyType
from typing import Final

import numpy as np

from codecsleuth.arrays import BoolArray, IntArray
from codecsleuth.data.rows import Row, read_bytes, read_rows
from codecsleuth.errors import DataError
from codecsleuth.storage import sha256_of
from codecsleuth.taxonomy import AXES, CLASSES

TABLE: Final = "items.csv"
#: Splits that training and evaluation take unless they are told otherwise.
SPLITS: Final = ("train", "dev", "test")
BONA_FIDE: Final = "bonafide"
SPOOF: Final = "spoof"
VOCODER: Final = "vocoder"
NEURAL: Final = "neural"
#: The detection classes that a clip of each label may be of.
LABELS: Final[Mapping[str, tuple[str, ...]]] = MappingProxyType(
    {
        BONA_FIDE: ("bona fide",),
        SPOOF: ("codec",),
        VOCODER: ("vocoder",),
        NEURAL: ("codec", "vocoder"),
    }
)
#: The labels that go with a kind of clip; any other kind goes with any label.
KINDS: Final[Mapping[str, tuple[str, ...]]] = MappingProxyType(
    {
        "original": (BONA_FIDE,),
        "classical": (BONA_FIDE,),
        "resynthesis": (SPOOF,),
        "generation": (SPOOF, VOCODER, NEURAL),
        "conversion": (SPOOF, VOCODER, NEURAL),
        "vocoder": (VOCODER,),
        "enhancement": (BONA_FIDE, SPOOF, VOCODER),
    }
)
#: Class index of a clip whose class is not known; it counts in no loss and in no figure.
UNKNOWN_CLASS: Final = -1
REQUIRED_COLUMNS: Final = ("file", "split", "label", "vq", "aux", "dec")
OPTIONAL_COLUMNS: Final = ("codec", "variant", "kind", "group", "source", "duration_s")
#: Where a clip of the training corpus was cut from; not read.
ORIGIN_COLUMNS: Final = ("commit", "path", "start_s", "pcm_md5")
_NAMED_MISSING: Final = 3


@dataclass(frozen=True)
class Item:
    """One labelled clip.

    Attributes:
        row: its row in the table as a spreadsheet numbers it (the header is row 1).
        file: its path as the table has it.
        path: its path below the data folder.
        split: such as ``train``, ``dev`` or ``test``.
        label: ``bonafide``; ``spoof`` for speech that passed through a neural codec; ``vocoder``
            for neural synthesis or processing without a codec; ``neural`` for one of these two.
        vq: class on the axis, ``Real`` for bona fide; None where it is not known or has none.
        aux: likewise.
        dec: likewise.
        codec: name of the codec; empty if bona fide or not stated.
        variant: its bitrate or version, or the system that made the clip; empty if not stated.
        kind: how the clip was made, such as ``original`` or ``generation``; empty if not stated.
        group: the utterance, shared by an original and its codec versions; the file if not stated.
        source: the page or data set the clip is from; empty if not stated.
        duration_s: seconds; None if not stated.
        subset: ``CoRS`` or ``CoSG`` in CodecFake+; empty elsewhere.
        system: the generation system of a CoSG clip; empty elsewhere.
        speaker: of a CoRS clip (VCTK's name); empty elsewhere.
    """

    row: int
    file: str
    path: Path
    split: str
    label: str
    vq: str | None
    aux: str | None
    dec: str | None
    codec: str = ""
    variant: str = ""
    kind: str = ""
    group: str = ""
    source: str = ""
    duration_s: float | None = None
    subset: str = ""
    system: str = ""
    speaker: str = ""

    @property
    def is_codec(self) -> bool:
        """Whether the clip passed through a neural codec; False where that is not known."""
        return self.label == SPOOF

    @property
    def is_bona_fide(self) -> bool:
        """Whether neither a neural codec nor other neural synthesis made the clip."""
        return self.label == BONA_FIDE

    @property
    def label_classes(self) -> tuple[str, ...]:
        """The detection classes that the clip may be of: one, or ``codec`` and ``vocoder``."""
        return LABELS[self.label]

    def class_index(self, task: str, classes: Sequence[str] | None = None) -> int | None:
        """The true class of a task.

        Args:
            task: which.
            classes: names of its classes in order; by default those of `CLASSES`.

        Returns:
            The place among the classes; None where the class is not known or not among them.
        """
        names, classes = self._class_names(task), CLASSES[task] if classes is None else classes
        return classes.index(names[0]) if len(names) == 1 and names[0] in classes else None

    def allowed_classes(self, task: str, classes: Sequence[str] | None = None) -> list[bool]:
        """For each class of a task whether the clip may be of it; never, if that is not known.

        Args:
            task: which.
            classes: names of its classes in order; by default those of `CLASSES`.
        """
        names, classes = self._class_names(task), CLASSES[task] if classes is None else classes
        known = set(names) <= set(classes)
        return [known and name in names for name in classes]

    def _class_names(self, task: str) -> tuple[str, ...]:
        if task == "BIN":
            return self.label_classes
        name = {"VQ": self.vq, "AUX": self.aux, "DEC": self.dec}[task]
        return () if name is None else (name,)


@dataclass(frozen=True)
class ItemTable:
    """The clips of a data folder.

    Attributes:
        folder: the data folder.
        sha256: of the table.
        items: clips whose audio is there, in the table's order.
        missing: clips whose audio is not; empty unless missing audio was allowed.
        notes: what a user should know of how the clips were read.
        chosen: whether these are the clips of lists that the user named.
        protocols: names of the lists and label files that chose the clips, with their sha256.
        revision: commit of the release that was fetched into the folder; empty if not known.
    """

    folder: Path
    sha256: str
    items: tuple[Item, ...]
    missing: tuple[Item, ...] = ()
    notes: tuple[str, ...] = ()
    chosen: bool = False
    protocols: Mapping[str, str] = field(default_factory=dict)
    revision: str = ""

    @property
    def clips_sha256(self) -> str:
        """Hash of the table and of which of its clips are there."""
        names = "\n".join(item.file for item in self.items)
        return hashlib.sha256(f"{self.sha256}\n{names}".encode()).hexdigest()

    @cached_property
    def audio_sha256(self) -> str:
        """Hash of the audio files' bytes in the order of the items; reads all of them once.

        Raises:
            DataError: one cannot be read; names the file and its row.
        """
        digest = hashlib.sha256()
        for item in self.items:
            try:
                digest.update(bytes.fromhex(sha256_of(item.path)))
            except OSError as error:
                reason = error.strerror or error
                raise DataError(
                    f"{item.path} (row {item.row}): cannot be read: {reason}"
                ) from error
        return digest.hexdigest()

    def __iter__(self) -> Iterator[Item]:
        return iter(self.items)

    def __len__(self) -> int:
        return len(self.items)


def class_indices(
    items: Sequence[Item], task: str, classes: Sequence[str] | None = None
) -> IntArray:
    """True classes of a task, ``(items,)``; `UNKNOWN_CLASS` where not known or not among these.

    Args:
        items: the clips.
        task: which.
        classes: names of its classes in order; by default those of `CLASSES`.
    """
    indices = (item.class_index(task, classes) for item in items)
    known = [UNKNOWN_CLASS if index is None else index for index in indices]
    return np.array(known, dtype=np.int64)


def allowed_classes(
    items: Sequence[Item], task: str, classes: Sequence[str] | None = None
) -> BoolArray:
    """Which classes of a task each clip may be of, ``(items, classes)``; see `Item`.

    Args:
        items: the clips.
        task: which.
        classes: names of its classes in order; by default those of `CLASSES`.
    """
    width = len(CLASSES[task] if classes is None else classes)
    allowed = [item.allowed_classes(task, classes) for item in items]
    return np.array(allowed, dtype=bool).reshape(len(items), width)


def read_items(folder: str | Path, *, allow_missing: bool = False) -> ItemTable:
    """Read the table of a data folder and find its audio, with one look into each directory.

    Args:
        folder: holds ``items.csv``; the table's ``file`` column is relative to it.
        allow_missing: leave clips out whose audio is not there (they are listed in ``missing``).

    Raises:
        DataError: the table or its audio cannot be used; one line that names table and row.
    """
    folder = Path(folder)
    table = folder / TABLE
    content = read_bytes(table)
    rows = read_rows(table, content, REQUIRED_COLUMNS, OPTIONAL_COLUMNS + ORIGIN_COLUMNS)
    items = [_item(table, number, row) for number, row in rows]
    if not items:
        raise DataError(f"{table}: the table has no rows")
    _refuse_duplicates(table, items)
    present, missing = _split_by_presence(items)
    if missing and not allow_missing:
        raise DataError(missing_message(table, missing, len(items)))
    return ItemTable(folder, hashlib.sha256(content).hexdigest(), present, missing)


def _item(table: Path, number: int, row: Row) -> Item:
    where = f"{table}, row {number} ({row['file']!r})"
    _check_words(where, row)
    _check_agreement(where, row)
    duration = row.get("duration_s", "")
    return Item(
        row=number,
        file=row["file"],
        path=table.parent / _inner_path(where, row["file"]),
        split=row["split"],
        label=row["label"],
        vq=_axis_class(row, "vq"),
        aux=_axis_class(row, "aux"),
        dec=_axis_class(row, "dec"),
        codec=row.get("codec", ""),
        variant=row.get("variant", ""),
        kind=row.get("kind", ""),
        group=row.get("group", "") or row["file"],
        source=row.get("source", ""),
        duration_s=_seconds(where, duration) if duration else None,
    )


def _axis_class(row: Row, column: str) -> str | None:
    """The class that an axis column states; an empty one is known only for bona fide."""
    return "Real" if row["label"] == BONA_FIDE else row[column] or None


def _check_words(where: str, row: Row) -> None:
    if row["split"].split() != [row["split"]]:
        known = ", ".join(SPLITS)
        raise DataError(f"{where}: split {row['split']!r} is not one word, such as {known}")
    allowed: dict[str, Sequence[str]] = {"label": tuple(LABELS)}
    allowed |= {axis.lower(): ("", *CLASSES[axis]) for axis in AXES}
    for column, words in allowed.items():
        if row[column] not in words:
            known = ", ".join(word for word in words if word)
            raise DataError(f"{where}: {column} {row[column]!r} is not one of: {known}")


def _check_agreement(where: str, row: Row) -> None:
    """Refuse rows whose columns contradict each other, since either could be the wrong one."""
    label, kind = row["label"], row.get("kind", "")
    axes = [axis.lower() for axis in AXES]
    wrong = [column for column in axes if not _fits(label, row[column])]
    wrong += ["codec"] if label != SPOOF and row.get("codec") else []
    wrong += ["kind"] if label not in KINDS.get(kind, LABELS) else []
    if wrong:
        raise DataError(f"{where}: label {label!r} contradicts {wrong[0]} {row[wrong[0]]!r}")


def _fits(label: str, axis_class: str) -> bool:
    """Whether a clip of a label may have this class on an axis; an empty one says nothing."""
    if label == BONA_FIDE:
        return axis_class in ("", "Real")
    return not axis_class or (label == SPOOF and axis_class != "Real")


def _seconds(where: str, text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = math.nan
    if not 0 <= seconds < math.inf:
        raise DataError(f"{where}: duration_s {text!r} is not a number of seconds")
    return seconds


def _inner_path(where: str, file: str) -> PurePosixPath:
    path = PurePosixPath(file)
    if not file or "\0" in file:
        raise DataError(f"{where}: no file name")
    if path.is_absolute() or ".." in path.parts:
        raise DataError(f"{where}: the file's path leaves the data folder")
    return path


def _refuse_duplicates(table: Path, items: list[Item]) -> None:
    first: dict[Path, int] = {}
    for item in items:
        row = first.setdefault(item.path, item.row)
        if row != item.row:
            raise DataError(f"{table}, row {item.row} ({item.file!r}): also in row {row}")


def _split_by_presence(items: list[Item]) -> tuple[tuple[Item, ...], tuple[Item, ...]]:
    listings = {parent: _files_in(parent) for parent in {item.path.parent for item in items}}
    there = [item.path.name in listings[item.path.parent] for item in items]
    present = tuple(item for item, found in zip(items, there, strict=True) if found)
    missing = tuple(item for item, found in zip(items, there, strict=True) if not found)
    return present, missing


def _files_in(folder: Path) -> frozenset[str]:
    try:
        with os.scandir(folder) as entries:
            return frozenset(entry.name for entry in entries if entry.is_file())
    except OSError:
        return frozenset()


def missing_message(table: Path, missing: Sequence[Item], total: int) -> str:
    """How many clips have no audio, and which."""
    named = ", ".join(f"row {item.row} ({item.file!r})" for item in missing[:_NAMED_MISSING])
    more = ", ..." if len(missing) > _NAMED_MISSING else ""
    return f"{table}: audio missing for {len(missing)} of {total} rows: {named}{more}"
