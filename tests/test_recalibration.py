"""A laboratory's recalibration: kept in a file, applied to answers, named by them, of one model."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import jsonschema
import numpy as np
import pytest

import codecsleuth
from codecsleuth import cli
from codecsleuth.arrays import LN10
from codecsleuth.inference.model import Model
from codecsleuth.inference.recalibration import Affine, Recalibration
from conftest import ROOT


def recalibration(model: Model, **changes) -> Recalibration:
    facts = {name: getattr(model, name) for name in ("name", "version", "sha256")}
    made = Recalibration(
        model=facts,
        parts={"bin": Affine(0.5, 0.25)},
        log10_lr_limits=(-0.9, 1.1),
        clips={"bona_fide": 60, "codec": 50},
        sources={"bona_fide": 12, "codec": 10},
    )
    return replace(made, **changes)


@pytest.fixture
def file(model: Model, tmp_path: Path) -> Path:
    path = tmp_path / "laboratory.json"
    recalibration(model).write(path)
    return path


def test_answers_are_recalibrated_limited_and_name_the_file(analyze, clip, file, model):
    before = analyze(clip("a.wav"), "--json").document
    after = analyze(clip("a.wav"), "--json", "--calibration", file).document
    read = Recalibration.read(file)
    named = {"sha256": read.sha256, "clips": 110, "sources": 22}
    assert after["settings"] == {**before["settings"], "calibration": named}
    old, new = before["results"][0], after["results"][0]
    expected = 0.5 * old["log10_lr"] + 0.25 / LN10
    assert new["log10_lr"] == pytest.approx(np.clip(expected, -0.9, 1.1), abs=1e-3)
    assert new["log10_lr_limit"] == (1.1 if new["log10_lr"] >= 0 else 0.9)
    assert sum(new["explanation"]["blocks"].values()) == pytest.approx(new["log10_lr"], abs=1e-2)
    schema = json.loads((ROOT / "docs/schema/analysis.schema.json").read_text("utf-8"))
    jsonschema.validate(after, schema, jsonschema.Draft202012Validator)


def test_the_library_applies_it_as_well(file, weights_path, clip, analyze):
    model = codecsleuth.load_model(weights_path, calibration=file)
    answer = model.analyze(clip("a.wav"))
    stated = analyze(clip("a.wav"), "--json", "--calibration", file).result
    assert answer.to_dict() == stated | {"path": answer.path}
    assert model.recalibration == Recalibration.read(file)
    with pytest.raises(codecsleuth.UsageError, match="already"):
        model.with_calibration(model.recalibration)


def test_a_limit_that_the_laboratory_cannot_support_takes_the_verdict_away(model):
    odds = np.array([[0.0, 9.0], [9.0, 0.0]])
    strong = recalibration(model, parts={"bin": Affine(1.0, 0.0)})
    weak = replace(strong, log10_lr_limits=(-0.1, 0.1))
    for one, verdicts in ((strong, {"codec", "bona_fide"}), (weak, {"inconclusive"})):
        calibration = one.applied(model.calibration)
        columns = calibration.probabilities(odds)
        rows = [{name: float(p[row]) for name, p in columns.items()} for row in (0, 1)]
        assert {calibration.verdict(row) for row in rows} == verdicts


def test_the_time_line_does_not_go_blind_by_the_limits(model):
    odds = np.array([[0.0, 3.0], [3.0, 0.0]])
    limited = recalibration(model, parts={"bin": Affine()}, log10_lr_limits=(-0.1, 0.1))
    kept = limited.applied(model.calibration).trace_log_odds(odds)
    assert kept == pytest.approx(model.calibration.trace_log_odds(odds))


def test_a_calibration_of_other_weights_is_refused_in_one_line(analyze, clip, file, model):
    other = replace(model, sha256="0" * 64)
    recalibration(other).write(file)
    outcome = analyze(clip("a.wav"), "--calibration", file)
    assert (outcome.status, outcome.out) == (2, "")
    assert outcome.err.count("\n") == 1
    assert "other weights" in outcome.err and "000000000000" in outcome.err


@pytest.mark.parametrize(
    "damage",
    [
        lambda text: "",
        lambda text: "[]",
        lambda text: text.replace("calibration/1", "calibration/9"),
        lambda text: text.replace('"bin"', '"bins"'),
        lambda text: text.replace("0.5", "-0.5"),
        lambda text: text.replace("-0.9", "0.9"),
        lambda text: text.replace('"clips"', '"clops"'),
    ],
)
def test_a_damaged_file_is_refused_in_one_line(analyze, clip, file, damage):
    file.write_text(damage(file.read_text()))
    outcome = analyze(clip("a.wav"), "--calibration", file)
    assert (outcome.status, outcome.out, outcome.err.count("\n")) == (2, "", 1)
    assert str(file) in outcome.err


def test_no_output_replaces_the_calibration(analyze, clip, file):
    before = file.read_bytes()
    outcome = analyze(clip("a.wav"), "--calibration", file, "--json", "-o", file, "--force")
    assert outcome.status == 2 and file.read_bytes() == before


def test_evaluate_measures_the_recalibrated_model_and_says_so(
    clip, weights_path, file, tmp_path, capsys
):
    rows = ["file,split,label,vq,aux,dec,source"]
    for number in range(8):
        label = ("spoof", "bonafide")[number % 2]
        clip(f"data/{number}.wav", 1.5, seed=number)
        rows.append(f"{number}.wav,dev,{label},,,,page {number // 2}")
    (tmp_path / "data" / "items.csv").write_text("\n".join(rows) + "\n")
    page, scores = tmp_path / "page.html", tmp_path / "scores.csv"
    words = ["evaluate", "--data", tmp_path / "data", "--model", weights_path, "--bootstrap", 20]
    words += ["--calibration", file, "--json", "--report", page, "--scores", scores]
    capsys.readouterr()
    assert cli.run([*map(str, words)]) == 0
    document = json.loads(capsys.readouterr().out)
    sha256 = Recalibration.read(file).sha256
    assert document["settings"]["calibration"] == {"sha256": sha256, "clips": 110, "sources": 22}
    schema = json.loads((ROOT / "docs/schema/evaluation.schema.json").read_text("utf-8"))
    jsonschema.validate(document, schema)
    text = page.read_text("utf-8")
    assert "Tippett plot" in text and "PAV plot" in text
    assert cli.run(["evaluate", "--from-scores", str(scores), "--json", "--bootstrap", "20"]) == 0
    again = json.loads(capsys.readouterr().out)
    assert (again["tasks"], again["settings"]) == (document["tasks"], document["settings"])
    refused = ["evaluate", "--from-scores", str(scores), "--calibration", str(file)]
    assert cli.run(refused) == 2


def test_recalibrated_answers_are_verified_with_the_same_file_alone(
    analyze, clip, weights_path, model, file, tmp_path, capsysbinary
):
    answers, other = tmp_path / "answers.json", tmp_path / "other.json"
    analyze(clip("a.wav"), "--json", "-o", answers, "--calibration", file)
    recalibration(model, parts={"bin": Affine(0.4)}).write(other)

    def verify(*words: object) -> int:
        return cli.run(["verify", str(answers), "--model", str(weights_path), *map(str, words)])

    assert verify("--calibration", file) == 0
    assert verify("--calibration", other) == 1
    capsysbinary.readouterr()
    assert verify() == 2
    assert b"--calibration" in capsysbinary.readouterr().err
