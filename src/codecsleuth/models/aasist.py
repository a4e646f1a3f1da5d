"""AASIST: graph attention over a spectral and a temporal view of one feature map.

Jung et al., "AASIST: Audio anti-spoofing using integrated spectro-temporal graph attention
networks", ICASSP 2022 (arXiv 2110.01200), sections 2 and 3. Graphs are complete; a graph's nodes
are ``(batch, nodes, width)``.
"""

from __future__ import annotations

from typing import Final

import torch
from torch import Tensor, nn
from torch.nn import functional

from codecsleuth.models.batch_norm import BatchNorm

#: Divides the attention logits of the plain and of the heterogeneous layers.
PLAIN_TEMPERATURE: Final = 2.0
MIXED_TEMPERATURE: Final = 100.0
#: Share of the nodes that every pooling keeps.
POOLING_RATIO: Final = 0.5

_LAYER_DROPOUT: Final = 0.2
_POOL_DROPOUT: Final = 0.3
_WAY_DROPOUT: Final = 0.2
_READ_OUT_DROPOUT: Final = 0.5


class NodeNorm(BatchNorm):
    """Batch normalisation of ``(batch, nodes, width)`` over all nodes, then SELU."""

    def forward(self, nodes: Tensor) -> Tensor:
        """Same shape out as in."""
        normalised: Tensor = super().forward(nodes.flatten(0, 1))
        return functional.selu(normalised.view_as(nodes))


class GraphAttention(nn.Module):
    """Attention between the nodes of one graph, from the products of their features (eq. 1-3)."""

    def __init__(self, width: int, out_width: int) -> None:
        super().__init__()
        self.dropout = nn.Dropout(_LAYER_DROPOUT)
        self.pair = nn.Linear(width, out_width)
        self.pair_weight = nn.Parameter(_attention_weight(out_width))
        self.attended = nn.Linear(width, out_width)
        self.own = nn.Linear(width, out_width)
        self.norm = NodeNorm(out_width)

    def forward(self, nodes: Tensor) -> Tensor:
        """``(batch, nodes, width)`` to ``(batch, nodes, out_width)``."""
        nodes = self.dropout(nodes)
        scores = torch.tanh(self.pair(_pair_products(nodes))) @ self.pair_weight
        shares = torch.softmax(scores.squeeze(-1) / PLAIN_TEMPERATURE, dim=-1)
        mixed: Tensor = self.norm(self.attended(shares @ nodes) + self.own(nodes))
        return mixed


