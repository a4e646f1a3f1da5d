"""The loop of every training run: step, log, save, resume, and keep the best network.

The training of a network is a `Run` with a step, an evaluation and tensors of its own.
"""

from __future__ import annotations

import json
import math
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Final, Generic, TypeVar

import numpy as np
import torch

from codecsleuth.arrays import BoolArray, FloatArray, IntArray
from codecsleuth.calibration import BONA_FIDE, CODEC, NEURAL, VOCODER, detection_log_odds
from codecsleuth.data.items import Item, ItemTable
from codecsleuth.errors import DataError, UsageError
from codecsleuth.evaluation.figures import task_metrics
from codecsleuth.evaluation.metrics import equal_error_rate
from codecsleuth.storage import write_atomically
from codecsleuth.taxonomy import AXES, CLASSES
from codecsleuth.training.checkpoint import (
    Checkpoint,
    State,
    load_optimiser,
    optimiser_tensors,
    read_checkpoint,
    write_checkpoint,
)
from codecsleuth.training.config import RunConfig
from codecsleuth.training.distributed import Group

CHECKPOINT_NAME: Final = "checkpoint.safetensors"
LOG_NAME: Final = "log.jsonl"
#: Factor on the learning rate in the first step.
_FIRST_RATE: Final = 0.02
Logits = dict[str, FloatArray]
Config = TypeVar("Config", bound=RunConfig)


