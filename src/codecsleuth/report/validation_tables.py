"""A validation for people: tables of at most 80 columns."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from codecsleuth.evaluation.trials import Trials
from codecsleuth.evaluation.validation import OUTCOMES, ErrorRate, Performance, Validation
from codecsleuth.report.evaluation_tables import number, spaced
from codecsleuth.text import printable

FIGURE_WORDS: Final = {
    "cllr": "Cllr, bits",
    "cllr_min": "Cllr min (discrimination)",
    "cllr_cal": "Calibration loss",
    "eer": "EER",
    "ece": "Calibration error",
    "misleading_positive": "Misleading, of {positive}",
    "misleading_negative": "Misleading, of {negative}",
}
NOTES: Final = (
    "Fractions. Error rates are shares of all recordings of the label, refusals (inconclusive, "
    "unanalysable) among them. Intervals: 95 %, by bootstrap over sources, not over clips; of "
    "shares Wilson's over the effective number of sources. Cllr min: after isotonic calibration "
    "(PAV) on the same clips. Limits: the empirical lower and upper bound (ELUB, Vergeer et al. "
    "2016) of log10 likelihood ratios, with the number of sources in the place of clips."
)


def title(validation: Validation) -> str:
    """What was validated on what, in a line."""
    of = validation.run.provenance
    clips = sum(validation.counts[0].values())
    return f"{of.model['name']} {of.model['version']} on {of.data['folder']}: {clips} recordings"


def headings(validation: Validation) -> list[tuple[str, Performance]]:
    """The measurements, each with what it is of."""
    using = validation.run.provenance.computed.get("calibration")
    first = f"With the calibration {using['sha256'][:12]}" if using else "As the model states them"
    sections = [(first, validation.performance)]
    if validation.recalibrated is not None:
        folds = len(validation.folds)
        sections.append(
            (
                f"Recalibrated, each source by a fit without it ({folds} parts)",
                validation.recalibrated,
            )
        )
    return sections


def error_rates(performance: Performance) -> Iterator[tuple[str, ErrorRate]]:
    """The error rates, each with its words."""
    yield "False alarms (bona fide)", performance.false_alarms
    yield "Misses (codec)", performance.misses
    for name, rate in performance.inconclusive.items():
        yield f"No decision ({spaced(name)})", rate


def figure_words(name: str, trials: Trials) -> str:
    """A figure's words, with the sides of its comparison."""
    positive, negative = trials.comparison.pair.words.split(" against ")
    return FIGURE_WORDS[name].format(positive=positive, negative=negative)


def bounds_words(trials: Trials) -> str:
    """Which log10 likelihood ratios are stated, and which the set supports."""
    lower, upper = trials.bounds
    low, high = trials.log10_lr.min(), trials.log10_lr.max()
    return f"stated {low:.2f} to {high:.2f}; supported {lower:.2f} to {upper:.2f}"


def render_validation(validation: Validation) -> Group:
    """All tables of a validation, with what limits them below."""
    parts: list[RenderableType] = [Text(printable(title(validation)), "bold"), Text()]
    parts += [_labels(validation), Text()]
    for heading, performance in headings(validation):
        parts += [Text(heading, "bold"), _rates(performance), Text()]
        for name in performance.trials:
            parts += [_figures(name, performance), Text()]
        parts += [_outcomes(performance), Text()]
    parts += [Text(f"! {printable(warning)}", "yellow") for warning in validation.warnings]
    return Group(*parts, Text(NOTES, "dim"))


def _table(first: str, *columns: str) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0), header_style="bold")
    table.add_column(first)
    for column in columns:
        table.add_column(column, justify="right")
    return table


def _labels(validation: Validation) -> Table:
    clips, sources = validation.counts
    table = _table("Recordings", "clips", "sources")
    for name, count in clips.items():
        table.add_row(spaced(name), str(count), str(sources[name]))
    return table


def _rates(performance: Performance) -> Table:
    table = _table("Error rates", "", "95 % interval", "recordings")
    for words, rate in error_rates(performance):
        low, high = rate.interval
        span = f"{number(low)} to {number(high)}"
        table.add_row(words, number(rate.share), span, f"{rate.count}/{rate.of}")
    return table


def _figures(name: str, performance: Performance) -> Table:
    trials = performance.trials[name]
    table = _table(trials.comparison.pair.words, "", "95 % interval", "sources alike")
    for key, figure in performance.figures[name].items():
        low, high = figure.interval or (None, None)
        span = f"{number(low)} to {number(high)}" if figure.interval else ""
        alike = number(performance.by_source[name][key])
        table.add_row(figure_words(key, trials), number(figure.value), span, alike)
    table.caption = f"log10 LR {bounds_words(trials)}"
    table.caption_justify = "left"
    return table


def _outcomes(performance: Performance) -> Table:
    given = [name for name in OUTCOMES if any(o[name] for o in performance.outcomes.values())]
    table = _table("Label \\ outcome", *map(spaced, given))
    for label, counts in performance.outcomes.items():
        table.add_row(spaced(label), *(str(counts[name]) for name in given))
    return table
