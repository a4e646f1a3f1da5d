"""The page as a statement: who examined what, two propositions, the evidence and its limit."""

from __future__ import annotations

import base64
import io
import re
import struct
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from codecsleuth import verdict
from codecsleuth.arrays import Samples
from codecsleuth.errors import UsageError
from codecsleuth.findings import finding
from codecsleuth.inference.spectra import SpectraMeter
from codecsleuth.report import analysis_page as pages
from codecsleuth.report.analysis_page import analysis_page
from codecsleuth.report.case import Case, read_case
from codecsleuth.report.pictures import png
from codecsleuth.report.statement import error_rates
from codecsleuth.taxonomy import families_by_frame_rate
from conftest import Outcome, speech_like
from pages import HOSTILE, Reader, is_self_contained

CASE = """
case = "2026-0142"
exhibit = "A-7"
examiner = "R. Example <Audio>"
date = 2026-11-24
notes = "By courier."
[exhibits]
"call.wav" = "A-7/2"
"""


def entry(path: str = "call.wav", name: str = "codec", **changes: Any) -> dict[str, Any]:
    windows = changes.pop("windows", 3)
    evidence = {"sha256": "d" * 64, "bytes": 123456, "container": "WAV", "coding": "PCM_16"}
    evidence |= {"sample_rate": 16000, "channels": 1, "duration_s": 8.0, "speech_s": 6.5}
    return {
        "path": path,
        "status": "ok",
        "evidence": evidence | {"decoder": "libsndfile 1.2.2"},
        "verdict": name,
        "probabilities": {"codec": 0.9, "vocoder": None, "bona_fide": 0.1},
        "codec_probability": 0.9,
        "log10_lr": 1.3542,
        "log10_lr_neural": None,
        "log10_lr_limit": 3.1319,
        "taxonomy": {},
        "familiarity": None,
        "candidates": [],
        "passages": [
            {"start_s": 0.0, "end_s": 8.0, "verdict": "codec", "codec_probability": 0.9},
        ],
        "windows": [
            {"start_s": 2.0 * n, "end_s": 2.0 * n + 4, "codec_probability": (n % 5) / 4}
            for n in range(windows)
        ],
        "explanation": {"blocks": {"fine": 1.5, "combs": -0.2458, "base": 0.1, "limit": 0.0}},
        "findings": [],
        **changes,
    }


def error(path: str = "bad.wav") -> dict[str, Any]:
    stated = {"kind": "format", "message": "not an audio file"}
    return {"path": path, "status": "error", "evidence": {}, "error": stated}


def document(*entries: dict[str, Any], **model: Any) -> dict[str, Any]:
    settings = {"sample_rate": 16000, "window_s": 4.0375, "hop_s": 2.01875, "device": "cpu"}
    settings |= {"codec_threshold": 0.8, "bona_fide_threshold": 0.2}
    return {
        "tool": {"name": "codecsleuth", "version": "1.2.3"},
        "model": {"name": "compact", "version": "1", "sha256": "e" * 64, **model},
        "settings": settings,
        "summary": {"left_out": {}},
        "results": list(entries),
    }


def page_of(*entries: dict[str, Any]) -> str:
    return analysis_page(document(*entries))


@pytest.fixture
def case_file(tmp_path: Path) -> Callable[[str], Path]:
    def write(text: str) -> Path:
        path = tmp_path / "case.toml"
        path.write_text(text, encoding="utf-8")
        return path

    return write


def test_the_first_page_is_a_statement(case_file: Callable[[str], Path]) -> None:
    page = analysis_page(document(entry()), read_case(case_file(CASE)))
    read = is_self_contained(page)
    for words in (
        *("Case 2026-0142", "Exhibit A-7/2", "Examiner R. Example <Audio>", "Date 2026-11-24"),
        *("Notes By courier.", "call.wav", "d" * 64, "123,456 bytes", "WAV PCM_16"),
        *("8.00 s, 6.50 s of speech", "libsndfile 1.2.2"),
        *("The speech passed through a neural audio codec's decoder.", "It did not."),
        *("23 : 1 (log10 1.3542)", "moderate support for a neural codec"),
        *("no ratio beyond 1,400 in either direction (log10 3.1319)", "see the model card"),
    ):
        assert words in read.text, words
    statement, behind = page.split('class="behind"')
    assert "What this answer does not mean" in statement
    assert "Along the recording" in behind
    assert "script" not in read.tags


def test_a_ratio_at_the_limit_says_so() -> None:
    assert "stands at that limit" not in page_of(entry())
    assert "stands at that limit" in page_of(entry(log10_lr=-3.1319, verdict="bona_fide"))


