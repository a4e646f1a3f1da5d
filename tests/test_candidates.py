"""Candidates, unknown codecs, and calibration by the quality of a recording."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from codecsleuth.audio.facts import Evidence
from codecsleuth.audio.windows import WINDOW_SAMPLES
from codecsleuth.calibration import Calibration
from codecsleuth.data.items import Item
from codecsleuth.inference.answer import Analysis
from codecsleuth.inference.conclude import RawAnswer, WindowLogits, conclude
from codecsleuth.models.compact import CompactConfig, CompactNet
from codecsleuth.taxonomy import CLASSES, FAMILY, family_class
from codecsleuth.training.compact.labels import family_indices, rarity
from codecsleuth.training.fitting import calibrate, fit_calibration, fit_quality_calibration
from codecsleuth.training.held_out import FAMILIARITY, KNOWN_FAMILY, QUALITY, HeldOut
from conftest import speech_like
from test_calibration import verdicts_of

FAMILIES = ("DAC", "Mimi", "WavTokenizer")
FACTS = Evidence("ab" * 32, 128_044, "WAV", "PCM_16", 16_000, 1, 4.0, None, "libsndfile")
STRICT = Calibration(familiar_threshold=0.5, sure_threshold=0.9)


def answer(family: list[float], vq: list[float]) -> Analysis:
    logits = {
        "BIN": np.array([2.0, 0.0]),
        "VQ": np.array([0.0, *vq]),
        FAMILY: np.array(family),
    }
    raw = RawAnswer(FACTS, (WindowLogits(0.0, 4.0, 1.0, logits),), ())
    return conclude("a.wav", raw, STRICT, FAMILIES)


def test_candidates_are_the_likeliest_families_first() -> None:
    found = answer([1.0, 3.0, 0.0], [2.0, 0.0, 0.0])
    assert [one.codec for one in found.candidates] == ["Mimi", "DAC", "WavTokenizer"]
    assert found.candidates[0].score == found.familiarity == pytest.approx(0.844, abs=1e-3)
    assert sum(one.score for one in found.candidates) == pytest.approx(1.0)
    assert found.candidates[0].taxonomy["aux"] == "Semantic distillation"


def test_a_candidate_of_another_kind_than_the_answer_says_so() -> None:
    found = answer([5.0, 0.0, 4.0], [3.0, 0.0, 0.0])
    by_name = {one.codec: one for one in found.candidates}
    assert found.taxonomy["vq"].label == "MVQ"
    assert by_name["DAC"].disagrees == ()
    assert by_name["WavTokenizer"].disagrees == ("vq",)


def test_an_unknown_codec_has_no_class_unless_its_class_is_clear() -> None:
    clear, vague = [8.0, 0.0, 0.0], [1.0, 0.0, 0.0]
    assert answer([0.1, 0.0, 0.0], vague).taxonomy["vq"].label == "unknown"
    assert answer([0.1, 0.0, 0.0], clear).taxonomy["vq"].label == "MVQ"
    assert answer([5.0, 0.0, 0.0], vague).taxonomy["vq"].label == "MVQ"


def test_the_classes_of_an_unknown_codec_are_still_given() -> None:
    axis = answer([0.1, 0.0, 0.0], [1.0, 0.0, 0.0]).taxonomy["vq"]
    assert (axis.label, axis.likeliest) == ("unknown", "MVQ")
    assert axis.probability == axis.probabilities["MVQ"] > axis.probabilities["SQ"]


def test_families_take_their_class_from_the_catalogue() -> None:
    assert family_class("Mimi", "VQ") == "MVQ"
    assert family_class("no such family", "VQ") is None


def test_clips_of_other_families_and_bona_fide_clips_have_no_family() -> None:
    def item(codec: str) -> Item:
        label = "spoof" if codec else "bonafide"
        return Item(2, "a.wav", Path("a.wav"), "train", label, None, None, None, codec)

    items = [item(""), item("DAC"), item("SNAC"), item("descript audio codec of nobody")]
    assert family_indices(items, ("DAC", "Mimi")).tolist() == [-1, 0, -1, -1]


def test_rarity_makes_classes_equally_frequent_and_leaves_absent_ones() -> None:
    counts = np.array([60.0, 0.0, 30.0, 10.0])
    added = rarity(counts)
    there = counts > 0
    assert np.ptp((counts * np.exp(added))[there]) == pytest.approx(0.0, abs=1e-9)
    assert added[1] == 0.0
    assert np.average(added, weights=counts) == pytest.approx(0.0)


def test_the_codec_classes_of_an_axis_can_be_shifted(waveforms: torch.Tensor) -> None:
    net, shifted = network(), network()
    shifted.shift({"VQ": torch.tensor([0.0, 0.0, 2.0, 0.0])})
    with torch.inference_mode():
        before, after = net(waveforms), shifted(waveforms)
    added = after["VQ"] - before["VQ"]
    torch.testing.assert_close(added, torch.tensor([[0.0, 0.0, 2.0, 0.0]]).expand(4, 4))
    torch.testing.assert_close(after["AUX"], before["AUX"])


@pytest.fixture(scope="module")
def waveforms() -> torch.Tensor:
    clips = [speech_like(4.1, seed=seed)[:WINDOW_SAMPLES] for seed in range(4)]
    return torch.from_numpy(np.stack(clips))


def network(share: float = 0.0) -> CompactNet:
    torch.manual_seed(0)
    config = CompactConfig(members=1, hidden=4, embedding=4, families=FAMILIES, family_share=share)
    return CompactNet(config).eval()


def test_the_network_gives_the_tasks_and_its_outputs_the_families(
    waveforms: torch.Tensor,
) -> None:
    with torch.inference_mode():
        assert list(network()(waveforms)) == list(CLASSES)
        assert network().outputs(waveforms)[FAMILY].shape == (4, len(FAMILIES))


def test_telling_families_apart_moves_nothing_that_the_tasks_read(waveforms: torch.Tensor) -> None:
    net = network()
    net.outputs(waveforms)[FAMILY].square().sum().backward()
    moved = {name for name, value in net.named_parameters() if value.grad is not None}
    assert moved == {f"members.0.heads.{FAMILY}.{kind}" for kind in ("weight", "bias")}


def test_families_that_disagree_make_an_axis_less_sure(waveforms: torch.Tensor) -> None:
    """All mass on one family moves the axis halfway to its class; Real keeps its share."""
    alone, mixed = network(), network(0.5)
    for net in (alone, mixed):
        head = net.members[0].heads[FAMILY]
        torch.nn.init.zeros_(head.weight)
        head.bias.data = torch.tensor([0.0, 0.0, 50.0])
    with torch.inference_mode():
        before, after = (net(waveforms)["VQ"].softmax(dim=1) for net in (alone, mixed))
    torch.testing.assert_close(after[:, 0], before[:, 0])
    single = CLASSES["VQ"].index("SVQ")
    halfway = (before[:, single] + 1.0 - before[:, 0]) / 2
    torch.testing.assert_close(after[:, single], halfway, rtol=1e-3, atol=1e-4)


def test_quality_calibration_changes_nothing_before_it_is_fitted(waveforms: torch.Tensor) -> None:
    net = network()
    with torch.inference_mode():
        before = net(waveforms)["BIN"]
        net.quality_calibration.slope.fill_(-0.5)
        after = net(waveforms)["BIN"]
    quality = net.quality_calibration.measure(net.front_end(waveforms)).sum(dim=1, keepdim=True)
    torch.testing.assert_close(after, before * (-0.5 * quality).exp(), rtol=1e-4, atol=1e-5)


def noisy_scores(clips: int = 6000) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Scores; their log-odds are exp(0.7 quality) of them and 0.5 quality more."""
    rng = np.random.default_rng(0)
    labels = np.arange(clips) % 2
    quality = rng.uniform(-2.0, 2.0, (clips, 1))
    true = rng.normal(
        np.where(labels == 0, 1.0, -1.0) * np.exp(quality[:, 0]),
        np.exp(0.5 * quality[:, 0]) * np.sqrt(2),
    )
    raw = (true - 0.5 * quality[:, 0]) * np.exp(-0.7 * quality[:, 0])
    return np.stack([raw, np.zeros(clips)], axis=1), quality, labels