class MixedGraphAttention(nn.Module):
    """Attention over two graphs of different kind at once, and a stack node that follows both.

    Section 3.2 of the paper: pairs within the first graph, within the second, and across have
    attention weights of their own.
    """

    def __init__(self, width: int, out_width: int) -> None:
        super().__init__()
        self.temporal = nn.Linear(width, width)
        self.spectral = nn.Linear(width, width)
        self.dropout = nn.Dropout(_LAYER_DROPOUT)
        self.pair = nn.Linear(width, out_width)
        self.temporal_weight = nn.Parameter(_attention_weight(out_width))
        self.spectral_weight = nn.Parameter(_attention_weight(out_width))
        self.across_weight = nn.Parameter(_attention_weight(out_width))
        self.attended = nn.Linear(width, out_width)
        self.own = nn.Linear(width, out_width)
        self.stack_pair = nn.Linear(width, out_width)
        self.stack_weight = nn.Parameter(_attention_weight(out_width))
        self.stack_attended = nn.Linear(width, out_width)
        self.stack_own = nn.Linear(width, out_width)
        self.norm = NodeNorm(out_width)

    def forward(
        self, temporal: Tensor, spectral: Tensor, stack: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Update both graphs and the stack node.

        Args:
            temporal: ``(batch, temporal nodes, width)``.
            spectral: ``(batch, spectral nodes, width)``.
            stack: ``(batch, 1, width)``.

        Returns:
            The same three, ``out_width`` wide.
        """
        split = temporal.shape[1]
        nodes = torch.cat([self.temporal(temporal), self.spectral(spectral)], dim=1)
        nodes = self.dropout(nodes)
        shares = torch.softmax(self._scores(nodes, split) / MIXED_TEMPERATURE, dim=-1)
        stack = self._follow(nodes, stack)
        mixed = self.norm(self.attended(shares @ nodes) + self.own(nodes))
        return mixed[:, :split], mixed[:, split:], stack

    def _scores(self, nodes: Tensor, split: int) -> Tensor:
        """Attention logits of every pair of nodes, ``(batch, nodes, nodes)``."""
        weights = torch.cat([self.temporal_weight, self.across_weight, self.spectral_weight], dim=1)
        scores = torch.tanh(self.pair(_pair_products(nodes))) @ weights
        of_spectral = torch.arange(nodes.shape[1], device=nodes.device) >= split
        # 0 for a pair of temporal nodes, 1 for one of each, 2 for a pair of spectral nodes.
        kind = of_spectral[:, None].long() + of_spectral[None, :].long()
        index = kind.expand(nodes.shape[0], -1, -1).unsqueeze(-1)
        return scores.gather(-1, index).squeeze(-1)

    def _follow(self, nodes: Tensor, stack: Tensor) -> Tensor:
        scores = torch.tanh(self.stack_pair(nodes * stack)) @ self.stack_weight
        shares = torch.softmax(scores.transpose(1, 2) / MIXED_TEMPERATURE, dim=-1)
        followed: Tensor = self.stack_attended(shares @ nodes) + self.stack_own(stack)
        return followed


class GraphPool(nn.Module):
    """Keep the nodes that a learned score ranks highest, each scaled by its score."""

    def __init__(self, width: int, dropout: float = _POOL_DROPOUT) -> None:
        super().__init__()
        self.dropout = nn.Dropout(dropout)
        self.score = nn.Linear(width, 1)

    def forward(self, nodes: Tensor) -> Tensor:
        """``(batch, nodes, width)`` to ``(batch, half as many or 1, width)``."""
        scores = torch.sigmoid(self.score(self.dropout(nodes)))
        kept = max(int(nodes.shape[1] * POOLING_RATIO), 1)
        index = scores.topk(kept, dim=1).indices.expand(-1, -1, nodes.shape[2])
        return (nodes * scores).gather(1, index)


class GraphPath(nn.Module):
    """One of the two parallel ways through a branch: mix, pool, and mix again beside it."""

    def __init__(self, width: int, out_width: int) -> None:
        super().__init__()
        self.stack = nn.Parameter(torch.randn(1, 1, width))
        self.first = MixedGraphAttention(width, out_width)
        self.temporal_pool = GraphPool(out_width)
        self.spectral_pool = GraphPool(out_width)
        self.second = MixedGraphAttention(out_width, out_width)

    def forward(self, temporal: Tensor, spectral: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Two graphs ``width`` wide to two smaller ones and a stack node, ``out_width`` wide."""
        stack = self.stack.expand(len(temporal), -1, -1)
        temporal, spectral, stack = self.first(temporal, spectral, stack)
        temporal, spectral = self.temporal_pool(temporal), self.spectral_pool(spectral)
        more_temporal, more_spectral, more_stack = self.second(temporal, spectral, stack)
        return temporal + more_temporal, spectral + more_spectral, stack + more_stack


class GraphBranch(nn.Module):
    """All graph layers of one task: the two views in, the task's logits out."""

    def __init__(self, bands: int, width: int, out_width: int, classes: int) -> None:
        super().__init__()
        self.positions = nn.Parameter(torch.randn(1, bands, width))
        self.spectral = GraphAttention(width, width)
        self.temporal = GraphAttention(width, width)
        self.spectral_pool = GraphPool(width)
        self.temporal_pool = GraphPool(width)
        self.paths = nn.ModuleList([GraphPath(width, out_width) for _ in range(2)])
        self.way_dropout = nn.Dropout(_WAY_DROPOUT)
        self.dropout = nn.Dropout(_READ_OUT_DROPOUT)
        self.read_out = nn.Linear(5 * out_width, classes)

    def forward(self, spectral: Tensor, temporal: Tensor) -> Tensor:
        """Logits ``(batch, classes)``.

        Args:
            spectral: ``(batch, bands, width)``, one node for each band.
            temporal: ``(batch, frames, width)``, one node for each frame.
        """
        spectral = self.spectral_pool(self.spectral(spectral + self.positions))
        temporal = self.temporal_pool(self.temporal(temporal))
        ways = [path(temporal, spectral) for path in self.paths]
        dropped = [[self.way_dropout(part) for part in way] for way in ways]
        temporal, spectral, stack = (torch.maximum(one, two) for one, two in zip(*dropped))  # noqa: B905
        summary = [*_largest_and_mean(temporal), *_largest_and_mean(spectral), stack.squeeze(1)]
        logits: Tensor = self.read_out(self.dropout(torch.cat(summary, dim=1)))
        return logits


class ResidualBlock(nn.Module):
    """Two convolutions over bands and frames with a way round (RawNet2's block in two dimensions).

    Every block but the first has a normalisation ahead of its first convolution whose result the
    published network computes and does not use: the convolution reads the block's input. Its
    parameters are kept, since checkpoints have them.
    """

    def __init__(self, channels: int, out_channels: int, first: bool) -> None:
        super().__init__()
        self.unused_norm = None if first else BatchNorm(channels)
        self.first = nn.Conv2d(channels, out_channels, (2, 3), padding=(1, 1))
        self.norm = BatchNorm(out_channels)
        self.second = nn.Conv2d(out_channels, out_channels, (2, 3), padding=(0, 1))
        self.shortcut: nn.Module = nn.Identity()
        if channels != out_channels:
            self.shortcut = nn.Conv2d(channels, out_channels, (1, 3), padding=(0, 1))

    def forward(self, values: Tensor) -> Tensor:
        """``(batch, channels, bands, frames)`` to ``(batch, out_channels, bands, frames)``."""
        hidden = self.second(functional.selu(self.norm(self.first(values))))
        summed: Tensor = hidden + self.shortcut(values)
        return summed


def _attention_weight(width: int) -> Tensor:
    weight = torch.empty(width, 1)
    nn.init.xavier_normal_(weight)
    return weight


def _pair_products(nodes: Tensor) -> Tensor:
    """Products of every node with every node, ``(batch, nodes, nodes, width)``."""
    return nodes.unsqueeze(2) * nodes.unsqueeze(1)


def _largest_and_mean(nodes: Tensor) -> tuple[Tensor, Tensor]:
    """Largest magnitude and mean over the nodes, each ``(batch, width)``."""
    return nodes.abs().amax(dim=1), nodes.mean(dim=1)
