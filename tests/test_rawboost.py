"""RawBoost: each kind of noise has the statistics that its parameters state."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from codecsleuth.augment.rawboost import ALGORITHMS, RawBoost
from codecsleuth.errors import UsageError
from conftest import speech_like

CLIP = speech_like(2.0)
DRAWS = 300


def noise(samples: int = 32_000, seed: int = 0) -> np.ndarray:
    return (0.02 * np.random.default_rng(seed).standard_normal(samples)).astype(np.float32)


def boosted(boost: RawBoost, clip: np.ndarray, draws: int = DRAWS) -> np.ndarray:
    rng = np.random.default_rng(1)
    return np.stack([boost(clip, rng) for _ in range(draws)])


def gain_db(before: np.ndarray, after: np.ndarray) -> np.ndarray:
    """Gain in each of 16 bands of 500 Hz."""
    power = [np.abs(np.fft.rfft(one)[:16_000]) ** 2 for one in (before, after)]
    before_band, after_band = (one.reshape(16, -1).sum(axis=1) for one in power)
    return 10 * np.log10(after_band / before_band)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_length_and_kind_stay_and_the_generator_decides(algorithm: int) -> None:
    boost = RawBoost(algorithm)
    one, same, other = (boost(CLIP, np.random.default_rng(seed)) for seed in (1, 1, 2))
    assert one.shape == CLIP.shape and one.dtype == np.float32
    np.testing.assert_array_equal(one, same)
    assert np.array_equal(one, other) == (algorithm == 0)
    assert np.abs(boost(20 * CLIP, np.random.default_rng(3))).max() <= 1.0 or algorithm == 0


def test_algorithm_0_leaves_a_clip_as_it_is() -> None:
    np.testing.assert_array_equal(RawBoost(0)(CLIP, np.random.default_rng(0)), CLIP)


def test_the_given_clip_is_not_written_to() -> None:
    before = CLIP.copy()
    for algorithm in ALGORITHMS:
        RawBoost(algorithm)(CLIP, np.random.default_rng(0))
    np.testing.assert_array_equal(CLIP, before)


def test_linear_filtering_cuts_notches_and_never_amplifies() -> None:
    """Five notches of 100 to 1,000 Hz take about a quarter of the band, and gain stays below 0."""
    clip = noise()
    gains = np.stack([gain_db(clip, out) for out in boosted(RawBoost(1, orders=1), clip)])
    assert gains.max() < 0.2
    assert (gains.min(axis=1) < -3.0).mean() > 0.9
    assert -6.0 < gains.mean() < -1.5
    narrow = RawBoost(1, orders=1, bandwidth=(100.0, 100.0))
    assert np.mean([gain_db(clip, out) for out in boosted(narrow, clip)]) > gains.mean() + 1.0


def test_a_notch_lies_where_it_is_put_and_does_not_delay() -> None:
    clip = noise()
    one = RawBoost(1, orders=1, notches=1, frequency=(2250.0, 2250.0), taps=(100, 100))
    out = replace(one, bandwidth=(500.0, 500.0))(clip, np.random.default_rng(0))
    assert gain_db(clip, out).argmin() == 4
    lags = np.correlate(out[1000:9000], clip[950:9050], "valid")
    assert lags.argmax() == 50


def test_powers_of_the_signal_come_in_below_the_linear_part() -> None:
    """A tone's harmonics appear, at the stated distance."""
    time = np.arange(32_000) / 16_000
    tone = np.cos(2 * np.pi * 500 * time).astype(np.float32)
    boost = RawBoost(1, orders=2, frequency=(7900.0, 8000.0), bias_db=(12.0, 12.0))
    spectrum = np.abs(np.fft.rfft(boosted(boost, tone, 50), axis=1)).mean(axis=0)
    # cos^2 = 1/2 + cos(2 f)/2, so the second harmonic is another 6 dB down.
    level = 20 * np.log10(spectrum[2000] / spectrum[1000])
    assert level == pytest.approx(-12.0 - 6.02, abs=1.0)
    assert spectrum[0] < 1e-2 * spectrum[2000]


def test_impulses_hit_the_stated_share_in_proportion_to_the_sample() -> None:
    clip = 0.1 * np.sign(noise())
    change = boosted(RawBoost(2), clip) / clip - 1.0
    shares = (change != 0).mean(axis=1)
    # Even from 0 to a tenth.
    assert shares.max() <= 0.1
    assert shares.mean() == pytest.approx(0.05, abs=0.005)
    assert shares.std() == pytest.approx(0.1 / 12**0.5, abs=0.005)
    hits = change[change != 0]
    # Twice a product of two numbers even from -1 to 1, whose variance is 1/9.
    assert np.abs(hits).max() <= 2.0
    assert hits.mean() == pytest.approx(0.0, abs=0.01)
    assert hits.std() == pytest.approx(2 / 3, abs=0.01)


def test_stationary_noise_has_the_stated_ratio_and_is_apart_from_the_signal() -> None:
    clip = speech_like(2.0)
    added = boosted(RawBoost(3), clip) - clip
    power = np.sum(np.square(added, dtype=np.float64), axis=1)
    ratios = 10 * np.log10(np.sum(np.square(clip, dtype=np.float64)) / power)
    assert 9.9 < ratios.min() < 11.5 and 38.5 < ratios.max() < 40.1
    assert ratios.mean() == pytest.approx(25.0, abs=1.5)
    assert ratios.std() == pytest.approx(30 / 12**0.5, abs=0.6)
    halves = np.square(added).reshape(DRAWS, 2, -1).sum(axis=2)
    assert np.median(np.abs(np.log(halves[:, 0] / halves[:, 1]))) < 0.05


@pytest.mark.parametrize(
    ("algorithm", "kinds"),
    [
        (4, ("convolutive", "impulsive", "stationary")),
        (5, ("convolutive", "impulsive")),
        (6, ("convolutive", "stationary")),
        (7, ("impulsive", "stationary")),
    ],
)
def test_the_combined_algorithms_are_the_single_ones_in_series(
    algorithm: int, kinds: tuple[str, ...]
) -> None:
    single = {"convolutive": RawBoost(1), "impulsive": RawBoost(2), "stationary": RawBoost(3)}
    rng, expected = np.random.default_rng(5), CLIP
    for kind in kinds:
        expected = single[kind](expected, rng)
    np.testing.assert_array_equal(RawBoost(algorithm)(CLIP, np.random.default_rng(5)), expected)


def test_algorithm_8_adds_both_kinds_of_one_clip() -> None:
    rng, quiet = np.random.default_rng(5), 0.1 * CLIP
    expected = RawBoost(1)(quiet, rng) + RawBoost(2)(quiet, rng)
    np.testing.assert_allclose(RawBoost(8)(quiet, np.random.default_rng(5)), expected, atol=1e-6)


def test_there_is_no_algorithm_9() -> None:
    with pytest.raises(UsageError, match="0 to 8, not 9"):
        RawBoost(9)
