"""The answer for one recording, as values that compare, hash, pickle and turn into plain ones."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Self, TypeVar

from codecsleuth.arrays import FloatArray
from codecsleuth.audio.facts import WHOLE, Evidence, Excerpt
from codecsleuth.findings import Finding, Severity
from codecsleuth.text import valid_unicode

_PROBABILITY_DIGITS: Final = 6
_LR_DIGITS: Final = 4
_TIME_DIGITS: Final = 4

Logits = Mapping[str, FloatArray]
Value = TypeVar("Value")


class Record(Mapping[str, Value]):
    """A mapping that cannot change, so that it has a hash; items stay in their order."""

    def __init__(self, values: Mapping[str, Value] | None = None, **more: Value) -> None:
        self._values = {**(values or {}), **more}

    def __getitem__(self, key: str) -> Value:
        return self._values[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def __hash__(self) -> int:
        return hash(frozenset(self._values.items()))

    def __repr__(self) -> str:
        return repr(self._values)


@dataclass(frozen=True)
class WindowAnswer:
    """Calibrated probabilities of one analysis window.

    Attributes:
        start_s: where it begins.
        end_s: where it ends.
        codec_probability: of "codec".
        vocoder_probability: of "vocoder"; None for a model that has no such class.
    """

    start_s: float
    end_s: float
    codec_probability: float
    vocoder_probability: float | None = None

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {
            "start_s": rounded(self.start_s, _TIME_DIGITS),
            "end_s": rounded(self.end_s, _TIME_DIGITS),
            "codec_probability": _probability(self.codec_probability),
            "vocoder_probability": _optional(self.vocoder_probability),
        }


@dataclass(frozen=True)
class Passage:
    """A stretch of the recording with one verdict, made from windows."""

    start_s: float
    end_s: float
    verdict: str
    codec_probability: float

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {
            "start_s": rounded(self.start_s, _TIME_DIGITS),
            "end_s": rounded(self.end_s, _TIME_DIGITS),
            "verdict": self.verdict,
            "codec_probability": _probability(self.codec_probability),
        }


@dataclass(frozen=True)
class AxisAnswer:
    """One taxonomy axis, given that there was a codec.

    Attributes:
        label: the likeliest class, or ``unknown`` where the codec is unlike those that the model
            has learned and no class is clearly the likeliest.
        likeliest: the likeliest class in any case.
        probability: of the likeliest class.
        probabilities: of every codec class of the axis.
    """

    label: str
    likeliest: str
    probability: float
    probabilities: Record[float]

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        shares = {name: _probability(value) for name, value in self.probabilities.items()}
        return {
            "label": self.label,
            "likeliest": self.likeliest,
            "probability": _probability(self.probability),
            "probabilities": shares,
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """What `to_dict` gave."""
        return cls(**{**values, "probabilities": Record(values["probabilities"])})


@dataclass(frozen=True)
class Candidate:
    """A codec family of the catalogue that the trace would fit, given that there was a codec.

    Attributes:
        codec: name of the family.
        score: its probability among the families that the model knows.
        taxonomy: its class per axis (``vq``, ``aux``, ``dec``), where that is certain.
        disagrees: axes on which the answer is another class.
    """

    codec: str
    score: float
    taxonomy: Record[str]
    disagrees: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {
            "codec": self.codec,
            "score": _probability(self.score),
            "taxonomy": dict(self.taxonomy),
            "disagrees": list(self.disagrees),
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """What `to_dict` gave."""
        taxonomy, disagrees = Record(values["taxonomy"]), tuple(values["disagrees"])
        return cls(**{**values, "taxonomy": taxonomy, "disagrees": disagrees})


@dataclass(frozen=True)
class Analysis:
    """The answer for one recording.

    Attributes:
        path: as given; empty for samples in memory.
        evidence: what was examined.
        verdict: name of a row of `codecsleuth.verdict.VERDICTS`.
        probabilities: of the detection classes ``codec``, ``vocoder`` and ``bona_fide``,
            calibrated, at even prior odds; None for a class that the model does not have.
        log10_lr: log10 likelihood ratio codec : bona fide.
        log10_lr_neural: log10 likelihood ratio (codec or vocoder) : bona fide; None for a model of
            two classes.
        log10_lr_limit: how far from 0 either can go on the side of ``log10_lr``; the same on both
            sides, unless a recalibration limits them apart.
        taxonomy: per axis (``vq``, ``aux``, ``dec``), conditional on "codec" whatever the verdict.
        familiarity: 0 to 1, how clearly the codec is one of those the model has learned; likewise
            conditional. None for a model that cannot tell.
        candidates: the likeliest codec families, likeliest first; likewise conditional.
        passages: stretches with one verdict each.
        windows: one answer per analysis window that is not silent.
        explanation: log10 likelihood ratio that each block of statistics contributed; empty if the
            model has no such blocks.
        findings: what bears on the answer.
        raw: the uncalibrated logits behind it, ``(classes,)`` per task; empty if the answer was
            read from a file.
        excerpt: which part of the recording was examined.
    """

    path: str
    evidence: Evidence
    verdict: str
    probabilities: Record[float | None]
    log10_lr: float
    log10_lr_neural: float | None
    log10_lr_limit: float
    taxonomy: Record[AxisAnswer]
    familiarity: float | None
    candidates: tuple[Candidate, ...]
    passages: tuple[Passage, ...]
    windows: tuple[WindowAnswer, ...]
    explanation: Record[float]
    findings: tuple[Finding, ...]
    raw: Logits = field(compare=False, repr=False)
    excerpt: Excerpt = WHOLE

    @property
    def decisive(self) -> Finding | None:
        """The finding that lets no verdict be given, whatever the figures; None if none does."""
        found = (one for one in self.findings if one.severity == Severity.decisive)
        return next(found, None)

    @property
    def codec_probability(self) -> float:
        """Calibrated probability of "codec", at even prior odds."""
        return self.probabilities["codec"] or 0.0

    def to_dict(self) -> dict[str, Any]:
        """Plain values: an entry of the JSON answer, schema 2."""
        return {
            "path": valid_unicode(self.path),
            **_stated(self.excerpt),
            "status": "ok",
            "evidence": self.evidence.to_dict(),
            "verdict": self.verdict,
            "probabilities": {name: _optional(p) for name, p in self.probabilities.items()},
            "codec_probability": _probability(self.codec_probability),
            "log10_lr": rounded(self.log10_lr, _LR_DIGITS),
            "log10_lr_neural": _optional(self.log10_lr_neural, _LR_DIGITS),
            "log10_lr_limit": rounded(self.log10_lr_limit, _LR_DIGITS),
            "taxonomy": {axis: answer.to_dict() for axis, answer in self.taxonomy.items()},
            "familiarity": _optional(self.familiarity),
            "candidates": [candidate.to_dict() for candidate in self.candidates],
            "passages": [passage.to_dict() for passage in self.passages],
            "windows": [window.to_dict() for window in self.windows],
            "explanation": {
                "blocks": {name: rounded(v, _LR_DIGITS) for name, v in self.explanation.items()}
            },
            "findings": [finding.to_dict() for finding in self.findings],
        }

    @classmethod
    def from_dict(cls, entry: Mapping[str, Any]) -> Self:
        """The answer of an entry, for which `to_dict` gives the same entry again.

        Raises:
            KeyError: a key is missing.
            TypeError: a value is of another type.
        """
        return cls(
            path=entry["path"],
            excerpt=Excerpt.from_dict(entry.get("excerpt")),
            evidence=Evidence(**entry["evidence"]),
            verdict=entry["verdict"],
            probabilities=Record(entry["probabilities"]),
            log10_lr=entry["log10_lr"],
            log10_lr_neural=entry["log10_lr_neural"],
            log10_lr_limit=entry["log10_lr_limit"],
            taxonomy=Record({a: AxisAnswer.from_dict(v) for a, v in entry["taxonomy"].items()}),
            familiarity=entry["familiarity"],
            candidates=tuple(map(Candidate.from_dict, entry["candidates"])),
            passages=tuple(Passage(**passage) for passage in entry["passages"]),
            windows=tuple(WindowAnswer(**window) for window in entry["windows"]),
            explanation=Record(entry["explanation"]["blocks"]),
            findings=tuple(Finding(**finding) for finding in entry["findings"]),
            raw={},
        )


@dataclass(frozen=True)
class FileError:
    """Why there is no answer for a file.

    Attributes:
        path: as given.
        kind: a short stable word.
        message: for people.
        evidence: what is known of the file, by the names of `Evidence`.
        excerpt: which part of the recording was meant.
    """

    path: str
    kind: str
    message: str
    evidence: Record[Any] = field(default_factory=Record)
    excerpt: Excerpt = WHOLE

    def to_dict(self) -> dict[str, Any]:
        """Plain values: an entry of the JSON answer, schema 2."""
        return {
            "path": valid_unicode(self.path),
            **_stated(self.excerpt),
            "status": "error",
            "evidence": dict(self.evidence),
            "error": {"kind": self.kind, "message": valid_unicode(self.message)},
        }

    @classmethod
    def from_dict(cls, entry: Mapping[str, Any]) -> Self:
        """The error of an entry, for which `to_dict` gives the same entry again.

        Raises:
            KeyError: a key is missing.
            TypeError: a value is of another type.
        """
        return cls(
            path=entry["path"],
            excerpt=Excerpt.from_dict(entry.get("excerpt")),
            evidence=Record(entry["evidence"]),
            **entry["error"],
        )


Result = Analysis | FileError


def result_from_dict(entry: Mapping[str, Any]) -> Result:
    """The result of an entry of the JSON answer, schema 2.

    Raises:
        KeyError: a key is missing, or the status is unknown.
        TypeError: a value is of another type.
    """
    kinds: Mapping[str, type[Result]] = {"ok": Analysis, "error": FileError}
    return kinds[entry["status"]].from_dict(entry)


def _stated(excerpt: Excerpt) -> dict[str, Any]:
    """The excerpt as an entry has it: not at all where it is the whole recording."""
    return {} if excerpt == WHOLE else {"excerpt": excerpt.to_dict()}


def rounded(value: float, digits: int) -> float:
    """A number as answers state it; never ``-0.0``."""
    return round(float(value), digits) + 0.0


def _probability(value: float) -> float:
    return rounded(value, _PROBABILITY_DIGITS)


def _optional(value: float | None, digits: int = _PROBABILITY_DIGITS) -> float | None:
    return None if value is None else rounded(value, digits)
