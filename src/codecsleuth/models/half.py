"""The wav2vec 2.0 front end in bfloat16, for processors that compute in it.

The same network as transformers' ``Wav2Vec2Model``, laid out for speed: convolutions over the
waveform are matrix products over ``(frames, channels)``, queries, keys and values are one product.
Products take and give bfloat16; sums along the layers, normalisations and activations are float32,
where rounding would add up.
"""

from __future__ import annotations

from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers import Wav2Vec2Model

HALF = torch.bfloat16


class HalfLinear(nn.Module):
    """A matrix product in bfloat16; a sum of its result with float32 is float32 again."""

    def __init__(self, weight: Tensor, bias: Tensor) -> None:
        super().__init__()
        self.register_buffer("weight", weight.detach().to(HALF))
        self.register_buffer("bias", bias.detach().to(HALF))
        self.weight: Tensor
        self.bias: Tensor

    def forward(self, values: Tensor) -> Tensor:
        """``(..., inputs)`` to ``(..., outputs)``."""
        return functional.linear(values.to(HALF), self.weight, self.bias)


class FrameConvolution(nn.Module):
    """A convolution over frames as one matrix product, then layer norm and GELU."""

    def __init__(self, convolution: nn.Conv1d, norm: nn.LayerNorm) -> None:
        super().__init__()
        self.kernel, self.stride = convolution.kernel_size[0], convolution.stride[0]
        weight = convolution.weight.transpose(1, 2).flatten(1)
        bias = cast(Tensor, convolution.bias)
        # The first layer has one channel: next to no work, and all later ones stand on it.
        self.product: nn.Module = HalfLinear(weight, bias)
        if convolution.in_channels == 1:
            self.product = _linear(weight, bias)
        self.norm = norm

    def forward(self, values: Tensor) -> Tensor:
        """``(batch, frames, channels)`` to fewer frames of ``out_channels``."""
        batch, frames, channels = values.shape
        count = (frames - self.kernel) // self.stride + 1
        strides = (frames * channels, self.stride * channels, 1)
        windows = values.contiguous().as_strided((batch, count, self.kernel * channels), strides)
        activated: Tensor = functional.gelu(self.norm(self.product(windows).float()))
        return activated


class HalfLayer(nn.Module):
    """One pre-norm transformer layer."""

    def __init__(self, layer: Any) -> None:
        super().__init__()
        attention, feed_forward = layer.attention, layer.feed_forward
        inputs = (attention.q_proj, attention.k_proj, attention.v_proj)
        self.heads: int = attention.num_heads
        self.attention_norm: nn.Module = layer.layer_norm
        self.query_key_value = HalfLinear(
            torch.cat([one.weight for one in inputs]), torch.cat([one.bias for one in inputs])
        )
        self.attention_out = _half(attention.out_proj)
        self.norm: nn.Module = layer.final_layer_norm
        self.widen = _half(feed_forward.intermediate_dense)
        self.narrow = _half(feed_forward.output_dense)

    def forward(self, hidden: Tensor) -> Tensor:
        """``(batch, frames, width)``, the same out."""
        hidden = hidden + self._attend(self.attention_norm(hidden))
        widened = functional.gelu(self.widen(self.norm(hidden)))
        return cast(Tensor, hidden + self.narrow(widened))

    def _attend(self, hidden: Tensor) -> Tensor:
        joined = self.query_key_value(hidden).unflatten(-1, (3, self.heads, -1))
        query, key, value = joined.permute(2, 0, 3, 1, 4)
        attended = functional.scaled_dot_product_attention(query, key, value)
        return cast(Tensor, self.attention_out(attended.transpose(1, 2).flatten(2)))


class HalfFrontEnd(nn.Module):
    """Waveforms to features; shares the normalisations of the network it is made from."""

    def __init__(self, front_end: Wav2Vec2Model) -> None:
        super().__init__()
        encoder: Any = front_end.encoder
        projection: Any = front_end.feature_projection
        convolutions: Any = front_end.feature_extractor.conv_layers
        self.convolutions = nn.Sequential(
            *(FrameConvolution(layer.conv, layer.layer_norm) for layer in convolutions)
        )
        self.features_norm = projection.layer_norm
        self.projection = _half(projection.projection)
        position = encoder.pos_conv_embed.conv
        self.groups, self.padding = position.groups, position.padding[0]
        self.register_buffer("position", position.weight.detach().to(HALF))
        self.register_buffer("position_bias", position.bias.detach().to(HALF))
        self.position: Tensor
        self.position_bias: Tensor
        self.layers = nn.Sequential(*(HalfLayer(layer) for layer in encoder.layers))
        self.norm = encoder.layer_norm

    def forward(self, waveforms: Tensor) -> Tensor:
        """Float32 ``(batch, samples)`` to float32 ``(batch, frames, width)``."""
        frames = self.convolutions(waveforms.unsqueeze(-1))
        hidden = self.projection(self.features_norm(frames)).float()
        read: Tensor = self.norm(self.layers(hidden + self._places(hidden)))
        return read

    def _places(self, hidden: Tensor) -> Tensor:
        """The positional convolution, as long as its input."""
        places = functional.conv1d(
            hidden.transpose(1, 2).to(HALF),
            self.position,
            self.position_bias,
            padding=self.padding,
            groups=self.groups,
        )
        return functional.gelu(places[..., : hidden.shape[1]]).transpose(1, 2)


def _linear(weight: Tensor, bias: Tensor) -> nn.Linear:
    layer = nn.Linear(weight.shape[1], weight.shape[0], device="meta")
    layer.weight, layer.bias = nn.Parameter(weight, False), nn.Parameter(bias, False)
    return layer


def _half(layer: nn.Linear) -> HalfLinear:
    return HalfLinear(layer.weight, layer.bias)
