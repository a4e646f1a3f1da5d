"""The time line of a recording as positions in a drawing: windows, passages, times."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Final

from codecsleuth import verdict
from codecsleuth.report.words import clock, probability

#: Bars at most; more windows than that are drawn in groups.
BARS: Final = 240
#: Size of the drawing of the windows in units of its SVG.
WIDTH: Final = 900.0
HEIGHT: Final = 90.0
#: Rows at most of the table of passages; JSON has all of them.
PASSAGES: Final = 100
_STEPS: Final = (0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200)

Entry = Mapping[str, Any]


@dataclass(frozen=True)
class Bar:
    """A piece of the time line, one window or several.

    Attributes:
        x: left edge in the drawing.
        width: in the drawing.
        top: upper edge at the pieces' mean probability of a neural trace.
        peak: upper edge at their highest.
        look: the verdict that the mean would have.
        hint: time and probability in words.
    """

    x: float
    width: float
    top: float
    peak: float
    look: str
    hint: str


@dataclass(frozen=True)
class Band:
    """A passage: its edges in the drawing, its verdict, and whether that is a neural trace."""

    x: float
    width: float
    look: str
    neural: bool
    hint: str


@dataclass(frozen=True)
class Strip:
    """The time line of one recording.

    Attributes:
        bars: windows.
        bands: passages, in the drawing.
        times: marks below, each a position and its words.
        lines: heights of the two thresholds.
        passages: rows of the table of passages.
        more: passages that the table leaves out.
        looks: verdicts that the drawing shows, in the order of their table.
        grouped: whether a bar stands for several windows.
    """

    bars: Sequence[Bar]
    bands: Sequence[Band]
    times: Sequence[tuple[float, str]]
    lines: Sequence[float]
    passages: Sequence[Entry]
    more: int
    looks: Sequence[str]
    grouped: bool


def strip(entry: Entry, settings: Mapping[str, Any]) -> Strip:
    """Draw the time line of an entry.

    Args:
        entry: of the JSON answer, with status ``ok``.
        settings: of the run, with its thresholds.
    """
    start = float((entry.get("excerpt") or {}).get("start_s") or 0.0)
    ends = [one["end_s"] for one in (*entry["windows"], *entry["passages"])]
    end = max([start + entry["evidence"]["duration_s"], *ends])
    scale = _Scale(start, end)
    bars = list(_bars(entry["windows"], settings, scale))
    passages = entry["passages"]
    bands = [_band(one, scale) for one in passages[: 4 * PASSAGES]]
    shown = {*(bar.look for bar in bars), *(band.look for band in bands)}
    return Strip(
        bars=bars,
        bands=bands,
        times=list(_times(scale)),
        lines=[
            round(HEIGHT * (1 - settings[name]), 1)
            for name in (_upper(settings), "bona_fide_threshold")
        ],
        passages=passages[:PASSAGES],
        more=max(0, len(passages) - PASSAGES),
        looks=[one.name for one in verdict.VERDICTS if one.name in shown],
        grouped=len(entry["windows"]) > len(bars),
    )


@dataclass(frozen=True)
class _Scale:
    start: float
    end: float

    def place(self, second: float) -> float:
        return round((second - self.start) * WIDTH / max(self.end - self.start, 1e-9), 2)


def _band(passage: Entry, scale: _Scale) -> Band:
    row = verdict.by_name(passage["verdict"])
    x, end = scale.place(passage["start_s"]), scale.place(passage["end_s"])
    span = f"{clock(passage['start_s'])} to {clock(passage['end_s'])}"
    return Band(x, round(end - x, 2), row.name, row.neural, f"Passage {span}: {row.words}")


def _bars(windows: Sequence[Entry], settings: Mapping[str, Any], scale: _Scale) -> Iterator[Bar]:
    """Windows, cut halfway between the middles of neighbours."""
    if not windows:
        return
    middles = [(one["start_s"] + one["end_s"]) / 2 for one in windows]
    cuts = [(one + other) / 2 for one, other in pairwise(middles)]
    edges = [windows[0]["start_s"], *cuts, windows[-1]["end_s"]]
    step = -(-len(windows) // BARS)
    for first in range(0, len(windows), step):
        group = windows[first : first + step]
        x = scale.place(edges[first])
        width = round(scale.place(edges[min(first + step, len(windows))]) - x, 2)
        yield _bar(group, x, width, settings)


def _bar(group: Sequence[Entry], x: float, width: float, settings: Mapping[str, Any]) -> Bar:
    codec = [one["codec_probability"] for one in group]
    vocoder = [one.get("vocoder_probability") or 0.0 for one in group]
    values = [min(1.0, one + other) for one, other in zip(codec, vocoder, strict=True)]
    means = [sum(each) / len(group) for each in (codec, vocoder, values)]
    shares = " to ".join(dict.fromkeys(probability(p) for p in (min(values), max(values))))
    return Bar(
        x=x,
        width=width,
        top=round(HEIGHT * (1 - means[2]), 1),
        peak=round(HEIGHT * (1 - max(values)), 1),
        look=_look(means[0], means[1], settings),
        hint=f"{clock(group[0]['start_s'])} to {clock(group[-1]['end_s'])}: {shares}",
    )


def _upper(settings: Mapping[str, Any]) -> str:
    """The threshold from which a neural trace is stated."""
    return "neural_threshold" if "neural_threshold" in settings else "codec_threshold"


def _look(codec: float, vocoder: float, settings: Mapping[str, Any]) -> str:
    """The verdict that these probabilities would have; see `Calibration.verdict`."""
    if codec >= settings["codec_threshold"]:
        return verdict.CODEC
    if vocoder >= settings.get("vocoder_threshold", 2.0):
        return verdict.VOCODER
    if codec + vocoder >= settings.get("neural_threshold", 2.0):
        return verdict.NEURAL
    if codec + vocoder <= settings["bona_fide_threshold"]:
        return verdict.BONA_FIDE
    return verdict.INCONCLUSIVE


def _times(scale: _Scale) -> Iterator[tuple[float, str]]:
    """Marks at round times, six or so."""
    length = scale.end - scale.start
    step = next((step for step in _STEPS if length / step <= 9), 14_400)
    for number in range(int(length / step + 1e-9) + 1):
        second = scale.start + number * step
        yield scale.place(second), clock(second)
