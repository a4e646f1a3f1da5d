"""Did this speech pass through a neural audio codec, and of which kind?

`analyze` answers for one recording with the embedded model, `analyze_files` for many, and
`load_model` gives any model. Everything else is imported when it is used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

from codecsleuth.errors import AudioError, CodecsleuthError, DataError, UsageError, WeightsError
from codecsleuth.version import __version__

if TYPE_CHECKING:
    from codecsleuth.api import analyze, analyze_files, load_model
    from codecsleuth.findings import Finding
    from codecsleuth.inference.answer import (
        Analysis,
        AxisAnswer,
        Candidate,
        FileError,
        Passage,
        WindowAnswer,
    )
    from codecsleuth.inference.model import Model

_LAZY: Final = {
    "analyze": "codecsleuth.api",
    "analyze_files": "codecsleuth.api",
    "load_model": "codecsleuth.api",
    "Analysis": "codecsleuth.inference.answer",
    "AxisAnswer": "codecsleuth.inference.answer",
    "Candidate": "codecsleuth.inference.answer",
    "FileError": "codecsleuth.inference.answer",
    "Passage": "codecsleuth.inference.answer",
    "WindowAnswer": "codecsleuth.inference.answer",
    "Finding": "codecsleuth.findings",
    "Model": "codecsleuth.inference.model",
}

__all__ = [
    "Analysis",
    "AudioError",
    "AxisAnswer",
    "Candidate",
    "CodecsleuthError",
    "DataError",
    "FileError",
    "Finding",
    "Model",
    "Passage",
    "UsageError",
    "WeightsError",
    "WindowAnswer",
    "__version__",
    "analyze",
    "analyze_files",
    "load_model",
]


def __getattr__(name: str) -> Any:
    """Import what is heavy when it is first asked for."""
    if name not in _LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_LAZY[name]), name)
