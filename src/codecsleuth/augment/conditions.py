"""Named conditions that a recording meets, with nothing drawn but noise: for measurement."""

from __future__ import annotations

from typing import Final

import numpy as np

from codecsleuth.audio.windows import SAMPLE_RATE
from codecsleuth.augment.chain import Step, high_pass, room
from codecsleuth.augment.channels import CODERS, TELEPHONE_RATE, Waveform, resample


def coded(name: str, setting: float, rate: int | None = None) -> Step:
    """A round trip of a row of `CODERS` at one setting, at its first rate unless told."""
    coder = CODERS[name]

    def send(clip: Waveform, rng: np.random.Generator) -> Waveform:
        return coder.round_trip(clip, rate or coder.rates[0], setting)

    return send


def after(first: Step, second: Step) -> Step:
    """One condition after another."""
    return lambda clip, rng: second(first(clip, rng), rng)


def white_noise(ratio_db: float) -> Step:
    """White noise so far below the speech."""

    def add(clip: Waveform, rng: np.random.Generator) -> Waveform:
        level = float(np.sqrt(np.mean(np.square(clip, dtype=np.float64)))) * 10 ** (-ratio_db / 20)
        return clip + np.float32(level) * rng.standard_normal(len(clip), dtype=np.float32)

    return add


def cut(seconds: float) -> Step:
    """A piece of so many seconds."""

    def shorten(clip: Waveform, rng: np.random.Generator) -> Waveform:
        length = min(len(clip), round(seconds * SAMPLE_RATE))
        starts = rng.integers(0, len(clip) - length + 1, 3)
        # The loudest of a few: a piece of silence would be refused, not answered.
        return max((clip[start : start + length] for start in starts), key=np.ptp)

    return shorten


def through_rate(rate: int) -> Step:
    """To another sampling rate and back."""
    return lambda clip, rng: resample(resample(clip, SAMPLE_RATE, rate), rate, SAMPLE_RATE)


CONDITIONS: Final[dict[str, Step]] = {
    "as-is": lambda clip, rng: clip,
    "mp3-vbr-low": coded("mp3-variable", 9),
    "mp3-vbr-low-44k": coded("mp3-variable", 9, 44_100),
    "mp3-32": coded("mp3", 32),
    "mp3-64": coded("mp3", 64),
    "aac-32": coded("aac", 32),
    "aac-32-44k": coded("aac", 32, 44_100),
    "aac-64": coded("aac", 64, 44_100),
    "amr-nb-12.2": after(high_pass, coded("amr-nb", 12.2)),
    "amr-nb-4.75": after(high_pass, coded("amr-nb", 4.75)),
    "g722": coded("g722", 64),
    "g723.1": after(high_pass, coded("g723.1", 6.3)),
    "g726-32": after(high_pass, coded("g726", 32)),
    "gsm": after(high_pass, coded("gsm", 0.5)),
    "mulaw": after(high_pass, coded("mulaw", 64)),
    "opus-voice-8": coded("opus-voice", 8),
    "opus-voice-16": coded("opus-voice", 16),
    "opus-voice-24": coded("opus-voice", 24),
    "opus-24": coded("opus", 24),
    "wma-32": coded("wma", 32),
    "ac3-96": coded("ac3", 96, 48_000),
    "msbc": coded("msbc", 64),
    "sbc": coded("sbc", 192),
    "aptx": coded("aptx", 384),
    "narrow-band": through_rate(TELEPHONE_RATE),
    "call-then-messenger": after(after(high_pass, coded("amr-nb", 12.2)), coded("opus-voice", 16)),
    "mp3-then-aac": after(coded("mp3-full-rate", 96), coded("aac", 48, 44_100)),
    "noise-20dB": white_noise(20.0),
    "noise-15dB": white_noise(15.0),
    "room": room,
    "cut-1.5s": cut(1.5),
    "cut-2s": cut(2.0),
    "44k-and-back": through_rate(44_100),
    "gain-6dB": lambda clip, rng: (0.5 * clip).astype(np.float32),
}
