"""Verdicts on groups of held-out clips that the labels alone do not show."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from codecsleuth.arrays import LN10
from codecsleuth.data.items import BONA_FIDE, NEURAL, SPOOF, VOCODER, Item
from codecsleuth.evaluation.score_file import ScoreFile, read_score_file

Test = Callable[[Item], bool]
#: Log10 likelihood ratio that few bona fide clips may exceed.
STRONG = 2.0


def group_figures(paths: Sequence[Path]) -> dict[str, Any]:
    """Shares of verdicts by group and by commercial product, and strong evidence by fold."""
    files = [read_score_file(path) for path in paths]
    items = [item for file in files for item in file.scores.items]
    given = np.array([name for file in files for name in file.scores.verdicts])
    products = sorted({item.variant for item in items if item.label == NEURAL})
    tests = {name: (lambda item, name=name: item.variant == name) for name in products}
    compared = {item.source for item in items if item.label in (SPOOF, BONA_FIDE)}
    return {
        "sources": len(compared),
        "groups": _shares(items, given, _groups(items)),
        "products": _shares(items, given, {n: _and_label(t, NEURAL) for n, t in tests.items()}),
        "strong": [_strong(file) for file in files],
    }


def _groups(items: Iterable[Item]) -> Mapping[str, Test]:
    homes: dict[str, set[str]] = defaultdict(set)
    for item in items:
        homes[item.codec].add(item.source)

    def own(item: Item) -> bool:
        return item.label == SPOOF and bool(item.codec) and len(homes[item.codec]) == 1

    def flow(item: Item) -> bool:
        return item.label == SPOOF and "+flow" in item.codec

    return {
        "codec": lambda item: item.label == SPOOF,
        "codec that no other source has": own,
        "codec of a generation or conversion system": lambda item: (
            item.label == SPOOF and item.kind in ("generation", "conversion")
        ),
        "codec tokens, then flow matching and a vocoder": flow,
        "vocoder, all": lambda item: item.label == VOCODER,
        "vocoder, neural enhancement": _of(VOCODER, "enhancement"),
        "commercial text-to-speech": lambda item: item.label == NEURAL,
        "bona fide, all": lambda item: item.label == BONA_FIDE,
        "bona fide, original": _of(BONA_FIDE, "original"),
        "bona fide, classical coder or synthesis": _of(BONA_FIDE, "classical"),
        "bona fide, enhanced by a mask": _of(BONA_FIDE, "enhancement"),
    }


def _of(label: str, kind: str) -> Test:
    return lambda item: item.label == label and item.kind == kind


def _and_label(test: Test, label: str) -> Test:
    return lambda item: item.label == label and test(item)


def _shares(
    items: Sequence[Item], given: np.ndarray, tests: Mapping[str, Test]
) -> dict[str, dict[str, float]]:
    """Per group the number of clips and of sources, and the share of each verdict."""
    found = {}
    for name, test in tests.items():
        chosen = np.array([test(item) for item in items])
        sources = {item.source for item, taken in zip(items, chosen, strict=True) if taken}
        names, counts = np.unique(given[chosen], return_counts=True)
        shares = {str(n): float(c / chosen.sum()) for n, c in zip(names, counts, strict=True)}
        found[name] = {"clips": int(chosen.sum()), "sources": len(sources), **shares}
    return found


def _strong(file: ScoreFile) -> dict[str, float]:
    """Share of the bona fide clips of a fold with strong evidence against them."""
    calibration = file.provenance.calibration
    real = np.array([item.is_bona_fide for item in file.scores.items])
    logits = file.scores.logits["BIN"][real]
    neural = calibration.neural_log_odds(logits)
    # A limit of exactly this much is not beyond it.
    odds = {"codec": calibration.log_odds(logits), "neural": neural}
    return {
        name: float((values / LN10 > STRONG + 1e-6).mean())
        for name, values in odds.items()
        if values is not None
    }
