"""The library's functions; `codecsleuth` exports them."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path

from codecsleuth.errors import UsageError
from codecsleuth.inference.answer import Analysis, Result
from codecsleuth.inference.compute import DEFAULT_DEVICE, DEFAULT_PRECISION
from codecsleuth.inference.engine import Engine, Input
from codecsleuth.inference.engine.local import LocalEngine
from codecsleuth.inference.model import AudioInput, Model


def load_model(
    name_or_path: str | Path = "compact",
    *,
    device: str = DEFAULT_DEVICE,
    precision: str = DEFAULT_PRECISION,
    offline: bool = False,
    calibration: str | Path | None = None,
) -> Model:
    """Load a model by name, or from a weights file.

    Args:
        name_or_path: ``compact`` (embedded in the package), the name of published or imported
            weights, or the path of a weights file. Published weights are downloaded on first use.
        device: ``cpu``, ``cuda``, ``mps`` or ``auto``.
        precision: ``float32``, ``bfloat16``, or ``auto`` for bfloat16 where the hardware computes
            in it.
        offline: never use the network.
        calibration: file of a recalibration that ``codecsleuth validate --calibration-out`` wrote
            for these weights; every answer names it.

    Raises:
        UsageError: no such model or device, or the recalibration is not one for these weights.
        WeightsError: the file is damaged, or it cannot be downloaded.
    """
    return Model.load(
        name_or_path, device, precision=precision, offline=offline, calibration=calibration
    )


@cache
def _embedded() -> Model:
    return load_model()


def analyze(audio: AudioInput, sample_rate: int | None = None) -> Analysis:
    """Analyse one file, or one waveform, with the embedded model, which is loaded once.

    Args:
        audio: a path; or samples, ``(frames,)`` or ``(frames, channels)``: floats scaled to -1..1
            or signed integers, as an array, a list or a tensor.
        sample_rate: of the samples, in hertz; needed for samples, not allowed for a path.

    Raises:
        AudioError: the audio cannot be analysed.
    """
    return _embedded().analyze(audio, sample_rate)


def analyze_files(
    paths: Iterable[str | Path], *, model: Model | None = None, engine: Engine | None = None
) -> Iterator[Result]:
    """Analyse files several at a time; results come in the order of the paths.

    A file that cannot be analysed gives a `FileError` and does not disturb the others. Closing the
    iterator stops the work.

    Args:
        paths: of the files.
        model: by default the embedded one.
        engine: where the work is done; by default on all cores of this machine.

    Raises:
        UsageError: a single path is given.
    """
    if isinstance(paths, (str, Path)):
        raise UsageError("analyze_files takes several paths, as a list; analyze takes one")
    inputs = (Input(os.fspath(path)) for path in paths)
    return (engine or LocalEngine()).score(model or _embedded(), inputs)
