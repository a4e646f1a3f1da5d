"""Affine calibration by weighted logistic regression (Brümmer and du Preez, 2006)."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from codecsleuth.arrays import FloatArray, IntArray


def fit_affine(
    scores: FloatArray,
    labels: IntArray,
    weights: FloatArray | None = None,
    *,
    offset: bool = True,
) -> tuple[float, float]:
    """The positive factor that minimises the cross-entropy, and an offset for the second of two.

    Args:
        scores: ``(clips, classes)``.
        labels: ``(clips,)``.
        weights: of the clips, ``(clips,)``; by default all alike.
        offset: whether there is one.
    """
    inputs, targets = torch.from_numpy(scores).double(), torch.from_numpy(labels)
    shares = torch.ones(len(targets)) if weights is None else torch.from_numpy(weights)
    shares = shares.double() / shares.double().sum()
    log_scale = torch.zeros((), dtype=torch.double, requires_grad=True)
    bias = torch.zeros((), dtype=torch.double, requires_grad=offset)
    fitted = [log_scale, bias] if offset else [log_scale]
    optimiser = torch.optim.LBFGS(fitted, max_iter=200, line_search_fn="strong_wolfe")
    second = functional.one_hot(torch.tensor(1), inputs.shape[1])

    def closure() -> Tensor:
        optimiser.zero_grad()
        logits = log_scale.exp() * inputs + bias * second
        loss = (functional.cross_entropy(logits, targets, reduction="none") * shares).sum()
        # A faint pull to the identity, so that separable scores have a finite answer.
        loss = loss + 1e-3 * (log_scale**2 + bias**2)
        torch.autograd.backward(loss)
        return loss

    optimiser.step(closure)  # type: ignore[no-untyped-call]
    return float(log_scale.detach().exp()), float(bias.detach())
