"""Names, folders and commands that the scripts of a release share."""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from pathlib import Path

import numpy as np

from codecsleuth.data.items import ItemTable
from codecsleuth.models.compact import CompactNet, build
from codecsleuth.training.compact.config import TrainingConfig
from codecsleuth.training.compact.views import ViewMaker
from codecsleuth.weights import WeightsFile

FOLDS = 5
WEIGHTS = "compact.safetensors"
#: A fold's weights with the calibration that the other folds give.
CROSSED = "crossed.safetensors"


def arguments(description: str) -> argparse.ArgumentParser:
    """A parser of the folders that every script takes."""
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("data", type=Path)
    parser.add_argument("out", type=Path)
    every = ",".join(str(number) for number in range(1, FOLDS + 1))
    parser.add_argument("--folds", type=_numbers, default=every, help=f"which of {every}")
    return parser


def _numbers(text: str) -> tuple[int, ...]:
    return tuple(int(number) for number in text.split(","))


def fold(options: argparse.Namespace, number: int) -> Path:
    """Folder of a fold's run, counted from 1."""
    return Path(options.out) / f"fold-{number}"


def run(options: argparse.Namespace, command: str, *words: str, threads: int = 0) -> None:
    """Run a command of codecsleuth on the data."""
    count = threads or os.cpu_count() or 1
    subprocess.run(
        [sys.executable, "-m", "codecsleuth", command, "--data", str(options.data), *words],
        check=True,
        env={**os.environ, "OMP_NUM_THREADS": str(count)},
    )


def features(options: argparse.Namespace, table: ItemTable, view: int) -> np.ndarray:
    """A rendered view of the data, ``(clips, features)``, mapped from disk."""
    config = TrainingConfig()
    folder = options.out / "views"
    maker = ViewMaker(config.augmentation, config.seed, folder, table.audio_sha256)
    return maker.load(view)


def network_of(weights: WeightsFile) -> CompactNet:
    network = build(weights.config)
    network.load_state_dict(weights.tensors)
    network.eval()
    return network
