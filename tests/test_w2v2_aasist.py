"""The paper's network gives the answers of the published one, for every kind of model."""

from __future__ import annotations

import importlib.util
import json
import os
from pathlib import Path

import pytest
import torch

import published
from codecsleuth.models.w2v2_aasist import W2V2Aasist, W2V2AasistConfig
from codecsleuth.weights.published import Converted, convert

#: Folder of cases that state the published network's logits; see ``docs/models.md``.
CONFORMANCE = Path(os.environ.get("CODECSLEUTH_CONFORMANCE", "conformance-not-given"))
CASES = sorted(CONFORMANCE.glob("*.json"))
GOLDEN = json.loads((Path(__file__).parent / "data" / "w2v2_aasist.json").read_text())
PUBLISHED_HEADS = {"binary": "BIN", "qs": "VQ", "as": "AUX", "ds": "DEC"}


def network_of(converted: Converted, *, half: bool = False) -> W2V2Aasist:
    with torch.device("meta"):
        network = W2V2Aasist(W2V2AasistConfig(**converted.config))
    network.load_state_dict(converted.tensors, assign=True)
    network.eval().requires_grad_(False)
    network.set_precision("bfloat16" if half else "float32")
    return network


def small(kind: str = "M1", *, half: bool = False, seed: int = 1) -> W2V2Aasist:
    return network_of(convert(published.checkpoint(kind, seed), "test"), half=half)


@pytest.fixture(scope="module")
def answers() -> dict[str, torch.Tensor]:
    with torch.inference_mode():
        return small()(published.waveforms())


@pytest.mark.skipif(not CASES, reason="CODECSLEUTH_CONFORMANCE names no folder with cases")
@pytest.mark.parametrize("path", CASES, ids=lambda path: path.stem)
@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_published_answers_are_met(path: Path, precision: str) -> None:
    fill = _fill_module()
    case = json.loads(path.read_text())
    state = {name: torch.from_numpy(value) for name, value in fill.state_dict(case).items()}
    converted = convert(state, path.name)
    assert converted.kind == case["model_type"]
    with torch.inference_mode():
        network = network_of(converted, half=precision == "bfloat16")
        found = network(torch.from_numpy(fill.waveform(case)))
    expected = {
        PUBLISHED_HEADS[head]: torch.tensor(values)
        for head, values in case["expected_logits"].items()
    }
    assert found.keys() == expected.keys()
    for task, logits in expected.items():
        if precision == "float32":
            torch.testing.assert_close(found[task], logits, atol=1e-4, rtol=0)
        gap = (found[task].softmax(-1) - logits.softmax(-1)).abs().max()
        assert gap < 0.02
        assert torch.equal(found[task].argmax(-1), logits.argmax(-1))


def _fill_module():
    spec = importlib.util.spec_from_file_location("fill", CONFORMANCE / "fill.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_small_network_answers_as_when_it_was_compared(answers: dict[str, torch.Tensor]) -> None:
    assert answers.keys() == GOLDEN.keys()
    for task, logits in GOLDEN.items():
        torch.testing.assert_close(answers[task], torch.tensor(logits), atol=1e-4, rtol=0)


@pytest.mark.parametrize("kind", published.KINDS)
def test_every_kind_answers_its_own_tasks(kind: str, answers: dict[str, torch.Tensor]) -> None:
    with torch.inference_mode():
        found = small(kind)(published.waveforms())
    assert tuple(found) == published.KINDS[kind]
    for task, logits in found.items():  # the same tensors as in M1, so the same answer
        torch.testing.assert_close(logits, answers[task], atol=1e-5, rtol=0)


def test_dimensions_come_from_the_checkpoint() -> None:
    dimensions = published.Dimensions(
        channels=6, width=48, groups=3, layers=3, feed_forward=20, projection=30, narrow=6
    )
    network = network_of(convert(published.checkpoint("D_AUX", 3, dimensions), "test"))
    config = network.config
    assert config.front_end.layers == 3
    assert (config.front_end.width, config.front_end.heads, config.bands) == (48, 3, 10)
    logits = network(published.waveforms(1, 80_000))
    assert {task: tuple(values.shape) for task, values in logits.items()} == {
        "BIN": (1, 2),
        "AUX": (1, 4),
    }


@pytest.mark.parametrize("half", [False, True])
def test_an_answer_does_not_depend_on_its_neighbours(half: bool) -> None:
    network, waveforms = small(half=half), published.waveforms(3)
    with torch.inference_mode():
        together = network(waveforms)
        for row in range(3):
            alone = network(waveforms[row : row + 1])
            for task, logits in alone.items():
                torch.testing.assert_close(together[task][row : row + 1], logits, atol=5e-3, rtol=0)


@pytest.mark.parametrize("seed", [1, 3, 4])
def test_bfloat16_answers_the_same_classes(seed: int) -> None:
    waveforms = published.waveforms(3)
    with torch.inference_mode():
        exact, half = small(seed=seed)(waveforms), small(seed=seed, half=True)(waveforms)
    for task, logits in exact.items():
        assert torch.equal(half[task].argmax(-1), logits.argmax(-1))
        assert (half[task].softmax(-1) - logits.softmax(-1)).abs().max() < 0.02


def test_an_answer_too_close_to_call_is_asked_again_in_float32() -> None:
    state = published.checkpoint("S_BIN")
    exact = network_of(convert(state, "test"))
    waveform = published.waveforms(1)
    with torch.inference_mode():
        logits = exact(waveform)["BIN"][0]
        state["binary_branch.out_layer.bias"] += torch.tensor([0.0, logits[0] - logits[1]])
        tie = network_of(convert(state, "test"))(waveform)["BIN"]
        half = network_of(convert(state, "test"), half=True)(waveform)["BIN"]
    assert abs(tie[0, 0] - tie[0, 1]) < 1e-4
    assert torch.equal(half, tie)


def test_nothing_in_the_front_end_is_random_in_training() -> None:
    front_end = small().front_end.train()
    waveforms = published.waveforms(1)
    first, second = (front_end(waveforms).last_hidden_state for _ in range(2))
    assert torch.equal(first, second)
