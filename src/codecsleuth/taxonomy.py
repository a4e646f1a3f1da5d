"""The axes of neural codec taxonomy (Chen et al., Interspeech 2025, section 3) and their classes.

The catalogue of codecs and of speech generation systems is the table ``taxonomy.csv`` beside this
file. A class or frame rate that is not certain is left empty there. Frame rates are those of the
published models: sampling rate over hop, of the layer that the decoder starts from.
"""

from __future__ import annotations

import csv
import difflib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from types import MappingProxyType
from typing import Any, Final

#: Classes of each task in the order of the network's logits (the order of the paper's code).
CLASSES: Final[Mapping[str, tuple[str, ...]]] = MappingProxyType(
    {
        "BIN": ("codec", "bona fide"),
        "VQ": ("Real", "MVQ", "SVQ", "SQ"),
        "AUX": ("Real", "None", "Semantic distillation", "Disentanglement"),
        "DEC": ("Real", "Time", "Frequency"),
    }
)

#: Detection classes of a model that also knows neural speech without a codec; the paper's networks
#: have the two of ``CLASSES["BIN"]``.
DETECTION: Final[tuple[str, ...]] = ("codec", "vocoder", "bona fide")
TASKS: Final[tuple[str, ...]] = tuple(CLASSES)
#: What a network says beside the tasks: which family of the catalogue a codec is of.
FAMILY: Final = "FAMILY"
#: And how much each block of statistics contributed to the logits of ``BIN``.
CONTRIBUTIONS: Final = "CONTRIBUTIONS"
#: And which share of its statistics lies beyond what training had.
OUTSIDE: Final = "OUTSIDE"
#: The three taxonomy tasks; each has ``Real`` as class 0.
AXES: Final[tuple[str, ...]] = ("VQ", "AUX", "DEC")
#: The paper's nine kinds of model and the tasks of each, in the order of the network's answer.
KINDS: Final[Mapping[str, tuple[str, ...]]] = {
    **{f"S_{task}": (task,) for task in TASKS},
    **{f"D_{axis}": ("BIN", axis) for axis in AXES},
    "M1": TASKS,
    "M2": AXES,
}
BIN_BONA_FIDE: Final = CLASSES["BIN"].index("bona fide")


@dataclass(frozen=True)
class CatalogueEntry:
    """A codec, or a system that generates speech from codec tokens.

    Attributes:
        name: the name that answers and tables use.
        kind: ``codec`` or ``system``.
        family: the published codec of which it is a version, a retraining or another setting;
            empty for a system.
        vq: class on the axis; None where it is not certain.
        aux: likewise.
        dec: likewise.
        frame_rates_hz: latent frames per second of its published models; empty if not certain.
        aliases: other spellings, the file-name suffixes of CodecFake+ among them.
    """

    name: str
    kind: str
    family: str
    vq: str | None
    aux: str | None
    dec: str | None
    frame_rates_hz: tuple[float, ...] = ()
    aliases: tuple[str, ...] = ()

    def class_name(self, axis: str) -> str | None:
        """Class on ``VQ``, ``AUX`` or ``DEC``; None where it is not certain."""
        return {"VQ": self.vq, "AUX": self.aux, "DEC": self.dec}[axis]

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {
            **vars(self),
            "frame_rates_hz": list(self.frame_rates_hz),
            "aliases": list(self.aliases),
        }


@cache
def catalogue() -> tuple[CatalogueEntry, ...]:
    """All codecs, then all systems, each by name."""
    from importlib import resources

    table = resources.files("codecsleuth").joinpath("taxonomy.csv").read_text(encoding="utf-8")
    return tuple(_entry(row) for row in csv.DictReader(table.splitlines()))


def _entry(row: Mapping[str, str]) -> CatalogueEntry:
    return CatalogueEntry(
        name=row["name"],
        kind=row["kind"],
        family=row["family"],
        vq=row["vq"] or None,
        aux=row["aux"] or None,
        dec=row["dec"] or None,
        frame_rates_hz=tuple(map(float, _items(row["frame_rates_hz"]))),
        aliases=_items(row["aliases"]),
    )


def _items(cell: str) -> tuple[str, ...]:
    return tuple(cell.split("; ")) if cell else ()


@cache
def families_by_frame_rate() -> Mapping[float, tuple[str, ...]]:
    """Each frame rate of the catalogue in hertz, lowest first, and the families that have it."""
    pairs = {(rate, entry.family): None for entry in catalogue() for rate in entry.frame_rates_hz}
    rates = sorted({rate for rate, _ in pairs})
    return {rate: tuple(family for one, family in pairs if one == rate) for rate in rates}


def find_entries(name: str) -> tuple[CatalogueEntry, ...]:
    """The entry of that name or alias; if there is none, all of the family of that name.

    Upper and lower case, spaces and punctuation make no difference.

    Returns:
        One entry, the members of a family, or none.
    """
    wanted = _plain(name)
    if exact := _by_spelling().get(wanted):
        return (exact,)
    return tuple(entry for entry in catalogue() if wanted and _plain(entry.family) == wanted)


def find_family(name: str) -> str | None:
    """The family of a codec by any of its spellings; None for a system or an unknown name."""
    families = {entry.family for entry in find_entries(name)}
    return families.pop() or None if len(families) == 1 else None


def family_class(family: str, axis: str) -> str | None:
    """Class of a family on an axis; None where its members differ or one of them is uncertain."""
    classes = {entry.class_name(axis) for entry in catalogue() if entry.family == family}
    return classes.pop() if len(classes) == 1 else None


def similar_names(name: str) -> list[str]:
    """Names in the catalogue that a misspelt one may have meant, the likeliest first."""
    spellings = _by_spelling()
    close = difflib.get_close_matches(_plain(name), spellings, n=5, cutoff=0.6)
    return list(dict.fromkeys(spellings[spelling].name for spelling in close))[:3]


@cache
def _by_spelling() -> Mapping[str, CatalogueEntry]:
    return {_plain(s): entry for entry in catalogue() for s in (entry.name, *entry.aliases)}


def _plain(name: str) -> str:
    """Letters and digits alone, with the plus sign that sets APCodec+ apart from APCodec."""
    return "".join(letter for letter in name.casefold() if letter.isalnum() or letter == "+")
