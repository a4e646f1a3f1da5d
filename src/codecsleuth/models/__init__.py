"""Networks only: a batch of waveforms in, a dictionary of logits per task out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from codecsleuth.errors import WeightsError

if TYPE_CHECKING:
    from torch import nn


def build_network(architecture: str, config: dict[str, Any]) -> nn.Module:
    """Build a network, to be given weights, from the name and settings that a file stores.

    A large one is built without memory for its weights: load them by assignment.

    Raises:
        WeightsError: the architecture is not one this version knows.
    """
    if architecture == "compact":
        from codecsleuth.models.compact import CompactConfig, CompactNet

        return CompactNet(CompactConfig(**config))
    if architecture == "w2v2-aasist":
        import torch

        from codecsleuth.models.w2v2_aasist import W2V2Aasist, W2V2AasistConfig

        # Three hundred million random numbers that the weights replace are not worth drawing.
        with torch.device("meta"):
            return W2V2Aasist(W2V2AasistConfig(**config))
    raise WeightsError(f"unknown architecture {architecture!r} in the weights; update codecsleuth")
