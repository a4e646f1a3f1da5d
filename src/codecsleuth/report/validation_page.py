"""A validation as a page with plots: Tippett, PAV, reliability, detection error trade-off."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from codecsleuth.arrays import sigmoid
from codecsleuth.evaluation import metrics
from codecsleuth.evaluation.trials import Trials
from codecsleuth.evaluation.validation import OUTCOMES, Performance, Validation
from codecsleuth.evaluation.validation_document import validation_document
from codecsleuth.report.detection_plots import det_frame, det_line, pav, tippett
from codecsleuth.report.evaluation_page import reliability
from codecsleuth.report.evaluation_tables import number, spaced
from codecsleuth.report.page import render_page
from codecsleuth.report.plots import Plot
from codecsleuth.report.validation_tables import (
    NOTES,
    bounds_words,
    error_rates,
    figure_words,
    headings,
    title,
)


def validation_page(validation: Validation) -> str:
    """The page of a validation.

    Returns:
        HTML that needs nothing else; the same bytes for the same scores.
    """
    document = validation_document(validation)
    return render_page(
        "validation.html",
        tool=document["tool"],
        title=title(validation),
        document=document,
        sections=[_section(heading, one) for heading, one in headings(validation)],
        recalibration=validation.recalibration,
        notes=NOTES,
        number=number,
        spaced=spaced,
    )


def _section(heading: str, performance: Performance) -> dict[str, Any]:
    given = [name for name in OUTCOMES if any(o[name] for o in performance.outcomes.values())]
    return {
        "heading": heading,
        "rates": list(error_rates(performance)),
        "comparisons": [_comparison(name, performance) for name in performance.trials],
        "given": given,
        "outcomes": performance.outcomes,
    }


def _comparison(name: str, performance: Performance) -> dict[str, Any]:
    trials = performance.trials[name]
    alike = performance.by_source[name]
    return {
        "words": trials.comparison.pair.words,
        "bounds": bounds_words(trials),
        "figures": [
            (figure_words(key, trials), figure, alike[key])
            for key, figure in performance.figures[name].items()
        ],
        "plots": list(_plots(trials)),
    }


def _plots(trials: Trials) -> Iterator[Plot]:
    positive, negative = trials.comparison.pair.words.split(" against ")
    yield tippett(
        trials.log_odds, trials.is_positive, [("codec", positive), ("bona_fide", negative)]
    )
    yield pav(trials.log_odds, trials.is_positive)
    weights = metrics.even_prior(trials.is_positive)
    sides = positive.capitalize(), negative.capitalize()
    stated = sigmoid(trials.log_odds)
    yield reliability(positive, stated, trials.is_positive, weights, sides[0])
    plot = det_frame(trials.is_positive, sides=sides)
    det_line(plot, trials.ranking, trials.is_positive)
    yield plot
