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
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import torch

from codecsleuth.arrays import softmax
from codecsleuth.calibration import UNFITTED
from codecsleuth.inference.compute import has_bfloat16
from codecsleuth.inference.model import Model
from codecsleuth.models.w2v2_aasist import W2V2Aasist, W2V2AasistConfig, doubtful
from codecsleuth.weights import WeightsFile, write_weights
from codecsleuth.weights.published import class_order

CORES = 2
SAMPLES = 64_600
ROUNDS = 3
RATIO = 3.0
MOST_MOVED = 0.02


def main() -> int:
    arguments = _arguments()
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:CORES])
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
        figures = {**_memories(weights), **_speed(weights, _clips(arguments.clips))}
    for name, value in figures.items():
        print(f"{name:52} {value:10.3f}")
    if arguments.json:
        arguments.json.write_text(json.dumps(figures, indent=2) + "\n", "utf-8")
    met = figures["ratio"] >= RATIO and figures["same labels (share)"] == 1.0
    return 0 if met and figures["largest change of a probability"] < MOST_MOVED else 1


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", type=Path, help="write the figures there too")
    parser.add_argument("--model", help="time these weights")
    parser.add_argument("--clips", type=int, default=12)
    parser.add_argument("--write", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--memory", choices=["float32", "bfloat16"], help=argparse.SUPPRESS)
    return parser.parse_args()


def _speed(weights: str, clips: np.ndarray) -> dict[str, float]:
    exact = Model.load(weights, precision="float32")
    half = Model.load(weights, precision="bfloat16")
    jobs: dict[str, Callable[[], object]] = {
        "float32, two clips at a time (clips/s)": lambda: _at_a_time(exact, clips),
        "float32, batches of 4 on two threads (clips/s)": lambda: _batches(exact, clips),
        "bfloat16, two clips at a time (clips/s)": lambda: _at_a_time(half, clips),
    }
    rates = _interleaved(jobs, len(clips))
    *slower, fast = rates.values()
    return {**rates, "ratio": fast / max(slower), **_agreement(exact, half, clips)}


def _interleaved(jobs: dict[str, Callable[[], object]], clips: int) -> dict[str, float]:
    """Median rate of each job; taken in turns, so that a busy moment meets all of them."""
    times: dict[str, list[float]] = {name: [] for name in jobs}
    for _ in range(ROUNDS):
        for name, job in jobs.items():
            started = time.perf_counter()
            job()
            times[name].append(time.perf_counter() - started)
    return {name: clips / statistics.median(seen) for name, seen in times.items()}


def _at_a_time(model: Model, clips: np.ndarray) -> list[dict[str, np.ndarray]]:
    """As ``analyze`` does it."""
    with ThreadPoolExecutor(CORES) as pool:
        return list(pool.map(model.window_logits, clips))


def _batches(model: Model, clips: np.ndarray) -> None:
    torch.set_num_threads(CORES)
    with torch.inference_mode():
        for batch in torch.from_numpy(clips).split(4):
            model.network(batch)


def _agreement(exact: Model, half: Model, clips: np.ndarray) -> dict[str, float]:
    pairs = zip(_at_a_time(exact, clips), _at_a_time(half, clips), strict=True)
    same, moved = [], 0.0
    for one, other in pairs:
        for task in one:
            same.append(one[task].argmax() == other[task].argmax())
            moved = max(moved, float(np.abs(softmax(one[task]) - softmax(other[task])).max()))
    network = half.network
    with torch.inference_mode():
        first = network.classify(network.fast(torch.from_numpy(clips)))
    return {
        "same labels (share)": float(np.mean(same)),
        "largest change of a probability": moved,
        "asked again in float32 (share)": float(doubtful(first).float().mean()),
    }


def _memories(weights: str) -> dict[str, float]:
    command = [sys.executable, __file__, "--model", weights, "--memory"]
    return {
        f"peak memory, {precision} (MB)": float(
            subprocess.run([*command, precision], check=True, capture_output=True, text=True).stdout
        )
        for precision in ("float32", "bfloat16")
    }


def _memory(weights: str, precision: str) -> float:
    _at_a_time(Model.load(weights, precision=precision), _clips(4))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 1e6 if sys.platform == "darwin" else peak * 1024 / 1e6


def _clips(count: int) -> np.ndarray:
    random = np.random.default_rng(0)
    swell = 0.2 + np.abs(np.sin(np.linspace(0, 12, SAMPLES)))
    return (0.05 * swell * random.standard_normal((count, SAMPLES))).astype(np.float32)


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
