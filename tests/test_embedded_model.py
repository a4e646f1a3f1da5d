"""The model that comes with the package."""

from __future__ import annotations

import numpy as np
import pytest

import codecsleuth
from codecsleuth.audio.windows import WINDOW_SAMPLES
from codecsleuth.taxonomy import CLASSES, catalogue
from codecsleuth.weights import find_weights, read_weights
from conftest import ROOT, speech_like

EXAMPLES = ROOT / "examples"


@pytest.fixture(scope="module")
def model() -> codecsleuth.Model:
    return codecsleuth.load_model()


def test_the_examples_are_told_apart(model: codecsleuth.Model) -> None:
    coded = model.analyze(EXAMPLES / "witness_lyra_6kbps.wav")
    plain = model.analyze(EXAMPLES / "witness.wav")
    assert coded.verdict == "codec"
    assert coded.log10_lr > plain.log10_lr
    assert plain.verdict != "codec"
    assert coded.taxonomy["vq"].label == "MVQ"
    assert coded.taxonomy["dec"].label == "Time"
    assert "Lyra-v2" in [candidate.codec for candidate in coded.candidates[:3]]
    assert coded.familiarity is not None and coded.familiarity > 0.5


def test_the_network_takes_waveforms_and_gives_logits_per_task(
    model: codecsleuth.Model,
) -> None:
    import torch

    waveforms = torch.from_numpy(np.stack([speech_like(4.1, seed=seed) for seed in range(2)]))
    logits = model.network(waveforms[:, :WINDOW_SAMPLES])
    assert {task: tuple(values.shape) for task, values in logits.items()} == {
        task: (2, len(classes)) for task, classes in CLASSES.items()
    }
    assert not model.network.training


def test_a_clip_and_its_louder_and_softer_copies_get_nearly_the_same_answer(
    model: codecsleuth.Model,
) -> None:
    samples = speech_like(4.1)
    answers = [model.analyze(gain * samples, 16_000).log10_lr for gain in (0.25, 1.0, 2.0)]
    assert np.ptp(answers) < 0.05


def test_it_is_small(model: codecsleuth.Model) -> None:
    assert sum(values.numel() for values in model.network.parameters()) <= 2_500_000
    assert find_weights("compact").stat().st_size <= 10 * 1024 * 1024


def test_the_weights_say_what_they_are(model: codecsleuth.Model) -> None:
    weights = read_weights(find_weights("compact"))
    assert weights.classes == {task: list(names) for task, names in CLASSES.items()}
    assert weights.training["sources"]
    assert model.calibration.bona_fide_threshold < model.calibration.codec_threshold
    assert 0.0 < model.calibration.familiar_threshold < 1.0
    assert set(model.families) <= {entry.family for entry in catalogue()}
