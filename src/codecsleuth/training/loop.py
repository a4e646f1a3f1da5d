"""The training loop: views in, a calibrated weights file out; resumable to the last bit."""

from __future__ import annotations

import copy
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from codecsleuth import __version__
from codecsleuth.calibration import Calibration, FloatArray
from codecsleuth.data.items import Item, ItemTable, class_indices
from codecsleuth.data.sampling import sampling_weights
from codecsleuth.errors import DataError, UsageError
from codecsleuth.evaluation.metrics import task_metrics
from codecsleuth.evaluation.scores import ScoreTable
from codecsleuth.models.compact import CompactConfig, CompactNet, split_blocks
from codecsleuth.taxonomy import AXES, CLASSES
from codecsleuth.training.calibrate import fit_calibration
from codecsleuth.training.checkpoint import (
    Checkpoint,
    State,
    load_optimiser,
    optimiser_tensors,
    read_checkpoint,
    write_checkpoint,
)
from codecsleuth.training.config import TrainingConfig
from codecsleuth.training.loss import Mix, masked_cross_entropy
from codecsleuth.training.views import Features, ViewMaker, clips_sha256
from codecsleuth.weights import WeightsFile, write_weights

CHECKPOINT_NAME: Final = "checkpoint.safetensors"
FINAL_NAME: Final = "compact.safetensors"
LOG_NAME: Final = "log.jsonl"
GRADIENT_LIMIT: Final = 5.0
_ROWS_AT_ONCE: Final = 256
Logits = dict[str, FloatArray]


@dataclass(frozen=True)
class Progress:
    """What a step tells whoever watches.

    Attributes:
        step: steps done.
        losses: this step's loss per task.
        dev: metrics on dev, where this step was followed by an evaluation.
        best: best dev score so far.
    """

    step: int
    losses: dict[str, float]
    dev: dict[str, float] | None
    best: float


@dataclass
class _State:
    step: int = 0
    best_score: float = -math.inf
    best_step: int = 0
    best: State = field(default_factory=dict)


