"""The answer as a page for people who are not engineers, to read, pass on and print."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Final

from codecsleuth.calibration import UNKNOWN
from codecsleuth.inference.answer import Result
from codecsleuth.report.header import Header
from codecsleuth.report.page import render_page
from codecsleuth.report.summary import Summary
from codecsleuth.report.words import (
    AXIS_TITLES,
    DISCLAIMER,
    SCALE_LIMIT,
    clock,
    probability,
    ratio,
    support,
)
from codecsleuth.verdict import OUTCOMES

#: What each class of an axis means, for somebody who has not read the paper.
CLASS_WORDS: Final[Mapping[str, Mapping[str, str]]] = {
    "vq": {
        "MVQ": "several code books, one after the other or side by side",
        "SVQ": "a single code book",
        "SQ": "each number rounded on its own, without a code book",
    },
    "aux": {
        "None": "trained to reproduce sound alone",
        "Semantic distillation": "also trained to carry what is said",
        "Disentanglement": "also trained to keep voice, content and rhythm apart",
    },
    "dec": {
        "Time": "the decoder builds the waveform directly",
        "Frequency": "the decoder builds a spectrum that is then turned into sound",
    },
}
_BARS: Final = 240
#: Size of the timeline in units of its SVG.
_WIDTH: Final = 900.0
_HEIGHT: Final = 90.0


@dataclass(frozen=True)
class Bar:
    """A piece of the timeline, one segment or several.

    Attributes:
        x: left edge in the drawing.
        width: in the drawing.
        top: upper edge at the pieces' mean probability.
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


class PageWriter:
    """Holds a run's entries, and writes the page at its end; see `codecsleuth.report.writers`."""

    def __init__(self, write: Callable[[str], None]) -> None:
        self._write = write
        self._content: dict[str, Any] = {}
        self._entries: list[dict[str, Any]] = []

    def begin(self, header: Header) -> None:
        """Take what the run states of itself."""
        self._content = header.to_dict()

    def result(self, result: Result) -> None:
        """Take an entry."""
        self._entries.append(result.to_dict())

    def end(self, summary: Summary) -> None:
        """Write the page."""
        self._write(
            analysis_page({**self._content, "summary": summary.to_dict(), "results": self._entries})
        )


def analysis_page(content: Mapping[str, Any]) -> str:
    """The page of a whole run.

    Args:
        content: the JSON document, see ``docs/schema/analysis.schema.json``.

    Returns:
        HTML that needs nothing else; the same bytes for the same document.
    """
    settings = content["settings"]
    return render_page(
        "analysis.html",
        tool=content["tool"],
        model=content["model"],
        settings=settings,
        summary=content["summary"],
        files=[_file(result, settings) for result in content["results"]],
        verdicts=OUTCOMES,
        verdict_words={one.name: one.words for one in OUTCOMES},
        disclaimer=DISCLAIMER,
        limit=SCALE_LIMIT,
        probability=probability,
    )


def _file(result: Mapping[str, Any], settings: Mapping[str, Any]) -> dict[str, Any]:
    """What a template needs of one result, beside the result."""
    if result["status"] == "error":
        return {"result": result, "look": "error"}
    log10_lr = result["log10_lr"]
    return {
        "result": result,
        "look": result["verdict"],
        "ratio": ratio(log10_lr),
        "support": support(log10_lr),
        "meaning": _meaning(log10_lr),
        "needle": round(50 + 50 * max(-1.0, min(1.0, log10_lr / SCALE_LIMIT)), 2),
        "axes": [_axis(axis, answer) for axis, answer in result["taxonomy"].items()],
        "bars": list(_bars(result["windows"], settings)),
        "times": list(_times(result["windows"])),
        "lines": [
            round(_HEIGHT * (1 - settings[name]), 1)
            for name in ("codec_threshold", "bona_fide_threshold")
        ],
    }


def _meaning(log10_lr: float) -> str:
    """A likelihood ratio in a sentence."""
    odds = ratio(abs(log10_lr)).partition(" ")[0]
    if odds == "1":
        return "What was measured is as probable with a neural codec as without one."
    which = ("has passed", "has not passed") if log10_lr > 0 else ("has not passed", "has passed")
    return (
        f"What was measured is about {odds} times as probable if the speech {which[0]} through "
        f"such a codec as if it {which[1]} through one."
    )


def _axis(axis: str, answer: Mapping[str, Any]) -> dict[str, Any]:
    label = answer["label"]
    return {
        "title": AXIS_TITLES[axis],
        "label": label,
        "known": label != UNKNOWN,
        "words": CLASS_WORDS[axis].get(label, "unlike the kinds that the model has learned"),
        "shares": list(answer["probabilities"].items()),
    }


def _bars(windows: Sequence[Mapping[str, Any]], settings: Mapping[str, Any]) -> Iterator[Bar]:
    """The timeline, cut halfway between the middles of neighbouring windows."""
    if not windows:
        return
    middles = [(one["start_s"] + one["end_s"]) / 2 for one in windows]
    cuts = [(one + other) / 2 for one, other in pairwise(middles)]
    start, end = windows[0]["start_s"], windows[-1]["end_s"]
    edges = [start, *cuts, end]
    step = -(-len(windows) // _BARS)
    unit = _WIDTH / max(end - start, 1e-9)
    for first in range(0, len(windows), step):
        group = windows[first : first + step]
        values = [one["codec_probability"] for one in group]
        mean, last = sum(values) / len(values), min(first + step, len(windows))
        yield Bar(
            x=round((edges[first] - start) * unit, 2),
            width=round((edges[last] - edges[first]) * unit, 2),
            top=round(_HEIGHT * (1 - mean), 1),
            peak=round(_HEIGHT * (1 - max(values)), 1),
            look=_look(mean, settings),
            hint=f"{clock(group[0]['start_s'])} to {clock(group[-1]['end_s'])}: "
            + " to ".join(dict.fromkeys(probability(p) for p in (min(values), max(values)))),
        )


def _look(value: float, settings: Mapping[str, Any]) -> str:
    if value >= settings["codec_threshold"]:
        return "codec"
    return "bona_fide" if value <= settings["bona_fide_threshold"] else "inconclusive"


def _times(windows: Sequence[Mapping[str, Any]]) -> Iterator[tuple[float, str]]:
    """Marks below the timeline at round times, six or so."""
    if not windows:
        return
    start, end = windows[0]["start_s"], windows[-1]["end_s"]
    steps = (0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200)
    step = next((step for step in steps if (end - start) / step <= 9), 14400)
    count = int((end - start) / step + 1e-9)
    for number in range(count + 1):
        yield (
            round(_WIDTH * number * step / max(end - start, 1e-9), 1),
            clock(start + number * step),
        )
