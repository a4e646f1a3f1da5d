"""Timing in turns, peak memory, clips to work on and the report: what all benchmarks share."""

from __future__ import annotations

import json
import os
import resource
import statistics
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

RATE = 16_000
#: Samples that W2V2-AASIST sees of a clip.
WINDOW = 64_600


@dataclass(frozen=True)
class Figure:
    """One measured figure and, unless it is there for the record alone, a target for it."""

    name: str
    value: float
    unit: str = ""
    target: float | None = None
    at_least: bool = False

    @property
    def reached(self) -> bool:
        if self.target is None:
            return True
        return self.value >= self.target if self.at_least else self.value <= self.target


def report(figures: Sequence[Figure], path: Path | None) -> int:
    """Print the figures, write them to a file if there is one, and give the exit status."""
    for figure in figures:
        print(f"{figure.name:52} {figure.value:10.3f} {figure.unit:8}{_target(figure)}")
    if path:
        rows = [{**asdict(figure), "reached": figure.reached} for figure in figures]
        path.write_text(json.dumps(rows, indent=2) + "\n", "utf-8")
    return 0 if all(figure.reached for figure in figures) else 1


def _target(figure: Figure) -> str:
    if figure.target is None:
        return ""
    sign = "at least" if figure.at_least else "at most"
    return f"{sign} {figure.target:7.2f}  {'reached' if figure.reached else 'MISSED'}"


def seconds(job: Callable[[], object]) -> float:
    """Wall-clock time of a job."""
    started = time.perf_counter()
    job()
    return time.perf_counter() - started


def in_turns(jobs: Mapping[str, Callable[[], object]], rounds: int) -> dict[str, float]:
    """Median seconds of each job; taken in turns, so that a busy moment falls on all of them."""
    times = [{name: seconds(job) for name, job in jobs.items()} for _ in range(rounds)]
    return {name: statistics.median(each[name] for each in times) for name in jobs}


def limit_cores(count: int) -> None:
    """Let this process and those it starts use so many cores at most."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:count])


def peak_megabytes(who: int = resource.RUSAGE_SELF) -> float:
    """Peak memory of this process, or with ``RUSAGE_CHILDREN`` of the largest child so far."""
    peak = resource.getrusage(who).ru_maxrss
    return peak / 1e6 if sys.platform == "darwin" else peak * 1024 / 1e6


def noise_clips(count: int, samples: int = WINDOW) -> np.ndarray:
    """Noise that swells like speech, ``(count, samples)``."""
    random = np.random.default_rng(0)
    swell = 0.2 + np.abs(np.sin(np.linspace(0, 12, samples)))
    return (0.05 * swell * random.standard_normal((count, samples))).astype(np.float32)
