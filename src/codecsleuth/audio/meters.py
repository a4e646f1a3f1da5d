"""Meters: each takes blocks of a recording as they pass, and holds one kind of measurement."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from codecsleuth.arrays import FloatArray, Samples
from codecsleuth.errors import AudioError

FULL_SCALE: Final = 0.999
#: Bands of the long-term spectrum, in hertz.
BAND_HZ: Final = 100.0
#: Frames of the long-term spectrum are this long.
_FRAME_S: Final = 0.032
#: Frames of the level statistics are this long.
LEVEL_S: Final = 0.02
_FLOOR: Final = 1e-14


class LevelMeter:
    """Counts frames and measures levels of ``(frames, channels)`` blocks."""

    def __init__(self, sample_rate: int) -> None:
        self._sample_rate = sample_rate
        self.frames = 0
        self.peak = 0.0
        self.full_scale = 0

    def add(self, block: Samples) -> None:
        """Take a block.

        Raises:
            AudioError: a sample is not a finite number.
        """
        magnitude = np.abs(block)
        peak = float(magnitude.max(initial=0.0))
        if not np.isfinite(peak):
            frame = self.frames + int(np.argmin(np.isfinite(block).all(axis=1)))
            raise AudioError(
                "not_finite",
                f"the sample at {frame / self._sample_rate:.3f} s is not a finite number",
            )
        self.peak = max(self.peak, peak)
        self.full_scale += int(np.count_nonzero(magnitude >= FULL_SCALE))
        self.frames += len(block)


class ChannelMeter:
    """How unlike the channels of ``(frames, channels)`` blocks are."""

    def __init__(self) -> None:
        self._total = 0.0
        self._apart = 0.0

    def add(self, block: Samples) -> None:
        """Take a block."""
        if block.shape[1] < 2:
            return
        wide = block.astype(np.float64)
        apart = wide - wide.mean(axis=1, keepdims=True)
        self._total += float(np.square(wide).sum())
        self._apart += float(np.square(apart).sum())

    @property
    def difference(self) -> float:
        """Share of the power that the mean of the channels does not have, 0 to 1."""
        return self._apart / self._total if self._total > 0 else 0.0


class SpectrumMeter:
    """Long-term power spectrum of mono blocks ``(samples,)`` at the stored rate."""

    def __init__(self, sample_rate: int) -> None:
        self._rate = sample_rate
        self._size = 2 * round(_FRAME_S * sample_rate / 2)
        self._window = np.hanning(self._size + 1)[:-1]
        self._held = np.zeros(0, np.float32)
        self._power = np.zeros(self._size // 2 + 1)

    def add(self, block: Samples) -> None:
        """Take a block."""
        held = np.concatenate([self._held, block])
        count = len(held) // self._size
        frames = held[: count * self._size].reshape(count, self._size)
        self._held = held[count * self._size :]
        if count:
            spectrum = np.fft.rfft(frames * self._window, axis=1)
            self._power += (spectrum.real**2 + spectrum.imag**2).sum(axis=0)

    def bands(self) -> FloatArray:
        """Level of each band of `BAND_HZ` up to half the rate, in dB below the loudest."""
        frequencies = np.arange(len(self._power)) * self._rate / self._size
        places = (frequencies // BAND_HZ).astype(np.int64)
        counts = np.maximum(np.bincount(places), 1)
        levels = 10 * np.log10(np.bincount(places, self._power) / counts + _FLOOR)
        levels[np.bincount(places) == 0] = levels.min()
        whole = int(self._rate / 2 // BAND_HZ)
        loudest: FloatArray = levels[:whole] - levels[:whole].max()
        return loudest


@dataclass(frozen=True)
class Edge:
    """Where a recording's spectrum ends below what its sample rate could hold.

    Attributes:
        frequency: in hertz.
        drop: by how many dB the level falls there.
    """

    frequency: float
    drop: float


def band_edge(levels: FloatArray) -> Edge | None:
    """The highest frequency at which a spectrum falls off a cliff, with nothing of note above.

    Speech grows weaker with frequency too, but by a few dB in 500 Hz; a resampler or a coder takes
    everything above a frequency away.

    Args:
        levels: as `SpectrumMeter.bands` gives them.

    Returns:
        None if the spectrum goes on to the top.
    """
    reach, margin = 5, 2
    best: Edge | None = None
    for place in range(10, len(levels) - margin):
        below = levels[place - reach : place].mean()
        above = levels[place + margin : place + margin + reach].mean()
        drop = float(below - above)
        quiet = levels[place + margin :].max() < below - _CLIFF_DB
        if quiet and drop >= _CLIFF_DB and (best is None or drop > best.drop):
            best = Edge((place + margin / 2) * BAND_HZ, drop)
    return best


#: Fall of the level within a few hundred hertz from which it is a cliff, in dB.
_CLIFF_DB: Final = 15.0


class ActivityMeter:
    """Levels of 20 ms frames of 16 kHz mono blocks, to be split into speech and pauses."""

    def __init__(self, rate: int) -> None:
        self._size = round(LEVEL_S * rate)
        self._held = np.zeros(0, np.float32)
        self._power: list[FloatArray] = []

    def add(self, block: Samples) -> None:
        """Take a block ``(samples,)``."""
        held = np.concatenate([self._held, block])
        count = len(held) // self._size
        frames = held[: count * self._size].reshape(count, self._size).astype(np.float64)
        self._held = held[count * self._size :]
        if count:
            self._power.append(np.square(frames - frames.mean(axis=1, keepdims=True)).mean(axis=1))

    def levels(self, speech: tuple[tuple[float, float], ...]) -> Activity:
        """Levels inside and outside passages of speech.

        Args:
            speech: start and end of each in seconds.
        """
        power = np.concatenate(self._power) if self._power else np.zeros(1)
        times = (np.arange(len(power)) + 0.5) * LEVEL_S
        inside = np.zeros(len(power), dtype=bool)
        for start, end in speech:
            inside |= (times >= start) & (times < end)
        loud = float(power[inside].mean()) if inside.any() else float(power.mean())
        # The quietest tenth stands for the noise: pauses where there are any, else the gaps between
        # syllables.
        quiet = float(np.sort(power)[: max(1, len(power) // 10)].mean())
        return Activity(_decibels(loud), _decibels(loud) - _decibels(quiet))


@dataclass(frozen=True)
class Activity:
    """Levels of speech and of what is around it.

    Attributes:
        speech_level: mean level of the speech, in dB below full scale.
        range: of the speech above the quietest tenth of the recording, in dB.
    """

    speech_level: float
    range: float


def _decibels(power: float) -> float:
    return float(10 * np.log10(power + _FLOOR))
