"""The engine of this machine: threads that read files, and threads that compute windows."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, Final

from codecsleuth.audio.decode import open_stream
from codecsleuth.audio.isolation import AVAILABLE, DecoderPool
from codecsleuth.audio.windows import Window
from codecsleuth.errors import AudioError
from codecsleuth.inference.answer import Result
from codecsleuth.inference.compute import available_cores
from codecsleuth.inference.engine import Input, score_one
from codecsleuth.inference.model import Mapper, Model
from codecsleuth.inference.raw import WindowLogits

_AHEAD_PER_WORKER: Final = 16


def _decoders() -> DecoderPool | None:
    return DecoderPool() if AVAILABLE else None


@dataclass(frozen=True)
class LocalEngine:
    """Scores on this machine; see `codecsleuth.inference.engine.Engine`.

    Attributes:
        workers: files, and windows, in work at a time; None for as many as there are cores. The
            results do not depend on it.
        decoders: processes that decode, so that a crash there costs one file; None to decode in
            this process.
    """

    workers: int | None = None
    decoders: DecoderPool | None = field(default_factory=_decoders)

    def score(self, model: Model, inputs: Iterable[Input]) -> Iterator[Result]:
        """Analyse recordings; one result per input, in the order of the inputs."""
        workers = self.workers or available_cores()
        stop = threading.Event()
        with ThreadPoolExecutor(workers) as network, ThreadPoolExecutor(workers) as readers:
            mapper = _cancellable(network, stop)
            decoder = open_stream if self.decoders is None else self.decoders.open_stream

            def score(given: Input) -> Result:
                return score_one(model, given, mapper, decoder)

            try:
                yield from in_order(readers, score, inputs, workers * _AHEAD_PER_WORKER)
            finally:
                stop.set()
                readers.shutdown(cancel_futures=True)
                if self.decoders is not None:
                    self.decoders.close()


def _cancellable(pool: Executor, stop: threading.Event) -> Mapper:
    """Map over a pool, until the event is set."""

    def mapper(
        score: Callable[[Sequence[Window]], list[WindowLogits]],
        groups: Iterable[Sequence[Window]],
    ) -> Any:
        if stop.is_set():
            raise AudioError("cancelled", "stopped before it was analysed")
        return pool.map(score, groups)

    return mapper


def in_order(
    pool: Executor, job: Callable[[Input], Result], inputs: Iterable[Input], ahead: int
) -> Iterator[Result]:
    """Results in the order of the inputs, of which a few are always in work.

    Args:
        pool: that works.
        job: what it does with each input.
        inputs: taken as results are fetched.
        ahead: how many are in work, or done and not yet fetched.
    """
    remaining = iter(inputs)
    pending: deque[Future[Result]] = deque()
    pending.extend(pool.submit(job, given) for given in islice(remaining, ahead))
    while pending:
        yield pending.popleft().result()
        pending.extend(pool.submit(job, given) for given in islice(remaining, 1))
