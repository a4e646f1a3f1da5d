"""An evaluation with all that is needed to repeat it, as JSON for machines."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Final

import numpy as np

from codecsleuth.errors import DataError
from codecsleuth.evaluation.answers import ClipAnswers
from codecsleuth.evaluation.measure import evaluate_answers, point_figures
from codecsleuth.evaluation.results import Evaluation
from codecsleuth.evaluation.score_file import Provenance, ScoreFile
from codecsleuth.text import valid_unicode
from codecsleuth.version import __version__

SCHEMA: Final = "codecsleuth/evaluation/1"


@dataclass(frozen=True)
class Spread:
    """A figure over several runs: the mean, and how far the runs lie apart.

    Attributes:
        mean: over the runs in which the figure is defined.
        deviation: standard deviation of those runs (over n - 1); None of fewer than two.
        values: per run; None where not defined.
    """

    mean: float
    deviation: float | None
    values: tuple[float | None, ...]

    @classmethod
    def of(cls, values: Sequence[float]) -> Spread | None:
        """Of a figure's values, NaN where not defined; None if it is defined in no run."""
        defined = [value for value in values if np.isfinite(value)]
        if not defined:
            return None
        deviation = float(np.std(defined, ddof=1)) if len(defined) > 1 else None
        kept = tuple(value if np.isfinite(value) else None for value in values)
        return cls(float(np.mean(defined)), deviation, kept)


