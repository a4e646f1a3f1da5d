"""Decoders: libsndfile for what it reads, FFmpeg (through PyAV) for the rest."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, BinaryIO, Final

import numpy as np

from codecsleuth.arrays import Samples
from codecsleuth.audio.containers import check_complete, mp3_surplus, unsupported_container
from codecsleuth.audio.source import Source
from codecsleuth.errors import AudioError
from codecsleuth.findings import Finding, finding

if TYPE_CHECKING:
    import av
    import soundfile

MIN_RATE: Final = 4_000
MAX_RATE: Final = 192_000
MAX_CHANNELS: Final = 64
_BLOCK_VALUES: Final = 1 << 17
#: Seconds by which a container may promise more than its stream holds: padding, rounding.
_SLACK_S: Final = 0.5
_SLACK_SHARE: Final = 0.05
#: Containers that FFmpeg is asked about. It guesses at nearly anything otherwise, text among it.
_FFMPEG_FORMATS: Final = frozenset(
    {
        *("mov", "mp4", "m4a", "3gp", "3g2", "mj2", "matroska", "webm", "asf", "avi", "ogg"),
        *("amr", "amrnb", "amrwb", "aac", "ac3", "eac3", "flv", "mpegts", "mpeg", "mp3", "wav"),
        *("aiff", "caf", "w64", "flac", "wv", "ape", "tta", "dts", "latm", "loas", "gsm", "sbc"),
        *("rm", "voc", "au", "oma"),
    }
)


#: Of them, those whose header states the length.
_STATE_LENGTH: Final = frozenset({"mov", "asf", "avi", "wav", "caf", "w64", "aiff", "flac", "wv"})


@dataclass(frozen=True)
class Stream:
    """An opened recording, on its way out of the decoder.

    Attributes:
        blocks: ``(frames, channels)`` float32, in order; read once.
        sample_rate: as stored, in hertz.
        channels: as stored.
        container: of the file, such as ``WAV`` or ``mov,mp4``; ``array`` for samples in memory.
        coding: of the audio in it, such as ``PCM_16`` or ``aac``.
        decoder: name and version of what decodes.
        declared_frames: frames that the header promises; None where it promises none.
        findings: what the container gave cause to.
    """

    blocks: Iterator[Samples]
    sample_rate: int
    channels: int
    container: str
    coding: str
    decoder: str
    declared_frames: int | None = None
    findings: tuple[Finding, ...] = ()


#: Opens the audio in bytes: `open_stream`, or what does the same in another process.
Decoder = Callable[[Source, int], AbstractContextManager[Stream]]


@contextmanager
def open_stream(source: Source, track: int = 1) -> Iterator[Stream]:
    """Open the audio in a file.

    Args:
        source: its bytes.
        track: which audio track, from 1; only containers that FFmpeg reads have several.

    Raises:
        AudioError: it holds no audio that can be decoded, or its header is wrong.
    """
    findings = check_complete(source.descriptor, source.bytes)
    with ExitStack() as stack:
        try:
            stream = stack.enter_context(_libsndfile(source))
            if track != 1:
                raise AudioError("track", f"no audio track {track}; there is 1")
        except AudioError as error:
            if error.kind not in ("not_audio", "unsupported", "damaged"):
                raise
            stream = stack.enter_context(_ffmpeg(source, track, error))
        check_rate(stream.sample_rate)
        yield replace(stream, findings=(*findings, *stream.findings))


@contextmanager
def _libsndfile(source: Source) -> Iterator[Stream]:
    import soundfile

    descriptor = source.descriptor
    bytes_missing = mp3_surplus(descriptor, source.bytes) < 0
    os.lseek(descriptor, 0, os.SEEK_SET)
    with _soundfile(descriptor) as file:
        declared = _declared_frames(file, bytes_missing)
        yield Stream(
            blocks=_read_soundfile(file, declared),
            sample_rate=file.samplerate,
            channels=file.channels,
            container=file.format,
            coding=file.subtype,
            decoder=f"libsndfile {soundfile.__libsndfile_version__.removeprefix('libsndfile-')}",
            declared_frames=declared,
        )


@contextmanager
def _soundfile(descriptor: int) -> Iterator[soundfile.SoundFile]:
    import soundfile

    # The name is kept from libsndfile, which would take some extensions for headerless formats.
    # On Windows its C runtime does not know our descriptors.
    source = descriptor if os.name == "posix" else os.fdopen(os.dup(descriptor), "rb")
    try:
        file = soundfile.SoundFile(source, closefd=False)
        # After every read, soundfile seeks to where it already is, which makes the MP3 decoder
        # start anew with other samples.
        file.seekable = lambda: False
    except soundfile.LibsndfileError as error:
        raise _header_error(descriptor, error) from error
    with file:
        yield file


def _header_error(descriptor: int, error: soundfile.LibsndfileError) -> AudioError:
    unrecognised, too_many_channels, no_channels, no_rate = 1, 33, 32, 24
    if error.code == unrecognised:
        container = unsupported_container(descriptor)
        if container:
            return AudioError("unsupported", f"{container} that cannot be read")
        return AudioError("not_audio", "not an audio file that can be read")
    if error.code in (no_channels, too_many_channels):
        return AudioError("channels", "the header states an impossible number of channels")
    if error.code == no_rate:
        return AudioError("damaged", "the header is incomplete or wrong")
    return AudioError("damaged", f"the header is damaged: {_clean(error.error_string)}")


def _clean(message: str) -> str:
    # libsndfile says this of a stream in which the MP3 decoder finds no frame.
    if "possibly a pipe" in message:
        return "no audio found"
    return message.removeprefix("Error : ").strip().rstrip(".")


def check_rate(rate: int) -> None:
    """Refuse a sample rate that cannot be analysed.

    Raises:
        AudioError: it is too low or too high.
    """
    if not MIN_RATE <= rate <= MAX_RATE:
        raise AudioError(
            "sample_rate", f"sample rate {rate} Hz; {MIN_RATE} to {MAX_RATE} Hz can be analysed"
        )


def _declared_frames(file: soundfile.SoundFile, bytes_missing: bool) -> int | None:
    # The length of MP3 may be the decoder's guess, and a header's may be wrong: only where bytes
    # are missing too is it believed. A streamed FLAC states none, which libsndfile turns into a
    # number beyond any file.
    if file.subtype.startswith("MPEG") and not bytes_missing:
        return None
    return int(file.frames) if file.frames < 1 << 48 else None


def _read_soundfile(file: soundfile.SoundFile, declared: int | None) -> Iterator[Samples]:
    import soundfile

    left = declared if declared is not None else sys.maxsize
    while left > 0:
        # Not one frame more than there are: a FLAC with a tag behind it is fine up to there.
        frames = min(left, max(1, _BLOCK_VALUES // file.channels))
        try:
            block = file.read(frames, dtype="float32", always_2d=True)
        except soundfile.LibsndfileError as error:
            reason = _clean(error.error_string)
            raise AudioError("truncated", f"damaged or cut short: {reason}") from error
        if not len(block):
            return
        left -= len(block)
        yield block


@contextmanager
def _ffmpeg(source: Source, track: int, otherwise: AudioError) -> Iterator[Stream]:
    """Decode by FFmpeg; ``otherwise`` is the error where it finds no container that it knows."""
    import av

    os.lseek(source.descriptor, 0, os.SEEK_SET)
    with os.fdopen(os.dup(source.descriptor), "rb") as file, _opened(file, otherwise) as container:
        tracks = container.streams.audio
        chosen = _chosen(tracks, track)
        context = chosen.codec_context
        # A header that libsndfile finds damaged may only be of a coding that it does not know.
        if otherwise.kind == "damaged" and context.name.startswith("pcm_"):
            raise otherwise
        yield Stream(
            blocks=_read_ffmpeg(container, chosen),
            sample_rate=context.sample_rate,
            channels=context.channels,
            container=container.format.name,
            coding=context.name,
            decoder=f"FFmpeg {av.ffmpeg_version_info} (PyAV {av.__version__})",
            declared_frames=_stated_frames(container, chosen),
            findings=_tracks_finding(len(tracks), track),
        )


def _chosen(tracks: Sequence[Any], number: int) -> Any:
    """The track of that number, if it can be decoded."""
    if not tracks:
        raise AudioError("no_audio_track", "holds no audio track")
    if not 1 <= number <= len(tracks):
        raise AudioError("track", f"no audio track {number}; there are {len(tracks)}")
    context = tracks[number - 1].codec_context
    if context is None:
        raise AudioError("unsupported", "the audio is in a coding that cannot be read")
    if not 1 <= context.channels <= MAX_CHANNELS:
        raise AudioError("channels", f"{context.channels} channels cannot be analysed")
    return tracks[number - 1]


@contextmanager
def _opened(file: BinaryIO, otherwise: AudioError) -> Iterator[av.container.InputContainer]:
    import av

    try:
        container = av.open(file, "r", metadata_errors="replace")
    except (av.FFmpegError, ValueError) as error:  # the latter, of names that are no text
        if otherwise.kind == "unsupported":
            raise AudioError("damaged", f"damaged or cut short: {_reason(error)}") from error
        raise otherwise from error
    with container:
        if not _FFMPEG_FORMATS & set(container.format.name.split(",")):
            raise otherwise
        yield container


def _tracks_finding(tracks: int, track: int) -> tuple[Finding, ...]:
    return (finding("several_tracks", tracks=tracks, track=track),) if tracks > 1 else ()


def _stated_frames(container: Any, track: Any) -> int | None:
    """Frames by the container's duration, less what padding and rounding explain.

    None where FFmpeg estimates the duration from the bit rate of the beginning.
    """
    stated = _STATE_LENGTH & set(container.format.name.split(","))
    if not stated or track.duration is None or track.time_base is None:
        return None
    seconds = float(track.duration * track.time_base)
    return int((seconds * (1 - _SLACK_SHARE) - _SLACK_S) * track.codec_context.sample_rate)


def _read_ffmpeg(container: av.container.InputContainer, track: Any) -> Iterator[Samples]:
    import av

    context = track.codec_context
    rate, channels = context.sample_rate, context.channels
    resampler = av.AudioResampler(format="flt")
    try:
        for frame in container.decode(track):
            if (frame.sample_rate, frame.layout.nb_channels) != (rate, channels):
                raise AudioError("changed_format", "the sample rate or channels change on the way")
            for converted in resampler.resample(frame):
                yield np.asarray(converted.to_ndarray(), np.float32).reshape(-1, channels)
    except av.FFmpegError as error:
        raise AudioError("truncated", f"damaged or cut short: {_reason(error)}") from error


def _reason(error: Exception) -> str:
    return str(getattr(error, "strerror", None) or type(error).__name__).rstrip(".")
