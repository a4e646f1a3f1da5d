"""A recalibration that a laboratory fitted on its own recordings, and the file that it is kept in.

It is affine on the calibrated log-odds of a model and narrows the limits of its likelihood ratios.
It is of certain weights and goes with no others. ``codecsleuth validate`` writes it.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

from codecsleuth.arrays import LN10
from codecsleuth.calibration import Calibration
from codecsleuth.errors import UsageError
from codecsleuth.storage import write_atomically

SCHEMA: Final = "codecsleuth/calibration/1"
#: What likelihood ratios are of, by the names of `Calibration`: codec : bona fide,
#: (codec or vocoder) : bona fide, codec : vocoder.
PARTS: Final = ("bin", "neural", "source")


@dataclass(frozen=True)
class Affine:
    """New log-odds are ``scale * log-odds + bias``, natural logarithms."""

    scale: float = 1.0
    bias: float = 0.0


@dataclass(frozen=True)
class Recalibration:
    """What a laboratory's recordings change in a model's calibration.

    Attributes:
        model: name, version and sha256 of the weights that it is for.
        parts: what is changed, by names of `PARTS`.
        log10_lr_limits: lower and upper limit of log10 likelihood ratios against bona fide.
        clips: of each label that it was fitted on.
        sources: likewise.
        sha256: of the file; empty for one not yet written.
    """

    model: Mapping[str, str]
    parts: Mapping[str, Affine]
    log10_lr_limits: tuple[float, float]
    clips: Mapping[str, int]
    sources: Mapping[str, int]
    sha256: str = ""

    def applied(self, calibration: Calibration) -> Calibration:
        """A model's own calibration, changed."""
        changes: dict[str, Any] = {}
        for name, part in self.parts.items():
            scale, bias = (
                getattr(calibration, f"{name}_scale"),
                getattr(calibration, f"{name}_bias"),
            )
            changes[f"{name}_scale"] = part.scale * scale
            changes[f"{name}_bias"] = part.scale * bias + part.bias
        lower, upper = self.log10_lr_limits
        return replace(calibration, **changes, limits=(lower * LN10, upper * LN10))

    def facts(self) -> dict[str, Any]:
        """What an answer states of it."""
        return {
            "sha256": self.sha256,
            "clips": sum(self.clips.values()),
            "sources": sum(self.sources.values()),
        }

    def to_bytes(self) -> bytes:
        """The content of its file; without a date, so that the same data give the same bytes."""
        values = {
            "schema": SCHEMA,
            "model": dict(self.model),
            "parts": {name: asdict(part) for name, part in self.parts.items()},
            "log10_lr_limits": list(self.log10_lr_limits),
            "clips": dict(self.clips),
            "sources": dict(self.sources),
        }
        return (json.dumps(values, indent=2, allow_nan=False) + "\n").encode()

    def write(self, path: Path) -> None:
        """Write the file.

        Raises:
            OSError: it cannot be written.
        """
        write_atomically(path, self.to_bytes())

    @classmethod
    def read(cls, path: str | Path) -> Recalibration:
        """Read what `write` wrote.

        Raises:
            UsageError: there is no such file, or it is none of this kind.
        """
        try:
            content = Path(path).read_bytes()
        except OSError as error:
            raise UsageError(f"{path}: cannot be read: {error.strerror or error}") from error
        try:
            return cls._of(json.loads(content), sha256(content).hexdigest())
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise UsageError(
                f"{path}: not a calibration of 'codecsleuth validate --calibration-out' ({error})"
            ) from error

    @classmethod
    def _of(cls, values: Mapping[str, Any], digest: str) -> Recalibration:
        if values.get("schema") != SCHEMA:
            raise ValueError(f"schema {values.get('schema')!r}")
        parts = {name: Affine(**part) for name, part in values["parts"].items()}
        lower, upper = map(float, values["log10_lr_limits"])
        numbers = [lower, upper, *(v for part in parts.values() for v in asdict(part).values())]
        if "bin" not in parts or not parts.keys() <= set(PARTS):
            raise ValueError(f"parts {sorted(parts)}")
        if not all(map(math.isfinite, numbers)) or not lower <= 0 <= upper:
            raise ValueError("numbers out of range")
        if any(part.scale <= 0 for part in parts.values()):
            raise ValueError("a scale that is not positive")
        model = {name: str(values["model"][name]) for name in ("name", "version", "sha256")}
        clips, sources = (
            {label: int(count) for label, count in values[name].items()}
            for name in ("clips", "sources")
        )
        return cls(model, parts, (lower, upper), clips, sources, digest)
