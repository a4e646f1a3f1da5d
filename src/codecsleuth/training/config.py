"""What a training run is: every setting that changes its result."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, ClassVar, Final

from codecsleuth.augment.chain import Augmentation
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


@dataclass(frozen=True)
class TrainingConfig(RunConfig):
    """Settings of a training run of the compact network.

    Attributes:
        views: augmented versions of every clip that are rendered once and drawn from.
        learning_rate: peak of the one-cycle schedule.
        warm_up: share of the steps that it rises in.
        weight_decay: of AdamW.
        mixup: alpha of the Beta distribution that features and labels are mixed by; 0 for none.
        label_smoothing: of the cross-entropy.
        axis_weight: weight of each taxonomy task's loss; BIN has 1.
        family_weight: weight of the loss that tells codec families apart; 0 for no such head.
        adjustment: how much of the classes' frequencies is taken out of the axes' logits once the
            network is trained: a class of few codecs is not one that a new codec is unlikely to
            have. 0 answers at the frequencies that were trained at, 1 as if the classes were
            equally frequent (Menon et al., "Long-tail learning via logit adjustment", ICLR 2021).
        bona_fide_share: share of bona fide clips in a batch.
        evenness: of the draw over sources and codecs, see `sampling_weights`.
        average: decay a step of the running average of the weights that is evaluated and kept.
        augmentation: how the views are made.
    """

    #: Without BIN, the compact network has no verdict.
    kinds: ClassVar[Mapping[str, tuple[str, ...]]] = {
        kind: tasks for kind, tasks in KINDS.items() if kind != "M2"
    }
    steps: int = 500
    batch_size: int = 128
    views: int = 8
    learning_rate: float = 4e-3
    warm_up: float = 0.15
    weight_decay: float = 0.02
    mixup: float = 0.0
    label_smoothing: float = 0.0
    axis_weight: float = 0.7
    family_weight: float = 0.5
    adjustment: float = 0.5
    bona_fide_share: float = 0.4
    evenness: float = 0.5
    average: float = 0.99
    augmentation: Augmentation = field(default_factory=Augmentation)

    def __post_init__(self) -> None:
        """Refuse settings that cannot be run.

        Raises:
            UsageError: with what is wrong.
        """
        super().__post_init__()
        self._refuse_below_one("views")
