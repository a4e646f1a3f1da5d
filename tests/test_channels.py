"""Channels: as many samples as before, in their place, and the same ones every time."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import soundfile

from codecsleuth.audio.windows import SAMPLE_RATE
from codecsleuth.augment.channels import CODERS, lossy_round_trip
from codecsleuth.augment.conditions import CONDITIONS
from conftest import ROOT, speech_like

SPEECH = speech_like(1.5)


@pytest.fixture(scope="module")
def witness() -> np.ndarray:
    samples, rate = soundfile.read(ROOT / "examples" / "witness.wav", dtype="float32")
    assert rate == SAMPLE_RATE
    return samples[: 3 * rate + 7]


def lateness(before: np.ndarray, after: np.ndarray) -> int:
    """Samples by which a signal is late, where the cross-correlation is largest."""
    size = 1 << (2 * len(before)).bit_length()
    spectrum = np.fft.rfft(after, size) * np.fft.rfft(before, size).conj()
    place = int(np.argmax(np.fft.irfft(spectrum, size)))
    return place - size if place > size // 2 else place


@pytest.mark.parametrize("name", CODERS)
def test_a_channel_gives_back_as_many_samples_in_their_place(
    name: str, witness: np.ndarray
) -> None:
    coder = CODERS[name]
    for rate in coder.rates:
        for setting in {coder.settings[0], coder.settings[-1]}:
            result = coder.round_trip(witness, rate, setting)
            assert result.dtype == np.float32
            assert result.shape == witness.shape
            assert abs(lateness(witness, result)) <= 3, (rate, setting)
            assert np.corrcoef(witness, result)[0, 1] > 0.6, (rate, setting)
            assert np.any(result != witness)


@pytest.mark.parametrize("name", CODERS)
def test_a_channel_repeats_itself_in_every_thread(name: str) -> None:
    def send(seed: int) -> np.ndarray:
        return CODERS[name](SPEECH, np.random.default_rng(seed))

    alone = send(5)
    with ThreadPoolExecutor(3) as pool:
        for together in pool.map(send, [5, 5, 5]):
            np.testing.assert_array_equal(alone, together)


@pytest.mark.parametrize("name", CODERS)
def test_a_channel_takes_silence_and_short_clips(name: str) -> None:
    for clip in (np.zeros(8_000, np.float32), SPEECH[:1_001]):
        assert CODERS[name](clip, np.random.default_rng(0)).shape == clip.shape


@pytest.mark.parametrize("name", CONDITIONS)
def test_conditions_repeat_themselves(name: str) -> None:
    first, second = (CONDITIONS[name](SPEECH, np.random.default_rng(2)) for _ in range(2))
    np.testing.assert_array_equal(first, second)
    assert first.dtype == np.float32
    assert np.isfinite(first).all()
    if not name.startswith("cut"):
        assert len(first) == len(SPEECH)


@pytest.mark.parametrize("name", ["aac", "mp3", "opus", "wma", "g726"])
def test_fewer_bits_are_further_from_the_original(name: str) -> None:
    coder = CODERS[name]
    rough, fine = (
        coder.round_trip(SPEECH, coder.rates[0], setting)
        for setting in (coder.settings[0], coder.settings[-1])
    )
    assert np.square(rough - SPEECH).mean() > np.square(fine - SPEECH).mean() > 0


def test_stronger_compression_is_further_from_the_original() -> None:
    errors = []
    for compression in (0.1, 0.9):
        coded = lossy_round_trip(SPEECH, "OGG", "VORBIS", compression_level=compression)
        errors.append(float(np.square(coded - SPEECH[: len(coded)]).mean()))
    assert 0 < errors[0] < errors[1]
