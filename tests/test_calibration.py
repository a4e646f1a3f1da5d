"""Calibration: probabilities that hold, thresholds that keep to their error rates."""

from __future__ import annotations

import numpy as np
import pytest

from codecsleuth.arrays import sigmoid
from codecsleuth.calibration import Calibration
from codecsleuth.errors import DataError
from codecsleuth.training.fitting import Targets, fit_calibration

RNG = np.random.default_rng(0)
CLIPS = 4000


def bin_scores(shift: float, stretch: float) -> tuple[np.ndarray, np.ndarray]:
    """Logits whose true log-likelihood ratio is a shifted and stretched version of their own."""
    labels = (np.arange(CLIPS) % 4 == 0).astype(np.int64)
    true_log_odds = RNG.normal(np.where(labels == 0, 2.0, -2.0), 2.0)
    logits = np.zeros((CLIPS, 2))
    logits[:, 0] = stretch * true_log_odds + shift
    return logits, labels


def verdicts_of(calibration: Calibration, logits: np.ndarray) -> np.ndarray:
    names, each = zip(*calibration.probabilities(logits).items(), strict=True)
    rows = zip(*each, strict=True)
    return np.array([calibration.verdict(dict(zip(names, row, strict=True))) for row in rows])


def test_log_odds_are_put_back_to_likelihood_ratios() -> None:
    logits, labels = bin_scores(shift=3.0, stretch=2.5)
    fitted = fit_calibration({"BIN": logits}, {"BIN": labels})
    assert fitted.bin_scale == pytest.approx(1 / 2.5, rel=0.1)
    assert fitted.bin_bias == pytest.approx(-3.0 / 2.5, abs=0.25)
    probability = sigmoid(fitted.log_odds(logits))
    # At even prior odds: each label counts alike, whatever its number of clips.
    weight = np.where(labels == 0, 1 / (labels == 0).sum(), 1 / (labels == 1).sum())
    for low in (0.1, 0.3, 0.5, 0.7):
        chosen = (probability >= low) & (probability < low + 0.2)
        share = weight[chosen & (labels == 0)].sum() / weight[chosen].sum()
        assert share == pytest.approx(probability[chosen].mean(), abs=0.08)


def test_thresholds_keep_to_their_error_rates() -> None:
    logits, labels = bin_scores(shift=0.0, stretch=1.0)
    targets = Targets(false_alarms=0.02, misses=0.04)
    fitted = fit_calibration({"BIN": logits}, {"BIN": labels}, targets)
    verdicts = verdicts_of(fitted, logits)
    assert (verdicts[labels == 1] == "codec").mean() <= 0.021
    assert (verdicts[labels == 0] == "bona_fide").mean() <= 0.041
    assert fitted.bona_fide_threshold <= 0.5 <= fitted.codec_threshold


def test_evidence_is_not_overstated_when_labels_are_easy_to_tell_apart() -> None:
    labels = np.arange(60) % 2
    logits = np.stack([np.where(labels == 0, 50.0, -50.0), np.zeros(60)], axis=1)
    fitted = fit_calibration({"BIN": logits}, {"BIN": labels})
    assert np.abs(fitted.log_odds(logits)).max() <= np.log(31) + 1e-9


@pytest.mark.parametrize("outliers", [1, 3, 6])
@pytest.mark.parametrize("wrong", ["bona fide", "codec"])
def test_both_verdicts_can_be_reached_and_keep_to_their_error_rates(
    outliers: int, wrong: str
) -> None:
    """A few clips of one label look like the strongest of the other."""
    labels = np.arange(120) % 2
    raw = np.where(labels == 0, 4.0, -4.0) + np.linspace(-1.0, 1.0, len(labels))
    chosen = np.flatnonzero(labels == (wrong == "bona fide"))[:outliers]
    raw[chosen] *= -np.linspace(2.0, 4.0, outliers)
    logits = np.stack([raw, np.zeros(len(raw))], axis=1)
    fitted = fit_calibration({"BIN": logits}, {"BIN": labels}, Targets(0.02, 0.02))
    strongest = verdicts_of(fitted, np.array([[50.0, 0.0], [-50.0, 0.0]]))
    assert strongest.tolist() == ["codec", "bona_fide"]
    verdicts = verdicts_of(fitted, logits)
    one_clip = 1 / 60
    assert (verdicts[labels == 1] == "codec").mean() <= 0.02 + one_clip
    assert (verdicts[labels == 0] == "bona_fide").mean() <= 0.02 + one_clip


