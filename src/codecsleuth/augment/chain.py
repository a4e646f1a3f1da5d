"""Augmentation: what happens to a recording after (or without) a codec, and says nothing of one.

Every step takes a mono float32 waveform at 16 kHz, shape ``(samples,)``, and a NumPy generator, and
gives a waveform of about the same length. Steps that a corpus could leak its labels through (sample
rate, level, clipping, length, lossy storage) are all here, and are drawn alike for both labels.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from codecsleuth.audio.windows import SAMPLE_RATE
from codecsleuth.augment.channels import CODERS, TELEPHONE_RATE, Waveform, fit, resample

Step = Callable[[Waveform, np.random.Generator], Waveform]

#: What a narrow-band call goes through; mobile telephones and landlines are the likeliest.
NARROW_BAND: Final = (
    *("mulaw", "mulaw", "alaw", "gsm", "amr-nb", "amr-nb", "amr-nb", "g726", "g723.1"),
)
#: What a wide-band call goes through: landlines, headsets, calls over the internet.
WIDE_BAND: Final = ("g722", "msbc", "opus-voice", "opus-voice")
#: Share of what was stored that is stored once more.
STORED_AGAIN: Final = 0.05


def shape_spectrum(waveform: Waveform, gains_db: NDArray[np.float64]) -> Waveform:
    """Apply a zero-phase filter given by gains at evenly spaced frequencies from 0 to 8 kHz."""
    spectrum = np.fft.rfft(waveform)
    places = np.linspace(0.0, 1.0, len(spectrum))
    gains = np.interp(places, np.linspace(0.0, 1.0, len(gains_db)), gains_db)
    return np.fft.irfft(spectrum * 10.0 ** (gains / 20.0), len(waveform)).astype(np.float32)


def random_equaliser(waveform: Waveform, rng: np.random.Generator) -> Waveform:
    """Smooth random colouring by up to about 10 dB: microphones, rooms, equalisers."""
    points = int(rng.integers(4, 14))
    return shape_spectrum(waveform, rng.normal(0.0, rng.uniform(1.0, 5.0), points))


def low_pass(waveform: Waveform, rng: np.random.Generator) -> Waveform:
    """A steep low-pass between 3.4 and 8 kHz, most often near the top, as resamplers leave it."""
    edge = SAMPLE_RATE / 2 * (1.0 - 0.57 * rng.random() ** 3)
    width = rng.uniform(50.0, 500.0)
    frequency = np.linspace(0.0, SAMPLE_RATE / 2, 2049)
    depth = rng.uniform(40.0, 100.0)
    return shape_spectrum(waveform, -depth * np.clip((frequency - edge) / width, 0.0, 1.0))


def high_pass(waveform: Waveform, rng: np.random.Generator) -> Waveform:
    """A high-pass between 30 and 400 Hz."""
    edge = 10.0 ** rng.uniform(np.log10(30.0), np.log10(400.0))
    frequency = np.linspace(0.0, SAMPLE_RATE / 2, 2049)
    return shape_spectrum(waveform, -rng.uniform(20.0, 60.0) * np.clip(1 - frequency / edge, 0, 1))


def telephone(waveform: Waveform, rng: np.random.Generator) -> Waveform:
    """Telephone band, 8 kHz, most often through a coder that telephony has (`NARROW_BAND`)."""
    voice = high_pass(waveform, rng)
    if rng.random() < 0.8:
        return CODERS[NARROW_BAND[int(rng.integers(len(NARROW_BAND)))]](voice, rng)
    narrow = resample(voice, SAMPLE_RATE, TELEPHONE_RATE)
    return fit(resample(narrow, TELEPHONE_RATE, SAMPLE_RATE), len(waveform))


def wide_band_call(waveform: Waveform, rng: np.random.Generator) -> Waveform:
    """A call at 16 kHz, through one of `WIDE_BAND`."""
    return CODERS[WIDE_BAND[int(rng.integers(len(WIDE_BAND)))]](waveform, rng)


def other_rate(waveform: Waveform, rng: np.random.Generator) -> Waveform:
    """A trip through another sample rate and back."""
    rate = int(rng.choice([11_025, 12_000, 22_050, 24_000, 32_000, 44_100, 48_000]))
    there = resample(waveform, SAMPLE_RATE, rate)
    return resample(there, rate, SAMPLE_RATE)[: len(waveform)]


def noise(waveform: Waveform, rng: np.random.Generator) -> Waveform:
    """Stationary noise, one in three white, at 10 to 40 dB below the speech."""
    coloured = rng.standard_normal(len(waveform)).astype(np.float32)
    if rng.random() < 2 / 3:
        spectrum = np.fft.rfft(coloured)
        spectrum *= np.maximum(np.arange(len(spectrum)), 1.0) ** rng.uniform(-1.0, 0.3)
        coloured = np.fft.irfft(spectrum, len(waveform)).astype(np.float32)
        coloured = random_equaliser(coloured, rng)
    ratio = 10.0 ** (-rng.uniform(10.0, 40.0) / 20.0)
    return _float32(waveform + coloured * (ratio * _rms(waveform) / _rms(coloured)))


def room(waveform: Waveform, rng: np.random.Generator) -> Waveform:
    """A synthetic room: a direct path and an exponentially decaying diffuse tail."""
    reverberation_s = rng.uniform(0.1, 0.7)
    length = int(reverberation_s * SAMPLE_RATE)
    decay = np.exp(-6.9 * np.arange(length) / length)
    tail = rng.standard_normal(length) * decay
    tail *= 10.0 ** (-rng.uniform(0.0, 15.0) / 20.0) / np.sqrt(np.sum(tail**2))
    tail[: int(rng.uniform(0.001, 0.01) * SAMPLE_RATE)] = 0.0
    tail[0] = 1.0
    size = 1 << (len(waveform) + length).bit_length()
    wet = np.fft.irfft(np.fft.rfft(waveform, size) * np.fft.rfft(tail, size), size)
    return wet[: len(waveform)].astype(np.float32)


def impulsive_noise(waveform: Waveform, rng: np.random.Generator) -> Waveform:
    """Signal-dependent impulsive noise on a random tenth of the samples (RawBoost, algorithm 2)."""
    picked = rng.random(len(waveform)) < rng.uniform(0.0, 0.1)
    strength = rng.uniform(0.05, 2.0) * rng.uniform(-1.0, 1.0, len(waveform))
    return _float32(waveform * (1.0 + picked * strength))


def nonlinear_filter(waveform: Waveform, rng: np.random.Generator) -> Waveform:
    """Sum of filtered powers of the signal (RawBoost, algorithm 1: convolutive noise)."""
    peak = float(np.max(np.abs(waveform))) + 1e-9
    unit = waveform / peak
    total = random_equaliser(unit, rng)
    for order in range(2, int(rng.integers(3, 6))):
        level = 10.0 ** (-rng.uniform(5.0, 20.0) * (order - 1) / 20.0)
        total = total + level * random_equaliser(unit**order, rng)
    return _float32((total - total.mean()) * peak)


def clip_level(waveform: Waveform, rng: np.random.Generator) -> Waveform:
    """Hard clipping of the loudest samples."""
    limit = np.quantile(np.abs(waveform), 1.0 - 10.0 ** rng.uniform(-4.0, -2.0))
    return _float32(np.clip(waveform, -limit, limit))


def quantise(waveform: Waveform, rng: np.random.Generator) -> Waveform:
    """Store with 9 to 16 bits at a random level, with or without dither."""
    levels = 2.0 ** rng.uniform(8.0, 15.0)
    dither = rng.uniform(-0.5, 0.5, len(waveform)) if rng.random() < 0.5 else 0.0
    return _float32(np.round(waveform * levels + dither) / levels)


def gain(waveform: Waveform, rng: np.random.Generator) -> Waveform:
    """A gain of -20 to +6 dB, or either polarity; samples beyond full scale are clipped."""
    factor = 10.0 ** (rng.uniform(-20.0, 6.0) / 20.0) * rng.choice([-1.0, 1.0])
    return _float32(np.clip(waveform * factor, -1.0, 1.0))


#: Each step, and the probability that a clip goes through it, in the order they are applied.
DEFAULT_CHAIN: Final[tuple[tuple[Step, float], ...]] = (
    (nonlinear_filter, 0.08),
    (room, 0.15),
    (random_equaliser, 0.35),
    (high_pass, 0.15),
    (noise, 0.28),
    (impulsive_noise, 0.06),
    (clip_level, 0.06),
    (gain, 0.5),
    (other_rate, 0.15),
    (telephone, 0.13),
    (wide_band_call, 0.04),
    (low_pass, 0.25),
    (quantise, 0.12),
)
#: How it is kept or sent, after the chain: one of these, or (`STORED_AGAIN`) two. A call that is
#: recorded and then sent is a call of the chain and one of these: about 5 % of all clips.
STORAGE: Final[tuple[tuple[Step, float], ...]] = (
    (CODERS["mp3"], 0.05),
    (CODERS["mp3-full-rate"], 0.04),
    (CODERS["mp3-variable"], 0.05),
    (CODERS["aac"], 0.08),
    (CODERS["vorbis"], 0.03),
    (CODERS["opus"], 0.06),
    (CODERS["opus-voice"], 0.04),
    (CODERS["amr-nb"], 0.01),
    (CODERS["wma"], 0.01),
    (CODERS["ac3"], 0.01),
    (CODERS["sbc"], 0.01),
    (CODERS["aptx"], 0.005),
)


@dataclass(frozen=True)
class Augmentation:
    """A random chain of the steps above.

    Attributes:
        clean_share: share of clips that are only cut.
        min_seconds: shortest cut.
        max_seconds: longest cut.
    """

    clean_share: float = 0.2
    min_seconds: float = 1.0
    max_seconds: float = 4.0

    def __call__(self, waveform: Waveform, rng: np.random.Generator) -> Waveform:
        """Cut to a random length, then apply the chain; same generator state, same result."""
        waveform = self._cut(waveform, rng)
        if rng.random() < self.clean_share:
            return waveform
        for step, probability in DEFAULT_CHAIN:
            if rng.random() < probability:
                waveform = step(waveform, rng)
        return self._store(waveform, rng)

    def _cut(self, waveform: Waveform, rng: np.random.Generator) -> Waveform:
        seconds = rng.uniform(self.min_seconds, self.max_seconds)
        length = min(int(seconds * SAMPLE_RATE), len(waveform))
        start = int(rng.integers(0, len(waveform) - length + 1))
        return waveform[start : start + length]

    def _store(self, waveform: Waveform, rng: np.random.Generator) -> Waveform:
        shares = np.array([share for _, share in STORAGE])
        if rng.random() >= shares.sum():
            return waveform
        for _ in range(2 if rng.random() < STORED_AGAIN else 1):
            step, _ = STORAGE[int(rng.choice(len(STORAGE), p=shares / shares.sum()))]
            waveform = step(waveform, rng)
        return waveform


def _rms(waveform: Waveform) -> float:
    return float(np.sqrt(np.mean(np.square(waveform, dtype=np.float64)))) + 1e-9


def _float32(values: NDArray[Any]) -> Waveform:
    return values.astype(np.float32)
