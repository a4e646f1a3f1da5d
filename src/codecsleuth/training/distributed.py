"""Training in several processes, as ``torchrun`` starts them, with the result of a single one."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TypeVar, cast

import torch
from torch import Tensor, distributed, nn

from codecsleuth.errors import UsageError

Value = TypeVar("Value")


@dataclass(frozen=True)
class Group:
    """The processes of a run, each with an even share of every batch.

    Attributes:
        rank: this process's number.
        size: how many there are.
    """

    rank: int = 0
    size: int = 1

    @property
    def writes(self) -> bool:
        """Whether this process is the one that writes files."""
        return self.rank == 0

    def part(self, count: int) -> slice:
        """This process's part of a batch.

        Raises:
            UsageError: it cannot be dealt evenly.
        """
        if count % self.size:
            raise UsageError(f"a batch of {count} clips cannot be dealt to {self.size} processes")
        size = count // self.size
        return slice(self.rank * size, (self.rank + 1) * size)

    def gather(self, value: Value) -> list[Value]:
        """What each process gives, by rank."""
        gathered: list[Value | None] = [value] * self.size
        if self.size > 1:
            distributed.all_gather_object(gathered, value)
        return cast("list[Value]", gathered)

    def sum(self, values: Tensor) -> Tensor:
        """The sum over processes."""
        if self.size > 1:
            distributed.all_reduce(values)
        return values


def started_processes() -> int:
    """How many processes ``torchrun`` started; 1 without it."""
    return int(os.environ.get("WORLD_SIZE", "1")) if "RANK" in os.environ else 1


@contextmanager
def joined(device: str) -> Iterator[Group]:
    """Join the processes that ``torchrun`` started, each on a GPU of its own.

    Args:
        device: ``cuda`` (NCCL) or ``cpu`` (Gloo).

    Raises:
        UsageError: there are more processes on this machine than GPUs.
    """
    if started_processes() == 1:
        yield Group()
        return
    if device == "cuda":
        number, gpus = int(os.environ.get("LOCAL_RANK", "0")), torch.cuda.device_count()
        if number >= gpus:
            raise UsageError(f"process {number + 1} of this machine has no GPU; there are {gpus}")
        torch.cuda.set_device(number)
    distributed.init_process_group("nccl" if device == "cuda" else "gloo")
    # Left as it is after an error: the other processes may never come to an end together.
    yield Group(distributed.get_rank(), distributed.get_world_size())
    distributed.destroy_process_group()


@dataclass
class BatchPosition:
    """Where a process's clips are in the batch of the step, and the seed of dropout.

    Attributes:
        seed: of the step.
        batch: clips of the step, in all processes.
        rows: this process's.
        calls: how often dropout was applied to them.
    """

    seed: int = 0
    batch: int = 0
    rows: slice = field(default_factory=lambda: slice(0))
    calls: int = 0

    def move(self, seed: int, batch: int, rows: slice) -> None:
        """Go on to other clips."""
        self.seed, self.batch, self.rows, self.calls = seed, batch, rows, 0


class SharedDropout(nn.Module):
    """Dropout of ``(clips, ...)`` that is the same for a clip in whatever process it is."""

    def __init__(self, share: float, position: BatchPosition) -> None:
        super().__init__()
        self.share, self.position = share, position

    def forward(self, values: Tensor) -> Tensor:
        """Same shape out as in."""
        if not self.training:
            return values
        position, device = self.position, values.device
        generator = torch.Generator(device).manual_seed(position.seed + position.calls)
        position.calls += 1
        shape = (position.batch, *values.shape[1:])
        drawn = torch.rand(shape, generator=generator, device=device)[position.rows]
        return values * (drawn >= self.share) / (1.0 - self.share)


def share_dropout(network: nn.Module) -> BatchPosition:
    """Replace every dropout of a network by one that follows from the position returned."""
    position = BatchPosition()
    for module in list(network.modules()):
        for name, child in module.named_children():
            if isinstance(child, nn.Dropout) and child.p:
                setattr(module, name, SharedDropout(child.p, position))
    return position
