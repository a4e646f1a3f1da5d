"""Augmentation: repeatable, harmless to a recording, and what it says it is."""

from __future__ import annotations

import numpy as np
import pytest

from codecsleuth.audio.windows import SAMPLE_RATE
from codecsleuth.augment import chain as augment
from codecsleuth.augment.chain import DEFAULT_CHAIN, STORAGE, Augmentation
from conftest import speech_like

STEPS = {
    getattr(step, "name", None) or step.__name__: step for step, _ in (*DEFAULT_CHAIN, *STORAGE)
}
SPEECH = speech_like(2.0)


def level_db(waveform: np.ndarray, low: float, high: float) -> float:
    power = np.abs(np.fft.rfft(waveform)) ** 2
    frequency = np.fft.rfftfreq(len(waveform), 1 / SAMPLE_RATE)
    return float(10 * np.log10(power[(frequency >= low) & (frequency < high)].mean() + 1e-12))


@pytest.mark.parametrize("step", STEPS.values(), ids=STEPS)
def test_every_step_keeps_a_recording_a_recording(step: augment.Step) -> None:
    for seed in range(4):
        result = step(SPEECH, np.random.default_rng(seed))
        assert result.dtype == np.float32
        assert abs(len(result) - len(SPEECH)) <= 0.05 * SAMPLE_RATE
        assert np.isfinite(result).all()
        assert np.abs(result).max() > 1e-4


@pytest.mark.parametrize("step", STEPS.values(), ids=STEPS)
def test_every_step_repeats_itself(step: augment.Step) -> None:
    first, second = (step(SPEECH, np.random.default_rng(3)) for _ in range(2))
    np.testing.assert_array_equal(first, second)


def test_the_chain_repeats_itself_and_varies_with_the_seed() -> None:
    chain = Augmentation()
    first, second, other = (chain(SPEECH, np.random.default_rng(seed)) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, second)
    assert len(first) != len(other) or (first != other).any()


def test_clips_are_cut_to_the_lengths_asked_for() -> None:
    chain = Augmentation(clean_share=1.0, min_seconds=0.5, max_seconds=1.0)
    lengths = [len(chain(SPEECH, np.random.default_rng(seed))) for seed in range(50)]
    assert min(lengths) >= 0.5 * SAMPLE_RATE
    assert max(lengths) <= 1.0 * SAMPLE_RATE
    assert max(lengths) - min(lengths) > 0.3 * SAMPLE_RATE


def test_a_telephone_has_nothing_above_its_band() -> None:
    result = augment.telephone(SPEECH, np.random.default_rng(1))
    assert level_db(result, 5_000, 8_000) < level_db(SPEECH, 5_000, 8_000) - 30
