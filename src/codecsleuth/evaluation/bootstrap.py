"""Percentile bootstrap intervals: utterances are drawn, a few draws at a time."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final, Protocol, TypeVar

import numpy as np

from codecsleuth.arrays import FloatArray, IntArray

Interval = tuple[float, float]
Key = TypeVar("Key", bound=Hashable)

#: Weights (draws times clips) that are in memory at once. A figure works on some ten arrays of this
#: size, so the bootstrap needs about 40 MB, however many clips and draws there are.
WEIGHTS_AT_ONCE: Final = 500_000


class WeightedFigures(Protocol):
    """Named figures as functions of the clips' weights."""

    def at(self, weights: FloatArray) -> dict[str, FloatArray]:
        """Figures ``(...)`` at weights ``(..., clips)``; NaN where not defined."""


@dataclass(frozen=True)
class Bootstrap:
    """Draws of whole groups of clips with replacement.

    Versions of one utterance rise and fall together; clips drawn one by one would make intervals
    too narrow (Field and Welsh, "Bootstrapping clustered data", 2007).

    Attributes:
        groups: ``(clips,)`` index of each clip's group, from 0 without gaps.
        draws: how many; 0 for no intervals.
        seed: of the random generator.
        coverage: share of the draws inside an interval.
        weights_at_once: bounds memory; the intervals do not depend on it.
    """

    groups: IntArray
    draws: int
    seed: int = 0
    coverage: float = 0.95
    weights_at_once: int = WEIGHTS_AT_ONCE

    def weights(self) -> Iterator[FloatArray]:
        """How often each clip is drawn, ``(some draws, clips)`` at a time."""
        if not len(self.groups):
            return
        count = int(self.groups.max()) + 1
        generator = np.random.default_rng(self.seed)
        step = max(1, self.weights_at_once // len(self.groups))
        for start in range(0, self.draws, step):
            rows = min(step, self.draws - start)
            drawn = generator.integers(0, count, size=(rows, count))
            flat = (drawn + np.arange(rows)[:, None] * count).ravel()
            counts = np.bincount(flat, minlength=rows * count).reshape(rows, count)
            yield np.take(counts.astype(np.float64), self.groups, axis=-1)

    def intervals(self, figures: Mapping[Key, WeightedFigures]) -> dict[Key, dict[str, Interval]]:
        """Intervals of all figures, from the same draws.

        Args:
            figures: of all tasks, each over all clips.

        Returns:
            Lower and upper limit per figure, over the draws in which it is defined; a figure that
            is defined in none is left out.
        """
        values: dict[Key, dict[str, list[FloatArray]]] = {key: {} for key in figures}
        for weights in self.weights():
            for key, some in figures.items():
                for name, drawn in some.at(weights).items():
                    values[key].setdefault(name, []).append(drawn)
        return {key: self._limits(drawn) for key, drawn in values.items()}

    def _limits(self, drawn: Mapping[str, list[FloatArray]]) -> dict[str, Interval]:
        joined = {name: np.concatenate(chunks) for name, chunks in drawn.items()}
        defined = {name: values[np.isfinite(values)] for name, values in joined.items()}
        tails = [0.5 - self.coverage / 2, 0.5 + self.coverage / 2]
        quantiles = {n: np.quantile(values, tails) for n, values in defined.items() if values.size}
        return {name: (float(low), float(high)) for name, (low, high) in quantiles.items()}
