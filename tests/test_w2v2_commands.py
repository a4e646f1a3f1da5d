"""W2V2-AASIST through the commands: its own tasks, in its own way, the same answer every time."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import jsonschema
import numpy as np
import pytest
import soundfile

import published
from codecsleuth import load_model
from codecsleuth.arrays import softmax
from codecsleuth.calibration import UNFITTED
from codecsleuth.weights import WeightsFile, write_weights
from codecsleuth.weights.published import class_order, convert
from conftest import ROOT, Outcome, speech_like


@pytest.fixture(scope="module")
def model_path(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Weights of a kind, as the importer leaves them."""
    folder = tmp_path_factory.mktemp("w2v2")

    def make(kind: str) -> Path:
        path = folder / f"{kind}.safetensors"
        if not path.exists():
            converted = convert(published.checkpoint(kind), kind)
            weights = WeightsFile(
                name=kind.lower(),
                version="1",
                architecture="w2v2-aasist",
                config=converted.config,
                tasks=converted.tasks,
                classes=class_order(converted.tasks),
                calibration=UNFITTED,
                training={"kind": kind},
                tensors=converted.tensors,
            )
            write_weights(path, weights)
        return path

    return make


@pytest.mark.parametrize("kind", published.KINDS)
def test_analyze_gives_the_axes_that_the_model_has(
    kind: str,
    model_path: Callable[[str], Path],
    clip: Callable[..., Path],
    analyze: Callable[..., Outcome],
) -> None:
    outcome = analyze(clip("a.wav"), "--json", "--model", model_path(kind))
    assert outcome.status == 0, outcome.err
    document = outcome.document
    schema = json.loads((ROOT / "docs" / "schema" / "analysis.schema.json").read_text())
    jsonschema.validate(document, schema)
    axes = {task.lower() for task in published.KINDS[kind]} - {"bin"}
    assert set(outcome.result["taxonomy"]) == axes
    assert "not_calibrated" in [finding["kind"] for finding in outcome.result["findings"]]
    assert analyze(clip("a.wav"), "--model", model_path(kind)).status == 0


def test_the_bona_fide_score_of_m2_is_that_of_the_paper(
    model_path: Callable[[str], Path], clip: Callable[..., Path]
) -> None:
    model = load_model(model_path("M2"))
    analysis = model.analyze(clip("a.wav", seconds=4))
    codec = [1.0 - softmax(analysis.raw[axis])[0] for axis in ("AUX", "DEC", "VQ")]
    assert analysis.codec_probability == pytest.approx(np.prod(codec) ** (1 / 3), abs=1e-9)


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_an_answer_does_not_depend_on_the_other_files(
    precision: str,
    model_path: Callable[[str], Path],
    clip: Callable[..., Path],
    analyze: Callable[..., Outcome],
) -> None:
    paths = [clip(f"{n}.wav", seconds=1.5 + 3 * n, seed=n) for n in range(4)]
    words = ("--json", "--model", model_path("M1"), "--precision", precision)
    together = analyze(*paths, *words, "--workers", 3).document
    assert together["settings"]["precision"] == precision
    for path, entry in zip(paths, together["results"], strict=True):
        assert analyze(path, *words, "--workers", 1).result == entry


def test_the_precision_is_chosen_by_the_hardware(
    model_path: Callable[[str], Path],
    clip: Callable[..., Path],
    analyze: Callable[..., Outcome],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for there, precision in ((True, "bfloat16"), (False, "float32")):
        features = {"avx512_bf16": there}
        monkeypatch.setattr("torch.cpu.get_capabilities", lambda found=features: found)
        words = ("--json", "--precision", "auto", "--model", model_path("S_VQ"))
        document = analyze(clip("a.wav"), *words).document
        assert document["settings"]["precision"] == precision


def test_the_compact_model_has_no_choice(
    clip: Callable[..., Path], analyze: Callable[..., Outcome]
) -> None:
    for precision in ("auto", "float32"):
        outcome = analyze(clip("a.wav"), "--json", "--precision", precision)
        assert outcome.document["settings"]["precision"] == "float32"
    refused = analyze(clip("a.wav"), "--precision", "bfloat16")
    assert refused.status == 2 and "float32 alone" in refused.err


def test_weights_that_do_not_fit_are_one_line(
    model_path: Callable[[str], Path],
    tmp_path: Path,
    clip: Callable[..., Path],
    analyze: Callable[..., Outcome],
) -> None:
    from codecsleuth.weights import read_weights

    good = read_weights(model_path("S_VQ"))
    tensors = {name: tensor for name, tensor in good.tensors.items() if "read_out" not in name}
    write_weights(tmp_path / "cut.safetensors", replace(good, tensors=tensors))
    outcome = analyze(clip("a.wav"), "--model", tmp_path / "cut.safetensors")
    assert outcome.status == 1
    assert len(outcome.err.splitlines()) == 1


@pytest.mark.parametrize(
    ("kind", "tasks"), [("M2", ["BIN", "VQ", "AUX", "DEC"]), ("S_DEC", ["DEC"])]
)
def test_evaluate_measures_the_tasks_of_the_model(
    kind: str,
    tasks: list[str],
    model_path: Callable[[str], Path],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    from codecsleuth import cli

    rows = ["file,split,label,vq,aux,dec"]
    for number in range(4):
        labels = "bonafide,Real,Real,Real" if number % 2 else "spoof,SVQ,None,Time"
        soundfile.write(tmp_path / f"{number}.wav", speech_like(2, seed=number), 16_000)
        rows.append(f"{number}.wav,dev,{labels}")
    (tmp_path / "items.csv").write_text("\n".join(rows) + "\n")
    words = ["evaluate", "--data", str(tmp_path), "--json", "--bootstrap", "0"]
    status = cli.run([*words, "--model", str(model_path(kind))])
    captured = capsys.readouterr()
    assert status == 0, captured.err
    document = json.loads(captured.out)
    schema = json.loads((ROOT / "docs" / "schema" / "evaluation.schema.json").read_text())
    jsonschema.validate(document, schema)
    assert list(document["tasks"]) == tasks
    assert any("not calibrated" in warning for warning in document["warnings"])
