"""Findings: what was noticed about a recording that bears on its answer.

The kinds are one table. A new finding is one row here and one rule where its fact is known, with
one test. A finding has a stable kind, a severity and a message for people.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import Any, Final


class Severity(StrEnum):
    """How much a finding bears on the answer."""

    #: Worth knowing; the answer stands.
    note = "note"
    #: The answer is worth less than it says.
    warning = "warning"
    #: No confident verdict is given.
    decisive = "decisive"


@dataclass(frozen=True)
class Kind:
    """A row of the table.

    Attributes:
        name: stable, for machines.
        severity: of every finding of this kind.
        message: for people, to be filled in with the facts; says how it bears on the answer.
    """

    name: str
    severity: Severity
    message: str


@dataclass(frozen=True)
class Finding:
    """Something noticed about one recording."""

    kind: str
    severity: str
    message: str

    def to_dict(self) -> dict[str, str]:
        """Plain values for JSON."""
        return {"kind": self.kind, "severity": str(self.severity), "message": self.message}


_NOTE, _WARNING, _DECISIVE = Severity.note, Severity.warning, Severity.decisive

KINDS: Final = MappingProxyType(
    {
        name: Kind(name, severity, message)
        for name, severity, message in (
            (
                "no_speech",
                _DECISIVE,
                "{seconds:.2f} s of speech found: too little for any verdict, whatever the "
                "network's figures are",
            ),
            (
                "very_short",
                _WARNING,
                "{seconds:.2f} s of audio: there is little to measure, and short clips are "
                "misjudged more often",
            ),
            (
                "mostly_silence",
                _WARNING,
                "{seconds:.1f} s of speech, {share:.0%} of the recording: the answer rests on "
                "little, and pauses are judged too",
            ),
            (
                "noisy",
                _WARNING,
                "strong noise: speech stands {range:.0f} dB above the quietest parts; noise "
                "hides a codec's trace and imitates it",
            ),
            (
                "low_level",
                _WARNING,
                "very low level: speech at {level:.0f} dB of full scale, near the rounding noise "
                "of 16 bits",
            ),
            (
                "overdriven",
                _WARNING,
                "samples reach {peak:.3g} where 1 is full scale: wrongly scaled?",
            ),
            (
                "clipped",
                _WARNING,
                "clipped: {share:.1%} of the samples at full scale; clipping adds lines to the "
                "spectrum that no codec made",
            ),
            (
                "band_limited",
                _WARNING,
                "nothing above {khz:.1f} kHz: part of the band that a codec leaves its trace in "
                "is missing, so that a codec may go unnoticed",
            ),
            (
                "low_sample_rate",
                _WARNING,
                "stored at {rate} Hz: nothing above {khz:g} kHz, where much of a codec's trace is",
            ),
            (
                "upsampled",
                _NOTE,
                "stored at {rate} Hz, but nothing above {khz:.1f} kHz: the sample rate was raised "
                "after the recording, or a coder cut it off",
            ),
            (
                "earlier_coding",
                _WARNING,
                "the spectrum ends at {khz:.1f} kHz, which points to {what} before it was stored "
                "like this; such coding hides part of a codec's trace",
            ),
            (
                "lossy_container",
                _NOTE,
                "stored with a lossy coding ({coding}), which hides part of a codec's trace",
            ),
            (
                "several_channels",
                _NOTE,
                "{channels} channels were mixed down to one",
            ),
            (
                "channels_differ",
                _WARNING,
                "the channels differ in {share:.0%} of their power: they may have different "
                "origins; --channel each answers for each of them",
            ),
            (
                "silent_windows",
                _NOTE,
                "{silent} of {total} windows are silent and left out",
            ),
            (
                "no_stated_length",
                _NOTE,
                "the header states no length: read to the end of the file",
            ),
            (
                "unread_bytes",
                _NOTE,
                "{bytes} bytes behind the stated end of the audio were not read",
            ),
            (
                "several_streams",
                _NOTE,
                "holds more than one stream, of which the first was read",
            ),
            (
                "several_tracks",
                _NOTE,
                "{tracks} audio tracks, of which number {track} was read",
            ),
            (
                "unusual_statistics",
                _WARNING,
                "{share:.0%} of the statistics are beyond the range of the training clips: the "
                "model was not trained on recordings like this one",
            ),
            (
                "several_passages",
                _WARNING,
                "parts of the recording differ: {neural} of {all} passages ({seconds:.1f} s) carry "
                "a neural trace; the figures of the whole recording mix both kinds",
            ),
            (
                "not_calibrated",
                _WARNING,
                "this model's probabilities are as its authors trained them: not calibrated",
            ),
        )
    }
)


def finding(kind: str, **facts: Any) -> Finding:
    """A finding of a kind of the table, its message filled in.

    Raises:
        KeyError: there is no such kind, or a fact is missing.
    """
    row = KINDS[kind]
    return Finding(row.name, row.severity.value, row.message.format(**facts))
