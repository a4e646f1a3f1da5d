"""The multi-task loss, with unknown labels masked, and mixup."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

UNKNOWN = -1


@dataclass(frozen=True)
class Mix:
    """How a batch is mixed with itself (Zhang et al., "mixup", ICLR 2018).

    Attributes:
        share: of the clip itself, ``(batch,)``, at least one half.
        partner: index of the clip it is mixed with, ``(batch,)``.
    """

    share: Tensor
    partner: Tensor

    @classmethod
    def draw(cls, size: int, alpha: float, rng: np.random.Generator) -> Mix:
        """Draw shares from Beta(alpha, alpha) and partners at random; alpha 0 does not mix."""
        drawn = rng.beta(alpha, alpha, size) if alpha else np.ones(size)
        share = np.maximum(drawn, 1.0 - drawn).astype(np.float32)
        return cls(torch.from_numpy(share), torch.from_numpy(rng.permutation(size)))

    def features(self, features: Tensor) -> Tensor:
        """Mix features ``(batch, features)``."""
        share = self.share[:, None]
        return features * share + features[self.partner] * (1.0 - share)


def masked_cross_entropy(
    logits: Tensor, classes: Tensor, mix: Mix, label_smoothing: float
) -> Tensor:
    """Mean cross-entropy over the known labels of a mixed batch; 0 if none is known.

    Args:
        logits: ``(batch, classes)``.
        classes: ``(batch,)``, `UNKNOWN` where the clip does not count.
        mix: how the batch was mixed; a partner's label counts by the partner's share.
        label_smoothing: as `torch.nn.functional.cross_entropy` has it.
    """
    total, weight = logits.new_zeros(()), logits.new_zeros(())
    for labels, share in ((classes, mix.share), (classes[mix.partner], 1.0 - mix.share)):
        counted = share * (labels != UNKNOWN)
        losses = functional.cross_entropy(
            logits, labels.clamp(min=0), reduction="none", label_smoothing=label_smoothing
        )
        total = total + (losses * counted).sum()
        weight = weight + counted.sum()
    return total / weight.clamp(min=1e-6)
