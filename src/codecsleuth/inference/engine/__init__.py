"""Engines: one of them scores many recordings. `analyze` and `evaluate` go through it.

What goes in and what comes out can be pickled, so that an engine may run on a cluster.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Protocol

from codecsleuth.audio.decode import Decoder, open_stream
from codecsleuth.audio.facts import WHOLE, Excerpt
from codecsleuth.errors import AudioError
from codecsleuth.inference.answer import FileError, Record, Result
from codecsleuth.inference.model import Mapper, Model

__all__ = ["Engine", "Input", "score_one"]


@dataclass(frozen=True)
class Input:
    """A recording to be scored.

    Attributes:
        path: of the file.
        excerpt: which part of it.
        problem: why there is nothing to score: such an input has its error for a result.
    """

    path: str
    excerpt: Excerpt = WHOLE
    problem: AudioError | None = None


class Engine(Protocol):
    """Scores many recordings."""

    def score(self, model: Model, inputs: Iterable[Input]) -> Iterator[Result]:
        """Analyse recordings; one result per input, in the order of the inputs.

        A recording that cannot be analysed gives a `FileError` and does not disturb the others.
        Inputs are taken as results are fetched, so that neither is ever held as a whole. Closing
        the iterator stops the work.
        """


def score_one(
    model: Model, given: Input, mapper: Mapper = map, decoder: Decoder = open_stream
) -> Result:
    """Analyse one recording; whatever goes wrong with it is its result.

    Args:
        model: that analyses.
        given: the recording.
        mapper: how several windows are computed; does not touch the answer.
        decoder: what decodes the file; does not touch the answer.
    """
    try:
        if given.problem is not None:
            raise given.problem
        return model.analyze_file(given.path, given.excerpt, mapper=mapper, decoder=decoder)
    except AudioError as error:
        known = Record(error.evidence or {})
        return FileError(given.path, error.kind, str(error), known, given.excerpt)
    except Exception as error:  # one file's surprise must not cost the other files' answers
        message = f"unexpected {type(error).__name__}: {error}"
        return FileError(given.path, "internal", message, excerpt=given.excerpt)
