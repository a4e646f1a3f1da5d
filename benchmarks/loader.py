"""The loader of clips against the network that it feeds: clips a second of each, in one run.

    python benchmarks/loader.py [--json FILE] [--device cpu|cuda] [--workers N] [--layers N]

The loader reads FLAC files of four seconds, augments them by RawBoost's algorithm 5 and puts
batches together. The network is W2V2-AASIST with random weights, trained on one batch again and
again; with fewer layers than the published 24, figures are of a network that is quicker to feed.
Exits with 1 if the loader is not at least as fast as the network.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path

import numpy as np
import soundfile
import torch

from codecsleuth.augment.rawboost import RawBoost
from codecsleuth.data.items import Item
from codecsleuth.models.w2v2_aasist import FrontEndConfig, W2V2Aasist, W2V2AasistConfig
from codecsleuth.training.w2v2_aasist.batches import Clips, Draw, Requests, read_ahead
from codecsleuth.training.w2v2_aasist.loss import Objective, TaskWeights
from codecsleuth.training.w2v2_aasist.recipes import EVEN_CLASSES

RATE = 16_000
SECONDS = 4.1
FILES = 64
BATCH = 8


def main() -> int:
    arguments = _arguments()
    with tempfile.TemporaryDirectory() as scratch:
        items = [_item(Path(scratch), number) for number in range(FILES)]
        loader = _loader_rate(items, arguments)
    network = _network_rate(arguments)
    figures = {
        "workers": float(arguments.workers),
        "loader (clips/s)": loader,
        f"network, {arguments.device}, {arguments.layers} layers (clips/s)": network,
        "ratio": loader / network,
    }
    for name, value in figures.items():
        print(f"{name:44} {value:10.2f}")
    if arguments.json:
        arguments.json.write_text(json.dumps(figures, indent=2) + "\n", "utf-8")
    return 0 if loader >= network else 1


def _loader_rate(items: list[Item], arguments: argparse.Namespace) -> float:
    draw = Draw(np.arange(len(items)), BATCH, seed=0)
    requests = Requests(draw, slice(0, BATCH), range(arguments.batches + 1))
    clips = Clips(items, RawBoost(5))
    batches = read_ahead(clips, requests, arguments.workers, arguments.device)
    next(batches)  # the workers have started
    return BATCH * arguments.batches / _seconds(batches)


def _network_rate(arguments: argparse.Namespace) -> float:
    torch.manual_seed(0)
    device = arguments.device
    config = W2V2AasistConfig(front_end=FrontEndConfig(layers=arguments.layers))
    half = torch.autocast(device, torch.bfloat16) if device == "cuda" else nullcontext()
    weights = TaskWeights("equal", len(config.tasks))
    objective = Objective(W2V2Aasist(config), EVEN_CLASSES, weights, lambda: half).to(device)
    optimiser = torch.optim.AdamW(objective.parameters(), lr=1e-5)
    waveforms = 0.1 * torch.randn(BATCH, 64_600, device=device)
    labels = {task: torch.arange(BATCH, device=device) % 2 for task in config.tasks}
    sums = objective.weight_sums(labels)

    def steps(count: int) -> Iterator[None]:
        for _ in range(count):
            optimiser.zero_grad()
            objective(waveforms, labels, sums, 1.0)[0].backward()
            optimiser.step()
            yield
        if device == "cuda":
            torch.cuda.synchronize()

    _seconds(steps(1))
    return BATCH * arguments.steps / _seconds(steps(arguments.steps))


def _seconds(work: Iterator[object]) -> float:
    started = time.perf_counter()
    for _ in work:
        pass
    return time.perf_counter() - started


def _item(folder: Path, number: int) -> Item:
    random = np.random.default_rng(number)
    swell = 0.2 + np.abs(np.sin(np.linspace(0, 12, int(RATE * SECONDS))))
    path = folder / f"{number}.flac"
    soundfile.write(path, 0.05 * swell * random.standard_normal(len(swell)), RATE)
    return Item(number, path.name, path, "train", "bonafide", "Real", "Real", "Real")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", type=Path, help="write the figures there too")
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    parser.add_argument("--workers", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--layers", type=int, default=24)
    parser.add_argument("--batches", type=int, default=60, help="read for the loader's rate")
    parser.add_argument("--steps", type=int, default=3, help="trained for the network's rate")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
