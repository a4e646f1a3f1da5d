"""Answers computed anew; weights against their published hash."""

from __future__ import annotations

import json
import shutil

import pytest

from codecsleuth import cli
from codecsleuth.storage import sha256_of
from codecsleuth.weights import DEFAULT_MODEL, embedded
from conftest import ROOT, Outcome


@pytest.fixture
def verify(weights_path, capsysbinary):
    def call(*words: object) -> Outcome:
        capsysbinary.readouterr()
        status = cli.run(["verify", *map(str, words)])
        out, err = capsysbinary.readouterr()
        return Outcome(status, out.decode(), err.decode())

    return call


@pytest.fixture(params=["--json", "--jsonl"])
def answers(request, analyze, clip, tmp_path):
    """Answers for two excerpts of one file, another file, a damaged one, one that is not there."""
    clip("in/two.wav", 5, channels=2)
    clip("in/odd.wav", 1).rename(tmp_path / "in/odd\udcff.wav")
    (tmp_path / "in/damaged.wav").write_bytes(b"RIFF")
    words = (tmp_path / "in", "gone.wav", "--channel", "each", "--start", "0.25")
    path = tmp_path / "answers"
    analyze(*words, request.param, "-o", path)
    return path


def results(outcome):
    return {one["path"].rpartition("/")[2]: one for one in outcome.document["results"]}


def test_what_is_as_it_was_is_identical(verify, answers, weights_path):
    outcome = verify(answers, "--model", weights_path)
    assert outcome.status == 0, outcome.out
    assert "5 files: 5 identical" in outcome.out
    outcome = verify(answers, "--model", weights_path, "--json")
    assert outcome.document["weights_unchanged"] and outcome.document["settings_unchanged"]
    assert {one["outcome"] for one in outcome.document["results"]} == {"identical"}
    assert results(outcome)["two.wav"]["bytes_unchanged"] is True


def test_changed_and_missing_files_are_named(verify, answers, weights_path, clip, tmp_path):
    clip("in/two.wav", 5, channels=2, seed=9)
    (tmp_path / "in/odd\udcff.wav").unlink()
    outcome = verify(answers, "--model", weights_path, "--json")
    assert outcome.status == 1
    changed = results(outcome)["two.wav"]
    assert (changed["outcome"], changed["bytes_unchanged"]) == ("differs", False)
    keys = {one["key"] for one in changed["differences"]}
    assert {"evidence.sha256", "log10_lr", "windows[0].codec_probability"} <= keys
    assert outcome.document["summary"] == {
        "files": 5,
        "identical": 2,
        "differs": 2,
        "unreadable": 1,
    }
    text = verify(answers, "--model", weights_path).out
    assert "BYTES CHANGED" in text and "no such file" in text


def test_an_answer_that_was_changed_in_the_file_is_named(verify, answers, weights_path):
    content = answers.read_text()
    wrong = content.replace('"log10_lr": ', '"log10_lr": 1', 1).replace(
        '"log10_lr": 1-', '"log10_lr": -1', 1
    )
    answers.write_text(wrong)
    outcome = verify(answers, "--model", weights_path, "--json")
    assert outcome.status == 1
    (one,) = [one for one in outcome.document["results"] if one["outcome"] != "identical"]
    assert (one["bytes_unchanged"], one["answer_identical"]) == (True, False)
    (difference,) = one["differences"]
    assert difference["key"] == "log10_lr" and difference["was"] != difference["now"]


def test_other_weights_and_settings_are_named(verify, answers, weights_path):
    content = answers.read_text().replace(sha256_of(weights_path), "0" * 64)
    answers.write_text(content.replace('"codec_threshold": 0.6', '"codec_threshold": 0.7'))
    outcome = verify(answers, "--model", weights_path, "--json")
    assert outcome.status == 1
    assert {one["key"] for one in outcome.document["differences"]} == {
        "model.sha256",
        "settings.codec_threshold",
    }
    assert not outcome.document["weights_unchanged"]
    assert outcome.document["summary"]["identical"] == 5
    assert "Weights: DIFFER: model.sha256 was 000" in verify(answers, "--model", weights_path).out


