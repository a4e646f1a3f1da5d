"""Settings of a training run of the compact network."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar

from codecsleuth.augment.chain import Augmentation
from codecsleuth.taxonomy import KINDS
from codecsleuth.training.config import RunConfig


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
        family_weight: weight of the loss of the codec families' head; 0 for no such head.
        adjustment: how much of the classes' frequencies is taken out of the axes' logits once the
            network is trained: a class of few codecs is not one that a new codec is unlikely to
            have. 0 keeps the frequencies of the training, 1 makes the classes equally frequent
            (Menon et al., "Long-tail learning via logit adjustment", ICLR 2021).
        bona_fide_share: share of bona fide clips in a batch.
        vocoder_share: share of clips labelled ``vocoder`` or ``neural`` in a batch, where there are
            such and the network has a class for them; all others are codec clips.
        evenness: of the draw over sources and codecs, see `sampling_weights`.
        average: decay a step of the running average of the weights that is evaluated and kept.
        augmentation: how the views are made.
    """

    #: Without BIN, the compact network has no verdict.
    kinds: ClassVar[Mapping[str, tuple[str, ...]]] = {
        kind: tasks for kind, tasks in KINDS.items() if kind != "M2"
    }
    steps: int = 800
    batch_size: int = 128
    views: int = 6
    learning_rate: float = 4e-3
    warm_up: float = 0.15
    weight_decay: float = 0.02
    mixup: float = 0.0
    label_smoothing: float = 0.0
    axis_weight: float = 0.7
    family_weight: float = 0.5
    adjustment: float = 0.5
    bona_fide_share: float = 0.4
    vocoder_share: float = 0.2
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