class Trainer:
    """One training run of the compact network."""

    def __init__(
        self,
        table: ItemTable,
        config: TrainingConfig,
        network: CompactConfig,
        maker: ViewMaker,
        calibrate_on: ScoreTable | None = None,
    ) -> None:
        """Prepare a run; all views of the table must have been rendered.

        Args:
            table: clips to train on (split train) and to choose by (split dev).
            config: settings of the run.
            network: settings of the network.
            maker: of the rendered views.
            calibrate_on: scores to fit the calibration to, from networks of the same settings
                that have not seen the clips; by default this network's own scores of dev.

        Raises:
            DataError: there are no clips to train on, or none to evaluate on.
        """
        self.config = config
        self.fingerprint = config.fingerprint(clips_sha256(table), asdict(network))
        self.facts = training_facts(table, config)
        kept = [item.source not in config.left_out_sources for item in table]
        self._train = rows_of(table, "train", kept)
        self._dev = rows_of(table, "dev", kept)
        self._views = [maker.load(view) for view in range(config.views)]
        self._labels = {task: class_indices(table.items, task) for task in config.task_names}
        self._weights = sampling_weights(
            [table.items[row] for row in self._train],
            bona_fide_share=config.bona_fide_share,
            evenness=config.evenness,
            balance=config.balance,
        )
        self._real_shift = _real_shift(self.facts, config)
        torch.manual_seed(config.seed)
        self._rng = np.random.default_rng(config.seed)
        self._network_config = network
        self._calibrate_on = calibrate_on
        self._network = CompactNet(network)
        self._network.fit_statistics(torch.from_numpy(np.asarray(self._views[0][self._train])))
        self._average = copy.deepcopy(self._network).eval()
        self._optimiser = torch.optim.AdamW(
            self._network.parameters(), lr=config.learning_rate, weight_decay=config.weight_decay
        )
        self._state = _State()

    @property
    def step(self) -> int:
        """Steps done so far."""
        return self._state.step

    def run(self, out: Path) -> Iterator[Progress]:
        """Train to the end, writing log and checkpoints, and finally the weights.

        Args:
            out: folder of the run.
        """
        cut_log(out, self._state.step)
        while self._state.step < self.config.steps:
            losses = self._step()
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
            "average": self._average.state_dict(),
            "best": self._state.best,
            "optimiser": optimiser_tensors(self._optimiser),
            "generator": {"torch": torch.get_rng_state()},
        }
        facts = {
            "fingerprint": self.fingerprint,
            "step": self._state.step,
            "best_score": self._state.best_score,
            "best_step": self._state.best_step,
            "numpy": self._rng.bit_generator.state,
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
        if found.facts["fingerprint"] != self.fingerprint:
            raise UsageError(
                f"{out}: the checkpoint is of a run with other settings or data; "
                "give the same ones, or train into another folder"
            )
        self._network.load_state_dict(found.states["network"])
        self._average.load_state_dict(found.states["average"])
        load_optimiser(self._optimiser, found.states["optimiser"])
        torch.set_rng_state(found.states["generator"]["torch"])
        self._rng.bit_generator.state = found.facts["numpy"]
        self._state = _State(
            found.facts["step"],
            found.facts["best_score"],
            found.facts["best_step"],
            found.states.get("best", {}),
        )
        return True

    def write_weights(self, path: Path) -> None:
        """Write the best average, calibrated, its axes at the clips' own share of bona fide."""
        self._average.load_state_dict(self._state.best)
        self._average.shift_real(self._real_shift)
        clips = len(self._dev) if self._calibrate_on is None else len(self._calibrate_on.items)
        facts = self.facts | {"best_step": self._state.best_step, "calibration_clips": clips}
        write_weights(
            path,
            WeightsFile(
                name="compact",
                version=__version__,
                architecture="compact",
                config=asdict(self._network_config),
                tasks=self.config.task_names,
                classes={task: list(CLASSES[task]) for task in self.config.task_names},
                calibration=self._calibration().to_dict(),
                training=facts,
                tensors=self._average.state_dict(),
            ),
        )

    def _calibration(self) -> Calibration:
        """Fit to the scores given, or to dev clips as they are and augmented."""
        scores = self._calibrate_on
        if scores is not None:
            return fit_calibration(scores.logits, {t: scores.labels(t) for t in scores.logits})
        rows = np.tile(self._dev, len(self._views))
        logits = [self._logits(view[self._dev]) for view in self._views]
        joined = {task: np.concatenate([one[task] for one in logits]) for task in logits[0]}
        return fit_calibration(joined, self._labels_of(rows))

    def _labels_of(self, rows: NDArray[np.int64]) -> dict[str, NDArray[np.int64]]:
        return {task: labels[rows] for task, labels in self._labels.items()}

    def _step(self) -> dict[str, float]:
        """Go one step down the gradient, and move the average along."""
        config, state = self.config, self._state
        self._network.train()
        losses = [self._member_losses(member) for member in self._network.members]
        total = torch.stack(
            [
                loss * (config.axis_weight if task in AXES else 1.0)
                for of_member in losses
                for task, loss in of_member.items()
            ]
        ).sum()
        for group in self._optimiser.param_groups:
            group["lr"] = config.learning_rate * one_cycle(state.step / config.steps, config)
        self._optimiser.zero_grad()
        torch.autograd.backward(total)
        limit = GRADIENT_LIMIT * math.sqrt(len(losses))
        torch.nn.utils.clip_grad_norm_(self._network.parameters(), limit)
        self._optimiser.step()
        state.step += 1
        self._follow()
        return {
            task: float(np.mean([float(one[task].detach()) for one in losses]))
            for task in self.config.task_names
        }

    def _member_losses(self, member: nn.Module) -> dict[str, Tensor]:
        """Loss per task on a batch of the member's own, so that the members come out different."""
        config = self.config
        rows = self._train[self._rng.choice(len(self._train), config.batch_size, p=self._weights)]
        features = self._network.standardise(self._gather(rows))
        mix = Mix.draw(config.batch_size, config.mixup, self._rng)
        logits = member(split_blocks(mix.features(features)))
        return {
            task: masked_cross_entropy(
                logits[task], torch.from_numpy(labels[rows]), mix, config.label_smoothing
            )
            for task, labels in self._labels.items()
        }

    def _gather(self, rows: NDArray[np.int64]) -> Tensor:
        views = self._rng.integers(0, len(self._views), len(rows))
        drawn = [self._views[view][row] for view, row in zip(views, rows, strict=True)]
        return torch.from_numpy(np.stack(drawn)).float()

    @torch.no_grad()
    def _follow(self) -> None:
        """Move the running average of the weights; a short memory at first."""
        decay = min(self.config.average, self._state.step / (self._state.step + 10))
        current = self._network.state_dict()
        for name, value in self._average.state_dict().items():
            if value.is_floating_point():
                value.lerp_(current[name], 1.0 - decay)
            else:
                value.copy_(current[name])

    @torch.no_grad()
    def _logits(self, features: Features) -> Logits:
        blocks = []
        for start in range(0, len(features), _ROWS_AT_ONCE):
            block = torch.from_numpy(np.asarray(features[start : start + _ROWS_AT_ONCE])).float()
            blocks.append(self._average.classify(self._average.standardise(block)))
        return {
            task: torch.cat([block[task] for block in blocks]).double().numpy()
            for task in self.config.task_names
        }

    def _evaluate(self) -> dict[str, float]:
        logits = self._logits(self._views[0][self._dev])
        metrics = dev_metrics(logits, self._labels_of(self._dev))
        if metrics["score"] > self._state.best_score:
            self._state.best_score = metrics["score"]
            self._state.best_step = self._state.step
            self._state.best = {
                name: value.clone() for name, value in self._average.state_dict().items()
            }
        return metrics


def dev_metrics(
    logits: Mapping[str, FloatArray], labels: Mapping[str, NDArray[np.int64]]
) -> dict[str, float]:
    """EER, weighted F1, and the score by which the best checkpoint is chosen.

    The score is the mean over tasks of 1 - EER for BIN and of the weighted F1 for each axis; a
    task that is not defined on dev is left out of it.
    """
    found = task_metrics(logits, labels)
    figures = {
        "EER" if task == "BIN" else f"F1 {task}": of["eer" if task == "BIN" else "f1_weighted"]
        for task, of in found.items()
    }
    merits = [1.0 - value if name == "EER" else value for name, value in figures.items()]
    defined = [value for value in merits if math.isfinite(value)]
    if not defined:
        raise DataError("dev has no clips that any task could be measured on")
    return {"score": float(np.mean(defined)), **figures}


def rows_of(table: ItemTable, split: str, kept: Sequence[bool]) -> NDArray[np.int64]:
    """Rows of a split's clips among those kept.

    Raises:
        DataError: there are none.
    """
    chosen = [row for row, item in enumerate(table) if kept[row] and item.split == split]
    if not chosen:
        raise DataError(f"{table.folder}: no clips of split {split} to work with")
    return np.array(chosen)


class Settings(Protocol):
    """What every kind of run states of itself."""

    @property
    def left_out_sources(self) -> tuple[str, ...]:
        """Sources that no clip is taken from."""

    def to_dict(self) -> dict[str, Any]:
        """Plain values."""


def training_facts(table: ItemTable, config: Settings) -> dict[str, Any]:
    """What a weights file states of its training."""
    used = [
        item
        for item in table
        if item.split == "train" and item.source not in config.left_out_sources
    ]
    return {
        "data_sha256": table.sha256,
        "clips": len(used),
        "codec_clips": sum(item.is_codec for item in used),
        "sources": sorted({item.source for item in used}),
        "codecs": _counts(used),
        "settings": config.to_dict(),
    }


def _real_shift(facts: Mapping[str, Any], config: TrainingConfig) -> float:
    """From the share of bona fide clips in batches to that among the clips, in log-odds."""
    share = 1.0 - facts["codec_clips"] / facts["clips"]
    drawn = config.bona_fide_share
    return math.log(share / (1.0 - share)) - math.log(drawn / (1.0 - drawn))


def _counts(items: Sequence[Item]) -> dict[str, int]:
    names = sorted({item.codec for item in items if item.codec})
    return {name: sum(item.codec == name for item in items) for name in names}


def one_cycle(done: float, config: TrainingConfig) -> float:
    """Factor on the learning rate: a cosine up during the warm-up, a cosine down after it."""
    if done < config.warm_up:
        return 0.5 - 0.5 * math.cos(math.pi * done / config.warm_up) + 0.02
    return 0.5 + 0.5 * math.cos(math.pi * (done - config.warm_up) / (1.0 - config.warm_up))


def write_log(out: Path, progress: Progress) -> None:
    """Add a step to the run's log."""
    line = {"step": progress.step, "losses": progress.losses}
    if progress.dev is not None:
        line |= {"dev": progress.dev, "best": progress.best}
    with (out / LOG_NAME).open("a", encoding="utf-8") as file:
        file.write(json.dumps(line) + "\n")


def cut_log(out: Path, step: int) -> None:
    """Drop lines after a step, so that a resumed run's log reads as if it had not stopped."""
    path = out / LOG_NAME
    if not path.is_file():
        return
    lines = path.read_text(encoding="utf-8").splitlines()
    kept = [line for line in lines if _step_of(line) <= step]
    path.write_text("".join(f"{line}\n" for line in kept), encoding="utf-8")


def _step_of(line: str) -> float:
    try:
        return float(json.loads(line)["step"])
    except (ValueError, KeyError, TypeError):
        return math.inf
