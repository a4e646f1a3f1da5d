"""Clips and a small model that every test makes afresh; nothing comes from outside."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import soxr

from codecsleuth import cli
from codecsleuth.calibration import Calibration
from codecsleuth.evaluation.score_file import Provenance, ScoreFile
from codecsleuth.evaluation.scores import ScoreTable
from codecsleuth.inference.model import Model
from codecsleuth.taxonomy import CLASSES
from codecsleuth.weights import WeightsFile, write_weights

ROOT = Path(__file__).parents[1]


@cache
def _spoken(rate: int) -> np.ndarray:
    """All that the examples say without a codec, ``(frames,)`` float32."""
    said = [soundfile.read(ROOT / "examples" / name, dtype="float32")[0] for name in _SPOKEN]
    return soxr.resample(np.concatenate(said), 16_000, rate, quality="HQ").astype(np.float32)


_SPOKEN = ("witness.wav", "notice.wav")


def speech_like(seconds: float, rate: int = 16_000, seed: int = 0) -> np.ndarray:
    """Speech, ``(frames,)`` float32; another part of it for each seed."""
    spoken = _spoken(rate)
    start = rate // 4 + seed * rate * 7 // 10
    return 0.8 * np.take(spoken, range(start, start + round(seconds * rate)), mode="wrap")


def score_file(
    scores: ScoreTable, calibration: Calibration | None = None, **facts: Any
) -> ScoreFile:
    """Scores as a run has them, of a model and a folder that are nowhere."""
    model = {"name": "oracle", "version": "1", "sha256": "a" * 64, "tasks": list(scores.logits)}
    data = {"folder": "/data", "table_sha256": "b" * 64, "protocol_sha256": {}, "fold": None}
    data |= {"description": "split dev", "split": "dev", "sources": None, "left_out": False}
    return ScoreFile(
        scores, Provenance(model, data | facts, {"device": "cpu"}, calibration or Calibration())
    )


@dataclass(frozen=True)
class Outcome:
    status: int
    out: str
    err: str

    @property
    def document(self) -> dict[str, Any]:
        return json.loads(self.out)

    @property
    def result(self) -> dict[str, Any]:
        (only,) = self.document["results"]
        return only


@pytest.fixture
def clip(tmp_path: Path) -> Callable[..., Path]:
    """Write a clip below the test's folder; keywords go to ``soundfile.write``."""

    def make(
        name: str,
        seconds: float = 4.2,
        rate: int = 16_000,
        channels: int = 1,
        seed: int = 0,
        **kind,
    ) -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        samples = np.stack([speech_like(seconds, rate, seed + c) for c in range(channels)], 1)
        soundfile.write(path, samples, rate, **kind)
        return path

    return make


@pytest.fixture(scope="session")
def weights_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A compact model with random weights, whose answers differ from clip to clip."""
    import torch

    from codecsleuth.models.compact import CompactConfig, CompactNet

    torch.manual_seed(1)
    path = tmp_path_factory.mktemp("weights") / "tiny.safetensors"
    config = CompactConfig(members=1)
    network = CompactNet(config)
    weights = WeightsFile(
        name="tiny",
        version="0",
        architecture="compact",
        config=asdict(config),
        tasks=tuple(CLASSES),
        classes={task: list(names) for task, names in CLASSES.items()},
        calibration=Calibration(bona_fide_threshold=0.4, codec_threshold=0.6).to_dict(),
        training={},
        tensors=network.state_dict(),
    )
    write_weights(path, weights)
    return path


@pytest.fixture(scope="session")
def model(weights_path: Path) -> Model:
    return Model.load(weights_path)


@pytest.fixture
def analyze(weights_path: Path, capsysbinary) -> Callable[..., Outcome]:
    """Run ``codecsleuth analyze`` in this process."""

    def call(*arguments: object) -> Outcome:
        words = ["analyze", "--model", str(weights_path), *map(str, arguments)]
        capsysbinary.readouterr()
        status = cli.run(words)
        out, err = capsysbinary.readouterr()
        return Outcome(status, out.decode("utf-8"), err.decode("utf-8"))

    return call
