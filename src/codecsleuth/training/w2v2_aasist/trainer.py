"""Fine-tuning of W2V2-AASIST: clips in, a calibrated weights file out; resumable.

The paper's training (Chen et al. 2025, section 4), or this project's own; see `recipes`. All that
is random follows from the seed and the number of the step, so that a run needs no generator's state
to go on from, and comes out the same from any number of processes but for rounding.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Generator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Final

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from codecsleuth.arrays import IntArray
from codecsleuth.calibration import bin_from_axes
from codecsleuth.data.items import Item, ItemTable, class_indices
from codecsleuth.data.sampling import sampling_weights
from codecsleuth.errors import DataError, UsageError, WeightsError
from codecsleuth.models.w2v2_aasist import FrontEndConfig, W2V2Aasist, W2V2AasistConfig
from codecsleuth.taxonomy import AXES, BIN_BONA_FIDE, TASKS
from codecsleuth.training.checkpoint import Checkpoint, State
from codecsleuth.training.distributed import Group, share_dropout
from codecsleuth.training.fitting import fit_calibration
from codecsleuth.training.run import Logits, Run, dev_metrics, one_cycle
from codecsleuth.training.w2v2_aasist.batches import Clips, Draw, Requests, read_ahead
from codecsleuth.training.w2v2_aasist.loss import Objective, TaskWeights
from codecsleuth.training.w2v2_aasist.recipes import FineTuneConfig
from codecsleuth.version import __version__
from codecsleuth.weights import WeightsFile, write_weights
from codecsleuth.weights.published import class_order

#: Share of a list by which its classes may differ and still count as balanced.
_UNEVEN: Final = 0.01
FINAL_NAME: Final = "w2v2-aasist.safetensors"


class FineTuner(Run[FineTuneConfig]):
    """One run."""

    final_name = FINAL_NAME
    _network: W2V2Aasist

    def __init__(
        self,
        table: ItemTable,
        config: FineTuneConfig,
        front_end: tuple[FrontEndConfig, State],
        *,
        device: str = "cpu",
        workers: int = 1,
        group: Group | None = None,
    ) -> None:
        """Prepare a run.

        Args:
            table: clips to train on (split train) and to choose by (split dev).
            config: settings of the run.
            front_end: dimensions and tensors that the front end begins with.
            device: ``cpu`` or ``cuda``.
            workers: processes that read clips ahead; the result does not depend on it.
            group: the processes that share the work; nor on this, but for rounding.

        Raises:
            DataError: there are no clips to train on, or none to evaluate on, or the list is not
                balanced as the settings say.
            UsageError: a batch cannot be dealt evenly to the processes, or they do not agree.
            WeightsError: the front end's tensors do not fit its dimensions.
        """
        dimensions = W2V2AasistConfig(config.task_names, front_end[0])
        super().__init__(table, config, dimensions, group)
        if len(set(self.group.gather(self.fingerprint))) > 1:
            raise UsageError("the processes were given different settings or data")
        self.device, self._workers = device, workers
        self._clips = Clips(table.items, config.augmentation)
        self._labels = {task: class_indices(table.items, task) for task in TASKS}
        self._part = self.group.part(config.batch_size)
        self._draw = _draw(config, [table.items[row] for row in self._train], self._train)
        self._network = _network(config, dimensions, front_end[1])
        self._position = share_dropout(self._network)
        self._objective = Objective(
            self._network,
            config.class_weights,
            TaskWeights(config.task_weights, len(config.task_names)),
            self._arithmetic,
            config.accumulate,
        ).to(device)
        self._shared: nn.Module = self._objective
        if self.group.size > 1:
            self._shared = DistributedDataParallel(self._objective, broadcast_buffers=False)
        self._optimiser = _optimiser(config, self._network, self._objective.task_weights)
        self._batches: Generator[Tensor] | None = None

    def _extra_tensors(self) -> dict[str, State]:
        return {"task_weights": self._objective.task_weights.state_dict()}

    def _restore(self, checkpoint: Checkpoint) -> None:
        self._objective.task_weights.load_state_dict(checkpoint.states.get("task_weights", {}))

    def _stalled(self) -> bool:
        """Whether dev has not become better for as long as the settings allow."""
        patience, since = self.config.patience, self.step - self._state.best_step
        return patience is not None and since >= patience * self.config.evaluate_every

    def write_weights(self, path: Path) -> None:
        """Write the best network, calibrated on dev as it is."""
        if self._batches is not None:
            self._batches.close()
        self._network.load_state_dict(self._state.best)
        logits = self._dev_logits(augmented=False)
        if not self.group.writes:
            return
        tasks = self.config.task_names
        labels = {task: labels[self._dev] for task, labels in self._labels.items()}
        weights = WeightsFile(
            name=f"w2v2-aasist-{self.config.tasks.lower().replace('_', '-')}",
            version=__version__,
            architecture="w2v2-aasist",
            config=asdict(self._network.config),
            tasks=tasks,
            classes=class_order(tasks),
            calibration=fit_calibration(logits, labels).to_dict(),
            training=self.facts | {"kind": self.config.tasks, "best_step": self._state.best_step},
            tensors=self._state.best,
        )
        write_weights(path, weights)

    def _step(self) -> dict[str, float]:
        config = self.config
        rows, seeds = self._draw(self.step)
        tasks = config.task_names
        labels = {task: torch.from_numpy(self._labels[task][rows]) for task in tasks}
        sums = self._objective.weight_sums(labels)
        waveforms, share = self._next_batch(), 1 / self.group.size
        part = {task: of[self._part].to(self.device) for task, of in labels.items()}
        self._position.move(seeds[0] >> 1, len(rows), self._part)
        self._network.train()
        loss, losses = self._shared(waveforms, part, sums, share)
        self._set_rate()
        self._optimiser.zero_grad()
        # The mean over processes is taken of gradients, where the sum is meant.
        torch.autograd.backward(loss / share)
        if config.gradient_limit is not None:
            nn.utils.clip_grad_norm_(self._objective.parameters(), config.gradient_limit)
        self._optimiser.step()
        return dict(zip(tasks, self.group.sum(losses.detach()).tolist(), strict=True))

    def _next_batch(self) -> Tensor:
        if self._batches is None:
            steps = range(self.step, self.config.steps)
            requests = Requests(self._draw, self._part, steps)
            self._batches = read_ahead(self._clips, requests, self._workers, self.device)
        return next(self._batches)

    def _set_rate(self) -> None:
        config, factor = self.config, 1.0
        if config.warm_up is not None:
            factor = one_cycle(self.step / config.steps, config.warm_up)
        rates = (config.learning_rate, config.task_weight_rate)
        for group, rate in zip(self._optimiser.param_groups, rates, strict=False):
            group["lr"] = factor * rate

    def _arithmetic(self) -> torch.autocast:
        half = self.config.mixed_precision and self.device == "cuda"
        return torch.autocast(self.device, torch.bfloat16, enabled=half)

    @torch.no_grad()
    def _dev_logits(self, *, augmented: bool) -> Logits:
        """Blocks of clips are dealt to the processes; the blocks are the same for any number."""
        config, group = self.config, self.group
        self._network.eval()
        size = max(1, config.batch_size // config.accumulate)
        blocks = [self._dev[start : start + size] for start in range(0, len(self._dev), size)]
        requests = [
            [(row, _seed_of(config.seed, row) if augmented else None) for row in block.tolist()]
            for block in blocks[group.rank :: group.size]
        ]
        own: list[dict[str, Tensor]] = []
        for waveforms in read_ahead(self._clips, requests, self._workers, self.device):
            with self._arithmetic():
                logits = self._network(waveforms)
            own.append({task: values.double().cpu() for task, values in logits.items()})
        dealt = group.gather(own)
        found = [dealt[number % group.size][number // group.size] for number in range(len(blocks))]
        joined = {
            task: torch.cat([block[task] for block in found]).numpy() for task in config.task_names
        }
        return {"BIN": bin_from_axes(joined), **joined} if joined.keys() == set(AXES) else joined

    def _dev_metrics(self) -> dict[str, float]:
        logits = self._dev_logits(augmented=self.config.augment_dev)
        labels = {task: labels[self._dev] for task, labels in self._labels.items()}
        return dev_metrics(logits, labels, labels["BIN"] == BIN_BONA_FIDE)

    def _measured_tensors(self) -> State:
        return self._network.state_dict()


def _draw(config: FineTuneConfig, items: Sequence[Item], rows: IntArray) -> Draw:
    if config.by_epochs:
        _refuse_unbalanced(config, items)
        return Draw(rows, config.batch_size, config.seed)
    weights = sampling_weights(items, bona_fide_share=0.5, evenness=0.0, balance=config.balance)
    return Draw(rows, config.batch_size, config.seed, weights)


def _refuse_unbalanced(config: FineTuneConfig, items: Sequence[Item]) -> None:
    """An epoch takes the list as it is, so that it must have been drawn balanced."""
    if len(items) < config.batch_size:
        raise DataError(f"{len(items)} clips to train on make no batch of {config.batch_size}")
    if config.balance is None:
        return
    classes = [getattr(item, config.balance) for item in items if item.is_codec]
    counts = Counter(name for name in classes if name is not None)
    if max(counts.values()) - min(counts.values()) > _UNEVEN * len(items) + 1:
        raise DataError(
            f"the list is not balanced over {config.balance.upper()} ({dict(counts)}): give one "
            "that is, or --steps, which draws clips evenly"
        )


def _network(config: FineTuneConfig, dimensions: W2V2AasistConfig, tensors: State) -> W2V2Aasist:
    torch.manual_seed(config.seed)
    network = W2V2Aasist(dimensions)
    try:
        network.front_end.load_state_dict(tensors, strict=True)
    except RuntimeError as error:
        reason = " ".join(str(error).split())[:200]
        raise WeightsError(f"the pretrained front end does not fit: {reason}") from error
    for block in network.encoder:
        if isinstance(block.unused_norm, nn.Module):
            block.unused_norm.requires_grad_(False)
    return network


def _optimiser(
    config: FineTuneConfig, network: nn.Module, task_weights: nn.Module
) -> torch.optim.Optimizer:
    """Groups in the order of `FineTuner._set_rate`; task weights do not decay."""
    kind = torch.optim.Adam if config.optimiser == "adam" else torch.optim.AdamW
    trained = [parameter for parameter in network.parameters() if parameter.requires_grad]
    groups = [
        {"params": trained, "weight_decay": config.weight_decay},
        {"params": list(task_weights.parameters()), "weight_decay": 0.0},
    ]
    return kind([group for group in groups if group["params"]], lr=config.learning_rate)


def _seed_of(seed: int, row: int) -> int:
    return int(np.random.default_rng((seed, row, 2)).integers(0, 2**63))
