"""An evaluation with all that is needed to repeat it, as JSON for machines."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from codecsleuth import __version__
from codecsleuth.data.items import ItemTable
from codecsleuth.evaluation.evaluate import Evaluation
from codecsleuth.evaluation.scores import Unreadable
from codecsleuth.evaluation.selection import Selection

if TYPE_CHECKING:
    from codecsleuth.inference import Model

SCHEMA: Final = "codecsleuth/evaluation/1"


@dataclass(frozen=True)
class Report:
    """An evaluation, of what and on what.

    Attributes:
        evaluation: the figures.
        model: the model evaluated.
        table: the data folder's clips.
        selection: the clips chosen of it.
        unreadable: those of them that could not be scored.
        draws: bootstrap draws behind the intervals.
        seed: of the draws.
        notes: what limits the figures beyond the evaluation's own warnings.
    """

    evaluation: Evaluation
    model: Model
    table: ItemTable
    selection: Selection
    unreadable: tuple[Unreadable, ...]
    draws: int
    seed: int
    notes: tuple[str, ...] = ()

    @property
    def title(self) -> str:
        """What was evaluated on what, in a line."""
        items = self.evaluation.clips
        model = f"{self.model.name} {self.model.version}".strip()
        return f"{model} on {self.table.folder}, {self.selection.describe()}: {items} clips"

    @property
    def warnings(self) -> list[str]:
        """All that a reader of the figures must know."""
        gaps = [(len(self.selection.missing), "not there"), (len(self.unreadable), "unreadable")]
        left_out = [f"audio {why}, left out: {clips} clips" for clips, why in gaps if clips]
        return [*self.notes, *left_out, *self.evaluation.warnings]

    def to_json(self) -> str:
        """The JSON document of ``evaluation.schema.json``; shares are fractions, not per cent."""
        content = {
            "schema": SCHEMA,
            "tool": {"name": "codecsleuth", "version": __version__},
            "model": self._model_facts(),
            "data": self._data_facts(),
            "settings": self._settings(),
            "missing": len(self.selection.missing),
            "missing_files": [item.file for item in self.selection.missing],
            "unreadable": [_failure(bad) for bad in self.unreadable],
            **self.evaluation.to_dict(),
            "warnings": self.warnings,
        }
        return json.dumps(content, ensure_ascii=False, allow_nan=False, indent=2) + "\n"

    def _model_facts(self) -> dict[str, Any]:
        model = self.model
        facts = {"name": model.name, "version": model.version, "sha256": model.sha256}
        return {**facts, "tasks": list(model.tasks)}

    def _data_facts(self) -> dict[str, Any]:
        chosen = self.selection
        return {
            "folder": str(self.table.folder),
            "table_sha256": self.table.sha256,
            "split": chosen.split,
            "sources": None if chosen.sources is None else list(chosen.sources),
            "fold": chosen.fold,
            "left_out": chosen.left_out,
        }

    def _settings(self) -> dict[str, Any]:
        return {
            "bootstrap": self.draws,
            "seed": self.seed,
            "codec_threshold": self.model.calibration.codec_threshold,
            "bona_fide_threshold": self.model.calibration.bona_fide_threshold,
            "device": self.model.device,
            **({"precision": self.model.precision} if self.model.precision else {}),
        }


def _failure(bad: Unreadable) -> dict[str, Any]:
    return {"path": bad.item.file, "row": bad.item.row, "kind": bad.kind, "message": bad.message}
