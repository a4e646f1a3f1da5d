"""The pages: all that the answer says, nothing from outside, no name that takes them over."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from html.parser import HTMLParser
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
from codecsleuth.report.analysis_page import analysis_page, clock
from codecsleuth.report.evaluation_page import evaluation_page, reliability
from codecsleuth.report.evaluation_tables import render
from codecsleuth.taxonomy import CLASSES
from codecsleuth.verdict import VERDICTS
from conftest import Outcome, score_file

HOSTILE = (
    "<script>alert(1)</script>.wav",
    '"><img src=x onerror=alert(1)>.wav',
    "{{ 7 * 7 }}{% raw %}.wav",
    "</style></title>&amp;.wav",
    "right\u202eto left.wav",
)
_VOID = {"meta", "line", "rect", "circle", "path", "polyline", "polygon", "br", "img"}


class Reader(HTMLParser):
    """Text, tags and attributes of a page; refuses tags that are not closed."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: set[str] = set()
        self.attributes: list[tuple[str, str | None]] = []
        self.words: list[str] = []
        self.feed(page)
        self.close()
        assert not self.open, self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes += attrs
        if tag not in _VOID | {"li", "dd", "dt"}:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes += attrs

    def handle_endtag(self, tag: str) -> None:
        if tag not in {"li", "dd", "dt"} | _VOID:
            assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())


def is_self_contained(page: str) -> Reader:
    """Nothing is run or fetched; links lead to places in the page."""
    read = Reader(page)
    assert not read.tags & {"script", "img", "link", "iframe", "object", "embed", "image", "use"}
    for name, value in read.attributes:
        assert not name.startswith("on")
        assert name not in ("src", "srcset", "action")
        assert name != "href" or str(value).startswith("#")
    assert not re.search(r"url\(|@import|https?:", page)
    return read


def analysis(path: str = "call.wav", windows: int = 5, **changes: Any) -> dict[str, Any]:
    pieces = [
        {"start_s": 2.0 * n, "end_s": 2.0 * n + 4, "codec_probability": (n % 5) / 4}
        for n in range(windows)
    ]
    evidence = {"sha256": "d" * 64, "bytes": 123456, "container": "WAV", "coding": "PCM_16"}
    evidence |= {"sample_rate": 16000, "channels": 1, "duration_s": 12.0}
    axes = {
        axis.lower(): {
            "label": CLASSES[axis][1],
            "likeliest": CLASSES[axis][1],
            "probability": 0.75,
            "probabilities": dict.fromkeys(CLASSES[axis][1:], 0.25) | {CLASSES[axis][1]: 0.75},
        }
        for axis in ("VQ", "AUX", "DEC")
    }
    result = {"path": path, "status": "ok", "evidence": evidence, "verdict": "codec"}
    result |= {"codec_probability": 0.9, "log10_lr": 2.0, "taxonomy": axes}
    result |= {"familiarity": 0.31, "candidates": []}
    return {**result, "windows": pieces, "findings": [], **changes}


def content(*results: dict[str, Any]) -> dict[str, Any]:
    settings = {"sample_rate": 16000, "window_s": 4.0375, "hop_s": 2.01875, "device": "cpu"}
    settings |= {"codec_threshold": 0.8, "bona_fide_threshold": 0.2}
    model = {"name": "compact", "version": "1", "sha256": "e" * 64, "tasks": list(CLASSES)}
    verdicts = {one.name: 0 for one in VERDICTS}
    summary = {"files": len(results), "analysed": len(results), "errors": 0, "verdicts": verdicts}
    return {
        "schema": "codecsleuth/analysis/2",
        "tool": {"name": "codecsleuth", "version": "1.2.3"},
        "model": model,
        "settings": settings,
        "summary": summary | {"left_out": {}, "directories": []},
        "results": list(results),
    }


def test_the_page_says_what_the_answer_says(
    analyze: Callable[..., Outcome], clip: Callable[..., Path], tmp_path: Path
) -> None:
    path = clip("witness.wav", seconds=9.0)
    outcome = analyze(path, "--json", "--report", tmp_path / "page.html")
    assert outcome.status == 0
    page = (tmp_path / "page.html").read_text(encoding="utf-8")
    text = is_self_contained(page).text
    result, model = outcome.result, outcome.document["model"]
    for words in (
        *("witness.wav", result["evidence"]["sha256"], model["sha256"], "WAV PCM_16", "9.00 s"),
        *(str(result["log10_lr"]), "What this answer does not mean", "16000 Hz"),
        *("Vector quantisation (VQ)", result["taxonomy"]["aux"]["label"], "inconclusive"),
    ):
        assert words in text, words
    assert all(finding["message"] in text for finding in result["findings"])
    assert page.count("<title>0:0") == len(result["windows"])


