"""What the process that decodes and the one that asks say to each other over a socket.

A message is four letters, a length, and that many bytes: JSON, or samples as they are in memory.
Nothing is unpickled: whoever takes over a decoder cannot make the other side run code.
"""

from __future__ import annotations

import json
import socket
import struct
from typing import Any, Final

_HEADER: Final = struct.Struct("<4sQ")
#: Longest message that is taken; a block of audio is far shorter.
_LONGEST: Final = 1 << 28

#: The asking side: decode this track of the file whose descriptor comes along; stop.
OPEN, STOP = b"OPEN", b"STOP"
#: The decoding side: facts of the stream, a block of samples, all is sent, an error, the answer to
#: every STOP.
HEAD, DATA, DONE, FAIL, IDLE = b"HEAD", b"DATA", b"DONE", b"FAIL", b"IDLE"


class ClosedError(Exception):
    """The other side is gone."""


def send(to: socket.socket, kind: bytes, content: bytes | memoryview = b"") -> None:
    """Send a message.

    Raises:
        ClosedError: nobody is there to take it.
    """
    try:
        to.sendall(_HEADER.pack(kind, len(content)))
        if len(content):
            to.sendall(content)
    except (BrokenPipeError, ConnectionError) as error:
        raise ClosedError from error


def send_values(to: socket.socket, kind: bytes, values: Any) -> None:
    """Send a message of plain values."""
    send(to, kind, json.dumps(values).encode())


def receive(source: socket.socket) -> tuple[bytes, bytearray]:
    """The next message: its kind and content.

    Raises:
        ClosedError: the other side is gone, or sends what is no message.
        TimeoutError: nothing came for as long as the socket's timeout.
    """
    kind, length = _HEADER.unpack(_exactly(source, _HEADER.size))
    if length > _LONGEST:
        raise ClosedError
    return kind, _exactly(source, length)


def _exactly(source: socket.socket, count: int) -> bytearray:
    content = bytearray(count)
    view, place = memoryview(content), 0
    while place < count:
        try:
            got = source.recv_into(view[place:])
        except ConnectionError as error:
            raise ClosedError from error
        if not got:
            raise ClosedError
        place += got
    return content
