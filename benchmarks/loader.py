"""The loader of clips against the network that it feeds: clips a second of each, in one run.

    python benchmarks/loader.py [--json FILE] [--device cpu|cuda] [--workers N] [--layers N]

The loader reads FLAC files of four seconds, augments them by RawBoost's algorithm 5 and puts
batches together. The network is W2V2-AASIST with random weights, trained on one batch again and
again; with fewer layers than the published 24, figures are of a network that is quicker to feed.
Exits with 1 if the loader is not at least as fast as the network.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from collections import deque
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path

import numpy as np
import soundfile
import torch
from timing import RATE, WINDOW, Figure, noise_clips, report, seconds

from codecsleuth.augment.rawboost import RawBoost
from codecsleuth.data.items import Item
from codecsleuth.models.w2v2_aasist import FrontEndConfig, W2V2Aasist, W2V2AasistConfig
from codecsleuth.training.w2v2_aasist.batches import Clips, Draw, Requests, read_ahead
from codecsleuth.training.w2v2_aasist.loss import Objective, TaskWeights
from codecsleuth.training.w2v2_aasist.recipes import EVEN_CLASSES

SECONDS = 4.1
FILES = 64
BATCH = 8


def main() -> int:
    arguments = _arguments()
    with tempfile.TemporaryDirectory() as scratch:
        items = _items(Path(scratch))
        loader = _loader_rate(items, arguments)
    network = _network_rate(arguments)
    figures = [
        Figure("workers", float(arguments.workers)),
        Figure("loader", loader, "clips/s"),
        Figure(f"network, {arguments.device}, {arguments.layers} layers", network, "clips/s"),
        Figure("ratio", loader / network, "x", 1.0, at_least=True),
    ]
    return report(figures, arguments.json)


def _loader_rate(items: list[Item], arguments: argparse.Namespace) -> float:
    draw = Draw(np.arange(len(items)), BATCH, seed=0)
    requests = Requests(draw, slice(0, BATCH), range(arguments.batches + 1))
    clips = Clips(items, RawBoost(5))
    batches = read_ahead(clips, requests, arguments.workers, arguments.device)
    next(batches)  # the workers have started
    return BATCH * arguments.batches / seconds(lambda: deque(batches, 0))


def _network_rate(arguments: argparse.Namespace) -> float:
    torch.manual_seed(0)
    device = arguments.device
    config = W2V2AasistConfig(front_end=FrontEndConfig(layers=arguments.layers))
    half = torch.autocast(device, torch.bfloat16) if device == "cuda" else nullcontext()
    weights = TaskWeights("equal", len(config.tasks))
    objective = Objective(W2V2Aasist(config), EVEN_CLASSES, weights, lambda: half).to(device)
    optimiser = torch.optim.AdamW(objective.parameters(), lr=1e-5)
    waveforms = 0.1 * torch.randn(BATCH, WINDOW, device=device)
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

    deque(steps(1), 0)
    return BATCH * arguments.steps / seconds(lambda: deque(steps(arguments.steps), 0))


def _items(folder: Path) -> list[Item]:
    items = []
    for number, clip in enumerate(noise_clips(FILES, int(RATE * SECONDS))):
        path = folder / f"{number}.flac"
        soundfile.write(path, clip, RATE)
        items.append(Item(number, path.name, path, "train", "bonafide", "Real", "Real", "Real"))
    return items


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
