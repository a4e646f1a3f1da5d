"""Where and how a network computes: device, precision, threads."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from codecsleuth.errors import UsageError

if TYPE_CHECKING:
    from codecsleuth.models.network import Network

PRECISIONS: Final = ("auto", "float32", "bfloat16")
#: The command line's and the library's: the same file and model give the same digits.
DEFAULT_DEVICE: Final = "cpu"
DEFAULT_PRECISION: Final = "float32"
#: Names that torch has for bfloat16 products of x86 and of ARM processors.
_CPU_FEATURES: Final = ("avx512_bf16", "amx_bf16", "bf16")


def available_cores() -> int:
    """CPU cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def pick_device(device: str) -> str:
    """Turn ``auto`` into the best device there is, and check one that is named.

    Raises:
        UsageError: the device is unknown or not on this machine.
    """
    if device == "cpu":
        return device
    import torch

    there = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if device == "auto":
        device = next((name for name, present in there.items() if present), "cpu")
    elif not there.get(device, False):
        raise UsageError(f"device {device!r} is not available on this machine")
    if device == "cuda":
        # Answers must not depend on which kernel was quickest today, nor on rounded products.
        torch.backends.cudnn.deterministic = True
        torch.backends.cudnn.benchmark = False
        torch.backends.cudnn.allow_tf32 = False
        torch.backends.cuda.matmul.allow_tf32 = False
    return device


def pick_precision(network: Network, precision: str, device: str) -> str:
    """Turn ``auto`` into what the hardware does best, and check one that is named.

    Args:
        network: that will compute.
        precision: one of `PRECISIONS`.
        device: ``cpu``, ``cuda`` or ``mps``.

    Raises:
        UsageError: the network cannot compute in it.
    """
    if precision == "auto":
        half = "bfloat16" in network.precisions and has_bfloat16(device)
        return "bfloat16" if half else "float32"
    if precision not in network.precisions:
        raise UsageError(f"this model computes in {', '.join(network.precisions)} alone")
    return precision


def has_bfloat16(device: str) -> bool:
    """Whether a device multiplies in bfloat16, rather than imitating it."""
    import torch

    if device == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    if device != "cpu":
        return False
    there = torch.cpu.get_capabilities()
    return any(there.get(feature, False) for feature in _CPU_FEATURES)


class _OneThread:
    """Sets torch's thread count to 1 for the threads that compute here, and gives it back.

    Each thread of a process has a number of its own, which it takes from the process's last setting
    when it first asks torch for anything. A thread that begins while others compute here would
    therefore take their 1 for its own: it is given the number that was there before them.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._users = 0
        self._usual = 1

    def enter(self) -> int:
        """Set 1; returns what to give back."""
        import torch

        with self._lock:
            before = torch.get_num_threads()
            if self._users == 0:
                self._usual = before
            self._users += 1
            torch.set_num_threads(1)
            return before if before != 1 else self._usual

    def leave(self, before: int) -> None:
        """Give the number back, unless somebody has set another meanwhile."""
        import torch

        with self._lock:
            self._users -= 1
            if torch.get_num_threads() == 1:
                torch.set_num_threads(before)


_ONE_THREAD: Final = _OneThread()


@contextmanager
def one_thread() -> Iterator[None]:
    """Let torch compute on one thread in this one, and give the others back afterwards.

    A sum's last bits depend on how many threads share it. Not to be nested.
    """
    before = _ONE_THREAD.enter()
    try:
        yield
    finally:
        _ONE_THREAD.leave(before)