@pytest.mark.parametrize(
    ("kind", "facts"), [("no_speech", {"seconds": 0.1}), ("not_calibrated", {})]
)
def test_no_ratio_is_stated_where_it_would_mean_nothing(kind: str, facts: dict[str, Any]) -> None:
    noticed = finding(kind, **facts).to_dict()
    for entries in ((), (entry(),)):
        page = page_of(entry("odd.wav", "inconclusive", findings=[noticed]), *entries)
        text = is_self_contained(page).text
        assert text.count("No likelihood ratio is stated") == 2
        assert noticed["message"] in text
        assert text.count("1.3542") == 2 * len(entries)


def test_a_recording_gets_the_number_of_its_hash_path_or_name() -> None:
    numbers = {"d" * 64: "H", "folder/b.wav": "P", "c.wav": "N"}
    case = Case(exhibit="all", exhibits=numbers)
    assert case.exhibit_of("c.wav", "d" * 64) == "H"
    assert case.exhibit_of("folder/b.wav", "0" * 64) == "P"
    assert case.exhibit_of("other/c.wav") == "N"
    assert case.exhibit_of("x.wav") == "all"


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        ("case = 7", "case must be text in quotes"),
        ("date = 7", "date must be a date such as 2026-11-24"),
        ('examinar = "x"', "unknown key 'examinar'; the keys are case,"),
        ('exhibits = "A"', "exhibits must be a table"),
        ("[exhibits]\n'a.wav' = 1", "exhibits.'a.wav' must be text in quotes"),
        ("case = ", "not TOML"),
    ],
)
def test_a_case_file_is_read_strictly(
    case_file: Callable[[str], Path], text: str, wrong: str
) -> None:
    path = case_file(text)
    with pytest.raises(UsageError) as caught:
        read_case(path)
    assert str(caught.value).startswith(f"--case {path}: ")
    assert wrong in str(caught.value)
    assert "\n" not in str(caught.value)


def test_options_of_the_page_need_a_page(
    analyze: Callable[..., Outcome], clip: Callable[..., Path], case_file: Callable[[str], Path]
) -> None:
    path = clip("a.wav")
    for options in (["--case", case_file(CASE)], ["--embed-audio"]):
        outcome = analyze(path, *options)
        assert outcome.status == 2
        assert f"{options[0]} is for the page of --report" in outcome.err
    outcome = analyze(path, "--report", path.parent / "p.html", "--case", "nowhere.toml")
    assert (outcome.status, "nowhere.toml: No such file" in outcome.err) == (2, True)


@pytest.mark.parametrize("row", verdict.VERDICTS, ids=lambda row: row.name)
@pytest.mark.parametrize("batch", [False, True])
def test_every_verdict_has_a_page(row: verdict.Verdict, batch: bool) -> None:
    page = page_of(entry(name=row.name, log10_lr_neural=2.0), *[error()] * batch)
    read = is_self_contained(page)
    assert row.words.casefold() in read.text.casefold()
    assert "strong support for neural synthesis" in read.text or row.name == "bona_fide"
    assert f"--{row.name}: {row.colour[0]};" in page and f"--{row.name}: {row.colour[1]};" in page


def contrast(one: str, other: str) -> float:
    """Contrast of two colours (Web Content Accessibility Guidelines 2.2, 1.4.3)."""

    def luminance(colour: str) -> float:
        digits = colour.lstrip("#")
        digits = "".join(d * 2 for d in digits) if len(digits) == 3 else digits
        shares = [int(digits[i : i + 2], 16) / 255 for i in (0, 2, 4)]
        linear = [s / 12.92 if s <= 0.04045 else ((s + 0.055) / 1.055) ** 2.4 for s in shares]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


def test_text_can_be_read_on_light_and_on_dark_ground() -> None:
    page = page_of(entry())
    grounds = [dict(re.findall(r"--([a-z_-]+): (#\w+)", part)) for part in page.split("@media")[:2]]
    for colours in grounds:
        names = ("ink", "soft", "link", *(one.name for one in verdict.OUTCOMES))
        for name in names:
            for ground in ("paper", "wash"):
                assert contrast(colours[name], colours[ground]) >= 4.5, (name, ground)
        assert contrast(colours["ink"], colours["alert"]) >= 4.5


