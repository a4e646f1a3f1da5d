"""From a network's logits to calibrated probabilities, likelihood ratios and verdicts.

Calibration is affine on the log-odds (Brümmer and du Preez, "Application-independent evaluation of
speaker detection", 2006), fitted to scores of clips that the scoring weights have not seen, at even
prior odds: calibrated log-odds are therefore natural-log likelihood ratios.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Final

import numpy as np

from codecsleuth import verdict
from codecsleuth.arrays import LN10, FloatArray, log_sum_exp, sigmoid, softmax
from codecsleuth.taxonomy import AXES, CLASSES

#: The label of an axis for a codec that is unlike those that the model has learned.
UNKNOWN: Final = "unknown"
#: What a weights file states in the place of a calibration if nobody has fitted one.
UNFITTED: Final = {"fitted": False}

CODEC, VOCODER, BONA_FIDE = "codec", "vocoder", "bona fide"
#: Classes of which a neural decoder made the waveform.
NEURAL: Final = (CODEC, VOCODER)
#: A probability this near to a threshold is taken for one on it: the last bits of a sum differ from
#: machine to machine, and must not decide.
GUARD: Final = 1e-6


def detection_log_odds(
    logits: FloatArray,
    classes: Sequence[str],
    positive: Sequence[str] = (CODEC,),
    negative: Sequence[str] | None = None,
) -> FloatArray:
    """Natural log-odds of some detection classes against others: the one detection score.

    The log-sum-exp over the logits of ``positive`` minus that over those of ``negative``. Classes
    that the model does not have are passed over.

    Args:
        logits: of ``BIN``, ``(..., classes)``.
        classes: their names, in the order of the logits.
        positive: classes whose odds are asked for.
        negative: classes against which; by default all others.

    Returns:
        ``(...)``.
    """
    against = [name for name in classes if name not in positive] if negative is None else negative
    over, under = (
        log_sum_exp(logits[..., [i for i, name in enumerate(classes) if name in side]])
        for side in (positive, against)
    )
    return np.asarray(over - under)


@dataclass(frozen=True)
class Calibration:
    """Affine calibration per task, the decision thresholds, and the limit of the evidence.

    Attributes:
        classes: names of the ``BIN`` classes in the order of the logits.
        bin_scale: factor on the log-odds codec : bona fide.
        bin_bias: added to them afterwards (natural log).
        neural_scale: factor on the log-odds (codec or vocoder) : bona fide; not used by a model of
            two classes.
        neural_bias: added to them afterwards.
        source_scale: factor on the log-odds codec : vocoder; not used by a model of two classes.
        source_bias: added to them afterwards.
        axis_scale: factor on the logits of each taxonomy task.
        axis_bias: added to them afterwards, one value per codec class (``Real`` left out).
        codec_threshold: verdict "codec" at this probability of the class, or above.
        vocoder_threshold: verdict "vocoder", likewise.
        neural_threshold: verdict "neural" where codec and vocoder together have this probability,
            or more, and neither has enough alone.
        bona_fide_threshold: verdict "bona fide" where codec and vocoder together have this
            probability, or less.
        familiar_threshold: below this familiarity (see `familiarity`) a codec is unlike those that
            the model has learned.
        sure_threshold: an axis keeps its label about such a codec at this probability or above;
            below it the label is `UNKNOWN`.
        max_log_odds: calibrated log-odds are limited to plus or minus this: the calibration set
            cannot support a stronger statement.
        limits: narrower limits below and above, of likelihood ratios against bona fide, that a
            validation set gave; None without one. They do not touch the time line.
    """

    classes: tuple[str, ...] = CLASSES["BIN"]
    bin_scale: float = 1.0
    bin_bias: float = 0.0
    neural_scale: float = 1.0
    neural_bias: float = 0.0
    source_scale: float = 1.0
    source_bias: float = 0.0
    axis_scale: dict[str, float] = field(default_factory=lambda: dict.fromkeys(AXES, 1.0))
    axis_bias: dict[str, tuple[float, ...]] = field(
        default_factory=lambda: {axis: (0.0,) * (len(CLASSES[axis]) - 1) for axis in AXES}
    )
    codec_threshold: float = 0.5
    vocoder_threshold: float = 0.5
    neural_threshold: float = 0.5
    bona_fide_threshold: float = 0.5
    familiar_threshold: float = 0.0
    sure_threshold: float = 1.0
    max_log_odds: float = 4.0 * LN10
    limits: tuple[float, float] | None = None

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Calibration:
        """Read what `to_dict` wrote, by this version or an earlier one.

        Raises:
            TypeError: it holds what no calibration has.
            KeyError: it lacks what every calibration has.
        """
        biases = {axis: tuple(bias) for axis, bias in values["axis_bias"].items()}
        classes = tuple(values.get("classes", CLASSES["BIN"]))
        limits = tuple(values["limits"]) if values.get("limits") else None
        return cls(**{**values, "axis_bias": biases, "classes": classes, "limits": limits})

    def to_dict(self) -> dict[str, Any]:
        """Plain values for the weights file's metadata."""
        values = asdict(self)
        # Weights of any version can be read by a version that knows no such limits.
        return values if self.limits else {k: v for k, v in values.items() if k != "limits"}

    @property
    def tells_vocoders(self) -> bool:
        """Whether the model has a class for neural speech without a codec."""
        return VOCODER in self.classes

    def thresholds(self) -> dict[str, float]:
        """The probabilities at which verdicts change, by the name that answers give them."""
        names = ["codec_threshold", "bona_fide_threshold"]
        if self.tells_vocoders:
            names += ["vocoder_threshold", "neural_threshold"]
        return {name: getattr(self, name) for name in names}

    def limit(self, log_odds: float) -> float:
        """The limit of log-odds on their side of 0, as a positive number."""
        lower, upper = self._limits
        return upper if log_odds >= 0 else -lower

    def log_odds(self, logits: FloatArray) -> FloatArray:
        """Calibrated natural log-odds codec : bona fide, ``(..., classes)`` to ``(...)``."""
        return np.asarray(np.clip(self.unlimited_log_odds(logits), *self._limits))

    def unlimited_log_odds(self, logits: FloatArray) -> FloatArray:
        """As `log_odds`, without the limit: for ranking, not for a statement."""
        raw = detection_log_odds(logits, self.classes, (CODEC,), (BONA_FIDE,))
        return np.asarray(self.bin_scale * raw + self.bin_bias)

    def neural_log_odds(self, logits: FloatArray) -> FloatArray | None:
        """Calibrated natural log-odds (codec or vocoder) : bona fide; None if not told apart."""
        if not self.tells_vocoders:
            return None
        return np.asarray(np.clip(self.unlimited_neural_log_odds(logits), *self._limits))

    def unlimited_neural_log_odds(self, logits: FloatArray) -> FloatArray:
        """As `neural_log_odds`, without the limit; of a model of three classes alone."""
        raw = detection_log_odds(logits, self.classes, NEURAL, (BONA_FIDE,))
        return np.asarray(self.neural_scale * raw + self.neural_bias)

    def unlimited_source_log_odds(self, logits: FloatArray) -> FloatArray:
        """Calibrated natural log-odds codec : vocoder; of a model of three classes alone."""
        raw = detection_log_odds(logits, self.classes, (CODEC,), (VOCODER,))
        return np.asarray(self.source_scale * raw + self.source_bias)

    def source_log_odds(self, logits: FloatArray) -> FloatArray:
        """As `unlimited_source_log_odds`, within the limit of the calibration set."""
        return self._limited(self.unlimited_source_log_odds(logits))

    def trace_log_odds(self, logits: FloatArray) -> FloatArray:
        """What the time line goes by: neural : bona fide if told apart, else codec : bona fide."""
        of = self.unlimited_neural_log_odds if self.tells_vocoders else self.unlimited_log_odds
        return self._limited(of(logits))

    def probabilities(self, logits: FloatArray) -> dict[str, FloatArray]:
        """Probability of each detection class at even prior odds, ``(...)`` per class.

        With three classes, those of codec and vocoder share out the probability that either is the
        case by their own calibrated odds.
        """
        neural = self.neural_log_odds(logits)
        if neural is None:
            codec = sigmoid(self.log_odds(logits))
            return {CODEC: codec, BONA_FIDE: 1.0 - codec}
        share = sigmoid(self.source_log_odds(logits))
        either = sigmoid(neural)
        return {CODEC: either * share, VOCODER: either * (1.0 - share), BONA_FIDE: 1.0 - either}

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

    def verdict(self, probabilities: Mapping[str, float]) -> str:
        """The verdict at calibrated probabilities of the detection classes.

        Args:
            probabilities: as `probabilities` gives them, of one clip.
        """
        codec, vocoder = (probabilities.get(name, 0.0) for name in NEURAL)
        if codec >= self.codec_threshold - GUARD:
            return verdict.CODEC
        if self.tells_vocoders and vocoder >= self.vocoder_threshold - GUARD:
            return verdict.VOCODER
        if self.tells_vocoders and codec + vocoder >= self.neural_threshold - GUARD:
            return verdict.NEURAL
        if codec + vocoder <= self.bona_fide_threshold + GUARD:
            return verdict.BONA_FIDE
        return verdict.INCONCLUSIVE

    def margin(self, probabilities: Mapping[str, float]) -> float:
        """How far the probability nearest to any threshold is from it, 0 to 1.

        Args:
            probabilities: as `probabilities` gives them, of one clip.
        """
        codec, vocoder = (probabilities.get(name, 0.0) for name in NEURAL)
        edges = self.thresholds().values()
        return min(abs(p - edge) for p in (codec, vocoder, codec + vocoder) for edge in edges)

    @property
    def _limits(self) -> tuple[float, float]:
        lower, upper = self.limits or (-np.inf, np.inf)
        return max(lower, -self.max_log_odds), min(upper, self.max_log_odds)

    def _limited(self, log_odds: FloatArray) -> FloatArray:
        return np.asarray(np.clip(log_odds, -self.max_log_odds, self.max_log_odds))


