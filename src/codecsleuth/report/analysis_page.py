"""The answer as a page for people who are not engineers, to read, pass on and print."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from markupsafe import Markup

from codecsleuth import verdict
from codecsleuth.audio.facts import Excerpt
from codecsleuth.calibration import UNKNOWN
from codecsleuth.inference.answer import Analysis, Result
from codecsleuth.inference.explain import BASE, LIMIT
from codecsleuth.report.case import Case
from codecsleuth.report.header import Header
from codecsleuth.report.page import render_page, template_text
from codecsleuth.report.pictures import MOST_AUDIO_S, MOST_FILES, Picture, take_picture
from codecsleuth.report.statement import (
    PROPOSITIONS,
    PROPOSITIONS_OF_THREE,
    VERDICT_NOTES,
    error_rates,
    limit_words,
    meaning,
    why_no_ratio,
)
from codecsleuth.report.strip import strip
from codecsleuth.report.summary import Summary
from codecsleuth.report.words import (
    AXIS_TITLES,
    DISCLAIMER,
    SCALE_LIMIT,
    clock,
    excerpt,
    probability,
    ratio,
    support,
)

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
#: What each term of an explanation is, in a few words.
BLOCK_WORDS: Final[Mapping[str, str]] = {
    "fine": "lines at fixed frequencies",
    "envelope": "long-term spectrum",
    "coarse": "levels of bands and their changes",
    "agreement": "how bands move together",
    "memory": "how bands go on in time",
    "modulation": "slow modulation",
    "lines": "modulation at single frequencies",
    "combs": "modulation at multiples of frame rates",
    BASE: "starting point: a clip with average statistics",
    LIMIT: "cut off at the limit",
}
_POLICY: Final = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; media-src data:"

Entry = Mapping[str, Any]
Pictures = Mapping[int, Picture]


@dataclass(frozen=True)
class PageOptions:
    """What a page has beside the answers.

    Attributes:
        case: what the examiner states.
        embed_audio: whether recordings are part of the page.
        tell: gets a line on what is left out.
    """

    case: Case = field(default_factory=Case)
    embed_audio: bool = False
    tell: Callable[[str], None] = lambda _: None


class PageWriter:
    """Holds a run's entries, and writes the page at its end; see `codecsleuth.report.writers`."""

    def __init__(self, write: Callable[[str], None], options: PageOptions | None = None) -> None:
        self._write, self._options = write, options or PageOptions()
        self._content: dict[str, Any] = {}
        self._results: list[Result] = []

    def begin(self, header: Header) -> None:
        """Take what the run states of itself."""
        self._content = header.to_dict()

    def result(self, result: Result) -> None:
        """Take an entry."""
        self._results.append(result)

    def end(self, summary: Summary) -> None:
        """Read the recordings again that are drawn, and write the page."""
        entries = [result.to_dict() for result in self._results]
        content = {**self._content, "summary": summary.to_dict(), "results": entries}
        self._write(analysis_page(content, self._options.case, self._pictures(entries)))

    def _pictures(self, entries: Sequence[Entry]) -> dict[int, Picture]:
        """Pictures of the recordings that have a full section, the strongest evidence first."""
        pictures: dict[int, Picture] = {}
        left_s = MOST_AUDIO_S
        for place in order(entries):
            result = self._results[place]
            if not isinstance(result, Analysis) or _is_short(entries[place], len(entries)):
                continue
            if len(pictures) == MOST_FILES:
                break
            audio = self._options.embed_audio and result.evidence.duration_s <= left_s
            if self._options.embed_audio and not audio:
                self._options.tell(
                    f"--embed-audio: {result.path} left out; a page holds at most "
                    f"{MOST_AUDIO_S / 60:g} minutes of audio"
                )
            left_s -= result.evidence.duration_s * audio
            pictures[place] = take_picture(result, audio=audio)
        return pictures


def analysis_page(
    content: Mapping[str, Any], case: Case | None = None, pictures: Pictures | None = None
) -> str:
    """The page of a whole run.

    Args:
        content: the JSON document, see ``docs/schema/analysis.schema.json``.
        case: what the examiner states.
        pictures: of results, by their place in the document.

    Returns:
        HTML that needs nothing else; the same bytes for the same arguments.
    """
    results, case, pictures = content["results"], case or Case(), pictures or {}
    performance = content["model"].get("performance")
    three_classes = "vocoder" in content["model"].get("classes", ())
    script = template_text("overview.js").strip() if len(results) > 1 else ""
    files = [
        _file(results[place], content, case, pictures.get(place, Picture()))
        for place in order(results)
    ]
    return render_page(
        "analysis.html",
        tool=content["tool"],
        model=content["model"],
        settings=content["settings"],
        summary=content["summary"],
        case=case,
        files=files,
        counts=_counts(results),
        has_exhibits=any(file["exhibit"] != case.exhibit for file in files),
        policy=_policy(script),
        script=Markup(script),
        propositions=PROPOSITIONS_OF_THREE if three_classes else PROPOSITIONS,
        three_classes=three_classes,
        general_rates=error_rates(performance),
        verdict_words={one.name: one.words for one in verdict.OUTCOMES},
        short_words={one.name: one.short for one in verdict.OUTCOMES},
        disclaimer=DISCLAIMER,
        limit=SCALE_LIMIT,
        probability=probability,
        clock=clock,
    )


