"""The figures of merit agree with scikit-learn and with counting by hand, ties included."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn import metrics as reference

from codecsleuth.evaluation import metrics


def cases(ties: bool) -> Iterator[tuple[NDArray[np.float64], NDArray[np.bool_]]]:
    for seed in range(25):
        generator = np.random.default_rng(seed)
        clips = int(generator.integers(3, 60))
        is_codec = np.arange(clips) % 3 == 0
        scores = generator.normal(size=clips) + 1.2 * is_codec
        yield (np.round(scores) if ties else scores), is_codec


def eer_by_hand(scores: NDArray[np.float64], is_codec: NDArray[np.bool_]) -> float:
    """Walk over all thresholds and look for the step on which the two error rates cross."""
    points = []
    for threshold in [-np.inf, *np.unique(scores)]:
        called = scores > threshold
        points.append((np.mean(~called[is_codec]), np.mean(called[~is_codec])))
    for (miss0, alarm0), (miss1, alarm1) in itertools.pairwise(points):
        if miss1 >= alarm1:
            t = (alarm0 - miss0) / ((miss1 - miss0) + (alarm0 - alarm1))
            return float(miss0 + t * (miss1 - miss0))
    raise AssertionError


@pytest.mark.parametrize("ties", [False, True])
def test_eer_agrees_with_counting_and_with_scikit_learn(ties: bool) -> None:
    for scores, is_codec in cases(ties):
        eer = float(metrics.equal_error_rate(scores, is_codec))
        assert eer == pytest.approx(eer_by_hand(scores, is_codec))
        alarm, hit, _ = reference.roc_curve(is_codec, scores, drop_intermediate=False)
        grid = np.linspace(0, 1, 200_001)
        crossing = grid[np.argmin(np.abs(1 - np.interp(grid, alarm, hit) - grid))]
        assert eer == pytest.approx(crossing, abs=1e-5)


def test_eer_does_not_depend_on_the_order_of_tied_clips() -> None:
    scores, is_codec = np.array([0.0, 0.0, 0.0, 1.0, 1.0]), np.array([1, 0, 0, 0, 1], bool)
    values = {
        float(metrics.equal_error_rate(scores[list(p)], is_codec[list(p)]))
        for p in itertools.permutations(range(5))
    }
    assert len(values) == 1


def test_eer_of_constant_perfect_and_inverted_scores() -> None:
    is_codec = np.array([True, False, True, False, False])
    assert metrics.equal_error_rate(np.zeros(5), is_codec) == pytest.approx(0.5)
    assert metrics.equal_error_rate(is_codec * 1.0, is_codec) == 0.0
    assert metrics.equal_error_rate(is_codec * -1.0, is_codec) == 1.0


@pytest.mark.parametrize("ties", [False, True])
def test_area_agrees_with_scikit_learn(ties: bool) -> None:
    for scores, is_codec in cases(ties):
        area = metrics.area_under_curve(scores, is_codec)
        assert area == pytest.approx(reference.roc_auc_score(is_codec, scores))


def test_cllr_is_in_bits_at_even_odds() -> None:
    is_codec = np.array([True, False, False])
    assert metrics.log_likelihood_ratio_cost(np.zeros(3), is_codec) == pytest.approx(1.0)
    assert metrics.log_likelihood_ratio_cost(np.log([3.0, 3.0, 1 / 3]), is_codec) == pytest.approx(
        0.5 * np.log2(4 / 3) + 0.25 * (np.log2(4) + np.log2(4 / 3))
    )
    huge = metrics.log_likelihood_ratio_cost(np.array([900.0, -900.0, -900.0]), is_codec)
    assert huge == pytest.approx(0.0)


def test_f1_agrees_with_scikit_learn() -> None:
    for seed in range(20):
        generator = np.random.default_rng(seed)
        true, predicted = generator.integers(0, 4, size=(2, 40))
        true[:4] = range(4)
        confusion = metrics.confusion_matrix(true, predicted, (4, 4))
        assert (confusion == reference.confusion_matrix(true, predicted)).all()
        assert metrics.f1_scores(confusion) == pytest.approx(
            reference.f1_score(true, predicted, average=None)
        )
        assert metrics.weighted_f1(confusion) == pytest.approx(
            reference.f1_score(true, predicted, average="weighted")
        )
        assert metrics.macro_f1(confusion) == pytest.approx(
            reference.f1_score(true, predicted, average="macro")
        )
        assert metrics.macro_f1(confusion, first=1) == pytest.approx(
            reference.f1_score(true, predicted, labels=[1, 2, 3], average="macro")
        )


def test_a_class_without_clips_has_no_f1() -> None:
    confusion = metrics.confusion_matrix(np.array([0, 0, 1]), np.array([0, 2, 1]), (3, 3))
    assert np.isnan(metrics.f1_scores(confusion)[2])
    assert metrics.macro_f1(confusion) == pytest.approx((2 / 3 + 1) / 2)
    assert np.isnan(metrics.macro_f1(np.zeros((3, 3))))
    assert np.isnan(metrics.weighted_f1(np.zeros((3, 3))))


@pytest.mark.parametrize("only", [True, False])
def test_detection_figures_over_one_class_are_undefined(only: bool) -> None:
    scores, is_codec = np.array([0.1, 0.2]), np.array([only, only])
    for figure in (
        metrics.equal_error_rate,
        metrics.area_under_curve,
        metrics.minimum_dcf,
        metrics.log_likelihood_ratio_cost,
    ):
        assert np.isnan(figure(scores, is_codec))
    assert np.isnan(metrics.calibration_error(scores, is_codec, metrics.even_prior(is_codec)))


def test_constant_answers_by_trying_all_of_them() -> None:
    true = np.repeat([0, 1, 2, 3], [10, 7, 5, 1])
    answers = [np.full_like(true, c) for c in range(4)]
    best = metrics.constant_f1(np.bincount(true).astype(float))
    for name, average, labels in (
        ("f1_weighted", "weighted", None),
        ("f1_macro", "macro", None),
        ("f1_macro_codec", "macro", [1, 2, 3]),
    ):
        tried = [
            reference.f1_score(true, a, average=average, labels=labels, zero_division=0)
            for a in answers
        ]
        assert best[name] == pytest.approx(max(tried))


def test_calibration_error_by_hand() -> None:
    probabilities = np.array([0.1, 0.1, 0.9, 0.9, 1.0])
    came_true = np.array([False, True, True, True, True])
    # 0.1 came true in half of its cases; 0.9 and 1.0 share no bin of ten but both always did.
    error = metrics.calibration_error(probabilities, came_true, bins=10)
    assert error == pytest.approx((2 * 0.4 + 3 * (1 - (0.9 + 0.9 + 1.0) / 3)) / 5)


def test_even_prior_lets_both_labels_weigh_the_same() -> None:
    is_codec = np.array([True, True, True, False])
    weights = metrics.even_prior(is_codec)
    assert weights[is_codec].sum() == pytest.approx(weights[~is_codec].sum())


@pytest.mark.parametrize("ties", [False, True])
def test_operating_points_are_those_of_scikit_learn(ties: bool) -> None:
    """The points of the DET curve; scikit-learn's lack "none called codec"."""
    for scores, is_codec in cases(ties):
        missed, alarms = metrics.error_rates(scores, is_codec)
        curve = reference.roc_curve(is_codec, scores, drop_intermediate=False)
        assert alarms == pytest.approx(curve[0][::-1])
        assert 1 - missed == pytest.approx(curve[1][::-1])
        assert len(missed) == len(np.unique(scores)) + 1


