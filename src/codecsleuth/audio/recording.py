"""From bytes to evidence: facts about a file, and its sound as 16 kHz mono windows.

Files are read in blocks and never held as a whole, so memory does not grow with length. Samples
stored at 16 kHz reach the network bit-equal; others are resampled by soxr HQ.
"""

from __future__ import annotations

import hashlib
import os
import stat
import sys
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, cast

import numpy as np
from numpy.typing import NDArray

from codecsleuth.audio.containers import check_complete, mp3_surplus, unsupported_container
from codecsleuth.errors import AudioError

if TYPE_CHECKING:
    import soundfile

Samples = NDArray[np.float32]

SAMPLE_RATE: Final = 16_000
#: Window of the paper and of the AASIST code: 4.0375 s.
WINDOW_SAMPLES: Final = 64_600
HOP_SAMPLES: Final = WINDOW_SAMPLES // 2
WINDOW_S: Final = WINDOW_SAMPLES / SAMPLE_RATE
HOP_S: Final = HOP_SAMPLES / SAMPLE_RATE

MIN_DURATION_S: Final = 0.3
#: Below this an answer is given with a warning.
SHORT_S: Final = 1.0
MIN_SAMPLES: Final = int(MIN_DURATION_S * SAMPLE_RATE)
MIN_RATE: Final = 4_000
MAX_RATE: Final = 192_000

#: A window that nowhere leaves its own mean by more than this (-80 dB) is silent.
SILENCE_PEAK: Final = 1e-4
FULL_SCALE: Final = 0.999
#: Share of samples at full scale from which a file counts as clipped.
CLIPPED_SHARE: Final = 1e-3
#: Beyond any decoder's overshoot: the samples are not scaled to -1..1.
OVERDRIVEN_PEAK: Final = 8.0

_BLOCK_VALUES: Final = 1 << 17
_HASH_BYTES: Final = 1 << 20

# libsoxr can share its transform tables between threads without locking them.
_SOXR_LOCK: Final = threading.Lock()


@dataclass(frozen=True)
class Evidence:
    """What was examined.

    Attributes:
        sha256: of the file's bytes, or of an array's float32 samples.
        bytes: size of the same.
        format: container and coding, such as ``WAV PCM_16``.
        sample_rate: as stored, in hertz.
        channels: as stored.
        duration_s: seconds decoded.
    """

    sha256: str
    bytes: int
    format: str
    sample_rate: int
    channels: int
    duration_s: float


@dataclass(frozen=True)
class Window:
    """A stretch of audio as the network gets it.

    Attributes:
        start_s: where it begins in the file.
        end_s: where the file's own sound in it ends (a short file is repeated to fill the window).
        samples: ``(WINDOW_SAMPLES,)`` at 16 kHz.
    """

    start_s: float
    end_s: float
    samples: Samples

    @property
    def silent(self) -> bool:
        """Whether there is nothing to hear, a constant offset aside."""
        return bool(np.abs(self.samples - self.samples.mean()).max() < SILENCE_PEAK)


