"""Checkpoints: network, running average, optimiser and generators in one safetensors file."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from codecsleuth.errors import WeightsError
from codecsleuth.storage import replacing

_KEY: Final = "codecsleuth-checkpoint"
State = dict[str, Tensor]


@dataclass(frozen=True)
class Checkpoint:
    """All that a run needs to go on as if it had not stopped.

    Attributes:
        states: named groups of tensors (``network``, ``average``, ``best``, ``optimiser``,
            ``generator``).
        facts: plain values (step, best score, fingerprint, NumPy generator state).
    """

    states: dict[str, State]
    facts: dict[str, Any]


def write_checkpoint(path: Path, checkpoint: Checkpoint) -> None:
    """Replace the checkpoint in one step; a crash leaves the old one readable."""
    flat = {
        f"{group}/{name}": tensor.detach().cpu().contiguous()
        for group, state in checkpoint.states.items()
        for name, tensor in state.items()
    }
    with replacing(path) as temporary:
        save_file(flat, temporary, {_KEY: json.dumps(checkpoint.facts)})


def read_checkpoint(path: Path) -> Checkpoint:
    """Read what `write_checkpoint` wrote.

    Raises:
        WeightsError: the file is not a checkpoint.
    """
    states: dict[str, State] = {}
    try:
        with safe_open(path, framework="pt") as file:
            facts = json.loads((file.metadata() or {})[_KEY])
            for key in file.keys():  # noqa: SIM118
                group, name = key.split("/", 1)
                states.setdefault(group, {})[name] = file.get_tensor(key)
    except (OSError, SafetensorError, KeyError, ValueError) as error:
        raise WeightsError(f"{path}: not a checkpoint that can be resumed ({error})") from error
    return Checkpoint(states, facts)


def optimiser_tensors(optimiser: torch.optim.Optimizer) -> State:
    """The optimiser's state as named tensors."""
    return {
        f"{index}/{name}": value
        for index, values in optimiser.state_dict()["state"].items()
        for name, value in values.items()
    }


def load_optimiser(optimiser: torch.optim.Optimizer, state: State) -> None:
    """Put back what `optimiser_tensors` gave."""
    described = optimiser.state_dict()
    for key, value in state.items():
        index, name = key.split("/")
        described["state"].setdefault(int(index), {})[name] = value
    optimiser.load_state_dict(described)
