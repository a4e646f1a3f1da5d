"""Fit calibration and thresholds to logits of clips that the weights have not seen."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from codecsleuth.calibration import Calibration, FloatArray, sigmoid
from codecsleuth.taxonomy import AXES, BIN_BONA_FIDE, BIN_CODEC

Labels = NDArray[np.int64]


@dataclass(frozen=True)
class Targets:
    """Error rates that the thresholds are set for, on the clips of the calibration.

    Attributes:
        false_alarms: share of bona fide clips called "codec", at most.
        misses: share of codec clips called "no neural codec", at most.
    """

    false_alarms: float = 0.02
    misses: float = 0.05


def fit_calibration(
    logits: Mapping[str, FloatArray], labels: Mapping[str, Labels], targets: Targets | None = None
) -> Calibration:
    """Fit every task's calibration by logistic regression, and the two thresholds.

    BIN: a factor and an offset, its two labels weighted to count alike, so that the result is at
    even prior odds. An axis: a factor alone (a temperature) at the classes' own frequencies; what
    is most probable stays so. Offsets that make thin classes count alike were tried: they cost
    more right answers on known codecs than they gave on unknown ones.

    Args:
        logits: per task ``(clips, classes)``, uncalibrated.
        labels: per task ``(clips,)``, -1 where unknown.
        targets: of the thresholds.
    """
    fitted = {axis: _fit_axis(logits[axis], labels[axis]) for axis in AXES if axis in logits}
    calibration = Calibration(axis_scale=Calibration().axis_scale | fitted)
    if "BIN" not in logits:
        return calibration
    return _fit_bin(logits["BIN"], labels["BIN"], calibration, targets or Targets())


def _fit_bin(
    logits: FloatArray, labels: Labels, calibration: Calibration, targets: Targets
) -> Calibration:
    raw = logits[:, BIN_CODEC] - logits[:, BIN_BONA_FIDE]
    scores = np.stack([np.zeros_like(raw), raw], axis=1)
    is_codec = (labels == BIN_CODEC).astype(np.int64)
    scale, bias = _fit_affine(scores, is_codec, 1.0 / np.bincount(is_codec, minlength=2).clip(1))
    log_odds = scale * raw + bias
    codec = labels == BIN_CODEC
    # Not stronger than the rarer label's number of clips can bear out.
    limit = float(np.log(min(codec.sum(), (~codec).sum()) + 1.0))
    upper = float(sigmoid(np.quantile(log_odds[~codec], 1.0 - targets.false_alarms)))
    lower = float(sigmoid(np.quantile(log_odds[codec], targets.misses)))
    return replace(
        calibration,
        bin_scale=scale,
        bin_bias=bias,
        codec_threshold=max(upper, 0.5),
        bona_fide_threshold=min(lower, 0.5),
        max_log_odds=limit,
    )


def _fit_axis(logits: FloatArray, labels: Labels) -> float:
    known = labels > 0
    if len(np.unique(labels[known])) < 2:
        return 1.0
    scale, _ = _fit_affine(logits[known, 1:], labels[known] - 1)
    return scale


def _fit_affine(
    scores: FloatArray, labels: Labels, class_weights: FloatArray | None = None
) -> tuple[float, float]:
    """The positive factor that minimises the cross-entropy, and an offset for the second of two.

    Args:
        scores: ``(clips, classes)``.
        labels: ``(clips,)``.
        class_weights: ``(classes,)``; without them clips count alike and there is no offset.
    """
    inputs, targets = torch.from_numpy(scores).double(), torch.from_numpy(labels)
    weights = None if class_weights is None else torch.from_numpy(class_weights).double()
    log_scale = torch.zeros((), dtype=torch.double, requires_grad=True)
    offset = torch.zeros((), dtype=torch.double, requires_grad=weights is not None)
    fitted = [log_scale] if weights is None else [log_scale, offset]
    optimiser = torch.optim.LBFGS(fitted, max_iter=200, line_search_fn="strong_wolfe")
    second = functional.one_hot(torch.tensor(1), inputs.shape[1])

    def closure() -> Tensor:
        optimiser.zero_grad()
        loss = functional.cross_entropy(
            log_scale.exp() * inputs + offset * second, targets, weight=weights
        )
        # A faint pull to the identity, so that separable scores have a finite answer.
        loss = loss + 1e-3 * (log_scale**2 + offset**2)
        torch.autograd.backward(loss)
        return loss

    optimiser.step(closure)  # type: ignore[no-untyped-call]
    return float(log_scale.detach().exp()), float(offset.detach())
