"""The loss of the compact network: classes that a label allows, unknown labels masked, mixup."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor


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
    logits: Tensor, allowed: Tensor, mix: Mix, label_smoothing: float
) -> Tensor:
    """Mean cross-entropy over the known labels of a mixed batch; 0 if none is known.

    A label may allow several classes: its loss is the negative logarithm of their summed
    probability, the log-sum-exp of all logits less that of the allowed ones.

    Args:
        logits: ``(batch, classes)``.
        allowed: ``(batch, classes)``, True for the classes that a clip may be of; none where the
            clip does not count.
        mix: how the batch was mixed; a partner's label counts by the partner's share.
        label_smoothing: share of the loss that is the mean over all classes.
    """
    log_probabilities = logits.log_softmax(dim=1)
    total, weight = logits.new_zeros(()), logits.new_zeros(())
    for classes, share in ((allowed, mix.share), (allowed[mix.partner], 1.0 - mix.share)):
        known = classes.any(dim=1)
        # All classes in the place of none: the loss is 0 and its gradient finite.
        left_out = ~(classes | ~known[:, None])
        losses = -log_probabilities.masked_fill(left_out, -torch.inf).logsumexp(dim=1)
        smooth = -log_probabilities.mean(dim=1)
        losses = (1.0 - label_smoothing) * losses + label_smoothing * smooth
        total = total + (losses * share * known).sum()
        weight = weight + (share * known).sum()
    return total / weight.clamp(min=1e-6)
