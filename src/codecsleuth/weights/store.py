"""Weights files: safetensors whose metadata builds the network and calibrates its answer."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from codecsleuth.errors import WeightsError
from codecsleuth.storage import replacing, sha256_of

if TYPE_CHECKING:
    from torch import Tensor

FORMAT: Final = "codecsleuth/weights/1"
METADATA_KEY: Final = "codecsleuth"


@dataclass(frozen=True)
class WeightsFile:
    """A weights file in memory.

    Attributes:
        name: the model's name, such as ``compact``.
        version: version of the weights, free text.
        architecture: key for `codecsleuth.models.build_network`.
        config: the network's settings.
        tasks: tasks the network has, in order.
        classes: class names per task, in the order of the logits.
        calibration: what `codecsleuth.calibration.Calibration.to_dict` gave, or
            `codecsleuth.calibration.UNFITTED`.
        training: free facts on how the weights came about.
        tensors: the network's state.
        sha256: hash of the file read; empty for one not yet written.
    """

    name: str
    version: str
    architecture: str
    config: dict[str, Any]
    tasks: tuple[str, ...]
    classes: dict[str, list[str]]
    calibration: dict[str, Any]
    training: dict[str, Any]
    tensors: dict[str, Tensor]
    sha256: str = ""


def read_weights(path: Path) -> WeightsFile:
    """Read a weights file.

    Raises:
        WeightsError: it is missing, not safetensors, or has no codecsleuth metadata.
    """
    from safetensors import SafetensorError, safe_open

    try:
        digest = sha256_of(path)
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
    except OSError as error:
        raise WeightsError(f"{path}: cannot read the weights: {error.strerror or error}") from error
    except SafetensorError as error:
        hint = "; 'codecsleuth weights import' converts a checkpoint of PyTorch"
        raise WeightsError(
            f"{path}: not a safetensors file ({error}){hint * _is_checkpoint(path)}"
        ) from error
    try:
        described = json.loads(metadata[METADATA_KEY])
        if described.pop("format") != FORMAT:
            raise WeightsError(f"{path}: weights of another format; update codecsleuth")
        described["tasks"] = tuple(described["tasks"])
        return WeightsFile(**described, tensors=tensors, sha256=digest)
    except (KeyError, TypeError, json.JSONDecodeError) as error:
        raise WeightsError(f"{path}: no codecsleuth metadata in this safetensors file") from error


def write_weights(path: Path, weights: WeightsFile) -> None:
    """Write a weights file beside its place, then rename it there."""
    from safetensors.torch import save_file

    described = {
        "format": FORMAT,
        "name": weights.name,
        "version": weights.version,
        "architecture": weights.architecture,
        "config": weights.config,
        "tasks": list(weights.tasks),
        "classes": weights.classes,
        "calibration": weights.calibration,
        "training": weights.training,
    }
    tensors = {key: tensor.contiguous() for key, tensor in sorted(weights.tensors.items())}
    with replacing(path) as temporary:
        save_file(tensors, temporary, {METADATA_KEY: json.dumps(described, sort_keys=True)})


def _is_checkpoint(path: Path) -> bool:
    return path.suffix in {".pth", ".pt", ".ckpt", ".bin"}
