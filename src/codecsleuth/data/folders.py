"""A laboratory's own recordings: with an ``items.csv``, or with a folder for each label."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from codecsleuth.audio.files import FileWalk
from codecsleuth.data.items import BONA_FIDE, SPOOF, TABLE, VOCODER, Item, ItemTable, read_items
from codecsleuth.errors import DataError
from codecsleuth.text import valid_unicode

#: Names of the folders, and the labels of what is below them.
FOLDERS: Final = {"codec": SPOOF, "bona_fide": BONA_FIDE, "vocoder": VOCODER}
SPLIT: Final = "validation"


def read_laboratory(folder: str | Path, *, allow_missing: bool = False) -> ItemTable:
    """Read labelled recordings from a folder of either kind.

    Without a table, labels are the folders' names, and the source of a recording is the name of the
    folder that it is in below these: ``codec/phone 7/a.wav`` and ``bona_fide/phone 7/b.wav`` are of
    one source, a recording directly below ``codec`` has none.

    Args:
        folder: with ``items.csv``, or with ``codec`` and ``bona_fide`` (and ``vocoder``).
        allow_missing: of a table, leave clips out whose audio is not there.

    Raises:
        DataError: the folder cannot be used; one line that says what to do.
    """
    folder = Path(folder)
    if (folder / TABLE).exists():
        return read_items(folder, allow_missing=allow_missing)
    if not all((folder / name).is_dir() for name in ("codec", "bona_fide")):
        raise DataError(
            f"{folder}: neither an {TABLE} nor two folders 'codec' and 'bona_fide' of recordings"
        )
    return _read_folders(folder)


def _read_folders(folder: Path) -> ItemTable:
    lists = {name: FileWalk([str(folder / name)]) for name in FOLDERS if (folder / name).is_dir()}
    items = tuple(_items(folder, lists))
    labelled = "\n".join(f"{item.label} {valid_unicode(item.file)}" for item in items)
    digest = hashlib.sha256(labelled.encode()).hexdigest()
    return ItemTable(folder, digest, items, notes=tuple(_notes(lists)))


def _items(folder: Path, lists: dict[str, FileWalk]) -> Iterator[Item]:
    row = 1
    for name, files in lists.items():
        for path, problem in files:
            if problem:
                raise DataError(f"{path}: {problem}")
            row += 1
            yield _item(folder, Path(path), FOLDERS[name], row)


def _item(folder: Path, path: Path, label: str, row: int) -> Item:
    inner = path.relative_to(folder)
    axis = "Real" if label == BONA_FIDE else None
    return Item(
        row=row,
        file=str(inner),
        path=path,
        split=SPLIT,
        label=label,
        vq=axis,
        aux=axis,
        dec=axis,
        group=str(inner),
        source="/".join(inner.parts[1:-1]),
    )


def _notes(lists: dict[str, FileWalk]) -> Iterator[str]:
    for name, files in lists.items():
        for reason, count in files.counts().items():
            yield f"{name}: {count} files left out ({reason.replace('_', ' ')})"
