"""A process that decodes files for another one, so that a crash in native code costs one file.

    python -m codecsleuth.audio.decoder_worker SOCKET MEMORY

Started by `codecsleuth.audio.isolation`; SOCKET is the number of an inherited descriptor, MEMORY
the bytes of address space that it may use.
"""

from __future__ import annotations

import json
import os
import select
import signal
import socket
import sys
from contextlib import suppress
from typing import Any, Final

import numpy as np

from codecsleuth.audio import messages
from codecsleuth.audio.decode import Stream, open_stream
from codecsleuth.audio.source import Source
from codecsleuth.errors import AudioError

_MOST_DESCRIPTORS: Final = 1


def main() -> None:
    """Serve until the other side is gone."""
    number, memory = map(int, sys.argv[1:3])
    # Ctrl-C in a terminal goes to every process; the one that asks decides when to end.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _limit_memory(memory)
    with socket.socket(fileno=number) as peer, suppress(messages.ClosedError):
        while True:
            _serve(peer)


def _limit_memory(limit: int) -> None:
    import resource

    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    with suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def _serve(peer: socket.socket) -> None:
    """Decode one file."""
    content, descriptors, _, _ = socket.recv_fds(peer, 1 << 16, _MOST_DESCRIPTORS)
    if not content:
        raise messages.ClosedError
    if not descriptors:  # a STOP that came when all was sent
        messages.send(peer, messages.IDLE)
        return
    asked = json.loads(content)
    source = Source(descriptors[0], asked["sha256"], asked["bytes"], copied=True)
    try:
        with open_stream(source, asked["track"]) as stream:
            messages.send_values(peer, messages.HEAD, _facts(stream))
            done = _send_blocks(peer, stream)
        messages.send(peer, messages.DONE if done else messages.IDLE)
    except AudioError as error:
        _fail(peer, error.kind, str(error))
    except MemoryError:
        _fail(peer, "memory", "needs more memory to be decoded than is allowed")
    except messages.ClosedError:
        raise
    except Exception as error:
        _fail(peer, "internal", f"unexpected {type(error).__name__}: {error}")
    finally:
        os.close(source.descriptor)


def _send_blocks(peer: socket.socket, stream: Stream) -> bool:
    """Send the audio; False if the other side does not want the rest."""
    for block in stream.blocks:
        messages.send(peer, messages.DATA, np.ascontiguousarray(block, np.float32).tobytes())
        if select.select([peer], [], [], 0)[0]:
            messages.receive(peer)
            return False
    return True


def _facts(stream: Stream) -> dict[str, Any]:
    return {
        "sample_rate": stream.sample_rate,
        "channels": stream.channels,
        "container": stream.container,
        "coding": stream.coding,
        "decoder": stream.decoder,
        "declared_frames": stream.declared_frames,
        "findings": [finding.to_dict() for finding in stream.findings],
    }


def _fail(peer: socket.socket, kind: str, message: str) -> None:
    messages.send_values(peer, messages.FAIL, {"kind": kind, "message": message})


if __name__ == "__main__":
    main()
