"""Fit calibration and thresholds to logits of clips that the weights have not seen."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from codecsleuth.arrays import FloatArray, sigmoid
from codecsleuth.calibration import Calibration
from codecsleuth.models.compact import Reliability
from codecsleuth.taxonomy import AXES, BIN_BONA_FIDE, BIN_CODEC
from codecsleuth.training.held_out import FAMILIARITY, MET, QUALITY, HeldOut

Labels = NDArray[np.int64]
#: Share of the clips of codec families it has met, on pages it has not, that a network may take for
#: strange.
STRANGE_SHARE: Final = 0.25
#: Probability at which an axis keeps its answer about a strange codec.
SURE: Final = 0.8


@dataclass(frozen=True)
class Targets:
    """Error rates that the thresholds are set for, on the clips of the calibration.

    Attributes:
        false_alarms: share of bona fide clips called "codec", at most, as they are.
        misses: share of codec clips called "no neural codec", at most, as they are.
        allowance: factor on both for clips that were augmented.
    """

    false_alarms: float = 0.02
    misses: float = 0.08
    allowance: float = 1.6


def calibrate(
    reliability: Reliability, held_out: HeldOut, labels: Mapping[str, Labels]
) -> Calibration:
    """Fit a network's reliability, and the calibration of what it says with that.

    Args:
        reliability: of the network; changed.
        held_out: answers to fit to.
        labels: true classes of its clips, ``(clips,)`` per task.
    """
    flat = {name: np.concatenate(list(views)) for name, views in held_out.answers.items()}
    quality = flat.pop(QUALITY)
    familiar, met = flat.pop(FAMILIARITY, None), flat.pop(MET, None)
    clips = len(held_out.rows)
    tiled = {task: np.tile(labels[task], len(quality) // clips) for task in flat}
    if "BIN" in flat:
        slope, shift = fit_reliability(flat["BIN"], quality, tiled["BIN"])
        reliability.slope.copy_(torch.tensor(slope))
        reliability.shift.copy_(torch.tensor(shift))
        weighed = reliability(torch.from_numpy(flat["BIN"]), torch.from_numpy(quality).float())
        flat["BIN"] = weighed.double().numpy()
    calibration = fit_calibration(flat, tiled, as_it_is=np.arange(len(quality)) < clips)
    if familiar is None or met is None:
        return calibration
    threshold = float(np.quantile(familiar[:clips][met[:clips] > 0], STRANGE_SHARE))
    return replace(calibration, familiar_threshold=threshold, sure_threshold=SURE)


def fit_calibration(
    logits: Mapping[str, FloatArray],
    labels: Mapping[str, Labels],
    targets: Targets | None = None,
    as_it_is: NDArray[np.bool_] | None = None,
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
        as_it_is: ``(clips,)``, False for clips that were augmented; by default none was.
    """
    fitted = {axis: _fit_axis(logits[axis], labels[axis]) for axis in AXES if axis in logits}
    calibration = Calibration(axis_scale=Calibration().axis_scale | fitted)
    if "BIN" not in logits:
        return calibration
    if as_it_is is None:
        as_it_is = np.ones(len(labels["BIN"]), dtype=bool)
    return _fit_bin(logits["BIN"], labels["BIN"], as_it_is, calibration, targets or Targets())


def fit_reliability(
    logits: FloatArray, qualities: FloatArray, labels: Labels
) -> tuple[list[float], list[float]]:
    """Fit `codecsleuth.models.compact.Reliability` by logistic regression, labels counting alike.

    Args:
        logits: of ``BIN``, ``(clips, 2)``.
        qualities: ``(clips, qualities)``, standardised.
        labels: ``(clips,)``.

    Returns:
        The exponential slope of the factor and the shift, one value per quality.
    """
    raw = torch.from_numpy(logits[:, BIN_CODEC] - logits[:, BIN_BONA_FIDE]).double()
    measured = torch.from_numpy(qualities).double()
    codec = torch.from_numpy(labels == BIN_CODEC).double()
    weights = torch.where(codec > 0, 0.5 / codec.mean(), 0.5 / (1.0 - codec).mean())
    width = measured.shape[1]
    found = torch.zeros(2 * width + 2, dtype=torch.double, requires_grad=True)
    optimiser = torch.optim.LBFGS([found], max_iter=200, line_search_fn="strong_wolfe")

    def closure() -> Tensor:
        optimiser.zero_grad()
        factor = (found[0] + measured @ found[2 : 2 + width]).exp()
        log_odds = factor * raw + found[1] + measured @ found[2 + width :]
        loss = functional.binary_cross_entropy_with_logits(log_odds, codec, weight=weights)
        loss = loss + 1e-3 * found.square().sum()
        torch.autograd.backward(loss)
        return loss

    optimiser.step(closure)  # type: ignore[no-untyped-call]
    result = found.detach()
    # The affine calibration that follows brings the factor back; the shift comes before it.
    shift = result[2 + width :] / result[0].exp()
    return result[2 : 2 + width].tolist(), shift.tolist()


def _fit_bin(
    logits: FloatArray,
    labels: Labels,
    as_it_is: NDArray[np.bool_],
    calibration: Calibration,
    targets: Targets,
) -> Calibration:
    raw = logits[:, BIN_CODEC] - logits[:, BIN_BONA_FIDE]
    scores = np.stack([np.zeros_like(raw), raw], axis=1)
    is_codec = (labels == BIN_CODEC).astype(np.int64)
    scale, bias = _fit_affine(scores, is_codec, 1.0 / np.bincount(is_codec, minlength=2).clip(1))
    log_odds = scale * raw + bias
    codec = labels == BIN_CODEC
    # Not stronger than the rarer label's number of clips can bear out.
    clips = min((codec & as_it_is).sum(), (~codec & as_it_is).sum())
    upper, lower = -np.inf, np.inf
    for chosen, factor in ((as_it_is, 1.0), (~as_it_is, targets.allowance)):
        if not chosen.any():
            continue
        real, coded = log_odds[~codec & chosen], log_odds[codec & chosen]
        upper = max(upper, np.quantile(real, 1.0 - factor * targets.false_alarms))
        lower = min(lower, np.quantile(coded, factor * targets.misses))
    return replace(
        calibration,
        bin_scale=scale,
        bin_bias=bias,
        codec_threshold=max(float(sigmoid(np.asarray(upper))), 0.5),
        bona_fide_threshold=min(float(sigmoid(np.asarray(lower))), 0.5),
        max_log_odds=float(np.log(clips + 1.0)),
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
