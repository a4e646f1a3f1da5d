"""Train and measure the released weights: every figure of the model card comes from here.

    python benchmarks/release.py DATA OUT

Trains a network for each of five folds of whole sources and measures it on the sources left out;
trains the released network on all sources, with its calibration fitted to the folds' scores; and
measures that on dev. Finished parts are kept, an interrupted one is resumed. Prints a table and
writes OUT/figures.json.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from codecsleuth.calibration import Calibration
from codecsleuth.data.items import class_indices, read_items
from codecsleuth.evaluation.metrics import task_metrics
from codecsleuth.evaluation.scores import read_scores
from codecsleuth.taxonomy import AXES, BIN_CODEC
from codecsleuth.weights import read_weights

FOLDS = 5
WEIGHTS = "compact.safetensors"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("data", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--parallel", type=int, default=2, help="folds trained at a time")
    options = parser.parse_args()
    folds = [f"{number}/{FOLDS}" for number in range(1, FOLDS + 1)]
    train(options, options.out / "render", "--steps", "1")
    with ThreadPoolExecutor(options.parallel) as pool:
        scores = list(pool.map(lambda fold: left_out(options, fold), folds))
    final = options.out / "final"
    train(options, final, *(word for path in scores for word in ("--calibrate-on", str(path))))
    dev = evaluate(options, final / WEIGHTS, options.out / "dev.json", "--split", "dev")
    report(options, scores, final / WEIGHTS, dev)


def left_out(options: argparse.Namespace, fold: str) -> Path:
    """Train without a fold and score its clips."""
    folder = options.out / f"fold-{fold[0]}"
    scores = folder / "scores.csv"
    train(options, folder, "--fold", fold)
    words = ("--fold", fold, "--scores", str(scores), "--force")
    evaluate(options, folder / WEIGHTS, folder / "figures.json", *words)
    return scores


def train(options: argparse.Namespace, out: Path, *words: str) -> None:
    if not (out / WEIGHTS).is_file():
        views = str(options.out / "views")
        run(options, "train", "--out", str(out), "--views-dir", views, "--resume", *words)


def evaluate(options: argparse.Namespace, model: Path, output: Path, *words: str) -> dict:
    run(
        options,
        "evaluate",
        "--model",
        str(model),
        "--json",
        "--output",
        str(output),
        "--force",
        *words,
    )
    return json.loads(output.read_text(encoding="utf-8"))


def run(options: argparse.Namespace, command: str, *words: str) -> None:
    threads = str(max(1, (os.cpu_count() or 1) // options.parallel))
    subprocess.run(
        [sys.executable, "-m", "codecsleuth", command, "--data", str(options.data), *words],
        check=True,
        env={**os.environ, "OMP_NUM_THREADS": threads},
    )


def report(options: argparse.Namespace, scores: list[Path], final: Path, dev: dict) -> None:
    items = read_items(options.data).items
    per_fold = [merits(read_scores([path], items)) for path in scores]
    pooled = read_scores(scores, items)
    calibration = Calibration.from_dict(read_weights(final).calibration)
    figures = {
        "left_out": {
            name: {
                "mean": float(np.mean([fold[name] for fold in per_fold])),
                "spread": float(np.std([fold[name] for fold in per_fold])),
                "folds": [fold[name] for fold in per_fold],
            }
            for name in per_fold[0]
        },
        "left_out_verdicts": verdicts(pooled, calibration),
        "left_out_calibrated": task_metrics(
            pooled.logits, {t: class_indices(pooled.items, t) for t in pooled.logits}, calibration
        ),
        "dev": merits_of_document(dev),
    }
    (options.out / "figures.json").write_text(json.dumps(figures, indent=1), encoding="utf-8")
    print(json.dumps(figures, indent=1))


def merits(scores) -> dict[str, float]:
    labels = {task: class_indices(scores.items, task) for task in scores.logits}
    found = task_metrics(scores.logits, labels)
    merit = {"BIN eer": found["BIN"]["eer"]}
    for axis in AXES:
        merit[f"{axis} f1_weighted"] = found[axis]["f1_weighted"]
        merit[f"{axis} f1_macro_codec"] = found[axis]["f1_macro_codec"]
    return merit


def merits_of_document(document: dict) -> dict:
    return {task: document["tasks"][task] for task in document["tasks"]}


def verdicts(scores, calibration: Calibration) -> dict[str, dict[str, float]]:
    """Shares of the three verdicts, per label."""
    codec = class_indices(scores.items, "BIN") == BIN_CODEC
    probabilities = 1.0 / (1.0 + np.exp(-calibration.log_odds(scores.logits["BIN"])))
    given = np.array([calibration.verdict(value) for value in probabilities])
    return {
        label: {
            verdict: float((given[chosen] == verdict).mean())
            for verdict in ("codec", "inconclusive", "bona_fide")
        }
        for label, chosen in (("codec", codec), ("bona_fide", ~codec))
    }


if __name__ == "__main__":
    main()
