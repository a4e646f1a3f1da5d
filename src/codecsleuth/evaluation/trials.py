"""Trials of a comparison: clips of two labels with the likelihood ratios that a model states."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from codecsleuth.arrays import LN10, BoolArray, FloatArray, IntArray, sigmoid
from codecsleuth.calibration import BONA_FIDE, CODEC, Calibration
from codecsleuth.data.items import Item
from codecsleuth.evaluation import metrics
from codecsleuth.evaluation.bounds import empirical_bounds
from codecsleuth.evaluation.isotonic import minimum_cllr
from codecsleuth.evaluation.labels import CLASS_PAIRS, DETECTION_LABELS, ClassPair, has_label

LogOdds = Callable[[Calibration, FloatArray], FloatArray]


@dataclass(frozen=True)
class Comparison:
    """Two propositions between which a likelihood ratio is stated.

    Attributes:
        part: as `codecsleuth.inference.recalibration.PARTS` has it.
        pair: of which classes and labels.
        unlimited: calibrated natural log-odds without limit, of logits ``(clips, classes)``.
        limited: whether the limits of likelihood ratios against bona fide are for it.
    """

    part: str
    pair: ClassPair
    unlimited: LogOdds
    limited: bool

    def stated(self, calibration: Calibration, logits: FloatArray) -> FloatArray:
        """Calibrated natural log-odds as answers state them, ``(clips,)``."""
        log_odds = self.unlimited(calibration, logits)
        if not self.limited:
            return np.clip(log_odds, -calibration.max_log_odds, calibration.max_log_odds)
        return np.clip(log_odds, -calibration.limit(-1.0), calibration.limit(1.0))


_CODEC: Final = ClassPair(
    "codec_against_bona_fide",
    "codec against bona fide",
    (CODEC,),
    (BONA_FIDE,),
    DETECTION_LABELS[:1],
    DETECTION_LABELS[1:],
)
_PAIRS: Final = {pair.name: pair for pair in CLASS_PAIRS}
#: All that a model may state likelihood ratios of; a model of two classes has the first alone.
COMPARISONS: Final = (
    Comparison("bin", _CODEC, Calibration.unlimited_log_odds, limited=True),
    Comparison(
        "neural",
        _PAIRS["neural_against_bona_fide"],
        Calibration.unlimited_neural_log_odds,
        limited=True,
    ),
    Comparison(
        "source",
        _PAIRS["codec_against_vocoder"],
        Calibration.unlimited_source_log_odds,
        limited=False,
    ),
)


def source_of(item: Item) -> str:
    """The source of a clip; one whose source is not stated is its utterance's own."""
    return item.source or f"utterance {item.group}"


def numbered_sources(items: Sequence[Item]) -> IntArray:
    """A number for each clip's source, from 0 without gaps, ``(items,)``."""
    names = np.array([source_of(item) for item in items])
    return np.unique(names, return_inverse=True)[1].astype(np.int64)


def source_weights(
    sources: IntArray, is_positive: BoolArray, weights: FloatArray | None = None
) -> FloatArray:
    """Weights that add up to 1 over the clips that each source has of each label, ``(..., clips)``.

    Args:
        sources: ``(clips,)`` numbers from 0.
        is_positive: ``(clips,)``.
        weights: ``(..., clips)`` how often each clip is drawn; a source drawn twice weighs 2.
    """
    cells = 2 * sources + is_positive
    clips = np.bincount(cells)[cells].astype(np.float64)
    return np.asarray(metrics.ones_unless(weights, len(sources)) / clips)


@dataclass(frozen=True)
class Trials:
    """The clips of a comparison.

    Attributes:
        comparison: which.
        chosen: ``(all clips,)`` which clips these are.
        ranking: ``(clips,)`` calibrated natural log-odds, not limited.
        log_odds: ``(clips,)`` calibrated natural log-odds as answers state them.
        is_positive: ``(clips,)``.
        sources: ``(clips,)`` number of each clip's source.
    """

    comparison: Comparison
    chosen: BoolArray
    ranking: FloatArray
    log_odds: FloatArray
    is_positive: BoolArray
    sources: IntArray

    @property
    def log10_lr(self) -> FloatArray:
        """Stated log10 likelihood ratios, ``(clips,)``."""
        return np.asarray(self.log_odds / LN10)

    @property
    def bounds(self) -> tuple[float, float]:
        """How strong log10 likelihood ratios these sources support; see `empirical_bounds`."""
        weights = source_weights(self.sources, self.is_positive)
        return empirical_bounds(self.ranking / LN10, self.is_positive, weights)

    def count(self, positive: bool) -> tuple[int, int]:
        """Clips of a side, and the sources that they are of."""
        chosen = self.is_positive == positive
        return int(chosen.sum()), len(np.unique(self.sources[chosen]))

    def at(self, weights: FloatArray) -> dict[str, FloatArray]:
        """The figures ``(...)`` at weights ``(..., all clips)``."""
        return self.figures(weights[..., self.chosen])

    def figures(self, weights: FloatArray) -> dict[str, FloatArray]:
        """The figures ``(...)`` at weights ``(..., clips)``; NaN where not defined."""
        cost = metrics.log_likelihood_ratio_cost(self.log_odds, self.is_positive, weights)
        least = minimum_cllr(self.log_odds, self.is_positive, weights)
        even = metrics.even_prior(self.is_positive, weights)
        odds = self.log_odds
        return {
            "cllr": cost,
            "cllr_min": least,
            "cllr_cal": cost - least,
            "eer": metrics.equal_error_rate(self.ranking, self.is_positive, weights),
            "ece": metrics.calibration_error(sigmoid(odds), self.is_positive, even),
            "misleading_positive": metrics.weighted_mean(odds < 0, weights * self.is_positive),
            "misleading_negative": metrics.weighted_mean(odds > 0, weights * ~self.is_positive),
        }


def trials_of(
    items: Sequence[Item], logits: FloatArray, calibrations: Sequence[tuple[Calibration, BoolArray]]
) -> Iterator[Trials]:
    """The comparisons that a model states and that have clips on both sides.

    Args:
        items: the clips.
        logits: of ``BIN``, ``(clips, classes)``.
        calibrations: each with the clips ``(clips,)`` that it is for; together all clips.
    """
    sources = numbered_sources(items)
    for comparison in COMPARISONS:
        pair = comparison.pair
        if not pair.is_distinguished_by(calibrations[0][0].classes):
            continue
        positive, negative = (
            has_label(items, *labels) for labels in (pair.positive_labels, pair.negative_labels)
        )
        chosen = positive | negative
        if positive.any() and negative.any():
            ranking, stated = _log_odds(comparison, logits, calibrations)
            yield Trials(
                comparison,
                chosen,
                ranking[chosen],
                stated[chosen],
                positive[chosen],
                sources[chosen],
            )


def _log_odds(
    comparison: Comparison,
    logits: FloatArray,
    calibrations: Sequence[tuple[Calibration, BoolArray]],
) -> tuple[FloatArray, FloatArray]:
    ranking, stated = np.empty(len(logits)), np.empty(len(logits))
    for calibration, clips in calibrations:
        ranking[clips] = comparison.unlimited(calibration, logits[clips])
        stated[clips] = comparison.stated(calibration, logits[clips])
    return ranking, stated