def test_a_batch_is_sorted_by_evidence_and_short_where_there_is_no_trace() -> None:
    page = page_of(
        entry("none.wav", "bona_fide", log10_lr=-2.0),
        error(),
        entry("weak.wav", log10_lr=1.0),
        entry("mixed.wav", "mixed", log10_lr=-1.0),
        entry("strong.wav", log10_lr=3.0),
        entry("open.wav", "inconclusive", log10_lr=0.3),
    )
    text = is_self_contained(page).text
    names = ("strong.wav", "weak.wav", "mixed.wav", "open.wav", "none.wav", "bad.wav")
    places = [text.index(f"{number}. {name}") for number, name in enumerate(names, start=1)]
    assert places == sorted(places)
    assert "2 passed through a neural codec" in text and "1 not analysed" in text
    for section in page.split('<section class="file')[1:]:
        assert ("<details><summary><h2" in section) == ("none.wav" in section)


def test_a_batch_can_be_read_without_the_script() -> None:
    page = page_of(entry("one.wav"), entry("two.wav"))
    read = is_self_contained(page)
    assert "script" in read.tags
    # What the script adds is not there without it; what it sorts and filters is.
    assert not {"input", "select", "button"} & set(read.tags)
    assert read.text.count("one.wav") >= 2


@pytest.mark.parametrize("name", HOSTILE)
def test_no_text_takes_the_page_over(name: str) -> None:
    hostile = entry(name, findings=[{"kind": "x", "severity": name, "message": name}])
    hostile["explanation"] = {"blocks": {name: 1.0}}
    case = Case(name, name, name, name, name)
    for entries in ((hostile,), (hostile, {**error(name), "path": name})):
        page = analysis_page(document(*entries, name=name), case)
        read = is_self_contained(page)
        assert read.text.count(name.replace("\u202e", "\\u202e")) >= 8
        assert "\u202e" not in page


def test_headings_tables_and_drawings_are_named() -> None:
    for entries in ((entry(),), (entry(), error(), entry(name="bona_fide"))):
        page = page_of(*entries)
        read = Reader(page)
        levels = [int(tag[1]) for tag in read.tags if re.fullmatch(r"h[1-6]", tag)]
        assert levels[0] == 1 and levels.count(1) == 1
        assert all(after - before <= 1 for before, after in pairwise(levels))
        assert read.tags.count("main") == 1 and "header" in read.tags
        drawings = page.count("<svg")
        assert page.count('role="img" aria-label="') == drawings > 0
        identifiers = re.findall(r' id="([^"]+)"', page)
        assert len(identifiers) == len(set(identifiers))


def test_a_long_night_makes_a_small_page() -> None:
    passages = [
        {"start_s": 4.0 * n, "end_s": 4.0 * n + 4, "verdict": "codec", "codec_probability": 0.9}
        for n in range(10_000)
    ]
    page = page_of(entry(windows=20_000, passages=passages))
    is_self_contained(page)
    assert len(page) < 250_000
    assert "And 9900 more" in page


def test_a_model_of_three_classes_weighs_neural_speech_of_either_kind() -> None:
    vocoder = {"start_s": 0.0, "end_s": 4.0, "codec_probability": 0.1, "vocoder_probability": 0.85}
    result = entry(name="vocoder", log10_lr_neural=1.5)
    made = document({**result, "windows": [vocoder]}, classes=["codec", "vocoder", "bona fide"])
    made["settings"] |= {"vocoder_threshold": 0.7, "neural_threshold": 0.6}
    page = analysis_page(made)
    text = is_self_contained(page).text
    assert "no other neural synthesis or neural processing" in text
    assert "Neural synthesis of any kind 32 : 1 (log10 1.5), moderate support" in text
    assert '<g fill="var(--vocoder)"><title>0:00 to 0:04: 0.950</title>' in page


def test_a_part_of_a_recording_is_named_and_stands_at_its_own_time() -> None:
    part = {"start_s": 100.0, "end_s": 108.0, "channel": 2, "track": 1}
    passage = {"start_s": 100.0, "end_s": 108.0, "verdict": "codec", "codec_probability": 0.9}
    page = page_of(entry(excerpt=part, windows=0, passages=[passage]), entry())
    text = is_self_contained(page).text
    assert text.count("call.wav (from 100 to 108 s, channel 2)") == 2
    assert "Part examined from 100 to 108 s, channel 2" in text
    assert "1:40" in text and "Passage 1:40 to 1:48" in text
    assert '<rect class="piece" x="0.0" width="900.0"' in page


def test_error_rates_of_the_condition_are_quoted_with_their_source() -> None:
    rates = {"false_alarms": 0.033, "misses": 0.076, "inconclusive": 0.21, "clips": 4510}
    noise = {"name": "noise-20dB", "false_alarms": 0.039, "misses": 0.129}
    performance = {"held_out": rates, "conditions": [noise]}
    noisy = entry(findings=[finding("noisy", range=9.0).to_dict()])
    text = Reader(analysis_page(document(noisy, performance=performance))).text
    assert "false alarms 3.3 %, misses 7.6 %, inconclusive 21 %, 4,510 clips" in text
    assert "condition “noise-20dB” (for: noisy) false alarms 3.9 %, misses 12.9 %" in text
    assert "the weights compact 1 carry" in text
    assert len(error_rates(performance, entry())) == 1


