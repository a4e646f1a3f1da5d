"""The paper's experiments, from one end to the other, on a miniature CodecFake+."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import pytest

from codecfake import make_codecfake
from codecsleuth.weights import read_weights
from conftest import ROOT
from test_fine_tune import front_end  # noqa: F401

SCRIPT = ROOT / "experiments" / "paper_tables.py"


def experiments(monkeypatch: pytest.MonkeyPatch, *words: object) -> int:
    monkeypatch.setattr(sys, "argv", [str(SCRIPT), *map(str, words)])
    spec = importlib.util.spec_from_file_location("experiments", SCRIPT)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return int(module.main())


def test_a_table_is_one_command(
    tmp_path: Path,
    front_end: Path,  # noqa: F811
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("PYTHONPATH", str(ROOT / "src"))
    data, out = (
        make_codecfake(tmp_path / "CodecFake+", "huggingface", lists=True),
        tmp_path / "runs",
    )
    words = ["--data", data, "--out", out, "--set", "CoSG_SEEN", "--models", "m2-dec"]
    train = ["--epochs", 1, "--batch-size", 4, "--front-end", front_end, "--workers", 1]
    assert experiments(monkeypatch, *words, "--", *train) == 0
    *_, row = capfd.readouterr().out.splitlines()
    name, *figures = [cell.strip() for cell in row.strip("|").split("|")]
    assert name == "m2-dec"
    assert all(0 <= float(figure) <= 100 for figure in figures)
    trained = read_weights(out / "m2-dec" / "w2v2-aasist.safetensors")
    settings = trained.training["settings"]
    assert (settings["tasks"], settings["balance"]) == ("M2", "dec")
    assert (settings["learning_rate"], settings["augment_dev"]) == (1e-6, True)
    # Six originals of the training speakers, and one codec version of each.
    assert (trained.training["clips"], trained.training["codec_clips"]) == (12, 6)
    # A second time, nothing is left to do.
    assert experiments(monkeypatch, *words) == 0
    assert capfd.readouterr().out.splitlines()[-1] == row


def test_a_command_that_fails_ends_it_with_its_own_line(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", str(ROOT / "src"))
    words = ["--data", tmp_path / "CodecFake+", "--out", tmp_path / "runs", "--set", "CoRS_ALL"]
    with pytest.raises(SystemExit, match="1"):
        experiments(monkeypatch, *words)
    (line,) = capfd.readouterr().err.splitlines()
    assert "codecsleuth data fetch codecfake+" in line


def test_all_models_of_the_paper_are_there(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    words = ["--data", tmp_path, "--out", tmp_path, "--set", "CoRS_ALL", "--dry-run"]
    assert experiments(monkeypatch, *words, "--published") == 0
    lines = capsys.readouterr().out.splitlines()
    assert sum("evaluate" in line for line in lines) == 15
    assert any("--model w2v2-aasist-m1-aux" in line for line in lines)
