"""The first page: two propositions, a likelihood ratio and its limit, and the known error rates."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from codecsleuth import verdict
from codecsleuth.findings import Severity
from codecsleuth.report.words import ratio

#: What is weighed against each other, in the order of the likelihood ratio.
PROPOSITIONS: Final = (
    "The speech passed through a neural audio codec's decoder.",
    "It did not.",
)
#: The same for a model that knows neural synthesis without a codec, which is neither of the two.
PROPOSITIONS_OF_THREE: Final = (
    PROPOSITIONS[0],
    "It did not, and no other neural synthesis or neural processing made it either.",
)
#: What a verdict adds to its words.
VERDICT_NOTES: Final[Mapping[str, str]] = {
    verdict.VOCODER: "The trace is that of neural synthesis or neural processing without a codec, "
    "so the ratio for neural synthesis of any kind says more than the one for a codec.",
    verdict.NEURAL: "A neural decoder made the waveform; whether it was a codec's or a vocoder's "
    "is not decided.",
    verdict.MIXED: "Parts of the recording differ. The ratio is of the recording as a whole and "
    "mixes both kinds: go by the passages.",
    verdict.INCONCLUSIVE: "Nothing is stated in either direction.",
}
#: Conditions of the model card that a kind of finding, or a coding, points to; the first that the
#: weights have figures for is quoted.
FINDING_CONDITIONS: Final[Mapping[str, Sequence[str]]] = {
    "noisy": ("noise-15dB", "noise-20dB"),
    "low_sample_rate": ("narrow-band", "mulaw"),
    "very_short": ("cut-1.5s", "cut-2s"),
}
CODING_CONDITIONS: Final[Mapping[str, Sequence[str]]] = {
    "mp3": ("mp3-64", "mp3-32"),
    "mpeg_layer": ("mp3-64", "mp3-32"),
    "aac": ("aac-64", "aac-32"),
    "opus": ("opus-24", "opus-voice-24"),
    "amr": ("amr-nb-12.2", "amr-nb-4.75"),
    "gsm": ("gsm",),
    "ulaw": ("mulaw",),
    "alaw": ("mulaw",),
    "pcm_mulaw": ("mulaw",),
    "pcm_alaw": ("mulaw",),
    "wma": ("wma-32",),
    "ac3": ("ac3-96",),
    "g722": ("g722",),
    "sbc": ("sbc",),
    "aptx": ("aptx",),
}
#: Error rates as weights state them, and how they are read.
_RATES: Final = (
    ("false_alarms", "false alarms"),
    ("misses", "misses"),
    ("inconclusive", "inconclusive"),
)


def why_no_ratio(entry: Mapping[str, Any]) -> str:
    """Why a ratio must not be stated; empty if it may: see ``docs/reading-a-result.md``."""
    if any(finding["severity"] == Severity.decisive for finding in entry["findings"]):
        return (
            "No likelihood ratio is stated: by a finding below, the recording is not one that the "
            "model can answer for."
        )
    if any(finding["kind"] == "not_calibrated" for finding in entry["findings"]):
        return "No likelihood ratio is stated: this model's figures are not calibrated."
    return ""


def meaning(log10_lr: float) -> str:
    """A likelihood ratio in a sentence."""
    odds = ratio(abs(log10_lr)).partition(" ")[0]
    if odds == "1":
        return "What was measured is as probable with a neural codec as without one."
    which = ("has passed", "has not passed") if log10_lr > 0 else ("has not passed", "has passed")
    return (
        f"What was measured is about {odds} times as probable if the speech {which[0]} through "
        f"such a codec as if it {which[1]} through one."
    )


def limit_words(log10_lr: float, limit: float) -> str:
    """How far a ratio may go, and what bounds it."""
    odds = ratio(limit).partition(" ")[0]
    bound = (
        f"This model states no ratio beyond {odds} in either direction (log10 {limit:g}): the "
        "recordings that it was calibrated on support no stronger statement."
    )
    return f"{bound} The ratio stands at that limit." if abs(log10_lr) >= limit else bound


def error_rates(
    performance: Mapping[str, Any] | None, entry: Mapping[str, Any] | None = None
) -> list[tuple[str, str]]:
    """Error rates that the weights state, for a recording's condition where they have it.

    Args:
        performance: of the weights: ``held_out`` with the shares ``false_alarms``, ``misses`` and
            ``inconclusive`` and the number of ``clips``, and ``conditions``, a list of such rows
            with a ``name``.
        entry: of the JSON answer; None for figures that hold for all.

    Returns:
        Where they were measured, and what they are.
    """
    if not performance:
        return []
    rows = []
    if held_out := performance.get("held_out"):
        rows.append(("Recordings from sources that the model was not trained on", held_out))
    conditions = {row["name"]: row for row in performance.get("conditions", ())}
    for why, names in _conditions(entry or {}):
        name = next((name for name in names if name in conditions), None)
        if name is not None:
            rows.append((f"The same, condition “{name}” (for: {why})", conditions[name]))
    return [(title, _rates(row)) for title, row in dict(rows).items()]


def _conditions(entry: Mapping[str, Any]) -> Iterator[tuple[str, Sequence[str]]]:
    for finding in entry.get("findings", ()):
        if finding["kind"] in FINDING_CONDITIONS:
            yield finding["kind"].replace("_", " "), FINDING_CONDITIONS[finding["kind"]]
    coding = str(entry.get("evidence", {}).get("coding", ""))
    for start, names in CODING_CONDITIONS.items():
        if coding.casefold().startswith(start):
            yield coding, names


def _rates(row: Mapping[str, Any]) -> str:
    shares = [f"{words} {100 * row[key]:.3g} %" for key, words in _RATES if key in row]
    if "clips" in row:
        shares.append(f"{row['clips']:,} clips")
    return ", ".join(shares)
