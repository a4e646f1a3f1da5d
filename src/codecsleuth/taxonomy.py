"""The axes of neural codec taxonomy (Chen et al., Interspeech 2025, section 3) and their classes."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

#: Classes of each task in the order of the network's logits (the order of the paper's code).
CLASSES: Final[Mapping[str, tuple[str, ...]]] = MappingProxyType(
    {
        "BIN": ("codec", "bona fide"),
        "VQ": ("Real", "MVQ", "SVQ", "SQ"),
        "AUX": ("Real", "None", "Semantic distillation", "Disentanglement"),
        "DEC": ("Real", "Time", "Frequency"),
    }
)

TASKS: Final[tuple[str, ...]] = tuple(CLASSES)
#: The three taxonomy tasks; each has ``Real`` as class 0.
AXES: Final[tuple[str, ...]] = ("VQ", "AUX", "DEC")
BIN_CODEC: Final = CLASSES["BIN"].index("codec")
BIN_BONA_FIDE: Final = CLASSES["BIN"].index("bona fide")
