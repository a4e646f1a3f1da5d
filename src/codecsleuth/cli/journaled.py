"""Runs that write to a file: results go to a journal as they come, and to the file at the end."""

from __future__ import annotations

from array import array
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

from codecsleuth.audio.source import stamp
from codecsleuth.errors import UsageError
from codecsleuth.report.journal import journal_path, unfinished

if TYPE_CHECKING:
    from codecsleuth.inference.answer import Result
    from codecsleuth.inference.engine import Input
    from codecsleuth.report.journal import Journal, Stamp

GO_ON: Final = "the same command with --resume goes on"

#: Gives results for inputs, in their order.
Score = Callable[[Iterable["Input"]], Iterator["Result"]]
#: Takes a new result, or None for one that was kept.
Done = Callable[["Result | None"], None]


def may_replace(output: Path | None, resume: bool, force: bool) -> tuple[bool, bool]:
    """Look for an unfinished run.

    Args:
        output: the final file; None if there is none.
        resume: whether an unfinished run is to go on.
        force: whether files may be overwritten.

    Returns:
        Whether there is a run that goes on, and whether files may be overwritten, which the run
        that goes on may have been allowed.

    Raises:
        UsageError: there is one, and it was not said what to do with it.
    """
    if output is None:
        if resume:
            raise UsageError("--resume needs --output: only what goes to a file can go on")
        return False, force
    request = unfinished(output)
    if request is None:
        return False, force
    if resume:
        return True, force or bool(request.get("request", {}).get("force"))
    if not force:
        raise UsageError(
            f"{journal_path(output)}: left by an interrupted run; --resume goes on with it, "
            "--force begins anew"
        )
    return False, True


@dataclass
class Fill:
    """Brings a journal up to the inputs: what it lacks is scored and added.

    Attributes:
        journal: that is filled.
        places: of the results, in the order of the inputs.
    """

    journal: Journal
    places: array[int] = field(default_factory=lambda: array("Q"))
    _waiting: deque[tuple[int, Stamp]] = field(default_factory=deque)

    def run(self, inputs: Iterator[Input], score: Score, done: Done) -> None:
        """Do it.

        Args:
            inputs: all of them.
            score: gives results for those that the journal lacks.
            done: is called with each new result, and with None for each one kept.
        """
        with closing(score(self._lacking(inputs, done))) as results:  # type: ignore[type-var]
            for result in results:
                number, seen = self._waiting.popleft()
                self.places[number] = self.journal.add(result, seen)
                done(result)
        self.journal.sync()

    def _lacking(self, inputs: Iterator[Input], done: Done) -> Iterator[Input]:
        for given in inputs:
            # Before it is read: what changes afterwards is not taken for the same.
            seen = stamp(given.path)
            place = self.journal.kept(given.path, given.excerpt, seen)
            self.places.append(place or 0)
            if place is not None:
                done(None)
                continue
            self._waiting.append((len(self.places) - 1, seen))
            yield given
