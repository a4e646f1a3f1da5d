"""W2V2-AASIST, the network of Chen et al. 2025 (arXiv 2505.12994, section 4).

A self-supervised front end (XLS-R) reads the waveform, a residual encoder and one attention map
turn its features into a spectral and a temporal view, and each task has a branch of graph attention
over both (Tak et al., arXiv 2202.12233; Jung et al., arXiv 2110.01200). The branches share all that
comes before them.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils import parametrize
from transformers import Wav2Vec2Config, Wav2Vec2Model

from codecsleuth.models.aasist import GraphBranch, ResidualBlock
from codecsleuth.models.batch_norm import BatchNorm
from codecsleuth.taxonomy import CLASSES, TASKS

#: Bands and frames are pooled by this, so that one frame stands for 60 ms.
POOLING: Final = 3
#: Classes whose probabilities are closer than this may change places by rounding to bfloat16, which
#: was seen to move a probability by less than half of it.
DOUBT: Final = 0.02


@dataclass(frozen=True)
class FrontEndConfig:
    """Dimensions of the wav2vec 2.0 front end; by default those of XLS-R 300M.

    Attributes:
        channels: of each convolution over the waveform.
        kernels: of the same; the first has stride 5, the others 2.
        width: of the transformer.
        layers: of the transformer.
        heads: of its attention, and groups of the positional convolution.
        feed_forward: width of its inner layers.
        position_kernel: of the positional convolution.
    """

    channels: tuple[int, ...] = (512,) * 7
    kernels: tuple[int, ...] = (10, 3, 3, 3, 3, 2, 2)
    width: int = 1024
    layers: int = 24
    heads: int = 16
    feed_forward: int = 4096
    position_kernel: int = 128

    def __post_init__(self) -> None:
        """Take lists, as a weights file's metadata holds them, for tuples."""
        object.__setattr__(self, "channels", tuple(self.channels))
        object.__setattr__(self, "kernels", tuple(self.kernels))


@dataclass(frozen=True)
class W2V2AasistConfig:
    """Settings of the network; by default the paper's.

    Attributes:
        tasks: branches, in order.
        front_end: dimensions of the front end.
        projection: width that its features are brought to; a third of it is the number of bands.
        filters: output channels of each residual block.
        attention_hidden: inner channels of the attention map.
        graph_widths: of the nodes before and after the mixed graph layers.
    """

    tasks: tuple[str, ...] = TASKS
    front_end: FrontEndConfig = field(default_factory=FrontEndConfig)
    projection: int = 128
    filters: tuple[int, ...] = (32, 32, 64, 64, 64, 64)
    attention_hidden: int = 128
    graph_widths: tuple[int, int] = (64, 32)

    def __post_init__(self) -> None:
        """Take lists and mappings, as a weights file's metadata holds them."""
        object.__setattr__(self, "tasks", tuple(self.tasks))
        object.__setattr__(self, "filters", tuple(self.filters))
        first, second = self.graph_widths
        object.__setattr__(self, "graph_widths", (first, second))
        if isinstance(self.front_end, dict):
            object.__setattr__(self, "front_end", FrontEndConfig(**self.front_end))

    @property
    def bands(self) -> int:
        """Nodes of the spectral graph."""
        return self.projection // POOLING


