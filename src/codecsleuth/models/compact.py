"""The compact network: a small learned reader of fixed long-term statistics (`front_end`)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from codecsleuth.models.front_end import BLOCKS, WIDTH, FrontEnd
from codecsleuth.taxonomy import (
    AXES,
    CLASSES,
    CONTRIBUTIONS,
    DETECTION,
    FAMILY,
    OUTSIDE,
    TASKS,
    family_class,
)

#: Standardised features beyond this are cut off: no single value decides.
LIMIT: Final = 6.0
#: What of a recording's quality is measured; see `QualityCalibration`.
QUALITIES: Final = ("band", "range")
#: Channels of the front end's block ``coarse``.
LOUD, QUIET = 0, 1
_BONA_FIDE: Final = "bona fide"
#: Beginnings of buffers' names in older weights files, and what they are now.
_RENAMED: Final = (("reliability.", "quality_calibration."),)


@dataclass(frozen=True)
class CompactConfig:
    """Settings of the compact network.

    Attributes:
        tasks: heads, in order.
        detection: classes of ``BIN``, in order; ``bona fide`` is one of them.
        families: codec families that a further head tells apart, in order; none without it.
        family_share: weight of that head in the axes' logits, 0 to 1: an axis gives the mixture of
            its own head's classes and of the classes of the likely families, so that it is less
            certain where the two disagree.
        members: networks whose logits are averaged.
        convolutions: (channels, kernel, stride) of each convolution over frequency.
        blocks: blocks of the front end that are read by a perceptron each; ``fine`` is read by
            the convolutions.
        hidden: width of a perceptron's hidden layer.
        embedding: width of what each block is summed up in.
        dropout: before each linear layer.
    """

    tasks: tuple[str, ...] = TASKS
    detection: tuple[str, ...] = CLASSES["BIN"]
    families: tuple[str, ...] = ()
    family_share: float = 0.0
    members: int = 3
    convolutions: tuple[tuple[int, int, int], ...] = (
        (64, 9, 4),
        (96, 5, 2),
        (128, 5, 2),
        (128, 3, 1),
    )
    blocks: tuple[str, ...] = tuple(name for name in BLOCKS if name != "fine")
    hidden: int = 64
    embedding: int = 48
    dropout: float = 0.2

    def __post_init__(self) -> None:
        """Take lists, as a weights file's metadata holds them, for tuples.

        Raises:
            ValueError: the detection classes are none that the product knows.
        """
        for name in ("tasks", "detection", "families", "blocks"):
            object.__setattr__(self, name, tuple(getattr(self, name)))
        if self.detection not in (CLASSES["BIN"], DETECTION):
            raise ValueError(f"no such detection classes: {', '.join(map(str, self.detection))}")
        layers = tuple((int(c), int(k), int(s)) for c, k, s in self.convolutions)
        object.__setattr__(self, "convolutions", layers)

    def classes(self, task: str) -> tuple[str, ...]:
        """Classes of a task in the order of the logits."""
        return self.detection if task == "BIN" else CLASSES[task]


class FineReader(nn.Module):
    """Convolutions over frequency; where on the axis something stands is kept as well."""

    positions: Final = 8

    def __init__(self, config: CompactConfig) -> None:
        super().__init__()
        channels, width = BLOCKS["fine"].channels, BLOCKS["fine"].width
        layers: list[nn.Module] = [nn.Dropout1d(0.1)]
        for out, kernel, stride in config.convolutions:
            layers += [
                nn.Conv1d(channels, out, kernel, stride, kernel // 2, bias=False),
                nn.BatchNorm1d(out),
                nn.SiLU(),
            ]
            channels, width = out, -(-width // stride)
        self.convolutions = nn.Sequential(*layers)
        self.places = nn.Conv1d(channels, self.positions, 1)
        self.dropout = nn.Dropout(config.dropout)
        self.summary = nn.Linear(2 * channels + self.positions * width, config.embedding)

    def forward(self, block: Tensor) -> Tensor:
        """``(batch, channels, bins)`` to ``(batch, embedding)``."""
        hidden = self.convolutions(block)
        pooled = [hidden.mean(dim=-1), hidden.amax(dim=-1), self.places(hidden).flatten(1)]
        summary: Tensor = self.summary(self.dropout(torch.cat(pooled, dim=1)))
        return summary


class BlockReader(nn.Sequential):
    """A perceptron over all values of a block, ``(batch, channels, width)`` to an embedding."""

    def __init__(self, name: str, config: CompactConfig) -> None:
        super().__init__(
            nn.Flatten(),
            nn.Dropout(config.dropout / 2),
            nn.Linear(BLOCKS[name].size, config.hidden),
            nn.BatchNorm1d(config.hidden),
            nn.SiLU(),
            nn.Dropout(config.dropout),
            nn.Linear(config.hidden, config.embedding),
        )


class Member(nn.Module):
    """One reader of all blocks with a linear head per task."""

    def __init__(self, config: CompactConfig) -> None:
        super().__init__()
        self.fine = FineReader(config)
        self.readers = nn.ModuleDict({name: BlockReader(name, config) for name in config.blocks})
        width = config.embedding * (1 + len(config.blocks))
        self.dropout = nn.Dropout(config.dropout)
        self.heads = nn.ModuleDict(
            {task: nn.Linear(width, len(config.classes(task))) for task in config.tasks}
        )
        if config.families:
            self.heads[FAMILY] = nn.Linear(width, len(config.families))

    def forward(self, blocks: dict[str, Tensor]) -> dict[str, Tensor]:
        """Standardised blocks ``(batch, channels, width)`` to logits per task."""
        summaries = [self.fine(blocks["fine"])]
        summaries += [reader(blocks[name]) for name, reader in self.readers.items()]
        joined = self.dropout(functional.silu(torch.cat(summaries, dim=1)))
        # The family head reads what the tasks have learned and must not cost them anything.
        read = {FAMILY: joined.detach()}
        return {task: head(read.get(task, joined)) for task, head in self.heads.items()}

    def contributions(self, blocks: dict[str, Tensor]) -> Tensor:
        """What each block adds to the logits of ``BIN``, ``(batch, blocks, classes)``.

        The head is linear in what the readers give, so that the contributions and the head's bias
        add up to the logits.
        """
        summaries = [self.fine(blocks["fine"])]
        summaries += [reader(blocks[name]) for name, reader in self.readers.items()]
        activated = functional.silu(torch.stack(summaries, dim=1))
        weight = cast(nn.Linear, self.heads["BIN"]).weight
        weight = weight.reshape(len(weight), *activated.shape[1:])
        return torch.einsum("nbe,cbe->nbc", activated, weight)


def measured_qualities(features: Tensor) -> Tensor:
    """`QUALITIES` of the front end's features ``(batch, WIDTH)``, natural logs of power ratios.

    ``band`` is the loudness above 4 kHz over that below, ``range`` that of loud frames over quiet
    ones, both ``(batch,)`` and stacked last.
    """
    coarse = split_blocks(features)["coarse"]
    loud, quiet = coarse[:, LOUD], coarse[:, QUIET]
    half = loud.shape[-1] // 2
    band = loud[:, half:].mean(dim=-1) - loud[:, 2:half].mean(dim=-1)
    return torch.stack([band, (loud - quiet)[:, 2:].mean(dim=-1)], dim=-1)


class QualityCalibration(nn.Module):
    """Calibration of the logits of ``BIN`` by measured qualities of the recording.

    Noise and a narrow band hide a codec's trace and imitate it, more so for codecs and sources that
    training did not have. Log-odds are therefore scaled and shifted by quality measures, as in
    speaker recognition (Mandasari et al., "Quality measure functions for calibration of speaker
    recognition systems in various duration conditions", 2013), with factors that a logistic
    regression on held-out sources gives. Until these are fitted, logits stay as they are.
    """

    def __init__(self, classes: tuple[str, ...] = CLASSES["BIN"]) -> None:
        super().__init__()
        self.classes = classes
        for name, value in (("centre", 0.0), ("spread", 1.0), ("slope", 0.0), ("shift", 0.0)):
            self.register_buffer(name, torch.full((len(QUALITIES),), value))
        shifted = torch.tensor([float(name != _BONA_FIDE) for name in classes])
        self.register_buffer("shifted", shifted, persistent=False)
        self.centre: Tensor
        self.spread: Tensor
        self.slope: Tensor
        self.shift: Tensor
        self.shifted: Tensor

    def fit_statistics(self, features: Tensor) -> None:
        """Take what is usual from training features ``(clips, WIDTH)``."""
        qualities = measured_qualities(features)
        self.centre.copy_(qualities.mean(dim=0))
        self.spread.copy_(qualities.std(dim=0) + 1e-3)

    def measure(self, features: Tensor) -> Tensor:
        """`measured_qualities`, standardised by the training clips', within plus or minus 3."""
        return ((measured_qualities(features) - self.centre) / self.spread).clamp(-3.0, 3.0)

    def forward(self, logits: Tensor, qualities: Tensor) -> Tensor:
        """Logits of ``BIN`` and standardised qualities to calibrated logits.

        Args:
            logits: ``(batch, classes)``.
            qualities: ``(batch, qualities)``, see `measure`.

        Returns:
            ``(batch, classes)``: all scaled, and all but ``bona fide`` shifted.
        """
        scaled = logits * (qualities @ self.slope).exp()[:, None]
        return scaled + (qualities @ self.shift)[:, None] * self.shifted.to(logits)


class CompactNet(nn.Module):
    """Waveforms to logits per task."""

    precisions = ("float32",)

    def __init__(self, config: CompactConfig | None = None) -> None:
        super().__init__()
        self.config = config or CompactConfig()
        self.front_end = FrontEnd()
        self.register_buffer("mean", torch.zeros(WIDTH))
        self.register_buffer("scale", torch.ones(WIDTH))
        self.mean: Tensor
        self.scale: Tensor
        self.members = nn.ModuleList(Member(self.config) for _ in range(self.config.members))
        self.quality_calibration = QualityCalibration(self.config.detection)
        self.register_load_state_dict_pre_hook(_rename_buffers)  # type: ignore[no-untyped-call]
        for axis in AXES if self.config.families else ():
            classes = _class_matrix(self.config.families, axis)
            self.register_buffer(f"families_{axis}", classes)

    def forward(self, waveforms: Tensor) -> dict[str, Tensor]:
        """Float32 ``(batch, samples)`` at 16 kHz, 64,000 samples or more, to logits per task.

        Returns:
            ``BIN`` ``(batch, 2)`` or ``(batch, 3)``, ``VQ`` and ``AUX`` ``(batch, 4)``, ``DEC``
            ``(batch, 3)``, for the tasks that the network has; see `CompactConfig.classes`.
        """
        outputs = self.outputs(waveforms)
        return {task: outputs[task] for task in self.config.tasks}

    @property
    def widths(self) -> Mapping[str, int]:
        """Logits of each task."""
        return {task: len(self.config.classes(task)) for task in self.config.tasks}

    def set_precision(self, precision: str) -> None:
        """Nothing to do: it computes in float32."""

    def outputs(self, waveforms: Tensor, *, exact: bool = True) -> dict[str, Tensor]:
        """All that the network computes: logits per task and, with such a head, of ``FAMILY``.

        Returns:
            As `forward`, and ``FAMILY`` ``(batch, families)`` in the order of the configuration.
        """
        features = self.front_end(waveforms)
        outputs = self.from_features(features)
        outside = ((features - self.mean) / self.scale).abs() >= LIMIT
        outputs[OUTSIDE] = outside.float().mean(dim=1)
        if "BIN" in outputs:
            outputs[CONTRIBUTIONS] = self.contributions(features)
        return outputs

    @property
    def block_names(self) -> tuple[str, ...]:
        """Blocks of statistics that members read, in the order of ``CONTRIBUTIONS``."""
        return ("fine", *self.config.blocks) if "BIN" in self.config.tasks else ()

    def contributions(self, features: Tensor) -> Tensor:
        """What each block adds to the logits of ``BIN``, ``(batch, blocks, classes)``.

        Against what the mean of the training clips' statistics would add; scaled as the quality
        calibration scales the logits.
        """
        given = split_blocks(self.standardise(features))
        usual = split_blocks(torch.zeros_like(features[:1]))
        each = [
            member.contributions(given) - member.contributions(usual)
            for member in cast("list[Member]", list(self.members))
        ]
        mean = torch.stack(each).mean(dim=0)
        factor = (self.quality_calibration.measure(features) @ self.quality_calibration.slope).exp()
        return mean * factor[:, None, None]

    def fit_statistics(self, features: Tensor) -> None:
        """Take mean and scale from training features ``(clips, WIDTH)``.

        The fine structure's are those of a whole channel, so that the place of a peak is kept.
        """
        means, scales = [], []
        for name, block in split_blocks(features.float()).items():
            over = (0, 2) if name == "fine" else (0,)
            shape = (1, *block.shape[1:])
            means.append(block.mean(dim=over, keepdim=True).expand(shape).flatten())
            scales.append(block.std(dim=over, keepdim=True).expand(shape).flatten())
        self.mean.copy_(torch.cat(means))
        self.scale.copy_(torch.cat(scales) + 1e-3)
        self.quality_calibration.fit_statistics(features.float())

    @torch.no_grad()
    def shift(self, logits: Mapping[str, Tensor]) -> None:
        """Add ``(classes,)`` to the logits of each task named."""
        for member in self.members:
            for task, added in logits.items():
                cast(nn.Linear, cast(Member, member).heads[task]).bias.add_(added)

    def standardise(self, features: Tensor) -> Tensor:
        """Features ``(batch, WIDTH)`` to the same with mean 0 and deviation 1, within `LIMIT`."""
        return ((features - self.mean) / self.scale).clamp(-LIMIT, LIMIT)

    def from_features(self, features: Tensor) -> dict[str, Tensor]:
        """Features ``(batch, WIDTH)`` to logits, as `outputs`: the mean of the members'."""
        blocks = split_blocks(self.standardise(features))
        each = [member(blocks) for member in self.members]
        logits = {name: torch.stack([one[name] for one in each]).mean(dim=0) for name in each[0]}
        if FAMILY in logits:
            logits |= {axis: self._mixed(axis, logits) for axis in AXES if axis in logits}
        if "BIN" in logits:
            qualities = self.quality_calibration.measure(features)
            logits["BIN"] = self.quality_calibration(logits["BIN"], qualities)
        return logits

    def _mixed(self, axis: str, logits: dict[str, Tensor]) -> Tensor:
        """An axis's logits, its codec classes mixed with those of the likely families."""
        real, codec = logits[axis][:, :1], logits[axis][:, 1:]
        own = codec.softmax(dim=1)
        of_families = logits[FAMILY].softmax(dim=1) @ self.get_buffer(f"families_{axis}")
        # Families of no certain class leave the answer to the axis's own head.
        of_families = of_families + (1.0 - of_families.sum(dim=1, keepdim=True)) * own
        share = self.config.family_share
        mixed = ((1.0 - share) * own + share * of_families).clamp(min=1e-7)
        return torch.cat([real, mixed.log() + codec.logsumexp(dim=1, keepdim=True)], dim=1)


def _rename_buffers(
    network: nn.Module, state: dict[str, Tensor], prefix: str, *_: Any, **__: Any
) -> None:
    """Take weights that were written before `_RENAMED`."""
    del network
    for old, new in _RENAMED:
        for key in [key for key in state if key.startswith(prefix + old)]:
            state[prefix + new + key.removeprefix(prefix + old)] = state.pop(key)


def _class_matrix(families: tuple[str, ...], axis: str) -> Tensor:
    """1 where a family is of a codec class, ``(families, classes)``; 0 all along if uncertain."""
    names = CLASSES[axis][1:]
    rows = [[float(family_class(family, axis) == name) for name in names] for family in families]
    return torch.tensor(rows)


def split_blocks(features: Tensor) -> dict[str, Tensor]:
    """Features ``(batch, WIDTH)`` as blocks ``(batch, channels, width)``."""
    pieces = torch.split(features, [block.size for block in BLOCKS.values()], dim=1)
    return {
        name: piece.reshape(-1, block.channels, block.width)
        for (name, block), piece in zip(BLOCKS.items(), pieces, strict=True)
    }


def build(config: Mapping[str, Any]) -> CompactNet:
    """The network that a weights file describes; see `codecsleuth.models.network`."""
    return CompactNet(CompactConfig(**config))
