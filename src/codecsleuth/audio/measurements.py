"""What is measured of a recording while it is read, and the findings that follow."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np

from codecsleuth.arrays import Samples
from codecsleuth.audio.windows import SAMPLE_RATE, SILENCE_PEAK
from codecsleuth.errors import AudioError
from codecsleuth.findings import Finding, finding

FULL_SCALE: Final = 0.999
#: Share of samples at full scale from which a file counts as clipped.
CLIPPED_SHARE: Final = 1e-3
#: Beyond any decoder's overshoot: the samples are not scaled to -1..1.
OVERDRIVEN_PEAK: Final = 8.0
#: Below this an answer is given with a warning.
SHORT_S: Final = 1.0


@dataclass(frozen=True)
class Measurements:
    """Facts of the whole of a recording.

    Attributes:
        sample_rate: as stored, in hertz.
        channels: as stored.
        frames: decoded.
        peak: largest magnitude of any sample.
        full_scale: samples at full scale.
        windows: analysis windows in all.
        silent_windows: of them, those without sound.
    """

    sample_rate: int
    channels: int
    frames: int
    peak: float
    full_scale: int
    windows: int
    silent_windows: int

    @property
    def duration_s(self) -> float:
        """Seconds decoded."""
        return self.frames / self.sample_rate

    @property
    def clipped_share(self) -> float:
        """Share of the samples at full scale."""
        return self.full_scale / max(1, self.frames * self.channels)

    @property
    def cancelled(self) -> bool:
        """Whether there is sound that mixing the channels would have taken away."""
        return self.channels > 1 and self.peak >= 2 * SILENCE_PEAK


Rule = Callable[[Measurements], Finding | None]


def _several_channels(facts: Measurements) -> Finding | None:
    return finding("several_channels", channels=facts.channels) if facts.channels > 1 else None


def _low_sample_rate(facts: Measurements) -> Finding | None:
    rate = facts.sample_rate
    return finding("low_sample_rate", rate=rate, khz=rate / 2000) if rate < SAMPLE_RATE else None


def _very_short(facts: Measurements) -> Finding | None:
    seconds = facts.duration_s
    return finding("very_short", seconds=seconds) if seconds < SHORT_S else None


def _levels(facts: Measurements) -> Finding | None:
    if facts.peak > OVERDRIVEN_PEAK:
        return finding("overdriven", peak=facts.peak)
    share = facts.clipped_share
    return finding("clipped", share=share) if share >= CLIPPED_SHARE else None


def _silent_windows(facts: Measurements) -> Finding | None:
    silent, total = facts.silent_windows, facts.windows
    return finding("silent_windows", silent=silent, total=total) if silent else None


#: In the order in which answers list what they find.
RULES: Final[tuple[Rule, ...]] = (
    _several_channels,
    _low_sample_rate,
    _very_short,
    _levels,
    _silent_windows,
)


def findings_of(facts: Measurements) -> Iterator[Finding]:
    """What the rules find in a recording's measurements."""
    for rule in RULES:
        if (found := rule(facts)) is not None:
            yield found


class LevelMeter:
    """Counts frames and measures levels of ``(frames, channels)`` blocks as they pass."""

    def __init__(self, sample_rate: int) -> None:
        self._sample_rate = sample_rate
        self.frames = 0
        self.peak = 0.0
        self.full_scale = 0

    def add(self, block: Samples) -> None:
        """Take a block.

        Raises:
            AudioError: a sample is not a finite number.
        """
        magnitude = np.abs(block)
        peak = float(magnitude.max(initial=0.0))
        if not np.isfinite(peak):
            frame = self.frames + int(np.argmin(np.isfinite(block).all(axis=1)))
            raise AudioError(
                "not_finite",
                f"the sample at {frame / self._sample_rate:.3f} s is not a finite number",
            )
        self.peak = max(self.peak, peak)
        self.full_scale += int(np.count_nonzero(magnitude >= FULL_SCALE))
        self.frames += len(block)
