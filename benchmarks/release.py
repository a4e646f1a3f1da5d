"""Train and measure the released weights: the figures of the model card come from here.

    python benchmarks/release.py DATA OUT

Trains a network for each of five folds of whole sources; trains the released network on all
sources, with reliability, calibration and thresholds fitted to what the folds' networks said of the
sources that they had not seen. Each fold's network is then measured on those sources with the
calibration that the *other four* folds give, so that nothing of it has seen them, and the released
network on dev. Finished parts are kept, an interrupted one is resumed. Writes OUT/left-out.json,
OUT/dev.json and OUT/suspects.json, and prints the main figures.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from codecsleuth.calibration import familiarity
from codecsleuth.data.folds import fold_sources
from codecsleuth.data.items import ItemTable, class_indices, read_items
from codecsleuth.evaluation.metrics import area_under_curve
from codecsleuth.models.compact import CompactNet
from codecsleuth.taxonomy import FAMILY, TASKS, find_family
from codecsleuth.training.compact.trainer import LEFT_OUT_NAME
from codecsleuth.training.compact.views import ViewMaker, clips_sha256
from codecsleuth.training.config import TrainingConfig
from codecsleuth.training.fitting import calibrate
from codecsleuth.training.held_out import read_held_out
from codecsleuth.weights import WeightsFile, read_weights, write_weights

FOLDS = 5
WEIGHTS = "compact.safetensors"
CROSSED = "crossed.safetensors"
#: Training clips of a family whose dev clips count for the candidates.
ENOUGH = 20


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("data", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--parallel", type=int, default=2, help="folds trained at a time")
    options = parser.parse_args()
    numbers = range(1, FOLDS + 1)
    train(options, options.out / "render", "--steps", "1")
    with ThreadPoolExecutor(options.parallel) as pool:
        list(
            pool.map(lambda n: train(options, fold(options, n), "--fold", f"{n}/{FOLDS}"), numbers)
        )
    told = {number: fold(options, number) / LEFT_OUT_NAME for number in numbers}
    final = options.out / "final"
    train(
        options, final, *(word for path in told.values() for word in ("--calibrate-on", str(path)))
    )
    table = read_items(options.data)
    for number in numbers:
        cross(options, table, number, [told[other] for other in numbers if other != number])
    left_out = options.out / "left-out.json"
    crossed = str(options.out / "fold-{fold}" / CROSSED)
    scores = str(options.out / "fold-{fold}" / "scores.csv")
    evaluate(options, crossed, left_out, "--folds", str(FOLDS), "--scores", scores)
    evaluate(options, str(final / WEIGHTS), options.out / "dev.json", "--split", "dev")
    suspects = json.dumps(open_set(options, table), indent=1)
    (options.out / "suspects.json").write_text(suspects, encoding="utf-8")
    print(suspects)


def fold(options: argparse.Namespace, number: int) -> Path:
    return Path(options.out) / f"fold-{number}"


def train(options: argparse.Namespace, out: Path, *words: str) -> None:
    if not (out / WEIGHTS).is_file():
        views = str(options.out / "views")
        run(options, "train", "--out", str(out), "--views-dir", views, "--resume", *words)


def evaluate(options: argparse.Namespace, model: str, output: Path, *words: str) -> None:
    where = ("--json", "--output", str(output), "--force")
    run(options, "evaluate", "--model", model, *where, *words)


def run(options: argparse.Namespace, command: str, *words: str) -> None:
    threads = str(max(1, (os.cpu_count() or 1) // options.parallel))
    subprocess.run(
        [sys.executable, "-m", "codecsleuth", command, "--data", str(options.data), *words],
        check=True,
        env={**os.environ, "OMP_NUM_THREADS": threads},
    )


def network_of(weights: WeightsFile) -> CompactNet:
    from codecsleuth.models import build_network

    network = build_network(weights.architecture, weights.config)
    network.load_state_dict(weights.tensors)
    return network.eval()


def cross(options: argparse.Namespace, table: ItemTable, number: int, others: list[Path]) -> None:
    """A fold's network with the calibration that the other folds give."""
    weights = read_weights(fold(options, number) / WEIGHTS)
    network = network_of(weights)
    held_out = read_held_out(others, clips_sha256(table))
    items = [table.items[row] for row in held_out.rows]
    labels = {task: class_indices(items, task) for task in TASKS}
    calibration = calibrate(network.reliability, held_out, labels)
    crossed = replace(weights, calibration=calibration.to_dict(), tensors=network.state_dict())
    write_weights(fold(options, number) / CROSSED, crossed)


def open_set(options: argparse.Namespace, table: ItemTable) -> dict[str, Any]:
    """How well candidates are named, and codecs never met are told from those that were."""
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
        met = np.isin(families, weights.config["families"]) & codec
        score = familiarity(family_logits(options, table, weights, np.arange(len(table))))
        strange = left_out & codec & ~met
        figures[f"fold {number}"] = {
            "strange clips": int(strange.sum()),
            "auroc against met codecs, dev": auroc(score, met & ~left_out & dev, strange),
            "auroc against met codecs, sources left out": auroc(score, met & left_out, strange),
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
    features = ViewMaker(config.augmentation, config.seed, views, clips_sha256(table)).load(0)
    network = network_of(weights)
    with torch.inference_mode():
        blocks = [
            network.answers(
                torch.from_numpy(np.asarray(features[rows[start : start + 256]])).float()
            )
            for start in range(0, len(rows), 256)
        ]
    return torch.cat([block[FAMILY] for block in blocks]).double().numpy()


if __name__ == "__main__":
    main()
