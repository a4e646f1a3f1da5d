"""Error rates on held-out sources, under conditions that recordings are made in.

    python release/conditions.py DATA OUT [--clips N] [--workers N]

OUT is a folder that `release/train.py` has filled: each fold's network, with the calibration of the
other folds, is measured on clips of its held-out sources, as they are and under each condition of
`codecsleuth.augment.conditions`. Labels are drawn alike in every fold. Features are kept below
OUT/conditions, so that an interrupted run goes on. Writes OUT/conditions.json and prints it.
"""

from __future__ import annotations

import argparse
import json
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import torch
from common import CROSSED, FOLDS, arguments, fold, network_of
from measure import verdicts

from codecsleuth import Model
from codecsleuth.arrays import FloatArray
from codecsleuth.audio.windows import WINDOW_SAMPLES
from codecsleuth.augment.conditions import CONDITIONS
from codecsleuth.data.clip_audio import read_clip
from codecsleuth.data.folds import fold_sources
from codecsleuth.data.items import BONA_FIDE, SPOOF, VOCODER, Item, read_items
from codecsleuth.evaluation.metrics import equal_error_rate
from codecsleuth.models.front_end import WIDTH, FrontEnd
from codecsleuth.weights import read_weights

#: Parts of the clips of a fold that are of each label.
SHARES = {BONA_FIDE: 0.4, SPOOF: 0.4, VOCODER: 0.2}
SEED = 0
Job = tuple[str, int, Item]


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("--clips", type=int, default=1000)
    parser.add_argument("--workers", type=int, default=2)
    options = parser.parse_args()
    table = read_items(options.data)
    chosen = {
        number: choose(table.items, number, options.clips // len(options.folds))
        for number in options.folds
    }
    items = [item for of_fold in chosen.values() for item in of_fold]
    models = {n: Model.load(fold(options, n) / CROSSED) for n in chosen}
    networks = {n: network_of(read_weights(fold(options, n) / CROSSED)) for n in chosen}
    folds = np.repeat(list(chosen), [len(of_fold) for of_fold in chosen.values()])
    figures: dict[str, Any] = {}
    for name in CONDITIONS:
        features = rendered(options, name, items)
        odds, given = np.zeros(len(items)), np.empty(len(items), dtype=object)
        for number in chosen:
            own = folds == number
            with torch.inference_mode():
                block = torch.from_numpy(features[own]).float()
                logits = networks[number].from_features(block)["BIN"].double().numpy()
            odds[own] = models[number].calibration.unlimited_log_odds(logits)
            given[own] = verdicts(models[number], logits)
        figures[name] = figures_of(odds, given, items)
        print(f"{name:20}" + "  ".join(f"{k} {v:.3f}" for k, v in figures[name].items()))
        text = json.dumps(figures, indent=1)
        (options.out / "conditions.json").write_text(text, encoding="utf-8")


def choose(items: tuple[Item, ...], number: int, count: int) -> list[Item]:
    """Clips of a fold's held-out sources, the same ones every time."""
    rng = np.random.default_rng((SEED, number))
    sources = set(fold_sources(items, f"{number}/{FOLDS}"))
    found: list[Item] = []
    for label, share in SHARES.items():
        own = [item for item in items if item.source in sources and item.label == label]
        found += [own[k] for k in rng.permutation(len(own))[: round(share * count)]]
    return found


def rendered(options: argparse.Namespace, name: str, items: list[Item]) -> np.ndarray:
    """Features of clips under a condition, ``(clips, features)``; kept on disk."""
    folder = Path(options.out) / "conditions"
    folder.mkdir(exist_ok=True)
    path = folder / f"{name}-{len(items)}.npy"
    if not path.exists():
        with get_context("spawn").Pool(options.workers, _one_thread) as pool:
            jobs = [(name, item.row, item) for item in items]
            rows = pool.map(render, jobs, chunksize=16)
        partial = path.with_suffix(".part.npy")
        np.save(partial, np.stack(rows))
        partial.replace(path)
    loaded: np.ndarray = np.load(path)
    return loaded


def _one_thread() -> None:
    torch.set_num_threads(1)


def render(job: Job) -> np.ndarray:
    name, row, item = job
    clip = read_clip(item)
    number = list(CONDITIONS).index(name)
    clip = CONDITIONS[name](clip, np.random.default_rng((row, number)))
    window = torch.from_numpy(np.resize(clip, WINDOW_SAMPLES).astype(np.float32))
    found = FrontEnd()(window[None])[0].numpy().astype(np.float16)
    assert found.shape == (WIDTH,)
    return np.asarray(found)


def figures_of(odds: FloatArray, given: np.ndarray, items: list[Item]) -> dict[str, Any]:
    """EER codec against bona fide, and the shares of each label that get each verdict."""
    codec, bona_fide, vocoder = (
        np.array([item.label == label for item in items]) for label in (SPOOF, BONA_FIDE, VOCODER)
    )
    neural = np.isin(given, ("codec", "vocoder", "neural"))
    compared = codec | bona_fide
    return {
        "eer": float(equal_error_rate(odds[compared], codec[compared])),
        "false_alarms": float(neural[bona_fide].mean()),
        "misses": float((given[codec] == "bona_fide").mean()),
        "vocoder_called_codec": float((given[vocoder] == "codec").mean()),
        "vocoder_called_bona_fide": float((given[vocoder] == "bona_fide").mean()),
        "inconclusive": float((given[compared] == "inconclusive").mean()),
        "clips": int(compared.sum()),
        "sources": len({item.source for item, taken in zip(items, compared, strict=True) if taken}),
    }


if __name__ == "__main__":
    main()
