"""RawBoost: noise of telephony made from the waveform alone.

Tak et al., "RawBoost: A raw data boosting and augmentation method applied to automatic speaker
verification anti-spoofing", ICASSP 2022 (arXiv 2111.04433). Filtering is by fast convolution in
blocks, all orders of the non-linearity at once.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from codecsleuth.audio.windows import SAMPLE_RATE
from codecsleuth.augment.channels import Waveform
from codecsleuth.errors import UsageError

_PARALLEL: Final = 8
#: Kinds of noise of each algorithm, one after the other; in algorithm 8 side by side.
ALGORITHMS: Final[Mapping[int, tuple[str, ...]]] = {
    0: (),
    1: ("convolutive",),
    2: ("impulsive",),
    3: ("stationary",),
    4: ("convolutive", "impulsive", "stationary"),
    5: ("convolutive", "impulsive"),
    6: ("convolutive", "stationary"),
    7: ("impulsive", "stationary"),
    _PARALLEL: ("convolutive", "impulsive"),
}


@dataclass(frozen=True)
class RawBoost:
    """One of the algorithms 0 (none) to 8, with the parameters of the paper's section 3.

    Attributes:
        algorithm: key of `ALGORITHMS`.
        orders: powers of the signal that are summed, N_f.
        notches: notch filters in series for each power.
        frequency: range of a notch's centre, Hz.
        bandwidth: range of its width, Hz.
        taps: range of the coefficients of one notch filter; an even number has one more.
        gain_db: range of the largest gain over frequency.
        bias_db: range that the gain of the powers from the second on is lower by.
        impulses: percentage of the samples that impulsive noise falls on, at most.
        impulse_gain: its strength relative to the sample, at most; g_sd.
        snr_db: range of the ratio of signal to stationary noise.
    """

    algorithm: int = 5
    orders: int = 5
    notches: int = 5
    frequency: tuple[float, float] = (20.0, 8_000.0)
    bandwidth: tuple[float, float] = (100.0, 1_000.0)
    taps: tuple[int, int] = (10, 100)
    gain_db: tuple[float, float] = (0.0, 0.0)
    bias_db: tuple[float, float] = (5.0, 20.0)
    impulses: float = 10.0
    impulse_gain: float = 2.0
    snr_db: tuple[float, float] = (10.0, 40.0)

    def __post_init__(self) -> None:
        """Refuse an algorithm that is not one.

        Raises:
            UsageError: with what is wrong.
        """
        if self.algorithm not in ALGORITHMS:
            raise UsageError(f"RawBoost has the algorithms 0 to 8, not {self.algorithm}")

    def __call__(self, waveform: Waveform, rng: np.random.Generator) -> Waveform:
        """Float32 ``(samples,)`` at 16 kHz to the same length; same generator state, same result.

        Where a sample comes out beyond full scale, the whole is scaled down to it.
        """
        kinds = ALGORITHMS[self.algorithm]
        if self.algorithm == _PARALLEL:
            return _to_full_scale(sum(getattr(self, kind)(waveform, rng) for kind in kinds))
        for kind in kinds:
            waveform = getattr(self, kind)(waveform, rng)
        return waveform

    def convolutive(self, waveform: Waveform, rng: np.random.Generator) -> Waveform:
        """Linear and non-linear convolutive noise: the sum of filtered powers of the signal."""
        gains_db = rng.uniform(*self.gain_db, self.orders)
        gains_db[1:] -= rng.uniform(*self.bias_db, self.orders - 1)
        kernels = self._notch_kernels(self.orders, rng)
        powers = np.multiply.accumulate(np.broadcast_to(waveform, (self.orders, len(waveform))))
        filtered = _filter_and_sum(powers, kernels, 10.0 ** (gains_db / 20.0))
        return _to_full_scale(filtered - filtered.mean())

    def impulsive(self, waveform: Waveform, rng: np.random.Generator) -> Waveform:
        """Impulsive noise in proportion to the samples it falls on.

        Its factor is a product of two numbers drawn evenly from -1 to 1.
        """
        count = int(len(waveform) * rng.uniform(0.0, self.impulses) / 100.0)
        hit = rng.choice(len(waveform), count, replace=False, shuffle=False)
        factor = rng.uniform(-1.0, 1.0, (2, count)).prod(axis=0)
        noisy = waveform.copy()
        noisy[hit] *= (1.0 + self.impulse_gain * factor).astype(np.float32)
        return _to_full_scale(noisy)

    def stationary(self, waveform: Waveform, rng: np.random.Generator) -> Waveform:
        """Coloured noise at a random ratio to the signal."""
        white = rng.standard_normal((1, len(waveform)), dtype=np.float32)
        noise = _filter_and_sum(white, self._notch_kernels(1, rng), np.ones(1))
        ratio = 10.0 ** (-rng.uniform(*self.snr_db) / 20.0)
        noise *= ratio * float(np.linalg.norm(waveform) / np.linalg.norm(noise))
        return _to_full_scale(waveform + noise)

    def _notch_kernels(self, count: int, rng: np.random.Generator) -> NDArray[np.float64]:
        """Zero-phase kernels of notch filters in series, ``(count, odd length)``.

        Each filter is the ideal band-stop filter's impulse response under a Hamming window.
        """
        shape = (count, self.notches, 1)
        centre = rng.uniform(*self.frequency, shape)
        width = rng.uniform(*self.bandwidth, shape)
        reach = rng.integers(self.taps[0], self.taps[1], shape, endpoint=True) // 2
        low = np.maximum(centre - width / 2, 0.0) * 2 / SAMPLE_RATE
        high = np.minimum(centre + width / 2, SAMPLE_RATE / 2) * 2 / SAMPLE_RATE
        time = np.arange(-(self.taps[1] // 2), self.taps[1] // 2 + 1)
        band = high * np.sinc(high * time) - low * np.sinc(low * time)
        window = 0.54 + 0.46 * np.cos(np.pi * time / reach)
        notch = ((time == 0) - band) * window * (np.abs(time) <= reach)
        length = self.notches * (len(time) - 1) + 1
        spectra = np.fft.rfft(notch, length).prod(axis=1)
        return np.fft.irfft(spectra, length)


def _filter_and_sum(
    signals: Waveform, kernels: NDArray[np.float64], gains: NDArray[np.float64]
) -> Waveform:
    """Filter each signal by its kernel, scaled to a largest gain over frequency, and add up.

    Args:
        signals: ``(signals, samples)``.
        kernels: ``(signals, odd length)``, their time 0 in the middle.
        gains: ``(signals,)``.

    Returns:
        ``(samples,)``, not delayed.
    """
    samples, reach = signals.shape[1], kernels.shape[1] // 2
    block = 1 << (16 * reach).bit_length()
    hop = block - 2 * reach
    frames = -(-samples // hop)
    # A block's middle is free of what wraps around its ends.
    padded = np.pad(signals, ((0, 0), (reach, frames * hop - samples + reach)))
    spectra = np.fft.rfft(sliding_window_view(padded, block, axis=1)[:, ::hop])
    centred = np.roll(np.pad(kernels, ((0, 0), (0, block - kernels.shape[1]))), -reach, axis=1)
    responses = np.fft.rfft(centred)
    responses *= (gains / np.abs(responses).max(axis=1))[:, None]
    summed = np.einsum("sfb,sb->fb", spectra, responses.astype(spectra.dtype))
    return np.fft.irfft(summed)[:, reach : block - reach].reshape(-1)[:samples].astype(np.float32)


def _to_full_scale(waveform: Waveform) -> Waveform:
    scaled: Waveform = waveform / max(np.float32(1.0), np.abs(waveform).max())
    return scaled
