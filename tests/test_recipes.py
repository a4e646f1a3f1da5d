"""What fine-tuning is made of: the paper's settings, draws by epochs, the loss and its weights."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from torch import nn
from torch.nn import functional

from codecsleuth.augment.rawboost import RawBoost
from codecsleuth.data.items import Item
from codecsleuth.errors import DataError, UsageError
from codecsleuth.training.distributed import Group, share_dropout
from codecsleuth.training.w2v2_aasist.batches import Clips, Draw, Requests, read_ahead
from codecsleuth.training.w2v2_aasist.loss import Objective, TaskWeights
from codecsleuth.training.w2v2_aasist.recipes import PAPER_CLASSES, from_recipe
from conftest import ROOT, speech_like


def test_the_paper_s_recipe_is_that_of_its_authors() -> None:
    config = from_recipe("paper", clips=85_930)
    per_epoch = 85_930 // 8
    assert (config.batch_size, config.steps, config.by_epochs) == (8, 20 * per_epoch, True)
    assert config.evaluate_every == per_epoch
    assert (config.optimiser, config.learning_rate, config.weight_decay) == ("adam", 1e-6, 1e-4)
    assert (config.seed, config.warm_up, config.gradient_limit) == (1234, None, None)
    assert (config.mixed_precision, config.patience) == (False, None)
    assert config.augmentation == RawBoost(
        algorithm=5,
        orders=5,
        notches=5,
        frequency=(20.0, 8000.0),
        bandwidth=(100.0, 1000.0),
        taps=(10, 100),
        gain_db=(0.0, 0.0),
        bias_db=(5.0, 20.0),
        impulses=10.0,
        impulse_gain=2.0,
    )
    assert config.augment_dev
    assert config.class_weights == {
        "BIN": (0.1, 0.9),
        "VQ": (0.1, 0.3, 0.3, 0.3),
        "AUX": (0.1, 0.3, 0.3, 0.3),
        "DEC": (0.1, 0.45, 0.45),
    }
    assert config.task_weights == "equal"


def test_the_default_recipe_leaves_dev_as_it_is() -> None:
    config = from_recipe("default", clips=100)
    assert not config.augment_dev and config.mixed_precision and config.patience
    assert config.warm_up and config.gradient_limit
    assert from_recipe("default", clips=100, epochs=3).steps == 3 * (100 // config.batch_size)


def test_an_epoch_takes_each_clip_once_in_an_order_of_its_own() -> None:
    rows = np.arange(100, 123)
    draw = Draw(rows, batch_size=5, seed=3)
    epochs = [[row for step in range(4 * e, 4 * e + 4) for row in draw(step)[0]] for e in range(3)]
    for epoch in epochs:
        assert len(set(epoch)) == 20 and set(epoch) <= set(rows)
    assert len({tuple(epoch) for epoch in epochs}) == 3
    np.testing.assert_array_equal(Draw(rows, 5, seed=3)(7)[0], draw(7)[0])
    assert set(draw(7)[1]).isdisjoint(draw(8)[1])


def test_processes_share_each_batch_among_them() -> None:
    draw = Draw(np.arange(24), batch_size=6, seed=0)
    dealt = [list(Requests(draw, Group(r, 3).part(6), range(5))) for r in range(3)]
    for step in range(5):
        rows = [row for of_process in dealt for row, _ in of_process[step]]
        assert rows == draw(step)[0].tolist()
    with pytest.raises(UsageError, match="cannot be dealt to 4 processes"):
        Group(0, 4).part(6)


class Linear(nn.Module):
    """A network of the shape that the loss asks for."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.heads = nn.ModuleDict({"BIN": nn.Linear(3, 2), "VQ": nn.Linear(3, 4)})

    def features(self, waveforms: torch.Tensor) -> torch.Tensor:
        return waveforms

    def classify(self, features: torch.Tensor) -> dict[str, torch.Tensor]:
        return {task: head(features) for task, head in self.heads.items()}


