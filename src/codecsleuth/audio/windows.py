"""Analysis windows: 16 kHz mono cut into the stretches that a network sees."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np

from codecsleuth.arrays import Samples
from codecsleuth.errors import AudioError

SAMPLE_RATE: Final = 16_000
#: Window of the paper and of the AASIST code: 4.0375 s.
WINDOW_SAMPLES: Final = 64_600
HOP_SAMPLES: Final = WINDOW_SAMPLES // 2
WINDOW_S: Final = WINDOW_SAMPLES / SAMPLE_RATE
HOP_S: Final = HOP_SAMPLES / SAMPLE_RATE

#: Shorter recordings are refused: a clip is repeated to fill a window, and the repetition itself is
#: then measured. Of bona fide clips of 0.5 s, one in six is called codec, of 0.3 s nearly all
#: (`release/lengths.py`).
MIN_DURATION_S: Final = 0.75
MIN_SAMPLES: Final = int(MIN_DURATION_S * SAMPLE_RATE)
#: A window that nowhere leaves its own mean by more than this (-80 dB) is silent.
SILENCE_PEAK: Final = 1e-4

# libsoxr can share its transform tables between threads without locking them.
_SOXR_LOCK: Final = threading.Lock()


@dataclass(frozen=True)
class Window:
    """A stretch of audio as the network gets it.

    Attributes:
        start_s: where it begins in the recording.
        end_s: where the recording's own sound in it ends (a short one is repeated to fill it).
        samples: ``(WINDOW_SAMPLES,)`` at 16 kHz.
        weight: the audio in it that no window before has, in hops, at most 1. The last window ends
            where the audio ends, so that it may repeat the one before almost whole.
    """

    start_s: float
    end_s: float
    samples: Samples
    weight: float = 1.0

    @property
    def silent(self) -> bool:
        """Whether there is nothing to hear, a constant offset aside."""
        return bool(np.abs(self.samples - self.samples.mean()).max() < SILENCE_PEAK)


def resample(blocks: Iterable[Samples], rate: int) -> Iterator[Samples]:
    """Bring mono blocks from ``rate`` to 16 kHz; 16 kHz passes untouched."""
    if rate == SAMPLE_RATE:
        yield from blocks
        return
    import soxr

    with _SOXR_LOCK:
        stream = soxr.ResampleStream(rate, SAMPLE_RATE, 1, dtype="float32", quality="HQ")
    for block in blocks:
        with _SOXR_LOCK:
            resampled = stream.resample_chunk(block)
        yield resampled
    with _SOXR_LOCK:
        rest = stream.resample_chunk(np.zeros(0, np.float32), last=True)
    yield rest


def cut_windows(blocks: Iterable[Samples], start_s: float = 0.0) -> Iterator[Window]:
    """Cut 16 kHz blocks into windows half a window apart; the last ends where the audio ends.

    Args:
        blocks: of mono audio.
        start_s: where in the recording they begin.

    Raises:
        AudioError: all of it is shorter than `MIN_DURATION_S`.
    """
    held = np.zeros(0, np.float32)
    last = held
    start = 0
    for block in blocks:
        held = np.concatenate([held, block])
        while len(held) >= WINDOW_SAMPLES:
            last = held[:WINDOW_SAMPLES]
            yield _window(start_s, start, last)
            held = held[HOP_SAMPLES:]
            start += HOP_SAMPLES
    if not len(last):
        yield _repeated(start_s, held)
    elif len(held) > WINDOW_SAMPLES - HOP_SAMPLES:
        unread = held[WINDOW_SAMPLES - HOP_SAMPLES :]
        samples = np.concatenate([last, unread])[-WINDOW_SAMPLES:]
        begin = start + len(held) - WINDOW_SAMPLES
        yield _window(start_s, begin, samples, len(unread) / HOP_SAMPLES)


def windows_between(one: Window, other: Window, steps: int) -> Iterator[Window]:
    """Windows that begin between two others, at even distances, from the samples of the two.

    Args:
        one: a window of the hop grid.
        other: a later one; nothing is given if the two leave a gap, or follow too closely.
        steps: parts that a hop is cut into.
    """
    apart = round((other.start_s - one.start_s) * SAMPLE_RATE)
    step = HOP_SAMPLES // steps
    if not step < apart <= WINDOW_SAMPLES:
        return
    joined = np.concatenate([one.samples, other.samples[WINDOW_SAMPLES - apart :]])
    for start in range(step, apart - step // 2, step):
        begin = one.start_s + start / SAMPLE_RATE
        samples = joined[start : start + WINDOW_SAMPLES]
        yield Window(begin, begin + WINDOW_S, samples, 0.0)


def _window(start_s: float, start: int, samples: Samples, weight: float = 1.0) -> Window:
    begin, end = (start_s + place / SAMPLE_RATE for place in (start, start + WINDOW_SAMPLES))
    return Window(begin, end, samples, min(1.0, weight))


def _repeated(start_s: float, samples: Samples) -> Window:
    if len(samples) < MIN_SAMPLES:
        # Cut, not rounded: "0.50 s; at least 0.5 s are needed" would make no sense.
        duration = int(len(samples) / SAMPLE_RATE * 1000) / 1000
        raise AudioError(
            "too_short", f"{duration:.3f} s of audio; at least {MIN_DURATION_S} s are needed"
        )
    filled = np.resize(samples, WINDOW_SAMPLES)
    return Window(start_s, start_s + len(samples) / SAMPLE_RATE, filled)
