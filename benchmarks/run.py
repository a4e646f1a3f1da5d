"""Start-up, speed and memory of ``codecsleuth analyze``, as ratios measured in one run.

    python benchmarks/run.py [--json FILE] [--files N] [--weights FILE]

Exits with 1 if a target is missed. Without the embedded model, a compact network with random
weights is timed, which takes as long.
"""

from __future__ import annotations

import argparse
import resource
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import soundfile
from timing import RATE, Figure, in_turns, limit_cores, noise_clips, peak_megabytes, report, seconds

CLIP_S = 4.0
REPEATS = 5
WORKERS = 2
CODECSLEUTH = (sys.executable, "-m", "codecsleuth")


def main() -> int:
    arguments = _arguments()
    limit_cores(WORKERS)
    with tempfile.TemporaryDirectory() as scratch:
        weights = arguments.weights or _embedded() or _random_weights(Path(scratch))
        folder = _clips(Path(scratch) / "clips", arguments.files)
        figures = [*_start_up(weights, folder), *_throughput(weights, folder, arguments.files)]
    return report(figures, arguments.json)


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
    jobs = {name: lambda c=c: _command_seconds(c) for name, c in commands.items()}
    in_turns(jobs, 1)  # files are read from disk
    times = in_turns(jobs, REPEATS)
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
    elapsed = _command_seconds((*command, "--model", str(weights)))
    # No other child comes near a whole run.
    megabytes = peak_megabytes(resource.RUSAGE_CHILDREN)
    return [
        Figure(f"{files} files of 4 s, two workers", files * CLIP_S / elapsed, "x", 80, True),
        Figure("peak memory of that", megabytes, "MB", 1000),
    ]


def _command_seconds(command: Sequence[str]) -> float:
    return seconds(lambda: subprocess.run(command, check=True, stdout=subprocess.DEVNULL))


def _clips(folder: Path, count: int) -> Path:
    folder.mkdir()
    for number, clip in enumerate(noise_clips(count, int(RATE * CLIP_S))):
        soundfile.write(folder / f"{number:04}.flac", clip, RATE)
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
