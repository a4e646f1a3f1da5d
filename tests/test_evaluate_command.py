"""``codecsleuth evaluate``: what a user types, and what comes back."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import pytest
import soundfile
import torch

from codecsleuth import cli
from codecsleuth.calibration import LN10, Calibration
from codecsleuth.inference import Model
from codecsleuth.taxonomy import CLASSES
from codecsleuth.weights import WeightsFile, write_weights
from conftest import ROOT, Outcome

SCHEMA = ROOT / "docs" / "schema" / "evaluation.schema.json"
HEADER = "file,split,label,vq,aux,dec,codec,kind,group,source,duration_s"
CODECS = {"EnCodec": "MVQ,None,Time", "BigCodec": "SVQ,None,Time", "Unheard": ",,"}
PAGES = ("anna/page", "boris/page", "clara/page")


class NoiseMeter(torch.nn.Module):
    """Calls noise codec and tones bona fide, the louder the more so."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = torch.nn.Parameter(torch.tensor(40.0))

    def forward(self, waveforms: torch.Tensor) -> dict[str, torch.Tensor]:
        rough = waveforms.diff(dim=1).abs().mean(dim=1) - 0.5 * waveforms.abs().mean(dim=1)
        codec = (self.scale * rough)[:, None]
        axes = {
            axis: torch.cat([-codec, codec] + [0 * codec] * (len(CLASSES[axis]) - 2), dim=1)
            for axis in ("VQ", "AUX", "DEC")
        }
        return {"BIN": torch.cat([codec, -codec], dim=1), **axes}


