"""Unpack a split .tar.xz as a stream: no joined copy, nothing outside the folder, kept when cut."""

from __future__ import annotations

import io
import lzma
import shutil
import tarfile
from collections.abc import Callable, Sequence
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Final

from codecsleuth.errors import DataError

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

Advance = Callable[[int], None]
_CHUNK: Final = 1 << 20


class _Joined(io.RawIOBase):
    """Files one after the other, as if they were one."""

    def __init__(self, parts: Sequence[Path], advance: Advance) -> None:
        self._parts = iter(parts)
        self._advance = advance
        self._part: io.FileIO | None = None

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: WriteableBuffer) -> int:
        while True:
            if self._part is None:
                path = next(self._parts, None)
                if path is None:
                    return 0
                self._part = path.open("rb", buffering=0)
            if count := self._part.readinto(buffer):
                self._advance(count)
                return count
            self._part.close()
            self._part = None

    def close(self) -> None:
        if self._part is not None:
            self._part.close()
        super().close()


def unpack(parts: Sequence[Path], folder: Path, advance: Advance = lambda _: None) -> int:
    """Unpack an archive; files that are there in full already are kept.

    A file appears under its name only when all of it is written, so an interrupted run is gone on
    with by the same call.

    Args:
        parts: of the ``.tar.xz``, in order.
        folder: to unpack into.
        advance: told how many bytes of the archive were read.

    Returns:
        How many files the archive has.

    Raises:
        DataError: the archive is damaged, or a member is no plain file or leaves the folder.
    """
    files = 0
    try:
        joined = io.BufferedReader(_Joined(parts, advance), _CHUNK)
        with joined, lzma.open(joined) as stream:
            with tarfile.open(fileobj=stream, mode="r|") as archive:
                for member in archive:
                    _check(parts[0], member, folder)
                    if member.isfile():
                        _write(archive, member, folder / member.name)
                        files += 1
            while stream.read(_CHUNK):
                pass  # to the end, where a cut or a wrong checksum shows
    except (tarfile.TarError, lzma.LZMAError, EOFError) as error:
        raise DataError(f"{parts[0]}: the archive is damaged: {error}") from error
    return files


def _check(archive: Path, member: tarfile.TarInfo, folder: Path) -> None:
    """Refuse what an archive of audio has no need of."""
    where = f"{archive}: member {member.name!r}"
    path = PurePosixPath(member.name)
    if path.is_absolute() or ".." in path.parts or "\0" in member.name:
        raise DataError(f"{where} would leave the folder; the archive is not unpacked further")
    if not (member.isfile() or member.isdir()) or member.issparse():
        raise DataError(f"{where} is not a plain file; the archive is not unpacked further")
    try:
        tarfile.data_filter(member, str(folder))
    except tarfile.FilterError as error:
        raise DataError(f"{where} would leave the folder: {error}") from error


def _write(archive: tarfile.TarFile, member: tarfile.TarInfo, path: Path) -> None:
    if path.is_file() and not path.is_symlink() and path.stat().st_size == member.size:
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f".{path.name}.part")
    unfinished.unlink(missing_ok=True)
    source = archive.extractfile(member)
    assert source is not None, "a plain file has content"
    try:
        with unfinished.open("xb") as target:
            shutil.copyfileobj(source, target, _CHUNK)
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)
