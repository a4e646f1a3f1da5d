"""The model that comes with the package."""

from __future__ import annotations

import numpy as np
import pytest

import codecsleuth
from codecsleuth.audio.windows import WINDOW_SAMPLES
from codecsleuth.taxonomy import CLASSES, DETECTION, catalogue
from codecsleuth.verdict import by_name
from codecsleuth.weights import find_weights, read_weights
from conftest import ROOT, speech_like

EXAMPLES = ROOT / "examples"


@pytest.fixture(scope="module")
def model() -> codecsleuth.Model:
    return codecsleuth.load_model()


def test_the_examples_are_told_apart(model: codecsleuth.Model) -> None:
    for name in ("notice", "witness"):
        coded = model.analyze(EXAMPLES / f"{name}_lyra_6kbps.wav")
        plain = model.analyze(EXAMPLES / f"{name}.wav")
        assert by_name(coded.verdict).neural
        # The examples are of a formant synthesiser, which is no neural synthesis.
        assert not by_name(plain.verdict).neural
        assert coded.log10_lr > plain.log10_lr + 1.0
        assert coded.probabilities["codec"] > 0.5
        assert coded.taxonomy["vq"].label == "MVQ"
        assert coded.taxonomy["dec"].label == "Time"
        assert coded.candidates[0].codec == "Lyra-v2"
        assert coded.familiarity is not None and plain.familiarity is not None
        assert coded.familiarity > plain.familiarity


def test_a_codec_that_is_told_from_a_vocoder_is_called_codec(model: codecsleuth.Model) -> None:
    assert model.analyze(EXAMPLES / "notice_lyra_6kbps.wav").verdict == "codec"


def test_the_network_takes_waveforms_and_gives_logits_per_task(
    model: codecsleuth.Model,
) -> None:
    import torch

    waveforms = torch.from_numpy(np.stack([speech_like(4.1, seed=seed) for seed in range(2)]))
    logits = model.network(waveforms[:, :WINDOW_SAMPLES])
    classes = {**CLASSES, "BIN": DETECTION}
    assert {task: tuple(values.shape) for task, values in logits.items()} == {
        task: (2, len(names)) for task, names in classes.items()
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
    classes = {**CLASSES, "BIN": DETECTION}
    assert weights.classes == {task: list(names) for task, names in classes.items()}
    assert weights.training["sources"]
    held_out = weights.training["performance"]["held_out"]
    assert 0.0 <= held_out["false_alarms"] < held_out["inconclusive"] < 1.0
    assert weights.training["performance"]["conditions"]["as-is"].keys() == held_out.keys()
    assert model.calibration.bona_fide_threshold < model.calibration.codec_threshold
    assert 0.0 < model.calibration.familiar_threshold < 1.0
    assert set(model.families) <= {entry.family for entry in catalogue()}