@pytest.mark.parametrize("kind", ["equal", "softmax", "uncertainty"])
def test_parts_of_a_batch_add_up_to_its_weighted_cross_entropy(kind: str) -> None:
    torch.manual_seed(1)
    inputs = torch.randn(8, 3)
    labels = {"BIN": torch.tensor([0, 1] * 4), "VQ": torch.tensor([1, 0, 2, 0, -1, 0, 3, 0])}
    network, weights = Linear(), TaskWeights(kind, 2)
    objective = Objective(network, PAPER_CLASSES, weights, nullcontext)
    if weights.free is not None:
        nn.init.constant_(weights.free, 0.3)
    sums = objective.weight_sums(labels)
    whole, parts = 0.0, 0.0
    for start in (0, 4):
        part = {task: of[start : start + 4] for task, of in labels.items()}
        one, of_tasks = objective(inputs[start : start + 4], part, sums, 0.5)
        whole, parts = whole + one, parts + of_tasks
    expected = torch.stack(
        [
            functional.cross_entropy(
                network.heads[task](inputs), of, torch.tensor(PAPER_CLASSES[task]), ignore_index=-1
            )
            for task, of in labels.items()
        ]
    )
    torch.testing.assert_close(parts, expected)
    total = {"equal": expected.sum(), "softmax": expected.mean()}
    total["uncertainty"] = np.exp(-0.3) * expected.sum() + 0.3
    torch.testing.assert_close(whole, total[kind])


def learned(kind: str) -> torch.Tensor:
    """Weights learned for tasks whose losses stay as they are."""
    weights, losses = TaskWeights(kind, 3), torch.tensor([0.1, 1.0, 2.0])
    assert weights.free is not None
    optimiser = torch.optim.Adam(weights.parameters(), lr=0.05)
    for _ in range(500):
        optimiser.zero_grad()
        torch.autograd.backward(weights(losses, 1.0))
        optimiser.step()
    return weights.free.detach()


def test_softmax_weights_collapse_onto_the_easiest_task_and_uncertainty_does_not() -> None:
    """What the documentation warns of."""
    assert learned("softmax").softmax(dim=0)[0] > 0.99
    expected = torch.tensor([5.0, 0.5, 0.25])  # 1 / (2 loss)
    torch.testing.assert_close(torch.exp(-learned("uncertainty")), expected, rtol=0.02, atol=0.0)


def test_dropout_meets_a_clip_alike_in_any_process() -> None:
    network = nn.Sequential(nn.Dropout(0.5), nn.Identity(), nn.Dropout(0.2))
    place = share_dropout(network)
    values = torch.ones(6, 500)
    place.move(seed=1, batch=6, rows=slice(0, 6))
    whole = network(values)
    place.move(seed=1, batch=6, rows=slice(4, 6))
    torch.testing.assert_close(network(values[4:]), whole[4:])
    assert (whole == 0).float().mean().item() == pytest.approx(0.6, abs=0.03)
    assert whole.mean().item() == pytest.approx(1.0, abs=0.05)
    place.move(seed=2, batch=6, rows=slice(0, 6))
    assert not torch.equal(network(values), whole)
    torch.testing.assert_close(network.eval()(values), values)


@pytest.fixture
def item(tmp_path: Path) -> Iterator[Item]:
    path = tmp_path / "a.wav"
    soundfile.write(path, speech_like(1.0), 16_000)
    yield Item(2, "a.wav", path, "train", "bonafide", "Real", "Real", "Real")


def test_a_clip_that_cannot_be_read_by_a_worker_is_one_line(item: Item) -> None:
    item.path.write_bytes(b"not audio")
    clips = Clips([item], RawBoost(0))
    with pytest.raises(DataError, match=r"a\.wav \(row 2\)") as caught:
        list(read_ahead(clips, [[(0, 1)]], workers=2, device="cpu"))
    assert "\n" not in str(caught.value)


DYING = """
import os, signal, sys
from pathlib import Path

from codecsleuth.data.items import Item
from codecsleuth.errors import DataError
from codecsleuth.training.w2v2_aasist.batches import Clips, read_ahead

item = Item(2, "a.wav", Path(sys.argv[1]), "train", "bonafide", "Real", "Real", "Real")
clips = Clips([item], lambda clip, rng: os.kill(os.getpid(), signal.SIGKILL))
try:
    list(read_ahead(clips, [[(0, 1)]], workers=2, device="cpu"))
except DataError as error:
    print(error)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere, workers are not forked")
def test_a_worker_that_dies_ends_the_run_with_what_to_do(item: Item) -> None:
    run = subprocess.run(
        [sys.executable, "-c", DYING, str(item.path)],
        env=os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT / "src"), *sys.path])},
        capture_output=True,
        text=True,
        check=True,
    )
    assert "worker died" in run.stdout and "--resume" in run.stdout
    assert run.stderr == ""
