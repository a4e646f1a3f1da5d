"""Training of the compact network: views in, calibrated weights out; resumable to the last bit."""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from codecsleuth import __version__
from codecsleuth.calibration import Calibration
from codecsleuth.data.items import ItemTable, class_indices
from codecsleuth.data.sampling import sampling_weights
from codecsleuth.evaluation.scores import ScoreTable
from codecsleuth.models.compact import CompactConfig, CompactNet, split_blocks
from codecsleuth.taxonomy import AXES, CLASSES
from codecsleuth.training.base import Logits, Run, dev_metrics, one_cycle
from codecsleuth.training.calibrate import fit_calibration
from codecsleuth.training.checkpoint import Checkpoint, State
from codecsleuth.training.config import TrainingConfig
from codecsleuth.training.loss import Mix, masked_cross_entropy
from codecsleuth.training.views import Features, ViewMaker
from codecsleuth.weights import WeightsFile, write_weights

FINAL_NAME: Final = "compact.safetensors"
GRADIENT_LIMIT: Final = 5.0
_ROWS_AT_ONCE: Final = 256


class Trainer(Run[TrainingConfig]):
    """One training run of the compact network."""

    final_name = FINAL_NAME
    _network: CompactNet

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
        super().__init__(table, config, network)
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

    def _own_states(self) -> dict[str, State]:
        return {
            "average": self._average.state_dict(),
            "generator": {"torch": torch.get_rng_state()},
        }

    def _own_facts(self) -> dict[str, Any]:
        return {"numpy": self._rng.bit_generator.state}

    def _restore(self, checkpoint: Checkpoint) -> None:
        self._average.load_state_dict(checkpoint.states["average"])
        torch.set_rng_state(checkpoint.states["generator"]["torch"])
        self._rng.bit_generator.state = checkpoint.facts["numpy"]

    def write_weights(self, path: Path) -> None:
        """Write the best average, calibrated, its axes at the clips' own share of bona fide."""
        self._average.load_state_dict(self._reached.best)
        self._average.shift_real(self._real_shift)
        clips = len(self._dev) if self._calibrate_on is None else len(self._calibrate_on.items)
        facts = self.facts | {"best_step": self._reached.best_step, "calibration_clips": clips}
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
        config = self.config
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
            group["lr"] = config.learning_rate * one_cycle(self.step / config.steps, config.warm_up)
        self._optimiser.zero_grad()
        torch.autograd.backward(total)
        limit = GRADIENT_LIMIT * math.sqrt(len(losses))
        torch.nn.utils.clip_grad_norm_(self._network.parameters(), limit)
        self._optimiser.step()
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
        done = self.step + 1
        decay = min(self.config.average, done / (done + 10))
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

    def _dev_metrics(self) -> dict[str, float]:
        logits = self._logits(self._views[0][self._dev])
        return dev_metrics(logits, self._labels_of(self._dev))

    def _evaluated(self) -> State:
        return self._average.state_dict()


def _real_shift(facts: Mapping[str, Any], config: TrainingConfig) -> float:
    """From the share of bona fide clips in batches to that among the clips, in log-odds."""
    share = 1.0 - facts["codec_clips"] / facts["clips"]
    drawn = config.bona_fide_share
    return math.log(share / (1.0 - share)) - math.log(drawn / (1.0 - drawn))
