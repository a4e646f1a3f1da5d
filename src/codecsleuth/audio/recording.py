"""Reading a recording: windows go out as they come, and the facts of the whole are returned."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import ArrayLike, NDArray

from codecsleuth.arrays import Samples
from codecsleuth.audio.decode import MAX_CHANNELS, Decoder, Stream, check_rate, open_stream
from codecsleuth.audio.facts import WHOLE, Evidence, Excerpt, Facts
from codecsleuth.audio.measurements import Measurements, findings_of
from codecsleuth.audio.meters import (
    ActivityMeter,
    ChannelMeter,
    LevelMeter,
    SpectrumMeter,
    band_edge,
)
from codecsleuth.audio.source import Source, open_source
from codecsleuth.audio.speech import SpeechMeter, seconds_of
from codecsleuth.audio.windows import SAMPLE_RATE, Window, cut_windows, resample
from codecsleuth.errors import AudioError

Take = Callable[[Window], None]


class _Meters:
    """All meters of one reading."""

    def __init__(self, sample_rate: int) -> None:
        self.levels = LevelMeter(sample_rate)
        self.channels = ChannelMeter()
        self.spectrum = SpectrumMeter(sample_rate)
        self.activity = ActivityMeter(SAMPLE_RATE)
        self.speech = SpeechMeter()

    def add_stored(self, block: Samples, mono: Samples) -> None:
        """Take a block at the stored rate, and its mono."""
        self.channels.add(block)
        self.spectrum.add(mono)

    def add_16k(self, block: Samples) -> None:
        """Take a block of 16 kHz mono."""
        self.activity.add(block)
        self.speech.add(block)


@dataclass(frozen=True)
class Recording:
    """An opened recording, to be read once.

    Attributes:
        stream: the audio.
        sha256: of the bytes.
        bytes: how many.
        excerpt: which part of it is read.
    """

    stream: Stream
    sha256: str
    bytes: int
    excerpt: Excerpt = WHOLE

    def read(self, take: Take) -> Facts:
        """Read to the end; windows with sound in them go to ``take``, in order.

        Raises:
            AudioError: it is cut short, too short, silent or not finite.
        """
        meters = _Meters(self.stream.sample_rate)
        total = silent = 0
        for window in cut_windows(self._samples(meters), self.excerpt.start_s):
            total += 1
            if window.silent:
                silent += 1
            else:
                take(window)
        speech = meters.speech.passages()
        facts = self._measurements(meters, speech, total, silent)
        if silent == total:
            cancel = ": the channels cancel each other when mixed down" * facts.cancelled
            raise AudioError("silent", f"silent throughout{cancel}")
        findings = (*self.stream.findings, *findings_of(facts))
        return Facts(self._evidence(facts), facts, speech, findings)

    def samples(self) -> Iterator[Samples]:
        """All of it as blocks of 16 kHz mono.

        Raises:
            AudioError: it is cut short or not finite.
        """
        yield from resample(
            self._mono(LevelMeter(self.stream.sample_rate)), self.stream.sample_rate
        )

    def _samples(self, meters: _Meters) -> Iterator[Samples]:
        for block in resample(self._mono(meters.levels, meters), self.stream.sample_rate):
            meters.add_16k(block)
            yield block

    def _mono(self, levels: LevelMeter, meters: _Meters | None = None) -> Iterator[Samples]:
        """Blocks of mono at the stored rate; checks at the end that all of it came.

        Raises:
            AudioError: it is cut short, holds nothing, or is not finite.
        """
        for block in self._part():
            levels.add(block)
            mono = self._mixed(block)
            if meters is not None:
                meters.add_stored(block, mono)
            yield mono
        rate, declared = self.stream.sample_rate, self._declared_frames()
        if levels.frames == 0:
            raise AudioError("empty", "holds no audio samples")
        if declared is not None and levels.frames < declared:
            raise AudioError(
                "truncated",
                f"cut short: the header promises {declared / rate:.2f} s, "
                f"the file ends after {levels.frames / rate:.2f} s",
            )

    def _part(self) -> Iterator[Samples]:
        """The blocks between start and end of the excerpt.

        Raises:
            AudioError: the recording ends before the excerpt begins.
        """
        rate, excerpt = self.stream.sample_rate, self.excerpt
        start = round(excerpt.start_s * rate)
        end = None if excerpt.end_s is None else round(excerpt.end_s * rate)
        place = 0
        for block in self.stream.blocks:
            stop = len(block) if end is None else max(0, min(len(block), end - place))
            piece = block[max(0, start - place) : stop]
            place += len(block)
            if len(piece):
                yield piece
            if end is not None and place >= end:
                return
        if 0 < place <= start:
            raise AudioError(
                "excerpt", f"ends at {place / rate:.2f} s, before the start at {excerpt.start_s} s"
            )

    def _declared_frames(self) -> int | None:
        """Frames that are to come; None if nothing is promised, or a part alone is read."""
        whole = self.excerpt.start_s == 0.0 and self.excerpt.end_s is None
        return self.stream.declared_frames if whole else None

    def _mixed(self, block: Samples) -> Samples:
        """One channel, or the mean of all, ``(frames, channels)`` to ``(frames,)``.

        Raises:
            AudioError: there is no such channel.
        """
        channel = self.excerpt.channel
        if channel is None:
            return mix_down(block)
        if not 1 <= channel <= block.shape[1]:
            raise AudioError("channel", f"no channel {channel}; there are {block.shape[1]}")
        return block[:, channel - 1]

    def _measurements(
        self, meters: _Meters, speech: tuple[tuple[float, float], ...], windows: int, silent: int
    ) -> Measurements:
        stream, levels = self.stream, meters.levels
        return Measurements(
            sample_rate=stream.sample_rate,
            channels=stream.channels,
            mixed=stream.channels > 1 and self.excerpt.channel is None,
            coding=stream.coding,
            frames=levels.frames,
            peak=levels.peak,
            full_scale=levels.full_scale,
            channel_difference=meters.channels.difference,
            speech_s=seconds_of(speech),
            activity=meters.activity.levels(speech),
            edge=band_edge(meters.spectrum.bands()),
            windows=windows,
            silent_windows=silent,
        )

    def _evidence(self, facts: Measurements) -> Evidence:
        stream = self.stream
        return Evidence(
            sha256=self.sha256,
            bytes=self.bytes,
            container=stream.container,
            coding=stream.coding,
            sample_rate=stream.sample_rate,
            channels=stream.channels,
            duration_s=round(facts.duration_s, 6),
            speech_s=round(facts.speech_s, 3),
            decoder=stream.decoder,
        )


def mix_down(block: Samples) -> Samples:
    """The mean of the channels, ``(frames, channels)`` to ``(frames,)``."""
    if block.shape[1] == 1:
        return block[:, 0]
    return cast(Samples, block.mean(axis=1, dtype=np.float64).astype(np.float32))


@contextmanager
def open_recording(
    of: str | Path | Source, excerpt: Excerpt = WHOLE, decoder: Decoder = open_stream
) -> Iterator[Recording]:
    """Open an audio or video file, or standard input for ``-``.

    Args:
        of: a path, or bytes that `codecsleuth.audio.source.open_source` gave.
        excerpt: which part of it to read.
        decoder: opens the audio in its bytes.

    Raises:
        AudioError: it cannot be read, or its header is wrong; the error holds what is known of it.
    """
    with ExitStack() as stack:
        source = of if isinstance(of, Source) else stack.enter_context(open_source(of))
        try:
            with decoder(source, excerpt.track) as stream:
                yield Recording(stream, source.sha256, source.bytes, excerpt)
            source.check_unchanged()
        except AudioError as error:
            known = {"sha256": source.sha256, "bytes": source.bytes}
            raise AudioError(error.kind, str(error), error.evidence or known) from error


def array_recording(samples: ArrayLike, sample_rate: float | None) -> Recording:
    """Take samples in memory: floats scaled to -1..1, or 8 to 32-bit integers at their full scale.

    Args:
        samples: ``(frames,)`` or ``(frames, channels)``: an array, a list, or a tensor.
        sample_rate: in hertz.

    Raises:
        AudioError: the shape, type or rate is not one of audio.
    """
    if hasattr(samples, "read"):
        raise AudioError("array", "a file object: give its path, or its samples as an array")
    rate = _whole_rate(sample_rate)
    block = _as_block(samples)
    stream = Stream(iter([block]), rate, block.shape[1], "array", "float32", "none")
    return Recording(stream, hashlib.sha256(block.tobytes()).hexdigest(), block.nbytes)


def _whole_rate(sample_rate: Any) -> int:
    if sample_rate is None:
        raise AudioError("sample_rate", "samples need their sample rate; give sample_rate")
    try:
        rate = int(sample_rate)
    except (TypeError, ValueError, OverflowError):
        rate = 0
    if rate == 0 or rate != sample_rate:
        raise AudioError("sample_rate", f"sample rate {sample_rate!r}: give whole hertz")
    check_rate(rate)
    return rate


def _as_block(samples: Any) -> Samples:
    """Samples as ``(frames, channels)`` float32."""
    values = _as_array(samples)
    if values.ndim not in (1, 2):
        raise AudioError("array", "samples must be (frames,) or (frames, channels)")
    if values.ndim == 2 and values.shape[1] == 0:
        raise AudioError("empty", "holds no channels")
    if values.ndim == 2 and values.shape[1] > MAX_CHANNELS:
        raise AudioError(
            "array",
            f"{values.shape[1]} channels: samples must be (frames, channels); transpose them",
        )
    if values.dtype in (np.int8, np.int16, np.int32):
        values = values.astype(np.float64) / -float(np.iinfo(values.dtype).min)
    elif not np.issubdtype(values.dtype, np.floating):
        raise AudioError(
            "array",
            f"samples of type {values.dtype}: give floats scaled to -1..1, int16 or int32",
        )
    columns = values[:, None] if values.ndim == 1 else values
    return np.ascontiguousarray(columns, dtype=np.float32)


def _as_array(samples: Any) -> NDArray[Any]:
    # Tensors that are trained with, or that live on a GPU, are no arrays to numpy.
    if hasattr(samples, "detach"):
        samples = samples.detach().cpu()
    try:
        return np.asarray(samples)
    except (TypeError, ValueError, RuntimeError, OverflowError) as error:
        reason = " ".join(str(error).split())[:100]
        raise AudioError(
            "array",
            f"not samples ({reason}): give a path, or an array (frames,) or (frames, channels)",
        ) from error
