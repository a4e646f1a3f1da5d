"""Training with two or three detection classes, and labels that allow more than one class."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from torch.nn import functional

from codecsleuth.data.items import read_items
from codecsleuth.models.network import build_network
from codecsleuth.taxonomy import DETECTION
from codecsleuth.training.compact.loss import Mix, masked_cross_entropy
from codecsleuth.training.compact.trainer import FINAL_NAME, LEFT_OUT_NAME
from codecsleuth.training.fitting import fit_calibration
from codecsleuth.training.held_out import read_held_out
from codecsleuth.training.run import LOG_NAME
from codecsleuth.weights import read_weights
from conftest import speech_like
from test_training import CONFIG, data, run, trainer, views  # noqa: F401

PAGES = ("page/one", "page/two", "page/three")


def extended(data: Path, folder: Path, labels: tuple[str, ...]) -> Path:  # noqa: F811
    """The clips of the fixture, and for each page one clip of each further label."""
    shutil.copytree(data, folder)
    rows = []
    for number, page in enumerate(PAGES):
        for label in labels:
            name = f"{label}{number}.flac"
            soundfile.write(folder / name, speech_like(1.2, seed=20 + number), 16_000)
            split = "train" if number < 2 else "dev"
            rows.append(f"{name},{split},{label},,,,,v{number},{page}")
    with (folder / "items.csv").open("a", encoding="utf-8") as table:
        table.write("\n".join(rows) + "\n")
    return folder


def test_a_table_with_vocoder_clips_trains_three_classes(
    data: Path,  # noqa: F811
    views: Path,  # noqa: F811
    tmp_path: Path,
) -> None:
    folder = extended(data, tmp_path / "data", ("vocoder", "neural"))
    config = replace(CONFIG, views=1, steps=3, left_out_sources=(PAGES[1],))
    run(trainer(folder, views, config), tmp_path / "run")
    weights = read_weights(tmp_path / "run" / FINAL_NAME)
    assert tuple(weights.classes["BIN"]) == DETECTION
    assert weights.training["labels"] == {"bonafide": 2, "neural": 1, "spoof": 6, "vocoder": 1}
    network = build_network(weights.architecture, weights.config)
    network.load_state_dict(weights.tensors)
    assert network.eval()(torch.zeros(1, 64_600))["BIN"].shape == (1, 3)
    held_out = read_held_out([tmp_path / "run" / LEFT_OUT_NAME], read_items(folder).clips_sha256)
    assert held_out.outputs["BIN"].shape == (1, len(held_out.rows), 3)
    assert "EER neural" in (tmp_path / "run" / LOG_NAME).read_text(encoding="utf-8")


def test_without_vocoder_clips_neural_ones_are_left_out(
    data: Path,  # noqa: F811
    views: Path,  # noqa: F811
    tmp_path: Path,
) -> None:
    folder = extended(data, tmp_path / "data", ("neural",))
    run(trainer(folder, views, replace(CONFIG, views=1, steps=1)), tmp_path / "run")
    weights = read_weights(tmp_path / "run" / FINAL_NAME)
    assert tuple(weights.classes["BIN"]) == ("codec", "bona fide")
    assert weights.training["labels"] == {"bonafide": 3, "spoof": 9}


def test_the_loss_is_over_the_classes_that_a_label_allows() -> None:
    logits = torch.tensor([[1.0, -0.5, 0.3], [0.2, 0.1, 2.0], [3.0, 1.0, -1.0]], requires_grad=True)
    codec, either, unknown = [True, False, False], [True, True, False], [False] * 3
    whole = Mix.draw(3, 0.0, np.random.default_rng(0))
    plain = masked_cross_entropy(logits, torch.tensor([codec] * 3), whole, 0.1)
    classes = torch.zeros(3, dtype=torch.int64)
    torch.testing.assert_close(
        plain, functional.cross_entropy(logits, classes, label_smoothing=0.1)
    )
    loss = masked_cross_entropy(logits, torch.tensor([codec, either, unknown]), whole, 0.0)
    probabilities = logits.softmax(dim=1)
    expected = -(probabilities[0, 0].log() + probabilities[1, :2].sum().log()) / 2
    torch.testing.assert_close(loss, expected)
    (gradient,) = torch.autograd.grad(loss, logits)
    assert gradient.isfinite().all() and gradient[2].abs().max() == 0.0
    none = masked_cross_entropy(logits, torch.tensor([unknown] * 3), whole, 0.0)
    assert float(none.detach()) == 0.0


def test_calibration_is_fitted_to_codec_and_bona_fide_among_three_classes() -> None:
    rng = np.random.default_rng(0)
    labels = np.arange(900) % 3
    raw = rng.normal([3.0, 0.0, -3.0], 2.0, (300, 3)).ravel()
    pair = np.stack([raw, np.zeros(900)], axis=1)
    logits = np.insert(pair, 1, rng.normal(0.0, 1.0, 900), axis=1)
    two = fit_calibration({"BIN": pair}, {"BIN": np.array([0, -1, 1])[labels]})
    three = fit_calibration({"BIN": logits}, {"BIN": labels}, classes=DETECTION)
    assert three == replace(two, classes=DETECTION)


def test_detection_classes_that_nobody_knows_are_refused() -> None:
    with pytest.raises(ValueError, match="no such detection classes: codec, music"):
        build_network("compact", {"detection": ["codec", "music"]})