@dataclass(frozen=True)
class Progress:
    """The state of a run after a step.

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
class _RunState:
    step: int = 0
    best_score: float = -math.inf
    best_step: int = 0
    best: State = field(default_factory=dict)


class Run(ABC, Generic[Config]):
    """One training run, which can be interrupted at any moment and resumed.

    Attributes:
        final_name: file name of the weights that come out.
        config: settings.
        group: the processes that share the work; one of them writes.
        facts: what the weights file states of the training.
        fingerprint: hash of all that the result follows from.
    """

    final_name: ClassVar[str]
    _network: torch.nn.Module
    _optimiser: torch.optim.Optimizer

    def __init__(
        self,
        table: ItemTable,
        config: Config,
        network: Any,
        group: Group | None = None,
        detection: Sequence[str] = CLASSES["BIN"],
    ) -> None:
        """Prepare a run.

        Args:
            table: clips to train on (split train) and to choose by (split dev).
            config: settings of the run.
            network: settings of the network, a dataclass.
            group: the processes that share the work.
            detection: detection classes of the network; clips of other classes are left out.

        Raises:
            DataError: there are no clips to train on, or none to evaluate on.
        """
        self.config, self.group = config, group or Group()
        self.fingerprint = config.fingerprint(table.clips_sha256, asdict(network))
        self._train, self._dev = (
            rows_of(table, split, config.left_out_sources, detection) for split in ("train", "dev")
        )
        self.facts = _training_facts(table, config, self._train)
        self._state = _RunState()

    @abstractmethod
    def _step(self) -> dict[str, float]:
        """Go one step down the gradient, and give the loss per task."""

    @abstractmethod
    def _dev_metrics(self) -> dict[str, float]:
        """Figures of the network on dev, as `dev_metrics` gives them."""

    @abstractmethod
    def _measured_tensors(self) -> State:
        """The tensors that `_dev_metrics` measures, and of which the best are kept."""

    @abstractmethod
    def write_weights(self, path: Path) -> None:
        """Write the best network, calibrated."""

    def _extra_tensors(self) -> dict[str, State]:
        """What a checkpoint holds besides network, best network and optimiser."""
        return {}

    def _extra_values(self) -> dict[str, Any]:
        """Plain values that a checkpoint holds besides those of every run."""
        return {}

    def _restore(self, checkpoint: Checkpoint) -> None:
        """Put back what `_extra_tensors` and `_extra_values` gave."""

    def _stalled(self) -> bool:
        """Whether to end before all steps are done."""
        return False

    @property
    def step(self) -> int:
        """Steps done so far."""
        return self._state.step

    def run(self, out: Path) -> Iterator[Progress]:
        """Train to the end, writing log and checkpoints, and finally the weights.

        Args:
            out: folder of the run.
        """
        if self.group.writes:
            self._clear(out)
            _cut_log(out, self.step)
        while self.step < self.config.steps and not self._stalled():
            losses = self._step()
            self._state.step += 1
            last = self.step == self.config.steps
            dev = self._evaluate() if last or self.step % self.config.evaluate_every == 0 else None
            progress = Progress(self.step, losses, dev, self._state.best_score)
            # First, so that no checkpoint is ahead of the log: lines after it are cut on resuming.
            if self.group.writes:
                _write_log(out, progress)
            if last or self.step % self.config.checkpoint_every == 0:
                self.save(out)
            yield progress
        self.write_weights(out / self.final_name)

    def save(self, out: Path) -> None:
        """Write the checkpoint."""
        if not self.group.writes:
            return
        states = {
            "network": self._network.state_dict(),
            "best": self._state.best,
            "optimiser": optimiser_tensors(self._optimiser),
        }
        facts = {
            "fingerprint": self.fingerprint,
            "step": self.step,
            "best_score": self._state.best_score,
            "best_step": self._state.best_step,
        }
        checkpoint = Checkpoint(states | self._extra_tensors(), facts | self._extra_values())
        write_checkpoint(out / CHECKPOINT_NAME, checkpoint)

    def resume(self, out: Path) -> bool:
        """Go on from the checkpoint of a run with the same settings and data, if there is one.

        Raises:
            WeightsError: it cannot be read.
            UsageError: it is of another run, or not all processes find it.
        """
        seen = self.group.gather((out / CHECKPOINT_NAME).is_file())
        if not all(seen):
            if any(seen):
                raise UsageError(f"{out}: not seen by all processes; --out must be shared by them")
            return False
        found = read_checkpoint(out / CHECKPOINT_NAME)
        facts = found.facts
        if facts.get("fingerprint") != self.fingerprint:
            raise UsageError(
                f"{out}: the checkpoint is of a run with other settings or data; "
                "give the same ones, or train into another folder"
            )
        self._network.load_state_dict(found.states["network"])
        load_optimiser(self._optimiser, found.states["optimiser"])
        self._restore(found)
        best = found.states.get("best", {})
        self._state = _RunState(facts["step"], facts["best_score"], facts["best_step"], best)
        return True

    def _clear(self, out: Path) -> None:
        """Remove what a process that was killed while it wrote has left."""
        for name in (CHECKPOINT_NAME, LOG_NAME, self.final_name):
            for unfinished in out.glob(f".{name}.*"):
                unfinished.unlink()

    def _evaluate(self) -> dict[str, float]:
        """Measure on dev, and keep the network if it is the best so far."""
        metrics, state = self._dev_metrics(), self._state
        if metrics["score"] > state.best_score:
            state.best_score, state.best_step = metrics["score"], self.step
            state.best = {
                name: value.cpu().clone() for name, value in self._measured_tensors().items()
            }
        return metrics


def dev_metrics(
    logits: Mapping[str, FloatArray],
    labels: Mapping[str, IntArray],
    bona_fide: BoolArray,
    detection: Sequence[str] = CLASSES["BIN"],
) -> dict[str, float]:
    """EER, weighted F1, and the score by which the best checkpoint is chosen.

    The score is the mean over tasks of 1 - EER for detection and of the weighted F1 for each axis;
    a task that is not defined on dev is left out of it. With three detection classes there are two
    EERs: codec against bona fide, and codec and vocoder together against bona fide.

    Args:
        logits: per task ``(clips, classes)``.
        labels: per task ``(clips,)``, -1 where not known.
        bona_fide: ``(clips,)``.
        detection: detection classes in the order of the logits of ``BIN``.

    Raises:
        DataError: no task is defined on dev.
    """
    errors: dict[str, float] = {}
    if "BIN" in logits:
        chosen = bona_fide | (labels["BIN"] == detection.index(CODEC))
        codec = detection_log_odds(logits["BIN"], detection, (CODEC,), (BONA_FIDE,))
        errors["EER"] = float(equal_error_rate(codec[chosen], ~bona_fide[chosen]))
    if "BIN" in logits and VOCODER in detection:
        neural = detection_log_odds(logits["BIN"], detection, NEURAL)
        errors["EER neural"] = float(equal_error_rate(neural, ~bona_fide))
    axes = {axis: values for axis, values in logits.items() if axis in AXES}
    merits = {
        f"F1 {axis}": figures["f1_weighted"] for axis, figures in task_metrics(axes, labels).items()
    }
    each = (*(1.0 - error for error in errors.values()), *merits.values())
    defined = [value for value in each if math.isfinite(value)]
    if not defined:
        raise DataError("dev has no clips that any task could be measured on")
    return {"score": float(np.mean(defined)), **errors, **merits}


def one_cycle(done: float, warm_up: float) -> float:
    """Factor on the learning rate, 1 at its peak: a cosine up in the warm-up, a cosine down after.

    Args:
        done: share of the steps that are done.
        warm_up: share of the steps that the rate rises in.
    """
    if done < warm_up:
        rise = 0.5 - 0.5 * math.cos(math.pi * done / warm_up)
        return _FIRST_RATE + (1.0 - _FIRST_RATE) * rise
    return 0.5 + 0.5 * math.cos(math.pi * (done - warm_up) / (1.0 - warm_up))


def rows_of(
    table: ItemTable,
    split: str,
    left_out: Sequence[str],
    detection: Sequence[str] = CLASSES["BIN"],
) -> IntArray:
    """Rows of a split's clips, without those that a run leaves out.

    Args:
        table: of the clips.
        split: such as ``train``.
        left_out: sources to leave out.
        detection: classes that a clip's label must be among.

    Raises:
        DataError: there are none.
    """
    chosen = [
        row
        for row, item in enumerate(table)
        if item.split == split
        and item.source not in left_out
        and set(item.label_classes) <= set(detection)
    ]
    if not chosen:
        raise DataError(f"{table.folder}: no clips of split {split} to work with")
    return np.array(chosen)


def _training_facts(table: ItemTable, config: RunConfig, rows: IntArray) -> dict[str, Any]:
    """What a weights file states of its training on these rows."""
    used = [table.items[row] for row in rows]
    return {
        "data_sha256": table.sha256,
        "clips": len(used),
        "codec_clips": sum(item.is_codec for item in used),
        "labels": dict(sorted(Counter(item.label for item in used).items())),
        "sources": sorted({item.source for item in used}),
        "codecs": _counts(used),
        "settings": config.to_dict(),
    }


def _counts(items: Sequence[Item]) -> dict[str, int]:
    return dict(sorted(Counter(item.codec for item in items if item.codec).items()))


def _write_log(out: Path, progress: Progress) -> None:
    """Add a step to the run's log."""
    line = {"step": progress.step, "losses": progress.losses}
    if progress.dev is not None:
        line |= {"dev": progress.dev, "best": progress.best}
    with (out / LOG_NAME).open("a", encoding="utf-8") as file:
        file.write(json.dumps(line) + "\n")


def _cut_log(out: Path, step: int) -> None:
    """Drop lines after a step, so that a resumed run's log reads as if it had not stopped."""
    path = out / LOG_NAME
    if not path.is_file():
        return
    lines = path.read_text(encoding="utf-8").splitlines()
    kept = [line for line in lines if _step_of(line) <= step]
    write_atomically(path, "".join(f"{line}\n" for line in kept).encode())


def _step_of(line: str) -> float:
    try:
        return float(json.loads(line)["step"])
    except (ValueError, KeyError, TypeError):
        return math.inf
