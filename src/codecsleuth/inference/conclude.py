"""From a network's raw answer to a verdict, calibrated probabilities, axes and candidates."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from codecsleuth import verdict
from codecsleuth.arrays import LN10, FloatArray, softmax
from codecsleuth.audio.recording import Evidence
from codecsleuth.calibration import (
    BONA_FIDE,
    CODEC,
    UNKNOWN,
    VOCODER,
    Calibration,
    bin_from_axes,
    familiarity,
)
from codecsleuth.findings import Finding, finding
from codecsleuth.inference.aggregate import aggregate
from codecsleuth.inference.answer import (
    Analysis,
    AxisAnswer,
    Candidate,
    Logits,
    Record,
    WindowAnswer,
)
from codecsleuth.taxonomy import AXES, CLASSES, FAMILY, family_class

#: Share of the windows that must contradict the others to be worth a finding.
_DISSENT_SHARE: Final = 0.2
#: Codec families that an answer names.
CANDIDATES: Final = 5


@dataclass(frozen=True)
class WindowLogits:
    """The network's raw output for one window.

    Attributes:
        start_s: where the window begins.
        end_s: where the audio in it ends.
        weight: see `codecsleuth.audio.windows.Window`.
        logits: ``(classes,)`` per task.
    """

    start_s: float
    end_s: float
    weight: float
    logits: Logits


@dataclass(frozen=True)
class RawAnswer:
    """All that the network gave for a recording, before aggregation and calibration."""

    evidence: Evidence
    windows: tuple[WindowLogits, ...]
    findings: tuple[Finding, ...]

    def logits(self) -> Logits:
        """Logits of the whole recording, ``(classes,)`` per task; see `aggregate`."""
        return aggregate([w.logits for w in self.windows], [w.weight for w in self.windows])


def conclude(
    path: str, raw: RawAnswer, calibration: Calibration, families: Sequence[str] = ()
) -> Analysis:
    """State the answer to a network's raw output.

    Args:
        path: of the recording.
        raw: what the network gave.
        calibration: of the model.
        families: codec families that the network tells apart, in the order of its logits.
    """
    logits = raw.logits()
    probabilities = _probabilities(logits, calibration)
    windows = tuple(_window(one, calibration) for one in raw.windows)
    familiar = float(familiarity(logits[FAMILY])) if families else None
    known = familiar is None or familiar >= calibration.familiar_threshold
    taxonomy = Record(
        {
            axis.lower(): axis_answer(axis, logits[axis], calibration, known)
            for axis in AXES
            if axis in logits
        }
    )
    detection = _detection(logits)
    neural = calibration.neural_log_odds(detection)
    return Analysis(
        path=path,
        evidence=raw.evidence,
        verdict=calibration.verdict(probabilities),
        probabilities=_named(probabilities),
        log10_lr=float(calibration.log_odds(detection)) / LN10,
        log10_lr_neural=None if neural is None else float(neural) / LN10,
        log10_lr_limit=calibration.max_log_odds / LN10,
        taxonomy=taxonomy,
        familiarity=familiar,
        candidates=candidates(logits, families, taxonomy),
        passages=(),
        windows=windows,
        explanation=Record(),
        findings=(*raw.findings, *_dissent(raw.windows, calibration)),
        raw=logits,
    )


def _probabilities(logits: Logits, calibration: Calibration) -> dict[str, float]:
    values = calibration.probabilities(_detection(logits))
    return {name: float(value) for name, value in values.items()}


def _detection(logits: Logits) -> FloatArray:
    """Logits of ``BIN``; of a model that has none, what its axes say of it."""
    if "BIN" in logits:
        return logits["BIN"]
    return bin_from_axes({axis: logits[axis] for axis in AXES if axis in logits})


def _named(probabilities: Mapping[str, float]) -> Record[float | None]:
    """Probabilities under the names that answers have; None for a class that is not there."""
    names = {"codec": CODEC, "vocoder": VOCODER, "bona_fide": BONA_FIDE}
    return Record({name: probabilities.get(of) for name, of in names.items()})


def _window(window: WindowLogits, calibration: Calibration) -> WindowAnswer:
    probabilities = _probabilities(window.logits, calibration)
    return WindowAnswer(
        window.start_s, window.end_s, probabilities[CODEC], probabilities.get(VOCODER)
    )


def axis_answer(
    axis: str, logits: FloatArray, calibration: Calibration, known: bool = True
) -> AxisAnswer:
    """The calibrated answer on one axis, given that there was a codec.

    Args:
        axis: ``VQ``, ``AUX`` or ``DEC``.
        logits: ``(classes,)`` with ``Real`` first.
        calibration: of the model.
        known: whether the codec is like one that the model has learned.
    """
    values = calibration.axis_probabilities(axis, logits)
    probabilities = Record(dict(zip(CLASSES[axis][1:], map(float, values), strict=True)))
    likeliest, probability = max(probabilities.items(), key=lambda pair: pair[1])
    certain = known or probability >= calibration.sure_threshold
    return AxisAnswer(likeliest if certain else UNKNOWN, likeliest, probability, probabilities)


def candidates(
    logits: Logits, families: Sequence[str], taxonomy: Mapping[str, AxisAnswer]
) -> tuple[Candidate, ...]:
    """The likeliest families, likeliest first, and on which axes the answer contradicts them."""
    if not families:
        return ()
    probabilities = softmax(logits[FAMILY])
    ranked = np.argsort(-probabilities, kind="stable")[:CANDIDATES]
    return tuple(_candidate(families[i], float(probabilities[i]), taxonomy) for i in ranked)


def _candidate(family: str, score: float, taxonomy: Mapping[str, AxisAnswer]) -> Candidate:
    classes = {axis.lower(): family_class(family, axis) for axis in AXES}
    known = Record({axis: name for axis, name in classes.items() if name})
    disagrees = tuple(
        axis
        for axis, answer in taxonomy.items()
        if answer.label != UNKNOWN and known.get(axis, answer.label) != answer.label
    )
    return Candidate(family, score, known, disagrees)


def _dissent(windows: Sequence[WindowLogits], calibration: Calibration) -> list[Finding]:
    """A finding if part of the windows look codec-coded and part of them the opposite."""
    verdicts = [calibration.verdict(_probabilities(one.logits, calibration)) for one in windows]
    codec, bona_fide = (verdicts.count(name) for name in (verdict.CODEC, verdict.BONA_FIDE))
    if min(codec, bona_fide) < max(1.0, _DISSENT_SHARE * len(windows)):
        return []
    return [finding("windows_disagree", codec=codec, total=len(windows), bona_fide=bona_fide)]
