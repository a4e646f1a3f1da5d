"""The answer in words."""

from __future__ import annotations

from types import MappingProxyType
from typing import Final

from codecsleuth.audio.facts import WHOLE, Excerpt

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


def support(log10_lr: float, what: str = "neural codec") -> str:
    """What a likelihood ratio means, such as "moderate support for a neural codec"."""
    strength = next((words for least, words in _SUPPORT if abs(log10_lr) >= least), "")
    if not strength:
        return "no support for either side"
    article = "a " if what == "neural codec" else ""
    return f"{strength} for {article if log10_lr > 0 else 'no '}{what}"


def ratio(log10_lr: float) -> str:
    """A likelihood ratio as odds with the larger number written out, such as ``1 : 250``."""
    larger = f"{float(f'{10 ** abs(log10_lr):.2g}'):,.10g}"
    return f"{larger} : 1" if log10_lr >= 0 else f"1 : {larger}"


def excerpt(part: Excerpt) -> str:
    """Which part of a recording, such as ``from 1 to 3.5 s, channel 2``; empty for the whole."""
    pieces = []
    if part.end_s is not None:
        pieces.append(f"from {part.start_s:g} to {part.end_s:g} s")
    elif part.start_s != WHOLE.start_s:
        pieces.append(f"from {part.start_s:g} s")
    if part.channel is not None:
        pieces.append(f"channel {part.channel}")
    if part.track != WHOLE.track:
        pieces.append(f"track {part.track}")
    return ", ".join(pieces)


def probability(value: float) -> str:
    """A probability in at most five characters that never claims certainty."""
    if value < 0.001:
        return "<.001"
    return ">.999" if value > 0.999 else f"{value:.3f}"


def clock(seconds: float) -> str:
    """A time in a recording: ``0:04.5``, ``1:02:03``."""
    whole, tenths = divmod(round(seconds * 10), 10)
    minutes, second = divmod(whole, 60)
    hours, minute = divmod(minutes, 60)
    part = f".{tenths}" if tenths else ""
    return f"{hours}:{minute:02}:{second:02}{part}" if hours else f"{minute}:{second:02}{part}"