@pytest.mark.parametrize("ties", [False, True])
def test_minimum_cost_agrees_with_scikit_learn_at_any_prior(ties: bool) -> None:
    for scores, is_codec in cases(ties):
        alarm, hit, _ = reference.roc_curve(is_codec, scores, drop_intermediate=False)
        for miss, false in ((0.03, 1.98), (1.5, 1.0), (2.7, 0.2)):
            costs = miss * (1 - hit) + false * alarm
            least = metrics.minimum_dcf(scores, is_codec, miss_cost=miss, alarm_cost=false)
            assert least == pytest.approx(costs.min() / min(miss, false))
        # By default those of ASVspoof 5: prior .05, a miss ten times as costly.
        costs = 0.5 * (1 - hit) + 0.95 * alarm
        assert metrics.minimum_dcf(scores, is_codec) == pytest.approx(costs.min() / 0.5)


@pytest.mark.parametrize("ties", [False, True])
def test_cllr_is_the_log_loss_of_scikit_learn_at_even_odds(ties: bool) -> None:
    for scores, is_codec in cases(ties):
        even = metrics.even_prior(is_codec)
        loss = reference.log_loss(is_codec, 1 / (1 + np.exp(-scores)), sample_weight=even)
        assert metrics.log_likelihood_ratio_cost(scores, is_codec) == pytest.approx(
            loss / np.log(2)
        )


