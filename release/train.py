"""Train the released weights, and a network for each fold of whole sources to measure them by.

    python release/train.py DATA OUT

Trains a network for each of five folds of whole sources, and the released network on all sources,
OUT/final/compact.safetensors, whose calibration and thresholds are fitted to the outputs of the
folds' networks on their held-out sources. Each fold's network is also written with the calibration
that the *other four* folds give, so that nothing in it has seen its held-out sources. Finished
parts are kept, an interrupted one is resumed. `release/measure.py` measures what comes out.
"""

from __future__ import annotations

import argparse
import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

from common import CROSSED, FOLDS, WEIGHTS, arguments, fold, network_of, run

from codecsleuth.data.items import ItemTable, read_items
from codecsleuth.training.compact.trainer import LEFT_OUT_NAME
from codecsleuth.training.fitting import calibrate
from codecsleuth.training.held_out import read_held_out
from codecsleuth.weights import read_weights, write_weights

#: Of the released weights, where they are not the defaults of ``train``.
SETTINGS = {"--views": 6, "--steps": 800, "--evaluate-every": 200}


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("--parallel", type=int, default=2, help="folds trained at a time")
    options = parser.parse_args()
    numbers = options.folds
    # Renders the views once, before the folds take them.
    settings = [word for name, value in SETTINGS.items() for word in (name, str(value))]
    train(options, options.out / "render", *settings, "--steps", "1")
    with ThreadPoolExecutor(options.parallel) as pool:
        list(
            pool.map(
                lambda n: train(options, fold(options, n), *settings, "--fold", f"{n}/{FOLDS}"),
                numbers,
            )
        )
    held_out = {number: fold(options, number) / LEFT_OUT_NAME for number in numbers}
    calibrate_on = (word for path in held_out.values() for word in ("--calibrate-on", str(path)))
    train(options, options.out / "final", *settings, *calibrate_on)
    table = read_items(options.data)
    for number in numbers:
        cross(options, table, number, [held_out[other] for other in numbers if other != number])


def train(options: argparse.Namespace, out: Path, *words: str) -> None:
    if not (out / WEIGHTS).is_file():
        threads = max(1, (os.cpu_count() or 1) // options.parallel)
        folders = ("--out", str(out), "--views-dir", str(options.out / "views"))
        run(options, "train", *folders, "--resume", *words, threads=threads)


def cross(options: argparse.Namespace, table: ItemTable, number: int, others: list[Path]) -> None:
    """A fold's network with the calibration that the other folds give."""
    weights = read_weights(fold(options, number) / WEIGHTS)
    network = network_of(weights)
    held_out = read_held_out(others, table.clips_sha256)
    items = [table.items[row] for row in held_out.rows]
    calibration = calibrate(network.quality_calibration, held_out, items)
    crossed = replace(weights, calibration=calibration.to_dict(), tensors=network.state_dict())
    write_weights(fold(options, number) / CROSSED, crossed)


if __name__ == "__main__":
    main()