@dataclass
class Recording:
    """One file or array on its way through; `windows` once, then the facts about all of it."""

    source: Iterable[Samples]
    sample_rate: int
    channels: int
    format: str
    sha256: str
    bytes: int
    declared_frames: int | None = None
    notes: list[str] = field(default_factory=list)
    frames: int = 0
    peak: float = 0.0
    full_scale: int = 0
    silent_windows: int = 0
    all_windows: int = 0

    def windows(self) -> Iterator[Window]:
        """Read the audio as windows that have sound in them, in order.

        Raises:
            AudioError: it is cut short, too short, silent or not finite.
        """
        for window in cut_windows(self.samples()):
            self.all_windows += 1
            if window.silent:
                self.silent_windows += 1
            else:
                yield window
        if self.silent_windows == self.all_windows:
            raise AudioError("silent", f"silent throughout{self._cancelled_out()}")

    def samples(self) -> Iterator[Samples]:
        """Read the audio as blocks of 16 kHz mono.

        Raises:
            AudioError: it is cut short or not finite.
        """
        yield from resample((self._downmix(block) for block in self.source), self.sample_rate)
        if self.frames == 0:
            raise AudioError("empty", "holds no audio samples")
        if self.declared_frames is not None and self.frames < self.declared_frames:
            raise AudioError(
                "truncated",
                f"cut short: the header promises {self.declared_frames / self.sample_rate:.2f} s, "
                f"the file ends after {self.frames / self.sample_rate:.2f} s",
            )

    def _downmix(self, block: Samples) -> Samples:
        """Note the facts of a ``(frames, channels)`` block and mix it to ``(frames,)``."""
        magnitude = np.abs(block)
        peak = float(magnitude.max(initial=0.0))
        if not np.isfinite(peak):
            frame = self.frames + int(np.argmin(np.isfinite(block).all(axis=1)))
            raise AudioError(
                "not_finite",
                f"the sample at {frame / self.sample_rate:.3f} s is not a finite number",
            )
        self.peak = max(self.peak, peak)
        self.full_scale += int(np.count_nonzero(magnitude >= FULL_SCALE))
        self.frames += len(block)
        if self.channels == 1:
            return block[:, 0]
        return cast(Samples, block.mean(axis=1, dtype=np.float64).astype(np.float32))

    @property
    def evidence(self) -> Evidence:
        """The facts, complete once `windows` is read to its end."""
        duration = round(self.frames / self.sample_rate, 6)
        return Evidence(
            self.sha256, self.bytes, self.format, self.sample_rate, self.channels, duration
        )

    @property
    def warnings(self) -> list[str]:
        """What limits the answer, complete once `windows` is read to its end."""
        found = list(self.notes)
        if self.channels > 1:
            found.append(f"{self.channels} channels were mixed down to one")
        if self.sample_rate < SAMPLE_RATE:
            found.append(
                f"stored at {self.sample_rate} Hz: nothing above {self.sample_rate / 2000:g} kHz, "
                "where much of a codec's trace lies"
            )
        if self.frames < SHORT_S * self.sample_rate:
            found.append("very short: there is little to measure")
        found += self._level_warnings()
        if self.silent_windows:
            found.append(
                f"{self.silent_windows} of {self.all_windows} windows are silent and left out"
            )
        return found

    def _level_warnings(self) -> list[str]:
        if self.peak > OVERDRIVEN_PEAK:
            return [f"samples reach {self.peak:.3g} where 1 is full scale: wrongly scaled?"]
        share = self.full_scale / max(1, self.frames * self.channels)
        return [f"clipped: {share:.1%} of the samples at full scale"] * (share >= CLIPPED_SHARE)

    def _cancelled_out(self) -> str:
        if self.peak >= 2 * SILENCE_PEAK and self.channels > 1:
            return ": the channels cancel each other when mixed down"
        return ""


def resample(blocks: Iterable[Samples], rate: int) -> Iterator[Samples]:
    """Bring mono blocks from ``rate`` to 16 kHz; 16 kHz passes untouched."""
    if rate == SAMPLE_RATE:
        yield from blocks
        return
    import soxr

    with _SOXR_LOCK:
        stream = soxr.ResampleStream(rate, SAMPLE_RATE, 1, dtype="float32", quality="HQ")
    for block in blocks:
        with _SOXR_LOCK:
            resampled = stream.resample_chunk(block)
        yield resampled
    with _SOXR_LOCK:
        rest = stream.resample_chunk(np.zeros(0, np.float32), last=True)
    yield rest


def cut_windows(blocks: Iterable[Samples]) -> Iterator[Window]:
    """Cut 16 kHz blocks into windows half a window apart; the last ends where the audio ends.

    Raises:
        AudioError: all of it is shorter than `MIN_DURATION_S`.
    """
    held = np.zeros(0, np.float32)
    last = held
    start = 0
    for block in blocks:
        held = np.concatenate([held, block])
        while len(held) >= WINDOW_SAMPLES:
            last = held[:WINDOW_SAMPLES]
            yield _window(start, last)
            held = held[HOP_SAMPLES:]
            start += HOP_SAMPLES
    if not len(last):
        yield _repeated(held)
    elif len(held) > WINDOW_SAMPLES - HOP_SAMPLES:
        unread = held[WINDOW_SAMPLES - HOP_SAMPLES :]
        end = start + len(held)
        yield _window(end - WINDOW_SAMPLES, np.concatenate([last, unread])[-WINDOW_SAMPLES:])


def _window(start: int, samples: Samples) -> Window:
    return Window(start / SAMPLE_RATE, (start + WINDOW_SAMPLES) / SAMPLE_RATE, samples)


def _repeated(samples: Samples) -> Window:
    if len(samples) < MIN_SAMPLES:
        duration = len(samples) / SAMPLE_RATE
        raise AudioError(
            "too_short", f"{duration:.2f} s of audio; at least {MIN_DURATION_S} s are needed"
        )
    filled = np.resize(samples, WINDOW_SAMPLES)
    return Window(0.0, len(samples) / SAMPLE_RATE, filled)


