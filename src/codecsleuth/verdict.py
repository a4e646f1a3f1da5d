"""The verdicts: one table that calibration, terminal, page, figures, schema and style sheet read.

A new verdict is one row here. A verdict is a statement about signal processing, never about who
spoke or whether the speech is genuine.
"""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType
from typing import Final


@dataclass(frozen=True)
class Verdict:
    """One verdict.

    Attributes:
        name: as JSON, CSV and ``--fail-on`` have it.
        words: as people read it.
        short: the same in at most sixteen cells, for tables.
        style: how a terminal shows it (Rich).
        colour: how a page shows it, on light and on dark ground (CSS).
        neural: whether it states that neural processing made the waveform.
        states_codec: whether the codec's kind is part of the statement.
    """

    name: str
    words: str
    short: str
    style: str
    colour: tuple[str, str]
    neural: bool = False
    states_codec: bool = False


#: In the order in which tables list them.
VERDICTS: Final[tuple[Verdict, ...]] = (
    Verdict(
        "codec",
        "passed through a neural codec",
        "neural codec",
        "bold yellow",
        ("#a04a00", "#f0a860"),
        neural=True,
        states_codec=True,
    ),
    Verdict(
        "vocoder",
        "neural synthesis, no codec found",
        "neural synthesis",
        "bold magenta",
        ("#7a3a8c", "#d49be6"),
        neural=True,
    ),
    Verdict(
        "neural",
        "neural synthesis; codec or vocoder not decided",
        "neural, which?",
        "bold magenta",
        ("#8c3a5a", "#e69bb8"),
        neural=True,
    ),
    Verdict(
        "mixed",
        "parts differ: see the passages",
        "parts differ",
        "bold yellow",
        ("#8a6a00", "#e0c060"),
        neural=True,
    ),
    Verdict(
        "inconclusive",
        "inconclusive",
        "inconclusive",
        "cyan",
        ("#3a6a7a", "#8cc0d0"),
    ),
    # Neither green nor "all clear": what was not found may still be there.
    Verdict(
        "bona_fide",
        "no neural codec found",
        "none found",
        "default",
        ("#4a5560", "#b0bac4"),
    ),
)

#: What tables and counts show of a file that has no verdict.
ERROR: Final = Verdict("error", "not analysed", "not analysed", "red", ("#a01818", "#ff8a8a"))
#: All that a file may come to.
OUTCOMES: Final[tuple[Verdict, ...]] = (*VERDICTS, ERROR)
BY_NAME: Final = MappingProxyType({one.name: one for one in OUTCOMES})

CODEC, VOCODER, NEURAL, MIXED, INCONCLUSIVE, BONA_FIDE = (one.name for one in VERDICTS)


def by_name(name: str) -> Verdict:
    """The row of a verdict, or of ``error``.

    Raises:
        KeyError: there is none of that name.
    """
    return BY_NAME[name]
