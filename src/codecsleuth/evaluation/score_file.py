"""The file of scores: all that the figures of an evaluation are made from.

It is CSV below a header of ``# name: value`` lines, each value a line of JSON, and may be
compressed with gzip or xz. Figures can be made from it again without model, audio and data folder;
see ``docs/evaluation.md``.
"""

from __future__ import annotations

import csv
import gzip
import io
import json
import lzma
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from codecsleuth.arrays import FloatArray
from codecsleuth.calibration import BONA_FIDE, CODEC, Calibration, detection_log_odds
from codecsleuth.data.items import Item
from codecsleuth.errors import DataError
from codecsleuth.evaluation.answers import VERDICT_NAMES, ClipAnswers
from codecsleuth.evaluation.labels import LABELS
from codecsleuth.evaluation.scores import ScoreTable
from codecsleuth.storage import write_atomically
from codecsleuth.taxonomy import AXES, CLASSES

if TYPE_CHECKING:
    from codecsleuth.evaluation.scores import UnreadableClip
    from codecsleuth.evaluation.selection import Selection
    from codecsleuth.inference.model import Model

SCHEMA: Final = "codecsleuth/scores/1"
_KINDS: Final = {
    **dict.fromkeys(("model", "data", "computed", "calibration"), dict),
    **dict.fromkeys(("trials", "skipped"), int),
    **dict.fromkeys(("missing", "unreadable", "notes"), list),
}
_FACTS: Final = {
    "model": ("name", "version", "sha256", "tasks"),
    "data": ("folder", "table_sha256", "protocol_sha256", "description", "fold"),
}
#: Columns of the clip itself, by the names that `Item` has for them.
_ITEM_COLUMNS: Final = (
    *("row", "split", "label", "vq", "aux", "dec", "codec", "variant", "kind", "group"),
    *("source", "duration_s", "subset", "system", "speaker"),
)
#: The verdict of ``analyze``; files of earlier versions do not have it.
_VERDICT: Final = "verdict"
#: By the end of a file's name how it is compressed; the same scores give the same bytes.
_COMPRESS: Final[Mapping[str, Callable[[bytes], bytes]]] = {
    ".gz": partial(gzip.compress, mtime=0),
    ".xz": lzma.compress,
}
#: By its first bytes how a file is to be read, whatever its name.
_DECOMPRESS: Final[Mapping[bytes, Callable[[bytes], bytes]]] = {
    b"\x1f\x8b": gzip.decompress,
    b"\xfd7zXZ\0": lzma.decompress,
}


@dataclass(frozen=True)
class Provenance:
    """What scores are of; plain values, as JSON has them.

    Attributes:
        model: ``name``, ``version``, ``sha256`` and ``tasks``.
        data: which clips were chosen of which data folder; see `Selection.facts`.
        computed: where and how: ``device`` and ``precision``, and which recalibration if any.
        calibration: of the model, recalibrated if that was asked for.
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
        unreadable: Sequence[UnreadableClip],
        notes: Sequence[str],
    ) -> Provenance:
        """Of the scores of a model on a choice of clips."""
        facts = {name: getattr(model, name) for name in ("name", "version", "sha256")}
        return cls(
            model={**facts, "tasks": list(model.tasks)},
            data=selection.facts(),
            computed=_computed(model),
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


def _computed(model: Model) -> dict[str, Any]:
    where = {"device": model.device, "precision": model.precision}
    by = model.recalibration
    return where if by is None else {**where, "calibration": by.facts()}


@dataclass(frozen=True)
class ScoreFile:
    """One model's scores, and what they are of."""

    scores: ScoreTable
    provenance: Provenance

    @property
    def classes(self) -> dict[str, tuple[str, ...]]:
        """Per task the names of its logits, in their order."""
        return _classes(self.scores.logits, self.provenance.calibration)

    def answers(self) -> ClipAnswers:
        """What the model says once calibrated."""
        of, calibration = self.scores, self.provenance.calibration
        return ClipAnswers.of(of.items, of.logits, calibration, of.verdicts)

    def to_csv(self) -> str:
        """The text of the file: header, and a row per clip.

        Log-odds are natural and codec : bona fide. A logit's column is named by task and class.
        Numbers are written in full precision.
        """
        text = io.StringIO()
        text.writelines(f"# {name}: {_json(value)}\n" for name, value in self._header().items())
        writer = csv.writer(text, lineterminator="\n")
        numbers = self._numbers()
        columns = [_VERDICT] if self.scores.verdicts else []
        writer.writerow(["path", *_ITEM_COLUMNS, *columns, *numbers])
        values = np.stack(list(numbers.values()), axis=1)
        for place, (item, row) in enumerate(zip(self.scores.items, values.tolist(), strict=True)):
            facts = [getattr(item, column) for column in _ITEM_COLUMNS]
            verdicts = self.scores.verdicts[place : place + 1]
            writer.writerow([item.file, *facts, *verdicts, *map(repr, row)])
        return text.getvalue()

    def _header(self) -> dict[str, Any]:
        of = self.provenance
        return {
            "schema": SCHEMA,
            "model": of.model,
            "data": of.data,
            "classes": self.classes,
            "trials": len(self.scores.items),
            "skipped": of.skipped,
            "missing": of.missing,
            "unreadable": of.unreadable,
            "computed": of.computed,
            "calibration": of.calibration.to_dict(),
            "notes": of.notes,
        }

    def _numbers(self) -> dict[str, FloatArray]:
        """Columns of numbers by name, each ``(clips,)``."""
        logits, calibration = self.scores.logits, self.provenance.calibration
        columns = {}
        if "BIN" in logits:
            columns["log_odds_raw"] = detection_log_odds(
                logits["BIN"], calibration.classes, (CODEC,), (BONA_FIDE,)
            )
            columns["log_odds_calibrated"] = calibration.log_odds(logits["BIN"])
        for task, names in self.classes.items():
            columns |= {f"{task}:{name}": logits[task][:, n] for n, name in enumerate(names)}
        return columns

    def write(self, path: Path) -> None:
        """Write the file, compressed if its name ends in ``.gz`` or ``.xz``.

        Raises:
            OSError: it cannot be written.
        """
        content = self.to_csv().encode("utf-8")
        compress = _COMPRESS.get(path.suffix.lower())
        write_atomically(path, compress(content) if compress else content)


