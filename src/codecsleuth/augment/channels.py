"""Lossy coders of telephones, messengers, broadcasters and files, as round trips in memory.

`CODERS` is the table: what is run, at which rates and bitrates, and how late its decoder is. Each
row is also a step of augmentation: called with a generator it draws a rate and a setting. A round
trip gives back as many samples as it got, in place to within a few samples, and the same ones every
time. AMR-WB, EVS, Speex and iLBC, for which PyAV's wheels have no encoder, are left out.
"""

from __future__ import annotations

import io
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any, Final, cast

import av
import numpy as np
import soundfile
import soxr
from numpy.typing import NDArray

from codecsleuth.audio.windows import SAMPLE_RATE

Waveform = NDArray[np.float32]

TELEPHONE_RATE: Final = 8_000
#: What one step of a quality scale is to FFmpeg (FF_QP2LAMBDA).
_QUALITY_UNIT: Final = 118
#: Samples a packet where a coder takes any number.
_PACKET: Final = 960


@dataclass(frozen=True)
class Coder:
    """A coder of FFmpeg, and how it is used.

    Attributes:
        name: of the row.
        encoder: as FFmpeg names it.
        container: as FFmpeg names it; holds the packets between encoder and decoder.
        rates: sampling rates in hertz, one of which is drawn.
        settings: kbit/s, or with ``variable`` steps of the quality scale; one of these is drawn.
        delay: samples at the coder's rate by which the decoded signal is late.
        dropped: packets at the start that the decoder does not give back.
        stereo: the coder has no mono; both channels get the signal.
        variable: the bitrate follows the signal.
        options: of the encoder.
    """

    name: str
    encoder: str
    container: str
    rates: tuple[int, ...]
    settings: tuple[float, ...]
    delay: int = 0
    dropped: int = 0
    stereo: bool = False
    variable: bool = False
    options: dict[str, str] = field(default_factory=dict)

    def __call__(self, waveform: Waveform, rng: np.random.Generator) -> Waveform:
        """Draw a rate and a setting; ``(samples,)`` at 16 kHz to the same shape."""
        rate = self.rates[int(rng.integers(len(self.rates)))]
        return self.round_trip(waveform, rate, self.settings[int(rng.integers(len(self.settings)))])

    def round_trip(self, waveform: Waveform, rate: int, setting: float) -> Waveform:
        """Encode and decode ``(samples,)`` at 16 kHz; same shape."""
        there = resample(np.clip(waveform, -1.0, 1.0), SAMPLE_RATE, rate)
        stored = self._encode(there, rate, setting)
        decoded, decoded_rate = self._decode(stored)
        return fit(resample(decoded[self.delay :], decoded_rate, SAMPLE_RATE), len(waveform))

    def _encode(self, waveform: Waveform, rate: int, setting: float) -> bytes:
        stored = io.BytesIO()
        options = dict(self.options)
        if self.variable:
            options |= {"flags": "+qscale", "global_quality": str(round(setting * _QUALITY_UNIT))}
        layout = "stereo" if self.stereo else "mono"
        with av.open(stored, "w", format=self.container) as container:
            stream: Any = container.add_stream(
                self.encoder, rate=rate, options=options, layout=layout
            )
            if not self.variable:
                stream.bit_rate = round(setting * 1000)
            formats = stream.codec.audio_formats
            stream.format = formats[0].name if formats else "s16"
            stream.codec_context.open()
            size = stream.codec_context.frame_size or _PACKET
            start = self.dropped * size
            # Two packets more, so that what is late is not lost.
            whole = np.pad(waveform, (start, 2 * size + -(start + len(waveform)) % size))
            for place in range(0, len(whole), size):
                frame = _frame(whole[place : place + size], stream.format.name, layout)
                frame.sample_rate, frame.pts, frame.time_base = rate, place, Fraction(1, rate)
                container.mux(stream.encode(frame))
            container.mux(stream.encode(None))
        return stored.getvalue()

    def _decode(self, stored: bytes) -> tuple[Waveform, int]:
        with av.open(io.BytesIO(stored), "r", format=self.container) as container:
            stream = container.streams.audio[0]
            parts = [_first_channel(frame) for frame in container.decode(stream)]
        return np.concatenate(parts), stream.rate


@dataclass(frozen=True)
class FileCoder:
    """A coder of libsndfile, for those that PyAV's wheels cannot encode.

    Attributes:
        name: of the row.
        container: as `soundfile` names it.
        subtype: the coder in it.
        rates: sampling rates in hertz, one of which is drawn.
        settings: compression levels, 0 (best) to 1 (smallest); one means no choice.
    """

    name: str
    container: str
    subtype: str
    rates: tuple[int, ...]
    settings: tuple[float, ...] = (0.5,)

    def __call__(self, waveform: Waveform, rng: np.random.Generator) -> Waveform:
        """Draw a rate and a setting; ``(samples,)`` at 16 kHz to the same shape."""
        rate = self.rates[int(rng.integers(len(self.rates)))]
        return self.round_trip(waveform, rate, self.settings[int(rng.integers(len(self.settings)))])

    def round_trip(self, waveform: Waveform, rate: int, setting: float) -> Waveform:
        """Encode and decode ``(samples,)`` at 16 kHz; same shape."""
        there = resample(np.clip(waveform, -1.0, 1.0), SAMPLE_RATE, rate)
        options = {"compression_level": setting} if len(self.settings) > 1 else {}
        coded = lossy_round_trip(there, self.container, self.subtype, rate, **options)
        return fit(resample(coded, rate, SAMPLE_RATE), len(waveform))


