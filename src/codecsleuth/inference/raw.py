"""What a network gave for a recording, before aggregation and calibration."""

from __future__ import annotations

from dataclasses import dataclass

from codecsleuth.arrays import FloatArray
from codecsleuth.audio.facts import Evidence
from codecsleuth.findings import Finding
from codecsleuth.inference.aggregate import aggregate
from codecsleuth.inference.answer import Logits


@dataclass(frozen=True)
class WindowLogits:
    """The network's raw output for one window.

    Attributes:
        start_s: where the window begins.
        end_s: where the audio in it ends.
        weight: see `codecsleuth.audio.windows.Window`.
        logits: ``(classes,)`` per task.
        contributions: of each block of statistics to the logits of ``BIN``, ``(blocks, classes)``;
            None for a network that has no such blocks.
        outside: share of the statistics beyond what training had; None likewise.
    """

    start_s: float
    end_s: float
    weight: float
    logits: Logits
    contributions: FloatArray | None = None
    outside: float | None = None


@dataclass(frozen=True)
class RawAnswer:
    """All that the network gave for a recording, before aggregation and calibration.

    Attributes:
        evidence: what was examined.
        windows: the network's output for each window.
        findings: what bears on the answer.
        block_names: blocks of statistics that the windows' contributions are of.
        between: its output for windows between those, where the recording may change.
        speech: start and end of each passage of speech, in seconds.
    """

    evidence: Evidence
    windows: tuple[WindowLogits, ...]
    findings: tuple[Finding, ...]
    block_names: tuple[str, ...] = ()
    between: tuple[WindowLogits, ...] = ()
    speech: tuple[tuple[float, float], ...] = ()

    def logits(self) -> Logits:
        """Logits of the whole recording, ``(classes,)`` per task; see `aggregate`."""
        return aggregate([w.logits for w in self.windows], [w.weight for w in self.windows])
