"""Rendered views: augmented clips as the front end's features, made once and kept on disk.

The compact network's front end is not trained, so that its features of an augmented clip can be
computed once and drawn from in every step. View 0 is the clip as it is; a view v > 0 is cut and
augmented by a generator that is seeded with (seed, v, clip), whatever the number of workers.
"""

from __future__ import annotations

import ast
import hashlib
import json
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import suppress
from dataclasses import asdict, dataclass
from functools import partial
from importlib import metadata
from multiprocessing import get_context
from pathlib import Path
from types import ModuleType
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray

from codecsleuth.audio.windows import WINDOW_SAMPLES
from codecsleuth.augment import chain as augment
from codecsleuth.augment import channels
from codecsleuth.augment.chain import Augmentation
from codecsleuth.data.clip_audio import read_clip
from codecsleuth.data.items import Item
from codecsleuth.models import front_end, statistics
from codecsleuth.models.front_end import FrontEnd

Features = NDArray[np.float16]
Map = Callable[..., Iterator[tuple[int, Features]]]
_CLIPS_A_TASK: Final = 32
#: Libraries that a view's values follow from.
_LIBRARIES: Final = ("numpy", "torch", "torchaudio", "soxr", "soundfile", "av")
_WITH_DOCSTRING: Final = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)


@dataclass(frozen=True)
class ViewMaker:
    """How views are made.

    Attributes:
        augmentation: of views other than 0.
        seed: of all views.
        folder: where rendered views are kept.
        audio_sha256: hash of the clips' audio, see `ItemTable`.
    """

    augmentation: Augmentation
    seed: int
    folder: Path
    audio_sha256: str

    def path(self, view: int) -> Path:
        """File of a rendered view; its name changes with all that its content follows from."""
        described: list[object] = [self.audio_sha256, _library_versions()]
        described += [_code_sha256(module) for module in (front_end, statistics)]
        if view:
            code = [_code_sha256(module) for module in (augment, channels)]
            described += [asdict(self.augmentation), *code, self.seed]
        key = hashlib.sha256(json.dumps(described, sort_keys=True).encode()).hexdigest()[:12]
        return self.folder / f"view-{view:03d}-{key}.npy"

    def missing(self, views: int) -> list[int]:
        """Views that have to be rendered."""
        return [view for view in range(views) if not self.path(view).is_file()]

    def render(self, items: Sequence[Item], views: Sequence[int], workers: int) -> Iterator[int]:
        """Render views, with one row for each item, and yield the number of clips after each few.

        Raises:
            DataError: a clip cannot be read; names it.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        if workers == 1:
            threads = torch.get_num_threads()
            _one_thread()
            for view in views:
                yield from self._render_view(items, view, map)
            torch.set_num_threads(threads)
            return
        context = get_context("spawn")
        with ProcessPoolExecutor(workers, context, initializer=_one_thread) as pool:
            for view in views:
                yield from self._render_view(items, view, pool.map)

    def _render_view(self, items: Sequence[Item], view: int, mapped: Map) -> Iterator[int]:
        path = self.path(view)
        unfinished = path.with_suffix(f".{os.getpid()}.partial")
        jobs = [
            (start, items[start : start + _CLIPS_A_TASK])
            for start in range(0, len(items), _CLIPS_A_TASK)
        ]
        try:
            shape = (len(items), front_end.WIDTH)
            rows = np.lib.format.open_memmap(unfinished, "w+", np.float16, shape)
            for start, block in mapped(partial(_render_block, self, view), jobs):
                rows[start : start + len(block)] = block
                yield len(block)
            rows.flush()
            unfinished.replace(path)
        finally:
            unfinished.unlink(missing_ok=True)

    def load(self, view: int) -> Features:
        """A rendered view, ``(clips, features)``, mapped from disk."""
        loaded: Features = np.load(self.path(view), mmap_mode="r")
        return loaded


def _code_sha256(module: ModuleType) -> str:
    """Hash of a module's code without comments and docstrings: what views follow from."""
    tree = ast.parse(Path(str(module.__file__)).read_bytes())
    for node in ast.walk(tree):
        if isinstance(node, _WITH_DOCSTRING) and ast.get_docstring(node, clean=False) is not None:
            node.body = node.body[1:]
    return hashlib.sha256(ast.dump(tree).encode()).hexdigest()


def _library_versions() -> dict[str, str]:
    """Versions of the libraries that decode, augment and measure; of those that are there."""
    versions = {}
    for name in _LIBRARIES:
        with suppress(metadata.PackageNotFoundError):
            versions[name] = metadata.version(name)
    return versions


def _one_thread() -> None:
    """A sum is the same to the last bit only where it is split up in the same way."""
    torch.set_num_threads(1)


def _render_block(
    maker: ViewMaker, view: int, job: tuple[int, Sequence[Item]]
) -> tuple[int, Features]:
    start, items = job
    network = FrontEnd()
    rows = []
    for number, item in enumerate(items, start):
        waveform = read_clip(item)
        if view:
            rng = np.random.default_rng((maker.seed, view, number))
            waveform = maker.augmentation(waveform, rng)
        window = torch.from_numpy(np.resize(waveform, WINDOW_SAMPLES))
        rows.append(network(window[None])[0].numpy())
    return start, np.stack(rows).astype(np.float16)
