"""Measure the released weights: the figures of the model card come from here.

    python release/measure.py DATA OUT

OUT is a folder that `release/train.py` has filled. Each fold's network, calibrated by the other
folds, scores all clips of its held-out sources, and the released network those of split dev; from
the features that training has rendered, which gives the logits that ``analyze`` gives. Writes
OUT/scores/*.csv.xz, and from these OUT/held-out.json, OUT/dev.json,
OUT/groups.json and OUT/open-set.json. The
commands that make the tables again from the kept scores are

    codecsleuth evaluate --json --from-scores release/scores/fold-1.csv.xz --from-scores ...
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from common import CROSSED, FOLDS, WEIGHTS, arguments, features, fold, network_of
from groups import group_figures

from codecsleuth import Model
from codecsleuth.calibration import familiarity
from codecsleuth.data.folds import fold_sources
from codecsleuth.data.items import ItemTable, read_items
from codecsleuth.evaluation.metrics import area_under_curve
from codecsleuth.evaluation.score_file import Provenance, ScoreFile
from codecsleuth.evaluation.scores import ScoreTable
from codecsleuth.evaluation.selection import Selection, select
from codecsleuth.taxonomy import FAMILY, TASKS, find_family
from codecsleuth.weights import WeightsFile, read_weights

#: Training clips of a family whose dev clips count for the candidates.
ENOUGH = 20
AT_ONCE = 512
#: Of the logits in the kept files.
DIGITS = 3


def main() -> None:
    options = arguments(__doc__).parse_args()
    table = read_items(options.data)
    folder = options.out / "scores"
    folder.mkdir(exist_ok=True)
    held_out = []
    for number in options.folds:
        held_out.append(folder / f"fold-{number}.csv.xz")
        chosen = select(table, fold=f"{number}/{FOLDS}")
        score_file(options, fold(options, number) / CROSSED, chosen).write(held_out[-1])
    dev = folder / "dev.csv.xz"
    chosen = select(table, split="dev")
    score_file(options, options.out / "final" / WEIGHTS, chosen).write(dev)
    evaluate(held_out, options.out / "held-out.json")
    evaluate([dev], options.out / "dev.json")
    of_groups = json.dumps(group_figures(held_out), indent=1)
    (options.out / "groups.json").write_text(of_groups, encoding="utf-8")
    figures = json.dumps(open_set(options, table), indent=1)
    (options.out / "open-set.json").write_text(figures, encoding="utf-8")
    print(figures)


def evaluate(scores: Sequence[Path], output: Path) -> None:
    """The figures of kept scores."""
    words = [word for path in scores for word in ("--from-scores", str(path))]
    command = [sys.executable, "-m", "codecsleuth", "evaluate", "--json", "--force"]
    subprocess.run([*command, "--output", str(output), *words], check=True)


def score_file(options: argparse.Namespace, weights: Path, chosen: Selection) -> ScoreFile:
    """Scores of a model on clips as they are."""
    model = Model.load(weights)
    logits = outputs(options, read_weights(weights), chosen.table, rows_of(chosen))
    given = verdicts(model, logits["BIN"])
    note = "scored from rendered features: what a finding decides is left out"
    scores = ScoreTable(chosen.items, {task: logits[task].round(DIGITS) for task in TASKS}, given)
    return ScoreFile(scores, Provenance.of(model, chosen, (), (note,)))


def verdicts(model: Model, logits: np.ndarray) -> tuple[str, ...]:
    found = model.calibration.probabilities(logits)
    return tuple(
        model.calibration.verdict({name: float(values[n]) for name, values in found.items()})
        for n in range(len(logits))
    )


def rows_of(chosen: Selection) -> np.ndarray:
    places = {item.file: place for place, item in enumerate(chosen.table.items)}
    return np.array([places[item.file] for item in chosen.items])


def outputs(
    options: argparse.Namespace, weights: WeightsFile, table: ItemTable, rows: np.ndarray
) -> dict[str, np.ndarray]:
    """All logits of clips as they are, ``(rows, classes)``, from their rendered features."""
    rendered, network = features(options, table, 0), network_of(weights)
    blocks = []
    with torch.inference_mode():
        for start in range(0, len(rows), AT_ONCE):
            block = np.asarray(rendered[rows[start : start + AT_ONCE]])
            blocks.append(network.from_features(torch.from_numpy(block).float()))
    return {
        name: torch.cat([block[name] for block in blocks]).double().numpy() for name in blocks[0]
    }


def open_set(options: argparse.Namespace, table: ItemTable) -> dict[str, Any]:
    """How well candidates are named, and unknown codecs are told from known ones."""
    codec = np.array([item.is_codec for item in table])
    families = np.array([(find_family(item.codec) or "") if item.codec else "" for item in table])
    dev = np.array([item.split == "dev" for item in table])
    sources = np.array([item.source for item in table])
    final = read_weights(options.out / "final" / WEIGHTS)
    named = np.array(final.config["families"])
    clips = {name: np.sum((families == name) & ~dev) for name in named}
    asked = np.flatnonzero(dev & np.isin(families, [n for n in named if clips[n] >= ENOUGH]))
    ranked = named[np.argsort(-outputs(options, final, table, asked)[FAMILY], axis=1)]
    right = ranked == families[asked][:, None]
    figures: dict[str, Any] = {
        "dev": {
            "clips": len(asked),
            **{f"top {n}": float(right[:, :n].any(axis=1).mean()) for n in (1, 3, 5)},
        }
    }
    for number in options.folds:
        weights = read_weights(fold(options, number) / WEIGHTS)
        left_out = np.isin(sources, fold_sources(table.items, f"{number}/{FOLDS}"))
        known = np.isin(families, weights.config["families"]) & codec
        chosen = np.flatnonzero(codec & (left_out | dev))
        score = np.zeros(len(table))
        score[chosen] = familiarity(outputs(options, weights, table, chosen)[FAMILY])
        unknown = left_out & codec & ~known
        figures[f"fold {number}"] = {
            "clips of unknown codecs": int(unknown.sum()),
            "auroc against known codecs, dev": auroc(score, known & ~left_out & dev, unknown),
            "auroc against known codecs, held-out sources": auroc(score, known & left_out, unknown),
        }
    return figures


def auroc(score: np.ndarray, high: np.ndarray, low: np.ndarray) -> float:
    chosen = high | low
    return float(area_under_curve(score[chosen], high[chosen]))


if __name__ == "__main__":
    main()
