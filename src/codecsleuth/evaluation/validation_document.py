"""A validation as a document for machines: ``validation.schema.json``."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any, Final

import numpy as np

from codecsleuth.arrays import LN10, FloatArray, sigmoid
from codecsleuth.evaluation import metrics
from codecsleuth.evaluation.isotonic import isotonic_log_odds
from codecsleuth.evaluation.trials import Trials
from codecsleuth.evaluation.validation import ErrorRate, Performance, Validation
from codecsleuth.version import __version__

SCHEMA: Final = "codecsleuth/validation/1"
_DIGITS: Final = 6
#: Steps of the Tippett curves, on the scale of log10 likelihood ratios.
_TIPPETT_STEP: Final = 0.1


def validation_document(validation: Validation) -> dict[str, Any]:
    """Plain values for JSON; shares are fractions, not per cent."""
    of = validation.run.provenance
    clips, sources = validation.counts
    return {
        "schema": SCHEMA,
        "tool": {"name": "codecsleuth", "version": __version__},
        "model": {**of.model, "classes": list(of.calibration.classes)},
        "data": {name: of.data[name] for name in ("folder", "table_sha256", "notes")},
        "settings": {
            **of.calibration.thresholds(),
            **of.computed,
            "bootstrap": validation.draws,
            "seed": validation.seed,
        },
        "labels": {n: {"clips": count, "sources": sources[n]} for n, count in clips.items()},
        "missing_files": list(of.missing),
        "unreadable": list(of.unreadable),
        "performance": _performance(validation.performance),
        "recalibrated": _recalibrated(validation),
        "warnings": validation.warnings,
    }


def validation_json(validation: Validation) -> str:
    """The document as text."""
    document = validation_document(validation)
    return json.dumps(document, ensure_ascii=False, allow_nan=False, indent=2) + "\n"


def _recalibrated(validation: Validation) -> dict[str, Any] | None:
    fitted, performance = validation.recalibration, validation.recalibrated
    if fitted is None or performance is None:
        return None
    return {
        "parts": {name: asdict(part) for name, part in fitted.parts.items()},
        "log10_lr_limits": list(fitted.log10_lr_limits),
        "folds": len(validation.folds),
        "performance": _performance(performance),
    }


def _performance(performance: Performance) -> dict[str, Any]:
    return {
        "false_alarms": _rate(performance.false_alarms),
        "misses": _rate(performance.misses),
        "inconclusive": {n: _rate(rate) for n, rate in performance.inconclusive.items()},
        "outcomes": dict(performance.outcomes),
        "comparisons": {
            name: _comparison(trials, performance) for name, trials in performance.trials.items()
        },
    }


def _rate(rate: ErrorRate) -> dict[str, Any]:
    return asdict(rate) | {"interval": list(rate.interval)}


def _comparison(trials: Trials, performance: Performance) -> dict[str, Any]:
    name = trials.comparison.pair.name
    figures = performance.figures[name]
    sides = {"positive": trials.count(True), "negative": trials.count(False)}
    return {
        **{key: figure.value for key, figure in figures.items()},
        "intervals": {key: list(one.interval) for key, one in figures.items() if one.interval},
        "by_source": performance.by_source[name],
        **{side: {"clips": count, "sources": of} for side, (count, of) in sides.items()},
        "log10_lr_range": [float(trials.log10_lr.min()), float(trials.log10_lr.max())],
        "log10_lr_bounds": list(trials.bounds),
        "tippett": _tippett(trials),
        "pav": [[stated, None if np.isinf(best) else best] for stated, best in pav_points(trials)],
        "reliability": _reliability(trials),
    }


def _tippett(trials: Trials) -> dict[str, list[float]]:
    values = trials.log10_lr
    low, high = (int(np.floor(v / _TIPPETT_STEP)) for v in (values.min(), values.max()))
    steps = (np.arange(low, high + 2) * _TIPPETT_STEP).astype(np.float64)
    sides = {"positive": trials.is_positive, "negative": ~trials.is_positive}
    shares = {name: share_at_least(values[side], steps) for name, side in sides.items()}
    return {"log10_lr": np.round(steps, 1).tolist()} | {n: s.tolist() for n, s in shares.items()}


def share_at_least(values: FloatArray, thresholds: FloatArray) -> FloatArray:
    """Share of the values that reach each threshold: a curve of a Tippett plot."""
    below = np.searchsorted(np.sort(values), thresholds - 1e-9, side="left")
    return np.asarray(1.0 - below / len(values))


def pav_points(trials: Trials) -> list[tuple[float, float]]:
    """Stated log10 likelihood ratios and those after isotonic calibration, in order.

    Infinite ones are beyond the last clip of the other label.
    """
    stated = trials.log10_lr
    best = isotonic_log_odds(trials.log_odds, trials.is_positive) / LN10
    points = {(round(s, _DIGITS), round(b, _DIGITS)) for s, b in zip(stated, best, strict=True)}
    return sorted((float(s), float(b)) for s, b in points)


def _reliability(trials: Trials) -> list[dict[str, float]]:
    stated = sigmoid(trials.log_odds)
    weights = metrics.even_prior(trials.is_positive)
    bins = metrics.probability_bins(stated)
    rows = []
    for place in np.unique(bins):
        chosen = bins == place
        mass = weights[chosen]
        rows.append(
            {
                "clips": int(chosen.sum()),
                "stated": float(np.average(stated[chosen], weights=mass)),
                "came_true": float(np.average(trials.is_positive[chosen], weights=mass)),
            }
        )
    return rows
