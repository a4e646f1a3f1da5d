"""Labelled clips scored by a model, through the engine that ``analyze`` uses."""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from codecsleuth.arrays import FloatArray, IntArray
from codecsleuth.data.items import Item
from codecsleuth.evaluation.labels import true_classes
from codecsleuth.taxonomy import TASKS

if TYPE_CHECKING:
    from codecsleuth.inference.engine import Engine
    from codecsleuth.inference.model import Model

#: Raw logits ``(classes,)`` per task of one clip.
Logits = Mapping[str, NDArray[np.floating]]


@dataclass(frozen=True)
class ScoreTable:
    """Clips and the raw logits that a model gave them.

    Attributes:
        items: the clips.
        logits: per task ``(clips, classes)``; of ``BIN`` in the order of the calibration's classes,
            of an axis in that of `codecsleuth.taxonomy.CLASSES`.
        verdicts: that ``analyze`` gives on each clip, which findings and passages may change; empty
            where they are not known, and then those at the calibrated probabilities count.
    """

    items: tuple[Item, ...]
    logits: Mapping[str, FloatArray]
    verdicts: tuple[str, ...] = ()

    @classmethod
    def of(
        cls, items: Sequence[Item], logits: Sequence[Logits], verdicts: Sequence[str] = ()
    ) -> ScoreTable:
        """Of one clip after the other, all with the same tasks."""
        tasks = [task for task in TASKS if logits and task in logits[0]]
        columns = {
            task: np.stack([np.asarray(one[task], dtype=np.float64) for one in logits])
            for task in tasks
        }
        return cls(tuple(items), columns, tuple(verdicts) if "BIN" in columns else ())

    def labels(self, task: str) -> IntArray:
        """True classes ``(clips,)``; see `codecsleuth.evaluation.labels.true_classes`."""
        return true_classes(self.items, task)


@dataclass(frozen=True)
class UnreadableClip:
    """A clip that could not be scored, and why; ``kind`` is a short stable word."""

    item: Item
    kind: str
    message: str


def score_items(
    model: Model,
    items: Sequence[Item],
    engine: Engine,
    advance: Callable[[], None] = lambda: None,
) -> tuple[ScoreTable, tuple[UnreadableClip, ...]]:
    """Let a model score clips in the way that ``codecsleuth analyze`` does.

    Args:
        model: scores them.
        items: the clips.
        engine: reads and computes; the scores do not depend on which.
        advance: called once per clip.

    Returns:
        The clips scored, in the order given, and those that could not be read.
    """
    from codecsleuth.inference.answer import FileError
    from codecsleuth.inference.engine import Input

    items_read: list[Item] = []
    logits: list[Logits] = []
    verdicts: list[str] = []
    unreadable: list[UnreadableClip] = []
    answers = engine.score(model, (Input(path=str(item.path)) for item in items))
    try:
        for item, answer in zip(items, answers, strict=True):
            if isinstance(answer, FileError):
                unreadable.append(UnreadableClip(item, answer.kind, answer.message))
            else:
                items_read.append(item)
                logits.append(answer.raw)
                verdicts.append(answer.verdict)
            advance()
    finally:
        # Closing stops the work that is under way; waiting for the garbage collector would not.
        if isinstance(answers, Generator):
            answers.close()
    return ScoreTable.of(items_read, logits, verdicts), tuple(unreadable)
