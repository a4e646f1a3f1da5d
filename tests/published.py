"""Checkpoints in the form of the paper's authors, of small dimensions, made from their names alone.

Every tensor follows from its name, its shape and a seed, so that no large file is needed to hold
the network to the answers it gave when it was compared with the published one.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch

BRANCHES = {
    "BIN": ("binary_branch", 2),
    "VQ": ("multiclass_branch_qs", 4),
    "AUX": ("multiclass_branch_as", 4),
    "DEC": ("multiclass_branch_ds", 3),
}
KINDS = {
    "S_BIN": ("BIN",),
    "S_VQ": ("VQ",),
    "S_AUX": ("AUX",),
    "S_DEC": ("DEC",),
    "D_VQ": ("BIN", "VQ"),
    "D_AUX": ("BIN", "AUX"),
    "D_DEC": ("BIN", "DEC"),
    "M1": ("BIN", "VQ", "AUX", "DEC"),
    "M2": ("VQ", "AUX", "DEC"),
}
SSL = "ssl_model.model."
Shapes = Iterator[tuple[str, tuple[int, ...]]]


@dataclass(frozen=True)
class Dimensions:
    channels: int = 8
    width: int = 32
    groups: int = 4
    layers: int = 2
    feed_forward: int = 48
    projection: int = 24
    filters: tuple[int, ...] = (4, 4, 8, 8, 8, 8)
    attention: int = 16
    graph: int = 8
    narrow: int = 4


def checkpoint(
    kind: str = "M1", seed: int = 1, dimensions: Dimensions | None = None
) -> dict[str, torch.Tensor]:
    """A state dict with the published names."""
    named = shapes(kind, dimensions or Dimensions())
    return {name: tensor(name, shape, seed) for name, shape in named}


def shapes(kind: str, d: Dimensions) -> Shapes:
    yield from _front_end(d)
    yield from _affine("LL", (d.projection, d.width))
    yield from _batch_norm("first_bn", 1)
    yield from _batch_norm("first_bn1", d.filters[-1])
    yield from _residual(d)
    yield from _affine("attention.0", (d.attention, d.filters[-1], 1, 1))
    yield from _batch_norm("attention.2", d.attention)
    yield from _affine("attention.3", (d.filters[-1], d.attention, 1, 1))
    for task in KINDS[kind]:
        branch, classes = BRANCHES[task]
        yield from ((f"{branch}.{name}", shape) for name, shape in _branch(d, classes))


def tensor(name: str, shape: tuple[int, ...], seed: int) -> torch.Tensor:
    if name.endswith("num_batches_tracked"):
        return torch.zeros(shape, dtype=torch.int64)
    key = int.from_bytes(hashlib.sha256(f"{seed}|{name}".encode()).digest()[:8], "little")
    noise = np.random.Generator(np.random.Philox(key=key)).standard_normal(shape)
    if name.endswith("running_var"):
        values = 0.75 + 0.5 * np.abs(np.tanh(noise))
    elif name.endswith("weight_g"):
        values = 1.0 + 0.05 * noise
    elif len(shape) == 1 and name.endswith("weight"):
        values = 1.0 + 0.1 * noise
    elif len(shape) >= 2:
        values = noise * (0.7 / math.sqrt(np.prod(shape[1:])))
    else:
        values = 0.05 * noise
    return torch.from_numpy(np.asarray(values, dtype=np.float32))


def waveforms(count: int = 2, samples: int = 64_600) -> torch.Tensor:
    time = np.arange(samples) / 16_000
    rows = []
    for row in range(count):
        noise = np.random.Generator(np.random.Philox(key=row)).standard_normal(samples)
        voice = sum(np.sin(2 * np.pi * (90 + 60 * row) * k * time) / k for k in range(1, 16))
        rows.append(0.1 * voice * (0.6 + 0.4 * np.sin(19.5 * time + row)) + 0.01 * noise)
    return torch.from_numpy(np.stack(rows).astype(np.float32))


def _affine(name: str, shape: tuple[int, ...]) -> Shapes:
    yield f"{name}.weight", shape
    yield f"{name}.bias", shape[:1]


def _batch_norm(name: str, width: int) -> Shapes:
    for part in ("weight", "bias", "running_mean", "running_var"):
        yield f"{name}.{part}", (width,)
    yield f"{name}.num_batches_tracked", ()


def _front_end(d: Dimensions) -> Shapes:
    yield f"{SSL}mask_emb", (d.width,)
    for number, kernel in enumerate((10, 3, 3, 3, 3, 2, 2)):
        name = f"{SSL}feature_extractor.conv_layers.{number}"
        yield from _affine(f"{name}.0", (d.channels, d.channels if number else 1, kernel))
        yield from _affine(f"{name}.2.1", (d.channels,))
    yield from _affine(f"{SSL}post_extract_proj", (d.width, d.channels))
    yield f"{SSL}quantizer.vars", (1, 4, 3)
    yield from _affine(f"{SSL}project_q", (6, 6))
    yield f"{SSL}encoder.pos_conv.0.bias", (d.width,)
    yield f"{SSL}encoder.pos_conv.0.weight_g", (1, 1, 16)
    yield f"{SSL}encoder.pos_conv.0.weight_v", (d.width, d.width // d.groups, 16)
    for number in range(d.layers):
        name = f"{SSL}encoder.layers.{number}"
        for part in ("k_proj", "v_proj", "q_proj", "out_proj"):
            yield from _affine(f"{name}.self_attn.{part}", (d.width, d.width))
        yield from _affine(f"{name}.self_attn_layer_norm", (d.width,))
        yield from _affine(f"{name}.fc1", (d.feed_forward, d.width))
        yield from _affine(f"{name}.fc2", (d.width, d.feed_forward))
        yield from _affine(f"{name}.final_layer_norm", (d.width,))
    yield from _affine(f"{SSL}encoder.layer_norm", (d.width,))
    yield from _affine(f"{SSL}layer_norm", (d.channels,))
    yield from _affine(f"{SSL}final_proj", (6, d.width))


def _residual(d: Dimensions) -> Shapes:
    before = 1
    for number, after in enumerate(d.filters):
        name = f"encoder.{number}.0"
        if number:
            yield from _batch_norm(f"{name}.bn1", before)
        yield from _affine(f"{name}.conv1", (after, before, 2, 3))
        yield from _batch_norm(f"{name}.bn2", after)
        yield from _affine(f"{name}.conv2", (after, after, 2, 3))
        if before != after:
            yield from _affine(f"{name}.conv_downsample", (after, before, 1, 3))
        before = after


def _branch(d: Dimensions, classes: int) -> Shapes:
    yield "pos_S", (1, d.projection // 3, d.graph)
    yield "master1", (1, 1, d.graph)
    yield "master2", (1, 1, d.graph)
    for view in "ST":
        layer = f"GAT_layer_{view}"
        yield f"{layer}.att_weight", (d.graph, 1)
        for part in ("att_proj", "proj_with_att", "proj_without_att"):
            yield from _affine(f"{layer}.{part}", (d.graph, d.graph))
        yield from _batch_norm(f"{layer}.bn", d.graph)
        yield from _affine(f"pool_{view}.proj", (1, d.graph))
        for path in "12":
            yield from _affine(f"pool_h{view}{path}.proj", (1, d.narrow))
    for path in "12":
        yield from _mixed(f"HtrgGAT_layer_ST{path}1", d.graph, d.narrow)
        yield from _mixed(f"HtrgGAT_layer_ST{path}2", d.narrow, d.narrow)
    yield from _affine("out_layer", (classes, 5 * d.narrow))


def _mixed(name: str, width: int, narrow: int) -> Shapes:
    for pair in ("11", "22", "12", "M"):
        yield f"{name}.att_weight{pair}", (narrow, 1)
    for part in ("proj_type1", "proj_type2"):
        yield from _affine(f"{name}.{part}", (width, width))
    for part in ("att_proj", "proj_with_att", "proj_without_att"):
        yield from _affine(f"{name}.{part}", (narrow, width))
        yield from _affine(f"{name}.{part}M", (narrow, width))
    yield from _batch_norm(f"{name}.bn", narrow)
