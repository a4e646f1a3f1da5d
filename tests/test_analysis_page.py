"""The page of an analysis: all that the answer says, and no name that takes it over."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from answers import ERROR, HEADER, analysis, axis
from codecsleuth.findings import Finding
from codecsleuth.inference.answer import Candidate, FileError, Record, Result, WindowAnswer
from codecsleuth.report.analysis_page import PageWriter, clock
from codecsleuth.report.summary import Summary
from codecsleuth.verdict import OUTCOMES, VERDICTS
from conftest import Outcome
from pages import HOSTILE, Reader, is_self_contained


def page_of(*results: Result) -> str:
    pieces: list[str] = []
    writer, summary = PageWriter(pieces.append), Summary()
    writer.begin(HEADER)
    for result in results:
        summary.add(result)
        writer.result(result)
    writer.end(summary)
    return "".join(pieces)


def windows(count: int) -> tuple[WindowAnswer, ...]:
    return tuple(WindowAnswer(2.0 * n, 2.0 * n + 4, (n % 5) / 4) for n in range(count))


def test_the_page_says_what_the_answer_says(
    analyze: Callable[..., Outcome], clip: Callable[..., Path], tmp_path: Path
) -> None:
    path = clip("witness.wav", seconds=9.0)
    outcome = analyze(path, "--json", "--report", tmp_path / "page.html")
    assert outcome.status == 0
    page = (tmp_path / "page.html").read_text(encoding="utf-8")
    text = is_self_contained(page).text
    result, model = outcome.result, outcome.document["model"]
    decided = any(one["severity"] == "decisive" for one in result["findings"])
    ratio = "No likelihood ratio is stated" if decided else str(result["log10_lr"])
    for words in (
        *("witness.wav", result["evidence"]["sha256"], model["sha256"], "WAV PCM_16", "9.00 s"),
        *("libsndfile", "float32"),
        *(ratio, "What this answer does not mean", "16000 Hz"),
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
    candidates = (Candidate(name, 0.5, Record(vq=name), ("vq",)),)
    findings = (Finding("kind", "warning", name),)
    odd = analysis(name, findings=findings, candidates=candidates)
    page = page_of(odd, FileError(name, "io", name), analysis(name))
    text = is_self_contained(page).text
    assert name.replace("\u202e", "\\u202e") in text
    assert "\u202e" not in page


def test_an_axis_of_unknown_class_and_codecs_that_fit() -> None:
    kind = Record(vq="MVQ", aux="None", dec="Time")
    unknown = axis("unknown", "MVQ", MVQ=0.4, SVQ=0.3, SQ=0.3)
    first = Candidate("EnCodec", 0.62, kind, ("dec",))
    result = analysis(candidates=(first,), taxonomy=Record(vq=unknown))
    text = is_self_contained(page_of(result)).text
    assert "Vector quantisation (VQ): unknown" in text
    assert "Unlike the kinds that the model has learned" in text
    assert "Known codecs that it resembles" in text
    assert "EnCodec 0.620 MVQ, None, Time (differs: DEC)" in text
    assert "Known codecs that it resembles" not in page_of(analysis(candidates=()))


@pytest.mark.parametrize(
    ("log10_lr", "verdict", "words"),
    [
        (2.0, "codec", "about 100 times as probable if the speech has passed through"),
        (-1.2, "bona_fide", "about 16 times as probable if the speech has not passed through"),
        (0.0, "inconclusive", "as probable with a neural codec as without one"),
    ],
)
def test_the_strength_of_the_evidence_in_words(log10_lr: float, verdict: str, words: str) -> None:
    page = page_of(analysis(log10_lr=log10_lr, verdict=verdict))
    assert words in Reader(page).text
    assert ("if there was one" in page) == (verdict != "codec")


def test_no_answer_breaks_the_page() -> None:
    """No axes, no windows, a whole night of windows; odds beyond the scale."""
    bare = analysis(taxonomy=Record(), windows=(), log10_lr=9.0)
    night = analysis(windows=windows(20_000))
    for result in (bare, night):
        page = page_of(result)
        is_self_contained(page)
    assert page.count("<rect") < 1000
    assert "mean of several pieces" in page


def test_times_are_written_as_people_do() -> None:
    assert [clock(s) for s in (0, 4.04, 59.96, 3723)] == ["0:00", "0:04", "1:00", "1:02:03"]


@pytest.mark.parametrize("one", VERDICTS, ids=lambda one: one.name)
def test_every_verdict_has_its_words_and_its_colour(one: Any) -> None:
    page = page_of(analysis(verdict=one.name), ERROR, analysis(verdict=one.name))
    text = is_self_contained(page).text
    assert f"2 {one.words} 1 not analysed" in text
    assert f'class="verdict {one.name}"' in page
    assert f".verdict.{one.name} {{ border-color" in page
    assert all(f"--{other.name}: {other.colour[0]}" in page for other in OUTCOMES)
    assert ("if there was one" in page) == (not one.states_codec)
