"""The folder of fetched and imported weights, safe for several processes at a time."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from codecsleuth.errors import WeightsError
from codecsleuth.storage import sha256_of, write_atomically
from codecsleuth.weights.store import WeightsFile, write_weights

HOME_VARIABLE: Final = "CODECSLEUTH_HOME"
_NAME: Final = re.compile(r"[a-z0-9][a-z0-9._-]*")


def home() -> Path:
    """Where this project keeps files between runs: ``CODECSLEUTH_HOME``, or the user's cache."""
    if chosen := os.environ.get(HOME_VARIABLE):
        return Path(chosen).expanduser()
    import platformdirs

    return platformdirs.user_cache_path("codecsleuth")


def cache_path(name: str) -> Path:
    """Where weights of that name are, or would be."""
    return home() / "weights" / f"{name}.safetensors"


def is_name(text: str) -> bool:
    """Whether weights can be kept under that name."""
    return _NAME.fullmatch(text) is not None


def cached(name: str) -> Path | None:
    """The file of that name, if it is in the cache."""
    path = cache_path(name)
    return path if is_name(name) and path.is_file() else None


def cached_names() -> list[str]:
    """All names in the cache, sorted."""
    return sorted(path.stem for path in (home() / "weights").glob("*.safetensors"))


@contextmanager
def locked(name: str) -> Iterator[None]:
    """Let one process at a time change what is kept under a name.

    Raises:
        WeightsError: the cache cannot be written to.
    """
    from filelock import FileLock

    folder = cache_path(name).parent
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = FileLock(folder / f".{name}.lock")
        with lock:
            yield
    except OSError as error:
        raise WeightsError(
            f"{folder}: cannot write there: {error.strerror or error}; "
            f"{HOME_VARIABLE} names another folder"
        ) from error


def keep(name: str, weights: WeightsFile) -> Path:
    """Put weights into the cache, with their hash beside them in the form of ``sha256sum``."""
    path = cache_path(name)
    write_weights(path, weights)
    line = f"{sha256_of(path)}  {path.name}\n"
    write_atomically(path.with_suffix(".sha256"), line.encode())
    return path


def check(path: Path) -> str | None:
    """Hash weights again; None if they are what is recorded beside them, else what is wrong."""
    try:
        recorded = path.with_suffix(".sha256").read_text(encoding="ascii").split()[0]
    except (OSError, ValueError, IndexError):
        return "no recorded hash"
    try:
        found = sha256_of(path)
    except OSError as error:
        return f"cannot be read: {error.strerror or error}"
    return None if found == recorded else f"sha256 is {found}, not {recorded}"
