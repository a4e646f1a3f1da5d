"""Plots of likelihood ratios and of detection errors: Tippett, PAV, detection error trade-off."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import NormalDist
from typing import Final

import numpy as np

from codecsleuth.arrays import LN10, BoolArray, FloatArray
from codecsleuth.evaluation import metrics
from codecsleuth.evaluation.isotonic import isotonic_log_odds
from codecsleuth.report.plots import Axis, Plot

SHARES: Final = tuple((tick / 5, f"{tick / 5:g}") for tick in range(6))
_DET_TICKS: Final = (0.001, 0.005, 0.02, 0.05, 0.1, 0.2, 0.4, 0.6, 0.8, 0.9)
#: Looks and names of the two sides of a comparison.
_SIDES: Final = (("codec", "codec"), ("bona_fide", "bona fide"))


def det_frame(
    is_positive: BoolArray,
    legend: Sequence[tuple[str, str]] = (),
    sides: tuple[str, str] = ("Codec", "Bona fide"),
) -> Plot:
    """An empty plot of both error rates, on normal deviates (Martin et al., 1997).

    Args:
        is_positive: ``(clips,)``; so many clips decide where the axes begin.
        legend: as `Plot` has it.
        sides: names of the positive and of the negative clips.
    """
    smallest = 0.5 / max(1, np.bincount(is_positive).max())
    low = max((tick for tick in _DET_TICKS if tick <= smallest), default=_DET_TICKS[0])
    ticks = [(tick, f"{tick:g}"[1:]) for tick in _DET_TICKS if tick >= low]
    alarms, misses = (
        Axis(label, low, _DET_TICKS[-1], ticks, NormalDist().inv_cdf)
        for label in (f"{sides[1]} called {sides[0].lower()}", f"{sides[0]} missed")
    )
    plot = Plot("Detection error trade-off", "Misses against false alarms", alarms, misses, legend)
    plot.line([(low, low), (_DET_TICKS[-1], _DET_TICKS[-1])], "guide")
    return plot


def det_line(
    plot: Plot, scores: FloatArray, is_positive: BoolArray, look: str = "main", hint: str = ""
) -> None:
    """Draw the error rates at every threshold, where there are any."""
    misses, false_alarms = metrics.error_rates(scores, is_positive)
    if np.isfinite(misses).all() and np.isfinite(false_alarms).all():
        plot.line(zip(false_alarms.tolist(), misses.tolist(), strict=True), look, hint)


def _lr_axis(label: str, limit: float) -> Axis:
    ticks = np.arange(-limit, limit + 1, max(1, limit // 4))
    return Axis(label, -limit, limit, [(float(tick), f"{tick:g}") for tick in ticks])


def _limit(log10_lr: FloatArray) -> float:
    """The end of an axis of log10 likelihood ratios: a whole number."""
    return max(1.0, float(np.ceil(np.abs(log10_lr).max())))


def tippett(
    log_odds: FloatArray,
    is_positive: BoolArray,
    sides: Sequence[tuple[str, str]] = _SIDES,
) -> Plot:
    """The share of clips of either label whose likelihood ratio is at least so large.

    Where a curve crosses 0 is the share of misleading likelihood ratios of its label: that much of
    the negative clips, and what is missing to 1 of the positive ones.

    Args:
        log_odds: ``(clips,)`` natural logarithms.
        is_positive: ``(clips,)``.
        sides: look and name of the positive and of the negative clips.
    """
    log10_lr = np.asarray(log_odds / LN10)
    limit = _limit(log10_lr)
    plot = Plot(
        "Tippett plot",
        "Share of clips of either label whose likelihood ratio is at least so large",
        _lr_axis("log10 likelihood ratio", limit),
        Axis("Share of the label's clips", 0.0, 1.0, SHARES),
        list(sides),
    )
    plot.line([(0.0, 0.0), (0.0, 1.0)], "guide")
    for chosen, (look, _) in zip((is_positive, ~is_positive), sides, strict=True):
        plot.line(_at_least(np.sort(log10_lr[chosen]), limit), look)
    return plot


def _at_least(ordered: FloatArray, limit: float) -> list[tuple[float, float]]:
    """The corners of the falling curve of some sorted values."""
    count = len(ordered)
    points = [(-limit, 1.0)]
    for place, value in enumerate(ordered.tolist()):
        points += [(value, 1 - place / count), (value, 1 - (place + 1) / count)]
    return [*points, (limit, 0.0)]


def pav(log_odds: FloatArray, is_positive: BoolArray) -> Plot:
    """Stated likelihood ratios against those after isotonic calibration (PAV).

    On the dashed line the stated ones need no correction. Infinite ones lie on the plot's edge.

    Args:
        log_odds: ``(clips,)`` natural logarithms.
        is_positive: ``(clips,)``.
    """
    best = isotonic_log_odds(log_odds, is_positive) / LN10
    stated = log_odds / LN10
    limit = _limit(np.append(stated, best[np.isfinite(best)]))
    plot = Plot(
        "PAV plot",
        "Stated likelihood ratios against those after isotonic calibration",
        _lr_axis("log10 likelihood ratio, stated", limit),
        _lr_axis("log10 likelihood ratio, isotonic", limit),
    )
    plot.line([(-limit, -limit), (limit, limit)], "guide")
    order = np.argsort(stated, kind="stable")
    corrected = np.clip(best, -limit, limit)
    plot.line(zip(stated[order].tolist(), corrected[order].tolist(), strict=True), "main")
    return plot
