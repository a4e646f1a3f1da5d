"""Fine-tuning W2V2-AASIST: weights that analyze takes, and runs that can be interrupted."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import soundfile
import torch
from safetensors.torch import save_file

import published
from codecsleuth import cli, load_model
from codecsleuth.data.items import read_items
from codecsleuth.errors import DataError, UsageError, WeightsError
from codecsleuth.models.batch_norm import BatchNorm
from codecsleuth.training.distributed import Group
from codecsleuth.training.w2v2_aasist.recipes import from_recipe
from codecsleuth.training.w2v2_aasist.trainer import FINAL_NAME, FineTuner
from codecsleuth.weights import read_weights
from codecsleuth.weights.published import convert
from codecsleuth.weights.xls_r import pretrained
from conftest import ROOT, speech_like

CLASSES = ("Real,Real,Real", "MVQ,None,Time", "SVQ,,Frequency", "SQ,Disentanglement,Time")


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    rows = ["file,split,label,vq,aux,dec,source"]
    for number in range(8):
        kind = number % 4
        label = "spoof" if kind else "bonafide"
        soundfile.write(folder / f"{number}.wav", speech_like(1.5, seed=number), 16_000)
        split = "dev" if number > 3 else "train"
        rows.append(f"{number}.wav,{split},{label},{CLASSES[kind]},page/{number}")
    (folder / "items.csv").write_text("\n".join(rows) + "\n")
    return folder


@pytest.fixture(scope="module")
def front_end(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A pretrained network of small dimensions, as transformers saves it."""
    folder = tmp_path_factory.mktemp("front-end")
    tensors = convert(published.checkpoint("S_BIN"), "test").tensors
    old = {"parametrizations.weight.original0": "weight_g"}
    old |= {"parametrizations.weight.original1": "weight_v"}
    named = {}
    for name, tensor in tensors.items():
        if name.startswith("front_end."):
            inner = name.removeprefix("front_end.")
            for new, former in old.items():
                inner = inner.replace(new, former)
            named[f"wav2vec2.{inner}"] = tensor
    named["quantizer.codevectors"] = tensors["projection.bias"]
    save_file(named, folder / "model.safetensors")
    return folder


