"""Training of the compact network: views in, calibrated weights out; resumable to the last bit."""

from __future__ import annotations

import copy
import math
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from torch import Tensor, nn

from codecsleuth.arrays import BoolArray, FloatArray, IntArray
from codecsleuth.calibration import familiarity
from codecsleuth.data.items import ItemTable, allowed_classes, class_indices
from codecsleuth.data.sampling import sampling_weights
from codecsleuth.models.compact import CompactConfig, CompactNet, split_blocks
from codecsleuth.taxonomy import AXES, CLASSES, FAMILY
from codecsleuth.training.checkpoint import Checkpoint, State
from codecsleuth.training.compact.config import TrainingConfig
from codecsleuth.training.compact.labels import (
    detection_classes,
    family_indices,
    known_families,
    one_hot,
    rarity,
)
from codecsleuth.training.compact.loss import Mix, masked_cross_entropy
from codecsleuth.training.compact.views import Features, ViewMaker
from codecsleuth.training.fitting import calibrate
from codecsleuth.training.held_out import FAMILIARITY, KNOWN_FAMILY, QUALITY, HeldOut
from codecsleuth.training.run import Run, dev_metrics, one_cycle
from codecsleuth.version import __version__
from codecsleuth.weights import WeightsFile, write_weights

FINAL_NAME: Final = "compact.safetensors"
LEFT_OUT_NAME: Final = "left-out.safetensors"
GRADIENT_LIMIT: Final = 5.0
#: Weight of the families in the axes' logits once the network is trained; the best step is chosen
#: by the axes' own heads alone.
FAMILY_SHARE: Final = 0.5
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
        calibrate_on: HeldOut | None = None,
    ) -> None:
        """Prepare a run; all views of the table must have been rendered.

        Args:
            table: clips to train on (split train) and to choose by (split dev).
            config: settings of the run.
            network: settings of the network.
            maker: of the rendered views.
            calibrate_on: outputs to fit the calibration to, of networks of the same settings that
                have not seen the clips; by default this network's own on dev.

        Raises:
            DataError: there are no clips to train on, or none to evaluate on.
        """
        detection = detection_classes(table, config)
        network = replace(network, families=known_families(table, config), detection=detection)
        super().__init__(table, config, network, detection=detection)
        self._clips_sha256 = table.clips_sha256
        self._left_out = np.flatnonzero([item.source in config.left_out_sources for item in table])
        self._views = [maker.load(view) for view in range(config.views)]
        self._labels, self._allowed = _labels(table, config, network)
        self._bona_fide = np.array([item.is_bona_fide for item in table], dtype=bool)
        self._codec = np.array([item.is_codec for item in table], dtype=bool)
        self._loss_weights = {"BIN": 1.0, FAMILY: config.family_weight}
        self._loss_weights |= dict.fromkeys(AXES, config.axis_weight)
        self._weights = sampling_weights(
            [table.items[row] for row in self._train],
            bona_fide_share=config.bona_fide_share,
            vocoder_share=config.vocoder_share,
            evenness=config.evenness,
            balance=config.balance,
        )
        self._shifts = {axis: self._shift(axis) for axis in AXES if axis in self._labels}
        torch.manual_seed(config.seed)
        self._rng = np.random.default_rng(config.seed)
        self._calibrate_on = calibrate_on
        self._items = table.items
        self._network = CompactNet(network)
        self._network.fit_statistics(torch.from_numpy(np.asarray(self._views[0][self._train])))
        self._average = copy.deepcopy(self._network).eval()
        self._optimiser = torch.optim.AdamW(
            self._network.parameters(), lr=config.learning_rate, weight_decay=config.weight_decay
        )

    def _extra_tensors(self) -> dict[str, State]:
        return {
            "average": self._average.state_dict(),
            "generator": {"torch": torch.get_rng_state()},
        }

    def _extra_values(self) -> dict[str, Any]:
        return {"numpy": self._rng.bit_generator.state}

    def _restore(self, checkpoint: Checkpoint) -> None:
        self._average.load_state_dict(checkpoint.states["average"])
        torch.set_rng_state(checkpoint.states["generator"]["torch"])
        self._rng.bit_generator.state = checkpoint.facts["numpy"]

    def write_weights(self, path: Path) -> None:
        """Write the best average, calibrated, its axes' classes shifted to fair frequencies.

        A run with sources left out also writes the network's outputs on them, to calibrate on.
        """
        network = self._average
        network.load_state_dict(self._state.best)
        network.shift(self._shifts)
        network.config = replace(network.config, family_share=FAMILY_SHARE)
        if len(self._left_out):
            self._held_out(self._left_out).write(path.parent / LEFT_OUT_NAME)
        calibrate_on = self._calibrate_on or self._held_out(self._dev)
        facts = self.facts | {
            "best_step": self._state.best_step,
            "calibration_clips": len(calibrate_on.rows),
        }
        items = [self._items[row] for row in calibrate_on.rows]
        calibration = calibrate(network.quality_calibration, calibrate_on, items)
        write_weights(
            path,
            WeightsFile(
                name="compact",
                version=__version__,
                architecture="compact",
                config=asdict(network.config),
                tasks=self.config.task_names,
                classes={
                    task: list(network.config.classes(task)) for task in self.config.task_names
                },
                calibration=calibration.to_dict(),
                training=facts,
                tensors=network.state_dict(),
            ),
        )

    def _shift(self, axis: str) -> Tensor:
        """What to add to an axis's logits, ``(classes,)``: the data's odds of Real, and rarity.

        Batches have more bona fide clips for each codec clip than the data.
        """
        bona_fide, codec = self._bona_fide[self._train], self._codec[self._train]
        drawn = math.log(self._weights[bona_fide].sum() / self._weights[codec].sum())
        real = math.log(bona_fide.sum() / codec.sum()) - drawn
        labels = self._labels[axis][self._train]
        counts = np.bincount(labels.clip(0), self._weights, len(CLASSES[axis]))[1:]
        return torch.tensor([real, *self.config.adjustment * rarity(counts)], dtype=torch.float32)

    def _held_out(self, rows: IntArray) -> HeldOut:
        """The average's outputs on clips, in every view."""
        views = [self._outputs(view[rows]) for view in self._views]
        outputs = {name: np.stack([view[name] for view in views]) for name in views[0]}
        if FAMILY in outputs:
            outputs[FAMILIARITY] = familiarity(outputs.pop(FAMILY))[..., None]
            known = (self._labels[FAMILY][rows] >= 0).astype(np.float64)
            outputs[KNOWN_FAMILY] = np.tile(known[:, None], (len(views), 1, 1))
        return HeldOut(self._clips_sha256, rows, outputs)

    def _labels_of(self, rows: IntArray) -> dict[str, IntArray]:
        return {task: labels[rows] for task, labels in self._labels.items()}

    def _step(self) -> dict[str, float]:
        config = self.config
        self._network.train()
        losses = [self._member_losses(member) for member in self._network.members]
        total = torch.stack(
            [
                loss * self._loss_weights[task]
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
                of_task, torch.from_numpy(self._allowed[task][rows]), mix, config.label_smoothing
            )
            for task, of_task in logits.items()
        }

    def _gather(self, rows: IntArray) -> Tensor:
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
    def _outputs(self, features: Features) -> dict[str, FloatArray]:
        """Logits per task, of families, and `QUALITY` of features, ``(clips, values)``."""
        blocks = []
        for start in range(0, len(features), _ROWS_AT_ONCE):
            block = torch.from_numpy(np.asarray(features[start : start + _ROWS_AT_ONCE])).float()
            quality = {QUALITY: self._average.quality_calibration.measure(block)}
            blocks.append(self._average.from_features(block) | quality)
        return {
            name: torch.cat([block[name] for block in blocks]).double().numpy()
            for name in blocks[0]
        }

    def _dev_metrics(self) -> dict[str, float]:
        outputs = self._outputs(self._views[0][self._dev])
        logits = {task: outputs[task] for task in self.config.task_names}
        bona_fide = self._bona_fide[self._dev]
        return dev_metrics(
            logits, self._labels_of(self._dev), bona_fide, self._network.config.detection
        )

    def _measured_tensors(self) -> State:
        return self._average.state_dict()


def _labels(
    table: ItemTable, config: TrainingConfig, network: CompactConfig
) -> tuple[dict[str, IntArray], dict[str, BoolArray]]:
    """Per task, and for the families, the clips' class indices and the classes allowed to each."""
    classes = {task: network.classes(task) for task in config.task_names}
    labels = {task: class_indices(table.items, task, names) for task, names in classes.items()}
    allowed = {task: allowed_classes(table.items, task, names) for task, names in classes.items()}
    labels[FAMILY] = family_indices(table.items, network.families)
    allowed[FAMILY] = one_hot(labels[FAMILY], len(network.families))
    return labels, allowed
