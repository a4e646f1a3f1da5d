"""Fine-tuning of W2V2-AASIST: clips in, a calibrated weights file out; resumable.

The paper's recipe (Chen et al. 2025, section 4) with this project's augmentation: Adam at a small
constant rate, bona fide and codec clips alike often, classes weighted in the loss. All that is
random follows from the seed and the number of the step, so that a run needs no generator's state to
go on from.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from codecsleuth import __version__
from codecsleuth.audio import WINDOW_SAMPLES, Samples
from codecsleuth.calibration import bin_from_axes
from codecsleuth.data.augment import Augmentation
from codecsleuth.data.items import ItemTable, class_indices
from codecsleuth.data.sampling import sampling_weights
from codecsleuth.errors import UsageError, WeightsError
from codecsleuth.models.w2v2_aasist import FrontEndConfig, W2V2Aasist, W2V2AasistConfig
from codecsleuth.taxonomy import AXES, TASKS
from codecsleuth.training.calibrate import fit_calibration
from codecsleuth.training.checkpoint import (
    Checkpoint,
    State,
    load_optimiser,
    optimiser_tensors,
    read_checkpoint,
    write_checkpoint,
)
from codecsleuth.training.loop import (
    CHECKPOINT_NAME,
    Logits,
    Progress,
    cut_log,
    dev_metrics,
    rows_of,
    training_facts,
    write_log,
)
from codecsleuth.training.loss import UNKNOWN
from codecsleuth.training.views import clips_sha256, read_clip
from codecsleuth.weights import WeightsFile, write_weights
from codecsleuth.weights.published import KINDS, class_order

FINAL_NAME: Final = "w2v2-aasist.safetensors"
#: Weight of each class in the loss, as in the authors' recipe.
CLASS_WEIGHTS: Final = {
    "BIN": (0.1, 0.9),
    "VQ": (0.1, 0.3, 0.3, 0.3),
    "AUX": (0.1, 0.3, 0.3, 0.3),
    "DEC": (0.1, 0.45, 0.45),
}
Rows = NDArray[np.int64]


@dataclass(frozen=True)
class FineTuneConfig:
    """Settings of a run.

    Attributes:
        tasks: one of the paper's kinds of model.
        balance: axis whose classes are drawn equally often, or None for clips as they are.
        seed: of everything random.
        steps: optimiser steps.
        batch_size: clips a step.
        learning_rate: of Adam, constant.
        weight_decay: of Adam.
        layer_drop: share of transformer layers left out at random in a step.
        evaluate_every: steps between evaluations on dev.
        checkpoint_every: steps between checkpoints.
        left_out_sources: sources that no clip is taken from.
        augmentation: of training clips.
    """

    tasks: str = "M1"
    balance: str | None = None
    seed: int = 1234
    steps: int = 20_000
    batch_size: int = 8
    learning_rate: float = 1e-6
    weight_decay: float = 1e-4
    layer_drop: float = 0.0
    evaluate_every: int = 1_000
    checkpoint_every: int = 1_000
    left_out_sources: tuple[str, ...] = ()
    augmentation: Augmentation = field(default_factory=Augmentation)

    def __post_init__(self) -> None:
        """Refuse settings that cannot be run.

        Raises:
            UsageError: with what is wrong.
        """
        if self.tasks not in KINDS:
            raise UsageError(f"no kind of model {self.tasks!r}; there are {', '.join(KINDS)}")
        if self.balance not in (None, "vq", "aux", "dec"):
            raise UsageError(f"balance is vq, aux or dec, not {self.balance!r}")

    @property
    def task_names(self) -> tuple[str, ...]:
        """Tasks that are trained."""
        return KINDS[self.tasks]

    def to_dict(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)


@dataclass
class _State:
    step: int = 0
    best_score: float = -math.inf
    best_step: int = 0
    best: State = field(default_factory=dict)


class FineTuner:
    """One run."""

    def __init__(
        self,
        table: ItemTable,
        config: FineTuneConfig,
        front_end: tuple[FrontEndConfig, State],
        *,
        device: str = "cpu",
        workers: int = 1,
    ) -> None:
        """Prepare a run.

        Args:
            table: clips to train on (split train) and to choose by (split dev).
            config: settings of the run.
            front_end: dimensions and tensors that the front end begins with.
            device: ``cpu``, or ``cuda``, where products are computed in bfloat16 and activations
                computed again rather than kept.
            workers: clips read at a time; the result does not depend on it.

        Raises:
            DataError: there are no clips to train on, or none to evaluate on.
            WeightsError: the front end's tensors do not fit its dimensions.
        """
        self.config, self.device, self.workers = config, device, workers
        self.facts = training_facts(table, config)
        kept = [item.source not in config.left_out_sources for item in table]
        self._items = table.items
        self._train, self._dev = rows_of(table, "train", kept), rows_of(table, "dev", kept)
        self._labels = {task: class_indices(table.items, task) for task in TASKS}
        self._weights = sampling_weights(
            [table.items[row] for row in self._train],
            bona_fide_share=0.5,
            evenness=0.0,
            balance=config.balance,
        )
        self._network = _network(config, front_end).to(device)
        if device != "cpu":
            self._network.front_end.gradient_checkpointing_enable()  # type: ignore[no-untyped-call]
        self._optimiser = torch.optim.Adam(
            self._network.parameters(), lr=config.learning_rate, weight_decay=config.weight_decay
        )
        described = [config.to_dict(), clips_sha256(table), asdict(self._network.config)]
        self.fingerprint = hashlib.sha256(json.dumps(described).encode()).hexdigest()
        self._state = _State()

    @property
    def step(self) -> int:
        """Steps done so far."""
        return self._state.step

    def run(self, out: Path) -> Iterator[Progress]:
        """Train to the end, writing log and checkpoints, and finally the weights."""
        cut_log(out, self._state.step)
        with ThreadPoolExecutor(self.workers) as pool:
            while self._state.step < self.config.steps:
                losses = self._step(pool)
                step = self._state.step
                last = step == self.config.steps
                dev = self._evaluate() if last or step % self.config.evaluate_every == 0 else None
                if last or step % self.config.checkpoint_every == 0:
                    self.save(out)
                progress = Progress(step, losses, dev, self._state.best_score)
                write_log(out, progress)
                yield progress
        self.write_weights(out / FINAL_NAME)

    def save(self, out: Path) -> None:
        """Write the checkpoint."""
        states = {
            "network": self._network.state_dict(),
            "best": self._state.best,
            "optimiser": optimiser_tensors(self._optimiser),
        }
        facts = {
            "fingerprint": self.fingerprint,
            "step": self._state.step,
            "best_score": self._state.best_score,
            "best_step": self._state.best_step,
        }
        write_checkpoint(out / CHECKPOINT_NAME, Checkpoint(states, facts))

    def resume(self, out: Path) -> bool:
        """Go on from the checkpoint of a run with the same settings and data, if there is one.

        Raises:
            WeightsError: it cannot be read.
            UsageError: it is of another run.
        """
        if not (out / CHECKPOINT_NAME).is_file():
            return False
        found = read_checkpoint(out / CHECKPOINT_NAME)
        if found.facts.get("fingerprint") != self.fingerprint:
            raise UsageError(
                f"{out}: the checkpoint is of a run with other settings or data; "
                "give the same ones, or train into another folder"
            )
        self._network.load_state_dict(found.states["network"])
        load_optimiser(self._optimiser, found.states["optimiser"])
        facts, best = found.facts, found.states.get("best", {})
        self._state = _State(facts["step"], facts["best_score"], facts["best_step"], best)
        return True

    def write_weights(self, path: Path) -> None:
        """Write the best network, calibrated on dev."""
        self._network.load_state_dict(self._state.best)
        tasks = self.config.task_names
        labels = {task: labels[self._dev] for task, labels in self._labels.items()}
        weights = WeightsFile(
            name=f"w2v2-aasist-{self.config.tasks.lower().replace('_', '-')}",
            version=__version__,
            architecture="w2v2-aasist",
            config=asdict(self._network.config),
            tasks=tasks,
            classes=class_order(tasks),
            calibration=fit_calibration(self._dev_logits(), labels).to_dict(),
            training=self.facts | {"kind": self.config.tasks, "best_step": self._state.best_step},
            tensors=self._state.best,
        )
        write_weights(path, weights)

    def _step(self, pool: ThreadPoolExecutor) -> dict[str, float]:
        rng = np.random.default_rng((self.config.seed, self._state.step))
        rows = self._train[rng.choice(len(self._train), self.config.batch_size, p=self._weights)]
        seeds = rng.integers(0, 2**63, len(rows)).tolist()
        waveforms = _batch(list(pool.map(self._augmented, rows.tolist(), seeds)), self.device)
        torch.manual_seed(seeds[0])  # dropout
        self._network.train()
        with self._arithmetic():
            logits = self._network(waveforms)
        losses = {task: self._loss(task, logits[task].float(), rows) for task in logits}
        self._optimiser.zero_grad()
        torch.autograd.backward(torch.stack(list(losses.values())).sum())
        self._optimiser.step()
        self._state.step += 1
        return {task: float(loss.detach()) for task, loss in losses.items()}

    def _augmented(self, row: int, seed: int) -> Samples:
        clip = read_clip(self._items[row])
        return self.config.augmentation(clip, np.random.default_rng(seed))

    def _loss(self, task: str, logits: Tensor, rows: Rows) -> Tensor:
        """Weighted cross-entropy over the known labels; 0 if none is known."""
        labels = torch.from_numpy(self._labels[task][rows]).to(logits.device)
        weights = torch.tensor(CLASS_WEIGHTS[task], device=logits.device)
        total = functional.cross_entropy(
            logits, labels, weights, ignore_index=UNKNOWN, reduction="sum"
        )
        known = labels != UNKNOWN
        return total / weights[labels[known]].sum().clamp(min=1e-6)

    def _arithmetic(self) -> torch.autocast:
        return torch.autocast(self.device, torch.bfloat16, enabled=self.device == "cuda")

    @torch.no_grad()
    def _dev_logits(self) -> Logits:
        self._network.eval()
        blocks: list[dict[str, Tensor]] = []
        for start in range(0, len(self._dev), self.config.batch_size):
            rows = self._dev[start : start + self.config.batch_size]
            clips = [read_clip(self._items[row]) for row in rows]
            with self._arithmetic():
                blocks.append(self._network(_batch(clips, self.device)))
        logits = {
            task: torch.cat([block[task] for block in blocks]).double().cpu().numpy()
            for task in self.config.task_names
        }
        return {"BIN": bin_from_axes(logits), **logits} if logits.keys() == set(AXES) else logits

    def _evaluate(self) -> dict[str, float]:
        logits = self._dev_logits()
        metrics = dev_metrics(logits, {task: self._labels[task][self._dev] for task in logits})
        if metrics["score"] > self._state.best_score:
            self._state.best_score, self._state.best_step = metrics["score"], self._state.step
            state = self._network.state_dict()
            self._state.best = {name: value.cpu().clone() for name, value in state.items()}
        return metrics


def _network(config: FineTuneConfig, front_end: tuple[FrontEndConfig, State]) -> W2V2Aasist:
    torch.manual_seed(config.seed)
    dimensions, tensors = front_end
    network = W2V2Aasist(W2V2AasistConfig(config.task_names, dimensions))
    network.front_end.config.layerdrop = config.layer_drop
    try:
        network.front_end.load_state_dict(tensors, strict=True)
    except RuntimeError as error:
        reason = " ".join(str(error).split())[:200]
        raise WeightsError(f"the pretrained front end does not fit: {reason}") from error
    return network


def _batch(clips: Sequence[Samples], device: str) -> Tensor:
    """The beginnings of clips, short ones repeated, ``(clips, WINDOW_SAMPLES)``."""
    rows = [np.resize(clip[:WINDOW_SAMPLES], WINDOW_SAMPLES) for clip in clips]
    return torch.from_numpy(np.stack(rows).astype(np.float32)).to(device)
