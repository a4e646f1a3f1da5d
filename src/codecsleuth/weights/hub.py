"""Files on the Hugging Face hub: what it declares of them, downloads that go on, hash checks."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Final, TypeVar

from codecsleuth.errors import CodecsleuthError
from codecsleuth.version import __version__

Announce = Callable[[str], None]
SHA256: Final = re.compile(r"[0-9a-f]{64}")
_GIT_BLOB: Final = re.compile(r"[0-9a-f]{40}")
_CHUNK: Final = 1 << 20

T = TypeVar("T")


def silent(_: str) -> None:
    """Announce nothing."""


@dataclass(frozen=True)
class HubFile:
    """A file on the hub.

    Attributes:
        repository: such as ``CodecFake/CodecFake_Source_Tracing``.
        revision: a commit, or a branch.
        path: in the repository.
        kind: of the repository, ``model`` or ``dataset``.
    """

    repository: str
    revision: str
    path: str
    kind: str = "model"

    @property
    def name(self) -> str:
        """The last part of the path."""
        return PurePosixPath(self.path).name

    @property
    def url(self) -> str:
        """Where it is downloaded from."""
        from huggingface_hub import hf_hub_url

        return hf_hub_url(self.repository, self.path, repo_type=self.kind, revision=self.revision)


@dataclass(frozen=True)
class HubFacts:
    """What the hub says of a file before it is downloaded.

    Attributes:
        digest: its sha256; of a small file that is kept in Git itself, Git's name for its content.
        revision: the commit.
        bytes: its size; None if not stated.
    """

    digest: str
    revision: str
    bytes: int | None


def ask(file: HubFile) -> HubFacts:
    """What the hub declares of a file.

    Raises:
        ValueError: it declares no hash.
        Exception: those of whichever HTTP library the installed version uses.
    """
    from huggingface_hub import get_hf_file_metadata

    facts = get_hf_file_metadata(file.url, headers=_headers())
    digest = facts.etag or ""
    if not (SHA256.fullmatch(digest) or _GIT_BLOB.fullmatch(digest)):
        raise ValueError(f"the hub declares no sha256 for {file.path}")
    return HubFacts(digest, facts.commit_hash or file.revision, facts.size)


def receive(file: HubFile, declared: HubFacts, arrived: Path) -> None:
    """Download what is missing of a file.

    `hf_hub_download` begins anew in every process (huggingface_hub 2), so its inner part is used,
    which goes on from a given place.
    """
    from huggingface_hub.file_download import http_get

    arrived.parent.mkdir(parents=True, exist_ok=True)
    with arrived.open("ab") as part:
        if part.tell() == declared.bytes:
            return
        http_get(
            file.url,
            part,
            resume_size=part.tell(),
            headers=_headers(),
            expected_size=declared.bytes,
            displayed_filename=file.name,
        )


def digest_of(path: Path, like: str) -> str:
    """Hash of a file, of the kind that another hash is of; see `HubFacts`."""
    digest = hashlib.sha256()
    if not SHA256.fullmatch(like):
        digest = hashlib.sha1(f"blob {path.stat().st_size}\0".encode(), usedforsecurity=False)
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


def asking(name: str, error_class: type[CodecsleuthError], question: Callable[[], T]) -> T:
    """Call the hub and turn whatever goes wrong into one line about ``name``."""
    try:
        return question()
    except CodecsleuthError:
        raise
    except Exception as error:
        reason = next(iter(str(error).strip().splitlines()), "") or type(error).__name__
        raise error_class(
            f"{name}: cannot be downloaded from the Hugging Face hub: {reason[:200]}; "
            "what has arrived is kept, and the next try goes on from there"
        ) from error


def _headers() -> dict[str, str]:
    """Who asks, with the user's token if there is one."""
    from huggingface_hub.utils import build_hf_headers  # type: ignore[attr-defined]

    return build_hf_headers(library_name="codecsleuth", library_version=__version__)
