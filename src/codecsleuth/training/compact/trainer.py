"""Training of the compact network: views in, calibrated weights out; resumable to the last bit."""

from __future__ import annotations

import copy
import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from codecsleuth.arrays import FloatArray
from codecsleuth.calibration import familiarity
from codecsleuth.data.items import Item, ItemTable, class_indices
from codecsleuth.data.sampling import sampling_weights
from codecsleuth.models.compact import CompactConfig, CompactNet, split_blocks
from codecsleuth.taxonomy import AXES, CLASSES, FAMILY, find_family
from codecsleuth.training.checkpoint import Checkpoint, State
from codecsleuth.training.compact.views import Features, ViewMaker, clips_sha256
from codecsleuth.training.config import TrainingConfig
from codecsleuth.training.fitting import calibrate
from codecsleuth.training.held_out import FAMILIARITY, MET, QUALITY, HeldOut
from codecsleuth.training.run import Run, dev_metrics, one_cycle
from codecsleuth.training.w2v2_aasist.loss import Mix, masked_cross_entropy
from codecsleuth.version import __version__
from codecsleuth.weights import WeightsFile, write_weights

FINAL_NAME: Final = "compact.safetensors"
LEFT_OUT_NAME: Final = "left-out.safetensors"
GRADIENT_LIMIT: Final = 5.0
#: Training clips that a codec family needs for a place among the candidates.
MIN_FAMILY_CLIPS: Final = 8
#: What the families have to say in the axes' answers once the network is trained; its heads are
#: chosen by what they say alone.
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
            calibrate_on: answers to fit the calibration to, of networks of the same settings that
                have not seen the clips; by default this network's own about dev.

        Raises:
            DataError: there are no clips to train on, or none to evaluate on.
        """
        network = replace(network, families=_families(table, config))
        super().__init__(table, config, network)
        self._clips_sha256 = clips_sha256(table)
        self._left_out = np.flatnonzero([item.source in config.left_out_sources for item in table])
        self._views = [maker.load(view) for view in range(config.views)]
        self._labels = {task: class_indices(table.items, task) for task in config.task_names}
        self._labels[FAMILY] = family_indices(table.items, network.families)
        self._loss_weights = dict.fromkeys(AXES, config.axis_weight) | {
            "BIN": 1.0,
            FAMILY: config.family_weight,
        }
        self._weights = sampling_weights(
            [table.items[row] for row in self._train],
            bona_fide_share=config.bona_fide_share,
            evenness=config.evenness,
            balance=config.balance,
        )
        self._shifts = {axis: self._shift(axis) for axis in AXES if axis in self._labels}
        torch.manual_seed(config.seed)
        self._rng = np.random.default_rng(config.seed)
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
        """Write the best average, calibrated, its axes' classes shifted to fair frequencies.

        A run with sources left out also writes what the network says of them, to calibrate on.
        """
        network = self._average
        network.load_state_dict(self._reached.best)
        network.shift(self._shifts)
        network.config = replace(network.config, family_share=FAMILY_SHARE)
        if len(self._left_out):
            self._held_out(self._left_out).write(path.parent / LEFT_OUT_NAME)
        calibrate_on = self._calibrate_on or self._held_out(self._dev)
        facts = self.facts | {
            "best_step": self._reached.best_step,
            "calibration_clips": len(calibrate_on.rows),
        }
        calibration = calibrate(
            network.reliability, calibrate_on, self._labels_of(calibrate_on.rows)
        )
        write_weights(
            path,
            WeightsFile(
                name="compact",
                version=__version__,
                architecture="compact",
                config=asdict(network.config),
                tasks=self.config.task_names,
                classes={task: list(CLASSES[task]) for task in self.config.task_names},
                calibration=calibration.to_dict(),
                training=facts,
                tensors=network.state_dict(),
            ),
        )

    def _shift(self, axis: str) -> Tensor:
        """What an axis's logits lack, ``(classes,)``: the clips' own share of Real, and rarity.

        Batches have more bona fide clips than the data.
        """
        share = 1.0 - self.facts["codec_clips"] / self.facts["clips"]
        drawn = self.config.bona_fide_share
        real = math.log(share / (1.0 - share)) - math.log(drawn / (1.0 - drawn))
        labels = self._labels[axis][self._train]
        counts = np.bincount(labels.clip(0), self._weights, len(CLASSES[axis]))[1:]
        return torch.tensor([real, *self.config.adjustment * rarity(counts)], dtype=torch.float32)

    def _held_out(self, rows: NDArray[np.int64]) -> HeldOut:
        """The average's answers about clips, in every view."""
        views = [self._answers(view[rows]) for view in self._views]
        answers = {name: np.stack([view[name] for view in views]) for name in views[0]}
        if FAMILY in answers:
            answers[FAMILIARITY] = familiarity(answers.pop(FAMILY))[..., None]
            met = (self._labels[FAMILY][rows] >= 0).astype(np.float64)
            answers[MET] = np.tile(met[:, None], (len(views), 1, 1))
        return HeldOut(self._clips_sha256, rows, answers)

    def _labels_of(self, rows: NDArray[np.int64]) -> dict[str, NDArray[np.int64]]:
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
                of_task, torch.from_numpy(self._labels[task][rows]), mix, config.label_smoothing
            )
            for task, of_task in logits.items()
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
    def _answers(self, features: Features) -> dict[str, FloatArray]:
        """Logits per task, of families, and `QUALITY` of features, ``(clips, values)``."""
        blocks = []
        for start in range(0, len(features), _ROWS_AT_ONCE):
            block = torch.from_numpy(np.asarray(features[start : start + _ROWS_AT_ONCE])).float()
            quality = {QUALITY: self._average.reliability.measure(block)}
            blocks.append(self._average.answers(block) | quality)
        return {
            name: torch.cat([block[name] for block in blocks]).double().numpy()
            for name in blocks[0]
        }

    def _dev_metrics(self) -> dict[str, float]:
        answers = self._answers(self._views[0][self._dev])
        logits = {task: answers[task] for task in self.config.task_names}
        return dev_metrics(logits, self._labels_of(self._dev))

    def _evaluated(self) -> State:
        return self._average.state_dict()


def _families(table: ItemTable, config: TrainingConfig) -> tuple[str, ...]:
    """Families with enough clips to learn them from, by name; none where they are not a task."""
    if not config.family_weight:
        return ()
    counts = Counter(
        find_family(item.codec)
        for item in table
        if item.codec and item.split == "train" and item.source not in config.left_out_sources
    )
    return tuple(
        sorted(name for name, clips in counts.items() if name and clips >= MIN_FAMILY_CLIPS)
    )


def family_indices(items: Sequence[Item], families: Sequence[str]) -> NDArray[np.int64]:
    """Index of each clip's family, ``(items,)``; -1 for bona fide clips and other families."""
    index = {name: place for place, name in enumerate(families)}
    places = [index.get(find_family(item.codec) or "", -1) if item.codec else -1 for item in items]
    return np.array(places, dtype=np.int64)


def rarity(counts: NDArray[Any]) -> FloatArray:
    """What to add to log-probabilities, ``(classes,)``, to have the classes equally frequent.

    The mean over the clips is 0. Classes without clips stay as they are.

    Args:
        counts: of the clips of each class, ``(classes,)``.
    """
    there = counts > 0
    added = np.zeros(len(counts))
    added[there] = np.log(counts[there].sum() / counts[there])
    added[there] -= np.average(added[there], weights=counts[there])
    return added