def test_the_same_answer_gives_the_same_bytes_and_is_not_overwritten(
    analyze: Callable[..., Outcome], clip: Callable[..., Path], tmp_path: Path
) -> None:
    path, page = clip("a.wav"), tmp_path / "page.html"
    assert analyze(path, "--report", page).status == 0
    before = page.read_bytes()
    refused = analyze(path, "--report", page)
    assert refused.status == 2
    assert f"--report {page}: already exists" in refused.err
    assert analyze(path, "--report", page, "--force", "--workers", 1).status == 0
    assert page.read_bytes() == before


def test_files_that_cannot_be_read_are_on_the_page(
    analyze: Callable[..., Outcome], clip: Callable[..., Path], tmp_path: Path
) -> None:
    clip("folder/good.wav")
    (tmp_path / "folder" / "bad.wav").write_text("no audio")
    outcome = analyze(tmp_path / "folder", "--jsonl", "--report", tmp_path / "page.html")
    assert outcome.status == 1
    text = is_self_contained((tmp_path / "page.html").read_text(encoding="utf-8")).text
    assert "Neural codec analysis of 2 files" in text
    assert "bad.wav not analysed: not an audio file" in text
    assert "good.wav" in text


@pytest.mark.parametrize("name", HOSTILE)
def test_a_name_cannot_take_the_page_over(name: str) -> None:
    error = {"path": name, "status": "error", "error": {"kind": "io", "message": name}}
    candidates = [{"codec": name, "score": 0.5, "taxonomy": {"vq": name}, "disagrees": ["vq"]}]
    page = analysis_page(
        content(
            analysis(name, findings=[{"message": name}], candidates=candidates),
            error,
            analysis(name),
        )
    )
    text = is_self_contained(page).text
    assert name.replace("\u202e", "\\u202e") in text
    assert "\u202e" not in page


def test_an_axis_of_unknown_class_and_codecs_that_fit() -> None:
    kind = {"vq": "MVQ", "aux": "None", "dec": "Time"}
    first = {"codec": "EnCodec", "score": 0.62, "taxonomy": kind, "disagrees": ["dec"]}
    result = analysis(candidates=[first])
    result["taxonomy"]["vq"] |= {"label": "unknown"}
    text = is_self_contained(analysis_page(content(result))).text
    assert "Vector quantisation (VQ): unknown" in text
    assert "Unlike the kinds that the model has learned" in text
    assert "Known codecs that it resembles" in text
    assert "EnCodec 0.620 MVQ, None, Time (differs: DEC)" in text
    assert "Known codecs that it resembles" not in analysis_page(content(analysis()))


@pytest.mark.parametrize(
    ("log10_lr", "verdict", "words"),
    [
        (2.0, "codec", "about 100 times as probable if the speech has passed through"),
        (-1.2, "bona_fide", "about 16 times as probable if the speech has not passed through"),
        (0.0, "inconclusive", "as probable with a neural codec as without one"),
    ],
)
def test_the_strength_of_the_evidence_in_words(log10_lr: float, verdict: str, words: str) -> None:
    page = analysis_page(content(analysis(log10_lr=log10_lr, verdict=verdict)))
    assert words in Reader(page).text
    assert ("if there was one" in page) == (verdict != "codec")


def test_no_answer_breaks_the_page() -> None:
    """No axes, no windows, a whole night of windows; odds beyond the scale."""
    bare = analysis(taxonomy={}, windows=0, log10_lr=9.0)
    night = analysis(windows=20_000)
    for result in (bare, night):
        page = analysis_page(content(result))
        is_self_contained(page)
    assert page.count("<rect") < 1000
    assert "mean of several pieces" in page


def test_times_are_written_as_people_do() -> None:
    assert [clock(s) for s in (0, 4.04, 59.96, 3723)] == ["0:00", "0:04", "1:00", "1:02:03"]


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
    (dot,) = re.findall(r'<circle class="ink" cx="([\d.]+)" cy="([\d.]+)"', page)
    (line,) = re.findall(r'<polyline class="line main" points="([^"]+)"', page)
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