def test_what_carried_the_answer_adds_up() -> None:
    text = Reader(page_of(entry())).text
    assert "the terms add up to 1.3542" in text
    assert "fine lines at fixed frequencies +1.50" in text
    assert "combs modulation at multiples of frame rates -0.25" in text
    assert "What carried" not in page_of(entry(explanation={"blocks": {}}))


def spectra_of(samples: Samples, **spans: Any) -> Any:
    meter = SpectraMeter(len(samples) / 16_000, **spans)
    for start in range(0, len(samples), 5_000):
        meter.add(samples[start : start + 5_000])
    return meter.spectra()


def test_lines_and_frame_rates_that_stand_out_are_named() -> None:
    """A tone at 3 kHz, and noise that a frame rate of 75 Hz modulates."""
    time = np.arange(16 * 16_000) / 16_000
    noise = np.random.default_rng(1).standard_normal(len(time))
    plain = (0.05 * noise).astype(np.float32)
    pulses = 1 + 0.5 * sum(np.cos(2 * np.pi * 75 * n * time) for n in range(1, 4))
    made = (plain * pulses + 0.02 * np.sin(2 * np.pi * 3_000 * time)).astype(np.float32)
    nothing = spectra_of(plain)
    assert nothing.frame_rate is None and not nothing.lines
    spectra = spectra_of(made)
    assert spectra.frame_rate.rate_hz == 75
    assert "EnCodec" in spectra.frame_rate.families
    assert [round(line.frequency_hz) for line in spectra.lines] == [3_000]
    # A splice: only the part that is asked for is measured.
    joined = np.concatenate([plain, made])
    assert spectra_of(joined, spans=[(0.0, 16.0)]).frame_rate is None
    assert spectra_of(joined, spans=[(16.0, 32.0)]).frame_rate.rate_hz == 75
    assert spectra_of(np.zeros(64_000, np.float32)) is None


def test_a_spectrogram_is_a_small_image() -> None:
    spectra = spectra_of(speech_like(90.0))
    image = png(spectra.spectrogram)
    assert image.startswith(b"\x89PNG\r\n\x1a\n")
    assert struct.unpack(">II", image[16:24]) == spectra.spectrogram.shape[::-1]
    assert len(image) < 45_000


def test_frame_rates_of_the_catalogue_are_plausible() -> None:
    rates = families_by_frame_rate()
    assert list(rates) == sorted(rates)
    assert "EnCodec" in rates[75.0] and "Mimi" in rates[12.5]
    assert all(5 < rate <= 200 and families for rate, families in rates.items())


def test_the_page_of_a_run_shows_the_sound_and_is_the_same_again(
    analyze: Callable[..., Outcome],
    clip: Callable[..., Path],
    case_file: Callable[[str], Path],
    tmp_path: Path,
) -> None:
    path, case = clip("call.wav", seconds=9.0), case_file(CASE)
    pages = [tmp_path / "one.html", tmp_path / "two.html"]
    for page in pages:
        assert analyze(path, "--report", page, "--case", case, "--embed-audio").status == 0
    assert pages[0].read_bytes() == pages[1].read_bytes()
    text = pages[0].read_text(encoding="utf-8")
    read = is_self_contained(text)
    assert {"image", "audio"} <= set(read.tags)
    assert "Fine spectrum" in read.text and "Cyclic spectrum" in read.text
    (sound,) = re.findall(r'"data:audio/flac;base64,([^"]+)"', text)
    samples, rate = soundfile.read(io.BytesIO(base64.b64decode(sound)))
    assert (rate, len(samples)) == (16_000, 9 * 16_000)


def test_a_page_holds_so_many_minutes_of_audio_at_most(
    analyze: Callable[..., Outcome],
    clip: Callable[..., Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert pages.MOST_AUDIO_S == 600
    monkeypatch.setattr(pages, "MOST_AUDIO_S", 6.0)
    path = clip("long.wav", seconds=6.5)
    outcome = analyze(path, "--report", tmp_path / "p.html", "--embed-audio")
    assert outcome.status == 0
    assert f"--embed-audio: {path} left out; a page holds at most 0.1 minutes" in outcome.err
    assert "<audio" not in (tmp_path / "p.html").read_text(encoding="utf-8")
