"""Fit calibration and thresholds to logits of clips that the weights have not seen."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from codecsleuth.calibration import Calibration, FloatArray, sigmoid
from codecsleuth.taxonomy import AXES, BIN_BONA_FIDE, BIN_CODEC, CLASSES

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
    """Fit every task's affine calibration by logistic regression, and the two thresholds.

    Both labels of BIN, and the known classes of an axis, are weighted to count alike, so that the
    result is at even prior odds.

    Args:
        logits: per task ``(clips, classes)``, uncalibrated.
        labels: per task ``(clips,)``, -1 where unknown.
        targets: of the thresholds.
    """
    axes = {axis: _fit_axis(axis, logits[axis], labels[axis]) for axis in AXES if axis in logits}
    default = Calibration()
    axis_scale = default.axis_scale | {axis: scale for axis, (scale, _) in axes.items()}
    axis_bias = default.axis_bias | {axis: bias for axis, (_, bias) in axes.items()}
    calibration = Calibration(axis_scale=axis_scale, axis_bias=axis_bias)
    if "BIN" not in logits:
        return calibration
    return _fit_bin(logits["BIN"], labels["BIN"], calibration, targets or Targets())


def _fit_bin(
    logits: FloatArray, labels: Labels, calibration: Calibration, targets: Targets
) -> Calibration:
    raw = logits[:, BIN_CODEC] - logits[:, BIN_BONA_FIDE]
    scores = np.stack([np.zeros_like(raw), raw], axis=1)
    scale, bias = _fit_affine(scores, (labels == BIN_CODEC).astype(np.int64))
    log_odds = scale * raw + (bias[1] - bias[0])
    codec = labels == BIN_CODEC
    # Not stronger than the rarer label's number of clips can bear out.
    limit = float(np.log(min(codec.sum(), (~codec).sum()) + 1.0))
    upper = float(sigmoid(np.quantile(log_odds[~codec], 1.0 - targets.false_alarms)))
    lower = float(sigmoid(np.quantile(log_odds[codec], targets.misses)))
    return Calibration(
        bin_scale=scale,
        bin_bias=float(bias[1] - bias[0]),
        axis_scale=calibration.axis_scale,
        axis_bias=calibration.axis_bias,
        codec_threshold=max(upper, 0.5),
        bona_fide_threshold=min(lower, 0.5),
        max_log_odds=limit,
    )


def _fit_axis(axis: str, logits: FloatArray, labels: Labels) -> tuple[float, tuple[float, ...]]:
    known = labels > 0
    classes = len(CLASSES[axis]) - 1
    if len(np.unique(labels[known])) < classes:
        return 1.0, (0.0,) * classes
    scale, bias = _fit_affine(logits[known, 1:], labels[known] - 1)
    return scale, tuple(float(value) for value in bias)


def _fit_affine(scores: FloatArray, labels: Labels) -> tuple[float, FloatArray]:
    """One positive factor and a bias per class that minimise the class-balanced cross-entropy."""
    inputs, targets = torch.from_numpy(scores).double(), torch.from_numpy(labels)
    counts = torch.bincount(targets, minlength=inputs.shape[1]).double()
    log_scale = torch.zeros((), dtype=torch.double, requires_grad=True)
    bias = torch.zeros(inputs.shape[1], dtype=torch.double, requires_grad=True)
    optimiser = torch.optim.LBFGS([log_scale, bias], max_iter=200, line_search_fn="strong_wolfe")

    def closure() -> Tensor:
        optimiser.zero_grad()
        fitted = log_scale.exp() * inputs + bias
        loss = functional.cross_entropy(fitted, targets, weight=1.0 / counts.clamp(min=1.0))
        # A faint pull to the identity, so that separable scores have a finite answer.
        loss = loss + 1e-3 * (log_scale**2 + (bias**2).sum())
        cast(object, loss.backward())  # type: ignore[no-untyped-call]
        return loss

    optimiser.step(closure)  # type: ignore[no-untyped-call]
    return float(log_scale.detach().exp()), (bias - bias.mean()).detach().numpy()
