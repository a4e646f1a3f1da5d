"""What inference needs of a network, and the networks that there are.

A new network is one module that has a function ``build(config)``, and one line in `NETWORKS`.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final, Protocol, cast, runtime_checkable

from codecsleuth.errors import WeightsError

if TYPE_CHECKING:
    from torch import Tensor


@runtime_checkable
class Network(Protocol):
    """A `torch.nn.Module` that reads waveforms.

    Attributes:
        precisions: arithmetic that it can compute in, ``float32`` first.
        widths: logits of each task, as ``BIN`` 2 or 3, ``VQ`` 4.
        block_names: blocks of statistics whose contributions it states; none for most networks.
    """

    precisions: tuple[str, ...]

    @property
    def block_names(self) -> tuple[str, ...]:
        """Blocks of statistics, in the order of ``CONTRIBUTIONS``."""

    @property
    def widths(self) -> Mapping[str, int]:
        """How many logits each task has."""

    def __call__(self, waveforms: Tensor) -> dict[str, Tensor]:
        """Float32 ``(batch, samples)`` at 16 kHz to logits per task, ``(batch, classes)``."""

    def outputs(self, waveforms: Tensor, *, exact: bool = False) -> dict[str, Tensor]:
        """All that the network computes.

        Args:
            waveforms: float32 ``(batch, samples)`` at 16 kHz.
            exact: compute in float32, whatever the precision set.

        Returns:
            Logits per task; and, of networks that have it, logits of ``FAMILY`` ``(batch,
            families)``, ``CONTRIBUTIONS`` of each block of statistics to the logits of ``BIN``
            ``(batch, blocks, classes)``, and the share of statistics ``OUTSIDE`` the range of
            training ``(batch,)``.
        """

    def set_precision(self, precision: str) -> None:
        """Make ready for inference in one of `precisions`."""


#: Module of each architecture by the name that weights files state.
NETWORKS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "compact": "codecsleuth.models.compact",
        "w2v2-aasist": "codecsleuth.models.w2v2_aasist",
    }
)


def build_network(architecture: str, config: Mapping[str, Any]) -> Network:
    """Build a network, to be given weights, from the name and settings that a file stores.

    A large one is built without memory for its weights: load them by assignment.

    Raises:
        WeightsError: the architecture is not one that this version knows.
    """
    if architecture not in NETWORKS:
        raise WeightsError(
            f"unknown architecture {architecture!r} in the weights; update codecsleuth"
        )
    return cast(Network, import_module(NETWORKS[architecture]).build(config))
