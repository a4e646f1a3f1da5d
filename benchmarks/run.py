"""Start-up, speed and memory of ``codecsleuth analyze``, as ratios measured in one run.

    python benchmarks/run.py [--json FILE] [--files N] [--weights FILE]

Exits with 1 if a target is missed. Without the embedded model, a compact network with random
weights is timed, which takes as long.
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
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import soundfile

RATE = 16_000
CLIP_S = 4.0
REPEATS = 5
WORKERS = 2
CODECSLEUTH = (sys.executable, "-m", "codecsleuth")


@dataclass(frozen=True)
class Figure:
    """One measured figure and the target it is held against."""

    name: str
    value: float
    unit: str
    target: float
    at_least: bool = False

    @property
    def met(self) -> bool:
        return self.value >= self.target if self.at_least else self.value <= self.target


def main() -> int:
    arguments = _arguments()
    _limit_cores()
    with tempfile.TemporaryDirectory() as scratch:
        weights = arguments.weights or _embedded() or _random_weights(Path(scratch))
        folder = _clips(Path(scratch) / "clips", arguments.files)
        figures = [*_start_up(weights, folder), *_throughput(weights, folder, arguments.files)]
    return tell(figures, arguments.json)


def tell(figures: Sequence[Figure], path: Path | None) -> int:
    """Print the figures, write them to a file if there is one, and give the exit status."""
    for figure in figures:
        sign = "at least" if figure.at_least else "at most"
        verdict = "met" if figure.met else "MISSED"
        measured = f"{figure.name:44} {figure.value:9.2f} {figure.unit:4}"
        print(f"{measured} {sign} {figure.target:7.2f}  {verdict}")
    if path:
        rows = [{**asdict(figure), "met": figure.met} for figure in figures]
        path.write_text(json.dumps(rows, indent=2) + "\n", "utf-8")
    return 0 if all(figure.met for figure in figures) else 1


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", type=Path, help="write the figures there too")
    parser.add_argument("--files", type=int, default=300, help="clips in the folder")
    parser.add_argument("--weights", type=Path, help="time this weights file")
    return parser.parse_args()


def _start_up(weights: Path, folder: Path) -> list[Figure]:
    clip = str(next(folder.iterdir()))
    commands = {
        "help": (*CODECSLEUTH, "--help"),
        "imports": (sys.executable, "-c", "import torch, torchaudio"),
        "cold": (*CODECSLEUTH, "analyze", "--json", "--model", str(weights), clip),
    }
    times = _interleaved({name: lambda c=c: _wall(c) for name, c in commands.items()})
    return [
        Figure("codecsleuth --help", times["help"], "s", 0.4),
        Figure(
            "one 4 s file, cold (import torch, torchaudio " + f"{times['imports']:.2f} s)",
            times["cold"],
            "s",
            1.5 * times["imports"] + 0.5,
        ),
    ]


def _throughput(weights: Path, folder: Path, files: int) -> list[Figure]:
    command = (*CODECSLEUTH, "analyze", "--json", "--workers", str(WORKERS), str(folder))
    elapsed = _wall((*command, "--model", str(weights)))
    # The largest child so far; no other child comes near a whole run.
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    megabytes = peak / 1e6 if sys.platform == "darwin" else peak * 1024 / 1e6
    return [
        Figure(f"{files} files of 4 s, two workers", files * CLIP_S / elapsed, "x", 80, True),
        Figure("peak memory of that", megabytes, "MB", 1000),
    ]


def _interleaved(jobs: dict[str, Callable[[], float]]) -> dict[str, float]:
    """Median time of each job; taken in turns, so that a busy moment meets all of them."""
    for job in jobs.values():
        job()
    rounds = [{name: job() for name, job in jobs.items()} for _ in range(REPEATS)]
    return {name: statistics.median(each[name] for each in rounds) for name in jobs}


def _wall(command: Sequence[str]) -> float:
    started = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - started


def _limit_cores() -> None:
    """Let this process and those it starts use as many cores as there are workers."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:WORKERS])


def _clips(folder: Path, count: int) -> Path:
    folder.mkdir()
    random = np.random.default_rng(0)
    swell = 0.2 + np.abs(np.sin(np.linspace(0, 12, int(RATE * CLIP_S))))
    for number in range(count):
        noise = random.standard_normal(len(swell))
        soundfile.write(folder / f"{number:04}.flac", 0.05 * swell * noise, RATE)
    return folder


def _embedded() -> Path | None:
    from codecsleuth.errors import WeightsError
    from codecsleuth.weights import find_weights

    try:
        return find_weights("compact")
    except WeightsError:
        return None


def _random_weights(folder: Path) -> Path:
    from codecsleuth.calibration import Calibration
    from codecsleuth.models.compact import CompactConfig, CompactNet
    from codecsleuth.taxonomy import CLASSES
    from codecsleuth.weights import WeightsFile, write_weights

    classes = {task: list(names) for task, names in CLASSES.items()}
    config = CompactConfig()
    described = ("random", "0", "compact", asdict(config), tuple(CLASSES), classes)
    state = CompactNet(config).state_dict()
    path = folder / "random.safetensors"
    write_weights(path, WeightsFile(*described, Calibration().to_dict(), {}, state))
    return path


if __name__ == "__main__":
    sys.exit(main())
