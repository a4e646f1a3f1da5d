"""Decoding in other processes, which are used again and replaced when they crash or hang."""

from __future__ import annotations

import json
import os
import queue
import socket
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np

from codecsleuth.arrays import Samples
from codecsleuth.audio import messages
from codecsleuth.audio.decode import Stream
from codecsleuth.audio.source import Source
from codecsleuth.errors import AudioError
from codecsleuth.findings import Finding

#: Whether this system can hand an open file to another process.
AVAILABLE: Final = hasattr(socket, "send_fds")
WORKER: Final = (sys.executable, "-m", "codecsleuth.audio.decoder_worker")


@dataclass(frozen=True)
class Limits:
    """What a decoder may take.

    Attributes:
        memory: bytes of address space.
        silence_s: seconds without a block after which it counts as hung.
        audio_s: seconds of audio that a file may hold.
    """

    memory: int = 2 << 30
    silence_s: float = 30.0
    audio_s: float = 48 * 3600.0


class _Worker:
    """A decoding process and the socket to it."""

    def __init__(self, command: Sequence[str], limits: Limits) -> None:
        self.socket, theirs = socket.socketpair()
        self.socket.settimeout(limits.silence_s)
        with theirs:
            number = theirs.fileno()
            self._process = subprocess.Popen(
                [*command, str(number), str(limits.memory)],
                pass_fds=[number],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                env={**os.environ, "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"},
            )

    def end(self) -> None:
        """End it, whatever it does."""
        self.socket.close()
        self._process.kill()
        self._process.wait()


@dataclass
class DecoderPool:
    """Decodes files in as many other processes as are asked for at the same time.

    Attributes:
        limits: of each process.
        command: that starts a process.
    """

    limits: Limits = field(default_factory=Limits)
    command: Sequence[str] = WORKER
    _idle: queue.SimpleQueue[_Worker] = field(default_factory=queue.SimpleQueue)

    def start(self, count: int) -> None:
        """Start processes ahead of their first file."""
        for _ in range(count):
            self._idle.put(_Worker(self.command, self.limits))

    def close(self) -> None:
        """End all processes that wait for a file."""
        with suppress(queue.Empty):
            while True:
                self._idle.get_nowait().end()

    @contextmanager
    def open_stream(self, source: Source, track: int = 1) -> Iterator[Stream]:
        """As `codecsleuth.audio.decode.open_stream`, in another process.

        Raises:
            AudioError: as there; and ``crashed`` or ``timeout`` of a process that did.
        """
        worker = self._take()
        try:
            facts = self._ask(worker, source, track)
            reader = _Blocks(worker, int(facts["channels"]), int(facts["sample_rate"]), self.limits)
            try:
                yield _stream(facts, reader)
            finally:
                reader.stop()
        except BaseException as error:
            if isinstance(error, AudioError) and error.kind not in _FATAL:
                self._idle.put(worker)
            else:
                worker.end()
            raise
        self._idle.put(worker)

    def _take(self) -> _Worker:
        try:
            return self._idle.get_nowait()
        except queue.Empty:
            return _Worker(self.command, self.limits)

    def _ask(self, worker: _Worker, source: Source, track: int) -> dict[str, Any]:
        asked = {"sha256": source.sha256, "bytes": source.bytes, "track": track}
        os.lseek(source.descriptor, 0, os.SEEK_SET)
        try:
            socket.send_fds(worker.socket, [json.dumps(asked).encode()], [source.descriptor])
        except OSError as error:
            raise _crashed() from error
        kind, content = _receive(worker, self.limits)
        if kind != messages.HEAD:
            raise _failure(kind, content)
        facts: dict[str, Any] = json.loads(content)
        return facts


#: Errors after which a process is not used again.
_FATAL: Final = ("crashed", "timeout", "memory", "internal", "too_long")


class _Blocks:
    """Blocks as a process sends them."""

    def __init__(self, worker: _Worker, channels: int, rate: int, limits: Limits) -> None:
        self._worker, self._channels, self._limits = worker, channels, limits
        self._left = round(limits.audio_s * rate)
        self._done = False

    def __iter__(self) -> Iterator[Samples]:
        while (block := self._next()) is not None:
            yield block

    def _next(self) -> Samples | None:
        kind, content = _receive(self._worker, self._limits)
        if kind == messages.DATA:
            block = np.frombuffer(content, np.float32).reshape(-1, self._channels)
            self._left -= len(block)
            if self._left < 0:
                hours = self._limits.audio_s / 3600
                raise AudioError("too_long", f"more than {hours:g} hours of audio; cut it first")
            return block
        self._done = True
        if kind == messages.DONE:
            return None
        raise _failure(kind, content)

    def stop(self) -> None:
        """Leave what is not read; the process is ready for another file afterwards."""
        if self._done:
            return
        self._done = True
        try:
            messages.send(self._worker.socket, messages.STOP)
        except messages.ClosedError as error:
            raise _crashed() from error
        while _receive(self._worker, self._limits)[0] != messages.IDLE:
            pass


def _receive(worker: _Worker, limits: Limits) -> tuple[bytes, bytearray]:
    worker.socket.settimeout(limits.silence_s)
    try:
        return messages.receive(worker.socket)
    except TimeoutError as error:
        message = f"the decoder gave nothing for {limits.silence_s:g} s and was stopped"
        raise AudioError("timeout", message) from error
    except messages.ClosedError as error:
        raise _crashed() from error


def _crashed() -> AudioError:
    return AudioError("crashed", "the decoder crashed on this file; it may be made to do so")


def _failure(kind: bytes, content: bytearray) -> AudioError:
    if kind != messages.FAIL:
        return _crashed()
    stated = json.loads(content)
    return AudioError(str(stated["kind"]), str(stated["message"]))


def _stream(facts: dict[str, Any], blocks: _Blocks) -> Stream:
    """The stream that a process described."""
    findings = tuple(Finding(**one) for one in facts.pop("findings"))
    return Stream(blocks=iter(blocks), findings=findings, **facts)
