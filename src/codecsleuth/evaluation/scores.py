"""What a model says about labelled clips: one row of raw logits per clip and task."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from codecsleuth.calibration import Calibration
from codecsleuth.data.items import Item, class_indices
from codecsleuth.errors import AudioError, DataError
from codecsleuth.evaluation.metrics import bin_log_odds
from codecsleuth.taxonomy import CLASSES

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]


class Scorer(Protocol):
    """What scoring needs of a model; `codecsleuth.inference.Model` is one."""

    def logits(self, audio: Path) -> Mapping[str, NDArray[np.floating]]:
        """Raw logits ``(classes,)`` per task, aggregated over the file.

        Raises:
            AudioError: the file cannot be analysed.
        """


@dataclass(frozen=True)
class ScoreTable:
    """Clips and the raw logits a model gave them.

    Attributes:
        items: the clips.
        logits: per task ``(clips, classes)``, classes in the order of `CLASSES`.
    """

    items: tuple[Item, ...]
    logits: Mapping[str, FloatArray]

    def labels(self, task: str) -> IntArray:
        """True classes ``(clips,)`` of a task; -1 where they are not known."""
        return class_indices(self.items, task)


@dataclass(frozen=True)
class Unreadable:
    """A clip that could not be scored, and why."""

    item: Item
    kind: str
    message: str


def score_items(
    model: Scorer,
    items: Sequence[Item],
    *,
    workers: int = 1,
    advance: Callable[[], None] = lambda: None,
) -> tuple[ScoreTable, tuple[Unreadable, ...]]:
    """Let a model score clips in the way that `codecsleuth analyze` does.

    Args:
        model: gives the logits of a file.
        items: the clips.
        workers: files in work at a time; the scores do not depend on it.
        advance: called once per clip.

    Returns:
        The clips scored, in the order given, and those that could not be read.
    """

    def score(item: Item) -> Mapping[str, NDArray[np.floating]] | Unreadable:
        try:
            return model.logits(item.path)
        except AudioError as error:
            return Unreadable(item, error.kind, str(error))
        except Exception as error:  # one file's surprise must not cost the other files' scores
            return Unreadable(item, "internal", f"unexpected {type(error).__name__}: {error}")
        finally:
            advance()

    pool = ThreadPoolExecutor(max_workers=workers)
    try:
        answers = list(pool.map(score, items))
    finally:
        pool.shutdown(cancel_futures=True)
    unreadable = tuple(answer for answer in answers if isinstance(answer, Unreadable))
    pairs = [(i, a) for i, a in zip(items, answers, strict=True) if not isinstance(a, Unreadable)]
    return _table(pairs), unreadable


def _table(pairs: Sequence[tuple[Item, Mapping[str, NDArray[np.floating]]]]) -> ScoreTable:
    tasks = [task for task in CLASSES if pairs and task in pairs[0][1]]
    logits = {
        task: np.stack([np.asarray(answer[task], dtype=np.float64) for _, answer in pairs])
        for task in tasks
    }
    return ScoreTable(tuple(item for item, _ in pairs), logits)


def scores_csv(scores: ScoreTable, calibration: Calibration) -> str:
    """Per-clip rows as CSV text, so that figures can be checked elsewhere.

    Log-odds are natural and codec : bona fide. A logit's column is named by task and class.
    Numbers are written in full precision.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    columns = [f"{task}:{name}" for task in scores.logits for name in CLASSES[task]]
    odds = ["log_odds_raw", "log_odds_calibrated"] if "BIN" in scores.logits else []
    writer.writerow(["path", "label", "split", "source", "group", "codec", *odds, *columns])
    numbers = list(scores.logits.values())
    if odds:
        logits = scores.logits["BIN"]
        raw, calibrated = bin_log_odds(logits), calibration.log_odds(logits)
        numbers = [raw[:, None], calibrated[:, None], *numbers]
    values = np.concatenate(numbers, axis=1)
    for item, row in zip(scores.items, values.tolist(), strict=True):
        facts = [item.file, item.label, item.split, item.source, item.group, item.codec]
        writer.writerow([*facts, *map(repr, row)])
    return text.getvalue()


def read_scores(paths: Sequence[Path], items: Sequence[Item]) -> ScoreTable:
    """Read files that `scores_csv` wrote, of one or several models, and join them.

    Args:
        paths: the files.
        items: the clips of the data folder that they are of.

    Raises:
        DataError: a file is not of that kind, or names a clip that the folder does not have.
    """
    known = {item.file: item for item in items}
    pairs = [pair for path in paths for pair in _read_rows(path, known)]
    if not pairs:
        raise DataError(f"{paths[0]}: no scores in it")
    if len({frozenset(answer) for _, answer in pairs}) > 1:
        raise DataError("the score files are of models with different tasks")
    return _table(pairs)


def _read_rows(
    path: Path, known: Mapping[str, Item]
) -> Iterator[tuple[Item, dict[str, FloatArray]]]:
    try:
        rows = list(csv.DictReader(io.StringIO(path.read_text(encoding="utf-8"))))
        for row in rows:
            yield known[row["path"]], _logits_of(row)
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror or error}") from error
    except KeyError as error:
        raise DataError(f"{path}: the data folder has no clip {error}") from error
    except (UnicodeDecodeError, ValueError, TypeError, csv.Error) as error:
        raise DataError(f"{path}: not a scores file of evaluate ({error})") from error


def _logits_of(row: Mapping[str, str]) -> dict[str, FloatArray]:
    return {
        task: np.array([float(row[f"{task}:{name}"]) for name in names])
        for task, names in CLASSES.items()
        if f"{task}:{names[0]}" in row
    }
