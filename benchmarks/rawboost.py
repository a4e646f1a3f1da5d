"""RawBoost against a version that goes from sample to sample: speed, and that both agree.

    python benchmarks/rawboost.py [--json FILE] [--clips N]

Clips of 64,600 samples, on one core. Both versions draw alike, so each clip must come out the same
from both. Exits with 1 if it does not, or if RawBoost is less than three times as fast.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np
from timing import RATE, Figure, noise_clips, report, seconds

from codecsleuth.augment.rawboost import ALGORITHMS, RawBoost

RATIO = 3.0
CLOSE = 1e-4


def main() -> int:
    arguments = _arguments()
    clips = 2.0 * noise_clips(arguments.clips)
    figures: list[Figure] = []
    worst_ratio, worst_difference = float("inf"), 0.0
    for algorithm in list(ALGORITHMS)[1:]:
        boost = RawBoost(algorithm)
        fast, ours = _timed(boost, clips)
        slow, theirs = _timed(SampleLoop(boost), clips)
        figures += [
            Figure(f"algorithm {algorithm}", fast, "clips/s"),
            Figure(f"algorithm {algorithm}, sample by sample", slow, "clips/s"),
            Figure(f"algorithm {algorithm}, ratio", fast / slow, "x"),
        ]
        worst_ratio = min(worst_ratio, fast / slow)
        worst_difference = max(worst_difference, float(np.abs(ours - theirs).max()))
    figures += [
        Figure("smallest ratio", worst_ratio, "x", RATIO, at_least=True),
        Figure("largest difference, in millionths", 1e6 * worst_difference, "", 1e6 * CLOSE),
    ]
    return report(figures, arguments.json)


class SampleLoop:
    """The paper's formulas, one sample after the other; draws as `RawBoost` does."""

    def __init__(self, boost: RawBoost) -> None:
        self.boost = boost

    def __call__(self, clip: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        kinds = ALGORITHMS[self.boost.algorithm]
        signal = clip.astype(np.float64)
        if self.boost.algorithm == 8:
            return self.scaled(sum(getattr(self, kind)(signal, rng) for kind in kinds))
        for kind in kinds:
            signal = getattr(self, kind)(signal, rng)
        return signal

    def convolutive(self, signal: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        boost = self.boost
        gains = rng.uniform(*boost.gain_db, boost.orders)
        gains[1:] -= rng.uniform(*boost.bias_db, boost.orders - 1)
        total = np.zeros(len(signal))
        for power, (kernel, gain) in enumerate(zip(self.kernels(boost.orders, rng), gains), 1):  # noqa: B905
            total += self.filtered(signal**power, kernel * 10 ** (gain / 20))
        return self.scaled(total - total.mean())

    def impulsive(self, signal: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        count = int(len(signal) * rng.uniform(0, self.boost.impulses) / 100)
        hit = rng.choice(len(signal), count, replace=False, shuffle=False)
        one, two = rng.uniform(-1, 1, (2, count))
        noisy = signal.copy()
        for number, place in enumerate(hit):
            noisy[place] += self.boost.impulse_gain * one[number] * two[number] * signal[place]
        return self.scaled(noisy)

    def stationary(self, signal: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        white = rng.standard_normal((1, len(signal)), dtype=np.float32)[0]
        noise = self.filtered(white, self.kernels(1, rng)[0])
        snr = rng.uniform(*self.boost.snr_db)
        noise *= np.sqrt(np.sum(signal**2) / np.sum(noise**2)) / 10 ** (snr / 20)
        return self.scaled(signal + noise)

    def kernels(self, count: int, rng: np.random.Generator) -> list[np.ndarray]:
        boost = self.boost
        shape = (count, boost.notches)
        centres, widths = rng.uniform(*boost.frequency, shape), rng.uniform(*boost.bandwidth, shape)
        taps = rng.integers(*boost.taps, shape, endpoint=True)
        kernels = []
        for centre, width, tap in zip(centres, widths, taps, strict=True):
            kernel = np.ones(1)
            for notch in zip(centre, width, tap, strict=True):
                kernel = np.convolve(kernel, self.notch(*notch))
            kernels.append(kernel / np.abs(np.fft.rfft(kernel, 1 << 12)).max())
        return kernels

    @staticmethod
    def notch(centre: float, width: float, taps: int) -> np.ndarray:
        reach = int(taps) // 2
        low, high = max(centre - width / 2, 0) / RATE, min(centre + width / 2, RATE / 2) / RATE
        kernel = np.empty(2 * reach + 1)
        for place, time_ in enumerate(range(-reach, reach + 1)):
            if time_ == 0:
                ideal = 1 - 2 * (high - low)
            else:
                band = np.sin(2 * np.pi * high * time_) - np.sin(2 * np.pi * low * time_)
                ideal = -band / (np.pi * time_)
            kernel[place] = ideal * (0.54 + 0.46 * np.cos(np.pi * time_ / reach))
        return kernel

    @staticmethod
    def filtered(signal: np.ndarray, kernel: np.ndarray) -> np.ndarray:
        reach = len(kernel) // 2
        padded, turned = np.pad(signal, reach), kernel[::-1]
        filtered = np.empty(len(signal))
        for place in range(len(signal)):
            filtered[place] = padded[place : place + len(kernel)] @ turned
        return filtered

    @staticmethod
    def scaled(signal: np.ndarray) -> np.ndarray:
        return signal / max(1.0, np.abs(signal).max())


def _timed(boost: object, clips: np.ndarray) -> tuple[float, np.ndarray]:
    """Clips a second, and what came out."""
    out: list[np.ndarray] = []
    taken = seconds(
        lambda: out.extend(boost(c, np.random.default_rng(n)) for n, c in enumerate(clips))
    )
    return len(clips) / taken, np.stack(out)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", type=Path, help="write the figures there too")
    parser.add_argument("--clips", type=int, default=8)
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
