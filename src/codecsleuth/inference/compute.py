"""In which arithmetic a network computes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from codecsleuth.errors import WeightsError

if TYPE_CHECKING:
    from torch import nn

PRECISIONS: Final = ("auto", "float32", "bfloat16")
#: Names that torch has for bfloat16 products of x86 and of ARM processors.
_CPU_FEATURES: Final = ("avx512_bf16", "amx_bf16", "bf16")


def prepare(network: nn.Module, precision: str, device: str) -> str | None:
    """Let a network compute as asked for, where it has a choice.

    Args:
        network: with its weights, on its device.
        precision: one of `PRECISIONS`; ``auto`` is bfloat16 where the hardware computes in it.
        device: ``cpu``, ``cuda`` or ``mps``.

    Returns:
        ``float32`` or ``bfloat16``; None for a network that always computes in float32.

    Raises:
        WeightsError: bfloat16 is asked for, and the network has none.
    """
    chooses = getattr(network, "prepare", None)
    if chooses is None:
        if precision == "bfloat16":
            raise WeightsError("this model computes in float32 only; leave --precision out")
        return None
    half = precision == "bfloat16" or (precision == "auto" and has_bfloat16(device))
    chooses(half=half)
    return "bfloat16" if half else "float32"


def has_bfloat16(device: str) -> bool:
    """Whether a device multiplies in bfloat16, rather than imitating it."""
    import torch

    if device == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    if device != "cpu":
        return False
    there = torch.cpu.get_capabilities()
    return any(there.get(feature, False) for feature in _CPU_FEATURES)
