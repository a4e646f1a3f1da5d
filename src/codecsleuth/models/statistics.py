"""Statistics over frames and over neighbouring bins: what the front end is made of."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import torch
from torch import Tensor
from torch.nn import functional

#: Bins (of 7.8 Hz) of the running median that stands for the spectral envelope.
MEDIAN_BINS: Final = 31
#: Frames this far (natural log of power) below the loudest are taken for digital silence.
SILENCE: Final = 16.0


@dataclass(frozen=True)
class FrameSets:
    """Which frames count as what, each a 0/1 mask ``(batch, frames)``; chosen by rank of power.

    Attributes:
        sound: not digital silence.
        loud: the loudest.
        middle: between the others.
        quiet: the quietest that are not digital silence.
    """

    sound: Tensor
    loud: Tensor
    middle: Tensor
    quiet: Tensor

    @classmethod
    def of(cls, power: Tensor, loud: float, quiet: float) -> FrameSets:
        """Sort frames by ``(batch, bins, frames)`` power; ``loud`` and ``quiet`` are quantiles."""
        energy = torch.log(power.mean(dim=1) + 1e-7)
        sound = energy > energy.amax(dim=1, keepdim=True) - SILENCE
        order = energy.argsort(dim=1, stable=True).argsort(dim=1, stable=True)
        rank = order / max(energy.shape[1] - 1, 1)

        def chosen(wanted: Tensor) -> Tensor:
            mask = sound & wanted
            enough = mask.sum(dim=1, keepdim=True) >= 2
            return torch.where(enough, mask, sound).float()

        middle = (rank >= 0.25) & (rank < loud)
        return cls(sound.float(), chosen(rank >= loud), chosen(middle), chosen(rank < quiet))


def power_of(values: Tensor) -> Tensor:
    """Squared magnitude of complex values, without a root; same shape."""
    return values.real.square() + values.imag.square()


def masked_mean(values: Tensor, mask: Tensor) -> Tensor:
    """Mean of ``(batch, bins, frames)`` over the frames of ``(batch, frames)``."""
    return masked_means(values, mask)[:, 0]


def masked_means(values: Tensor, *masks: Tensor) -> Tensor:
    """Means of ``(batch, bins, frames)`` over each mask's frames, ``(batch, masks, bins)``."""
    weights = torch.stack(masks, dim=1)
    weights = weights / weights.sum(dim=-1, keepdim=True)
    return weights @ values.transpose(1, 2)


def running_median(values: Tensor, bins: int = MEDIAN_BINS) -> Tensor:
    """Median over the last axis's neighbourhood, the ends reflected; same shape.

    Neighbourhoods overlap, so that the sorted halves of all of them are made together, by merging
    networks (Batcher, "Sorting networks and their applications", 1968) that work on whole arrays.
    """
    padded = functional.pad(values, (bins // 2, bins // 2), mode="reflect")
    length, rank = values.shape[-1], bins // 2
    made: dict[int, list[Tensor]] = {1: [padded]}
    low = [row[..., :length] for row in _sorted_neighbourhoods(made, rank + 1)]
    high = [row[..., rank + 1 : rank + 1 + length] for row in _sorted_neighbourhoods(made, rank)]
    median = low[rank]
    for place in range(rank):
        median = torch.minimum(median, torch.maximum(low[place], high[rank - 1 - place]))
    return median


def _sorted_neighbourhoods(made: dict[int, list[Tensor]], size: int) -> list[Tensor]:
    """Every run of ``size`` values in order: the n-th array has the n-th smallest of each run."""
    if size not in made:
        first = 1 << ((size - 1).bit_length() - 1)
        low = _sorted_neighbourhoods(made, first)
        high = [row[..., first:] for row in _sorted_neighbourhoods(made, size - first)]
        length = high[0].shape[-1]
        made[size] = _merge_sorted([row[..., :length] for row in low], high)
    return made[size]


def _merge_sorted(low: list[Tensor], high: list[Tensor]) -> list[Tensor]:
    """Batcher's odd-even merge of two sorted lists of arrays, place by place."""
    if not low or not high:
        return low or high
    if len(low) == len(high) == 1:
        return [torch.minimum(low[0], high[0]), torch.maximum(low[0], high[0])]
    even = _merge_sorted(low[::2], high[::2])
    odd = _merge_sorted(low[1::2], high[1::2])
    pairs = list(zip(odd, even[1:], strict=False))
    merged = [even[0]]
    for one, other in pairs:
        merged += [torch.minimum(one, other), torch.maximum(one, other)]
    return merged + odd[len(pairs) :] + even[1 + len(pairs) :]


def box_means(values: Tensor, *sizes: int) -> list[Tensor]:
    """Means over the last axis's neighbourhoods of odd sizes, shorter at the ends; same shapes."""
    length = values.shape[-1]
    sums = values.cumsum(dim=-1, dtype=torch.float64)
    places = torch.arange(length, device=values.device)
    means = []
    for size in sizes:
        half = size // 2
        before = functional.pad(sums[..., : length - half - 1], (half + 1, 0))
        after = torch.cat([sums[..., half:], sums[..., -1:].expand(*sums.shape[:-1], half)], dim=-1)
        count = (places + half + 1).clamp(max=length) - (places - half).clamp(min=0)
        means.append(((after - before) / count).to(values.dtype))
    return means


def box_mean(values: Tensor, size: int) -> Tensor:
    """Mean over the last axis's neighbourhood of an odd size, shorter at the ends; same shape."""
    return box_means(values, size)[0]


def deviation(levels: Tensor, mean: Tensor, mask: Tensor) -> Tensor:
    """Standard deviation from a mean over the frames of a mask, ``(batch, bins)``."""
    return masked_mean((levels - mean[..., None]).square_(), mask).sqrt()


def mean_change(levels: Tensor, lag: int) -> Tensor:
    """Mean absolute change over so many frames."""
    return (levels[..., lag:] - levels[..., :-lag]).abs_().mean(dim=-1)


def quantiles(levels: Tensor, shares: tuple[float, ...]) -> list[Tensor]:
    """Order statistics over the last axis, ``(..., n)`` to one ``(...)`` for each share."""
    # Order statistics, not interpolated, which need no sort.
    last = levels.shape[-1] - 1
    return [levels.kthvalue(round(share * last) + 1, dim=-1).values for share in shares]