def test_a_calibration_set_of_one_label_is_refused() -> None:
    with pytest.raises(DataError, match="codec and bona fide clips are both needed"):
        fit_calibration({"BIN": np.ones((9, 2))}, {"BIN": np.ones(9, dtype=np.int64)})


def test_clips_that_are_neither_codec_nor_bona_fide_do_not_count() -> None:
    logits, labels = bin_scores(1.0, 1.5)
    fitted = fit_calibration({"BIN": logits}, {"BIN": labels})
    more = np.concatenate([logits, np.full((500, 2), 9.0)])
    unknown = np.concatenate([labels, np.full(500, -1)])
    assert fit_calibration({"BIN": more}, {"BIN": unknown}) == fitted


THREE = Calibration(
    classes=("codec", "vocoder", "bona fide"),
    codec_threshold=0.7,
    vocoder_threshold=0.8,
    neural_threshold=0.9,
    bona_fide_threshold=0.2,
)


@pytest.mark.parametrize("below", [0.0, 1e-9, -1e-9])
@pytest.mark.parametrize(
    ("codec", "vocoder", "verdict"),
    [
        (0.7, 0.0, "codec"),
        (0.0, 0.8, "vocoder"),
        (0.5, 0.4, "neural"),
        (0.1, 0.1, "bona_fide"),
        (0.4, 0.4, "inconclusive"),
    ],
)
def test_the_last_bits_of_a_probability_do_not_decide(
    below: float, codec: float, vocoder: float, verdict: str
) -> None:
    """Sums differ in their last bits from machine to machine."""
    probabilities = {"codec": codec - below, "vocoder": vocoder - below}
    assert THREE.verdict(probabilities) == verdict


def test_the_margin_is_that_to_the_nearest_threshold_also_of_the_sum() -> None:
    assert THREE.margin({"codec": 0.69, "vocoder": 0.0}) == pytest.approx(0.01)
    assert THREE.margin({"codec": 0.45, "vocoder": 0.44}) == pytest.approx(0.01)
    two = Calibration(codec_threshold=0.7, bona_fide_threshold=0.2)
    assert two.margin({"codec": 0.5, "bona fide": 0.5}) == pytest.approx(0.2)


def test_three_classes_share_out_one_probability_and_are_compared_with_bona_fide() -> None:
    logits = np.log(np.array([[0.5, 0.3, 0.2], [0.1, 0.8, 0.1]]))
    found = THREE.probabilities(logits)
    np.testing.assert_allclose(found["codec"], [0.5, 0.1])
    np.testing.assert_allclose(found["vocoder"], [0.3, 0.8])
    np.testing.assert_allclose(found["bona fide"], [0.2, 0.1])
    np.testing.assert_allclose(np.exp(THREE.log_odds(logits)), [2.5, 1.0])
    neural = THREE.neural_log_odds(logits)
    assert neural is not None
    np.testing.assert_allclose(np.exp(neural), [4.0, 9.0])


def test_axes_are_fitted_to_the_known_codec_classes_alone() -> None:
    labels = np.tile([-1, 0, 1, 2, 3], 400)
    logits = RNG.normal(0.0, 1.0, (len(labels), 4))
    logits[np.arange(len(labels)), labels] += np.where(labels > 0, 6.0, 0.0)
    fitted = fit_calibration({"VQ": logits}, {"VQ": labels})
    probability = fitted.axis_probabilities("VQ", logits[labels > 0])
    np.testing.assert_allclose(probability.sum(axis=1), 1.0)
    hit = probability.argmax(axis=1) == labels[labels > 0] - 1
    assert probability.max(axis=1).mean() == pytest.approx(hit.mean(), abs=0.02)


def test_calibration_survives_the_weights_file() -> None:
    logits, labels = bin_scores(1.0, 1.5)
    fitted = fit_calibration({"BIN": logits}, {"BIN": labels})
    assert Calibration.from_dict(fitted.to_dict()) == fitted


def test_without_bin_only_the_axes_are_fitted() -> None:
    labels = np.tile([1, 2], 50)
    logits = RNG.normal(0.0, 1.0, (100, 3))
    assert fit_calibration({"DEC": logits}, {"DEC": labels}).bin_scale == 1.0
