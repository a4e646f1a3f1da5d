"""Get CodecFake+ from the Hugging Face hub: labels and archives, checked and unpacked."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any, Final

from codecsleuth.data.codecfake.sets import ARCHIVES, LABEL_FILES, MARKER, REPOSITORY
from codecsleuth.data.codecfake.unpack import Advance, unpack
from codecsleuth.errors import DataError
from codecsleuth.storage import write_atomically
from codecsleuth.weights import hub
from codecsleuth.weights.hub import Announce, HubFacts, HubFile, silent

#: No commit is stated anywhere; the one met first is kept to until all is there.
REVISION: Final = "main"
#: Files whose content is known.
SHA256: Final[Mapping[str, str]] = {
    "CoRS_labels.txt": "78d2cc2784188fecd8c082c9a180593ff7b60cf89672e6b1a5b37aae4c26bd08"
}
SUBSETS: Final = tuple(LABEL_FILES)

#: Told of a step and its total in bytes; gives what to tell of progress.
Watch = Callable[[str, int], AbstractContextManager[Advance]]


def _unwatched(_step: str, _total: int) -> AbstractContextManager[Advance]:
    return nullcontext(lambda _: None)


def fetch_codecfake(
    out: Path,
    subsets: Sequence[str] = SUBSETS,
    *,
    announce: Announce = silent,
    watch: Watch = _unwatched,
) -> Path:
    """Download, check and unpack the release; what is there already is kept.

    An interrupted download goes on where it stopped, and so does unpacking. ``MARKER`` in the
    folder says which subsets are complete, and of which commit.

    Args:
        out: the folder; it is then what ``--data`` takes.
        subsets: ``CoRS``, ``CoSG``.
        announce: told in one line what is done.
        watch: shows the progress of unpacking.

    Returns:
        The folder.

    Raises:
        DataError: a download failed or is not what it should be, or the disk is too small.
    """
    from filelock import FileLock

    out.mkdir(parents=True, exist_ok=True)
    with FileLock(out / f"{MARKER}.lock"):
        for subset in subsets:
            state = _state(out)
            if subset in state["complete"]:
                announce(f"{subset} is in {out} already")
                continue
            _fetch_subset(out, subset, state, announce, watch)
    return out


def _fetch_subset(
    out: Path, subset: str, state: dict[str, Any], announce: Announce, watch: Watch
) -> None:
    # A branch may move on; all files are to be of one commit.
    first = HubFile(REPOSITORY, state["revision"], LABEL_FILES[subset], "dataset")
    state["revision"] = _ask(first).revision
    _keep_state(out, state)
    names = (LABEL_FILES[subset], *ARCHIVES[subset])
    files = [HubFile(REPOSITORY, state["revision"], name, "dataset") for name in names]
    declared = [_ask(file) for file in files]
    _check_disk(out, declared)
    total = sum(one.bytes or 0 for one in declared) / 1e9
    announce(f"downloading {subset} ({total:.3g} GB) from {REPOSITORY} on the Hugging Face hub")
    labels, *archive = [_obtain(*pair, out) for pair in zip(files, declared, strict=True)]
    announce(f"unpacking {subset} into {out}")
    with watch(f"unpacking {subset}", sum(part.stat().st_size for part in archive)) as advance:
        clips = unpack(archive, out, advance)
    labels.replace(out / LABEL_FILES[subset])
    state["complete"] = sorted({*state["complete"], subset})
    _keep_state(out, state)
    for part in archive:
        part.unlink()
    announce(f"{subset}: {clips} files in {out}")


def _ask(file: HubFile) -> HubFacts:
    declared = hub.asking(file.name, DataError, lambda: hub.ask(file))
    known = SHA256.get(file.name, declared.digest)
    if declared.digest != known:
        raise DataError(
            f"{file.name}: the hub declares sha256 {declared.digest}, not the {known} that this "
            "version knows; it is not downloaded"
        )
    return declared


def _obtain(file: HubFile, declared: HubFacts, out: Path) -> Path:
    """A file in the folder of downloads; it has its name there once its hash is right."""
    path = out / "downloads" / file.name
    if path.is_file():
        return path
    # Named by what it will be, so that only the same file is ever gone on with.
    arrived = path.with_name(f"{declared.digest}.part")
    hub.asking(file.name, DataError, lambda: hub.receive(file, declared, arrived))
    found = hub.digest_of(arrived, declared.digest)
    if found != declared.digest:
        arrived.unlink()
        raise DataError(
            f"{file.name}: what arrived has hash {found}, the hub declares {declared.digest}; "
            "it is not used, and the next try begins anew"
        )
    return arrived.replace(path)


def _check_disk(out: Path, declared: Sequence[HubFacts]) -> None:
    downloads = (out / "downloads").glob("*")
    needed = sum(one.bytes or 0 for one in declared) - sum(f.stat().st_size for f in downloads)
    free = shutil.disk_usage(out).free
    if needed > free:
        raise DataError(
            f"{out}: {needed / 1e9:.1f} GB are still to be downloaded, and {free / 1e9:.1f} GB are "
            "free; unpacking needs more"
        )


def _state(out: Path) -> dict[str, Any]:
    try:
        content = json.loads((out / MARKER).read_text(encoding="utf-8"))
        return {"revision": str(content["revision"]), "complete": list(content["complete"])}
    except FileNotFoundError:
        return {"revision": REVISION, "complete": []}
    except (ValueError, KeyError, TypeError) as error:
        raise DataError(f"{out / MARKER}: not readable; remove it to begin anew") from error


def _keep_state(out: Path, state: Mapping[str, Any]) -> None:
    write_atomically(out / MARKER, f"{json.dumps(state)}\n".encode())
