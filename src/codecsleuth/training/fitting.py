"""Fit calibration and thresholds on a calibration set: clips that were not in the training."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from codecsleuth.arrays import BoolArray, FloatArray, IntArray, sigmoid
from codecsleuth.calibration import BONA_FIDE, CODEC, Calibration, detection_log_odds
from codecsleuth.data.items import Item, class_indices
from codecsleuth.errors import DataError
from codecsleuth.models.compact import QualityCalibration
from codecsleuth.taxonomy import AXES, CLASSES
from codecsleuth.training.affine import fit_affine
from codecsleuth.training.detection_fitting import clips_of, fit_detection
from codecsleuth.training.held_out import FAMILIARITY, KNOWN_FAMILY, QUALITY, HeldOut

#: Share of the clips of known codec families, from held-out sources, whose open-set score may be
#: below the threshold of an unknown codec.
FALSE_UNKNOWN_RATE: Final = 0.25
#: Probability at which an axis gives its class for an unknown codec.
SURE_THRESHOLD: Final = 0.8
#: A threshold stays this far below the limit of the log-odds, so that rounding cannot part them.
_BELOW_LIMIT: Final = 1e-6


@dataclass(frozen=True)
class Targets:
    """Error rates that the thresholds are set for, on the calibration set.

    Attributes:
        false_alarms: false alarm rate: share of bona fide clips called "codec", at most.
        misses: miss rate: share of codec clips called "no neural codec", at most.
        augmented_factor: factor on both for augmented clips.
    """

    false_alarms: float = 0.02
    misses: float = 0.08
    augmented_factor: float = 1.6


def calibrate(
    quality_calibration: QualityCalibration, held_out: HeldOut, items: Sequence[Item]
) -> Calibration:
    """Fit a network's calibration by quality measure, and the calibration that follows it.

    With two detection classes, clips of other labels are left out; with three, see
    `codecsleuth.training.detection_fitting`.

    Args:
        quality_calibration: of the network; changed.
        held_out: outputs to fit to.
        items: its clips.

    Raises:
        DataError: the outputs are of a network with other detection classes, or there are no clips
            of codec or none of bona fide.
    """
    flat = {name: np.concatenate(list(views)) for name, views in held_out.outputs.items()}
    quality = flat.pop(QUALITY)
    familiar, known = flat.pop(FAMILIARITY, None), flat.pop(KNOWN_FAMILY, None)
    clips, classes = len(held_out.rows), quality_calibration.classes
    tiled = {
        task: np.tile(
            class_indices(items, task, classes if task == "BIN" else None), len(quality) // clips
        )
        for task in flat
        if task in CLASSES
    }
    if "BIN" in flat:
        if flat["BIN"].shape[1] != len(classes):
            raise DataError("the held-out outputs are of networks with other detection classes")
        slope, shift = fit_quality_calibration(flat["BIN"], quality, tiled["BIN"], classes)
        quality_calibration.slope.copy_(torch.tensor(slope))
        quality_calibration.shift.copy_(torch.tensor(shift))
        measured = torch.from_numpy(quality).float()
        scaled = quality_calibration(torch.from_numpy(flat["BIN"]), measured)
        flat["BIN"] = scaled.double().numpy()
    unaugmented = np.arange(len(quality)) < clips
    calibration = fit_calibration(flat, tiled, unaugmented=unaugmented, classes=classes)
    if calibration.tells_vocoders:
        calibration = fit_detection(clips_of(items, flat["BIN"], unaugmented), calibration)
    if familiar is None or known is None:
        return calibration
    of_known = familiar[:clips][known[:clips] > 0]
    if not len(of_known):
        return calibration
    threshold = float(np.quantile(of_known, FALSE_UNKNOWN_RATE))
    return replace(calibration, familiar_threshold=threshold, sure_threshold=SURE_THRESHOLD)


def fit_calibration(
    logits: Mapping[str, FloatArray],
    labels: Mapping[str, IntArray],
    targets: Targets | None = None,
    unaugmented: BoolArray | None = None,
    classes: Sequence[str] = CLASSES["BIN"],
) -> Calibration:
    """Fit every task's calibration by logistic regression, and the two thresholds.

    BIN: a factor and an offset on the log-odds codec : bona fide, the two labels weighted to count
    alike, so that the result is at even prior odds; other clips are left out. An axis: a factor
    alone (a temperature) at the classes' own frequencies; what is most probable stays so. Offsets
    that make thin classes count alike were tried: they cost more right labels on known codecs than
    they gave on unknown ones.

    Args:
        logits: per task ``(clips, classes)``, uncalibrated.
        labels: per task ``(clips,)``, -1 where unknown.
        targets: of the thresholds.
        unaugmented: ``(clips,)``, False for augmented clips; by default there are none.
        classes: detection classes in the order of the logits of ``BIN``.

    Raises:
        DataError: ``BIN`` has no clips of codec or none of bona fide.
    """
    fitted = {axis: _fit_axis(logits[axis], labels[axis]) for axis in AXES if axis in logits}
    scales = Calibration().axis_scale | fitted
    calibration = Calibration(classes=tuple(classes), axis_scale=scales)
    if "BIN" not in logits:
        return calibration
    if unaugmented is None:
        unaugmented = np.ones(len(labels["BIN"]), dtype=bool)
    raw, codec, chosen = _codec_log_odds(logits["BIN"], labels["BIN"], classes)
    return _fit_bin(raw, codec, unaugmented[chosen], calibration, targets or Targets())


def _codec_log_odds(
    logits: FloatArray, labels: IntArray, classes: Sequence[str]
) -> tuple[FloatArray, BoolArray, BoolArray]:
    """Log-odds codec : bona fide of the clips of either, which are codec, and their places."""
    codec, bona_fide = (labels == classes.index(name) for name in (CODEC, BONA_FIDE))
    chosen = codec | bona_fide
    raw = detection_log_odds(logits[chosen], classes, (CODEC,), (BONA_FIDE,))
    return raw, codec[chosen], chosen


def fit_quality_calibration(
    logits: FloatArray,
    qualities: FloatArray,
    labels: IntArray,
    classes: Sequence[str] = CLASSES["BIN"],
) -> tuple[list[float], list[float]]:
    """Fit `codecsleuth.models.compact.QualityCalibration` by logistic regression.

    Codec and bona fide count alike; other clips are left out.

    Args:
        logits: of ``BIN``, ``(clips, classes)``.
        qualities: ``(clips, qualities)``, standardised.
        labels: ``(clips,)``, -1 where unknown.
        classes: detection classes in the order of the logits.

    Returns:
        The exponential slope of the factor and the shift, one value per quality.
    """
    log_odds_of_clips, is_codec, chosen = _codec_log_odds(logits, labels, classes)
    raw = torch.from_numpy(log_odds_of_clips).double()
    measured = torch.from_numpy(qualities[chosen]).double()
    codec = torch.from_numpy(is_codec).double()
    weights = torch.where(codec > 0, 0.5 / codec.mean(), 0.5 / (1.0 - codec).mean())
    width = measured.shape[1]
    fitted = torch.zeros(2 * width + 2, dtype=torch.double, requires_grad=True)
    optimiser = torch.optim.LBFGS([fitted], max_iter=200, line_search_fn="strong_wolfe")

    def closure() -> Tensor:
        optimiser.zero_grad()
        factor = (fitted[0] + measured @ fitted[2 : 2 + width]).exp()
        log_odds = factor * raw + fitted[1] + measured @ fitted[2 + width :]
        loss = functional.binary_cross_entropy_with_logits(log_odds, codec, weight=weights)
        loss = loss + 1e-3 * fitted.square().sum()
        torch.autograd.backward(loss)
        return loss

    optimiser.step(closure)  # type: ignore[no-untyped-call]
    result = fitted.detach()
    # The affine calibration that follows brings the factor back; the shift comes before it.
    shift = result[2 + width :] / result[0].exp()
    return result[2 : 2 + width].tolist(), shift.tolist()


def _fit_bin(
    raw: FloatArray,
    codec: BoolArray,
    unaugmented: BoolArray,
    calibration: Calibration,
    targets: Targets,
) -> Calibration:
    """Calibration of raw log-odds ``(clips,)``, its limit, and thresholds within the limit.

    Where the error rates call for a threshold beyond the limit, which no answer could reach, all
    log-odds are scaled down until the threshold is within it: evidence that so many clips
    contradict is stated weaker, and the error rates hold.
    """
    scores = np.stack([np.zeros_like(raw), raw], axis=1)
    is_codec = codec.astype(np.int64)
    # Not stronger than the rarer label's number of clips can bear out.
    clips = min((codec & unaugmented).sum(), (~codec & unaugmented).sum())
    if not clips:
        raise DataError("calibration: codec and bona fide clips are both needed")
    limit = float(np.log(clips + 1.0))
    alike = 1.0 / np.bincount(is_codec, minlength=2)
    scale, bias = fit_affine(scores, is_codec, alike[is_codec])
    lower, upper = _thresholds(scale * raw + bias, codec, unaugmented, targets)
    shrink = min(1.0, (limit - _BELOW_LIMIT) / max(upper, -lower, _BELOW_LIMIT))
    return replace(
        calibration,
        bin_scale=shrink * scale,
        bin_bias=shrink * bias,
        codec_threshold=max(float(sigmoid(np.asarray(shrink * upper))), 0.5),
        bona_fide_threshold=min(float(sigmoid(np.asarray(shrink * lower))), 0.5),
        max_log_odds=limit,
    )


def _thresholds(
    log_odds: FloatArray, codec: BoolArray, unaugmented: BoolArray, targets: Targets
) -> tuple[float, float]:
    """Log-odds at which the miss rate and the false alarm rate are held on all kinds of clips."""
    upper, lower = -np.inf, np.inf
    for chosen, factor in ((unaugmented, 1.0), (~unaugmented, targets.augmented_factor)):
        if chosen.any():
            bona_fide, coded = log_odds[~codec & chosen], log_odds[codec & chosen]
            upper = max(upper, float(np.quantile(bona_fide, 1.0 - factor * targets.false_alarms)))
            lower = min(lower, float(np.quantile(coded, factor * targets.misses)))
    return lower, upper


def _fit_axis(logits: FloatArray, labels: IntArray) -> float:
    known = labels > 0
    if len(np.unique(labels[known])) < 2:
        return 1.0
    scale, _ = fit_affine(logits[known, 1:], labels[known] - 1, offset=False)
    return scale