_VOICE: Final = {"application": "voip"}
_NARROW: Final = (TELEPHONE_RATE,)
_WIDE: Final = (SAMPLE_RATE,)
_AMR_NB: Final = (4.75, 5.15, 5.9, 6.7, 7.4, 7.95, 10.2, 12.2)

CODERS: Final[dict[str, Coder | FileCoder]] = {
    coder.name: coder
    for coder in (
        Coder("mulaw", "pcm_mulaw", "wav", _NARROW, (64,)),
        Coder("alaw", "pcm_alaw", "wav", _NARROW, (64,)),
        FileCoder("gsm", "WAV", "GSM610", _NARROW),
        Coder("g723.1", "g723_1", "g723_1", _NARROW, (6.3,), delay=60),
        Coder("g726", "g726", "wav", _NARROW, (16, 24, 32, 40)),
        Coder("amr-nb", "libopencore_amrnb", "amr", _NARROW, _AMR_NB, delay=40),
        Coder("g722", "g722", "g722", _WIDE, (64,), delay=22),
        Coder("msbc", "sbc", "sbc", _WIDE, (64,), delay=73, options={"msbc": "1"}),
        Coder("opus-voice", "libopus", "ogg", (48_000,), (6, 8, 12, 16, 24, 32), options=_VOICE),
        Coder("opus", "libopus", "ogg", (48_000,), (16, 24, 32, 48, 64, 96)),
        FileCoder("vorbis", "OGG", "VORBIS", _WIDE, tuple(np.linspace(0.0, 0.9, 10).tolist())),
        Coder("mp3", "libmp3lame", "mp3", (16_000, 24_000), (16, 24, 32, 48, 64, 96, 128)),
        Coder("mp3-full-rate", "libmp3lame", "mp3", (44_100, 48_000), (32, 48, 64, 96, 128, 192)),
        Coder(
            *("mp3-variable", "libmp3lame", "mp3", (16_000, 22_050, 44_100), (1, 3, 5, 7, 9)),
            variable=True,
        ),
        Coder("aac", "aac", "adts", (16_000, 24_000, 44_100), (16, 24, 32, 48, 64, 96), delay=1024),
        Coder("wma", "wmav2", "asf", (16_000, 22_050, 44_100), (24, 32, 48, 64, 96), dropped=1),
        Coder("ac3", "ac3", "ac3", (32_000, 44_100, 48_000), (48, 64, 96, 128, 192), delay=256),
        Coder("sbc", "sbc", "sbc", (44_100, 48_000), (96, 128, 192, 240), delay=73),
        Coder("aptx", "aptx", "aptx", (48_000,), (384,), delay=90, stereo=True),
    )
}


def lossy_round_trip(
    waveform: Waveform, container: str, subtype: str, rate: int = SAMPLE_RATE, **options: Any
) -> Waveform:
    """Encode and decode in memory with one of libsndfile's lossy coders.

    Args:
        waveform: ``(samples,)``.
        container: as `soundfile` names it, such as ``MP3``, ``OGG`` or ``WAV``.
        subtype: the coder in it, such as ``MPEG_LAYER_III``, ``VORBIS``, ``OPUS`` or ``GSM610``.
        rate: sampling rate in hertz.
        options: of `soundfile.write`, such as ``compression_level``, 0 (best) to 1 (smallest).
    """
    buffer = io.BytesIO()
    clipped = np.clip(waveform, -1.0, 1.0)
    soundfile.write(buffer, clipped, rate, format=container, subtype=subtype, **options)
    buffer.seek(0)
    decoded, decoded_rate = soundfile.read(buffer, dtype="float32")
    return resample(decoded, decoded_rate, rate)[: len(waveform)]


def resample(waveform: Waveform, rate_in: int, rate_out: int) -> Waveform:
    """Resample with soxr HQ; the same array when the rates agree."""
    if rate_in == rate_out:
        return waveform
    return cast(Waveform, soxr.resample(waveform, rate_in, rate_out, quality="HQ"))


def fit(waveform: Waveform, length: int) -> Waveform:
    """Cut, or fill up with silence, to so many samples."""
    return np.pad(waveform[:length], (0, max(0, length - len(waveform))))


def _frame(samples: Waveform, sample_format: str, layout: str) -> Any:
    """A frame of the encoder's format, the same signal in each channel."""
    values: NDArray[Any] = np.stack([samples] * (2 if layout == "stereo" else 1))
    if not sample_format.startswith("flt"):
        bits = 16 if sample_format.startswith("s16") else 32
        scaled = np.round(values.astype(np.float64) * (2.0 ** (bits - 1) - 1))
        values = scaled.astype(np.int16 if bits == 16 else np.int32)
    if not sample_format.endswith("p"):
        values = values.T.reshape(1, -1)
    return av.AudioFrame.from_ndarray(np.ascontiguousarray(values), sample_format, layout)


def _first_channel(frame: Any) -> Waveform:
    values = frame.to_ndarray()
    samples = values[0] if frame.format.is_planar else values[0, :: len(frame.layout.channels)]
    full_scale = 1.0 if values.dtype.kind == "f" else 2.0 ** (8 * values.dtype.itemsize - 1)
    return cast(Waveform, (samples / full_scale).astype(np.float32))