@contextmanager
def open_recording(path: str | Path) -> Iterator[Recording]:
    """Open an audio file.

    Raises:
        AudioError: it cannot be read, or its header is wrong.
    """
    descriptor = _open_regular(path)
    try:
        if os.fstat(descriptor).st_size == 0:
            raise AudioError("empty", "the file is empty")
        digest, size = _hash(descriptor)
        notes = check_complete(descriptor, size)
        bytes_missing = mp3_surplus(descriptor, size) < 0
        os.lseek(descriptor, 0, os.SEEK_SET)
        with _decoder(descriptor) as file:
            _check_rate(file.samplerate)
            declared = _declared_frames(file, bytes_missing)
            yield Recording(
                source=_decode(file, declared),
                sample_rate=file.samplerate,
                channels=file.channels,
                format=f"{file.format} {file.subtype}",
                sha256=digest,
                bytes=size,
                declared_frames=declared,
                notes=notes,
            )
    except OSError as error:
        raise AudioError("io", f"cannot be read: {error.strerror or error}") from error
    finally:
        os.close(descriptor)


def array_recording(samples: NDArray[Any], sample_rate: int | None) -> Recording:
    """Take samples in memory, ``(frames,)`` or ``(frames, channels)``, scaled to -1..1.

    Raises:
        AudioError: the shape, type or rate is not one of audio.
    """
    if sample_rate is None:
        raise AudioError("sample_rate", "samples need their sample rate")
    _check_rate(sample_rate)
    if samples.ndim not in (1, 2) or not np.issubdtype(samples.dtype, np.floating):
        raise AudioError("array", "samples must be floating-point, (frames,) or (frames, channels)")
    block = np.ascontiguousarray(samples.reshape(len(samples), -1), dtype=np.float32)
    if block.shape[1] == 0:
        raise AudioError("empty", "holds no channels")
    return Recording(
        source=[block],
        sample_rate=sample_rate,
        channels=block.shape[1],
        format="array",
        sha256=hashlib.sha256(block.tobytes()).hexdigest(),
        bytes=block.nbytes,
    )


def _open_regular(path: str | Path) -> int:
    """Open without waiting: a pipe or a device must not hang the whole run."""
    try:
        if not stat.S_ISREG(os.stat(path).st_mode):  # noqa: PTH116 - Path takes "" for "."
            raise _not_a_file(Path(path))
        flags = getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
        descriptor = os.open(path, os.O_RDONLY | flags)
    except FileNotFoundError as error:
        if Path(path).is_symlink():
            raise AudioError("broken_link", "a symbolic link to nothing") from error
        raise AudioError("missing", "no such file") from error
    except PermissionError as error:
        raise AudioError("permission", "no permission to read it") from error
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise AudioError("io", f"cannot be opened: {reason}") from error
    return descriptor


def _not_a_file(path: Path) -> AudioError:
    if path.is_dir():
        return AudioError("directory", "a folder, not an audio file")
    return AudioError("not_a_file", "not a regular file (a pipe, socket or device)")


def _hash(descriptor: int) -> tuple[str, int]:
    digest = hashlib.sha256()
    size = 0
    while block := os.read(descriptor, _HASH_BYTES):
        digest.update(block)
        size += len(block)
    return digest.hexdigest(), size


@contextmanager
def _decoder(descriptor: int) -> Iterator[soundfile.SoundFile]:
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
            return AudioError("unsupported", f"{container} cannot be read; convert it to WAV first")
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


def _check_rate(rate: int) -> None:
    if not MIN_RATE <= rate <= MAX_RATE:
        raise AudioError(
            "sample_rate", f"sample rate {rate} Hz; {MIN_RATE} to {MAX_RATE} Hz can be analysed"
        )


def _declared_frames(file: soundfile.SoundFile, bytes_missing: bool) -> int | None:
    # The length of an MP3 may be the decoder's guess, and a header's may be wrong: only where bytes
    # are missing too is it believed. A streamed FLAC states none, which libsndfile turns into a
    # number beyond any file.
    if file.format == "MP3" and not bytes_missing:
        return None
    return int(file.frames) if file.frames < 1 << 48 else None


def _decode(file: soundfile.SoundFile, declared: int | None) -> Iterator[Samples]:
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
