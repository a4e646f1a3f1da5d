"""Which clips each step takes, and reading them ahead in worker processes."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from codecsleuth.arrays import FloatArray, IntArray, Samples
from codecsleuth.audio.windows import WINDOW_SAMPLES
from codecsleuth.data.clip_audio import read_clip
from codecsleuth.data.items import Item
from codecsleuth.errors import DataError

#: Row of a clip in the table, and the seed of its augmentation; None for the clip as it is.
Request = tuple[int, int | None]
Augment = Callable[[Samples, np.random.Generator], Samples]
_BATCHES_AHEAD = 4


@dataclass
class Draw:
    """The clips of every step; they follow from the seed and the step's number alone.

    Attributes:
        train: rows to draw from.
        batch_size: clips a step.
        seed: of everything random.
        weights: probability of each row, drawn with replacement; None to go through all rows in a
            new order each epoch, and leave out the few that fill no batch.
    """

    train: IntArray
    batch_size: int
    seed: int
    weights: FloatArray | None = None
    _epoch: tuple[int, IntArray] | None = field(default=None, init=False)

    def __call__(self, step: int) -> tuple[IntArray, list[int]]:
        """IntArray of a step and the seed of each clip's augmentation."""
        rng = np.random.default_rng((self.seed, step))
        if self.weights is None:
            rows = self._in_turn(step)
        else:
            rows = self.train[rng.choice(len(self.train), self.batch_size, p=self.weights)]
        return rows, rng.integers(0, 2**63, len(rows)).tolist()

    def _in_turn(self, step: int) -> IntArray:
        epoch, place = divmod(step, len(self.train) // self.batch_size)
        if self._epoch is None or self._epoch[0] != epoch:
            order = np.random.default_rng((self.seed, epoch, 1)).permutation(self.train)
            self._epoch = epoch, order
        return self._epoch[1][place * self.batch_size : (place + 1) * self.batch_size]


@dataclass(frozen=True)
class Requests:
    """A process's clips of each step.

    Attributes:
        draw: of the steps.
        part: of each step's batch that the process has.
        steps: their numbers.
    """

    draw: Draw
    part: slice
    steps: range

    def __iter__(self) -> Iterator[list[Request]]:
        for step in self.steps:
            rows, seeds = self.draw(step)
            yield list(zip(rows[self.part].tolist(), seeds[self.part], strict=True))


class Clips(Dataset["Samples | DataError"]):
    """Beginnings of clips, ``(WINDOW_SAMPLES,)``, augmented, short ones repeated."""

    def __init__(self, items: Sequence[Item], augment: Augment) -> None:
        self._items, self._augment = items, augment

    def __getitem__(self, request: Request) -> Samples | DataError:
        """A clip, or why there is none: an error would lose its one line on the way."""
        row, seed = request
        try:
            clip = read_clip(self._items[row])
        except DataError as error:
            return error
        if seed is not None:
            clip = self._augment(clip, np.random.default_rng(seed))
        return np.resize(clip[:WINDOW_SAMPLES], WINDOW_SAMPLES).astype(np.float32)


def read_ahead(
    clips: Clips, requests: Iterable[Sequence[Request]], workers: int, device: str
) -> Generator[Tensor]:
    """Batches ``(clips, WINDOW_SAMPLES)`` on the device, read ahead; in this process with 1 worker.

    Raises:
        DataError: a clip cannot be read, or a worker died.
    """
    processes = 0 if workers == 1 else workers
    loader: DataLoader[Samples | DataError] = DataLoader(
        clips,
        batch_sampler=requests,  # type: ignore[arg-type]
        num_workers=processes,
        prefetch_factor=_BATCHES_AHEAD if processes else None,
        collate_fn=_collate,
        pin_memory=device == "cuda",
    )
    batches = iter(loader)
    try:
        while (batch := _next(batches)) is not None:
            if isinstance(batch, DataError):
                raise batch
            yield batch.to(device, non_blocking=True)
    finally:
        # Ends the workers now, rather than when the collector comes by.
        del batches


def _next(batches: Iterator[Tensor | DataError]) -> Tensor | DataError | None:
    try:
        return next(batches, None)
    except RuntimeError as error:
        raise DataError(f"a data worker died: {error}; go on with --resume") from error


def _collate(clips: Sequence[Samples | DataError]) -> Tensor | DataError:
    read: list[Samples] = []
    for clip in clips:
        if isinstance(clip, DataError):
            return clip
        read.append(clip)
    return torch.from_numpy(np.stack(read))
