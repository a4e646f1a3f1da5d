"""Many recordings scored by one engine, here or elsewhere."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from codecsleuth.inference.model import Analysis, FileError, Model


@dataclass(frozen=True)
class Input:
    """A recording to score, by its path."""

    path: str


class Engine(Protocol):
    """Scores recordings: in order, with bounded memory, until its iterator is closed."""

    def score(self, model: Model, inputs: Iterable[Input]) -> Iterator[Analysis | FileError]:
        """An answer or an error for each input, in the order of the inputs."""


@dataclass(frozen=True)
class LocalEngine:
    """Scores in this process, several recordings at a time."""

    workers: int = 1

    def score(self, model: Model, inputs: Iterable[Input]) -> Iterator[Analysis | FileError]:
        """An answer or an error for each input, in the order of the inputs."""
        from codecsleuth.inference.model import analyze_files

        answers = analyze_files(model, (one.path for one in inputs), workers=self.workers)
        with closing(answers):  # type: ignore[type-var]
            yield from answers
