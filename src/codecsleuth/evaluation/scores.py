"""What a model says about labelled clips, and the file that keeps it.

The scores file is CSV below a header of ``# name: value`` lines, each value a line of JSON. It
holds all that the figures of an evaluation are made from, so that they can be made again without
model, audio and data folder; see ``docs/evaluation.md``.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Protocol

import numpy as np
from numpy.typing import NDArray

from codecsleuth.calibration import Calibration
from codecsleuth.data.items import BONA_FIDE, SPOOF, Item, class_indices
from codecsleuth.errors import AudioError, DataError
from codecsleuth.evaluation.metrics import bin_log_odds
from codecsleuth.taxonomy import AXES, CLASSES

if TYPE_CHECKING:
    from codecsleuth.evaluation.selection import Selection
    from codecsleuth.inference.model import Model

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

SCHEMA: Final = "codecsleuth/scores/1"
_KINDS: Final = {"model": dict, "data": dict, "computed": dict, "calibration": dict} | {
    "trials": int,
    "skipped": int,
    "missing": list,
    "unreadable": list,
    "notes": list,
}
_FACTS: Final = (
    *(("model", name) for name in ("name", "version", "sha256", "tasks")),
    *(
        ("data", name)
        for name in ("folder", "table_sha256", "protocol_sha256", "description", "fold")
    ),
)
#: Columns of the clip itself, by the names that `Item` has for them.
_ITEM_COLUMNS: Final = (
    *("row", "split", "label", "vq", "aux", "dec", "codec", "variant", "kind", "group"),
    *("source", "duration_s", "subset", "system", "speaker"),
)


class Scorer(Protocol):
    """What scoring needs of a model; `codecsleuth.inference.model.Model` is one."""

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


@dataclass(frozen=True)
class Origin:
    """What scores are of; plain values, as JSON has them.

    Attributes:
        model: ``name``, ``version``, ``sha256`` and ``tasks``.
        data: which clips were chosen of which data folder; see `Selection.facts`.
        computed: where and how: ``device``, and ``precision`` where there is a choice.
        calibration: of the model.
        missing: clips chosen whose audio is not there.
        unreadable: ``path``, ``row``, ``kind`` and ``message`` of clips that could not be scored.
        notes: what limits the figures.
    """

    model: dict[str, Any]
    data: dict[str, Any]
    computed: dict[str, Any]
    calibration: Calibration
    missing: tuple[str, ...] = ()
    unreadable: tuple[dict[str, Any], ...] = ()
    notes: tuple[str, ...] = ()

    @classmethod
    def of(
        cls,
        model: Model,
        selection: Selection,
        unreadable: Sequence[Unreadable],
        notes: Sequence[str],
    ) -> Origin:
        """Of the scores of a model on a choice of clips."""
        return cls(
            model={
                "name": model.name,
                "version": model.version,
                "sha256": model.sha256,
                "tasks": list(model.tasks),
            },
            data=selection.facts(),
            computed={
                "device": model.device,
                **({"precision": model.precision} if model.precision else {}),
            },
            calibration=model.calibration,
            missing=tuple(item.file for item in selection.missing),
            unreadable=tuple(
                {"path": u.item.file, "row": u.item.row, "kind": u.kind, "message": u.message}
                for u in unreadable
            ),
            notes=tuple(notes),
        )

    @property
    def skipped(self) -> int:
        """Clips chosen that have no scores."""
        return len(self.missing) + len(self.unreadable)


@dataclass(frozen=True)
class Scored:
    """One model's scores, and what they are of."""

    scores: ScoreTable
    origin: Origin


def scores_csv(scored: Scored) -> str:
    """A scores file: header, and a row per clip.

    Log-odds are natural and codec : bona fide. A logit's column is named by task and class.
    Numbers are written in full precision.
    """
    scores, origin = scored.scores, scored.origin
    text = io.StringIO()
    text.writelines(f"# {name}: {_json(value)}\n" for name, value in _header(scored).items())
    writer = csv.writer(text, lineterminator="\n")
    columns = [f"{task}:{name}" for task in scores.logits for name in CLASSES[task]]
    odds = ["log_odds_raw", "log_odds_calibrated"] if "BIN" in scores.logits else []
    writer.writerow(["path", *_ITEM_COLUMNS, *odds, *columns])
    numbers = list(scores.logits.values())
    if odds:
        logits = scores.logits["BIN"]
        raw, calibrated = bin_log_odds(logits), origin.calibration.log_odds(logits)
        numbers = [raw[:, None], calibrated[:, None], *numbers]
    values = np.concatenate(numbers, axis=1)
    for item, row in zip(scores.items, values.tolist(), strict=True):
        facts = [getattr(item, column) for column in _ITEM_COLUMNS]
        writer.writerow([item.file, *facts, *map(repr, row)])
    return text.getvalue()