def _classes(tasks: Mapping[str, Any], calibration: Calibration) -> dict[str, tuple[str, ...]]:
    return {task: calibration.classes if task == "BIN" else CLASSES[task] for task in tasks}


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, allow_nan=False)


def read_score_file(path: Path) -> ScoreFile:
    """Read a file that `ScoreFile.write` wrote, with all that its header says.

    Raises:
        DataError: it is not of that kind, or not whole.
    """
    header, rows = _parse(path)
    _check_header(path, header)
    if len(rows) != header["trials"]:
        raise DataError(f"{path}: {len(rows)} rows for {header['trials']} trials: not whole")
    try:
        calibration = Calibration.from_dict(header["calibration"])
        classes = _classes(CLASSES, calibration)
        for task, names in header.get("classes", {}).items():
            if list(classes[task]) != list(names):
                raise ValueError(f"classes of {task}: {names!r}")
        scores = ScoreTable.of(
            [_item(row) for row in rows],
            [_logits(row, classes) for row in rows],
            [_verdict(row[_VERDICT]) for row in rows if _VERDICT in row],
        )
        provenance = Provenance(
            model=header["model"],
            data=header["data"],
            computed=header["computed"],
            calibration=calibration,
            missing=tuple(header["missing"]),
            unreadable=tuple(header["unreadable"]),
            notes=tuple(header["notes"]),
        )
    except (KeyError, ValueError, TypeError, AttributeError) as error:
        raise _not_scores(path, error) from error
    return ScoreFile(scores, provenance)


def _check_header(path: Path, header: Mapping[str, Any]) -> None:
    if header.get("schema") != SCHEMA:
        stated = header.get("schema")
        why = f"its header says {stated!r}" if stated else "it has no header"
        raise DataError(f"{path}: {why}, not {SCHEMA!r}; write it anew by evaluate --scores")
    for name, kind in _KINDS.items():
        if not isinstance(header.get(name), kind):
            raise DataError(f"{path}: damaged header: {name!r} is missing or not of its kind")
    for group, names in _FACTS.items():
        for name in names:
            if name not in header[group]:
                raise DataError(f"{path}: damaged header: {group!r} does not say {name!r}")


def _parse(path: Path) -> tuple[dict[str, Any], list[dict[str, str]]]:
    """Header and rows, every row with a path."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror or error}") from error
    try:
        text = _decompressed(content).decode("utf-8")
        if text and not text.endswith("\n"):
            raise ValueError("cut short: no end of line at its end")
        header = {}
        while text.startswith("# "):
            line, _, text = text.partition("\n")
            name, _, value = line[2:].partition(": ")
            header[name] = json.loads(value)
        return header, _rows(text)
    except (OSError, EOFError, lzma.LZMAError, zlib.error, ValueError, csv.Error) as error:
        raise _not_scores(path, error) from error


def _decompressed(content: bytes) -> bytes:
    for magic, decompress in _DECOMPRESS.items():
        if content.startswith(magic):
            return decompress(content)
    return content


def _rows(text: str) -> list[dict[str, str]]:
    rows = list(csv.DictReader(io.StringIO(text, newline=""), strict=True))
    if any(None in row or None in row.values() for row in rows):
        raise ValueError("a row has not as many values as there are columns")
    if rows and "path" not in rows[0]:
        raise ValueError("no column 'path'")
    return rows


def _not_scores(path: Path, error: Exception) -> DataError:
    return DataError(f"{path}: not a scores file of evaluate ({error})")


def _item(row: Mapping[str, str]) -> Item:
    facts: dict[str, Any] = {name: row[name] for name in _ITEM_COLUMNS}
    facts |= {name: row[name] or None for name in ("vq", "aux", "dec")}
    facts["row"] = int(row["row"])
    facts["duration_s"] = float(row["duration_s"]) if row["duration_s"] else None
    item = Item(file=row["path"], path=Path(row["path"]), **facts)
    if item.label not in LABELS:
        raise ValueError(f"label {item.label!r}")
    for axis in AXES:
        name = getattr(item, axis.lower())
        if name is not None and name not in CLASSES[axis]:
            raise ValueError(f"{axis.lower()} {name!r}")
    return item


def _verdict(name: str) -> str:
    if name not in VERDICT_NAMES:
        raise ValueError(f"verdict {name!r}")
    return name


def _logits(
    row: Mapping[str, str], classes: Mapping[str, tuple[str, ...]]
) -> dict[str, FloatArray]:
    logits = {
        task: np.array([float(row[f"{task}:{name}"]) for name in names])
        for task, names in classes.items()
        if f"{task}:{names[0]}" in row
    }
    if not logits or not all(np.isfinite(values).all() for values in logits.values()):
        raise ValueError(f"no finite logits for {row['path']!r}")
    return logits
