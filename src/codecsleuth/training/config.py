"""Settings that every training run has; all of them change its result."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, ClassVar, Final

from codecsleuth.errors import UsageError
from codecsleuth.taxonomy import AXES, KINDS

_COUNTS: Final = ("steps", "batch_size", "evaluate_every", "checkpoint_every")


@dataclass(frozen=True)
class RunConfig:
    """Settings that every kind of training has.

    Attributes:
        kinds: the kinds of model that can be trained, and the tasks of each.
        tasks: one of them.
        balance: axis whose classes are drawn equally often, or None for clips as they are.
        seed: of everything random.
        steps: optimiser steps.
        batch_size: clips a step.
        evaluate_every: steps between evaluations on dev.
        checkpoint_every: steps between checkpoints.
        left_out_sources: sources that no clip is taken from.
    """

    kinds: ClassVar[Mapping[str, tuple[str, ...]]] = KINDS
    tasks: str = "M1"
    balance: str | None = None
    seed: int = 1234
    steps: int = 1_000
    batch_size: int = 64
    evaluate_every: int = 100
    checkpoint_every: int = 100
    left_out_sources: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Refuse settings that cannot be run.

        Raises:
            UsageError: with what is wrong.
        """
        if self.tasks not in self.kinds:
            known = ", ".join(self.kinds)
            raise UsageError(f"tasks {self.tasks!r}: this network is trained as one of {known}")
        if self.balance not in (None, *map(str.lower, AXES)):
            raise UsageError(f"balance is vq, aux or dec, not {self.balance!r}")
        self._refuse_below_one(*_COUNTS)

    def _refuse_below_one(self, *names: str) -> None:
        for name in names:
            if getattr(self, name) < 1:
                raise UsageError(f"{name.replace('_', ' ')} must be at least 1")

    @property
    def task_names(self) -> tuple[str, ...]:
        """Tasks that are trained."""
        return self.kinds[self.tasks]

    def to_dict(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)

    def fingerprint(self, data_sha256: str, network: dict[str, Any]) -> str:
        """Hash of all that a run's result follows from; resuming needs the same."""
        described = json.dumps([self.to_dict(), data_sha256, network], sort_keys=True)
        return hashlib.sha256(described.encode()).hexdigest()
