"""Errors that a user can act on; each message says what is wrong and what to do.

They survive pickling, so that an engine may pass them between processes and machines.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


class CodecsleuthError(Exception):
    """Base of all errors that are reported as one line, without a stack trace."""


class AudioError(CodecsleuthError):
    """A recording cannot be analysed.

    Attributes:
        kind: a short stable word for machines, such as ``"truncated"`` or ``"silent"``.
        evidence: what is known of the file, by the names of `Evidence`; None if nothing is.
    """

    def __init__(self, kind: str, message: str, evidence: Mapping[str, Any] | None = None) -> None:
        # All in `args`: that is what pickling makes the error anew from.
        super().__init__(kind, message, evidence)
        self.kind, self.evidence = kind, evidence

    def __str__(self) -> str:
        """The message alone."""
        return str(self.args[1])


class DataError(CodecsleuthError):
    """A data folder, table or list cannot be used; the message names row and file."""


class WeightsError(CodecsleuthError):
    """A weights file is missing, damaged or not one of ours."""


class UsageError(CodecsleuthError):
    """Options that do not go together, a model that does not exist, a device that is not there."""
