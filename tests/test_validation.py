"""Validation for casework: what a laboratory learns from its own recordings, and what it keeps."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import pytest

from codecsleuth import cli
from codecsleuth.calibration import Calibration
from codecsleuth.data.items import BONA_FIDE, SPOOF, VOCODER, Item
from codecsleuth.evaluation.scores import ScoreTable
from codecsleuth.evaluation.validation import Validation
from codecsleuth.evaluation.validation_document import validation_document
from codecsleuth.inference.recalibration import Recalibration
from codecsleuth.report.validation_page import validation_page
from conftest import ROOT, Outcome, score_file
from test_pages import is_self_contained

SCHEMA = json.loads((ROOT / "docs/schema/validation.schema.json").read_text("utf-8"))
CODEC_AND_NONE = "codec_against_bona_fide"
THREE = ("codec", "vocoder", "bona fide")


def item(row: int, label: str, source: str) -> Item:
    name = f"{row}.wav"
    return Item(row, name, Path(name), "test", label, None, None, None, group=name, source=source)


def validation(
    sources: int = 40,
    clips: int = 4,
    *,
    shift: float = 0.0,
    scale: float = 1.0,
    clusters: float = 0.0,
    **options: Any,
) -> Validation:
    """A model whose log-odds are normal and, without shift and scale, perfectly calibrated.

    Normal log likelihood ratios are calibrated where the mean is half the variance.
    """
    random = np.random.default_rng(5)
    labels = np.repeat([SPOOF, BONA_FIDE], sources * clips)
    names = [
        f"{label} {n // clips}" for label in (SPOOF, BONA_FIDE) for n in range(sources * clips)
    ]
    common = dict(zip(dict.fromkeys(names), random.normal(0, 1, 2 * sources), strict=True))
    own = random.normal(0, 2.0, len(labels)) * np.sqrt(1 - clusters)
    noise = own + np.sqrt(clusters) * 2.0 * np.array([common[name] for name in names])
    odds = scale * (np.where(labels == SPOOF, 2.0, -2.0) + noise) + shift
    items = [
        item(n + 2, label, name) for n, (label, name) in enumerate(zip(labels, names, strict=True))
    ]
    logits = [{"BIN": np.array([value, 0.0])} for value in odds]
    calibration = Calibration(codec_threshold=0.8, bona_fide_threshold=0.2)
    run = score_file(ScoreTable.of(items, logits), calibration, notes=[])
    return Validation(run, draws=options.pop("draws", 100), **options)


def figures(document: dict[str, Any]) -> dict[str, Any]:
    return document["comparisons"][CODEC_AND_NONE]


def test_calibrated_scores_lose_little_and_shifted_ones_what_recalibration_brings_back() -> None:
    good = figures(validation_document(validation())["performance"])
    assert good["cllr_cal"] < 0.06
    bad = validation_document(validation(shift=4.0, scale=2.0, refit=True))
    before, after = figures(bad["performance"]), figures(bad["recalibrated"]["performance"])
    assert before["cllr_cal"] > 0.4
    assert after["cllr_cal"] < 0.1
    assert after["cllr"] < before["cllr"] - 0.4
    part = bad["recalibrated"]["parts"]["bin"]
    assert part == {"scale": pytest.approx(0.5, abs=0.1), "bias": pytest.approx(-2.0, abs=0.4)}


def test_each_source_is_measured_with_a_fit_that_it_had_no_part_in() -> None:
    one = validation(shift=3.0, refit=True)
    for calibration, left_out in one.folds:
        rest = one.scores.chosen(~left_out)
        out = {of.source for of, chosen in zip(one.scores.items, left_out, strict=True) if chosen}
        assert out.isdisjoint(of.source for of in rest.items)
        assert calibration.bin_bias == pytest.approx(-3.0, abs=0.8)
    assert np.sum([left_out for _, left_out in one.folds], axis=0).tolist() == [1] * 320


def test_the_limits_go_by_sources_and_not_by_clips() -> None:
    few = validation(sources=6, clips=60, refit=True).recalibration
    many = validation(sources=90, clips=4, refit=True).recalibration
    assert few is not None and many is not None
    assert few.clips == many.clips
    assert few.log10_lr_limits[1] <= np.log10(6 + 1) + 0.01
    assert many.log10_lr_limits[1] > few.log10_lr_limits[1] + 0.3
    assert many.log10_lr_limits[0] < few.log10_lr_limits[0] - 0.3


def test_clips_that_resemble_those_of_their_source_make_intervals_wider() -> None:
    spans = [
        np.diff(validation_interval)[0]
        for clusters in (0.0, 0.9)
        for validation_interval in [
            figures(validation_document(validation(12, 20, clusters=clusters))["performance"])[
                "intervals"
            ]["cllr"]
        ]
    ]
    assert spans[1] > 1.5 * spans[0]


def test_refusals_are_in_the_denominator() -> None:
    sure = validation(sources=12)
    unreadable = tuple(item(900 + n, BONA_FIDE, "broken") for n in range(48))
    with_refusals = validation(sources=12, unreadable=unreadable)
    before, after = sure.performance, with_refusals.performance
    assert before.false_alarms.count == after.false_alarms.count > 0
    assert (before.false_alarms.of, after.false_alarms.of) == (48, 96)
    assert after.false_alarms.share == pytest.approx(before.false_alarms.share / 2)
    more = after.inconclusive["bona_fide"].count - before.inconclusive["bona_fide"].count
    assert more == after.outcomes["bona_fide"]["unanalysable"] == 48
    assert sum(after.outcomes["bona_fide"].values()) == 96


def test_no_error_among_few_sources_is_no_proof_of_none() -> None:
    rate = validation(sources=5, clips=40, shift=-30.0).performance.false_alarms
    assert rate.count == 0
    assert rate.interval[1] > 0.3


def test_a_verdict_that_a_finding_took_away_stays_away() -> None:
    one = validation(sources=12, shift=5.0, refit=True)
    run = one.run
    scores = ScoreTable(run.scores.items, run.scores.logits, ("inconclusive",) * 96)
    silenced = Validation(type(run)(scores, run.provenance), refit=True, draws=0)
    assert silenced.recalibrated is not None
    kept = silenced.recalibrated.outcomes["codec"]["inconclusive"]
    assert kept > one.recalibrated.outcomes["codec"]["inconclusive"]  # type: ignore[union-attr]


def test_too_few_sources_or_clips_are_warned_of() -> None:
    assert "fewer" not in " ".join(validation(sources=40, draws=0).warnings)
    warnings = " ".join(validation(sources=4, clips=5, draws=0).warnings)
    assert "4 sources, fewer than 10" in warnings and "20 clips, fewer than 50" in warnings


def test_a_model_of_three_classes_is_validated_on_every_comparison_that_it_states() -> None:
    random = np.random.default_rng(0)
    items, logits = [], []
    for place, label in enumerate((SPOOF, VOCODER, BONA_FIDE)):
        for n in range(40):
            items.append(item(len(items) + 2, label, f"{label} {n // 4}"))
            logits.append({"BIN": random.normal(0, 1, 3) + 3.0 * (np.arange(3) == place)})
    run = score_file(ScoreTable.of(items, logits), Calibration(classes=THREE), notes=[])
    document = validation_document(Validation(run, refit=True, draws=20))
    jsonschema.validate(document, SCHEMA)
    assert list(document["performance"]["comparisons"]) == [
        CODEC_AND_NONE,
        "neural_against_bona_fide",
        "codec_against_vocoder",
    ]
    assert set(document["recalibrated"]["parts"]) == {"bin", "neural", "source"}
    lower, upper = document["recalibrated"]["log10_lr_limits"]
    assert -np.log10(11) - 0.01 <= lower < 0 < upper <= np.log10(11) + 0.01


def test_the_page_needs_nothing_else_and_shows_the_plots() -> None:
    read = is_self_contained(validation_page(validation(shift=1.0, refit=True)))
    for title in ("Tippett plot", "PAV plot", "Reliability", "Detection error trade-off"):
        assert read.text.count(title) >= 2, title
    assert "over sources, not over clips" in read.text


Run = Callable[..., Outcome]


@pytest.fixture
def laboratory(clip: Callable[..., Path], tmp_path: Path) -> Path:
    """Two folders of recordings: three phones, two clips of each label from each."""
    for number in range(6):
        clip(f"lab/codec/phone {number % 3}/{number}.wav", 1.5, seed=number)
        clip(f"lab/bona_fide/phone {number % 3}/{number}.wav", 1.5, seed=50 + number)
    return tmp_path / "lab"


@pytest.fixture
def validate(weights_path: Path, capsysbinary: Any) -> Run:
    def call(*words: object, model: object = weights_path) -> Outcome:
        capsysbinary.readouterr()
        status = cli.run(["validate", "--model", str(model), "--bootstrap", "20", *map(str, words)])
        out, err = capsysbinary.readouterr()
        return Outcome(status, out.decode(), err.decode())

    return call


def test_two_folders_are_validated_and_give_a_calibration_that_answers_name(
    validate: Run, laboratory: Path, tmp_path: Path, analyze: Run
) -> None:
    files = tmp_path / "lab.json", tmp_path / "lab.html"
    options = ["--calibration-out", files[0], "--report", files[1]]
    outcome = validate("--data", laboratory, "--json", *options)
    assert outcome.status == 0, outcome.err
    document = outcome.document
    jsonschema.validate(document, SCHEMA)
    assert document["labels"] == {n: {"clips": 6, "sources": 3} for n in ("codec", "bona_fide")}
    fitted = Recalibration.read(files[0])
    assert list(fitted.log10_lr_limits) == document["recalibrated"]["log10_lr_limits"]
    assert fitted.model["sha256"] == document["model"]["sha256"]
    first = files[0].read_bytes()
    assert validate("--data", laboratory, *options, "--force").status == 0
    assert files[0].read_bytes() == first
    sample = laboratory / "codec" / "phone 0" / "0.wav"
    answer = analyze(sample, "--json", "--calibration", files[0]).document
    assert answer["settings"]["calibration"]["sha256"] == fitted.sha256
    again = validate("--data", laboratory, "--json", "--calibration", files[0]).document
    jsonschema.validate(again, SCHEMA)
    named = {"sha256": fitted.sha256, "clips": 12, "sources": 6}
    assert again["settings"]["calibration"] == named
    low, high = figures(again["performance"])["log10_lr_range"]
    assert fitted.log10_lr_limits[0] <= low <= high <= fitted.log10_lr_limits[1]


def test_a_recording_that_cannot_be_analysed_is_counted(validate: Run, laboratory: Path) -> None:
    (laboratory / "bona_fide" / "phone 9").mkdir()
    (laboratory / "bona_fide" / "phone 9" / "broken.wav").write_bytes(b"RIFF and no more")
    (laboratory / "codec" / "notes.txt").write_text("not audio")
    outcome = validate("--data", laboratory, "--json")
    assert outcome.status == 1 and "broken.wav" in outcome.err and "not audio" in outcome.err
    document = outcome.document
    assert document["labels"]["bona_fide"] == {"clips": 7, "sources": 4}
    assert document["performance"]["outcomes"]["bona_fide"]["unanalysable"] == 1
    assert document["performance"]["false_alarms"]["of"] == 7


def test_recordings_without_a_source_are_warned_of(
    validate: Run, clip: Any, laboratory: Path
) -> None:
    clip("lab/codec/loose.wav", 1.5)
    outcome = validate("--data", laboratory)
    assert "1 clips without a source" in " ".join(outcome.out.split())
    assert max(map(len, outcome.out.splitlines())) <= 80


def test_a_table_is_read_as_evaluate_reads_it(validate: Run, laboratory: Path) -> None:
    rows = ["file,split,label,vq,aux,dec,source"]
    for label, folder in ((SPOOF, "codec"), (BONA_FIDE, "bona_fide")):
        for number in range(4):
            file = f"{folder}/phone {number % 3}/{number}.wav"
            rows.append(f"{file},dev,{label},,,,page {number % 2}")
    (laboratory / "items.csv").write_text("\n".join(rows) + "\n")
    document = validate("--data", laboratory, "--json").document
    assert document["labels"] == {n: {"clips": 4, "sources": 2} for n in ("codec", "bona_fide")}


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--data", "{lab}", "--calibration", "{lab}", "--calibration-out", "{lab}.json"], "leave"),
        (["--data", "{lab}/codec"], "two folders 'codec' and 'bona_fide'"),
        (["--data", "{lab}", "--force"], "--force is for"),
        (["--data", "{lab}", "-o", "{lab}/codec/phone 0/0.wav", "--force"], "is an input"),
        (["--data", "{lab}", "--calibration", "{lab}/none.json"], "none.json: cannot be read"),
    ],
)
def test_wrong_use_is_one_line(
    validate: Run, laboratory: Path, words: list[str], said: str
) -> None:
    outcome = validate(*(word.format(lab=laboratory) for word in words))
    assert outcome.status in (1, 2) and outcome.out == ""
    assert said in outcome.err and outcome.err.count("\n") == 1


def test_one_source_a_label_cannot_be_measured_apart(
    validate: Run, clip: Any, tmp_path: Path
) -> None:
    for number in range(3):
        clip(f"lab/codec/a/{number}.wav", 1.5, seed=number)
        clip(f"lab/bona_fide/b/{number}.wav", 1.5, seed=9 + number)
    out = tmp_path / "out.json"
    outcome = validate("--data", tmp_path / "lab", "--calibration-out", out)
    assert outcome.status == 1 and "too few sources" in outcome.err and not out.exists()
