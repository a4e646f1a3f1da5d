"""The pages: all that the answer says, nothing from outside, no name that takes them over."""

from __future__ import annotations

import re
from dataclasses import replace
from io import StringIO
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rich.console import Console

from codecsleuth.calibration import Calibration
from codecsleuth.data.items import Item
from codecsleuth.evaluation.document import Report
from codecsleuth.evaluation.scores import ScoreTable
from codecsleuth.report.evaluation_page import evaluation_page, reliability
from codecsleuth.report.evaluation_tables import render
from codecsleuth.taxonomy import CLASSES
from conftest import score_file
from pages import HOSTILE, is_self_contained


def labelled_scores(names: tuple[str, ...] = (), tasks: tuple[str, ...] = tuple(CLASSES)) -> Any:
    generator = np.random.default_rng(3)
    items = []
    for number in range(40):
        codec = number % 2
        classes = ("MVQ", "None", "Time") if codec else ("Real",) * 3
        label = "spoof" if codec else "bonafide"
        name = names[number % len(names)] if names else f"{number}"
        facts = {"codec": name * codec, "source": name, "system": name, "group": str(number)}
        items.append(Item(number + 2, f"{number}.wav", Path(name), "dev", label, *classes, **facts))
    logits = {t: generator.normal(size=(40, len(CLASSES[t]))) for t in tasks}
    return ScoreTable(tuple(items), logits)


def test_the_page_of_an_evaluation_shows_figures_plots_and_parts() -> None:
    report = Report((score_file(labelled_scores(("A", "B"))),), 50, 0)
    page = evaluation_page(report)
    read = is_self_contained(page)
    for words in (
        *("Detection error trade-off", "Scores", "Reliability of BIN", "Reliability of DEC"),
        *("Confusion", "EER", "Cllr, bits", "Minimum DCF", "F1 weighted", "Constant answer"),
        *("Macro figures: every system counts the same", "By codec", "By system", "b" * 64),
    ):
        assert words in read.text, words
    assert page.count('<span class="bar') > 5
    assert page == evaluation_page(Report((score_file(labelled_scores(("A", "B"))),), 50, 0))


def test_the_page_of_a_model_of_three_classes_shows_labels_and_pairs() -> None:
    whole = labelled_scores(tasks=("VQ",))
    items = tuple(
        replace(item, label="vocoder", vq=None) if number % 4 == 3 else item
        for number, item in enumerate(whole.items)
    )
    logits = np.random.default_rng(0).normal(size=(40, 3))
    scores = ScoreTable(items, {"BIN": logits})
    run = score_file(scores, Calibration(classes=("codec", "vocoder", "bona fide")))
    report = Report((run,), 20, 0)
    read = is_self_contained(evaluation_page(report))
    for words in ("Verdicts by label", "codec against vocoder", "Class pairs", "neural synthesis"):
        assert words in read.text, words
    console = Console(width=80, file=StringIO())
    console.print(render(report))
    text = console.file.getvalue()
    assert max(map(len, text.splitlines())) <= 80
    for words in ("Label \\ verdict", "vocoder against bona fide", "vocoder", "inconclusive"):
        assert words in text, words


@pytest.mark.parametrize("name", HOSTILE)
def test_a_codec_or_source_cannot_take_the_page_over(name: str) -> None:
    run = score_file(labelled_scores((name, "B")), folder=name, description=name)
    page = evaluation_page(Report((run,), 0, 0, (Path(name),)))
    assert name.replace("\u202e", "\\u202e") in is_self_contained(page).text
    assert "\u202e" not in page


def test_the_page_of_a_model_without_detection_or_of_one_label() -> None:
    axes = ScoreTable(*vars(labelled_scores(tasks=("VQ", "DEC"))).values())
    text = is_self_contained(evaluation_page(Report((score_file(axes),), 0, 0))).text
    assert "Detection error" not in text and "Reliability of VQ" in text
    whole = labelled_scores()
    real = ScoreTable(whole.items[::2], {t: v[::2] for t, v in whole.logits.items()})
    text = is_self_contained(evaluation_page(Report((score_file(real),), 10, 0))).text
    assert "no clips of codec" in text and "Detection error" not in text


def test_the_curve_passes_through_the_equal_error_rate() -> None:
    report = Report((score_file(labelled_scores(), Calibration()),), 0, 0)
    eer = report.evaluation.tasks["BIN"].figures["eer"].value
    page = evaluation_page(report)
    trade_off = page.split("Detection error trade-off")[1]
    dot = re.findall(r'<circle class="ink" cx="([\d.]+)" cy="([\d.]+)"', trade_off)[0]
    line = re.findall(r'<polyline class="line main" points="([^"]+)"', trade_off)[0]
    points = np.array([[float(v) for v in point.split(",")] for point in line.split()])
    assert eer is not None
    x, y = map(float, dot)
    around = [
        sorted((p[0], q[0], x))[1] == x and sorted((p[1], q[1], y))[1] == y
        for p, q in pairwise(points.tolist())
    ]
    assert any(around)


def test_reliability_shows_how_often_what_was_stated_came_true() -> None:
    stated = np.repeat([0.1, 0.9], 10)
    came = np.array([True] + [False] * 9 + [True] * 9 + [False])
    plot = reliability("VQ", stated, came, np.ones(20))
    dots = [mark for mark in plot.marks if mark.kind == "dot"]
    for dot, share in zip(dots, (0.1, 0.9), strict=True):
        assert (dot.x, dot.y) == plot.at(share, share)
        assert f"came true {share:.3f}"[-3:] in dot.hint
