"""Where weights come from: embedded in the package, or a file of the user's."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from codecsleuth.errors import WeightsError
from codecsleuth.weights.store import WeightsFile, read_weights, write_atomically, write_weights

__all__ = [
    "DEFAULT_MODEL",
    "WeightsFile",
    "find_weights",
    "read_weights",
    "write_atomically",
    "write_weights",
]

DEFAULT_MODEL: Final = "compact"
_PACKED = Path(__file__).parent / "embedded"
_CHECKOUT = Path(__file__).parents[3] / "weights"


def find_weights(name_or_path: str | Path) -> Path:
    """The file that holds the named weights: an embedded model's name, or a path.

    Raises:
        WeightsError: neither exists.
    """
    for folder in (_PACKED, _CHECKOUT):
        embedded = folder / f"{name_or_path}.safetensors"
        if Path(name_or_path).name == str(name_or_path) and embedded.is_file():
            return embedded
    if Path(name_or_path).is_file():
        return Path(name_or_path)
    raise WeightsError(
        f"no model named {str(name_or_path)!r} and no such file; "
        f"the embedded model is {DEFAULT_MODEL!r}"
    )
