"""A small HTTP server that answers like the Hugging Face hub, for one file, or for several."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

COMMIT = "0123456789abcdef0123456789abcdef01234567"


@dataclass
class Hub:
    """What the server has, what it does wrong, and what it was asked.

    ``others`` are more files by their paths; those of ``in_git`` are kept as the hub keeps small
    text, without a sha256.
    """

    path: str
    content: bytes
    others: dict[str, bytes] = field(default_factory=dict)
    in_git: frozenset[str] = frozenset()
    declared_sha256: str = ""
    cut_after: int | None = None
    cuts: int = 1
    url: str = ""
    ranges: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)

    @property
    def sha256(self) -> str:
        return self.declared_sha256 or hashlib.sha256(self.content).hexdigest()

    @property
    def files(self) -> dict[str, bytes]:
        return {self.path: self.content, **self.others}


def ask_only(hub: Hub, monkeypatch: pytest.MonkeyPatch, cache: Path) -> None:
    """Let huggingface_hub ask this server, in small pieces and without waiting between tries."""
    from huggingface_hub import constants, file_download

    template = hub.url + "/{repo_id}/resolve/{revision}/{filename}"
    monkeypatch.setattr(constants, "ENDPOINT", hub.url)
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
    monkeypatch.setattr(constants, "DOWNLOAD_CHUNK_SIZE", 1000)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(cache))
    monkeypatch.setattr(file_download.time, "sleep", lambda _: None)


@contextmanager
def serve(hub: Hub) -> Iterator[Hub]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_HEAD(self) -> None:
            self._answer(body=False)

        def do_GET(self) -> None:
            self._answer(body=True)

        def _answer(self, body: bool) -> None:
            hub.requests.append(f"{self.command} {self.path}")
            name = self.path.removeprefix("/storage")
            if name not in hub.files:
                self.send_response(404)
                self.send_header("Content-Length", "0")
                self.end_headers()
            elif name != self.path or name in hub.in_git:
                self._send(name, body)
            else:
                self._redirect(name)

        def _redirect(self, name: str) -> None:
            content = hub.files[name]
            digest = hub.sha256 if name == hub.path else hashlib.sha256(content).hexdigest()
            self.send_response(302)
            # Another host, as the hub keeps large files elsewhere.
            storage = hub.url.replace("127.0.0.1", "localhost")
            self.send_header("Location", f"{storage}/storage{name}")
            self.send_header("X-Repo-Commit", COMMIT)
            self.send_header("X-Linked-Etag", f'"{digest}"')
            self.send_header("X-Linked-Size", str(len(content)))
            self.send_header("Content-Length", "0")
            self.end_headers()

        def _send(self, name: str, body: bool) -> None:
            content = hub.files[name]
            wanted = self.headers.get("Range")
            start = int(wanted.removeprefix("bytes=").split("-")[0]) if wanted else 0
            hub.ranges += [wanted] if wanted else []
            part = content[start:]
            self.send_response(206 if wanted else 200)
            self.send_header("Content-Length", str(len(part)))
            self.send_header("Accept-Ranges", "bytes")
            if wanted:
                last = len(content) - 1
                self.send_header("Content-Range", f"bytes {start}-{last}/{len(content)}")
            if name in hub.in_git:
                blob = hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()
                self.send_header("ETag", f'"{blob}"')
                self.send_header("X-Repo-Commit", COMMIT)
            self.end_headers()
            if body and name == hub.path and hub.cut_after is not None and hub.cuts > 0:
                hub.cuts -= 1
                self.wfile.write(content[start : hub.cut_after])
                self.close_connection = True
            elif body:
                self.wfile.write(part)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    hub.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
