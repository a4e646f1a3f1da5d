"""Where weights come from: the package, a file of the user's, the cache, or the hub."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Final

from codecsleuth.errors import UsageError
from codecsleuth.weights.store import WeightsFile, read_weights, write_weights

__all__ = [
    "DEFAULT_MODEL",
    "WeightsFile",
    "embedded",
    "find_weights",
    "read_weights",
    "write_weights",
]

DEFAULT_MODEL: Final = "compact"
_PACKED = Path(__file__).parent / "embedded"
_CHECKOUT = Path(__file__).parents[3] / "weights"


def find_weights(
    name_or_path: str | Path,
    *,
    offline: bool = False,
    announce: Callable[[str], None] = lambda _: None,
) -> Path:
    """The file that holds the named weights: an embedded model's name, a path, a name in the cache.

    Published weights that are not in the cache are downloaded once.

    Args:
        name_or_path: which weights.
        offline: never use the network.
        announce: told in one line what will be downloaded.

    Raises:
        UsageError: none of them exists.
        WeightsError: it cannot be downloaded.
    """
    name = str(name_or_path)
    if path := embedded(name):
        return path
    if Path(name_or_path).is_file():
        return Path(name_or_path)
    return _fetched(name, offline, announce)


def embedded(name: str) -> Path | None:
    """The file of a model that is in the package; its hash lies beside it as for ``sha256sum``."""
    if Path(name).name != name:
        return None
    files = (folder / f"{name}.safetensors" for folder in (_PACKED, _CHECKOUT))
    return next((file for file in files if file.is_file()), None)


def _fetched(name: str, offline: bool, announce: Callable[[str], None]) -> Path:
    from codecsleuth.weights.cache import cached
    from codecsleuth.weights.registry import registry

    if path := cached(name):
        return path
    if entry := registry().get(name):
        from codecsleuth.weights.fetch import fetch

        return fetch(entry, offline=offline, announce=announce)
    raise UsageError(
        f"no model named {name!r} and no such file; the embedded model is {DEFAULT_MODEL!r}, "
        "'codecsleuth weights list' shows the others"
    )