@pytest.mark.parametrize("ties", [False, True])
def test_calibration_error_agrees_with_going_through_the_bins(ties: bool) -> None:
    for scores, came_true in cases(ties):
        probabilities = np.round(1 / (1 + np.exp(-scores)), 1 if ties else 9)
        weights = np.arange(len(scores)) % 4.0
        error = 0.0
        for k in range(15):
            last = k == 14
            chosen = (probabilities >= k / 15) & ((probabilities < (k + 1) / 15) | last)
            if weights[chosen].sum():
                stated = np.average(probabilities[chosen], weights=weights[chosen])
                share = np.average(came_true[chosen], weights=weights[chosen])
                error += weights[chosen].sum() * abs(stated - share)
        computed = metrics.calibration_error(probabilities, came_true, weights)
        assert computed == pytest.approx(error / weights.sum())


def test_balanced_weights_make_parts_equal_within_a_label_and_keeps_the_labels() -> None:
    parts, is_codec = np.array([0, 0, 0, 1, 0, 1, 1]), np.array([1, 1, 1, 1, 0, 0, 0], bool)
    assert metrics.balanced_weights(parts, is_codec) == pytest.approx(
        [2 / 3] * 3 + [2.0, 1.5, 0.75, 0.75]
    )
    # A part that is not drawn takes no part.
    drawn = np.array([1.0, 1, 1, 0, 0, 2, 2])
    assert metrics.balanced_weights(parts, is_codec, drawn) == pytest.approx([1, 1, 1, 0, 0, 2, 2])
    both = metrics.balanced_weights(parts, is_codec, np.stack([np.ones(7), drawn]))
    assert both[0] == pytest.approx(metrics.balanced_weights(parts, is_codec))
    assert both[1] == pytest.approx(metrics.balanced_weights(parts, is_codec, drawn))


@pytest.mark.parametrize("ties", [False, True])
def test_weights_are_the_same_as_repeated_clips(ties: bool) -> None:
    for scores, is_codec in cases(ties):
        counts = np.random.default_rng(0).integers(0, 4, size=(5, len(scores)))
        counts[:, :2] = 1
        repeated = [(np.repeat(scores, n), np.repeat(is_codec, n)) for n in counts]
        for figure in (
            metrics.equal_error_rate,
            metrics.area_under_curve,
            metrics.minimum_dcf,
            metrics.log_likelihood_ratio_cost,
        ):
            assert figure(scores, is_codec, counts.astype(float)) == pytest.approx(
                [float(figure(*clips)) for clips in repeated]
            )


@pytest.mark.parametrize(
    ("share", "trials", "limits"),
    [(1.0, 2, (0.342, 1.0)), (0.0, 10, (0.0, 0.2775)), (0.5, 40.5, (0.352, 0.648))],
)
def test_interval_of_a_share_leaves_room_for_doubt(
    share: float, trials: float, limits: tuple[float, float]
) -> None:
    assert metrics.wilson_interval(share, trials) == pytest.approx(limits, abs=1e-3)


def test_there_is_no_interval_over_no_trials() -> None:
    assert np.isnan(metrics.wilson_interval(float("nan"), 0)).all()


def test_versions_of_an_utterance_are_one_trial() -> None:
    groups = np.repeat([0, 1, 2, 3], 5)
    assert metrics.effective_groups(groups) == pytest.approx(4)
    # Half of all clips are of one utterance: worth fewer than four.
    assert metrics.effective_groups(np.array([0, 0, 0, 1, 2, 3])) == pytest.approx(36 / 12)
    assert metrics.effective_groups(groups, np.arange(20) < 10) == pytest.approx(2)
    assert metrics.effective_groups(groups[:0]) == 0
