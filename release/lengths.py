"""How well the embedded model detects in short clips: why the shortest recordings are refused.

    python release/lengths.py DATA [--clips N]

DATA is the training corpus. Clips of split dev are cut to each length from their middle, and judged
by the embedded model. Prints per length the EER, and the false alarms and misses at its thresholds.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import soundfile

from codecsleuth import load_model
from codecsleuth.arrays import BoolArray, FloatArray, Samples
from codecsleuth.audio.windows import SAMPLE_RATE, WINDOW_SAMPLES
from codecsleuth.data.items import BONA_FIDE, SPOOF, Item, read_items
from codecsleuth.evaluation.figures import equal_error_rate

LENGTHS_S = (0.3, 0.4, 0.5, 0.75, 1.0, 1.5, 2.0, 3.0)
SEED = 0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("--clips", type=int, default=400, help="clips of each label")
    arguments = parser.parse_args()
    items = list(_chosen(arguments.data, arguments.clips))
    clips = [soundfile.read(item.path, dtype="float32")[0] for item in items]
    is_codec = np.array([item.is_codec for item in items])
    print("seconds  EER   false alarms  misses")
    for seconds in LENGTHS_S:
        probabilities = _probabilities([_cut(clip, seconds) for clip in clips])
        print(f"{seconds:7g}  {_row(probabilities, is_codec)}")


def _chosen(data: Path, count: int) -> Iterator[Item]:
    """As many clips of each label, of at least the longest length."""
    rng = np.random.default_rng(SEED)
    items = [i for i in read_items(data) if i.split == "dev" and (i.duration_s or 0) >= 3.0]
    for label in (BONA_FIDE, SPOOF):
        own = [item for item in items if item.label == label]
        yield from (own[k] for k in rng.permutation(len(own))[:count])


def _cut(clip: Samples, seconds: float) -> Samples:
    length = round(seconds * SAMPLE_RATE)
    start = max(0, (len(clip) - length) // 2)
    return clip[start : start + length]


def _probabilities(clips: list[Samples]) -> FloatArray:
    """Calibrated codec probability of each clip, repeated to fill a window, ``(clips,)``."""
    model = load_model()
    found = [
        model.calibration.probabilities(
            model.window_logits([np.resize(clip, WINDOW_SAMPLES)])[0]["BIN"]
        )["codec"]
        for clip in clips
    ]
    return np.array(found, dtype=np.float64)


def _row(probabilities: FloatArray, is_codec: BoolArray) -> str:
    calibration = load_model().calibration
    eer = float(equal_error_rate(probabilities, is_codec))
    alarms = float((probabilities[~is_codec] >= calibration.codec_threshold).mean())
    misses = float((probabilities[is_codec] <= calibration.bona_fide_threshold).mean())
    return f"{eer:.3f}  {alarms:12.3f}  {misses:.3f}"


if __name__ == "__main__":
    main()
