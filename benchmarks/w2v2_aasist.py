"""W2V2-AASIST in bfloat16 against float32: speed, agreement and memory, measured in one run.

    python benchmarks/w2v2_aasist.py [--json FILE] [--model NAME|PATH] [--clips N]

Clips of 64,600 samples on two cores. float32 is timed in both usual ways, as two clips at a time on
a thread each and as a batch on two threads, and the faster one is what bfloat16 is held against.
Without --model, a network of the published size with random weights is timed. Exits with 1 if a
target is missed, or if the processor has no bfloat16 arithmetic.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import torch
from timing import Figure, in_turns, limit_cores, noise_clips, peak_megabytes, report

from codecsleuth.arrays import softmax
from codecsleuth.calibration import UNFITTED
from codecsleuth.inference.compute import has_bfloat16
from codecsleuth.inference.model import Model
from codecsleuth.models.w2v2_aasist import W2V2Aasist, W2V2AasistConfig, doubtful
from codecsleuth.weights import WeightsFile, write_weights
from codecsleuth.weights.published import class_order

CORES = 2
ROUNDS = 3
RATIO = 3.0
MOST_MOVED = 0.02


def main() -> int:
    arguments = _arguments()
    limit_cores(CORES)
    if arguments.memory:
        print(_memory(arguments.model, arguments.memory))
        return 0
    if arguments.write:
        _write_random_weights(arguments.write)
        return 0
    if not has_bfloat16("cpu"):
        print("this processor has no bfloat16 arithmetic: nothing to compare")
        return 1
    with tempfile.TemporaryDirectory() as scratch:
        weights = arguments.model or str(_random_weights(Path(scratch)))
        # Memory first: a process begins with the peak of the one that starts it.
        figures = [*_memories(weights), *_speed(weights, noise_clips(arguments.clips))]
    return report(figures, arguments.json)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", type=Path, help="write the figures there too")
    parser.add_argument("--model", help="time these weights")
    parser.add_argument("--clips", type=int, default=12)
    parser.add_argument("--write", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--memory", choices=["float32", "bfloat16"], help=argparse.SUPPRESS)
    return parser.parse_args()


def _speed(weights: str, clips: np.ndarray) -> list[Figure]:
    exact = Model.load(weights, precision="float32")
    half = Model.load(weights, precision="bfloat16")
    jobs: dict[str, Callable[[], object]] = {
        "float32, two clips at a time": lambda: _at_a_time(exact, clips),
        "float32, batches of 4 on two threads": lambda: _batches(exact, clips),
        "bfloat16, two clips at a time": lambda: _at_a_time(half, clips),
    }
    rates = {name: len(clips) / taken for name, taken in in_turns(jobs, ROUNDS).items()}
    *slower, fast = rates.values()
    return [
        *(Figure(name, rate, "clips/s") for name, rate in rates.items()),
        Figure("ratio", fast / max(slower), "x", RATIO, at_least=True),
        *_agreement(exact, half, clips),
    ]


def _at_a_time(model: Model, clips: np.ndarray) -> list[dict[str, np.ndarray]]:
    """As ``analyze`` does it."""
    with ThreadPoolExecutor(CORES) as pool:
        return list(pool.map(model.window_logits, clips))


def _batches(model: Model, clips: np.ndarray) -> None:
    torch.set_num_threads(CORES)
    with torch.inference_mode():
        for batch in torch.from_numpy(clips).split(4):
            model.network(batch)


def _agreement(exact: Model, half: Model, clips: np.ndarray) -> list[Figure]:
    pairs = zip(_at_a_time(exact, clips), _at_a_time(half, clips), strict=True)
    same, moved = [], 0.0
    for one, other in pairs:
        for task in one:
            same.append(one[task].argmax() == other[task].argmax())
            moved = max(moved, float(np.abs(softmax(one[task]) - softmax(other[task])).max()))
    network = half.network
    with torch.inference_mode():
        first = network.classify(network.fast(torch.from_numpy(clips)))
    return [
        Figure("share of labels that are the same", float(np.mean(same)), "", 1.0, at_least=True),
        Figure("largest change of a probability", moved, "", MOST_MOVED),
        Figure("share computed again in float32", float(doubtful(first).float().mean())),
    ]


def _memories(weights: str) -> list[Figure]:
    command = [sys.executable, __file__, "--model", weights, "--memory"]
    runs = {
        precision: subprocess.run([*command, precision], check=True, capture_output=True, text=True)
        for precision in ("float32", "bfloat16")
    }
    return [Figure(f"peak memory, {name}", float(run.stdout), "MB") for name, run in runs.items()]


def _memory(weights: str, precision: str) -> float:
    _at_a_time(Model.load(weights, precision=precision), noise_clips(4))
    return peak_megabytes()


def _random_weights(folder: Path) -> Path:
    """Written by another process, whose memory is gone when ours is measured."""
    path = folder / "random.safetensors"
    subprocess.run([sys.executable, __file__, "--write", str(path)], check=True)
    return path


def _write_random_weights(path: Path) -> None:
    torch.manual_seed(0)
    config = W2V2AasistConfig()
    network = W2V2Aasist(config).eval()
    with torch.no_grad():
        for branch in network.branches.values():
            # A trained network is rarely undecided; one with random weights nearly always is.
            branch.read_out.bias[0] += 1.0
    plain = json.loads(json.dumps(config, default=vars))
    tasks = config.tasks
    parts = ("random", "0", "w2v2-aasist", plain, tasks, class_order(tasks), UNFITTED, {})
    write_weights(path, WeightsFile(*parts, network.state_dict()))


if __name__ == "__main__":
    sys.exit(main())
