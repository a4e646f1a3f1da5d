"""What networks said of clips that they have not seen: what reliability and calibration fit to."""

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
#: The open-set score, and 1 for clips of a codec family that the network has met.
FAMILIARITY: Final = "FAMILIARITY"
MET: Final = "MET"
_ROWS: Final = "ROWS"
_KEY: Final = "codecsleuth"


@dataclass(frozen=True)
class HeldOut:
    """Answers about clips in every view, view 0 as they are.

    Attributes:
        clips_sha256: hash of the data the clips are of.
        rows: which clips of it, ``(clips,)``.
        answers: per task the logits ``(views, clips, classes)``, without reliability or
            calibration, and `QUALITY` ``(views, clips, qualities)``; of a network that tells
            families apart `FAMILIARITY` and `MET`, each ``(views, clips, 1)``.
    """

    clips_sha256: str
    rows: NDArray[np.int64]
    answers: Mapping[str, FloatArray]

    def write(self, path: Path) -> None:
        """Write to a file, in one step."""
        tensors = {name: torch.from_numpy(values) for name, values in self.answers.items()}
        with replacing(path) as temporary:
            facts = {_KEY: json.dumps({"clips_sha256": self.clips_sha256})}
            save_file({_ROWS: torch.from_numpy(self.rows), **tensors}, temporary, facts)


def read_held_out(paths: Sequence[Path], clips_sha256: str) -> HeldOut:
    """Read and join what several runs wrote of the clips that each of them had left out.

    Raises:
        DataError: a file cannot be read, or is about other clips than these; names it.
    """
    parts = [_read(path, clips_sha256) for path in paths]
    if len({tuple(values.shape[0] for values in part.answers.values()) for part in parts}) > 1:
        raise DataError(f"{paths[0]} and the others are of runs with different --views")
    answers = {
        name: np.concatenate([part.answers[name] for part in parts], axis=1)
        for name in parts[0].answers
    }
    return HeldOut(clips_sha256, np.concatenate([part.rows for part in parts]), answers)


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
