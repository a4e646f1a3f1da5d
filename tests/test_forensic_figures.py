"""Cllr, its minimum, PAV and the empirical bounds: against the NFI's `lir`, and what they say."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

import lir_reference
from codecsleuth.arrays import LN10
from codecsleuth.evaluation.bounds import STEP, empirical_bounds
from codecsleuth.evaluation.isotonic import (
    isotonic_log_odds,
    minimum_cllr,
    pool_adjacent_violators,
)
from codecsleuth.evaluation.metrics import log_likelihood_ratio_cost
from conftest import ROOT

REFERENCE = json.loads((ROOT / "tests/data/lir_reference.json").read_text("utf-8"))
CASES = pytest.mark.parametrize("case", lir_reference.CASES)


def computed(log10_lr: np.ndarray, is_positive: np.ndarray) -> dict[str, Any]:
    log_odds = log10_lr * LN10
    return {
        "cllr": float(log_likelihood_ratio_cost(log_odds, is_positive)),
        "cllr_min": float(minimum_cllr(log_odds, is_positive)),
        "elub": empirical_bounds(log10_lr, is_positive, np.ones(len(log10_lr))),
        "pav": isotonic_log_odds(log_odds, is_positive) / LN10,
    }


def agree(ours: dict[str, Any], theirs: dict[str, Any]) -> None:
    for name in ("cllr", "cllr_min"):
        assert ours[name] == pytest.approx(theirs[name], abs=1e-9), name
    # On the edge of a step, the last bits of a sum decide.
    assert ours["elub"] == pytest.approx(tuple(theirs["elub"]), abs=STEP + 1e-9)
    assert ours["pav"] == pytest.approx(np.array(theirs["pav"], dtype=float), abs=1e-9)


@CASES
def test_the_figures_are_those_that_lir_computed(case):
    theirs = REFERENCE["cases"][case]
    agree(computed(np.array(theirs["log10_lr"]), np.array(theirs["labels"]) == 1), theirs)


@CASES
def test_the_figures_are_those_that_lir_computes_now(case):
    pytest.importorskip("lir")
    log10_lr, labels = lir_reference.scores(case)
    agree(computed(log10_lr, labels == 1), lir_reference.reference(case))


def test_pooling_is_isotonic_regression():
    isotonic = pytest.importorskip("sklearn.isotonic")
    random = np.random.default_rng(0)
    values, weights = random.normal(size=200), random.uniform(0.1, 2, size=200)
    theirs = isotonic.isotonic_regression(values, sample_weight=weights)
    assert pool_adjacent_violators(values, weights) == pytest.approx(theirs)


def test_a_clip_drawn_twice_counts_as_two():
    log10_lr, labels = lir_reference.scores("calibrated")
    drawn = np.random.default_rng(1).integers(0, 3, size=(4, len(labels))).astype(float)
    by_weight = minimum_cllr(log10_lr, labels == 1, drawn)
    for row, counts in zip(by_weight, drawn.astype(int), strict=True):
        assert row == pytest.approx(
            float(minimum_cllr(np.repeat(log10_lr, counts), np.repeat(labels, counts) == 1))
        )


def test_copies_of_a_clip_do_not_widen_the_bounds_of_its_source():
    log10_lr, labels = lir_reference.scores("separated")
    is_positive = labels == 1
    bounds = empirical_bounds(log10_lr, is_positive, np.ones(len(labels)))
    copies = np.repeat(log10_lr, 50), np.repeat(is_positive, 50)
    assert empirical_bounds(*copies, np.full(50 * len(labels), 1 / 50)) == pytest.approx(bounds)
    by_clips = empirical_bounds(*copies, np.ones(50 * len(labels)))
    assert by_clips[0] < bounds[0] - 1 and by_clips[1] > bounds[1] + 1
    assert bounds[1] <= np.log10((~is_positive).sum() + 1) + STEP