@dataclass(frozen=True)
class Report:
    """The evaluation of one run, or of several: pooled, and run by run.

    Attributes:
        runs: a model's scores each; the same tasks in all.
        draws: bootstrap draws behind the intervals.
        seed: of the draws.
        files: the scores files they were read from; empty if they were computed now.
    """

    runs: tuple[ScoreFile, ...]
    draws: int
    seed: int
    files: tuple[Path, ...] = ()

    def __post_init__(self) -> None:
        if len({tuple(run.classes.items()) for run in self.runs}) > 1:
            raise DataError(
                "the runs are of models with different tasks or classes; evaluate them one by one"
            )

    @cached_property
    def answers(self) -> tuple[ClipAnswers, ...]:
        """Per run, what its model says once calibrated."""
        return tuple(run.answers() for run in self.runs)

    @cached_property
    def pooled(self) -> ClipAnswers:
        """The clips of all runs, each with the calibrated answer of its run's model."""
        return ClipAnswers.concatenated(self.answers)

    @cached_property
    def evaluation(self) -> Evaluation:
        """The figures over the clips of all runs."""
        return evaluate_answers(self.pooled, draws=self.draws, seed=self.seed)

    @property
    def names(self) -> list[str]:
        """What to call each run."""
        return [
            f"fold {run.provenance.data['fold']}" if run.provenance.data.get("fold") else file
            for run, file in zip(self.runs, self._file_names(), strict=True)
        ]

    def _file_names(self) -> list[str]:
        return [valid_unicode(str(path)) for path in self.files] or [
            str(n + 1) for n in range(len(self.runs))
        ]

    @cached_property
    def run_figures(self) -> list[dict[str, dict[str, float]]]:
        """Per run and task the figures, NaN where not defined."""
        return [point_figures(answers) for answers in self.answers]

    @cached_property
    def spread(self) -> dict[str, dict[str, Spread | None]]:
        """Per task and figure, mean and spread over the runs."""
        each = self.run_figures
        return {
            task: {name: Spread.of([run[task][name] for run in each]) for name in figures}
            for task, figures in each[0].items()
        }

    @property
    def title(self) -> str:
        """What was evaluated on what, in a line."""
        model, data = self.model, self.data
        named = " ".join(filter(None, (model["name"], model["version"]))) or "several models"
        chosen = data["description"] or f"{len(self.runs)} runs"
        clips = f"{self.evaluation.clips} clips"
        return f"{named} on {data['folder'] or 'several folders'}, {chosen}: {clips}"

    @property
    def model(self) -> dict[str, Any]:
        """Facts on the model; null where the runs' models differ."""
        classes = list(self.runs[0].classes.get("BIN", ()))
        return {**_common(run.provenance.model for run in self.runs), "classes": classes}

    @property
    def data(self) -> dict[str, Any]:
        """Facts on the choice of clips; null where the runs differ."""
        return _common(run.provenance.data for run in self.runs)

    @property
    def settings(self) -> dict[str, Any]:
        """What else the figures depend on; null where the runs differ."""
        return {
            "bootstrap": self.draws,
            "seed": self.seed,
            **_common(
                run.provenance.calibration.thresholds() | run.provenance.computed
                for run in self.runs
            ),
        }

    @property
    def notes(self) -> list[str]:
        """How the clips were read, as far as that is worth knowing; each thing once."""
        notes = (note for run in self.runs for note in run.provenance.data.get("notes", ()))
        return list(dict.fromkeys(notes))

    @property
    def warnings(self) -> list[str]:
        """All that a reader of the figures must know."""
        several = len(self.runs) > 1
        own = [
            f"{name}: {warning}" if several else warning
            for name, run in zip(self.names, self.runs, strict=True)
            for warning in _run_warnings(run)
        ]
        return [*own, *self._repeated(), *self.evaluation.warnings]

    def _repeated(self) -> list[str]:
        rows = (
            (run.provenance.data["table_sha256"], i.file)
            for run in self.runs
            for i in run.scores.items
        )
        repeated = sum(count > 1 for count in Counter(rows).values())
        if not repeated:
            return []
        return [f"{repeated} clips are in more than one run; pooled figures count them each time"]

    def to_dict(self) -> dict[str, Any]:
        """The document of ``evaluation.schema.json``; shares are fractions, not per cent."""
        runs = [run.provenance for run in self.runs]
        missing = [file for run in runs for file in run.missing]
        return {
            "schema": SCHEMA,
            "tool": {"name": "codecsleuth", "version": __version__},
            "model": self.model,
            "data": self.data,
            "settings": self.settings,
            "missing": len(missing),
            "missing_files": missing,
            "unreadable": [bad for run in runs for bad in run.unreadable],
            **self.evaluation.to_dict(),
            **({"folds": self._folds()} if len(self.runs) > 1 else {}),
            **({"from_scores": self._file_names()} if self.files else {}),
            "warnings": self.warnings,
        }

    def _folds(self) -> dict[str, Any]:
        runs = zip(self.names, self.runs, self.run_figures, strict=True)
        return {
            "runs": [
                {
                    "name": name,
                    "model": run.provenance.model,
                    "data": run.provenance.data,
                    "clips": len(run.scores.items),
                    "skipped": run.provenance.skipped,
                    "tasks": {
                        task: {key: _finite(value) for key, value in values.items()}
                        for task, values in figures.items()
                    },
                }
                for name, run, figures in runs
            ],
            "spread": {
                task: {name: one and vars(one) for name, one in figures.items()}
                for task, figures in self.spread.items()
            },
        }

    def to_json(self) -> str:
        """The document as text."""
        return json.dumps(self.to_dict(), ensure_ascii=False, allow_nan=False, indent=2) + "\n"


def _finite(value: float) -> float | None:
    return value if np.isfinite(value) else None


def _common(facts: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """Each fact on which all agree; None for the others."""
    first, *others = facts
    return {
        name: value if all(other.get(name) == value for other in others) else None
        for name, value in first.items()
    }


def _run_warnings(run: ScoreFile) -> list[str]:
    of: Provenance = run.provenance
    gaps = [(len(of.missing), "not there"), (len(of.unreadable), "unreadable")]
    left_out = [f"audio {why}, left out: {clips} clips" for clips, why in gaps if clips]
    return [*of.notes, *left_out]
