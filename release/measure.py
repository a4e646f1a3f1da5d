"""Measure the released weights: the figures of the model card come from here.

    python release/measure.py DATA OUT

OUT is a folder that `release/train.py` has filled. Each fold's network, calibrated by the other
folds, is measured on its held-out sources, and the released network on dev. Writes
OUT/left-out.json, OUT/dev.json and OUT/open-set.json, and prints the last of them.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from common import CROSSED, FOLDS, WEIGHTS, arguments, fold, network_of, run

from codecsleuth.calibration import familiarity
from codecsleuth.data.folds import fold_sources
from codecsleuth.data.items import ItemTable, read_items
from codecsleuth.evaluation.metrics import area_under_curve
from codecsleuth.taxonomy import FAMILY, find_family
from codecsleuth.training.compact.config import TrainingConfig
from codecsleuth.training.compact.views import ViewMaker
from codecsleuth.weights import WeightsFile, read_weights

#: Training clips of a family whose dev clips count for the candidates.
ENOUGH = 20


def main() -> None:
    options = arguments(__doc__).parse_args()
    crossed = str(options.out / "fold-{fold}" / CROSSED)
    scores = str(options.out / "fold-{fold}" / "scores.csv")
    held_out, dev = options.out / "left-out.json", options.out / "dev.json"
    evaluate(options, crossed, held_out, "--folds", str(FOLDS), "--scores", scores)
    evaluate(options, str(options.out / "final" / WEIGHTS), dev, "--split", "dev")
    figures = json.dumps(open_set(options, read_items(options.data)), indent=1)
    (options.out / "open-set.json").write_text(figures, encoding="utf-8")
    print(figures)


def evaluate(options: argparse.Namespace, model: str, output: Path, *words: str) -> None:
    where = ("--json", "--output", str(output), "--force")
    run(options, "evaluate", "--model", model, *where, *words)


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
    ranked = named[np.argsort(-family_logits(options, table, final, asked), axis=1)]
    right = ranked == families[asked][:, None]
    figures: dict[str, Any] = {
        "dev": {
            "clips": len(asked),
            **{f"top {n}": float(right[:, :n].any(axis=1).mean()) for n in (1, 3, 5)},
        }
    }
    for number in range(1, FOLDS + 1):
        weights = read_weights(fold(options, number) / WEIGHTS)
        left_out = np.isin(sources, fold_sources(table.items, f"{number}/{FOLDS}"))
        known = np.isin(families, weights.config["families"]) & codec
        score = familiarity(family_logits(options, table, weights, np.arange(len(table))))
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


def family_logits(
    options: argparse.Namespace, table: ItemTable, weights: WeightsFile, rows: np.ndarray
) -> np.ndarray:
    """Of clips as they are, from their rendered features."""
    config, views = TrainingConfig(), options.out / "views"
    features = ViewMaker(config.augmentation, config.seed, views, table.audio_sha256).load(0)
    network = network_of(weights)
    with torch.inference_mode():
        blocks = [
            network.from_features(
                torch.from_numpy(np.asarray(features[rows[start : start + 256]])).float()
            )
            for start in range(0, len(rows), 256)
        ]
    return torch.cat([block[FAMILY] for block in blocks]).double().numpy()


if __name__ == "__main__":
    main()
