"""Augmentation: what happens to a recording after (or without) a codec, and says nothing of one.

Every step takes a mono float32 waveform at 16 kHz, shape ``(samples,)``, and a NumPy generator, and
gives a waveform of about the same length. Steps that a corpus could leak its labels through (sample
rate, level, clipping, length, lossy storage) are all here, and are drawn alike for both labels.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, cast

import numpy as np
import soundfile
import soxr
from numpy.typing import NDArray

from codecsleuth.audio.windows import SAMPLE_RATE

Waveform = NDArray[np.float32]
Step = Callable[[Waveform, np.random.Generator], Waveform]

TELEPHONE_RATE: Final = 8_000
#: G.711 in both laws, full-rate GSM and ADPCM, as libsndfile has them. Mu-law is the likeliest.
TELEPHONE_CODERS: Final = (
    ("WAV", "ULAW"),
    ("WAV", "ULAW"),
    ("WAV", "ULAW"),
    ("WAV", "ALAW"),
    ("WAV", "GSM610"),
    ("WAV", "GSM610"),
    ("AU", "G721_32"),
)


def lossy_round_trip(
    waveform: Waveform, container: str, subtype: str, rate: int = SAMPLE_RATE, **options: Any
) -> Waveform:
    """Encode and decode in memory with one of libsndfile's lossy coders.

    Args:
        waveform: ``(samples,)``.
        container: as `soundfile` names it, such as ``MP3``, ``OGG`` or ``WAV``.
        subtype: the coder in it, such as ``MPEG_LAYER_III``, ``VORBIS``, ``OPUS`` or ``GSM610``.
        rate: sampling rate in hertz.
        options: of `soundfile.write`, such as ``compression_level``, 0 (best) to 1 (smallest).
    """
    buffer = io.BytesIO()
    clipped = np.clip(waveform, -1.0, 1.0)
    soundfile.write(buffer, clipped, rate, format=container, subtype=subtype, **options)
    buffer.seek(0)
    decoded, decoded_rate = soundfile.read(buffer, dtype="float32")
    return resample(decoded, decoded_rate, rate)[: len(waveform)]


def resample(waveform: Waveform, rate_in: int, rate_out: int) -> Waveform:
    """Resample with soxr HQ; the same array when the rates agree."""
    if rate_in == rate_out:
        return waveform
    return cast(Waveform, soxr.resample(waveform, rate_in, rate_out, quality="HQ"))


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
    """Telephone band, 8 kHz, most often through a coder that telephony has (`TELEPHONE_CODERS`)."""
    narrow = resample(high_pass(waveform, rng), SAMPLE_RATE, TELEPHONE_RATE)
    if rng.random() < 0.75:
        container, coder = TELEPHONE_CODERS[int(rng.integers(len(TELEPHONE_CODERS)))]
        narrow = lossy_round_trip(narrow, container, coder, TELEPHONE_RATE)
    # Coders in blocks give back a little more or less.
    wide = resample(narrow, TELEPHONE_RATE, SAMPLE_RATE)[: len(waveform)]
    return np.pad(wide, (0, len(waveform) - len(wide)))


def other_rate(waveform: Waveform, rng: np.random.Generator) -> Waveform:
    """A trip through another sample rate and back."""
    rate = int(rng.choice([11_025, 12_000, 22_050, 24_000, 32_000, 44_100, 48_000]))
    there = resample(waveform, SAMPLE_RATE, rate)
    return resample(there, rate, SAMPLE_RATE)[: len(waveform)]


def mp3(waveform: Waveform, rng: np.random.Generator) -> Waveform:
    """MP3, from about 24 to 160 kbit/s."""
    level = rng.uniform(0.0, 0.9)
    return lossy_round_trip(
        waveform, "MP3", "MPEG_LAYER_III", compression_level=level, bitrate_mode="CONSTANT"
    )


def vorbis(waveform: Waveform, rng: np.random.Generator) -> Waveform:
    """Ogg Vorbis."""
    return lossy_round_trip(waveform, "OGG", "VORBIS", compression_level=rng.uniform(0.0, 0.9))


def opus(waveform: Waveform, rng: np.random.Generator) -> Waveform:
    """Opus, from about 16 to 100 kbit/s."""
    return lossy_round_trip(waveform, "OGG", "OPUS", compression_level=rng.uniform(0.6, 0.96))


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
    (telephone, 0.12),
    (low_pass, 0.25),
    (quantise, 0.12),
)
#: At most one of these is applied, after the chain.
STORAGE: Final[tuple[tuple[Step, float], ...]] = ((mp3, 0.12), (vorbis, 0.05), (opus, 0.16))


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
        draw = rng.random()
        for step, probability in STORAGE:
            if draw < probability:
                return step(waveform, rng)
            draw -= probability
        return waveform


def _rms(waveform: Waveform) -> float:
    return float(np.sqrt(np.mean(np.square(waveform, dtype=np.float64)))) + 1e-9


def _float32(values: NDArray[Any]) -> Waveform:
    return values.astype(np.float32)
