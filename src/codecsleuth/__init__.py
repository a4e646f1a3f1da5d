"""Did this speech pass through a neural audio codec, and of which kind?"""

from __future__ import annotations

from typing import TYPE_CHECKING

from codecsleuth.version import __version__

if TYPE_CHECKING:
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    from codecsleuth.inference.model import Analysis, Model

__all__ = ["__version__", "analyze", "load_model"]


def load_model(
    name_or_path: str | Path = "compact",
    *,
    device: str = "cpu",
    precision: str = "float32",
    offline: bool = False,
) -> Model:
    """Load a model by name, or from a weights file.

    Args:
        name_or_path: ``compact`` (embedded in the package), the name of published or imported
            weights, or the path of a weights file. Published weights are downloaded on first use.
        device: ``cpu``, ``cuda``, ``mps`` or ``auto``.
        precision: ``float32``, ``bfloat16``, or ``auto`` for bfloat16 where the hardware computes
            in it.
        offline: never use the network.

    Raises:
        WeightsError: no such model, the file is damaged, or it cannot be downloaded.
    """
    from codecsleuth.inference.model import Model

    return Model.load(name_or_path, device, precision=precision, offline=offline)


def analyze(audio: str | Path | NDArray[np.float32], sample_rate: int | None = None) -> Analysis:
    """Analyse one file, or one waveform, with the embedded model.

    Args:
        audio: a path; or samples, ``(frames,)`` or ``(frames, channels)``.
        sample_rate: of the samples, in hertz; needed for samples, not allowed for a path.

    Raises:
        AudioError: the audio cannot be analysed.
    """
    return load_model().analyze(audio, sample_rate)
