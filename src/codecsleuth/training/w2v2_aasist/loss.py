"""The loss of W2V2-AASIST: weighted cross-entropy of each task, unknown labels masked."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.checkpoint import checkpoint

from codecsleuth.data.items import UNKNOWN_CLASS
from codecsleuth.models.w2v2_aasist import W2V2Aasist


class TaskWeights(nn.Module):
    """How the tasks' losses are added up.

    ``softmax`` weights them by the softmax over one trainable number a task. Such weights follow
    the losses: the smallest loss gains weight until it has nearly all of it.
    ``uncertainty`` (Kendall et al., "Multi-task learning using uncertainty", CVPR 2018, eq. 10)
    pays for a small weight by its logarithm.
    """

    def __init__(self, kind: str, tasks: int) -> None:
        super().__init__()
        self.kind = kind
        self.free = None if kind == "equal" else nn.Parameter(torch.zeros(tasks))

    def forward(self, losses: Tensor, share: float) -> Tensor:
        """Losses ``(tasks,)`` over a share of the batch to one number."""
        if self.free is None:
            return losses.sum()
        if self.kind == "softmax":
            return (self.free.softmax(dim=0) * losses).sum()
        return (torch.exp(-self.free) * losses).sum() + share * self.free.sum() / 2


class Objective(nn.Module):
    """A network and the loss that it is trained by: weighted cross-entropy of each task."""

    def __init__(
        self,
        network: W2V2Aasist,
        class_weights: Mapping[str, Sequence[float]],
        task_weights: TaskWeights,
        arithmetic: Callable[[], AbstractContextManager[None]],
        parts: int = 1,
    ) -> None:
        """Put together what a step needs.

        Args:
            network: to train.
            class_weights: per task and class.
            task_weights: how the tasks' losses are added up.
            arithmetic: context that the network computes in.
            parts: that a batch passes the front end in, whose activations are computed again, part
                by part, on the way back. The rest of the network takes the batch as a whole, so
                that the loss does not change, batch normalisation included.
        """
        super().__init__()
        self._parts = parts
        self.network, self.task_weights = network, task_weights
        self._class_weights, self._arithmetic = class_weights, arithmetic

    def weight_sums(self, labels: Mapping[str, Tensor]) -> dict[str, float]:
        """What the loss of each task is divided by: the weights of its known labels, summed."""
        return {
            task: max(float(self._weights(task, of).sum()), 1e-6) for task, of in labels.items()
        }

    def forward(
        self,
        waveforms: Tensor,
        labels: Mapping[str, Tensor],
        sums: Mapping[str, float],
        share: float,
    ) -> tuple[Tensor, Tensor]:
        """A part of a batch's contribution to the loss; the parts' contributions add up to it.

        Args:
            waveforms: ``(clips, samples)``.
            labels: per task ``(clips,)``, `UNKNOWN_CLASS` where a clip does not count.
            sums: `weight_sums` of the whole batch's labels.
            share: of the batch that this part is.

        Returns:
            The loss ``()``, and the tasks' losses ``(tasks,)``.
        """
        with self._arithmetic():
            logits = self.network.classify(self._features(waveforms))
        losses = torch.stack(
            [self._loss(logits[task].float(), task, labels[task]) / sums[task] for task in labels]
        )
        return self.task_weights(losses, share), losses

    def _features(self, waveforms: Tensor) -> Tensor:
        if self._parts == 1:
            return self.network.features(waveforms)
        parts = waveforms.chunk(self._parts)
        return torch.cat(
            [checkpoint(self.network.features, part, use_reentrant=False) for part in parts]
        )

    def _loss(self, logits: Tensor, task: str, labels: Tensor) -> Tensor:
        entropies = functional.cross_entropy(logits, labels.clamp(min=0), reduction="none")
        return (self._weights(task, labels) * entropies).sum()

    def _weights(self, task: str, labels: Tensor) -> Tensor:
        weights = torch.tensor(self._class_weights[task], device=labels.device)
        return weights[labels.clamp(min=0)] * (labels != UNKNOWN_CLASS)
