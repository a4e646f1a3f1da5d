"""Calibration of three detection classes on held-out sources."""

from __future__ import annotations

import numpy as np
import pytest

from codecsleuth.calibration import Calibration
from codecsleuth.data.items import BONA_FIDE, NEURAL, SPOOF, VOCODER
from codecsleuth.taxonomy import DETECTION
from codecsleuth.training.detection_fitting import Clips, fit_detection

LABELS = (SPOOF, VOCODER, BONA_FIDE, NEURAL)
CENTRES = {SPOOF: (2.0, 0.0, -1.0), VOCODER: (0.0, 2.0, -1.0), BONA_FIDE: (-1.0, -1.0, 2.0)}
CENTRES[NEURAL] = (1.0, 1.0, 0.0)


def made(clips: int = 4000, sources: int = 40, seed: int = 0) -> Clips:
    """Clips of every label, half of them augmented and told apart less well."""
    rng = np.random.default_rng(seed)
    labels = rng.choice(LABELS, clips, p=[0.35, 0.2, 0.4, 0.05])
    clean = np.arange(clips) < clips // 2
    centres = np.array([CENTRES[label] for label in labels])
    logits = centres * np.where(clean, 1.0, 0.5)[:, None] + rng.normal(0, 1.0, (clips, 3))
    return Clips(logits, labels, rng.integers(0, sources, clips), clean)


def verdicts(clips: Clips, calibration: Calibration) -> np.ndarray:
    found = calibration.probabilities(clips.logits)
    rows = [{name: float(p[n]) for name, p in found.items()} for n in range(len(clips.labels))]
    return np.array([calibration.verdict(row) for row in rows])


@pytest.fixture(scope="module")
def fitted() -> tuple[Clips, Calibration]:
    clips = made()
    return clips, fit_detection(clips, Calibration(classes=DETECTION))


@pytest.mark.parametrize(
    ("label", "answers", "most"),
    [
        (BONA_FIDE, ("codec", "vocoder", "neural"), 0.03),
        (VOCODER, ("codec",), 0.05),
        (SPOOF, ("bona_fide",), 0.06),
        (VOCODER, ("bona_fide",), 0.15),
        (NEURAL, ("bona_fide",), 0.20),
    ],
)
def test_thresholds_hold_the_error_rates(
    fitted: tuple[Clips, Calibration], label: str, answers: tuple[str, ...], most: float
) -> None:
    clips, calibration = fitted
    of = (clips.labels == label) & clips.unaugmented
    assert np.isin(verdicts(clips, calibration)[of], answers).mean() <= most + 1e-9


def test_every_verdict_can_be_given(fitted: tuple[Clips, Calibration]) -> None:
    given = set(verdicts(*fitted))
    assert {"codec", "vocoder", "bona_fide", "inconclusive"} <= given


def test_the_limit_follows_from_the_number_of_sources_not_of_clips() -> None:
    few, many = made(sources=5), made(sources=200)
    limits = [
        fit_detection(clips, Calibration(classes=DETECTION)).max_log_odds for clips in (few, many)
    ]
    assert limits[0] == pytest.approx(np.log(6.0))
    assert limits[0] < limits[1] <= np.log(201.0)


def test_a_source_with_most_of_the_clips_does_not_decide() -> None:
    clips = made()
    plain = fit_detection(clips, Calibration(classes=DETECTION))
    times = np.where(clips.sources == 0, 30, 1)
    more = Clips(
        *(np.repeat(values, times, axis=0) for values in vars(clips).values())  # type: ignore[arg-type]
    )
    repeated = fit_detection(more, Calibration(classes=DETECTION))
    assert repeated.bin_scale == pytest.approx(plain.bin_scale, abs=1e-3)
    assert repeated.neural_bias == pytest.approx(plain.neural_bias, abs=1e-3)
