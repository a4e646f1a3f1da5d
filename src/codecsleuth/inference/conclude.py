"""From a network's raw answer to a verdict, calibrated probabilities, axes and candidates."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

import numpy as np

from codecsleuth import verdict
from codecsleuth.arrays import LN10, FloatArray, softmax
from codecsleuth.calibration import (
    BONA_FIDE,
    CODEC,
    UNKNOWN,
    VOCODER,
    Calibration,
    detection_logits,
    familiarity,
)
from codecsleuth.findings import Finding, Severity, finding
from codecsleuth.inference.aggregate import aggregate
from codecsleuth.inference.answer import (
    Analysis,
    AxisAnswer,
    Candidate,
    Logits,
    Passage,
    Record,
    WindowAnswer,
)
from codecsleuth.inference.explain import explain
from codecsleuth.inference.raw import RawAnswer, WindowLogits
from codecsleuth.inference.timeline import STEPS, TIMELINE, Point, Stretch, find_stretches
from codecsleuth.taxonomy import AXES, CLASSES, FAMILY, family_class

#: Share of a recording's statistics beyond the range of training from which it is unusual: no clip
#: of speech in the corpus has it, tones and hum have a fifth.
OUTSIDE_SHARE: Final = 0.08
#: Codec families that an answer names.
CANDIDATES: Final = 5


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
    passages = find_passages(raw, calibration)
    detection = detection_logits(logits)
    codec = float(calibration.log_odds(detection))
    neural = calibration.neural_log_odds(detection)
    return Analysis(
        path=path,
        evidence=raw.evidence,
        verdict=_verdict(probabilities, raw.findings, passages, calibration),
        probabilities=_named(probabilities),
        log10_lr=codec / LN10,
        log10_lr_neural=None if neural is None else float(neural) / LN10,
        log10_lr_limit=calibration.limit(codec) / LN10,
        taxonomy=taxonomy,
        familiarity=familiar,
        candidates=candidates(logits, families, taxonomy),
        passages=passages,
        windows=windows,
        explanation=Record(explain(raw, logits, calibration)),
        findings=(*raw.findings, *_unusual(raw), *_passage_findings(passages)),
        raw=logits,
    )


def find_passages(raw: RawAnswer, calibration: Calibration) -> tuple[Passage, ...]:
    """Passages of a recording, each with its verdict; none if nothing decides on a verdict."""
    windows = sorted((*raw.windows, *raw.between), key=lambda one: one.start_s)
    if not windows or _decided_against(raw.findings):
        return ()
    points = [
        Point(
            one.start_s, one.end_s, float(calibration.trace_log_odds(detection_logits(one.logits)))
        )
        for one in windows
    ]
    end = windows[-1].end_s
    stretches = find_stretches(points, end, TIMELINE)
    if len(stretches) == 1:
        return (_passage(stretches[0], raw.windows, calibration),)
    return tuple(_passage(one, windows[one.first : one.last], calibration) for one in stretches)


def _passage(
    stretch: Stretch, windows: Sequence[WindowLogits], calibration: Calibration
) -> Passage:
    """A stretch with the verdict of the windows whose middles are in it."""
    weights = [max(one.weight, 1 / STEPS) for one in windows]
    logits = aggregate([one.logits for one in windows], weights)
    probabilities = _probabilities(logits, calibration)
    name = calibration.verdict(probabilities)
    # What made the state change was strong; what is left beside it is judged by itself.
    return Passage(stretch.start_s, stretch.end_s, name, probabilities[CODEC])


def _verdict(
    probabilities: Mapping[str, float],
    findings: Sequence[Finding],
    passages: Sequence[Passage],
    calibration: Calibration,
) -> str:
    """The verdict; none is confident where a finding decides against it."""
    if _decided_against(findings):
        return verdict.INCONCLUSIVE
    neural = [verdict.by_name(one.verdict).neural for one in passages]
    if any(neural) and not all(neural):
        return verdict.MIXED
    return calibration.verdict(probabilities)


def _decided_against(findings: Sequence[Finding]) -> bool:
    return any(one.severity == Severity.decisive for one in findings)


def _unusual(raw: RawAnswer) -> Iterator[Finding]:
    """A finding if the recording is unlike all that the network was trained on."""
    shares = [one.outside for one in raw.windows if one.outside is not None]
    if shares and (share := float(np.median(shares))) >= OUTSIDE_SHARE:
        yield finding("unusual_statistics", share=share)


def _passage_findings(passages: Sequence[Passage]) -> Iterator[Finding]:
    """A finding if parts of the recording differ."""
    neural = [one for one in passages if verdict.by_name(one.verdict).neural]
    if neural and len(neural) < len(passages):
        seconds = sum(one.end_s - one.start_s for one in neural)
        yield finding("several_passages", neural=len(neural), seconds=seconds, all=len(passages))


def _probabilities(logits: Logits, calibration: Calibration) -> dict[str, float]:
    values = calibration.probabilities(detection_logits(logits))
    return {name: float(value) for name, value in values.items()}


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
