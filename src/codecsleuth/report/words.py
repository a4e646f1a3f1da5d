"""The answer in words, and names made fit to be printed."""

from __future__ import annotations

from types import MappingProxyType
from typing import Final

from rich.cells import cell_len

#: Verdicts as people read them. A codec says nothing on who spoke or whether it is genuine.
VERDICT_WORDS: Final = MappingProxyType(
    {
        "codec": "passed through a neural codec",
        "bona_fide": "no neural codec found",
        "inconclusive": "inconclusive",
    }
)

AXIS_TITLES: Final = MappingProxyType(
    {
        "vq": "Vector quantisation (VQ)",
        "aux": "Auxiliary objective (AUX)",
        "dec": "Decoder domain (DEC)",
    }
)

#: log10 of the likelihood ratio from which a phrase holds: the verbal scale of the ENFSI guideline
#: for evaluative reporting in forensic science (2015).
_SUPPORT: Final = (
    (4.0, "very strong support"),
    (3.0, "strong support"),
    (2.0, "moderately strong support"),
    (1.0, "moderate support"),
    (0.301, "weak support"),
)

#: Where a drawn scale of log10 likelihood ratios ends.
SCALE_LIMIT: Final = int(_SUPPORT[0][0])

DISCLAIMER: Final = (
    "A neural codec is a fact about the recording's path, not a finding of forgery: genuine speech "
    "passes through such codecs too, and synthetic speech need not."
)


def support(log10_lr: float) -> str:
    """What a likelihood ratio means, such as "moderate support for a neural codec"."""
    strength = next((words for least, words in _SUPPORT if abs(log10_lr) >= least), "")
    if not strength:
        return "no support for either side"
    return f"{strength} for {'a' if log10_lr > 0 else 'no'} neural codec"


def ratio(log10_lr: float) -> str:
    """A likelihood ratio as odds with the larger number written out, such as ``1 : 250``."""
    larger = f"{float(f'{10 ** abs(log10_lr):.2g}'):,.10g}"
    return f"{larger} : 1" if log10_lr >= 0 else f"1 : {larger}"


def probability(value: float) -> str:
    """A probability in at most five characters that never claims certainty."""
    if value < 0.001:
        return "<.001"
    return ">.999" if value > 0.999 else f"{value:.3f}"


def text(path: str) -> str:
    """A path as valid Unicode: bytes that are not UTF-8 are written as hexadecimal escapes."""
    return path.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def printable(path: str) -> str:
    """A path that cannot disturb a terminal: control and direction characters are escaped."""
    return "".join(c if c.isprintable() else _escaped(c) for c in text(path))


def _escaped(character: str) -> str:
    return character.encode("unicode_escape").decode("ascii")


def shorten(name: str, cells: int) -> str:
    """A name of at most ``cells`` terminal cells, cut in the middle; its end tells most."""
    if cell_len(name) <= cells:
        return name
    front = _fit(name, (cells - 1) // 3)
    back = _fit(name[::-1], cells - 1 - cell_len(front))[::-1]
    return f"{front}…{back}"


def fold(name: str, cells: int) -> str:
    """A name over lines of at most ``cells``; a break at a space would hide it."""
    lines = []
    while name:
        line = _fit(name, cells)
        if len(line) < len(name):
            line = line[: _break(line)]
        lines.append(line)
        name = name[len(line) :]
    return "\n".join(lines)


def _break(line: str) -> int:
    """Where to end a full line: behind a separator in its second half, or at its end."""
    behind = max(line.rfind(separator) for separator in "/_-.") + 1
    return behind if behind > len(line) // 2 else len(line)


def _fit(name: str, cells: int) -> str:
    """The longest beginning of a name that is no wider than ``cells``."""
    width = 0
    for position, character in enumerate(name):
        width += cell_len(character)
        if width > cells:
            return name[:position]
    return name
