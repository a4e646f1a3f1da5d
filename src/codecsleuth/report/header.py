"""What every answer states of the run: tool, model, and the settings that can change an answer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from codecsleuth.audio.windows import HOP_S, SAMPLE_RATE, WINDOW_S
from codecsleuth.inference.model import Model
from codecsleuth.version import __version__

SCHEMA: Final = "codecsleuth/analysis/2"


@dataclass(frozen=True)
class Header:
    """Facts of a run, before its first result.

    Attributes:
        model: name, version, hash, tasks and classes of the weights.
        settings: all that can change an answer. How the work was spread must not show.
    """

    model: Mapping[str, Any]
    settings: Mapping[str, Any]
    tool: Mapping[str, str] = field(
        default_factory=lambda: {"name": "codecsleuth", "version": __version__}
    )

    @classmethod
    def of(cls, model: Model, **settings: Any) -> Header:
        """Of a model, and further settings that the user chose."""
        if model.recalibration is not None:
            settings = {"calibration": model.recalibration.facts(), **settings}
        return cls(
            {
                "name": model.name,
                "version": model.version,
                "sha256": model.sha256,
                "tasks": list(model.tasks),
                "classes": list(model.calibration.classes),
            },
            {
                "sample_rate": SAMPLE_RATE,
                "window_s": WINDOW_S,
                "hop_s": HOP_S,
                **model.calibration.thresholds(),
                "device": model.device,
                "precision": model.precision,
                **settings,
            },
        )

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {
            "schema": SCHEMA,
            "tool": dict(self.tool),
            "model": dict(self.model),
            "settings": dict(self.settings),
        }