Run = Callable[..., Outcome]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Tones as bona fide, noise as codec; four utterances on each of three pages."""
    folder = tmp_path_factory.mktemp("data")
    random = np.random.default_rng(0)
    rows = [HEADER]
    for number in range(12):
        page, split = PAGES[number % 3], ("train", "dev", "dev", "test")[number // 3]
        tone = 0.1 * np.sin(np.arange(8000) * (0.1 + 0.02 * number))
        soundfile.write(folder / f"{number}.wav", tone, 16_000)
        rows.append(f"{number}.wav,{split},bonafide,,,,,original,u{number},{page},0.5")
        for codec, classes in CODECS.items():
            name = f"{number} {codec}.wav"
            soundfile.write(folder / name, 0.05 * random.standard_normal(8000), 16_000)
            rows.append(f"{name},{split},spoof,{classes},{codec},resynthesis,u{number},{page},0.5")
    (folder / "items.csv").write_text("\n".join(rows) + "\n", encoding="utf-8")
    return folder


@pytest.fixture
def copied(data: Path, tmp_path: Path) -> Path:
    folder = tmp_path / "copy"
    folder.mkdir()
    for path in data.iterdir():
        (folder / path.name).write_bytes(path.read_bytes())
    return folder


@pytest.fixture
def evaluate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsysbinary: Any) -> Run:
    """Run the command in this process, on weights that say they know the first page."""
    monkeypatch.setattr("codecsleuth.models.build_network", lambda name, config: NoiseMeter())
    weights = WeightsFile(
        name="meter",
        version="1",
        architecture="meter",
        config={},
        tasks=tuple(CLASSES),
        classes={task: list(names) for task, names in CLASSES.items()},
        calibration=Calibration(codec_threshold=0.6, bona_fide_threshold=0.4).to_dict(),
        training={"sources": [PAGES[0]]},
        tensors=NoiseMeter().state_dict(),
    )
    write_weights(tmp_path / "meter.safetensors", weights)

    def call(*words: object) -> Outcome:
        capsysbinary.readouterr()
        model = ["--model", str(tmp_path / "meter.safetensors"), "--bootstrap", "50"]
        status = cli.run(["evaluate", *model, *map(str, words)])
        out, err = capsysbinary.readouterr()
        return Outcome(status, out.decode(), err.decode())

    return call


def test_json_follows_its_schema(evaluate: Run, data: Path) -> None:
    outcome = evaluate("--data", data, "--json")
    assert outcome.status == 0
    schema = json.loads(SCHEMA.read_text(encoding="utf-8"))
    jsonschema.Draft202012Validator.check_schema(schema)
    jsonschema.validate(outcome.document, schema)


def test_figures_are_of_the_dev_split_and_fractions(evaluate: Run, data: Path) -> None:
    found = evaluate("--data", data, "--json").document
    assert found["data"]["split"] == "dev"
    assert (found["clips"], found["missing"]) == (24, 0)
    assert found["tasks"]["BIN"]["eer"] == 0.0
    assert found["tasks"]["BIN"]["constant"]["eer"] == 0.5
    assert found["tasks"]["VQ"]["support"] == {"Real": 6, "MVQ": 6, "SVQ": 6, "SQ": 0}
    assert found["tasks"]["VQ"]["unknown"] == 6
    assert found["tasks"]["VQ"]["f1"]["SQ"] is None
    assert found["per_codec"]["Unheard"]["accuracy"] == {"VQ": None, "AUX": None, "DEC": None}
    assert set(found["per_source"]) == set(PAGES)
    assert any("no clips of SQ" in warning for warning in found["warnings"])


def test_the_table_fits_eighty_columns_and_says_what_is_empty(
    evaluate: Run, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    outcome = evaluate("--data", data)
    assert outcome.status == 0
    assert max(map(len, outcome.out.splitlines())) <= 80
    for words in ("EER", "F1 weighted", "EnCodec", "boris/page", "SQ (no clips)", "no clips of SQ"):
        assert words in outcome.out


def test_the_answer_does_not_depend_on_workers(evaluate: Run, data: Path) -> None:
    one, three = (evaluate("--data", data, "--json", "--workers", n).out for n in (1, 3))
    assert one == three


def test_sources_left_out_take_all_splits(evaluate: Run, data: Path) -> None:
    outcome = evaluate("--data", data, "--json", "--leave-out-source", PAGES[1])
    assert outcome.document["data"]["split"] is None
    assert outcome.document["clips"] == 16
    assert list(outcome.document["per_source"]) == [PAGES[1]]
    assert "NOT LEFT OUT" not in outcome.err


def test_a_source_that_the_weights_know_is_not_left_out(evaluate: Run, data: Path) -> None:
    chosen = ["--leave-out-source", PAGES[0], "--leave-out-source", PAGES[2]]
    outcome = evaluate("--data", data, "--json", *chosen)
    assert outcome.status == 0
    assert "NOT LEFT OUT: the weights were trained on 1 of these 2 sources" in outcome.err
    assert any("NOT LEFT OUT" in warning for warning in outcome.document["warnings"])
    assert "NOT LEFT OUT" in evaluate("--data", data, *chosen).out.replace("\n", " ")


def test_clips_of_the_training_split_are_pointed_out(evaluate: Run, data: Path) -> None:
    assert "trained on 4 of these clips" in evaluate("--data", data, "--split", "train").out
    assert "trained on" not in evaluate("--data", data, "--split", "dev").out


def test_each_source_is_in_one_fold(evaluate: Run, data: Path) -> None:
    folds = [evaluate("--data", data, "--json", "--fold", f"{k}/3").document for k in (1, 2, 3)]
    assert sorted(source for fold in folds for source in fold["per_source"]) == sorted(PAGES)
    assert sum(fold["clips"] for fold in folds) == 48


def test_one_source_of_the_split(evaluate: Run, data: Path) -> None:
    assert evaluate("--data", data, "--json", "--source", PAGES[2]).document["clips"] == 8


@pytest.mark.parametrize(
    ("words", "status", "told"),
    [
        (["--split", "final"], 1, "no clips of split final; there are: dev (24 clips), test"),
        (["--source", "borys/page"], 2, "no source named 'borys/page' in the data; did you mean"),
        (["--fold", "4/3"], 2, "--fold '4/3': not a fold such as 1/5"),
        (["--fold", "1/9"], 1, "3 sources cannot make 9 folds"),
        (["--fold", "1/3", "--source", PAGES[0]], 2, "exclude each other"),
        (["--force"], 2, "--force is for --output and --scores"),
        (["--output", "x", "--scores", "x"], 2, "name the same file"),
    ],
)
def test_wrong_usage_is_one_line(
    evaluate: Run, data: Path, words: list[str], status: int, told: str
) -> None:
    outcome = evaluate("--data", data, *words)
    assert outcome.status == status
    assert told in outcome.err
    assert outcome.err.count("\n") == 1
    assert not outcome.out


def test_missing_audio_is_refused_unless_allowed(evaluate: Run, copied: Path) -> None:
    (copied / "3.wav").unlink()
    refused = evaluate("--data", copied)
    assert refused.status == 1
    assert "audio missing for 1 of 48 rows: row 14 ('3.wav')" in refused.err
    found = evaluate("--data", copied, "--allow-missing", "--json").document
    assert (found["clips"], found["missing"], found["missing_files"]) == (23, 1, ["3.wav"])
    assert any("not there, left out: 1 clips" in warning for warning in found["warnings"])


def test_unreadable_clips_are_named_and_the_others_scored(evaluate: Run, copied: Path) -> None:
    (copied / "3.wav").write_text("not audio")
    outcome = evaluate("--data", copied, "--json")
    assert outcome.status == 1
    assert "3.wav (row 14)" in outcome.err
    assert outcome.document["clips"] == 23
    (bad,) = outcome.document["unreadable"]
    assert (bad["path"], bad["row"]) == ("3.wav", 14)


def test_nothing_readable_at_all(evaluate: Run, copied: Path) -> None:
    for path in copied.glob("*.wav"):
        path.write_text("not audio")
    outcome = evaluate("--data", copied)
    assert (outcome.status, outcome.out) == (1, "")
    assert "none of the 24 clips could be read" in outcome.err


def test_scores_and_output_go_to_files_that_are_not_overwritten(
    evaluate: Run, data: Path, tmp_path: Path
) -> None:
    files = ["--output", tmp_path / "report.txt", "--scores", tmp_path / "scores.csv"]
    outcome = evaluate("--data", data, *files)
    assert (outcome.status, outcome.out) == (0, "")
    assert "EER" in (tmp_path / "report.txt").read_text(encoding="utf-8")
    with (tmp_path / "scores.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 24
    assert all((float(r["log_odds_raw"]) > 0) == (r["label"] == "spoof") for r in rows)
    again = evaluate("--data", data, "--scores", tmp_path / "scores.csv")
    assert again.status == 2
    assert "--scores" in again.err and "--force" in again.err
    assert evaluate("--data", data, *files, "--force").status == 0


def test_what_is_measured_is_what_analyze_says(evaluate: Run, data: Path, tmp_path: Path) -> None:
    evaluate("--data", data, "--scores", tmp_path / "scores.csv")
    with (tmp_path / "scores.csv").open(encoding="utf-8", newline="") as file:
        row = next(csv.DictReader(file))
    answer = Model.load(tmp_path / "meter.safetensors").analyze(data / row["path"])
    assert float(row["log_odds_calibrated"]) == pytest.approx(answer.log10_lr * LN10, rel=1e-12)


def test_no_data_folder_or_table(evaluate: Run, tmp_path: Path) -> None:
    assert "no such folder" in evaluate("--data", tmp_path / "none").err
    assert "no items.csv" in evaluate("--data", tmp_path).err
