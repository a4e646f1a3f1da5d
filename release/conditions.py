"""Error rates on held-out sources, under conditions that recordings are made in.

    python release/conditions.py DATA OUT

OUT is a folder that `release/train.py` has filled: each fold's network, with the calibration of the
other folds, is measured on every fourth clip of its held-out sources, as it is and under each
condition. Prints a table and writes OUT/conditions.json.
"""

from __future__ import annotations

import json
import sys
from concurrent.futures import ThreadPoolExecutor
from itertools import chain

import numpy as np
from common import CROSSED, FOLDS, arguments, fold
from numpy.typing import NDArray

from codecsleuth.audio.windows import SAMPLE_RATE
from codecsleuth.augment.conditions import CONDITIONS
from codecsleuth.data.clip_audio import read_clip
from codecsleuth.data.folds import fold_sources
from codecsleuth.data.items import Item, read_items
from codecsleuth.errors import AudioError
from codecsleuth.evaluation.metrics import equal_error_rate
from codecsleuth.inference.model import Model

EVERY = 4


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("--workers", type=int, default=2)
    options = parser.parse_args()
    table = read_items(options.data)
    items: list[Item] = []
    log_odds: dict[str, list[float]] = {name: [] for name in CONDITIONS}
    verdicts: dict[str, list[str]] = {name: [] for name in CONDITIONS}
    for number in range(1, FOLDS + 1):
        model = Model.load(fold(options, number) / CROSSED)
        sources = set(fold_sources(table.items, f"{number}/{FOLDS}"))
        chosen = [item for item in table if item.source in sources][::EVERY]
        with ThreadPoolExecutor(options.workers) as pool:
            answers = list(pool.map(lambda item, model=model: score(model, item), chosen))
        items += [item for item, answer in zip(chosen, answers, strict=True) if answer]
        for name in CONDITIONS:
            logits = [answer[name] for answer in answers if answer]
            log_odds[name] += [float(model.calibration.log_odds(one)) for one in logits]
            verdicts[name] += [verdict(model, one) for one in logits]
    figures = {name: figures_of(log_odds[name], verdicts[name], items) for name in CONDITIONS}
    figures["all together"] = figures_of(
        list(chain.from_iterable(log_odds.values())),
        list(chain.from_iterable(verdicts.values())),
        items * len(CONDITIONS),
    )
    (options.out / "conditions.json").write_text(json.dumps(figures, indent=1), encoding="utf-8")
    for name, figure in figures.items():
        print(f"{name:26}" + "  ".join(f"{key} {value:.3f}" for key, value in figure.items()))


def verdict(model: Model, logits: NDArray[np.float64]) -> str:
    probabilities = model.calibration.probabilities(logits)
    return model.calibration.verdict({name: float(p) for name, p in probabilities.items()})


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


def figures_of(log_odds: list[float], verdicts: list[str], items: list[Item]) -> dict[str, float]:
    """EER over all folds, and the shares of each label that get each verdict."""
    codec = np.array([item.is_codec for item in items])
    bona_fide = np.array([item.is_bona_fide for item in items])
    given, scores, chosen = np.array(verdicts), np.array(log_odds), codec | bona_fide
    return {
        "eer": float(equal_error_rate(scores[chosen], codec[chosen])),
        "bona fide called codec": float((given[bona_fide] == "codec").mean()),
        "codec called bona fide": float((given[codec] == "bona_fide").mean()),
        "inconclusive": float((given == "inconclusive").mean()),
    }


if __name__ == "__main__":
    main()