def _header(scored: Scored) -> dict[str, Any]:
    origin = scored.origin
    return {
        "schema": SCHEMA,
        "model": origin.model,
        "data": origin.data,
        "trials": len(scored.scores.items),
        "skipped": origin.skipped,
        "missing": origin.missing,
        "unreadable": origin.unreadable,
        "computed": origin.computed,
        "calibration": asdict(origin.calibration),
        "notes": origin.notes,
    }


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, allow_nan=False)


def read_scored(path: Path) -> Scored:
    """Read a file that `scores_csv` wrote, with all that its header says.

    Raises:
        DataError: it is not of that kind, or not whole.
    """
    header, rows = _parse(path)
    if header.get("schema") != SCHEMA:
        stated = header.get("schema")
        why = f"its header says {stated!r}" if stated else "it has no header"
        raise DataError(f"{path}: {why}, not {SCHEMA!r}; write it anew by evaluate --scores")
    for name, kind in _KINDS.items():
        if not isinstance(header.get(name), kind):
            raise DataError(f"{path}: damaged header: {name!r} is missing or not of its kind")
    for group, name in _FACTS:
        if name not in header[group]:
            raise DataError(f"{path}: damaged header: {group!r} does not say {name!r}")
    if len(rows) != header["trials"]:
        raise DataError(f"{path}: {len(rows)} rows for {header['trials']} trials: not whole")
    try:
        scores = _table([(_item(row), _logits_of(row)) for row in rows])
        origin = Origin(
            model=header["model"],
            data=header["data"],
            computed=header["computed"],
            calibration=Calibration.from_dict(header["calibration"]),
            missing=tuple(header["missing"]),
            unreadable=tuple(header["unreadable"]),
            notes=tuple(header["notes"]),
        )
    except (KeyError, ValueError, TypeError, AttributeError) as error:
        raise _not_scores(path, error) from error
    return Scored(scores, origin)


def _parse(path: Path) -> tuple[dict[str, Any], list[dict[str, str]]]:
    """Header and rows, every row with a path."""
    try:
        text = path.read_bytes().decode("utf-8")
        if text and not text.endswith("\n"):
            raise ValueError("cut short: no end of line at its end")
        header = {}
        while text.startswith("# "):
            line, _, text = text.partition("\n")
            name, _, value = line[2:].partition(": ")
            header[name] = json.loads(value)
        rows = list(csv.DictReader(io.StringIO(text, newline=""), strict=True))
        if any(None in row or None in row.values() for row in rows):
            raise ValueError("a row has not as many values as there are columns")
        if rows and "path" not in rows[0]:
            raise ValueError("no column 'path'")
        return header, rows
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror or error}") from error
    except (ValueError, csv.Error) as error:
        raise _not_scores(path, error) from error


def _not_scores(path: Path, error: Exception) -> DataError:
    return DataError(f"{path}: not a scores file of evaluate ({error})")


def _item(row: Mapping[str, str]) -> Item:
    facts: dict[str, Any] = {name: row[name] for name in _ITEM_COLUMNS}
    facts |= {name: row[name] or None for name in ("vq", "aux", "dec")}
    facts["row"] = int(row["row"])
    facts["duration_s"] = float(row["duration_s"]) if row["duration_s"] else None
    item = Item(file=row["path"], path=Path(row["path"]), **facts)
    if item.label not in (BONA_FIDE, SPOOF):
        raise ValueError(f"label {item.label!r}")
    for axis in AXES:
        item.class_index(axis)
    return item


def _logits_of(row: Mapping[str, str]) -> dict[str, FloatArray]:
    logits = {
        task: np.array([float(row[f"{task}:{name}"]) for name in names])
        for task, names in CLASSES.items()
        if f"{task}:{names[0]}" in row
    }
    if not logits or not all(np.isfinite(values).all() for values in logits.values()):
        raise ValueError(f"no finite logits for {row['path']!r}")
    return logits
