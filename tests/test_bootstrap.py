"""Bootstrap intervals: of whole utterances, the same in small memory as in large."""

from __future__ import annotations

import tracemalloc
from dataclasses import dataclass

import numpy as np
import pytest
from numpy.typing import NDArray

from codecsleuth.calibration import Calibration
from codecsleuth.evaluation import metrics
from codecsleuth.evaluation.answers import calibrated
from codecsleuth.evaluation.bootstrap import WEIGHTS_AT_ONCE, Bootstrap
from codecsleuth.evaluation.figures import Balance, SubsetFigures, TaskFigures, task_figures
from codecsleuth.taxonomy import CLASSES

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Mean:
    values: Array

    def at(self, weights: Array) -> dict[str, Array]:
        return {"mean": metrics.weighted_mean(self.values, weights)}


@dataclass(frozen=True)
class Area:
    scores: Array
    is_codec: NDArray[np.bool_]

    def at(self, weights: Array) -> dict[str, Array]:
        return {"auc": metrics.area_under_curve(self.scores, self.is_codec, weights)}


def tasks(clips: int) -> dict[str, SubsetFigures[TaskFigures]]:
    """The figures of every task, over clips some of which have no known class; macro ones too."""
    generator = np.random.default_rng(0)
    balance = Balance(np.arange(clips) % 7, np.arange(clips) % 3 == 0)
    figures: dict[str, SubsetFigures[TaskFigures]] = {}
    for task, names in CLASSES.items():
        logits = generator.normal(size=(clips, len(names)))
        labels = generator.integers(-1, len(names), clips)
        one = task_figures(task, calibrated(task, logits, Calibration()), labels)
        figures[task] = one
        figures[f"macro {task}"] = SubsetFigures(one.figures, one.chosen, balance)
    return figures


def test_whole_utterances_are_drawn() -> None:
    counts = np.concatenate([*Bootstrap(np.array([0, 0, 1, 1, 1, 2]), 200, seed=1).weights()])
    assert (counts[:, 0] == counts[:, 1]).all()
    assert (counts[:, 2] == counts[:, 4]).all()
    assert (counts[:, [0, 2, 5]].sum(axis=1) == 3).all()


def test_the_interval_covers_a_mean_as_theory_says() -> None:
    values = np.random.default_rng(3).normal(size=400)
    limits = Bootstrap(np.arange(400), 2000).intervals({0: Mean(values)})[0]["mean"]
    half = 1.96 * values.std() / 20
    assert limits == pytest.approx((values.mean() - half, values.mean() + half), abs=0.01)


def test_copies_of_a_clip_do_not_narrow_the_interval() -> None:
    values = np.random.default_rng(3).normal(size=50)

    def limits(copies: int) -> tuple[float, float]:
        groups = np.repeat(np.arange(50), copies)
        return Bootstrap(groups, 500).intervals({0: Mean(np.repeat(values, copies))})[0]["mean"]

    assert limits(4) == pytest.approx(limits(1))


def test_intervals_are_the_quantiles_of_the_draws_in_which_a_figure_is_defined() -> None:
    scores, is_codec = np.array([1.0, 0.5, 0.2, -1.0]), np.array([True, True, False, False])
    bootstrap = Bootstrap(np.array([0, 1, 2, 2]), 250, seed=5)
    weights = np.concatenate([*bootstrap.weights()])
    alone = [float(metrics.area_under_curve(scores, is_codec, one)) for one in weights]
    assert np.isnan(alone).any()
    limits = bootstrap.intervals({"": Area(scores, is_codec)})[""]["auc"]
    assert limits == pytest.approx(tuple(np.nanquantile(alone, [0.025, 0.975])))


@pytest.mark.parametrize("rows", [1, 7, 64])
def test_intervals_do_not_depend_on_how_many_draws_are_in_memory(rows: int) -> None:
    groups, figures = np.arange(301) // 2, tasks(301)
    whole = Bootstrap(groups, 64, seed=1).intervals(figures)
    assert Bootstrap(groups, 64, seed=1, weights_at_once=rows * 301).intervals(figures) == whole
    assert Bootstrap(groups, 64, seed=2).intervals(figures) != whole


def test_memory_does_not_grow_with_the_draws() -> None:
    """At 86,000 clips and 1,000 draws, the weights alone would be 690 MB."""
    groups, figures = np.arange(20_000) // 4, tasks(20_000)

    def peak(draws: int) -> int:
        tracemalloc.start()
        Bootstrap(groups, draws).intervals(figures)
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return most

    few, many = peak(30), peak(90)
    assert many < 1.1 * few
    assert many < 20 * 8 * WEIGHTS_AT_ONCE