class W2V2Aasist(nn.Module):
    """Waveforms to logits per task."""

    precisions = ("float32", "bfloat16")
    block_names = ()

    def __init__(self, config: W2V2AasistConfig | None = None) -> None:
        super().__init__()
        self.config = config or W2V2AasistConfig()
        filters = (1, *self.config.filters)
        self.front_end = Wav2Vec2Model(transformers_config(self.config.front_end))
        self.fast: nn.Module | None = None
        self.projection = nn.Linear(self.config.front_end.width, self.config.projection)
        self.first_norm = BatchNorm(1)
        self.encoder = nn.Sequential(
            *(
                ResidualBlock(before, after, first=not number)
                for number, (before, after) in enumerate(itertools.pairwise(filters))
            )
        )
        self.last_norm = BatchNorm(filters[-1])
        hidden = self.config.attention_hidden
        self.attention = nn.Sequential(
            nn.Conv2d(filters[-1], hidden, 1),
            nn.SELU(),
            BatchNorm(hidden),
            nn.Conv2d(hidden, filters[-1], 1),
        )
        self.branches = nn.ModuleDict(
            {
                task: GraphBranch(self.config.bands, *self.config.graph_widths, len(CLASSES[task]))
                for task in self.config.tasks
            }
        )

    @property
    def widths(self) -> Mapping[str, int]:
        """Logits of each task."""
        return {task: len(CLASSES[task]) for task in self.config.tasks}

    def forward(self, waveforms: Tensor) -> dict[str, Tensor]:
        """Float32 ``(batch, samples)`` at 16 kHz, 2,000 samples or more, to logits per task.

        Returns:
            ``BIN`` ``(batch, 2)``, ``VQ`` and ``AUX`` ``(batch, 4)``, ``DEC`` ``(batch, 3)``, for
            the tasks that the network has; classes in the order of `codecsleuth.taxonomy.CLASSES`.
        """
        return self.outputs(waveforms)

    def outputs(self, waveforms: Tensor, *, exact: bool = False) -> dict[str, Tensor]:
        """As `forward`; ``exact`` computes in float32 alone.

        In half precision, a waveform whose answer is too close to call is asked again in float32,
        so that the classes answered are the same.
        """
        if self.fast is None or exact:
            return self.classify(self.features(waveforms))
        logits = self.classify(self.fast(waveforms))
        for row in doubtful(logits).nonzero().flatten().tolist():
            answer = self.classify(self.features(waveforms[row : row + 1]))
            for task, values in answer.items():
                logits[task][row] = values[0]
        return logits

    def features(self, waveforms: Tensor) -> Tensor:
        """The front end's output, ``(batch, frames of 20 ms, width)``."""
        features: Tensor = self.front_end(waveforms).last_hidden_state
        return features

    def classify(self, features: Tensor) -> dict[str, Tensor]:
        """Logits per task from the front end's output; the views are made once for all tasks."""
        spectral, temporal = self.views(features)
        return {task: branch(spectral, temporal) for task, branch in self.branches.items()}

    def views(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """Features ``(batch, frames, width)`` as nodes of the two graphs.

        Returns:
            Spectral ``(batch, bands, channels)`` and temporal ``(batch, frames / 3, channels)``.
        """
        picture = self.projection(features).transpose(1, 2).unsqueeze(1)
        picture = functional.selu(self.first_norm(functional.max_pool2d(picture, POOLING)))
        encoded = functional.selu(self.last_norm(self.encoder(picture)))
        attention = self.attention(encoded)
        spectral = (encoded * torch.softmax(attention, dim=-1)).sum(dim=-1)
        temporal = (encoded * torch.softmax(attention, dim=-2)).sum(dim=-2)
        return spectral.transpose(1, 2), temporal.transpose(1, 2)

    def set_precision(self, precision: str) -> None:
        """Make ready for inference: fold what is constant; compute in ``float32`` or ``bfloat16``.

        In bfloat16 the front end alone does: the rest of the network, a fiftieth of the work, stays
        in float32, and so does a second front end for answers that are too close to call.
        """
        from codecsleuth.models.half import HalfFrontEnd

        convolution = self.front_end.encoder.pos_conv_embed.conv
        if parametrize.is_parametrized(convolution, "weight"):
            parametrize.remove_parametrizations(convolution, "weight")
        self.fast = HalfFrontEnd(self.front_end) if precision == "bfloat16" else None


def doubtful(logits: Mapping[str, Tensor]) -> Tensor:
    """Whether the two best classes of any task are within `DOUBT` of each other, ``(batch,)``."""
    best = (values.softmax(dim=1).topk(2, dim=1).values for values in logits.values())
    closest = torch.stack([pair[:, 0] - pair[:, 1] for pair in best]).amin(dim=0)
    return closest < DOUBT


def transformers_config(config: FrontEndConfig) -> Wav2Vec2Config:
    """The front end as transformers describes it, with nothing random in it."""
    return Wav2Vec2Config(
        hidden_size=config.width,
        num_hidden_layers=config.layers,
        num_attention_heads=config.heads,
        intermediate_size=config.feed_forward,
        conv_dim=list(config.channels),
        conv_kernel=list(config.kernels),
        conv_stride=[5] + [2] * (len(config.kernels) - 1),
        conv_bias=True,
        feat_extract_norm="layer",
        do_stable_layer_norm=True,
        num_conv_pos_embeddings=config.position_kernel,
        num_conv_pos_embedding_groups=config.heads,
        hidden_dropout=0.0,
        activation_dropout=0.0,
        attention_dropout=0.0,
        feat_proj_dropout=0.0,
        layerdrop=0.0,
        apply_spec_augment=False,
        mask_time_prob=0.0,
        mask_feature_prob=0.0,
    )


def build(config: Mapping[str, Any]) -> W2V2Aasist:
    """The network that a weights file describes, without memory for its weights."""
    # Three hundred million random numbers that the weights replace are not worth drawing.
    with torch.device("meta"):
        return W2V2Aasist(W2V2AasistConfig(**config))
