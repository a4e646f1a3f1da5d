"""Logits of networks on sources held out from their training: what calibration is fitted to."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from codecsleuth.arrays import FloatArray
from codecsleuth.errors import DataError
from codecsleuth.storage import replacing

#: Measured qualities of the recording, beside the logits per task.
QUALITY: Final = "QUALITY"
#: The open-set score, and 1 for clips of a codec family that was in the network's training.
FAMILIARITY: Final = "FAMILIARITY"
KNOWN_FAMILY: Final = "KNOWN_FAMILY"
_ROWS: Final = "ROWS"
_KEY: Final = "codecsleuth"


@dataclass(frozen=True)
class HeldOut:
    """A network's raw outputs on clips, in every view; view 0 is the clips without augmentation.

    Attributes:
        clips_sha256: hash of the data the clips are of.
        rows: which clips of it, ``(clips,)``.
        outputs: per task the logits ``(views, clips, classes)``, not calibrated, and `QUALITY`
            ``(views, clips, qualities)``; of a network with a head for families `FAMILIARITY` and
            `KNOWN_FAMILY`, each ``(views, clips, 1)``.
    """

    clips_sha256: str
    rows: NDArray[np.int64]
    outputs: Mapping[str, FloatArray]

    def write(self, path: Path) -> None:
        """Write to a file, in one step."""
        tensors = {name: torch.from_numpy(values) for name, values in self.outputs.items()}
        with replacing(path) as temporary:
            facts = {_KEY: json.dumps({"clips_sha256": self.clips_sha256})}
            save_file({_ROWS: torch.from_numpy(self.rows), **tensors}, temporary, facts)


def read_held_out(paths: Sequence[Path], clips_sha256: str) -> HeldOut:
    """Read and join the held-out files of several runs, each of other sources.

    Raises:
        DataError: a file cannot be read, or is about other clips than these; names it.
    """
    parts = [_read(path, clips_sha256) for path in paths]
    for path, part in zip(paths, parts, strict=True):
        if _layout(part) != _layout(parts[0]):
            raise DataError(
                f"{path}: of a run with other tasks, classes or --views than {paths[0]}"
            )
    outputs = {
        name: np.concatenate([part.outputs[name] for part in parts], axis=1)
        for name in parts[0].outputs
    }
    return HeldOut(clips_sha256, np.concatenate([part.rows for part in parts]), outputs)


def _layout(part: HeldOut) -> dict[str, tuple[int, int]]:
    """Views and width of each output."""
    return {name: (values.shape[0], values.shape[2]) for name, values in part.outputs.items()}


def _read(path: Path, clips_sha256: str) -> HeldOut:
    try:
        with safe_open(path, framework="pt") as file:
            facts = json.loads((file.metadata() or {})[_KEY])
            tensors = {key: file.get_tensor(key).numpy() for key in file.keys()}  # noqa: SIM118
        rows = tensors.pop(_ROWS)
    except (OSError, SafetensorError, KeyError, ValueError) as error:
        raise DataError(
            f"{path}: not the left-out.safetensors of a run of train ({error})"
        ) from error
    if facts.get("clips_sha256") != clips_sha256:
        raise DataError(f"{path}: about other data than --data")
    return HeldOut(clips_sha256, rows, tensors)
