"""Where output goes: stdout, or a file that is never left half written and never an input."""

from __future__ import annotations

import faulthandler
import os
import sys
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from itertools import combinations
from pathlib import Path
from types import TracebackType
from typing import IO

from codecsleuth.errors import UsageError
from codecsleuth.storage import replacing, same_file


class Output:
    """Text to stdout, or to a file that takes its place when all of it is written."""

    def __init__(
        self, path: Path | None = None, option: str = "--output", *, resumed: bool = False
    ) -> None:
        """Prepare.

        Args:
            path: the file; None for stdout.
            option: that names the file, for messages.
            resumed: whether it belongs to a run that goes on, which may have written it already: a
                file of other content is not overwritten then.
        """
        self.path, self.option, self._resumed = path, option, resumed
        self._temporary: Path | None = None
        self._stack = ExitStack()
        self._file: IO[bytes] | None = None

    @classmethod
    def checked(
        cls, path: Path | None, force: bool, option: str = "--output", *, resumed: bool = False
    ) -> Output:
        """Check before the work is done that its result can be written.

        Args:
            path: the file; None for stdout.
            force: whether an existing file may be overwritten.
            option: that names the file, for messages.
            resumed: see the class.

        Raises:
            UsageError: there is such a file and no ``--force``, or it cannot be written.
        """
        if path is None:
            if sys.stdout is None:
                raise UsageError("stdout is closed; name a file with --output")
            return cls()
        if path.is_dir():
            raise UsageError(f"{option} {path}: is a folder")
        if (path.exists() or path.is_symlink()) and not (force or resumed):
            raise UsageError(f"{option} {path}: already exists; --force overwrites it")
        if path.exists() and not path.is_file():
            raise UsageError(f"{option} {path}: not a regular file")
        if not path.parent.is_dir():
            raise UsageError(f"{option} {path}: no such folder {str(path.parent)!r}")
        if not os.access(path.parent, os.W_OK):
            raise UsageError(f"{option} {path}: the folder cannot be written to")
        return cls(path, option, resumed=resumed and not force)

    @classmethod
    def extra(
        cls, path: Path | None, force: bool, option: str, *, resumed: bool = False
    ) -> Output | None:
        """Another file beside the answer, checked likewise; None if it is not asked for."""
        return None if path is None else cls.checked(path, force, option, resumed=resumed)

    def name_temporary(self) -> Path | None:
        """Write under a name that the next run finds again, should this one be killed.

        Returns:
            The file beside the final one; None for stdout. One process at a time may write to it.
        """
        if self.path is not None:
            self._temporary = self.path.with_name(f".{self.path.name}.codecsleuth")
        return self._temporary

    def __enter__(self) -> Output:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Put the file in its place if all went well; leave nothing behind if not."""
        if error is None:
            self.close()
        else:
            self._stack.__exit__(kind, error, trace)

    def write(self, text: str) -> None:
        """Write a piece of output; always UTF-8, whatever the terminal's encoding.

        Raises:
            UsageError: the file cannot be written after all.
        """
        content = text.encode("utf-8")
        if self.path is None:
            sys.stdout.buffer.write(content)
            sys.stdout.buffer.flush()
            return
        try:
            if self._file is None:
                place = replacing(self.path, temporary=self._temporary, overwrite=not self._resumed)
                temporary = self._stack.enter_context(place)
                self._file = self._stack.enter_context(temporary.open("wb"))
            self._file.write(content)
        except OSError as error:
            raise self._unwritable(error) from error

    def close(self) -> None:
        """Put the file in its place.

        Raises:
            UsageError: it cannot be written after all.
        """
        try:
            self._stack.close()
        except OSError as error:
            raise self._unwritable(error) from error

    def _unwritable(self, error: OSError) -> UsageError:
        if isinstance(error, FileExistsError):
            return UsageError(f"{self.option} {self.path}: already exists; --force overwrites it")
        return UsageError(f"{self.option} {self.path}: {error.strerror or error}")


def refuse_same_file(*outputs: Output | None) -> None:
    """Two options must not name one file.

    Raises:
        UsageError: two of them do.
    """
    files = [output for output in outputs if output is not None and output.path is not None]
    for one, other in combinations(files, 2):
        if same_file(str(one.path), str(other.path)):
            raise UsageError(f"{one.option} and {other.option} name the same file")


def refuse_inputs(inputs: Iterable[str | Path], *outputs: Output | None) -> None:
    """No output may be one of the inputs, by whatever name or link.

    Raises:
        UsageError: one of them is.
    """
    guard = Guard(*outputs)
    for path in inputs:
        guard.check(path)


class Guard:
    """Knows the outputs, and refuses inputs that are one of them."""

    def __init__(self, *outputs: Output | None) -> None:
        files = [output for output in outputs if output is not None and output.path is not None]
        self._files = files
        self._known = [(output, _identity(str(output.path))) for output in files]

    def check(self, path: str | Path) -> None:
        """Look at one input.

        Raises:
            UsageError: it is one of the outputs, by whatever name or link.
        """
        identity = _identity(path) if self._known else None
        for output, own in self._known:
            if identity == own:
                raise UsageError(
                    f"{output.option} {output.path}: is an input of this command; name another file"
                )

    def check_folder(self, folder: str | Path) -> None:
        """Look for outputs below a folder that is still to be walked.

        Raises:
            UsageError: there is audio in the place of one of them.
        """
        from codecsleuth.audio.files import is_audio

        top = os.path.realpath(folder)
        for output in self._files:
            place = os.path.realpath(str(output.path))
            if Path(top) in Path(place).parents and is_audio(place):
                self.check(place)


def _identity(path: str | Path) -> object:
    """What two names of one file have in common; the resolved path where nothing is."""
    try:
        piped = str(path) == "-" and sys.stdin is not None
        # A file that the shell opened has no name here; Path takes "" for ".".
        found = os.fstat(sys.stdin.fileno()) if piped else os.stat(path)  # noqa: PTH116
    except (OSError, ValueError):
        return os.path.realpath(path) if "\0" not in str(path) else str(path)
    return found.st_dev, found.st_ino


@contextmanager
def quiet_libraries() -> Iterator[None]:
    """Keep decoders written in C from printing to stderr; our own messages still go there.

    A crash in such code is reported there too, by `faulthandler`.
    """
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
    was_enabled = faulthandler.is_enabled()
    faulthandler.enable(sys.stderr)
    os.dup2(nowhere, 2)
    os.close(nowhere)
    try:
        yield
    finally:
        sys.stderr.flush()
        os.dup2(kept, 2)
        faulthandler.disable()
        sys.stderr.close()
        sys.stderr = usual
        if was_enabled:
            faulthandler.enable()
