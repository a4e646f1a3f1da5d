"""Networks only: a batch of waveforms in, a dictionary of logits per task out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from codecsleuth.errors import WeightsError

if TYPE_CHECKING:
    from torch import nn


def build_network(architecture: str, config: dict[str, Any]) -> nn.Module:
    """Build an untrained network from the name and settings that a weights file stores.

    Raises:
        WeightsError: the architecture is not one this version knows.
    """
    if architecture == "compact":
        from codecsleuth.models.compact import CompactConfig, CompactNet

        return CompactNet(CompactConfig(**config))
    raise WeightsError(f"unknown architecture {architecture!r} in the weights; update codecsleuth")
