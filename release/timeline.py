"""How well the time line finds spliced passages, and the settings of its two-state model.

    python release/timeline.py DATA [--splices N] [--seed N] [--longest MINUTES]
    python release/timeline.py DATA --fit [--splices N]

DATA is the training corpus. A splice is 4 to 20 s of codec speech (clips of split dev, one codec of
one source) in 1 to 20 minutes of bona fide speech, of the same source where it has enough. Prints
the share of passages of 6 s or more, and of 4 s to 6 s, that are found with both ends within 1.5 s,
and the false passages in an hour of bona fide speech. With ``--fit``, computes every window of the
quarter-hop grid once, tries settings on them, and prints the best; `TimelineSettings` holds them.
"""

from __future__ import annotations

import argparse
import itertools
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import soundfile

from codecsleuth import Model, load_model, verdict
from codecsleuth.arrays import Samples
from codecsleuth.audio.windows import HOP_SAMPLES, SAMPLE_RATE, WINDOW_SAMPLES
from codecsleuth.data.items import Item, read_items
from codecsleuth.inference.timeline import (
    STEPS,
    TIMELINE,
    Point,
    TimelineSettings,
    find_stretches,
    needs_refining,
)

TOLERANCE_S = 1.5
LENGTHS_S = (4.0, 20.0)
AROUND_S = (60.0, 1200.0)
#: A source with fewer seconds of bona fide speech is filled up from others.
ENOUGH_S = 20.0
PARTS = ((6.0, 20.1), (4.0, 6.0))
#: Seconds of bona fide speech without any splice, for each splice of the fit.
TRIED = {
    "centre": (-0.5, 0.0, 0.5, 1.0, 1.5),
    "scale": (0.2, 0.35, 0.6),
    "limit": (2.0, 3.0, 4.5),
    "change": (1.5, 2.5, 4.0),
    "peak": (1.0, 1.66, 2.2, 3.0),
}