def order(entries: Sequence[Entry]) -> list[int]:
    """Places of entries by evidence: neural traces first, then by likelihood ratio; errors last."""
    return sorted(range(len(entries)), key=lambda place: (*_rank(entries[place]), place))


def _rank(entry: Entry) -> tuple[bool, bool, float]:
    if entry["status"] == "error":
        return (True, True, 0.0)
    return (False, not verdict.by_name(entry["verdict"]).neural, -entry["log10_lr"])


def _is_short(entry: Entry, files: int) -> bool:
    """Whether an entry of a batch is a line that unfolds: there is no trace to show."""
    return files > 1 and entry["status"] == "ok" and entry["verdict"] == verdict.BONA_FIDE


def _counts(entries: Sequence[Entry]) -> list[tuple[verdict.Verdict, int]]:
    names = [entry.get("verdict", verdict.ERROR.name) for entry in entries]
    return [(row, names.count(row.name)) for row in verdict.OUTCOMES if row.name in names]


def _policy(script: str) -> str:
    """What the browser may run: the one script, by its hash, and nothing else."""
    if not script:
        return _POLICY
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode("ascii")
    return f"{_POLICY}; script-src 'sha256-{digest}'"


def _file(entry: Entry, content: Mapping[str, Any], case: Case, picture: Picture) -> dict[str, Any]:
    """What a template needs of one result, beside the result."""
    part = excerpt(Excerpt.from_dict(entry.get("excerpt")))
    named = {"name": entry["path"] + (f" ({part})" if part else ""), "part": part}
    exhibit = case.exhibit_of(entry["path"], entry["evidence"].get("sha256") or "")
    if entry["status"] == "error":
        look = verdict.ERROR.name
        return {**named, "result": entry, "look": look, "exhibit": exhibit, "short": False}
    row, log10_lr = verdict.by_name(entry["verdict"]), entry["log10_lr"]
    no_ratio = why_no_ratio(entry)
    return {
        **named,
        "result": entry,
        "look": row.name,
        "exhibit": exhibit,
        "short": _is_short(entry, len(content["results"])),
        "states_codec": row.states_codec,
        "ratio": ratio(log10_lr),
        "support": support(log10_lr),
        "no_ratio": no_ratio,
        "meaning": meaning(log10_lr),
        "note": VERDICT_NOTES.get(row.name, ""),
        "limit_words": limit_words(log10_lr, entry["log10_lr_limit"]),
        "neural_ratio": _neural_ratio(entry),
        "rates": error_rates(content["model"].get("performance"), entry),
        "needle": _needle(log10_lr),
        "axes": [_axis(axis, answer) for axis, answer in entry["taxonomy"].items()],
        "strip": strip(entry, content["settings"]),
        "blocks": [] if no_ratio else _blocks(entry["explanation"]["blocks"]),
        "picture": picture,
    }


def _needle(log10_lr: float) -> float:
    return round(50 + 50 * max(-1.0, min(1.0, log10_lr / SCALE_LIMIT)), 2)


def _neural_ratio(entry: Entry) -> str:
    log10_lr = entry["log10_lr_neural"]
    if log10_lr is None:
        return ""
    return f"{ratio(log10_lr)} (log10 {log10_lr:g}), {support(log10_lr, 'neural synthesis')}"


def _axis(axis: str, answer: Mapping[str, Any]) -> dict[str, Any]:
    label = answer["label"]
    return {
        "title": AXIS_TITLES[axis],
        "label": label,
        "known": label != UNKNOWN,
        "words": CLASS_WORDS[axis].get(label, "unlike the kinds that the model has learned"),
        "shares": list(answer["probabilities"].items()),
    }


def _blocks(terms: Mapping[str, float]) -> list[dict[str, Any]]:
    """Bars to the left and right of nothing, the largest terms first, in per cent of the width."""
    largest = max((abs(term) for term in terms.values()), default=0.0) or 1.0
    ordered = sorted(terms.items(), key=lambda pair: (pair[0] in (BASE, LIMIT), -abs(pair[1])))
    return [
        {
            "name": name,
            "words": BLOCK_WORDS.get(name, ""),
            "term": f"{term:+.2f}",
            "look": verdict.CODEC if term > 0 else verdict.BONA_FIDE,
            "left": round(50 - 50 * max(0.0, -term) / largest, 1),
            "width": round(50 * abs(term) / largest, 1),
        }
        for name, term in ordered
        if term or name not in (BASE, LIMIT)
    ]
