"""An evaluation as a page with plots: detection trade-off, scores, calibration, confusion."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import numpy as np

from codecsleuth.arrays import LN10, BoolArray, FloatArray, sigmoid
from codecsleuth.evaluation import metrics
from codecsleuth.evaluation.answers import ClipAnswers
from codecsleuth.evaluation.document import Report
from codecsleuth.evaluation.results import Evaluation, TaskResult
from codecsleuth.report.detection_plots import SHARES, det_frame, det_line, pav, tippett
from codecsleuth.report.evaluation_tables import (
    FIGURE_WORDS,
    class_pairs,
    labels_worth_a_table,
    notes,
    number,
    spaced,
)
from codecsleuth.report.page import render_page
from codecsleuth.report.plots import Axis, Plot
from codecsleuth.taxonomy import AXES

_PART_WORDS: Final = {
    "per_codec": ("Codec", "EER against all bona fide clips."),
    "per_system": ("System", "EER within the system's own clips."),
    "per_source": ("Source", "EER within the source's own clips."),
    "per_kind": ("Kind", "EER against all bona fide clips."),
    "per_length": ("Length", "EER within the clips of that length."),
}
_HISTOGRAM_BINS: Final = 40


def evaluation_page(report: Report) -> str:
    """The page of an evaluation.

    Returns:
        HTML that needs nothing else; the same bytes for the same scores.
    """
    document = report.to_dict()
    evaluation = report.evaluation
    return render_page(
        "evaluation.html",
        tool=document["tool"],
        title=report.title,
        document=document,
        runs=_runs(report),
        tasks=evaluation.tasks,
        macro=evaluation.macro,
        plots=list(_plots(report)),
        confusions=[_confusion(task, result) for task, result in evaluation.tasks.items()],
        class_pairs=class_pairs(evaluation),
        labels=labels_worth_a_table(evaluation),
        parts=list(_parts(evaluation)),
        spread=report.spread if len(report.runs) > 1 else {},
        run_names=report.names,
        words=FIGURE_WORDS,
        notes=notes(evaluation),
        number=number,
        verdict_words=spaced,
    )


def _runs(report: Report) -> list[dict[str, Any]]:
    """Which weights and which clips, per run."""
    return [
        {"name": name, "provenance": run.provenance, "clips": len(run.scores.items)}
        for name, run in zip(report.names, report.runs, strict=True)
    ]


def _plots(report: Report) -> Iterator[Plot]:
    both = report.pooled.codec_against_bona_fide()
    if both is not None and both[1].any() and not both[1].all():
        detection, is_codec = both
        yield _det(report, is_codec)
        yield _histogram(detection.log_odds / LN10, is_codec)
        yield tippett(detection.log_odds, is_codec)
        yield pav(detection.log_odds, is_codec)
        probabilities = sigmoid(detection.log_odds)
        yield reliability("BIN", probabilities, is_codec, metrics.even_prior(is_codec), "Codec")
    for axis, answers in report.pooled.axes.items():
        true = report.pooled.labels(axis)
        codec = true > 0
        if codec.any():
            stated = answers.probabilities[codec].max(axis=1)
            right = (answers.likeliest == true)[codec]
            yield reliability(axis, stated, right, np.ones(len(stated)))


def _det(report: Report, is_codec: BoolArray) -> Plot:
    """Both error rates at every threshold, of all runs together and of each."""
    several = len(report.runs) > 1
    plot = det_frame(is_codec, [("main", "all"), ("thin", "each run")] if several else [])
    if several:
        for name, answers in zip(report.names, report.answers, strict=True):
            _det_line(plot, answers, "thin", name)
    _det_line(plot, report.pooled, "main", "")
    eer = report.evaluation.tasks["BIN"].figures["eer"].value
    if eer is not None:
        plot.dot(eer, eer, "ink", f"EER {number(eer)}", 4.5)
    return plot


def _det_line(plot: Plot, answers: ClipAnswers, look: str, hint: str) -> None:
    both = answers.codec_against_bona_fide()
    if both is not None:
        det_line(plot, both[0].ranking, both[1], look, hint)


def _histogram(log10_lr: FloatArray, is_codec: BoolArray) -> Plot:
    limit = max(1.0, float(np.ceil(np.abs(log10_lr).max())))
    edges = np.linspace(-limit, limit, _HISTOGRAM_BINS + 1)
    shares = {
        look: np.histogram(log10_lr[chosen], edges)[0] / chosen.sum()
        for look, chosen in (("bona_fide", ~is_codec), ("codec", is_codec))
    }
    top = max(float(share.max()) for share in shares.values())
    step = next(s for s in (0.02, 0.05, 0.1, 0.2, 0.25) if top / s <= 5 or s == 0.25)
    height = step * float(np.ceil(top / step))
    ticks = [(step * n, f"{step * n:g}") for n in range(round(height / step) + 1)]
    whole = np.arange(-limit, limit + 1, max(1, limit // 4))
    plot = Plot(
        "Scores",
        "Histogram of the scores of codec and of bona fide clips",
        Axis(
            "log10 likelihood ratio codec : bona fide",
            -limit,
            limit,
            [(t, f"{t:g}") for t in whole],
        ),
        Axis(
            "Share of the label's clips", 0.0, height, [(v, f"{round(v, 2):g}") for v, _ in ticks]
        ),
        [("codec", "codec"), ("bona_fide", "bona fide")],
    )
    for look, share in shares.items():
        corners = [
            (float(edge), float(part))
            for n, part in enumerate(share)
            for edge in (edges[n], edges[n + 1])
        ]
        plot.area(corners, look)
        plot.line(corners, look)
    return plot


def reliability(
    task: str, stated: FloatArray, came_true: BoolArray, weights: FloatArray, event: str = ""
) -> Plot:
    """Stated probabilities against how often they came true, in the bins of the calibration error.

    Args:
        task: whose.
        stated: ``(clips,)`` probabilities of an event.
        came_true: ``(clips,)``.
        weights: ``(clips,)``.
        event: of detection, what the probabilities are of; of others, that the class is right.
    """
    over = "even prior odds" if event else "codec clips"
    event = event or "Class right"
    axis = Axis(f"Stated probability ({task}, {over})", 0.0, 1.0, SHARES)
    plot = Plot(
        f"Reliability of {task}",
        f"Stated probabilities of {task} against how often they came true",
        axis,
        Axis(f"{event}: share", 0.0, 1.0, SHARES),
    )
    plot.line([(0, 0), (1, 1)], "guide")
    bins = metrics.probability_bins(stated)
    for place in np.unique(bins):
        chosen = bins == place
        weight = float(weights[chosen].sum() / weights.sum())
        mean, came = (
            float(np.average(values[chosen], weights=weights[chosen]))
            for values in (stated, came_true)
        )
        clips = f"{int(chosen.sum())} clips: stated {number(mean)}, came true {number(came)}"
        plot.dot(mean, came, "main", clips, 3 + 14 * weight**0.5)
    return plot


def _confusion(task: str, result: TaskResult) -> dict[str, Any]:
    """A confusion matrix with the share that each cell has of its row."""
    rows = [
        {
            "name": name,
            "f1": result.f1.get(name),
            "cells": [(clips, clips / max(1, sum(row))) for clips in row],
        }
        for name, row in zip(result.support, result.confusion, strict=True)
    ]
    return {"task": task, "columns": result.columns, "rows": rows, "f1": bool(result.f1)}


def _parts(evaluation: Evaluation) -> Iterator[dict[str, Any]]:
    """Tables of parts, as bars with intervals."""
    axes = [axis for axis in AXES if axis in evaluation.tasks]
    for key in evaluation.breakdowns():
        title, note = _PART_WORDS[key]
        rows = getattr(evaluation, key)
        real = any(part.bona_fide_clips for part in rows.values())
        yield {"title": title, "note": note, "axes": axes, "rows": rows, "real": real}
