"""A small HTTP server that answers like the Hugging Face hub, for one file."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

COMMIT = "0123456789abcdef0123456789abcdef01234567"


@dataclass
class Hub:
    """What the server has, what it does wrong, and what it was asked."""

    path: str
    content: bytes
    declared_sha256: str = ""
    cut_after: int | None = None
    cuts: int = 1
    url: str = ""
    ranges: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)

    @property
    def sha256(self) -> str:
        return self.declared_sha256 or hashlib.sha256(self.content).hexdigest()


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
            if self.path == hub.path:
                self._redirect()
            elif self.path == "/storage/blob":
                self._send(body)
            else:
                self.send_response(404)
                self.send_header("Content-Length", "0")
                self.end_headers()

        def _redirect(self) -> None:
            self.send_response(302)
            # Another host, as the hub keeps large files elsewhere.
            storage = hub.url.replace("127.0.0.1", "localhost")
            self.send_header("Location", f"{storage}/storage/blob")
            self.send_header("X-Repo-Commit", COMMIT)
            self.send_header("X-Linked-Etag", f'"{hub.sha256}"')
            self.send_header("X-Linked-Size", str(len(hub.content)))
            self.send_header("Content-Length", "0")
            self.end_headers()

        def _send(self, body: bool) -> None:
            wanted = self.headers.get("Range")
            start = int(wanted.removeprefix("bytes=").split("-")[0]) if wanted else 0
            hub.ranges += [wanted] if wanted else []
            part = hub.content[start:]
            self.send_response(206 if wanted else 200)
            self.send_header("Content-Length", str(len(part)))
            self.send_header("Accept-Ranges", "bytes")
            if wanted:
                last = len(hub.content) - 1
                self.send_header("Content-Range", f"bytes {start}-{last}/{len(hub.content)}")
            self.end_headers()
            if body and hub.cut_after is not None and hub.cuts > 0:
                hub.cuts -= 1
                self.wfile.write(part[: hub.cut_after])
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
