"""The networks of the folds beside earlier weights, on clips that neither has been trained on.

    python release/compare.py DATA OUT EARLIER.safetensors

OUT is a folder that `release/measure.py` has filled. The clips are of sources that neither the
earlier weights nor the network of their fold were trained on.
Writes OUT/compare.json and prints it: EER of codec against bona fide, and verdicts by label.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
from common import FOLDS, arguments
from measure import outputs, verdicts

from codecsleuth import Model
from codecsleuth.arrays import FloatArray
from codecsleuth.data.folds import fold_sources
from codecsleuth.data.items import Item, read_items
from codecsleuth.evaluation.labels import LABELS
from codecsleuth.evaluation.metrics import equal_error_rate
from codecsleuth.evaluation.score_file import read_score_file
from codecsleuth.weights import read_weights


def main() -> None:
    parser = arguments(str(__doc__))
    parser.add_argument("earlier", type=Path)
    options = parser.parse_args()
    table, weights = read_items(options.data), read_weights(options.earlier)
    seen = set(weights.training["sources"])
    held_out = {s for n in options.folds for s in fold_sources(table.items, f"{n}/{FOLDS}")}
    rows = np.array(
        [n for n, item in enumerate(table) if item.source not in seen and item.source in held_out]
    )
    logits = outputs(options, weights, table, rows)["BIN"]
    model = Model.load(options.earlier)
    odds = model.calibration.unlimited_log_odds(logits)
    items = [table.items[row] for row in rows]
    earlier = figures_of(items, odds, np.array(verdicts(model, logits)))
    found = {"earlier": earlier, "folds": of_folds(options, {item.file for item in items})}
    text = json.dumps(found, indent=1)
    (options.out / "compare.json").write_text(text, encoding="utf-8")
    print(text)


def of_folds(options: argparse.Namespace, chosen: set[str]) -> dict[str, Any]:
    """Of the same clips, by the kept scores of the folds."""
    items: list[Item] = []
    odds: list[float] = []
    given: list[str] = []
    for number in options.folds:
        file = read_score_file(options.out / "scores" / f"fold-{number}.csv.xz")
        logits = file.scores.logits["BIN"]
        all_odds = file.provenance.calibration.unlimited_log_odds(logits)
        for place, item in enumerate(file.scores.items):
            if item.file in chosen:
                items.append(item)
                odds.append(float(all_odds[place]))
                given.append(file.scores.verdicts[place])
    return figures_of(items, np.array(odds), np.array(given))


def figures_of(items: list[Item], odds: FloatArray, given: np.ndarray) -> dict[str, Any]:
    labels = np.array([item.label for item in items])
    codec = np.array([item.is_codec for item in items])
    compared = codec | np.array([item.is_bona_fide for item in items])
    by_label: dict[str, Any] = {}
    for label in LABELS:
        names, counts = np.unique(given[labels == label], return_counts=True)
        total = int(counts.sum())
        by_label[label] = {"clips": total} | {
            str(name): round(float(count / total), 4)
            for name, count in zip(names, counts, strict=True)
        }
    eer = float(equal_error_rate(odds[compared], codec[compared]))
    return {"eer": round(eer, 4), "verdicts": by_label}


if __name__ == "__main__":
    main()
