"""From a network's logits to calibrated probabilities, likelihood ratios and verdicts.

Calibration is affine on the log-odds (Brümmer and du Preez, "Application-independent evaluation of
speaker detection", 2006), fitted to scores of clips that the scoring weights have not seen, at even
prior odds: the calibrated log-odds of ``BIN`` are therefore a natural-log likelihood ratio
codec : bona fide.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Final, Literal

import numpy as np

from codecsleuth.arrays import LN10, FloatArray, softmax
from codecsleuth.taxonomy import AXES, BIN_BONA_FIDE, BIN_CODEC, CLASSES

Verdict = Literal["codec", "bona_fide", "inconclusive"]
#: The answer on an axis about a codec that is like none the model has met.
UNKNOWN: Final = "unknown"
#: What a weights file states in the place of a calibration if nobody has fitted one.
UNFITTED: Final = {"fitted": False}


@dataclass(frozen=True)
class Calibration:
    """Affine calibration per task, the decision thresholds, and the limit of the evidence.

    Attributes:
        bin_scale: factor on the ``BIN`` log-odds codec : bona fide.
        bin_bias: added to them afterwards (natural log).
        axis_scale: factor on the logits of each taxonomy task.
        axis_bias: added to them afterwards, one value per codec class (``Real`` left out).
        codec_threshold: verdict "codec" at this calibrated probability or above.
        bona_fide_threshold: verdict "bona fide" at this calibrated probability or below.
        familiar_threshold: below this familiarity (see `familiarity`) a codec is like none that the
            model has met.
        sure_threshold: an axis keeps its answer about such a codec at this probability or above;
            below it the answer is `UNKNOWN`.
        max_log_odds: calibrated log-odds are limited to plus or minus this, since a few hundred
            calibration clips cannot support a stronger statement.
    """

    bin_scale: float = 1.0
    bin_bias: float = 0.0
    axis_scale: dict[str, float] = field(default_factory=lambda: dict.fromkeys(AXES, 1.0))
    axis_bias: dict[str, tuple[float, ...]] = field(
        default_factory=lambda: {axis: (0.0,) * (len(CLASSES[axis]) - 1) for axis in AXES}
    )
    codec_threshold: float = 0.5
    bona_fide_threshold: float = 0.5
    familiar_threshold: float = 0.0
    sure_threshold: float = 1.0
    max_log_odds: float = 4.0 * LN10

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Calibration:
        """Read what `to_dict` wrote."""
        biases = {axis: tuple(bias) for axis, bias in values["axis_bias"].items()}
        return cls(**{**values, "axis_bias": biases})

    def to_dict(self) -> dict[str, Any]:
        """Plain values for the weights file's metadata."""
        return asdict(self)

    def log_odds(self, bin_logits: FloatArray) -> FloatArray:
        """Calibrated natural log-odds codec : bona fide of ``(..., 2)`` logits, shape ``(...)``."""
        raw = bin_logits[..., BIN_CODEC] - bin_logits[..., BIN_BONA_FIDE]
        limited = np.clip(
            self.bin_scale * raw + self.bin_bias, -self.max_log_odds, self.max_log_odds
        )
        return limited

    def axis_probabilities(self, axis: str, logits: FloatArray) -> FloatArray:
        """Probabilities of the codec classes, given that there was a codec.

        Args:
            axis: ``VQ``, ``AUX`` or ``DEC``.
            logits: ``(..., classes)`` with ``Real`` first.

        Returns:
            ``(..., classes - 1)`` that sum to 1.
        """
        scores = self.axis_scale[axis] * logits[..., 1:] + np.asarray(self.axis_bias[axis])
        return softmax(scores)

    def verdict(self, probability: float) -> Verdict:
        """The decision at a calibrated codec probability."""
        if probability >= self.codec_threshold:
            return "codec"
        if probability <= self.bona_fide_threshold:
            return "bona_fide"
        return "inconclusive"


def bin_from_axes(logits: Mapping[str, FloatArray]) -> FloatArray:
    """What a model without ``BIN`` says of it through its axes (the paper's model M2).

    The probability of a codec is the geometric mean of the axes' summed codec probabilities, so
    that of bona fide speech is ``1 - (a * d * q) ** (1 / 3)``.

    Args:
        logits: per axis ``(..., classes)`` with ``Real`` first.

    Returns:
        Log-probabilities ``(..., 2)`` in the order of ``BIN``.
    """
    odds = [np.logaddexp.reduce(one[..., 1:], axis=-1) - one[..., 0] for one in logits.values()]
    codec = -np.mean([np.logaddexp(0.0, -one) for one in odds], axis=0)
    both = np.empty((*codec.shape, 2))
    both[..., BIN_CODEC] = codec
    both[..., BIN_BONA_FIDE] = np.log(np.maximum(-np.expm1(codec), np.finfo(np.float64).tiny))
    return both


def familiarity(family_logits: FloatArray) -> FloatArray:
    """Probability of the likeliest family, ``(..., families)`` to ``(...)``: the open-set score.

    The maximum softmax probability (Hendrycks and Gimpel, "A baseline for detecting misclassified
    and out-of-distribution examples in neural networks", ICLR 2017).
    """
    likeliest: FloatArray = softmax(family_logits).max(axis=-1)
    return likeliest