def test_quality_calibration_finds_how_evidence_fades_with_quality() -> None:
    slope, shift = fit_quality_calibration(*noisy_scores())
    assert slope[0] == pytest.approx(0.7, abs=0.1)
    assert shift[0] == pytest.approx(0.5, abs=0.15)


def _clip(label: str) -> Item:
    """A clip of that label; axes unknown."""
    return Item(2, "a.wav", Path("a.wav"), "train", label, None, None, None)


def test_calibration_on_left_out_clips_sets_which_codecs_are_unknown() -> None:
    logits, quality, labels = noisy_scores()
    net = network()
    familiar = np.linspace(0.0, 1.0, len(labels))
    answers = {"BIN": logits, QUALITY: np.repeat(quality, 2, axis=1)}
    answers |= {FAMILIARITY: familiar[:, None], KNOWN_FAMILY: (labels == 0)[:, None].astype(float)}
    held_out = HeldOut("", np.arange(len(labels)), {k: v[None] for k, v in answers.items()})
    items = [_clip("bonafide" if label else "spoof") for label in labels]
    fitted = calibrate(net.quality_calibration, held_out, items)
    unknown = (familiar[labels == 0] < fitted.familiar_threshold).mean()
    assert unknown == pytest.approx(0.25, abs=0.01)
    assert net.quality_calibration.slope.abs().sum() > 0.0


def test_thresholds_allow_for_augmented_clips() -> None:
    """Clips that were augmented may widen the band of inconclusive answers, never narrow it."""
    rng = np.random.default_rng(1)
    labels = np.arange(4000) % 2
    raw = rng.normal(np.where(labels == 0, 3.0, -3.0), 2.0)
    augmented = rng.normal(0.0, 3.0, 4000)
    logits = np.stack([np.concatenate([raw, augmented]), np.zeros(8000)], axis=1)
    both = np.tile(labels, 2)
    plain = np.arange(8000) < 4000
    fitted = fit_calibration({"BIN": logits}, {"BIN": both}, unaugmented=plain)
    verdicts = verdicts_of(fitted, logits)
    false_alarms = (verdicts == "codec") & (both == 1)
    assert false_alarms[plain].sum() / 2000 <= 0.021
    assert false_alarms[~plain].sum() / 2000 <= 0.033