def bin_from_axes(logits: Mapping[str, FloatArray]) -> FloatArray:
    """What a model without ``BIN`` says of it through its axes (the paper's model M2).

    The probability of a codec is the geometric mean of the axes' summed codec probabilities, so
    that of bona fide speech is ``1 - (a * d * q) ** (1 / 3)``.

    Args:
        logits: per axis ``(..., classes)`` with ``Real`` first.

    Returns:
        Log-probabilities ``(..., 2)`` in the order of the paper's ``BIN``.
    """
    odds = [log_sum_exp(one[..., 1:]) - one[..., 0] for one in logits.values()]
    codec = -np.mean([np.logaddexp(0.0, -one) for one in odds], axis=0)
    bona_fide = np.log(np.maximum(-np.expm1(codec), np.finfo(np.float64).tiny))
    return np.stack([codec, bona_fide], axis=-1)


def familiarity(family_logits: FloatArray) -> FloatArray:
    """Probability of the likeliest family, ``(..., families)`` to ``(...)``: the open-set score.

    The maximum softmax probability (Hendrycks and Gimpel, "A baseline for detecting misclassified
    and out-of-distribution examples in neural networks", ICLR 2017).
    """
    likeliest: FloatArray = softmax(family_logits).max(axis=-1)
    return likeliest


def detection_logits(logits: Mapping[str, FloatArray]) -> FloatArray:
    """Logits of ``BIN``; of a model that has none, what its axes say of it."""
    if "BIN" in logits:
        return logits["BIN"]
    return bin_from_axes({axis: logits[axis] for axis in AXES if axis in logits})
