"""Error rates on sources left out, under conditions that recordings meet.

    python benchmarks/conditions.py DATA OUT

OUT is a folder that `benchmarks/release.py` has filled: each fold's network, with the calibration
of the other folds, judges every fourth clip of the sources it has not seen, as it is and under each
condition. Prints a table and writes OUT/conditions.json.
"""

from __future__ import annotations

import argparse
import json
import sys
from concurrent.futures import ThreadPoolExecutor
from itertools import chain
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from codecsleuth.arrays import sigmoid
from codecsleuth.audio.windows import SAMPLE_RATE
from codecsleuth.augment.conditions import CONDITIONS
from codecsleuth.data.items import Item, class_indices, fold_sources, read_items
from codecsleuth.errors import AudioError
from codecsleuth.evaluation.figures import task_metrics
from codecsleuth.inference.model import Model
from codecsleuth.taxonomy import BIN_CODEC
from codecsleuth.training.compact.views import read_clip

FOLDS = 5
EVERY = 4


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("data", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--workers", type=int, default=2)
    options = parser.parse_args()
    table = read_items(options.data)
    items: list[Item] = []
    log_odds: dict[str, list[float]] = {name: [] for name in CONDITIONS}
    verdicts: dict[str, list[str]] = {name: [] for name in CONDITIONS}
    for number in range(1, FOLDS + 1):
        model = Model.load(options.out / f"fold-{number}" / "crossed.safetensors")
        sources = set(fold_sources(table.items, f"{number}/{FOLDS}"))
        chosen = [item for item in table if item.source in sources][::EVERY]
        with ThreadPoolExecutor(options.workers) as pool:
            answers = list(pool.map(lambda item, model=model: score(model, item), chosen))
        items += [item for item, answer in zip(chosen, answers, strict=True) if answer]
        for name in CONDITIONS:
            heard = [model.calibration.log_odds(answer[name]) for answer in answers if answer]
            log_odds[name] += map(float, heard)
            verdicts[name] += [model.calibration.verdict(float(sigmoid(one))) for one in heard]
    figures = {name: judge(log_odds[name], verdicts[name], items) for name in CONDITIONS}
    figures["all together"] = judge(
        list(chain.from_iterable(log_odds.values())),
        list(chain.from_iterable(verdicts.values())),
        items * len(CONDITIONS),
    )
    (options.out / "conditions.json").write_text(json.dumps(figures, indent=1), encoding="utf-8")
    for name, figure in figures.items():
        print(f"{name:26}" + "  ".join(f"{key} {value:.3f}" for key, value in figure.items()))


def score(model: Model, item: Item) -> dict[str, NDArray[np.float64]] | None:
    """BIN logits of a clip under each condition; None if a condition leaves nothing to hear."""
    clip = read_clip(item)
    answers = {}
    for number, (name, condition) in enumerate(CONDITIONS.items()):
        changed = condition(clip, np.random.default_rng((item.row, number)))
        try:
            answers[name] = model.logits(changed, SAMPLE_RATE)["BIN"]
        except AudioError as error:
            print(f"{item.file}, {name}: {error}; left out", file=sys.stderr)
            return None
    return answers


def judge(log_odds: list[float], verdicts: list[str], items: list[Item]) -> dict[str, float]:
    """EER over all folds, and the shares of each label that get each verdict."""
    labels = class_indices(items, "BIN")
    given, codec = np.array(verdicts), labels == BIN_CODEC
    logits = np.stack([np.array(log_odds), np.zeros(len(items))], axis=1)
    return {
        "eer": task_metrics({"BIN": logits}, {"BIN": labels})["BIN"]["eer"],
        "bona fide called codec": float((given[~codec] == "codec").mean()),
        "codec called bona fide": float((given[codec] == "bona_fide").mean()),
        "inconclusive": float((given == "inconclusive").mean()),
    }


if __name__ == "__main__":
    main()
