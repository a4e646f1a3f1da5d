"""Fit the calibration of three detection classes, and its thresholds, on held-out sources.

Each calibration is affine on log-odds and fitted by logistic regression (see
`codecsleuth.calibration`). Sources count alike within their label, labels count alike, and clips as
they are count as much as all their augmented versions together: a source with many clips, or a
channel that is easy to render, is no more evidence than another.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

import numpy as np

from codecsleuth.arrays import BoolArray, FloatArray
from codecsleuth.calibration import (
    BONA_FIDE,
    CODEC,
    NEURAL,
    VOCODER,
    Calibration,
    detection_log_odds,
)
from codecsleuth.data import items as data
from codecsleuth.training.affine import fit_affine

#: Log likelihood ratio that at most `STRONG_SHARE` of the bona fide clips may exceed.
STRONG: Final = float(np.log(100.0))
STRONG_SHARE: Final = 0.01


@dataclass(frozen=True)
class ErrorTargets:
    """Error rates that the thresholds are set for; false alarms come first.

    Attributes:
        bona_fide_called_codec: share of bona fide clips with verdict "codec", at most.
        bona_fide_called_vocoder: likewise, "vocoder".
        bona_fide_called_neural: likewise, any verdict that states neural speech.
        vocoder_called_codec: share of vocoder clips with verdict "codec", at most.
        codec_called_vocoder: likewise, the other way round.
        called_bona_fide: per label, share of clips with verdict "bona fide", at most.
    """

    bona_fide_called_codec: float = 0.01
    bona_fide_called_vocoder: float = 0.005
    bona_fide_called_neural: float = 0.02
    vocoder_called_codec: float = 0.05
    codec_called_vocoder: float = 0.05
    called_bona_fide: Mapping[str, float] = field(
        default_factory=lambda: {data.SPOOF: 0.055, data.VOCODER: 0.15, data.NEURAL: 0.20}
    )


CLEAN: Final = ErrorTargets()
AUGMENTED: Final = ErrorTargets(
    bona_fide_called_codec=0.025,
    bona_fide_called_vocoder=0.015,
    bona_fide_called_neural=0.045,
    vocoder_called_codec=0.08,
    codec_called_vocoder=0.10,
    called_bona_fide={data.SPOOF: 0.095, data.VOCODER: 0.20, data.NEURAL: 0.25},
)


@dataclass(frozen=True)
class Clips:
    """The calibration set, a row a clip and view.

    Attributes:
        logits: of ``BIN``, ``(rows, classes)``.
        labels: as the data table has them, ``(rows,)``.
        sources: ``(rows,)``.
        unaugmented: whether the clip is as it is, ``(rows,)``.
    """

    logits: FloatArray
    labels: np.ndarray
    sources: np.ndarray
    unaugmented: BoolArray

    def weights(self, shares: Mapping[str, float]) -> FloatArray:
        """What each row counts, so that sources, labels and kinds of view count as they should.

        Args:
            shares: of each label; rows of others count nothing.
        """
        weights = np.zeros(len(self.labels))
        for label, share in shares.items():
            for clean in (True, False):
                chosen = (self.labels == label) & (self.unaugmented == clean)
                names, place, counts = np.unique(
                    self.sources[chosen], return_inverse=True, return_counts=True
                )
                if len(names):
                    weights[chosen] = share / 2 / len(names) / counts[place]
        return np.asarray(weights * len(weights) / max(weights.sum(), 1e-12))


def fit_detection(clips: Clips, calibration: Calibration) -> Calibration:
    """Fit all that three detection classes need.

    Args:
        clips: the calibration set.
        calibration: whose other parts stay.

    Returns:
        With the log-odds of codec : bona fide for all, where the set has no vocoder speech.
    """
    if not all((clips.labels == label).any() for label in (*_MAIN, data.VOCODER)):
        scale, bias = calibration.bin_scale, calibration.bin_bias
        return replace(calibration, neural_scale=scale, neural_bias=bias)
    classes = calibration.classes
    pairs = {
        "bin": ((CODEC,), (BONA_FIDE,), {data.SPOOF: 0.5}, {data.BONA_FIDE: 0.5}),
        "neural": (
            NEURAL,
            (BONA_FIDE,),
            {data.SPOOF: 0.2, data.VOCODER: 0.2, data.NEURAL: 0.1},
            {data.BONA_FIDE: 0.5},
        ),
        "source": ((CODEC,), (VOCODER,), {data.SPOOF: 0.5}, {data.VOCODER: 0.5}),
    }
    fitted: dict[str, Any] = {}
    for name, (over, under, positive, negative) in pairs.items():
        raw = detection_log_odds(clips.logits, classes, over, under)
        weights = clips.weights(positive | negative)
        is_positive = np.isin(clips.labels, list(positive))
        chosen = weights > 0
        scores = np.stack([np.zeros(int(chosen.sum())), raw[chosen]], axis=1)
        scale, bias = fit_affine(scores, is_positive[chosen].astype(np.int64), weights[chosen])
        fitted |= {f"{name}_scale": scale, f"{name}_bias": bias}
    calibration = replace(calibration, **fitted)
    calibration = replace(calibration, max_log_odds=_limit(clips, calibration))
    thresholds: dict[str, Any] = _thresholds(clips, calibration)
    return replace(calibration, **thresholds)


def _limit(clips: Clips, calibration: Calibration) -> float:
    """The strongest log-odds that the number of independent sources supports.

    One source in as many would have to contradict a ratio as large as their number. Where more than
    `STRONG_SHARE` of the bona fide clips of a view exceed `STRONG`, that is the limit.
    """
    sources = {label: len(set(clips.sources[clips.labels == label])) for label in _MAIN}
    limit = float(np.log(min(sources.values()) + 1.0))
    bona_fide = (clips.labels == data.BONA_FIDE) & clips.unaugmented
    odds = [calibration.unlimited_log_odds(clips.logits[bona_fide])]
    neural = calibration.neural_log_odds(clips.logits[bona_fide])
    odds += [] if neural is None else [neural]
    if any(float((one > STRONG).mean()) > STRONG_SHARE / 2 for one in odds):
        limit = min(limit, STRONG)
    return limit


_MAIN: Final = (data.SPOOF, data.BONA_FIDE)


def _thresholds(clips: Clips, calibration: Calibration) -> dict[str, Any]:
    """Thresholds that hold the error rates on clips as they are and on augmented ones."""
    found = calibration.probabilities(clips.logits)
    codec, vocoder = found[CODEC], found[VOCODER]
    both: dict[str, list[float]] = {"codec": [], "vocoder": [], "neural": [], "bona_fide": []}
    for chosen, targets in ((clips.unaugmented, CLEAN), (~clips.unaugmented, AUGMENTED)):
        if not chosen.any():
            continue
        of = {name: chosen & (clips.labels == name) for name in data.LABELS}
        real = of[data.BONA_FIDE]
        both["codec"] += [
            _above(codec[real], targets.bona_fide_called_codec),
            _above(codec[of[data.VOCODER]], targets.vocoder_called_codec),
        ]
        both["vocoder"] += [
            _above(vocoder[real], targets.bona_fide_called_vocoder),
            _above(vocoder[of[data.SPOOF]], targets.codec_called_vocoder),
        ]
        both["neural"].append(_above((codec + vocoder)[real], targets.bona_fide_called_neural))
        both["bona_fide"] += [
            float(np.quantile((codec + vocoder)[of[label]], share))
            for label, share in targets.called_bona_fide.items()
            if of[label].any()
        ]
    return {
        "codec_threshold": max(0.5, *both["codec"]),
        "vocoder_threshold": max(0.5, *both["vocoder"]),
        "neural_threshold": max(0.5, *both["neural"]),
        "bona_fide_threshold": min(0.5, *both["bona_fide"]),
    }


def _above(values: FloatArray, share: float) -> float:
    """The threshold that a share of values reaches, at most."""
    return float(np.quantile(values, 1.0 - share)) if len(values) else 0.0


def clips_of(items: Sequence[data.Item], logits: FloatArray, unaugmented: BoolArray) -> Clips:
    """The calibration set of clips in several views, one view after the other.

    Args:
        items: the clips of one view.
        logits: ``(views * clips, classes)``.
        unaugmented: ``(views * clips,)``.
    """
    views = len(logits) // len(items)
    labels = np.tile([item.label for item in items], views)
    sources = np.tile([item.source or item.group for item in items], views)
    return Clips(logits, labels, sources, unaugmented)
