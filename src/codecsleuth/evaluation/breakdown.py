"""Breakdowns: the same shares for each codec, system, source, kind, length and label."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

import numpy as np

from codecsleuth import verdict
from codecsleuth.arrays import BoolArray, FloatArray, IntArray
from codecsleuth.data.items import BONA_FIDE, SPOOF, Item
from codecsleuth.evaluation import metrics
from codecsleuth.evaluation.answers import AxisAnswers, ClipAnswers
from codecsleuth.evaluation.bootstrap import Interval
from codecsleuth.evaluation.labels import LABELS, has_label
from codecsleuth.evaluation.results import LabelResult, Part

#: Clip lengths at which tables are split, in seconds.
LENGTH_EDGES_S: Final = (2.0, 3.5)
LENGTH_RANGES: Final = ("under 2 s", "2 to 3.5 s", "3.5 s and over")
NOT_NAMED: Final = "(not named)"

Share = tuple[float | None, Interval | None]


def breakdowns(answers: ClipAnswers, groups: IntArray) -> dict[str, dict[str, Part]]:
    """All breakdowns, by the names of `codecsleuth.evaluation.results.BREAKDOWNS`.

    Args:
        answers: the clips and what is said of them.
        groups: ``(clips,)`` the utterance of each clip.
    """
    parts = _Breakdown(answers, groups)
    per_codec = parts.by(_codec_name, against_all=True)
    per_length = parts.by(_length_range)
    return {
        "per_codec": {} if set(per_codec) == {NOT_NAMED} else per_codec,
        "per_system": parts.by(lambda item: item.system),
        "per_source": parts.by(lambda item: item.source or NOT_NAMED),
        "per_kind": parts.by(lambda item: item.kind, against_all=True),
        "per_length": {name: per_length[name] for name in LENGTH_RANGES if name in per_length},
    }


def per_label(answers: ClipAnswers, groups: IntArray) -> dict[str, LabelResult]:
    """Shares of verdicts for each label that clips have; empty for a model without ``BIN``."""
    parts = _Breakdown(answers, groups)
    results = {}
    for label in LABELS if answers.detection else ():
        chosen = has_label(answers.items, label)
        if chosen.any():
            results[label] = parts.label(chosen)
    return results


def _codec_name(item: Item) -> str:
    return (item.codec or NOT_NAMED) if item.is_codec else ""


def _length_range(item: Item) -> str:
    """Range of the clip's length; empty if that is not stated."""
    if item.duration_s is None:
        return ""
    return LENGTH_RANGES[int(np.searchsorted(LENGTH_EDGES_S, item.duration_s, side="right"))]


class _Breakdown:
    """Clips with answers, ready to be split into parts."""

    def __init__(self, answers: ClipAnswers, groups: IntArray) -> None:
        self._answers = answers
        self._groups = groups
        self._codec = has_label(answers.items, SPOOF)
        self._bona_fide = has_label(answers.items, BONA_FIDE)
        axes = answers.axes.items()
        self._right = {axis: _right(answers.labels(axis), one) for axis, one in axes}

    def by(self, key: Callable[[Item], str], against_all: bool = False) -> dict[str, Part]:
        """One part per key; clips without a key (an empty one) belong to none.

        Args:
            key: of a clip.
            against_all: whether the EER is against all bona fide clips, not those of the part.
        """
        keys = np.array([key(item) for item in self._answers.items], dtype=object)
        return {
            name: self._part(np.asarray(keys == name, dtype=bool), against_all)
            for name in sorted(set(keys) - {""})
        }

    def label(self, chosen: BoolArray) -> LabelResult:
        """The verdicts of some clips."""
        shares = {name: self._share(hits, chosen) for name, hits in self._verdicts().items()}
        return LabelResult(
            clips=int(chosen.sum()),
            verdicts={name: share for name, (share, _) in shares.items() if share is not None},
            intervals={name: limits for name, (_, limits) in shares.items() if limits},
        )

    def _part(self, chosen: BoolArray, against_all: bool) -> Part:
        codec, real = chosen & self._codec, chosen & self._bona_fide
        verdicts = self._verdicts()
        called_codec = verdicts.get(verdict.CODEC)
        detected, false_alarms = self._share(called_codec, codec), self._share(called_codec, real)
        accuracy = {
            axis: self._share(hits, codec & ~np.isnan(hits)) for axis, hits in self._right.items()
        }
        return Part(
            codec_clips=int(codec.sum()),
            bona_fide_clips=int(real.sum()),
            other_clips=int((chosen & ~codec & ~real).sum()),
            detected=detected[0],
            detected_interval=detected[1],
            false_alarms=false_alarms[0],
            false_alarms_interval=false_alarms[1],
            verdicts={name: float(hits[chosen].mean()) for name, hits in verdicts.items()},
            eer=self._eer(codec, self._bona_fide if against_all else real),
            accuracy={axis: share for axis, (share, _) in accuracy.items()},
            accuracy_intervals={axis: limits for axis, (_, limits) in accuracy.items()},
        )

    def _verdicts(self) -> Mapping[str, BoolArray]:
        """Per verdict whether a clip got it; empty for a model without ``BIN``."""
        detection = self._answers.detection
        if detection is None:
            return {}
        return {name: detection.verdict_is(name) for name in detection.columns}

    def _share(self, hits: FloatArray | BoolArray | None, chosen: BoolArray) -> Share:
        """Share of hits among the chosen clips with its interval; None without any."""
        if hits is None or not chosen.any():
            return None, None
        share = float(hits[chosen].mean())
        trials = metrics.effective_groups(self._groups[chosen])
        return share, metrics.wilson_interval(share, trials)

    def _eer(self, codec: BoolArray, real: BoolArray) -> float | None:
        detection, chosen = self._answers.detection, codec | real
        if detection is None or not codec.any() or not real.any():
            return None
        return float(metrics.equal_error_rate(detection.ranking[chosen], codec[chosen]))


def _right(true: IntArray, answers: AxisAnswers) -> FloatArray:
    """1 where the class shown is the true one, 0 where not, NaN where there is none to know."""
    return np.where(true > 0, (answers.likeliest == true).astype(np.float64), np.nan)
