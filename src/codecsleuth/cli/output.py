"""Where output goes: stdout or a file that is never left half written."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import combinations
from pathlib import Path

from codecsleuth.errors import UsageError


@dataclass
class Output:
    """Text to stdout at once, or to a file in one piece when all of it is there."""

    path: Path | None = None
    option: str = "--output"
    _parts: list[str] = field(default_factory=list)

    @classmethod
    def checked(cls, path: Path | None, force: bool, option: str = "--output") -> Output:
        """Check before the work is done that its result can be written.

        Args:
            path: the file; None for stdout.
            force: whether an existing file may be overwritten.
            option: that names the file, for messages.

        Raises:
            UsageError: there is such a file and no ``--force``, or it cannot be written.
        """
        if path is None:
            if sys.stdout is None:
                raise UsageError("stdout is closed; name a file with --output")
            return cls()
        if path.is_dir():
            raise UsageError(f"{option} {path}: is a folder")
        if (path.exists() or path.is_symlink()) and not force:
            raise UsageError(f"{option} {path}: already exists; --force overwrites it")
        if path.exists() and not path.is_file():
            raise UsageError(f"{option} {path}: not a regular file")
        if not path.parent.is_dir():
            raise UsageError(f"{option} {path}: no such folder {str(path.parent)!r}")
        if not os.access(path.parent, os.W_OK):
            raise UsageError(f"{option} {path}: the folder cannot be written to")
        return cls(path, option)

    @classmethod
    def extra(cls, path: Path | None, force: bool, option: str) -> Output | None:
        """Another file beside the answer, checked likewise; None if it is not asked for."""
        return None if path is None else cls.checked(path, force, option)

    def write(self, text: str) -> None:
        """Take a piece of output; always UTF-8, whatever the terminal's encoding."""
        if self.path is not None:
            self._parts.append(text)
            return
        sys.stdout.buffer.write(text.encode("utf-8"))
        sys.stdout.buffer.flush()

    def close(self) -> None:
        """Put the file in its place.

        Raises:
            UsageError: it cannot be written after all.
        """
        from codecsleuth.storage import write_atomically

        if self.path is None:
            return
        try:
            write_atomically(self.path, "".join(self._parts).encode("utf-8"))
        except OSError as error:
            raise UsageError(f"{self.option} {self.path}: {error.strerror or error}") from error


def refuse_same_file(**paths: Path | None) -> None:
    """Options, named as arguments, must not name one file twice.

    Raises:
        UsageError: two of them do.
    """
    named = [(f"--{option}", path) for option, path in paths.items() if path is not None]
    for (first, one), (second, other) in combinations(named, 2):
        if one.absolute() == other.absolute():
            raise UsageError(f"{first} and {second} name the same file")


@contextmanager
def quiet_libraries() -> Iterator[None]:
    """Keep decoders written in C from printing to stderr; our own messages still go there."""
    try:
        own = sys.stderr.fileno() == 2
    except (OSError, ValueError, AttributeError):
        own = False
    if not own:
        yield
        return
    sys.stderr.flush()
    kept = os.dup(2)
    usual = sys.stderr
    nowhere = os.open(os.devnull, os.O_WRONLY)
    sys.stderr = os.fdopen(
        kept, "w", buffering=1, encoding=usual.encoding, errors="backslashreplace"
    )
    os.dup2(nowhere, 2)
    os.close(nowhere)
    try:
        yield
    finally:
        sys.stderr.flush()
        os.dup2(kept, 2)
        sys.stderr.close()
        sys.stderr = usual


def tell(line: str) -> None:
    """Say something to whoever watches, on stderr; of torchrun's processes, the first speaks."""
    if "TORCHELASTIC_RUN_ID" in os.environ and os.environ.get("RANK", "0") != "0":
        return
    print(f"codecsleuth: {line}", file=sys.stderr, flush=True)
