"""Validation for casework: how a model performs on a laboratory's own labelled recordings.

What is reported is what the consensus on validation asks for (Morrison et al., "Consensus on
validation of forensic voice comparison", Science and Justice 61 (2021), 299-309; ISO 21043-4): Cllr
and what of it is calibration, Tippett plots, and the tool's errors with its refusals counted.
Recordings of one source are not independent, so intervals are over sources.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final

import numpy as np

from codecsleuth import verdict
from codecsleuth.arrays import LN10, BoolArray, IntArray
from codecsleuth.calibration import Calibration
from codecsleuth.data.items import BONA_FIDE, SPOOF, Item
from codecsleuth.errors import DataError
from codecsleuth.evaluation import metrics
from codecsleuth.evaluation.bootstrap import Bootstrap, Interval
from codecsleuth.evaluation.labels import LABEL_NAMES
from codecsleuth.evaluation.recalibrate import (
    LabelledScores,
    count_labels,
    fit_recalibration,
    leave_sources_out,
)
from codecsleuth.evaluation.results import Figure, Figures
from codecsleuth.evaluation.score_file import ScoreFile
from codecsleuth.evaluation.trials import Trials, numbered_sources, source_weights, trials_of
from codecsleuth.inference.recalibration import Recalibration

#: What a recording gets that cannot be analysed: no verdict, and none the less a refusal.
UNANALYSABLE: Final = "unanalysable"
OUTCOMES: Final = (*(one.name for one in verdict.VERDICTS), UNANALYSABLE)
#: Below these numbers of sources and clips of a label, figures are warned of.
FEW_SOURCES: Final = 10
FEW_CLIPS: Final = 50
#: Shares, which have Wilson's interval: the bootstrap of a share of 0 has no width.
_SHARES: Final = ("misleading_positive", "misleading_negative")


@dataclass(frozen=True)
class ErrorRate:
    """A share of the recordings of a label, those that got no answer among them."""

    count: int
    of: int
    share: float
    interval: Interval


@dataclass(frozen=True)
class Performance:
    """How a model performs under one calibration, or under one a fold.

    Attributes:
        trials: per comparison its clips.
        figures: per comparison its figures over clips, with intervals over sources.
        by_source: per comparison the same figures with every source weighing the same.
        outcomes: per label the recordings with each outcome of `OUTCOMES`.
        false_alarms: bona fide recordings with a verdict that states neural speech.
        misses: codec recordings with the verdict "bona_fide".
        inconclusive: per label, recordings without a decision or an answer.
    """

    trials: Mapping[str, Trials]
    figures: Mapping[str, Figures]
    by_source: Mapping[str, dict[str, float]]
    outcomes: Mapping[str, dict[str, int]]
    false_alarms: ErrorRate
    misses: ErrorRate
    inconclusive: Mapping[str, ErrorRate]


@dataclass(frozen=True)
class Validation:
    """The validation of a model on a set of recordings.

    Attributes:
        run: scores of the clips that could be analysed, and of what they are.
        unreadable: clips chosen that could not be analysed.
        refit: whether a recalibration is fitted, and measured by leaving sources out.
        draws: bootstrap draws behind the intervals.
        seed: of the draws.
    """

    run: ScoreFile
    unreadable: tuple[Item, ...] = ()
    refit: bool = False
    draws: int = 1000
    seed: int = 0

    def __post_init__(self) -> None:
        if "BIN" not in self.run.scores.logits:
            raise DataError("the model does not detect codecs, so there is nothing to validate")
        labels = {item.label for item in self.run.scores.items}
        if not {SPOOF, BONA_FIDE} <= labels:
            raise DataError("validation needs readable recordings of both labels, codec and none")

    @property
    def scores(self) -> LabelledScores:
        """The clips that could be analysed, with the model's calibration."""
        of = self.run.provenance
        model = {name: str(of.model[name]) for name in ("name", "version", "sha256")}
        scores = self.run.scores
        return LabelledScores(scores.items, scores.logits["BIN"], of.calibration, model)

    @cached_property
    def performance(self) -> Performance:
        """How the model performs as it is."""
        everywhere = np.ones(len(self.run.scores.items), dtype=bool)
        return self._measured([(self.run.provenance.calibration, everywhere)])

    @cached_property
    def recalibration(self) -> Recalibration | None:
        """Fitted to all clips, if that was asked for."""
        return fit_recalibration(self.scores) if self.refit else None

    @cached_property
    def folds(self) -> list[tuple[Calibration, BoolArray]]:
        """Recalibrations fitted without some sources, and the clips of these."""
        return leave_sources_out(self.scores)

    @cached_property
    def recalibrated(self) -> Performance | None:
        """How the model performs on sources that its recalibration was not fitted on."""
        return self._measured(self.folds) if self.refit else None

    @cached_property
    def counts(self) -> tuple[dict[str, int], dict[str, int]]:
        """Clips and sources of each label, those that could not be analysed among them."""
        return count_labels((*self.run.scores.items, *self.unreadable))

    def _measured(self, calibrations: Sequence[tuple[Calibration, BoolArray]]) -> Performance:
        items, logits = self.run.scores.items, self.run.scores.logits["BIN"]
        trials = {t.comparison.pair.name: t for t in trials_of(items, logits, calibrations)}
        drawn = Bootstrap(numbered_sources(items), self.draws, self.seed).intervals(trials)
        outcomes = _Outcomes.of(self.run, self.unreadable, calibrations)
        neural = [one.name for one in verdict.VERDICTS if one.neural]
        refused = [verdict.INCONCLUSIVE, UNANALYSABLE]
        return Performance(
            trials=trials,
            figures={name: _figures(one, drawn.get(name, {})) for name, one in trials.items()},
            by_source={name: _by_source(one) for name, one in trials.items()},
            outcomes={name: outcomes.counts(label) for label, name in self._labels()},
            false_alarms=outcomes.rate(BONA_FIDE, neural),
            misses=outcomes.rate(SPOOF, [verdict.BONA_FIDE]),
            inconclusive={name: outcomes.rate(label, refused) for label, name in self._labels()},
        )

    def _labels(self) -> Iterator[tuple[str, str]]:
        """Labels that there are, and their names."""
        there = {item.label for item in (*self.run.scores.items, *self.unreadable)}
        return ((label, name) for label, name in LABEL_NAMES.items() if label in there)

    @cached_property
    def warnings(self) -> list[str]:
        """What a reader of the figures must know."""
        of = self.run.provenance
        missing = [f"audio not there, left out: {len(of.missing)} clips"] if of.missing else []
        return [*of.notes, *missing, *self._few(), *self._unstated(), *self._unsupported()]

    def _few(self) -> Iterator[str]:
        clips, sources = self.counts
        for name, count in clips.items():
            few = [
                f"{number} {what}, fewer than {least}"
                for number, what, least in (
                    (sources[name], "sources", FEW_SOURCES),
                    (count, "clips", FEW_CLIPS),
                )
                if number < least
            ]
            if few:
                label = name.replace("_", " ")
                yield f"too few {label} recordings to rely on the figures: {' and '.join(few)}"

    def _unstated(self) -> Iterator[str]:
        unstated = sum(not item.source for item in self.run.scores.items)
        if unstated:
            yield (
                f"{unstated} clips without a source count as a source each; if several are of one "
                "origin, the intervals are too narrow and the limits too wide"
            )

    def _unsupported(self) -> Iterator[str]:
        for name, one in self.performance.trials.items():
            lower, upper = one.bounds
            values = one.log10_lr
            beyond = int(((values > upper + 0.01) | (values < lower - 0.01)).sum())
            if beyond and one.comparison.limited:
                yield (
                    f"{name.replace('_', ' ')}: {beyond} of {len(values)} log10 likelihood ratios "
                    f"are beyond what this set supports ({lower:.2f} to {upper:.2f})"
                )
        if self.recalibration is not None:
            calibration = self.recalibration.applied(self.run.provenance.calibration)
            yield from _unreachable(calibration)


