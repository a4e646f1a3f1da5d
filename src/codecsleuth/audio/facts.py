"""Values that reading a recording takes and gives: an excerpt, evidence, facts."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Final, Self

from codecsleuth.audio.measurements import Measurements
from codecsleuth.errors import UsageError
from codecsleuth.findings import Finding


@dataclass(frozen=True)
class Excerpt:
    """Which part of a recording is meant.

    Attributes:
        start_s: where it begins.
        end_s: where it ends; None for the recording's end.
        channel: number of a channel, from 1; None for the mean of all.
        track: number of the audio track, from 1.

    Raises:
        UsageError: there can be no such part in any recording.
    """

    start_s: float = 0.0
    end_s: float | None = None
    channel: int | None = None
    track: int = 1

    def __post_init__(self) -> None:
        if not (math.isfinite(self.start_s) and self.start_s >= 0):
            raise UsageError(f"start at {self.start_s:g} s: give 0 or more seconds")
        if self.end_s is not None and not (math.isfinite(self.end_s) and self.end_s > self.start_s):
            raise UsageError(
                f"end at {self.end_s:g} s: give more seconds than the start, {self.start_s:g} s"
            )
        if self.channel is not None and self.channel < 1:
            raise UsageError(f"channel {self.channel}: channels are counted from 1")
        if self.track < 1:
            raise UsageError(f"track {self.track}: tracks are counted from 1")

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any] | None) -> Self:
        """What `to_dict` gave; the whole recording for None.

        Raises:
            TypeError: there are other keys in it, or values of other types.
            UsageError: there can be no such part in any recording.
        """
        return cls(**(values or {}))


WHOLE: Final = Excerpt()


@dataclass(frozen=True)
class Evidence:
    """What was examined.

    Attributes:
        sha256: of the file's bytes as received, or of an array's float32 samples.
        bytes: size of the same.
        container: of the file; ``array`` for samples in memory.
        coding: of the audio in it.
        sample_rate: as stored, in hertz.
        channels: as stored.
        duration_s: seconds decoded.
        speech_s: seconds of speech in it; None where that was not measured.
        decoder: name and version of what decoded it.
    """

    sha256: str
    bytes: int
    container: str
    coding: str
    sample_rate: int
    channels: int
    duration_s: float
    speech_s: float | None
    decoder: str

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return asdict(self)


@dataclass(frozen=True)
class Facts:
    """What reading a recording to its end has shown.

    Attributes:
        evidence: for the answer.
        measurements: behind the findings.
        speech: start and end of each passage of speech, in seconds from where reading began.
        findings: what bears on the answer.
    """

    evidence: Evidence
    measurements: Measurements
    speech: tuple[tuple[float, float], ...]
    findings: tuple[Finding, ...]
