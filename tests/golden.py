"""Answers of the embedded model that a change of code must not move.

    python tests/golden.py

writes them anew, on purpose: after new weights, or a change that is meant to move them.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from codecsleuth import load_model

ROOT = Path(__file__).parents[1]
FILE = ROOT / "tests" / "data" / "golden.json"
RATE = 16_000
SECONDS = 5.0
Signal = NDArray[np.float32]


def signals() -> dict[str, Signal]:
    """Ten synthetic signals, ``(samples,)`` at 16 kHz, the same on every machine."""
    return {name: make() for name, make in _MAKERS.items()}


def _time() -> NDArray[np.float64]:
    return np.arange(round(SECONDS * RATE)) / RATE


def _noise(seed: int) -> NDArray[np.float64]:
    return np.random.default_rng(seed).standard_normal(len(_time()))


def _voice(pitch: float) -> NDArray[np.float64]:
    time = _time()
    phase = 2 * np.pi * np.cumsum(pitch + 0.2 * pitch * np.sin(2 * np.pi * 0.7 * time)) / RATE
    return np.sum([np.sin(k * phase) / k for k in range(1, 20)], axis=0)


def _syllables() -> NDArray[np.float64]:
    return 0.1 + np.clip(np.sin(2 * np.pi * 3 * _time()), 0, 1)


def _speech(pitch: float, seed: int) -> NDArray[np.float64]:
    return 0.08 * _syllables() * (_voice(pitch) + 0.3 * _noise(seed))


def _modulated(rate: float) -> NDArray[np.float64]:
    return 0.1 * _noise(7) * (1 + 0.5 * np.sin(2 * np.pi * rate * _time()))


def _narrow() -> NDArray[np.float64]:
    spectrum = np.fft.rfft(_speech(130, 3))
    spectrum[round(3_400 * SECONDS) :] = 0
    return np.fft.irfft(spectrum, len(_time())) + 1e-4 * _noise(4)


_MAKERS: dict[str, Callable[[], Signal]] = {
    name: (lambda make=make: make().astype(np.float32))  # type: ignore[misc]
    for name, make in {
        "low voice": lambda: _speech(100, 1),
        "high voice": lambda: _speech(220, 2),
        "narrow band": _narrow,
        "clipped voice": lambda: np.clip(3 * _speech(140, 5), -0.2, 0.2),
        "white noise": lambda: 0.1 * _noise(6),
        "noise modulated at 50 Hz": lambda: _modulated(50),
        "noise modulated at 75 Hz": lambda: _modulated(75),
        "tone in noise": lambda: 0.2 * np.sin(2 * np.pi * 1_000 * _time()) + 0.01 * _noise(8),
        "voice with a tone": lambda: _speech(120, 9) + 0.01 * np.sin(2 * np.pi * 4_000 * _time()),
        "voice of sixteen levels": lambda: np.round(_speech(160, 10) * 40) / 40,
    }.items()
}


def answers() -> Iterator[tuple[str, dict[str, list[float]]]]:
    """Name and logits per task of every example and every signal."""
    model = load_model()
    for path in sorted((ROOT / "examples").glob("*.wav")):
        yield path.name, _listed(model.logits(path))
    for name, samples in signals().items():
        yield name, _listed(model.logits(samples, RATE))


def _listed(logits: dict[str, NDArray[np.float64]]) -> dict[str, list[float]]:
    return {task: [round(float(v), 6) for v in values] for task, values in logits.items()}


if __name__ == "__main__":
    FILE.write_text(json.dumps(dict(answers()), indent=1) + "\n", encoding="utf-8")
    print(FILE)
