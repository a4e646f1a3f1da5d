"""The bytes that are examined: read once, hashed, and kept from changing while they are decoded.

A file of usual size is copied into memory that nothing else can write to; what is decoded is what
was hashed. A larger one is decoded in its place and hashed again afterwards. What comes from
standard input or from a URL is copied in any case.
"""

from __future__ import annotations

import hashlib
import os
import re
import stat
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from codecsleuth.errors import AudioError

#: What ``analyze`` takes for standard input.
STDIN: Final = "-"
#: Files up to this size are copied before they are decoded.
COPIED_BYTES: Final = 64 << 20
_CHUNK: Final = 1 << 20
_URL: Final = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://")
#: Protocols that are another way to write a path, which would hide that it is one.
_LOCAL: Final = ("file", "local")
#: Gives the next bytes, none at the end.
_Read = Callable[[int], bytes]


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
    """Open a regular file, a URL, or standard input for ``-``, and hash it.

    Raises:
        AudioError: it cannot be read, is empty, or is no regular file.
    """
    source = _url_source(str(path)) if is_url(path) else _file_source(path)
    try:
        if source.bytes == 0:
            raise AudioError("empty", "the file is empty")
        os.lseek(source.descriptor, 0, os.SEEK_SET)
        yield source
    finally:
        os.close(source.descriptor)


def is_url(path: str | Path) -> bool:
    """Whether a path is a URL, such as ``s3://bucket/a.wav``."""
    return isinstance(path, str) and _URL.match(path) is not None


def stamp(path: str) -> tuple[int | None, int | str] | None:
    """What tells a file's present content from another, without reading it.

    Returns:
        Size in bytes, and time of the last change in nanoseconds; of a URL, what its file system
        has instead. None for standard input, and where nothing can be known.
    """
    if path == STDIN:
        return None
    try:
        if not is_url(path):
            facts = os.stat(path)  # noqa: PTH116 - Path takes "" for "."
            return facts.st_size, facts.st_mtime_ns
        system, inner = _file_system(path)
        return system.info(inner).get("size"), system.ukey(inner)
    except Exception:  # what is wrong is said when the file is read
        return None


def _file_source(path: str | Path) -> Source:
    streamed = str(path) == STDIN
    if streamed and sys.stdin is None:
        raise AudioError("io", "standard input is closed")
    original = os.dup(sys.stdin.fileno()) if streamed else _open_regular(path)
    try:
        if streamed:
            return _copied(lambda size: os.read(original, size), _temporary())
        if os.fstat(original).st_size > COPIED_BYTES:
            digest, size = _hash(original)
            return Source(os.dup(original), digest, size, copied=False)
        copy = _memory() if hasattr(os, "memfd_create") else _temporary()
        return _copied(lambda size: os.read(original, size), copy)
    except OSError as error:
        raise AudioError("io", f"cannot be read: {error.strerror or error}") from error
    finally:
        os.close(original)


def _url_source(url: str) -> Source:
    """Copy what a URL leads to; its file system's library has errors of its own."""
    try:
        system, path = _file_system(url)
        with system.open(path, "rb") as file:
            return _copied(file.read, _temporary())
    except AudioError:
        raise
    except FileNotFoundError as error:
        raise AudioError("missing", "no such file") from error
    except PermissionError as error:
        raise AudioError("permission", "no permission to read it") from error
    except Exception as error:
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise AudioError("io", f"cannot be read: {reason}") from error


def _file_system(url: str) -> tuple[Any, str]:
    """The file system of a URL, and the path in it.

    Raises:
        AudioError: there is none, or it is not installed.
    """
    protocol = url.partition("://")[0].lower()
    if protocol in _LOCAL:
        raise AudioError("url", f"give the path itself, without {protocol}://")
    try:
        import fsspec

        system, path = fsspec.core.url_to_fs(url)
        return system, str(path)
    except ImportError as error:
        advice = f"{protocol}:// needs an extra: pip install 'codecsleuth[cloud]'"
        raise AudioError("not_installed", advice) from error
    except ValueError as error:
        raise AudioError("url", f"cannot be read: no protocol {protocol!r}") from error


def _copied(read: _Read, copy: int) -> Source:
    """Bytes in a private copy; hashed on the way."""
    try:
        return Source(copy, *_digest(read, copy), copied=True)
    except BaseException:
        os.close(copy)
        raise


def _memory() -> int:
    return os.memfd_create("codecsleuth")


def _temporary() -> int:
    with tempfile.TemporaryFile() as file:
        return os.dup(file.fileno())


def _hash(descriptor: int) -> tuple[str, int]:
    """Hash and size of all bytes from the beginning."""
    os.lseek(descriptor, 0, os.SEEK_SET)
    return _digest(lambda size: os.read(descriptor, size))


def _digest(read: _Read, copy: int | None = None) -> tuple[str, int]:
    """Hash and size of all bytes to come, which may be copied on the way."""
    digest, size = hashlib.sha256(), 0
    while block := read(_CHUNK):
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
