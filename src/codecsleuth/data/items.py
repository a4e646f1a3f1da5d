"""A data set as a folder: audio files and one table, ``items.csv``, that labels them."""

from __future__ import annotations

import csv
import hashlib
import math
import os
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from io import StringIO
from pathlib import Path, PurePosixPath
from typing import Final

import numpy as np
from numpy.typing import NDArray

from codecsleuth.errors import DataError, UsageError
from codecsleuth.taxonomy import AXES, BIN_BONA_FIDE, BIN_CODEC, CLASSES

TABLE: Final = "items.csv"
SPLITS: Final = ("train", "dev", "test")
BONA_FIDE: Final = "bonafide"
SPOOF: Final = "spoof"
ORIGINAL: Final = "original"
KINDS: Final = (ORIGINAL, "resynthesis", "generation")
REQUIRED_COLUMNS: Final = ("file", "split", "label", "vq", "aux", "dec")
OPTIONAL_COLUMNS: Final = (
    *("codec", "variant", "kind", "group"),
    *("source", "commit", "path", "start_s", "duration_s"),
)
_NAMED_MISSING: Final = 3

Row = dict[str, str]


@dataclass(frozen=True)
class Item:
    """One labelled clip.

    Attributes:
        row: its row in the table as a spreadsheet numbers it (the header is row 1).
        file: its path as the table has it.
        path: its path below the data folder.
        split: ``train``, ``dev`` or ``test``.
        label: ``bonafide``, or ``spoof`` for speech that passed through a neural codec.
        vq: class on the axis, ``Real`` for bona fide; None where it is not known.
        aux: likewise.
        dec: likewise.
        codec: name of the codec; empty if bona fide or not stated.
        variant: its bitrate or version; empty if not stated.
        kind: ``original``, ``resynthesis`` or ``generation``; empty if not stated.
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
        """Whether the clip passed through a neural codec."""
        return self.label == SPOOF

    def class_index(self, task: str) -> int | None:
        """The true class of a task in the order of `CLASSES`; None where it is not known."""
        if task == "BIN":
            return BIN_CODEC if self.is_codec else BIN_BONA_FIDE
        name = {"VQ": self.vq, "AUX": self.aux, "DEC": self.dec}[task]
        return None if name is None else CLASSES[task].index(name)


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

    def __iter__(self) -> Iterator[Item]:
        return iter(self.items)

    def __len__(self) -> int:
        return len(self.items)


def class_indices(items: Sequence[Item], task: str) -> NDArray[np.int64]:
    """True classes of a task, shape ``(items,)``; -1 where they are not known."""
    indices = (item.class_index(task) for item in items)
    return np.array([-1 if index is None else index for index in indices], dtype=np.int64)


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
    content = _read_bytes(table)
    items = [_item(table, number, row) for number, row in _rows(table, content)]
    if not items:
        raise DataError(f"{table}: the table has no rows")
    _refuse_duplicates(table, items)
    present, missing = _split_by_presence(items)
    if missing and not allow_missing:
        raise DataError(missing_message(table, missing, len(items)))
    return ItemTable(folder, hashlib.sha256(content).hexdigest(), present, missing)


def _read_bytes(table: Path) -> bytes:
    try:
        return table.read_bytes()
    except FileNotFoundError as error:
        if not table.parent.is_dir():
            raise DataError(f"{table.parent}: no such folder") from error
        raise DataError(f"{table.parent}: no {TABLE} in this folder") from error
    except OSError as error:
        if table.parent.exists() and not table.parent.is_dir():
            raise DataError(f"{table.parent}: not a folder with an {TABLE}") from error
        raise DataError(f"{table}: cannot read the table: {error.strerror or error}") from error


def _rows(table: Path, content: bytes) -> Iterator[tuple[int, Row]]:
    records = _records(table, content)
    number, header = next(records, (1, []))
    _check_columns(table, header)
    for number, record in records:
        if len(record) != len(header):
            raise DataError(
                f"{table}, row {number}: {len(record)} values for {len(header)} columns"
            )
        yield number, dict(zip(header, (value.strip() for value in record), strict=True))


def _records(table: Path, content: bytes) -> Iterator[tuple[int, list[str]]]:
    """Rows with their numbers, empty lines left out."""
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        row = content.count(b"\n", 0, error.start) + 1
        raise DataError(f"{table}, row {row}: not UTF-8 text") from error
    number = 0
    try:
        for number, record in enumerate(csv.reader(StringIO(text, newline=""), strict=True), 1):
            if record:
                yield number, record
    except csv.Error as error:
        raise DataError(f"{table}, row {number + 1}: not a CSV table ({error})") from error


def _check_columns(table: Path, header: list[str]) -> None:
    if not header:
        raise DataError(f"{table}: the table is empty")
    repeated = [name for name, count in Counter(header).items() if count > 1]
    unknown = [name for name in header if name not in REQUIRED_COLUMNS + OPTIONAL_COLUMNS]
    absent = [name for name in REQUIRED_COLUMNS if name not in header]
    for problem, names in (("repeated", repeated), ("unknown", unknown), ("missing", absent)):
        if names:
            listed = ", ".join(repr(name) for name in names)
            raise DataError(f"{table}, row 1: {problem} column {listed}")


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
    allowed = {"split": SPLITS, "label": (BONA_FIDE, SPOOF), "kind": ("", *KINDS)}
    allowed |= {axis.lower(): ("", *CLASSES[axis]) for axis in AXES}
    for column, words in allowed.items():
        if row.get(column, words[0]) not in words:
            known = ", ".join(word for word in words if word)
            raise DataError(f"{where}: {column} {row[column]!r} is not one of: {known}")


def _check_agreement(where: str, row: Row) -> None:
    """Refuse rows whose columns contradict each other, since either could be the wrong one."""
    axes = [axis.lower() for axis in AXES]
    if row["label"] == BONA_FIDE:
        stated = [column for column in axes if row[column] not in ("", "Real")]
        stated += ["codec"] if row.get("codec") else []
        stated += ["kind"] if row.get("kind", "") not in ("", ORIGINAL) else []
    else:
        stated = [column for column in axes if row[column] == "Real"]
        stated += ["kind"] if row.get("kind") == ORIGINAL else []
    if stated:
        column = stated[0]
        raise DataError(f"{where}: label {row['label']!r} contradicts {column} {row[column]!r}")


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


def source_folds(items: Iterable[Item], folds: int = 5) -> list[list[str]]:
    """Deal whole sources into folds, so that a fold can be judged by a model trained on the rest.

    The deal depends on the table alone. First, each fold gets one of the sources with the most
    clips of codecs found nowhere else, so that each fold has codecs that no source outside it has
    (where there are at least ``folds`` such sources). The other sources follow from large to
    small, each to the fold where it leaves clips spread most evenly: bona fide clips, codec clips
    and, with a quarter of the weight, the classes of each axis.

    Args:
        items: clips of all splits (a fold takes whole sources, whatever the split).
        folds: how many.

    Returns:
        One sorted list of sources per fold.

    Raises:
        DataError: there are fewer sources than folds.
    """
    items = list(items)
    sizes = _source_sizes(items)
    if len(sizes) < folds:
        raise DataError(f"{len(sizes)} sources cannot make {folds} folds; see the source column")
    novelty = _clips_of_own_codecs(items)
    pioneers = sorted(novelty, key=lambda source: (-novelty[source], source))[:folds]
    others = sorted(sizes.keys() - set(pioneers), key=lambda s: (-float(sizes[s].sum()), s))
    dealt: list[list[str]] = [[] for _ in range(folds)]
    loads = np.zeros((folds, next(iter(sizes.values())).size))
    for turn, source in enumerate(pioneers + others):
        # One source more adds |load + size|^2 - |load|^2 to the sum of squares; take the least.
        growth = ((loads + sizes[source]) ** 2 - loads**2).sum(axis=1)
        fold = turn if turn < len(pioneers) else int(growth.argmin())
        dealt[fold].append(source)
        loads[fold] += sizes[source]
    return [sorted(sources) for sources in dealt]


def fold_sources(items: Iterable[Item], fold: str) -> list[str]:
    """Sources of one fold, named ``K/N``: the K-th of N, counted from 1; see `source_folds`.

    Raises:
        UsageError: this is not the name of a fold.
        DataError: there are fewer sources than folds.
    """
    match = re.fullmatch(r"([0-9]{1,3})/([0-9]{1,3})", fold)
    number, folds = map(int, match.groups()) if match else (0, 0)
    if not 1 <= number <= folds or folds < 2:
        raise UsageError(f"--fold {fold!r}: not a fold such as 1/5, the first of five")
    return source_folds(items, folds)[number - 1]


def _source_sizes(items: Sequence[Item]) -> dict[str, NDArray[np.float64]]:
    """Per source, the weighted share it has of the clips of each class, shape ``(classes,)``."""
    counts: dict[str, Counter[tuple[str, int | None]]] = defaultdict(Counter)
    for item in items:
        counts[item.source].update((task, item.class_index(task)) for task in CLASSES)
    columns = [(task, index) for task in CLASSES for index in range(len(CLASSES[task]))]
    # Real is the bona fide class once more.
    columns = [(task, index) for task, index in columns if task == "BIN" or index > 0]
    weights = np.array([1.0 if task == "BIN" else 0.25 for task, _ in columns])
    table = np.array([[counts[source][column] for column in columns] for source in counts])
    shares = weights * table / np.maximum(table.sum(axis=0), 1)
    return dict(zip(counts, shares, strict=True))


def _clips_of_own_codecs(items: Sequence[Item]) -> Mapping[str, int]:
    """Clips, per source, of codecs that are found in no other source."""
    homes: dict[str, set[str]] = defaultdict(set)
    for item in items:
        homes[item.codec].add(item.source)
    own = (item for item in items if item.codec and len(homes[item.codec]) == 1)
    return Counter(item.source for item in own)
