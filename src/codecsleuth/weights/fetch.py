"""Get published weights from the Hugging Face hub, or from a file, into the cache."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from codecsleuth.calibration import UNFITTED
from codecsleuth.errors import UsageError, WeightsError
from codecsleuth.storage import sha256_of
from codecsleuth.weights import DEFAULT_MODEL, cache, hub
from codecsleuth.weights.hub import Announce, HubFacts, HubFile, silent
from codecsleuth.weights.published import Converted, class_order, read_checkpoint
from codecsleuth.weights.registry import Published, registry
from codecsleuth.weights.store import WeightsFile

ARCHITECTURE: Final = "w2v2-aasist"


def fetch(entry: Published, *, offline: bool = False, announce: Announce = silent) -> Path:
    """Weights from the cache; if they are not there, download and convert them first.

    The file is downloaded by huggingface_hub, which resumes what was interrupted and heeds
    ``HF_ENDPOINT``, ``HF_HOME``, ``HF_TOKEN`` and ``HF_HUB_OFFLINE``. A copy in its own cache is
    taken, and left there; a file downloaded here is removed once it is converted.

    Args:
        entry: which weights.
        offline: never use the network.
        announce: told in one line what will be downloaded.

    Raises:
        WeightsError: offline and not there, the download failed, or it is not what the hub says.
    """
    with cache.locked(entry.name):
        if path := cache.cached(entry.name):
            return path
        with obtain(entry, offline, announce) as (file, declared):
            return _keep(entry, file, declared)


@contextmanager
def obtain(entry: Published, offline: bool, announce: Announce) -> Iterator[tuple[Path, HubFacts]]:
    """A published file, from the hub's own cache or downloaded.

    Raises:
        WeightsError: as `fetch` has it.
    """
    if ready := _in_hub_cache(entry):
        yield ready, _check(entry, ready, _declared_by_place(ready))
    elif offline or _hub_is_offline():
        raise WeightsError(
            f"{entry.name}: not in the cache, and offline; {_how_to_get(entry)} "
            f"({entry.gigabytes:g} GB to download)"
        )
    else:
        with download(entry, announce) as found:
            yield found


def import_file(path: Path, name: str | None = None, *, force: bool = False) -> str:
    """Convert a checkpoint at hand into the cache.

    Args:
        path: in the authors' form.
        name: to keep it under; by default that of the published file so called, or the file's own.
        force: replace weights of that name.

    Returns:
        The name.

    Raises:
        UsageError: there are weights of that name, or it is not a name.
        WeightsError: it is not a W2V2-AASIST checkpoint.
    """
    entry = next((one for one in registry().values() if one.file_name == path.name), None)
    name = name or (entry.name if entry else re.sub(r"[^a-z0-9._-]+", "-", path.stem.lower()))
    if not cache.is_name(name) or name == DEFAULT_MODEL:
        raise UsageError(f"{name!r} cannot be the name of weights; choose another with --name")
    with cache.locked(name):
        if cache.cached(name) and not force:
            raise UsageError(f"{name}: is in the cache already; --force replaces it")
        converted = read_checkpoint(path)
        published = registry().get(name)
        if published and converted.kind != published.kind:
            raise WeightsError(f"{path}: is of kind {converted.kind}; {name} is {published.kind}")
        facts = {"source": path.name, "revision": "", "sha256_of_original": sha256_of(path)}
        cache.keep(name, _weights(name, converted, facts))
    return name


def _how_to_get(entry: Published) -> str:
    if entry.name in registry():
        return f"'codecsleuth weights fetch {entry.name}' gets it where there is a network"
    return "it is had on first use where there is a network"


@contextmanager
def download(entry: Published, announce: Announce) -> Iterator[tuple[Path, HubFacts]]:
    """A published file, checked against what the hub declares, for as long as it is looked at.

    Raises:
        WeightsError: it cannot be downloaded, or is not what the hub says.
    """
    file = HubFile(entry.repository, entry.revision, entry.file)
    declared = hub.asking(entry.name, WeightsError, lambda: hub.ask(file))
    if not hub.SHA256.fullmatch(declared.digest):
        raise WeightsError(f"{entry.name}: the hub declares no sha256 for {entry.file}")
    size = f"{(declared.bytes or entry.gigabytes * 1e9) / 1e9:.3g} GB"
    announce(
        f"downloading {entry.name} ({size}) from {entry.repository} on the Hugging Face hub, "
        f"once; licence: {entry.licence}"
    )
    # Named by what it will be, so that only the same file is ever gone on with.
    arrived = cache.home() / "downloads" / f"{declared.digest}.part"
    hub.asking(entry.name, WeightsError, lambda: hub.receive(file, declared, arrived))
    try:
        yield arrived, _check(entry, arrived, declared)
    finally:
        arrived.unlink()


def _check(entry: Published, path: Path, declared: HubFacts) -> HubFacts:
    found = sha256_of(path)
    if found != declared.digest:
        raise WeightsError(
            f"{entry.name}: {path.name} has sha256 {found}, the hub declares {declared.digest}; "
            "it is not used"
        )
    return declared


def _declared_by_place(path: Path) -> HubFacts:
    """What the hub declared of a file in its own cache: ``snapshots/COMMIT/...`` links to a blob.

    The blob is named by its sha256. Where links are not possible, there is none to compare with.
    """
    parts = path.parts
    revision = parts[parts.index("snapshots") + 1] if "snapshots" in parts else ""
    blob = path.resolve().name
    return HubFacts(blob if hub.SHA256.fullmatch(blob) else sha256_of(path), revision, None)


def _in_hub_cache(entry: Published) -> Path | None:
    from huggingface_hub import try_to_load_from_cache

    found = try_to_load_from_cache(entry.repository, entry.file, revision=entry.revision)
    return Path(found) if isinstance(found, str) else None


def _hub_is_offline() -> bool:
    from huggingface_hub import constants

    return bool(constants.HF_HUB_OFFLINE)


def _keep(entry: Published, path: Path, declared: HubFacts) -> Path:
    converted = read_checkpoint(path)
    if converted.kind != entry.kind:
        raise WeightsError(f"{entry.name}: the file is of kind {converted.kind}, not {entry.kind}")
    facts = {
        "source": f"{entry.repository}/{entry.file}",
        "revision": declared.revision,
        "sha256_of_original": declared.digest,
        "licence": entry.licence,
        "balance": entry.balance,
    }
    return cache.keep(entry.name, _weights(entry.name, converted, facts))


def _weights(name: str, converted: Converted, facts: dict[str, str]) -> WeightsFile:
    return WeightsFile(
        name=name,
        version=(facts["revision"] or facts["sha256_of_original"])[:12],
        architecture=ARCHITECTURE,
        config=converted.config,
        tasks=converted.tasks,
        classes=class_order(converted.tasks),
        calibration=UNFITTED,
        training={"kind": converted.kind, **facts},
        tensors=converted.tensors,
    )
