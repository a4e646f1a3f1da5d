"""What a training run is: every setting that changes its result."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, field
from typing import Any, Final

from codecsleuth.data.augment import Augmentation
from codecsleuth.errors import UsageError
from codecsleuth.taxonomy import TASKS

#: Tasks of the paper's kinds of model (Chen et al. 2025, section 4) that the compact model takes.
TASK_SETS: Final[dict[str, tuple[str, ...]]] = {
    "M1": TASKS,
    **{f"S_{task}": (task,) for task in TASKS},
    **{f"D_{axis}": ("BIN", axis) for axis in TASKS[1:]},
}


@dataclass(frozen=True)
class TrainingConfig:
    """Settings of a training run.

    Attributes:
        tasks: key of `TASK_SETS`.
        balance: axis whose classes are drawn equally often, or None for codecs and sources alone.
        seed: of everything random.
        views: augmented versions of every clip that are rendered once and drawn from.
        steps: optimiser steps.
        batch_size: clips a step.
        learning_rate: peak of the one-cycle schedule.
        warm_up: share of the steps that it rises in.
        weight_decay: of AdamW.
        mixup: alpha of the Beta distribution that features and labels are mixed by; 0 for none.
        label_smoothing: of the cross-entropy.
        axis_weight: weight of each taxonomy task's loss; BIN has 1.
        bona_fide_share: share of bona fide clips in a batch.
        evenness: of the draw over sources and codecs, see `sampling_weights`.
        average: decay a step of the running average of the weights that is evaluated and kept.
        evaluate_every: steps between evaluations on dev.
        checkpoint_every: steps between checkpoints.
        left_out_sources: sources that no clip is taken from.
        augmentation: how the views are made.
    """

    tasks: str = "M1"
    balance: str | None = None
    seed: int = 1234
    views: int = 8
    steps: int = 1_000
    batch_size: int = 64
    learning_rate: float = 2e-3
    warm_up: float = 0.15
    weight_decay: float = 0.02
    mixup: float = 0.4
    label_smoothing: float = 0.0
    axis_weight: float = 0.7
    bona_fide_share: float = 0.4
    evenness: float = 0.5
    average: float = 0.99
    evaluate_every: int = 100
    checkpoint_every: int = 100
    left_out_sources: tuple[str, ...] = ()
    augmentation: Augmentation = field(default_factory=Augmentation)

    def __post_init__(self) -> None:
        """Refuse settings that cannot be run.

        Raises:
            UsageError: with what is wrong.
        """
        if self.tasks not in TASK_SETS:
            known = ", ".join(TASK_SETS)
            raise UsageError(f"the compact model has no task set {self.tasks!r}; it has {known}")
        if self.balance not in (None, "vq", "aux", "dec"):
            raise UsageError(f"balance is vq, aux or dec, not {self.balance!r}")
        counts = ("views", "steps", "batch_size", "evaluate_every", "checkpoint_every")
        for name in counts:
            if getattr(self, name) < 1:
                raise UsageError(f"{name.replace('_', ' ')} must be at least 1")

    @property
    def task_names(self) -> tuple[str, ...]:
        """Tasks that are trained."""
        return TASK_SETS[self.tasks]

    def to_dict(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)

    def fingerprint(self, data_sha256: str, network: dict[str, Any]) -> str:
        """Hash of all that a run's result follows from; resuming needs the same."""
        described = json.dumps([self.to_dict(), data_sha256, network], sort_keys=True)
        return hashlib.sha256(described.encode()).hexdigest()