def _unreachable(calibration: Calibration) -> Iterator[str]:
    """Say which verdicts no recording can get within the limits."""
    edges = [
        (verdict.CODEC, 1.0, calibration.codec_threshold),
        (verdict.BONA_FIDE, -1.0, 1.0 - calibration.bona_fide_threshold),
    ]
    for name, side, threshold in edges:
        needed = float(np.log(threshold) - np.log1p(-threshold)) / LN10
        limit = calibration.limit(side) / LN10
        if limit < needed:
            yield (
                f"with this recalibration no recording gets the verdict {name}: it needs a log10 "
                f"likelihood ratio of {side * needed:.2f}, and the sources here support "
                f"{side * limit:.2f}; more sources widen the limit"
            )


@dataclass(frozen=True)
class _Outcomes:
    """The outcome of each recording, those that could not be analysed among them."""

    labels: tuple[str, ...]
    sources: IntArray
    names: tuple[str, ...]

    @classmethod
    def of(
        cls,
        run: ScoreFile,
        unreadable: Sequence[Item],
        calibrations: Sequence[tuple[Calibration, BoolArray]],
    ) -> _Outcomes:
        items = (*run.scores.items, *unreadable)
        names = (*_verdicts(run, calibrations), *[UNANALYSABLE] * len(unreadable))
        return cls(tuple(item.label for item in items), numbered_sources(items), names)

    def counts(self, label: str) -> dict[str, int]:
        """Recordings of a label with each outcome."""
        mine = [n for n, own in zip(self.names, self.labels, strict=True) if own == label]
        return {name: mine.count(name) for name in OUTCOMES}

    def rate(self, label: str, names: Sequence[str]) -> ErrorRate:
        """The share of a label's recordings with one of these outcomes.

        The interval is Wilson's over the effective number of sources.
        """
        mine = np.array([own == label for own in self.labels])
        hits = np.array([name in names for name in self.names])[mine]
        share = float(hits.mean())
        interval = metrics.wilson_interval(share, _effective(self.sources[mine]))
        return ErrorRate(int(hits.sum()), len(hits), share, interval)


