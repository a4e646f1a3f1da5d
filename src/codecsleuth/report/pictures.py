"""What a page shows of the sound itself: each recording is read again for it."""

from __future__ import annotations

import base64
import io
import struct
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from codecsleuth import verdict
from codecsleuth.arrays import Samples
from codecsleuth.audio.recording import open_recording
from codecsleuth.audio.source import STDIN, is_url
from codecsleuth.audio.windows import SAMPLE_RATE
from codecsleuth.errors import AudioError
from codecsleuth.inference.answer import Analysis
from codecsleuth.inference.spectra import (
    FINE_BIN_HZ,
    GREYS,
    Spectra,
    SpectraMeter,
)
from codecsleuth.models.front_end import CYCLE_BINS_PER_HZ
from codecsleuth.report.plots import Axis, Plot

#: Files of a batch that are drawn, the strongest evidence first.
MOST_FILES: Final = 50
#: Seconds of audio that a page holds at most.
MOST_AUDIO_S: Final = 600.0
#: Cyclic frequencies that are drawn.
_CYCLIC_TOP_HZ: Final = 320
#: How often a frame rate stands out, counted on 1,600 clips of the training corpus.
_RATE_SHOWN: Final = (
    "Codecs share frame rates, and their multiples overlap: this names no codec by itself. "
    "About 1 in 45 recordings without a neural decoder shows as much, and vocoders do too."
)
_NO_RATE_SHOWN: Final = "That says little: about 1 in 5 recordings of codec output shows one."
_FINE_DB: Final = (-6.0, 18.0)
#: Colours of a spectrogram's quietest and loudest levels: dark on light, so that it prints.
_QUIET, _LOUD = (255, 255, 255), (18, 32, 58)


@dataclass(frozen=True)
class Picture:
    """What is shown of one recording.

    Attributes:
        spectrogram: a PNG as a ``data:`` address; empty without sound.
        fine: plot of the fine spectrum.
        cyclic: plot of the cyclic spectrum.
        fine_words: what stands out in it.
        cyclic_words: likewise.
        cyclic_note: what that is worth.
        part: which part the two spectra are of, in words; empty for all of it.
        audio: the recording as FLAC, as a ``data:`` address; empty unless asked for.
        note: why something is not shown.
    """

    spectrogram: str = ""
    fine: Plot | None = None
    cyclic: Plot | None = None
    fine_words: str = ""
    cyclic_words: str = ""
    cyclic_note: str = ""
    part: str = ""
    audio: str = ""
    note: str = ""


def take_picture(analysis: Analysis, *, audio: bool = False) -> Picture:
    """Read a recording again and draw it.

    Args:
        analysis: its answer.
        audio: whether to embed the recording.
    """
    if analysis.path in ("", STDIN) or is_url(analysis.path):
        return Picture(note="The sound was not kept, so that it cannot be drawn.")
    excerpt = analysis.excerpt
    spans, part = _neural_spans(analysis, excerpt.start_s)
    meter = SpectraMeter(analysis.evidence.duration_s, spans)
    kept: list[Samples] = []
    try:
        with open_recording(analysis.path, excerpt) as recording:
            if recording.sha256 != analysis.evidence.sha256:
                return Picture(note="The file has changed since, so that it is not drawn.")
            for block in recording.samples():
                meter.add(block)
                if audio:
                    kept.append(block)
    except AudioError as error:
        return Picture(note=f"It could not be read again to be drawn: {error}.")
    sound = data_address("audio/flac", flac(kept)) if audio else ""
    return _drawn(meter.spectra(), part, sound)


def _neural_spans(analysis: Analysis, start_s: float) -> tuple[list[tuple[float, float]], str]:
    """Passages with a neural trace, where others have none: the two spectra are of those."""
    neural = [one for one in analysis.passages if verdict.by_name(one.verdict).neural]
    if not neural or len(neural) == len(analysis.passages):
        return [], ""
    spans = [(one.start_s - start_s, one.end_s - start_s) for one in neural]
    return spans, "Measured in the passages with a neural trace alone."


def _drawn(spectra: Spectra | None, part: str, audio: str) -> Picture:
    if spectra is None:
        return Picture(audio=audio, note="There is too little sound to draw.")
    return Picture(
        spectrogram=data_address("image/png", png(spectra.spectrogram)),
        fine=_fine_plot(spectra),
        cyclic=_cyclic_plot(spectra),
        fine_words=_fine_words(spectra),
        cyclic_words=_cyclic_words(spectra),
        cyclic_note=_RATE_SHOWN if spectra.frame_rate else _NO_RATE_SHOWN,
        part=part,
        audio=audio,
    )


