"""What was measured of a recording, and the rules by which that becomes findings."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

from codecsleuth.audio.meters import Activity, Edge
from codecsleuth.audio.windows import SAMPLE_RATE, SILENCE_PEAK
from codecsleuth.findings import Finding, finding

#: Share of samples at full scale from which a file counts as clipped.
CLIPPED_SHARE: Final = 1e-3
#: Beyond any decoder's overshoot: the samples are not scaled to -1..1.
OVERDRIVEN_PEAK: Final = 8.0
#: Below this an answer is given with a warning.
SHORT_S: Final = 1.5
#: Less speech than this is no basis for any verdict.
MIN_SPEECH_S: Final = 0.3
#: A recording of at least 10 s with a smaller share of speech is mostly silence.
SPEECH_SHARE: Final = 0.2
LONG_S: Final = 10.0
#: An edge below this cuts into the band that is analysed.
BAND_HZ: Final = 7_400.0
#: An edge below this part of half the sample rate means that the rate was raised.
UPSAMPLED: Final = 0.8
LOW_LEVEL_DB: Final = -45.0
#: Speech no further than this above the quietest tenth is noisy.
NOISY_RANGE_DB: Final = 16.0
#: Noise is measured in recordings of at least this length.
NOISE_S: Final = 2.0
#: Share of the power that the channels do not have in common.
CHANNEL_DIFFERENCE: Final = 0.1
#: Codings that lose something, as decoders name them; all others are taken for lossless.
LOSSY: Final = (
    *("MPEG_LAYER", "VORBIS", "OPUS", "GSM610", "ADPCM", "ULAW", "ALAW", "G72", "NMS", "DPCM"),
    *("VOX", "aac", "mp3", "mp2", "opus", "vorbis", "amr", "wma", "ac3", "eac3", "speex", "gsm"),
    *("adpcm", "pcm_mulaw", "pcm_alaw", "g72", "atrac", "cook", "dts", "sbc", "aptx", "ilbc"),
)
#: What an edge of the band at a frequency (from, to, in hertz) points to.
EDGES: Final = (
    (3_000.0, 3_700.0, "a narrow-band telephone"),
    (6_300.0, 7_300.0, "a wide-band telephone"),
    (10_300.0, 11_300.0, "MP3 or AAC at a low bitrate, or an original at 22.05 kHz"),
    (15_300.0, 17_300.0, "MP3 or AAC at a middle bitrate"),
)


@dataclass(frozen=True)
class Measurements:
    """Facts of the whole of a recording.

    Attributes:
        sample_rate: as stored, in hertz.
        channels: as stored.
        mixed: whether all channels were mixed down.
        coding: of the stored audio.
        frames: decoded.
        peak: largest magnitude of any sample.
        full_scale: samples at full scale.
        channel_difference: share of the power that the channels do not have in common.
        speech_s: seconds of speech.
        activity: levels of the speech and around it.
        edge: where the spectrum ends; None if it goes on to the top.
        windows: analysis windows in all.
        silent_windows: of them, those without sound.
    """

    sample_rate: int
    channels: int
    mixed: bool
    coding: str
    frames: int
    peak: float
    full_scale: int
    channel_difference: float
    speech_s: float
    activity: Activity
    edge: Edge | None
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

    @property
    def lossy(self) -> bool:
        """Whether the audio is stored in a coding that loses something."""
        return self.coding.startswith(LOSSY)


Rule = Callable[[Measurements], Finding | None]


def _no_speech(facts: Measurements) -> Finding | None:
    seconds = facts.speech_s
    return finding("no_speech", seconds=seconds) if seconds < MIN_SPEECH_S else None


def _several_channels(facts: Measurements) -> Finding | None:
    return finding("several_channels", channels=facts.channels) if facts.mixed else None


def _channels_differ(facts: Measurements) -> Finding | None:
    share = facts.channel_difference
    return finding("channels_differ", share=share) if share >= CHANNEL_DIFFERENCE else None


def _low_sample_rate(facts: Measurements) -> Finding | None:
    rate = facts.sample_rate
    return finding("low_sample_rate", rate=rate, khz=rate / 2000) if rate < SAMPLE_RATE else None


def _very_short(facts: Measurements) -> Finding | None:
    seconds = facts.duration_s
    return finding("very_short", seconds=seconds) if seconds < SHORT_S else None


def _mostly_silence(facts: Measurements) -> Finding | None:
    share = facts.speech_s / max(facts.duration_s, 1e-9)
    few = facts.speech_s >= MIN_SPEECH_S and share < SPEECH_SHARE and facts.duration_s >= LONG_S
    return finding("mostly_silence", seconds=facts.speech_s, share=share) if few else None


def _levels(facts: Measurements) -> Finding | None:
    if facts.peak > OVERDRIVEN_PEAK:
        return finding("overdriven", peak=facts.peak)
    share = facts.clipped_share
    return finding("clipped", share=share) if share >= CLIPPED_SHARE else None


def _low_level(facts: Measurements) -> Finding | None:
    level = facts.activity.speech_level
    return finding("low_level", level=level) if level < LOW_LEVEL_DB else None


def _noisy(facts: Measurements) -> Finding | None:
    spread = facts.activity.range
    # A short recording may have no pause to hear the noise in.
    measured = facts.duration_s >= NOISE_S and facts.speech_s >= MIN_SPEECH_S
    return finding("noisy", range=spread) if measured and spread < NOISY_RANGE_DB else None


def _band_limited(facts: Measurements) -> Finding | None:
    edge = facts.edge
    if edge is None or edge.frequency >= min(BAND_HZ, 0.9 * facts.sample_rate / 2):
        return None
    return finding("band_limited", khz=edge.frequency / 1000)


def _upsampled(facts: Measurements) -> Finding | None:
    edge, top = facts.edge, facts.sample_rate / 2
    if edge is None or edge.frequency >= UPSAMPLED * top:
        return None
    return finding("upsampled", rate=facts.sample_rate, khz=edge.frequency / 1000)


def _lossy_container(facts: Measurements) -> Finding | None:
    return finding("lossy_container", coding=facts.coding) if facts.lossy else None


def _earlier_coding(facts: Measurements) -> Finding | None:
    if facts.edge is None or facts.lossy:
        return None
    frequency = facts.edge.frequency
    kind = next((words for low, high, words in EDGES if low <= frequency <= high), None)
    return finding("earlier_coding", khz=frequency / 1000, what=kind) if kind else None


def _silent_windows(facts: Measurements) -> Finding | None:
    silent, total = facts.silent_windows, facts.windows
    return finding("silent_windows", silent=silent, total=total) if silent else None


#: In the order in which answers list what they find.
RULES: Final[tuple[Rule, ...]] = (
    _no_speech,
    _very_short,
    _mostly_silence,
    _noisy,
    _low_level,
    _levels,
    _band_limited,
    _low_sample_rate,
    _upsampled,
    _earlier_coding,
    _lossy_container,
    _several_channels,
    _channels_differ,
    _silent_windows,
)


def findings_of(facts: Measurements) -> Iterator[Finding]:
    """What the rules find in a recording's measurements."""
    for rule in RULES:
        if (found := rule(facts)) is not None:
            yield found