def _effective(sources: IntArray) -> float:
    return metrics.effective_groups(np.unique(sources, return_inverse=True)[1].astype(np.int64))


def _verdicts(
    run: ScoreFile, calibrations: Sequence[tuple[Calibration, BoolArray]]
) -> Iterator[str]:
    """The verdict of each clip under the calibration that is for it.

    Where a finding or the passages decided what `analyze` said, that stays.
    """
    own = run.provenance.calibration
    logits = run.scores.logits["BIN"]
    for row, said in enumerate(run.scores.verdicts or [""] * len(logits)):
        by_own = _verdict(own, logits[row])
        (calibration,) = (one for one, clips in calibrations if clips[row])
        yield said if said not in ("", by_own) else _verdict(calibration, logits[row])


def _verdict(calibration: Calibration, logits: np.ndarray[Any, np.dtype[np.float64]]) -> str:
    columns = calibration.probabilities(logits)
    return calibration.verdict({name: float(value) for name, value in columns.items()})


def _figures(trials: Trials, drawn: Mapping[str, Interval]) -> Figures:
    values = trials.figures(np.ones(len(trials.log_odds)))
    limits = dict(drawn)
    if drawn:
        sides = {"misleading_positive": True, "misleading_negative": False}
        for name in _SHARES:
            of = trials.sources[trials.is_positive == sides[name]]
            limits[name] = metrics.wilson_interval(float(values[name]), _effective(of))
    return {name: Figure(float(value), limits.get(name)) for name, value in values.items()}


def _by_source(trials: Trials) -> dict[str, float]:
    """The figures with every source of a label weighing the same."""
    weights = source_weights(trials.sources, trials.is_positive)
    return {name: float(value) for name, value in trials.figures(weights).items()}