def test_an_entry_that_was_taken_out_shows_in_the_counts(
    verify, analyze, clip, tmp_path, weights_path
):
    target = tmp_path / "answers.json"
    analyze(clip("a.wav", 1), clip("b.wav", 1), "--json", "-o", target)
    document = json.loads(target.read_text())
    del document["results"][0]
    target.write_text(json.dumps(document))
    outcome = verify(target, "--model", weights_path)
    assert outcome.status == 1
    assert "summary.files was 2, now 1" in outcome.out


def test_a_recalibration_is_asked_for_and_used(verify, analyze, clip, tmp_path, weights_path):
    from codecsleuth.inference.recalibration import Affine, Recalibration

    model = {"name": "tiny", "version": "0", "sha256": sha256_of(weights_path)}
    clips = {"codec": 50, "bona_fide": 50}
    fitted = Recalibration(model, {"bin": Affine(0.5, 0.1)}, (-1.0, 1.0), clips, clips)
    fitted.write(tmp_path / "own.json")
    target = tmp_path / "answers.json"
    analyze(clip("a.wav", 1), "--calibration", tmp_path / "own.json", "--json", "-o", target)
    asked = verify(target, "--model", weights_path)
    assert asked.status == 2 and "--calibration" in asked.err
    words = ("--model", weights_path, "--calibration", tmp_path / "own.json")
    assert verify(target, *words).status == 0


def test_weights_that_are_elsewhere_are_asked_for(verify, answers):
    outcome = verify(answers)
    assert (outcome.status, len(outcome.err.splitlines())) == (2, 1)
    assert "'tiny'" in outcome.err and "--model" in outcome.err


@pytest.mark.parametrize(
    ("content", "status"),
    [
        (None, 2),
        ("", 1),
        ("path,status\n", 1),
        ("[]", 1),
        ('{"results": 3}', 1),
        ('{"schema": "codecsleuth/analysis/1", "results": []}', 1),
        ('{"schema": "codecsleuth/analysis/2", "results": []}', 1),
        ("[" * 100_000, 1),
    ],
)
def test_what_are_no_answers_is_one_line(verify, tmp_path, content, status):
    path = tmp_path / "answers.json"
    if content is not None:
        path.write_text(content)
    outcome = verify(path)
    assert (outcome.status, outcome.out, len(outcome.err.splitlines())) == (status, "", 1)


@pytest.mark.parametrize("entry", ["3", "{}", '{"path": 3, "evidence": {}}', '{"path": "a'])
def test_a_damaged_entry_is_one_line(verify, analyze, clip, tmp_path, weights_path, entry):
    target = tmp_path / "answers.jsonl"
    analyze(clip("a.wav", 1), "--jsonl", "-o", target)
    header, _ = target.read_text().splitlines()
    target.write_text(f"{header}\n{entry}\n")
    outcome = verify(target, "--model", weights_path)
    assert (outcome.status, len(outcome.err.splitlines())) == (1, 1)


def test_embedded_weights_have_the_hash_that_is_published(tmp_path, monkeypatch, capsys):
    path = embedded(DEFAULT_MODEL)
    digest = sha256_of(path)
    assert path.with_suffix(".sha256").read_text() == f"{digest}  {path.name}\n"
    for name in ("README.md", "weights/MODEL_CARD.md"):
        assert digest in (ROOT / name).read_text("utf-8"), name
    assert cli.run(["weights", "verify", DEFAULT_MODEL]) == 0
    assert capsys.readouterr().out == "compact: ok\n"
    for suffix in (".safetensors", ".sha256"):
        shutil.copy(path.with_suffix(suffix), tmp_path)
    with (tmp_path / path.name).open("r+b") as file:
        file.seek(-1, 2)
        file.write(b"\x01")
    monkeypatch.setattr("codecsleuth.weights._PACKED", tmp_path)
    assert cli.run(["weights", "verify", DEFAULT_MODEL]) == 1
    assert "DAMAGED: sha256 is" in capsys.readouterr().out