def _fine_plot(spectra: Spectra) -> Plot:
    plot = Plot(
        "Fine spectrum",
        f"Level of each frequency over that of its neighbours. {_fine_words(spectra)}",
        Axis("Frequency, kHz", 0.0, 8.0, [(k, f"{k}") for k in range(9)]),
        Axis("Level over neighbours, dB", *_FINE_DB, [(d, f"{d}") for d in range(-6, 19, 6)]),
    )
    values = enumerate(spectra.fine_db.tolist(), start=1)
    plot.line(((bin_ * FINE_BIN_HZ / 1000, value) for bin_, value in values), "fine")
    for line in spectra.lines:
        hint = f"{line.frequency_hz:,.0f} Hz, {line.height_db:.1f} dB"
        plot.dot(line.frequency_hz / 1000, line.height_db, "ink", hint)
    return plot


def _fine_words(spectra: Spectra) -> str:
    if not spectra.lines:
        return "No line at a fixed frequency stands out."
    lines = sorted(spectra.lines, key=lambda line: line.frequency_hz)
    named = ", ".join(f"{one.frequency_hz:,.0f} Hz (+{one.height_db:.0f} dB)" for one in lines)
    return f"Lines stand out at {named}."


def _cyclic_plot(spectra: Spectra) -> Plot:
    values = spectra.cyclic[: _CYCLIC_TOP_HZ * CYCLE_BINS_PER_HZ]
    low = 5 * CYCLE_BINS_PER_HZ
    top = max(2.0, min(8.0, float(np.ceil(values[low:].max()))))
    step = 0.5 if top <= 3 else 1.0 if top <= 5 else 2.0
    ticks = [(step * n, f"{step * n:g}") for n in range(int(top / step) + 1)]
    plot = Plot(
        "Cyclic spectrum",
        f"How strongly the sound is modulated at each frequency. {_cyclic_words(spectra)}",
        Axis("Modulation frequency, Hz", 0.0, _CYCLIC_TOP_HZ, _hertz_ticks()),
        Axis("Strength over neighbours", 0.0, top, ticks),
    )
    for frequency in _marked(spectra):
        plot.line([(frequency, 0.0), (frequency, top)], "guide", f"{frequency:g} Hz")
    plot.line(_highest_of_two(values.tolist()), "cyclic")
    return plot


def _hertz_ticks() -> list[tuple[float, str]]:
    return [(hertz, f"{hertz}") for hertz in range(0, _CYCLIC_TOP_HZ + 1, 40)]


def _marked(spectra: Spectra) -> list[float]:
    """Multiples of the frame rate that are drawn."""
    if spectra.frame_rate is None:
        return []
    rate = spectra.frame_rate.rate_hz
    return [rate * n for n in range(1, int(_CYCLIC_TOP_HZ / rate) + 1)]


def _highest_of_two(values: Sequence[float]) -> Iterator[tuple[float, float]]:
    for place in range(0, len(values) - 1, 2):
        yield (place + 0.5) / CYCLE_BINS_PER_HZ, max(values[place : place + 2])


def _cyclic_words(spectra: Spectra) -> str:
    rate = spectra.frame_rate
    if rate is None:
        return "No known frame rate stands out."
    modulated = f"Modulated at multiples of {rate.rate_hz:g} Hz"
    if not rate.families:
        return f"{modulated}, a frame rate that no codec of the catalogue is known for."
    *others, last = rate.families
    named = f"{', '.join(others)} and {last}" if others else last
    return f"{modulated}, the frame rate of {named}."


def data_address(kind: str, content: bytes) -> str:
    """Content as an address that holds it, for a page that fetches nothing."""
    return f"data:{kind};base64,{base64.b64encode(content).decode('ascii')}"


def png(greys: NDArray[np.uint8]) -> bytes:
    """An image of ``(rows, columns)`` levels, 0 to ``GREYS - 1``, four bits each.

    Portable Network Graphics, third edition (W3C 2025): a palette, and one deflated stream of rows.
    """
    rows, columns = greys.shape
    padded = np.pad(greys, ((0, 0), (0, columns % 2)))
    packed = padded[:, ::2] << 4 | padded[:, 1::2]
    lines = np.pad(packed, ((0, 0), (1, 0))).astype(np.uint8)
    shares = np.linspace(0, 1, GREYS)[:, None]
    palette = np.round(np.array(_QUIET) * (1 - shares) + np.array(_LOUD) * shares)
    return b"".join(
        (
            b"\x89PNG\r\n\x1a\n",
            _chunk(b"IHDR", struct.pack(">IIBBBBB", columns, rows, 4, 3, 0, 0, 0)),
            _chunk(b"PLTE", palette.astype(np.uint8).tobytes()),
            _chunk(b"IDAT", zlib.compress(lines.tobytes(), 9)),
            _chunk(b"IEND", b""),
        )
    )


def _chunk(kind: bytes, content: bytes) -> bytes:
    check = zlib.crc32(kind + content)
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", check)


def flac(blocks: Sequence[Samples]) -> bytes:
    """Blocks of 16 kHz mono as a FLAC file of 16 bits."""
    import soundfile

    buffer = io.BytesIO()
    form: dict[str, Any] = {"format": "FLAC", "subtype": "PCM_16"}
    with soundfile.SoundFile(buffer, "w", SAMPLE_RATE, 1, **form) as file:
        for block in blocks:
            file.write(np.clip(block, -1.0, 1.0))
    return buffer.getvalue()
