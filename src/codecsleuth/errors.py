"""Errors that a user can act on; each message says what is wrong and what to do."""

from __future__ import annotations


class CodecsleuthError(Exception):
    """Base of all errors that are reported as one line, without a stack trace."""


class AudioError(CodecsleuthError):
    """An audio file cannot be analysed.

    Attributes:
        kind: a short stable word for machines, such as ``"truncated"`` or ``"silent"``.
    """

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind


class DataError(CodecsleuthError):
    """A data folder, table or list cannot be used; the message names row and file."""


class WeightsError(CodecsleuthError):
    """A weights file is missing, damaged or not one of ours."""


class UsageError(CodecsleuthError):
    """Options that do not go together."""
