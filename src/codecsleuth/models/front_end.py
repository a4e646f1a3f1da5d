"""Fixed statistics of a waveform that keep a codec's trace and drop who speaks, where, and what.

A neural codec leaves its trace in four places, all of which survive averaging over time:

- at fixed frequencies: the comb of upsampling by transposed convolutions or by an inverse
  transform. Long-term log magnitudes, the running median over frequency taken away (``fine``).
- in how levels of coarse bands spread and move from frame to frame (``coarse``, ``memory``).
- in how bands move together, since one latent vector drives them all (``agreement``).
- at the codec's frame rate: a decoder is a periodically time-varying system, so that the envelope
  of its output is modulated at multiples of the frame rate, from 12.5 to 100 Hz for the codecs of
  the catalogue (``modulation``, ``lines``, ``combs``). This is the cyclostationarity that Gardner
  ("Exploitation of spectral redundancy in cyclostationary signals", 1991) measures.

Everything is computed for each clip of a batch alone and from its level-normalised samples.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import torch
from torch import Tensor, nn
from torch.nn import functional
from torchaudio import transforms

from codecsleuth.models.statistics import (
    FrameSets,
    box_mean,
    box_means,
    deviation,
    masked_mean,
    masked_means,
    mean_change,
    power_of,
    quantiles,
    running_median,
)

SAMPLE_RATE: Final = 16_000

FINE_FFT: Final = 2_048
FINE_HOP: Final = 512
FINE_BINS: Final = FINE_FFT // 2

BAND_FFT: Final = 512
BAND_HOP: Final = 80
BANDS: Final = 64
WIDE_BANDS: Final = 32
MODULATION_BANDS: Final = 16
MODULATION_FRAMES: Final = 256
LEVEL_LAGS: Final = (1, 2, 4, 8)
MEMORY_LAGS: Final = 16

FLOOR: Final = 1e-5

#: Length that the cyclic analysis uses; bins of 0.25 Hz.
CYCLE_SAMPLES: Final = 4 * SAMPLE_RATE
CYCLE_BINS_PER_HZ: Final = CYCLE_SAMPLES // SAMPLE_RATE
CYCLE_BANDS: Final = 6
CYCLE_BAND_HZ: Final = 1_250
BROAD_HZ: Final = (200, 7_800)
#: Sampling rate of the broad band's envelope, in hertz.
BROAD_RATE: Final = 8_000
#: Frame rates in hertz and their common subdivisions, from 16, 22.05, 24, 44.1 and 48 kHz codecs.
FRAME_RATES: Final = (
    *(12.5, 25.0, 37.5, 50.0, 62.5, 75.0, 80.0, 40.0, 86.1328, 43.0664, 21.5332, 93.75, 46.875),
    *(31.25, 15.625, 100.0, 125.0, 150.0, 160.0, 200.0, 250.0, 300.0, 400.0, 40 / 3, 80 / 3),
    *(160 / 3, 200 / 3, 120.0, 18.75, 172.266),
)
#: Cyclic frequencies whose own strength is kept: multiples of each, up to 1,000 Hz.
LINE_SPACINGS: Final = (12.5, 21.5332, 15.625, 40 / 3)
BROAD_LINE_SPACING: Final = 50.0
BROAD_LINE_TOP: Final = 3_900.0
COMB_EDGES: Final = (310.0, 1_000.0)


@dataclass(frozen=True)
class Block:
    """A block of the feature vector: ``(channels, width)`` values."""

    channels: int
    width: int

    @property
    def size(self) -> int:
        """Values in all."""
        return self.channels * self.width


def multiples(spacing: float, top: float, bottom: float = 0.0) -> list[float]:
    """Multiples of a cyclic frequency within limits, in hertz."""
    counts = range(1, int(top / spacing) + 1)
    return [spacing * count for count in counts if spacing * count >= bottom]


_LINES: Final = [line for spacing in LINE_SPACINGS for line in multiples(spacing, COMB_EDGES[1])]
_BROAD_LINES: Final = multiples(BROAD_LINE_SPACING, BROAD_LINE_TOP)
#: Harmonics of each frame rate in a low and a high range; a range may be empty.
COMBS: Final = [
    harmonics
    for rate in FRAME_RATES
    for harmonics in (
        multiples(rate, COMB_EDGES[0]),
        multiples(rate, COMB_EDGES[1], COMB_EDGES[0]),
    )
    if harmonics
]

#: The feature vector, in order.
BLOCKS: Final[dict[str, Block]] = {
    "fine": Block(13, FINE_BINS),
    "envelope": Block(13, FINE_BINS // 8),
    "coarse": Block(13, BANDS),
    "agreement": Block(2, WIDE_BANDS * WIDE_BANDS),
    "memory": Block(2 * MEMORY_LAGS, WIDE_BANDS),
    "modulation": Block(MODULATION_BANDS, MODULATION_FRAMES // 2),
    "lines": Block(1, len(_LINES) + len(_BROAD_LINES)),
    "combs": Block(5, len(COMBS)),
}
WIDTH: Final = sum(block.size for block in BLOCKS.values())


class FrontEnd(nn.Module):
    """Waveforms to the feature vector that `BLOCKS` describes; nothing in it is learned."""

    def __init__(self) -> None:
        super().__init__()
        self.fine = transforms.Spectrogram(FINE_FFT, hop_length=FINE_HOP, power=None, center=False)
        self.bands = transforms.Spectrogram(BAND_FFT, hop_length=BAND_HOP, power=None, center=False)
        for name, values in (
            ("triangles", _triangles(BANDS, BAND_FFT // 2 + 1)),
            ("modulation_window", torch.hann_window(MODULATION_FRAMES)),
            ("comb_weights", _comb_weights()),
            ("line_bins", _bins(_LINES)),
            ("broad_line_bins", _bins(_BROAD_LINES)),
        ):
            self.register_buffer(name, values, persistent=False)
        self.triangles: Tensor
        self.modulation_window: Tensor
        self.comb_weights: Tensor
        self.line_bins: Tensor
        self.broad_line_bins: Tensor

    @torch.no_grad()
    def forward(self, waveforms: Tensor) -> Tensor:
        """Float32 ``(batch, samples)`` at 16 kHz, 64,000 samples or more, to ``(batch, WIDTH)``."""
        if waveforms.device.type == "cpu":
            # One clip fits the cache, and gets the same answer to the last bit in every company.
            return torch.cat([self._features(waveform[None]) for waveform in waveforms])
        return self._features(waveforms)

    def _features(self, waveforms: Tensor) -> Tensor:
        level = waveforms.square().mean(dim=1, keepdim=True).sqrt()
        scaled = waveforms / (level + 1e-9)
        blocks = self._fine_blocks(scaled) | self._band_blocks(scaled) | self._cycle_blocks(scaled)
        return torch.cat([blocks[name].flatten(1) for name in BLOCKS], dim=1)

    def _fine_blocks(self, waveforms: Tensor) -> dict[str, Tensor]:
        spectrum = self.fine(waveforms)
        power = power_of(spectrum)
        phases = _phase_statistics(spectrum[:, 1:], power[:, 1:])
        statistics = torch.cat([_level_statistics(power), phases], dim=1)
        envelope = functional.avg_pool1d(statistics, 8)
        return {"fine": statistics - running_median(statistics), "envelope": envelope}

    def _band_blocks(self, waveforms: Tensor) -> dict[str, Tensor]:
        power = power_of(self.bands(waveforms))
        levels = torch.log(self.triangles @ power + FLOOR)
        frames = FrameSets.of(power, loud=0.6, quiet=0.3)
        centred = (levels - masked_mean(levels, frames.sound)[..., None]) * frames.sound[:, None]
        wide = _unit(_merge(centred, WIDE_BANDS))
        change = _unit(wide.diff(dim=-1))
        coarse = [_band_statistics(levels, frames), _bin_statistics(power, frames)]
        return {
            "coarse": torch.cat(coarse, dim=1),
            "agreement": torch.stack([_agreement(wide), _agreement(change)], dim=1),
            "memory": torch.cat([_memory(wide), _memory(change)], dim=1),
            "modulation": self._modulation(centred),
        }

    def _modulation(self, centred: Tensor) -> Tensor:
        """Log modulation spectrum of 16 bands up to 100 Hz, ``(batch, bands, 128)``."""
        merged = _merge(centred, MODULATION_BANDS)
        pieces = merged.unfold(-1, MODULATION_FRAMES, MODULATION_FRAMES // 2)
        pieces = (pieces - pieces.mean(dim=-1, keepdim=True)) * self.modulation_window
        magnitude = torch.fft.rfft(pieces).abs()
        return torch.log(magnitude + 1e-2).mean(dim=2)[..., 1:]

    def _cycle_blocks(self, waveforms: Tensor) -> dict[str, Tensor]:
        whitened = _whitened(waveforms[:, :CYCLE_SAMPLES])
        narrow = _cyclic_spectrum(_narrow_bands(whitened), CYCLE_BAND_HZ * 2)
        broad = _cyclic_spectrum(_broad_band(whitened), BROAD_RATE)[:, 0]
        mean = narrow.mean(dim=1)
        pairs = _merge(narrow, CYCLE_BANDS // 2)
        top = self.comb_weights.shape[1]
        groups = torch.cat([mean[:, None], pairs, broad[:, None, : mean.shape[-1]]], dim=1)
        combs = torch.log(groups[..., :top] @ self.comb_weights.T)
        lines = torch.cat([mean[:, self.line_bins], broad[:, self.broad_line_bins]], dim=1)
        return {"lines": torch.log(lines + 0.05), "combs": combs}


def _level_statistics(power: Tensor) -> Tensor:
    """Nine statistics over time of the log power of each bin, ``(batch, 9, bins)``."""
    frames = FrameSets.of(power, loud=0.6, quiet=0.3)
    power = power[:, 1:]
    levels = torch.log(power + FLOOR)
    means = masked_means(levels, frames.loud, frames.middle, frames.quiet, frames.sound)
    low, high = quantiles(levels, (0.05, 0.95))
    statistics = [
        *(means, deviation(levels, means[:, 3], frames.sound)[:, None]),
        *(mean_change(levels, 1)[:, None], torch.log(masked_means(power, frames.sound) + FLOOR)),
        *(low[:, None], high[:, None]),
    ]
    return torch.cat(statistics, dim=1)


def _phase_statistics(spectrum: Tensor, power: Tensor) -> Tensor:
    """How steadily phases go on in time and over frequency, ``(batch, 4, bins)``."""
    unit = spectrum / (power.sqrt() + 1e-4)
    advance = unit[..., 1:] * unit[..., :-1].conj()
    acceleration = advance[..., 1:] * advance[..., :-1].conj()
    slope = unit[:, 1:] * unit[:, :-1].conj()
    curve = (slope[:, 1:] * slope[:, :-1].conj()).mean(dim=-1)
    curve = functional.pad(curve, (1, 1))
    statistics = [acceleration.mean(dim=-1).abs(), advance.mean(dim=-1).abs()]
    return 4.0 * torch.stack([*statistics, curve.real, curve.imag], dim=1)


def _band_statistics(levels: Tensor, frames: FrameSets) -> Tensor:
    """Ten statistics of the log level of each band, ``(batch, 10, bands)``."""
    means = masked_means(levels, frames.loud, frames.quiet, frames.sound)
    mean = means[:, 2]
    spread = deviation(levels, mean, frames.sound)
    scaled = (levels - mean[..., None]) / (spread[..., None] + 1e-3)
    statistics = [
        *(means, spread[:, None]),
        *(mean_change(levels, lag)[:, None] for lag in LEVEL_LAGS),
        levels.diff(n=2, dim=-1).abs().mean(dim=-1)[:, None],
        masked_mean(scaled**3, frames.sound).clamp(-5.0, 5.0)[:, None],
    ]
    return torch.cat(statistics, dim=1)


def _bin_statistics(power: Tensor, frames: FrameSets) -> Tensor:
    """Tonality, roughness over frequency, and change over time, ``(batch, 3, bands)``."""
    power = power[:, 1:]
    levels = torch.log(power + FLOOR)
    tonality = torch.log(masked_mean(power, frames.sound) + FLOOR)
    tonality = tonality - masked_mean(levels, frames.sound)
    rough = levels - _mean_of_nine_bins(levels)
    roughness = masked_mean(rough.square_(), frames.sound).sqrt()
    statistics = torch.stack([tonality, roughness, mean_change(levels, 1)], dim=1)
    return functional.avg_pool1d(statistics, statistics.shape[-1] // BANDS)


def _mean_of_nine_bins(levels: Tensor) -> Tensor:
    """Mean over nine bins of ``(batch, bins, frames)``, with zeros beyond the ends."""
    padded = functional.pad(levels, (0, 0, 4, 4))
    threes = padded[:, :-2] + padded[:, 1:-1] + padded[:, 2:]
    return (threes[:, :-6] + threes[:, 3:-3] + threes[:, 6:]) / 9


def _merge(values: Tensor, bands: int) -> Tensor:
    """Average neighbouring bands, ``(batch, more bands, frames)`` to ``(batch, bands, frames)``."""
    batch, before, frames = values.shape
    return values.reshape(batch, bands, before // bands, frames).mean(dim=2)


def _unit(values: Tensor) -> Tensor:
    """Scale each band to unit power over time."""
    return values / (values.square().mean(dim=-1, keepdim=True).sqrt() + 1e-3)


def _agreement(bands: Tensor) -> Tensor:
    """Correlation of every band with every other, ``(batch, bands * bands)``."""
    return ((bands @ bands.transpose(1, 2)) / bands.shape[-1]).flatten(1)


def _memory(bands: Tensor) -> Tensor:
    """Correlation of every band with itself a few frames later, ``(batch, lags, bands)``."""
    length = bands.shape[-1]
    lagged = [
        (bands[..., lag:] * bands[..., : length - lag]).sum(dim=-1) / length
        for lag in range(1, MEMORY_LAGS + 1)
    ]
    return torch.stack(lagged, dim=1)


def _whitened(waveforms: Tensor) -> Tensor:
    """Spectrum ``(batch, 32,000)`` of 4 s in bins of 0.25 Hz, its envelope taken away."""
    spectrum: Tensor = torch.fft.rfft(waveforms)[:, : CYCLE_SAMPLES // 2]
    magnitude = power_of(spectrum).sqrt()
    return torch.div(spectrum, box_mean(magnitude, 801) + 1e-9)


def _narrow_bands(whitened: Tensor) -> Tensor:
    """Squared envelopes of bands of 1,250 Hz, sampled at twice that rate."""
    width = CYCLE_BAND_HZ * CYCLE_BINS_PER_HZ
    bands = whitened[:, : CYCLE_BANDS * width].reshape(-1, CYCLE_BANDS, width)
    return power_of(torch.fft.ifft(bands, n=2 * width, norm="forward"))


def _broad_band(whitened: Tensor) -> Tensor:
    """Squared envelope of nearly the whole band."""
    low, high = (edge * CYCLE_BINS_PER_HZ for edge in BROAD_HZ)
    length = BROAD_RATE * CYCLE_BINS_PER_HZ
    return power_of(torch.fft.ifft(whitened[:, None, low:high], n=length, norm="forward"))


def _cyclic_spectrum(envelopes: Tensor, rate: int) -> Tensor:
    """Power of the envelope within half a hertz, over that within 20 Hz around.

    The envelope is levelled over 0.1 s first, so that loud syllables do not decide.

    Args:
        envelopes: ``(batch, bands, samples)``.
        rate: their sampling rate in hertz.

    Returns:
        ``(batch, bands, bins)`` in bins of 0.25 Hz; 1 where nothing stands out.
    """
    levelled = torch.log(envelopes / (box_mean(envelopes, rate // 10 + 1) + 1e-12) + 1e-3)
    levelled = levelled - levelled.mean(dim=-1, keepdim=True)
    window = torch.hann_window(levelled.shape[-1], device=levelled.device)
    power = power_of(torch.fft.rfft(levelled * window))
    near, around = box_means(power, 5, 161)
    return near / (around + 1e-9)


def _bins(frequencies: list[float]) -> Tensor:
    return torch.tensor([round(frequency * CYCLE_BINS_PER_HZ) for frequency in frequencies])


def _comb_weights() -> Tensor:
    """Averages over the harmonics of each frame rate, ``(combs, bins)``."""
    weights = torch.zeros(len(COMBS), int(COMB_EDGES[1]) * CYCLE_BINS_PER_HZ + 8)
    for row, harmonics in enumerate(COMBS):
        weights[row, _bins(harmonics)] = 1.0 / len(harmonics)
    return weights


def _triangles(bands: int, bins: int) -> Tensor:
    """Overlapping triangular averages, evenly spaced over the bins, ``(bands, bins)``."""
    centres = torch.linspace(0.0, bins - 1.0, bands + 2)
    places = torch.arange(bins).float()
    rising = (places - centres[:-2, None]) / (centres[1:-1] - centres[:-2])[:, None]
    falling = (centres[2:, None] - places) / (centres[2:] - centres[1:-1])[:, None]
    weights = torch.minimum(rising, falling).clamp(min=0.0)
    return weights / weights.sum(dim=1, keepdim=True)


def cyclic_spectrum(waveforms: Tensor) -> Tensor:
    """Cyclic spectrum of the narrow bands together, as `FrontEnd` measures it.

    Args:
        waveforms: ``(batch, CYCLE_SAMPLES or more)`` at 16 kHz.

    Returns:
        ``(batch, bins)`` in bins of 0.25 Hz; 1 where nothing stands out.
    """
    envelopes = _narrow_bands(_whitened(waveforms[:, :CYCLE_SAMPLES]))
    return _cyclic_spectrum(envelopes, CYCLE_BAND_HZ * 2).mean(dim=1)
