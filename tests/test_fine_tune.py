"""Fine-tuning W2V2-AASIST: weights that analyze takes, and runs that can be interrupted."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import soundfile
from safetensors.torch import save_file

import published
from codecsleuth import cli, load_model
from codecsleuth.data.items import read_items
from codecsleuth.errors import WeightsError
from codecsleuth.training.fine_tune import FINAL_NAME, FineTuner
from codecsleuth.training.recipes import FineTuneConfig
from codecsleuth.weights import read_weights
from codecsleuth.weights.published import convert
from codecsleuth.weights.xls_r import pretrained
from conftest import speech_like

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
    assert not any("calibrated" in warning for warning in analysis.warnings)
    assert cli.run([*words, "--front-end", str(front_end)]) == 2


def test_an_interrupted_run_ends_as_if_it_had_not_stopped(
    data: Path, front_end: Path, tmp_path: Path
) -> None:
    def tuner() -> FineTuner:
        config = FineTuneConfig(
            tasks="D_VQ", steps=4, batch_size=2, evaluate_every=2, checkpoint_every=2
        )
        return FineTuner(read_items(data), config, pretrained(front_end))

    whole, broken = tmp_path / "whole", tmp_path / "broken"
    for folder in (whole, broken):
        folder.mkdir()
    list(tuner().run(whole))
    for progress in tuner().run(broken):
        if progress.step == 3:
            break
    going_on = tuner()
    assert going_on.resume(broken)
    assert going_on.step == 2
    list(going_on.run(broken))
    for name in (FINAL_NAME, "log.jsonl"):
        assert (whole / name).read_bytes() == (broken / name).read_bytes()


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
