"""The time line: from the log-odds of overlapping windows to passages with one verdict each.

A window's log-odds stand for the four seconds around its middle. They are put on a grid of times a
quarter of a hop apart, and the likeliest sequence of two states, "neural" and "bona fide", is found
by the Viterbi algorithm (Viterbi 1967) with a cost for each change of state. Neighbouring windows
share most of their audio, so that each grid point counts for a part of a window's evidence only. A
window that holds half of each kind has about the middle of both log-odds, so that the point where
the state changes is where the audio changes.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

import numpy as np

from codecsleuth.arrays import FloatArray, IntArray
from codecsleuth.audio.windows import HOP_S

#: Grid points a hop; windows between those of the hop grid are computed where the state may change.
STEPS: Final = 4
STEP_S: Final = HOP_S / STEPS


@dataclass(frozen=True)
class TimelineSettings:
    """Costs of the two-state model, fitted to spliced recordings (`release/timeline.py`).

    Attributes:
        centre: log-odds (natural) at which neither state is the likelier.
        scale: share of a window's evidence that a grid point counts for.
        limit: log-odds are limited to ``centre`` plus or minus this: no single window decides.
        change: cost of each change of state.
        peak: log-odds that a neural passage must reach somewhere.
        refine_level: windows are computed in between where one of two neighbours reaches this.
        refine_difference: and the two differ by at least this.
    """

    centre: float = 0.5
    scale: float = 0.35
    limit: float = 3.0
    change: float = 2.5
    peak: float = 2.0
    refine_level: float = -0.5
    refine_difference: float = 1.0


TIMELINE: Final = TimelineSettings()


@dataclass(frozen=True)
class Point:
    """A window on the time line.

    Attributes:
        start_s: where it begins.
        end_s: where it ends.
        log_odds: calibrated natural log-odds neural : bona fide.
    """

    start_s: float
    end_s: float
    log_odds: float

    @property
    def middle_s(self) -> float:
        """Its middle."""
        return (self.start_s + self.end_s) / 2


@dataclass(frozen=True)
class Stretch:
    """A part of the recording in one state.

    Attributes:
        start_s: where it begins.
        end_s: where it ends.
        neural: the state.
        first: index of the first of its points.
        last: index after the last of its points.
    """

    start_s: float
    end_s: float
    neural: bool
    first: int
    last: int


def needs_refining(one: float, other: float, settings: TimelineSettings) -> bool:
    """Whether the state may change between two neighbouring windows, by their log-odds."""
    difference = abs(one - other)
    return max(one, other) >= settings.refine_level and difference >= settings.refine_difference


def find_stretches(
    points: Sequence[Point], duration_s: float, settings: TimelineSettings
) -> list[Stretch]:
    """Cut a recording where its state changes.

    Args:
        points: its windows, by time; at least one.
        duration_s: of the recording.
        settings: of the two-state model.

    Returns:
        Stretches without gaps from the first window's begin to the end, states alternating.
    """
    middles = np.array([point.middle_s for point in points])
    odds = np.array([point.log_odds for point in points])
    grid = _grid(middles)
    evidence = np.interp(grid, middles, odds)
    states = _without_weak(_viterbi(evidence, settings), evidence, settings)
    changes = np.flatnonzero(np.diff(states)) + 1
    edges = [_crossing(grid, evidence, int(place), settings) for place in changes]
    begin = points[0].start_s
    bounds = [begin, *edges, max(duration_s, begin)]
    firsts = [0, *(int(np.searchsorted(middles, edge)) for edge in edges), len(points)]
    kinds = [bool(states[0]), *(bool(states[place]) for place in changes)]
    return [
        Stretch(bounds[n], bounds[n + 1], kind, firsts[n], firsts[n + 1])
        for n, kind in enumerate(kinds)
    ]


def _grid(middles: FloatArray) -> FloatArray:
    count = max(1, round((middles[-1] - middles[0]) / STEP_S) + 1)
    return np.asarray(np.linspace(middles[0], middles[-1], count))


def _viterbi(evidence: FloatArray, settings: TimelineSettings) -> IntArray:
    """The likeliest states, 1 for neural, of log-odds on the grid."""
    gains = settings.scale * np.clip(evidence - settings.centre, -settings.limit, settings.limit)
    scores = np.zeros(2)
    previous = np.zeros((len(gains), 2), dtype=np.int64)
    for place, gain in enumerate(gains):
        if place:
            changed = scores[::-1] - settings.change
            previous[place] = np.where(changed > scores, [1, 0], [0, 1])
            scores = np.maximum(scores, changed)
        scores = scores + np.array([-gain / 2, gain / 2])
    states = np.zeros(len(gains), dtype=np.int64)
    states[-1] = int(scores[1] > scores[0])
    for place in range(len(gains) - 1, 0, -1):
        states[place - 1] = previous[place][states[place]]
    return states


def _without_weak(states: IntArray, evidence: FloatArray, settings: TimelineSettings) -> IntArray:
    """States without the neural runs that nowhere reach the peak asked for."""
    kept = states.copy()
    for first, last in _runs(states):
        if (
            states[first]
            and evidence[first:last].max() < settings.peak
            and last - first < len(states)
        ):
            kept[first:last] = 0
    return kept


def _runs(states: IntArray) -> Iterator[tuple[int, int]]:
    edges = [0, *(np.flatnonzero(np.diff(states)) + 1).tolist(), len(states)]
    yield from pairwise(edges)


def _crossing(
    grid: FloatArray, evidence: FloatArray, place: int, settings: TimelineSettings
) -> float:
    """Where between two grid points the log-odds pass the centre."""
    before, after = evidence[place - 1] - settings.centre, evidence[place] - settings.centre
    share = before / (before - after) if before * after < 0 else 0.5
    return float(grid[place - 1] + share * (grid[place] - grid[place - 1]))
