"""What a setting of the compact network is worth on held-out sources.

    python release/ablation.py DATA OUT NAME [KEY=VALUE ...]

Trains one network for each of five folds of whole sources with the settings given (fields of
`TrainingConfig` or `CompactConfig`; the others as released, but for one member), scores the
held-out sources, as they are and in the augmented views, and prints the mean over the folds and
each fold's equal error rate. Views are rendered once into OUT/views; results are kept in OUT/NAME.
"""

from __future__ import annotations

import argparse
import json
import sys
from ast import literal_eval
from concurrent.futures import ProcessPoolExecutor
from dataclasses import fields
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
from common import FOLDS, arguments

from codecsleuth.calibration import BONA_FIDE, CODEC, detection_log_odds
from codecsleuth.data.folds import fold_sources
from codecsleuth.data.items import class_indices, read_items
from codecsleuth.evaluation.figures import task_metrics
from codecsleuth.evaluation.metrics import equal_error_rate
from codecsleuth.models.compact import CompactConfig
from codecsleuth.taxonomy import AXES, CLASSES, DETECTION
from codecsleuth.training.compact.config import TrainingConfig
from codecsleuth.training.compact.trainer import LEFT_OUT_NAME, Trainer
from codecsleuth.training.compact.views import ViewMaker
from codecsleuth.training.held_out import read_held_out


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("name")
    parser.add_argument("settings", nargs="*", metavar="KEY=VALUE")
    parser.add_argument("--parallel", type=int, default=2)
    options = parser.parse_args()
    settings = dict(setting.split("=", 1) for setting in options.settings)
    folds = options.folds
    table = read_items(options.data)
    training, _ = configs(settings, ())
    maker = view_maker(options, table, training)
    for _ in maker.render(table.items, maker.missing(training.views), options.parallel):
        pass
    with ProcessPoolExecutor(options.parallel, get_context("spawn")) as pool:
        each = list(pool.map(partial(one_fold, options, settings), folds))
    for number, figures in zip(folds, each, strict=True):
        print(f"fold {number}  {words(figures)}")
    mean = {name: float(np.mean([figures[name] for figures in each])) for name in each[0]}
    print(f"{options.name}, mean of {len(folds)}: {words(mean)}")


def words(figures: dict[str, float]) -> str:
    return "  ".join(f"{name} {value:.3f}" for name, value in figures.items())


def configs(
    settings: dict[str, str], left_out: tuple[str, ...]
) -> tuple[TrainingConfig, CompactConfig]:
    given: dict[str, Any] = {"members": 1} | {
        name: value if name == "tasks" else literal_eval(value) for name, value in settings.items()
    }
    split = [
        {field.name: given.pop(field.name) for field in fields(kind) if field.name in given}
        for kind in (TrainingConfig, CompactConfig)
    ]
    if given:
        sys.exit(f"no such setting: {', '.join(given)}")
    return TrainingConfig(**split[0], left_out_sources=left_out), CompactConfig(**split[1])


def view_maker(options: argparse.Namespace, table: Any, training: TrainingConfig) -> ViewMaker:
    folder = options.out / "views"
    return ViewMaker(training.augmentation, training.seed, folder, table.audio_sha256)


def one_fold(
    options: argparse.Namespace, settings: dict[str, str], number: int
) -> dict[str, float]:
    import torch

    torch.set_num_threads(1)
    table = read_items(options.data)
    left_out = tuple(fold_sources(table.items, f"{number}/{FOLDS}"))
    training, network = configs(settings, left_out)
    out = options.out / options.name / f"fold-{number}"
    out.mkdir(parents=True, exist_ok=True)
    if not (out / LEFT_OUT_NAME).is_file():
        trainer = Trainer(table, training, network, view_maker(options, table, training))
        trainer.resume(out)
        for _ in trainer.run(out):
            pass
    figures = figures_of(out / LEFT_OUT_NAME, table)
    (out / "figures.json").write_text(json.dumps(figures, indent=1), encoding="utf-8")
    return figures


def figures_of(path: Path, table: Any) -> dict[str, float]:
    """Figures of the clips as they are, and the equal error rate over the augmented views."""
    held_out = read_held_out([path], table.clips_sha256)
    items = [table.items[row] for row in held_out.rows]
    labels = {axis: class_indices(items, axis) for axis in AXES}
    plain = task_metrics({axis: held_out.outputs[axis][0] for axis in AXES}, labels)
    detection = held_out.outputs["BIN"]
    classes = DETECTION if detection.shape[-1] == len(DETECTION) else CLASSES["BIN"]
    scores = detection_log_odds(detection, classes, (CODEC,), (BONA_FIDE,))
    codec, bona_fide = (
        np.array([getattr(item, name) for item in items]) for name in ("is_codec", "is_bona_fide")
    )
    chosen = codec | bona_fide
    scores, codec = scores[:, chosen], codec[chosen]
    augmented = np.tile(codec, len(scores) - 1)
    return {
        "EER": float(equal_error_rate(scores[0], codec)),
        "EER augmented": float(equal_error_rate(scores[1:].ravel(), augmented)),
        **{f"F1 {axis}": plain[axis]["f1_weighted"] for axis in AXES},
        **{f"macro {axis}": plain[axis]["f1_macro_codec"] for axis in AXES},
    }


if __name__ == "__main__":
    main()