def test_train_makes_weights_that_analyze_takes(
    data: Path, front_end: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["train", "--data", str(data), "--out", str(tmp_path), "--model", "w2v2-aasist"]
    words += ["--tasks", "M2", "--steps", "2", "--batch-size", "4", "--evaluate-every", "2"]
    assert cli.run([*words, "--front-end", str(front_end)]) == 0, capsys.readouterr().err
    weights = read_weights(tmp_path / FINAL_NAME)
    assert (weights.name, weights.tasks) == ("w2v2-aasist-m2", ("VQ", "AUX", "DEC"))
    assert weights.training["sources"] == ["page/0", "page/1", "page/2", "page/3"]
    steps = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert set(steps[1]["losses"]) == {"VQ", "AUX", "DEC"}
    assert "EER" in steps[1]["dev"]
    analysis = load_model(tmp_path / FINAL_NAME).analyze(data / "0.wav")
    assert set(analysis.taxonomy) == {"vq", "aux", "dec"}
    assert "not_calibrated" not in {finding.kind for finding in analysis.findings}
    assert cli.run([*words, "--front-end", str(front_end)]) == 2


def tuner(data: Path, front_end: Path, **settings: Any) -> FineTuner:
    given = {"steps": 4, "batch_size": 4, "evaluate_every": 2, "checkpoint_every": 2}
    table = read_items(data)
    return FineTuner(table, from_recipe("default", 4, **given | settings), pretrained(front_end))


def losses(training: FineTuner, out: Path, steps: int) -> list[dict[str, float]]:
    out.mkdir(exist_ok=True)
    return [progress.losses for _, progress in zip(range(steps), training.run(out), strict=False)]


@pytest.mark.parametrize(
    "settings", [{"tasks": "D_VQ"}, {"task_weights": "softmax", "epochs": 4, "steps": None}]
)
def test_an_interrupted_run_ends_as_if_it_had_not_stopped(
    data: Path, front_end: Path, tmp_path: Path, settings: dict[str, Any]
) -> None:
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    losses(tuner(data, front_end, **settings), whole, 9)
    losses(tuner(data, front_end, **settings), broken, 3)
    going_on = tuner(data, front_end, **settings)
    assert going_on.resume(broken)
    assert going_on.step == 2
    losses(going_on, broken, 9)
    for name in (FINAL_NAME, "log.jsonl"):
        assert (whole / name).read_bytes() == (broken / name).read_bytes()


def test_two_processes_go_on_as_one_would_have(data: Path, front_end: Path, tmp_path: Path) -> None:
    """Batch normalisation, dropout and the weights of classes included."""
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    expected = losses(tuner(data, front_end), whole, 9)
    losses(tuner(data, front_end), broken, 2)
    (broken / ".checkpoint.safetensors.killed").touch()
    words = ["train", "--data", data, "--out", broken, "--model", "w2v2-aasist", "--resume"]
    words += ["--front-end", front_end, "--steps", 4, "--batch-size", 4, "--workers", 1]
    words += ["--evaluate-every", 2, "--checkpoint-every", 2]
    start = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    finished = subprocess.run(
        [sys.executable, *start, "-m", "codecsleuth", *map(str, words)],
        env=os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT / "src"), *sys.path])},
        capture_output=True,
        text=True,
    )
    assert finished.returncode == 0, finished.stderr
    assert finished.stderr.count("going on after step 2") == 1
    assert finished.stdout == ""
    lines = [json.loads(line) for line in (broken / "log.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == [1, 2, 3, 4]
    for line, one in zip(lines, expected, strict=True):
        assert line["losses"] == pytest.approx(one, rel=1e-3)
    same, other = (read_weights(folder / FINAL_NAME) for folder in (whole, broken))
    assert same.training == other.training
    for name, tensor in same.tensors.items():
        torch.testing.assert_close(other.tensors[name], tensor, rtol=1e-3, atol=1e-4)
    assert {path.name for path in broken.iterdir()} == {path.name for path in whole.iterdir()}


def test_processes_with_different_data_are_refused(
    data: Path, front_end: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Group, "gather", lambda self, value: [value, "another"])
    with pytest.raises(UsageError, match="different settings or data"):
        tuner(data, front_end)


def test_a_batch_in_parts_has_the_same_loss(data: Path, front_end: Path, tmp_path: Path) -> None:
    whole = losses(tuner(data, front_end), tmp_path / "1", 3)
    parts = losses(tuner(data, front_end, accumulate=2), tmp_path / "2", 3)
    for one, other in zip(whole, parts, strict=True):
        assert one == pytest.approx(other, rel=1e-4)


def test_a_run_ends_when_dev_gets_no_better(data: Path, front_end: Path, tmp_path: Path) -> None:
    settings = {"steps": 9, "evaluate_every": 1, "patience": 2, "learning_rate": 0.0}
    training = tuner(data, front_end, **settings, weight_decay=0.0)
    # The statistics of batch normalisation move on nevertheless.
    for module in training._network.modules():
        if isinstance(module, BatchNorm):
            module.momentum = 0.0
    assert len(losses(training, tmp_path, 9)) == 3
    assert read_weights(tmp_path / FINAL_NAME).training["best_step"] == 1


def test_workers_and_epochs_change_nothing_but_the_order(
    data: Path, front_end: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    logs = []
    for workers in (1, 2):
        out = tmp_path / str(workers)
        words = ["train", "--data", data, "--out", out, "--model", "w2v2-aasist", "--tasks"]
        words += ["S_BIN", "--recipe", "paper", "--epochs", 3, "--batch-size", 4]
        words += ["--front-end", front_end, "--workers", workers]
        assert cli.run([*map(str, words)]) == 0, capsys.readouterr().err
        logs.append((out / "log.jsonl").read_text())
    assert logs[0] == logs[1]
    steps = [json.loads(line) for line in logs[0].splitlines()]
    # Four clips to train on, so that a step is an epoch, and each is followed by an evaluation.
    assert [line["step"] for line in steps if "dev" in line] == [1, 2, 3]
    settings = read_weights(tmp_path / "1" / FINAL_NAME).training["settings"]
    assert settings["augmentation"]["algorithm"] == 5


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("--recipe", "mine"), "paper"),
        (("--steps", "3", "--epochs", "3"), "one of them"),
        (("--task-weights", "none"), "uncertainty"),
        (("--epochs", "1", "--batch-size", "8"), "no batch of 8"),
        (("--views", "3"), "--views is not for"),
        (("--seed", "-1"), "--seed"),
    ],
)
def test_wrong_usage_is_one_line(
    data: Path,
    front_end: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    words: tuple[str, ...],
    told: str,
) -> None:
    start = ["train", "--data", str(data), "--out", str(tmp_path / "run"), "--model", "w2v2-aasist"]
    assert cli.run([*start, "--front-end", str(front_end), *words]) in (1, 2)
    (line,) = capsys.readouterr().err.splitlines()
    assert told in line


def test_epochs_take_a_list_that_is_balanced(data: Path, front_end: Path) -> None:
    table = read_items(data)
    table = replace(table, items=table.items * 3)
    config = from_recipe("paper", 12, balance="dec")
    with pytest.raises(DataError, match=r"not balanced over DEC.*'Time': 6, 'Frequency': 3.*steps"):
        FineTuner(table, config, pretrained(front_end))
    FineTuner(table, replace(config, balance="vq"), pretrained(front_end))


def test_a_folder_without_a_network_is_named(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="neither model"):
        pretrained(tmp_path)
    save_file({"weight": published.waveforms(1, 100)}, tmp_path / "model.safetensors")
    with pytest.raises(WeightsError, match="not a wav2vec"):
        pretrained(tmp_path)


def test_without_a_network_connection_the_front_end_is_one_line(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("CODECSLEUTH_HOME", str(tmp_path / "home"))
    words = ["train", "--data", str(data), "--out", str(tmp_path / "run")]
    assert cli.run([*words, "--model", "w2v2-aasist", "--offline"]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert "xls-r-300m" in line and "offline" in line
