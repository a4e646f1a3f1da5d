"""What a page shows of a recording: spectrogram, fine spectrum and cyclic spectrum.

A recording is read a second time for them, block by block: memory does not grow with its length.
The two spectra are the statistics of `codecsleuth.models.front_end` that people can read: lines at
fixed frequencies, and modulation at a codec's frame rate (cyclostationarity, Gardner 1991).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final, cast

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from codecsleuth.arrays import LN10, FloatArray, IntArray, Samples
from codecsleuth.audio.windows import MIN_SAMPLES, SAMPLE_RATE
from codecsleuth.inference.compute import one_thread
from codecsleuth.models.front_end import (
    CYCLE_BINS_PER_HZ,
    CYCLE_SAMPLES,
    FINE_FFT,
    FINE_HOP,
    FLOOR,
    FRAME_RATES,
    cyclic_spectrum,
)
from codecsleuth.models.statistics import running_median
from codecsleuth.taxonomy import families_by_frame_rate

Span = tuple[float, float]

#: Size of a spectrogram at most, and its grey levels over the range of levels shown.
COLUMNS: Final = 600
ROWS: Final = 96
GREYS: Final = 16
_RANGE_DB: Final = 70.0
_FFT: Final = 512
_HOPS: Final = (80, 512)
#: The spectra are averaged over at most so many blocks of 4 s, evenly spread.
_BLOCKS: Final = 64
_BLOCK_HOP: Final = CYCLE_SAMPLES // 2
_BLOCK_S: Final = CYCLE_SAMPLES / SAMPLE_RATE
FINE_BIN_HZ: Final = SAMPLE_RATE / FINE_FFT
#: A line of the fine spectrum stands out by so many dB and robust standard deviations.
_LINE_DB: Final = 4.0
_LINE_DEVIATIONS: Final = 8.0
#: Voices have lines of their own below this.
LINES_FROM_HZ: Final = 1_500.0
_LINES: Final = 8
#: Cyclic frequencies in hertz over which the harmonics of a frame rate are added up.
_CYCLIC_HZ: Final = (10.0, 1_000.0)
#: No single harmonic counts for more than this many robust standard deviations.
_HARMONIC_LIMIT: Final = 30.0
#: Strength from which a frame rate is named; see `FrameRate`.
RATE_STRENGTH: Final = 8.0


@dataclass(frozen=True)
class Line:
    """A line of the fine spectrum: where, and by how much it stands out in dB."""

    frequency_hz: float
    height_db: float


@dataclass(frozen=True)
class FrameRate:
    """A frame rate at whose multiples the recording is modulated.

    Attributes:
        rate_hz: one of the catalogue's, or of those that the front end looks for.
        strength: its harmonics' sum in robust standard deviations, over the root of their number.
        families: codecs of the catalogue that have it; there may be none.
    """

    rate_hz: float
    strength: float
    families: tuple[str, ...]


@dataclass(frozen=True)
class Spectra:
    """What is drawn of one recording.

    Attributes:
        spectrogram: ``(ROWS, columns)`` of 0 (quiet) to ``GREYS - 1``, high frequencies first.
        fine_db: ``(FINE_FFT / 2,)`` levels over their running median, in bins of `FINE_BIN_HZ`.
        lines: those that stand out, the strongest first.
        cyclic: ``(bins,)`` in bins of 0.25 Hz; 1 where nothing stands out.
        frame_rate: the one that stands out; None if none does.
    """

    spectrogram: NDArray[np.uint8]
    fine_db: FloatArray
    lines: tuple[Line, ...]
    cyclic: FloatArray
    frame_rate: FrameRate | None


class SpectraMeter:
    """Takes a recording as blocks of 16 kHz mono."""

    def __init__(self, duration_s: float, spans: Sequence[Span] = ()) -> None:
        """Prepare.

        Args:
            duration_s: of what will come.
            spans: stretches, in seconds from its beginning, that the two spectra are of; by default
                all of it.
        """
        self._spectrogram = _SpectrogramMeter(max(1, round(duration_s * SAMPLE_RATE)))
        self._blocks = _BlockMeter(duration_s, spans)

    def add(self, block: Samples) -> None:
        """Take a block."""
        self._spectrogram.add(block)
        self._blocks.add(block)

    def spectra(self) -> Spectra | None:
        """What there is to draw; None of a recording without sound."""
        means = self._blocks.means()
        if means is None:
            return None
        fine, cyclic = means
        return Spectra(
            self._spectrogram.greys(), fine, fine_lines(fine), cyclic, frame_rate(cyclic)
        )


class _SpectrogramMeter:
    """Mean power per column and row."""

    def __init__(self, samples: int) -> None:
        self._samples = samples
        self._hop = min(_HOPS[1], max(_HOPS[0], samples // COLUMNS))
        self._columns = min(COLUMNS, max(1, samples // self._hop))
        self._power = np.zeros((self._columns, ROWS))
        self._counts = np.zeros(self._columns)
        self._held = np.zeros(0, np.float32)
        self._frames = 0
        self._window = np.hanning(_FFT).astype(np.float32)
        self._edges = np.linspace(1, _FFT // 2, ROWS + 1).astype(int)[:-1]

    def add(self, block: Samples) -> None:
        held = np.concatenate([self._held, block])
        count = max(0, (len(held) - _FFT) // self._hop + 1)
        if count:
            frames = sliding_window_view(held, _FFT)[:: self._hop][:count]
            self._add_frames(frames)
        self._held = held[count * self._hop :]

    def _add_frames(self, frames: Samples) -> None:
        power = np.square(np.abs(np.fft.rfft(frames * self._window)))
        sizes = np.diff([*self._edges, _FFT // 2 + 1])
        rows = np.add.reduceat(power, self._edges, axis=1) / sizes
        starts = (self._frames + np.arange(len(frames))) * self._hop
        columns = np.minimum(starts * self._columns // self._samples, self._columns - 1)
        np.add.at(self._power, columns, rows)
        np.add.at(self._counts, columns, 1)
        self._frames += len(frames)

    def greys(self) -> NDArray[np.uint8]:
        last = int(np.flatnonzero(self._counts)[-1]) if self._counts.any() else 0
        power = self._power / np.maximum(self._counts, 1)[:, None]
        power[last + 1 :] = power[last]
        levels = 10 * np.log10(power + 1e-12)
        top = np.quantile(levels, 0.999)
        shares = np.clip((levels - top) / _RANGE_DB + 1, 0, 1)
        return cast(
            NDArray[np.uint8], np.round(shares * (GREYS - 1)).astype(np.uint8).T[::-1].copy()
        )


class _BlockMeter:
    """Means of the two spectra over blocks of 4 s."""

    def __init__(self, duration_s: float, spans: Sequence[Span]) -> None:
        length = sum(end - start for start, end in spans) or duration_s
        self._stride = max(1, -(-int(length * SAMPLE_RATE / _BLOCK_HOP) // _BLOCKS))
        self._spans = spans
        self._held = np.zeros(0, np.float32)
        self._place = self._wanted = self._count = 0
        self._fine = np.zeros(FINE_FFT // 2)
        self._cyclic = np.zeros(0)

    def add(self, block: Samples) -> None:
        self._held = np.concatenate([self._held, block])
        while len(self._held) >= CYCLE_SAMPLES:
            if self._wanted_at(self._place / SAMPLE_RATE):
                if self._wanted % self._stride == 0:
                    self._measure(self._held[:CYCLE_SAMPLES])
                self._wanted += 1
            self._held = self._held[_BLOCK_HOP:]
            self._place += _BLOCK_HOP

    def means(self) -> tuple[FloatArray, FloatArray] | None:
        if not self._count and len(self._held) >= MIN_SAMPLES:
            self._measure(np.resize(self._held, CYCLE_SAMPLES))
        if not self._count:
            return None
        return _without_envelope(self._fine / self._count), self._cyclic / self._count

    def _wanted_at(self, second: float) -> bool:
        return not self._spans or any(_covers(span, second) for span in self._spans)

    def _measure(self, samples: Samples) -> None:
        level = float(np.sqrt(np.mean(np.square(samples), dtype=np.float64)))
        if level < 1e-6:
            return
        fine, cyclic = _block_spectra(samples / np.float32(level))
        self._fine = self._fine + fine
        self._cyclic = cyclic if not self._count else self._cyclic + cyclic
        self._count += 1


def _covers(span: Span, second: float) -> bool:
    """Whether a block from there on lies in a span, or about in the middle of a shorter one."""
    start, end = span
    middle = second + _BLOCK_S / 2
    inside = start <= second and second + _BLOCK_S <= end
    return inside or abs(middle - (start + end) / 2) <= _BLOCK_S / 4


def _block_spectra(samples: Samples) -> tuple[FloatArray, FloatArray]:
    """Mean log power per bin, and the cyclic spectrum, of a level-normalised block."""
    import torch

    with torch.inference_mode(), one_thread():
        waveform = torch.from_numpy(np.array(samples))
        spectrum = torch.stft(
            waveform,
            FINE_FFT,
            FINE_HOP,
            window=torch.hann_window(FINE_FFT),
            center=False,
            return_complex=True,
        )
        levels = torch.log(spectrum[1:].abs().square() + FLOOR).mean(dim=-1)
        cyclic = cyclic_spectrum(waveform[None])[0]
        return levels.double().numpy(), cyclic.double().numpy()


def _without_envelope(levels: FloatArray) -> FloatArray:
    """Log power over its running median, in dB."""
    import torch

    smooth = running_median(torch.from_numpy(levels)[None, None])[0, 0].numpy()
    return cast(FloatArray, (levels - smooth) * 10 / LN10)


def fine_lines(fine_db: FloatArray) -> tuple[Line, ...]:
    """Lines at fixed frequencies, above those of voices, the strongest first."""
    first = int(LINES_FROM_HZ / FINE_BIN_HZ)
    deviation = robust_deviations(fine_db, fine_db[first:])
    places = [
        place
        for place in _peaks(fine_db)
        if place >= first and fine_db[place] >= _LINE_DB and deviation[place] >= _LINE_DEVIATIONS
    ]
    places.sort(key=lambda place: -fine_db[place])
    return tuple(
        Line((place + 1) * FINE_BIN_HZ, float(fine_db[place])) for place in places[:_LINES]
    )


def frame_rate(cyclic: FloatArray) -> FrameRate | None:
    """The frame rate whose multiples stand out most, if any does."""
    low, high = (int(edge * CYCLE_BINS_PER_HZ) for edge in _CYCLIC_HZ)
    deviations = np.minimum(robust_deviations(cyclic, cyclic[low:high]), _HARMONIC_LIMIT)
    known = {**dict.fromkeys(FRAME_RATES, ()), **families_by_frame_rate()}
    found = [
        FrameRate(rate, _strength(deviations, rate), families) for rate, families in known.items()
    ]
    best = max(found, key=lambda one: one.strength)
    return best if best.strength >= RATE_STRENGTH else None


def _strength(deviations: FloatArray, rate: float) -> float:
    values = deviations[_harmonics(rate)]
    return float(values.sum() / np.sqrt(len(values)))


def _harmonics(rate: float) -> IntArray:
    frequencies = rate * np.arange(1, int(_CYCLIC_HZ[1] / rate) + 1)
    kept = frequencies[frequencies >= _CYCLIC_HZ[0]]
    return cast(IntArray, np.round(kept * CYCLE_BINS_PER_HZ).astype(np.int64))


def robust_deviations(values: FloatArray, among: FloatArray) -> FloatArray:
    """Distance from a median in robust standard deviations (1.4826 median absolute deviations)."""
    middle = np.median(among)
    spread = 1.4826 * np.median(np.abs(among - middle))
    return np.asarray((values - middle) / max(float(spread), 1e-9))


def _peaks(values: FloatArray) -> Iterator[int]:
    """Places of local maxima."""
    inner = values[1:-1]
    yield from (np.flatnonzero((inner > values[:-2]) & (inner >= values[2:])) + 1).tolist()
