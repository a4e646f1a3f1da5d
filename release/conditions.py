"""Error rates on held-out sources, under conditions that recordings are made in.

    python release/conditions.py DATA OUT

OUT is a folder that `release/train.py` has filled: each fold's network, with the calibration of the
other folds, is measured on every fourth clip of its held-out sources, as it is and under each
condition. Prints a table and writes OUT/conditions.json.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import chain

import numpy as np
from common import CROSSED, FOLDS, arguments, fold
from numpy.typing import NDArray

from codecsleuth.audio.windows import SAMPLE_RATE
from codecsleuth.augment.chain import (
    TELEPHONE_RATE,
    high_pass,
    lossy_round_trip,
    resample,
    room,
)
from codecsleuth.data.clip_audio import read_clip
from codecsleuth.data.folds import fold_sources
from codecsleuth.data.items import Item, read_items
from codecsleuth.errors import AudioError
from codecsleuth.evaluation.metrics import equal_error_rate
from codecsleuth.inference.model import Model

EVERY = 4
Waveform = NDArray[np.float32]
Condition = Callable[[Waveform, np.random.Generator], Waveform]


def mp3_64(clip: Waveform, rng: np.random.Generator) -> Waveform:
    # libsndfile goes from 160 (level 0) to 8 kbit/s (level 1) at 16 kHz.
    level = (160 - 64) / (160 - 8)
    return lossy_round_trip(
        clip, "MP3", "MPEG_LAYER_III", compression_level=level, bitrate_mode="CONSTANT"
    )


def opus_24(clip: Waveform, rng: np.random.Generator) -> Waveform:
    # libsndfile goes from 256 (level 0) to 6 kbit/s (level 1) a channel.
    return lossy_round_trip(clip, "OGG", "OPUS", compression_level=(256 - 24) / (256 - 6))


def telephone(coder: str) -> Condition:
    def call(clip: Waveform, rng: np.random.Generator) -> Waveform:
        narrow = resample(high_pass(clip, rng), SAMPLE_RATE, TELEPHONE_RATE)
        coded = lossy_round_trip(narrow, "WAV", coder, TELEPHONE_RATE)
        return resample(coded, TELEPHONE_RATE, SAMPLE_RATE)

    return call


def noise_20_db(clip: Waveform, rng: np.random.Generator) -> Waveform:
    level = np.sqrt(np.mean(np.square(clip, dtype=np.float64))) / 10.0
    return (clip + level * rng.standard_normal(len(clip))).astype(np.float32)


def cut(seconds: float) -> Condition:
    def shorten(clip: Waveform, rng: np.random.Generator) -> Waveform:
        length = min(len(clip), round(seconds * SAMPLE_RATE))
        starts = rng.integers(0, len(clip) - length + 1, 3)
        # The loudest of a few: a piece of silence would be refused, not answered.
        return max((clip[start : start + length] for start in starts), key=np.ptp)

    return shorten


def rate_44(clip: Waveform, rng: np.random.Generator) -> Waveform:
    return resample(resample(clip, SAMPLE_RATE, 44_100), 44_100, SAMPLE_RATE)


CONDITIONS: dict[str, Condition] = {
    "as it is": lambda clip, rng: clip,
    "MP3, 64 kbit/s": mp3_64,
    "Opus, 24 kbit/s": opus_24,
    "telephone, 8 kHz mu-law": telephone("ULAW"),
    "telephone, GSM full rate": telephone("GSM610"),
    "white noise, 20 dB": noise_20_db,
    "cut to 1.5 s": cut(1.5),
    "cut to 2 s": cut(2.0),
    "cut to 3 s": cut(3.0),
    "44.1 kHz and back": rate_44,
    "gain, -6 dB": lambda clip, rng: (0.5 * clip).astype(np.float32),
    "room": room,
}


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("--workers", type=int, default=2)
    options = parser.parse_args()
    table = read_items(options.data)
    items: list[Item] = []
    log_odds: dict[str, list[float]] = {name: [] for name in CONDITIONS}
    verdicts: dict[str, list[str]] = {name: [] for name in CONDITIONS}
    for number in range(1, FOLDS + 1):
        model = Model.load(fold(options, number) / CROSSED)
        sources = set(fold_sources(table.items, f"{number}/{FOLDS}"))
        chosen = [item for item in table if item.source in sources][::EVERY]
        with ThreadPoolExecutor(options.workers) as pool:
            answers = list(pool.map(lambda item, model=model: score(model, item), chosen))
        items += [item for item, answer in zip(chosen, answers, strict=True) if answer]
        for name in CONDITIONS:
            logits = [answer[name] for answer in answers if answer]
            log_odds[name] += [float(model.calibration.log_odds(one)) for one in logits]
            verdicts[name] += [verdict(model, one) for one in logits]
    figures = {name: figures_of(log_odds[name], verdicts[name], items) for name in CONDITIONS}
    figures["all together"] = figures_of(
        list(chain.from_iterable(log_odds.values())),
        list(chain.from_iterable(verdicts.values())),
        items * len(CONDITIONS),
    )
    (options.out / "conditions.json").write_text(json.dumps(figures, indent=1), encoding="utf-8")
    for name, figure in figures.items():
        print(f"{name:26}" + "  ".join(f"{key} {value:.3f}" for key, value in figure.items()))


def verdict(model: Model, logits: NDArray[np.float64]) -> str:
    probabilities = model.calibration.probabilities(logits)
    return model.calibration.verdict({name: float(p) for name, p in probabilities.items()})


def score(model: Model, item: Item) -> dict[str, NDArray[np.float64]] | None:
    """BIN logits of a clip under each condition; None if a condition leaves nothing to hear."""
    clip = read_clip(item)
    answers = {}
    for number, (name, condition) in enumerate(CONDITIONS.items()):
        changed = condition(clip, np.random.default_rng((item.row, number)))
        try:
            answers[name] = model.logits(changed, SAMPLE_RATE)["BIN"]
        except AudioError as error:
            print(f"{item.file}, {name}: {error}; left out", file=sys.stderr)
            return None
    return answers


def figures_of(log_odds: list[float], verdicts: list[str], items: list[Item]) -> dict[str, float]:
    """EER over all folds, and the shares of each label that get each verdict."""
    codec = np.array([item.is_codec for item in items])
    bona_fide = np.array([item.is_bona_fide for item in items])
    given, scores, chosen = np.array(verdicts), np.array(log_odds), codec | bona_fide
    return {
        "eer": float(equal_error_rate(scores[chosen], codec[chosen])),
        "bona fide called codec": float((given[bona_fide] == "codec").mean()),
        "codec called bona fide": float((given[codec] == "bona_fide").mean()),
        "inconclusive": float((given == "inconclusive").mean()),
    }


if __name__ == "__main__":
    main()
