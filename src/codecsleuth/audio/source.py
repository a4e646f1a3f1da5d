"""The bytes that are examined: read once, hashed, and kept from changing while they are decoded.

A file of usual size is copied into memory that nothing else can write to; what is decoded is what
was hashed. A larger one is decoded in its place and hashed again afterwards.
"""

from __future__ import annotations

import hashlib
import os
import stat
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from codecsleuth.errors import AudioError

#: What ``analyze`` takes for standard input.
STDIN: Final = "-"
#: Files up to this size are copied before they are decoded.
COPIED_BYTES: Final = 64 << 20
_CHUNK: Final = 1 << 20


@dataclass(frozen=True)
class Source:
    """Bytes to decode.

    Attributes:
        descriptor: open for reading, at the beginning.
        sha256: of the bytes as received.
        bytes: how many.
        copied: whether the descriptor is of a private copy, which cannot change.
    """

    descriptor: int
    sha256: str
    bytes: int
    copied: bool

    def check_unchanged(self) -> None:
        """Hash again what was decoded in its place.

        Raises:
            AudioError: it is not what it was.
        """
        if not self.copied and _hash(self.descriptor)[0] != self.sha256:
            raise AudioError("changed", "the file changed while it was read; analyse a copy of it")


@contextmanager
def open_source(path: str | Path) -> Iterator[Source]:
    """Open a regular file, or standard input for ``-``, and hash it.

    Raises:
        AudioError: it cannot be read, is empty, or is no regular file.
    """
    if str(path) == STDIN:
        if sys.stdin is None:
            raise AudioError("io", "standard input is closed")
        original = os.dup(sys.stdin.fileno())
    else:
        original = _open_regular(path)
    try:
        source = _source(original, streamed=str(path) == STDIN)
    except OSError as error:
        raise AudioError("io", f"cannot be read: {error.strerror or error}") from error
    finally:
        os.close(original)
    try:
        yield source
    finally:
        os.close(source.descriptor)


def _source(original: int, *, streamed: bool) -> Source:
    if streamed or os.fstat(original).st_size <= COPIED_BYTES:
        copy = _memory() if not streamed and hasattr(os, "memfd_create") else _temporary()
        try:
            source = Source(copy, *_hash(original, copy), copied=True)
        except OSError:
            os.close(copy)
            raise
    else:
        source = Source(os.dup(original), *_hash(original), copied=False)
    if source.bytes == 0:
        os.close(source.descriptor)
        raise AudioError("empty", "the file is empty")
    os.lseek(source.descriptor, 0, os.SEEK_SET)
    return source


def _memory() -> int:
    return os.memfd_create("codecsleuth")


def _temporary() -> int:
    with tempfile.TemporaryFile() as file:
        return os.dup(file.fileno())


def _hash(descriptor: int, copy: int | None = None) -> tuple[str, int]:
    """Hash and size of all bytes from the beginning, which may be copied on the way."""
    if copy is None:
        os.lseek(descriptor, 0, os.SEEK_SET)
    digest, size = hashlib.sha256(), 0
    while block := os.read(descriptor, _CHUNK):
        digest.update(block)
        size += len(block)
        while copy is not None and block:
            block = block[os.write(copy, block) :]
    return digest.hexdigest(), size


def _open_regular(path: str | Path) -> int:
    """Open without waiting: a pipe or a device must not hang the whole run."""
    try:
        if not stat.S_ISREG(os.stat(path).st_mode):  # noqa: PTH116 - Path takes "" for "."
            raise _not_a_file(Path(path))
        flags = getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
        return os.open(path, os.O_RDONLY | flags)
    except FileNotFoundError as error:
        if Path(path).is_symlink():
            raise AudioError("broken_link", "a symbolic link to nothing") from error
        raise AudioError("missing", "no such file") from error
    except PermissionError as error:
        raise AudioError("permission", "no permission to read it") from error
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise AudioError("io", f"cannot be opened: {reason}") from error


def _not_a_file(path: Path) -> AudioError:
    if path.is_dir():
        return AudioError("directory", "a folder, not an audio file")
    return AudioError("not_a_file", "not a regular file (a pipe, socket or device)")
