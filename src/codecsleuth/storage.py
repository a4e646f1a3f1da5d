"""Files on disk: hashes, and writing that never leaves half a file."""

from __future__ import annotations

import errno
import filecmp
import hashlib
import os
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path


def sha256_of(path: Path) -> str:
    """Hash of a file of any size.

    Raises:
        OSError: it cannot be read.
    """
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def same_file(one: str | Path, other: str | Path) -> bool:
    """Whether two paths lead to one file, by whatever links; or to one place, if nothing is there.

    Args:
        one: a path.
        other: another.
    """
    with suppress(OSError, ValueError):
        return Path(one).samefile(other)
    return os.path.realpath(one) == os.path.realpath(other)


def write_atomically(path: Path, content: bytes) -> None:
    """Replace a file by new content in one step, so that no reader sees half of it.

    Raises:
        OSError: it cannot be written.
    """
    with replacing(path) as temporary:
        temporary.write_bytes(content)


@contextmanager
def replacing(
    path: Path, *, temporary: Path | None = None, overwrite: bool = True
) -> Iterator[Path]:
    """A file beside ``path`` to write to, which takes its place at the end if all went well.

    A file that is replaced keeps its permissions; a new one has the usual ones.

    Args:
        path: the place.
        temporary: the file beside it, of which what is left from before is removed; by default one
            whose name is new.
        overwrite: whether a file of other content that is there by then is replaced.

    Raises:
        OSError: it cannot be written.
        FileExistsError: there is a file of other content, and it is not to be overwritten.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = _new_beside(path) if temporary is None else _new(temporary)
    try:
        yield temporary
        _flush_to_disk(temporary)
        if not overwrite and path.exists() and not filecmp.cmp(temporary, path, shallow=False):
            raise FileExistsError(errno.EEXIST, "already exists", str(path))
        temporary.chmod(_permissions(path))
        temporary.replace(path)
        _flush_folder(path.parent)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def _new_beside(path: Path) -> Path:
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    os.close(handle)
    return Path(name)


def _new(path: Path) -> Path:
    """An empty file that is nobody else's; what is left from before is removed."""
    path.unlink(missing_ok=True)
    path.touch(mode=0o600, exist_ok=False)
    return path


def _permissions(path: Path) -> int:
    try:
        return stat.S_IMODE(path.stat().st_mode)
    except OSError:
        return 0o666 & ~_umask()


def _flush_to_disk(path: Path) -> None:
    with path.open("rb+") as file:
        os.fsync(file.fileno())


def _flush_folder(folder: Path) -> None:
    """Let the new name last through a loss of power, where folders can be flushed."""
    if os.name == "posix":
        handle = os.open(folder, os.O_RDONLY)
        os.fsync(handle)
        os.close(handle)


def _umask() -> int:
    current = os.umask(0)
    os.umask(current)
    return current