@dataclass(frozen=True)
class Splice:
    """A recording with one passage of codec speech.

    Attributes:
        samples: ``(samples,)`` at 16 kHz.
        start_s: where the passage begins.
        end_s: where it ends.
        name: source and codec.
    """

    samples: Samples
    start_s: float
    end_s: float
    name: str

    @property
    def length_s(self) -> float:
        return self.end_s - self.start_s


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("data", type=Path)
    parser.add_argument("--splices", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--longest", type=float, default=20.0, help="minutes of bona fide speech")
    parser.add_argument("--fit", action="store_true")
    options = parser.parse_args()
    made = splices(options.data, options.splices, options.seed, options.longest)
    if options.fit:
        fit(made)
    else:
        measure(made)


def splices(data: Path, count: int, seed: int, longest: float) -> Iterator[Splice]:
    """Make splices, the same ones for the same seed."""
    rng = np.random.default_rng(seed)
    dev = [item for item in read_items(data) if item.split == "dev"]
    codec: dict[tuple[str, str, str], list[Item]] = defaultdict(list)
    bona_fide: dict[str, list[Item]] = defaultdict(list)
    for item in dev:
        if item.is_codec:
            codec[item.source, item.codec, item.variant].append(item)
        elif item.is_bona_fide and item.kind in ("", "original"):
            bona_fide[item.source].append(item)
    everyone = [item for items in bona_fide.values() for item in items]
    keys = sorted(codec)
    for _ in range(count):
        key = keys[int(rng.integers(len(keys)))]
        length = rng.uniform(*LENGTHS_S)
        around = np.exp(rng.uniform(*np.log([AROUND_S[0], longest * 60])))
        inside = speech(codec[key], length, rng)
        own = bona_fide[key[0]]
        enough = sum(item.duration_s or 0 for item in own) >= ENOUGH_S
        outside = speech(own if enough else everyone, around, rng)
        place = int(rng.integers(len(outside)))
        yield Splice(
            np.concatenate([outside[:place], inside, outside[place:]]),
            place / SAMPLE_RATE,
            (place + len(inside)) / SAMPLE_RATE,
            "/".join(filter(None, key)),
        )


def speech(items: Sequence[Item], seconds: float, rng: np.random.Generator) -> Samples:
    """Clips one after the other, cut to a length."""
    wanted, parts = round(seconds * SAMPLE_RATE), []
    while sum(map(len, parts)) < wanted:
        item = items[int(rng.integers(len(items)))]
        parts.append(soundfile.read(item.path, dtype="float32")[0])
    return np.concatenate(parts)[:wanted]


def found(passages: Sequence[tuple[float, float]], splice: Splice) -> tuple[bool, int]:
    """Whether the passage was found with both ends, and how many others were."""
    hit = any(
        abs(start - splice.start_s) <= TOLERANCE_S and abs(end - splice.end_s) <= TOLERANCE_S
        for start, end in passages
    )
    false = sum(end <= splice.start_s or start >= splice.end_s for start, end in passages)
    return hit, false


@dataclass
class Tally:
    """What a run over splices came to."""

    rows: list[tuple[float, bool, int, float]]

    def add(self, splice: Splice, passages: Sequence[tuple[float, float]]) -> bool:
        hit, false = found(passages, splice)
        bona_fide_s = len(splice.samples) / SAMPLE_RATE - splice.length_s
        self.rows.append((splice.length_s, hit, false, bona_fide_s))
        return hit

    def rates(self) -> tuple[list[float], float]:
        """Share found in each of `PARTS`, and false passages an hour."""
        shares = []
        for low, high in PARTS:
            hits = [hit for length, hit, _, _ in self.rows if low <= length < high]
            shares.append(float(np.mean(hits)) if hits else float("nan"))
        hours = sum(row[3] for row in self.rows) / 3600
        return shares, sum(row[2] for row in self.rows) / hours


def measure(made: Iterator[Splice]) -> None:
    model, tally = load_model(), Tally([])
    for number, splice in enumerate(made):
        answer = model.analyze(splice.samples, SAMPLE_RATE)
        passages = [
            (one.start_s, one.end_s)
            for one in answer.passages
            if verdict.by_name(one.verdict).neural
        ]
        hit = tally.add(splice, passages)
        print(f"{number} {splice.name} {splice.length_s:.1f} s {answer.verdict} {hit}", flush=True)
    (long, short), false = tally.rates()
    print(f"found, 6 s and more: {long:.3f}; 4 to 6 s: {short:.3f}; false an hour: {false:.2f}")


def fit(made: Iterator[Splice]) -> None:
    model = load_model()
    computed = [(splice, every_window(model, splice.samples)) for splice in made]
    best = None
    for values in itertools.product(*TRIED.values()):
        settings = replace(TIMELINE, **dict(zip(TRIED, values, strict=True)))
        tally = Tally([])
        for splice, points in computed:
            tally.add(splice, passages_of(points, settings))
        (long, short), false = tally.rates()
        merit = long + 0.3 * np.nan_to_num(short) - 0.3 * max(0.0, false - 0.7)
        if best is None or merit > best[0]:
            best = (merit, settings, long, short, false)
            print(f"{merit:.3f} found {long:.3f} {short:.3f} false {false:.2f} {settings}")


def every_window(model: Model, samples: Samples) -> list[Point]:
    """The log-odds of every window of the quarter-hop grid."""
    step, points = HOP_SAMPLES // STEPS, []
    for start in range(0, len(samples) - WINDOW_SAMPLES + 1, step):
        logits = model.window_logits([samples[start : start + WINDOW_SAMPLES]])[0]["BIN"]
        odds = float(model.calibration.trace_log_odds(logits))
        begin = start / SAMPLE_RATE
        points.append(Point(begin, begin + WINDOW_SAMPLES / SAMPLE_RATE, odds))
    return points


def passages_of(points: Sequence[Point], settings: TimelineSettings) -> list[tuple[float, float]]:
    """Neural passages by the windows that an analysis would compute."""
    hops = points[::STEPS]
    taken = list(hops)
    for number, (one, other) in enumerate(itertools.pairwise(hops)):
        if needs_refining(one.log_odds, other.log_odds, settings):
            taken += points[number * STEPS + 1 : (number + 1) * STEPS]
    taken.sort(key=lambda point: point.start_s)
    stretches = find_stretches(taken, taken[-1].end_s, settings)
    return [(one.start_s, one.end_s) for one in stretches if one.neural]


if __name__ == "__main__":
    main()
