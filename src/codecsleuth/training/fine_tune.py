"""Fine-tuning of W2V2-AASIST: clips in, a calibrated weights file out; resumable.

The paper's recipe (Chen et al. 2025, section 4) with this project's augmentation: Adam at a small
constant rate, bona fide and codec clips alike often, classes weighted in the loss. All that is
random follows from the seed and the number of the step, so that a run needs no generator's state to
go on from.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from codecsleuth import __version__
from codecsleuth.audio import WINDOW_SAMPLES, Samples
from codecsleuth.calibration import bin_from_axes
from codecsleuth.data.items import ItemTable, class_indices
from codecsleuth.data.sampling import sampling_weights
from codecsleuth.errors import WeightsError
from codecsleuth.models.w2v2_aasist import FrontEndConfig, W2V2Aasist, W2V2AasistConfig
from codecsleuth.taxonomy import AXES, TASKS
from codecsleuth.training.base import Logits, Rows, Run, dev_metrics
from codecsleuth.training.calibrate import fit_calibration
from codecsleuth.training.checkpoint import State
from codecsleuth.training.config import RunConfig
from codecsleuth.training.loss import UNKNOWN
from codecsleuth.training.views import read_clip
from codecsleuth.weights import WeightsFile, write_weights
from codecsleuth.weights.published import class_order

FINAL_NAME: Final = "w2v2-aasist.safetensors"
#: Weight of each class in the loss, as in the authors' recipe.
CLASS_WEIGHTS: Final = {
    "BIN": (0.1, 0.9),
    "VQ": (0.1, 0.3, 0.3, 0.3),
    "AUX": (0.1, 0.3, 0.3, 0.3),
    "DEC": (0.1, 0.45, 0.45),
}


@dataclass(frozen=True)
class FineTuneConfig(RunConfig):
    """Settings of a run.

    Attributes:
        learning_rate: of Adam, constant.
        weight_decay: of Adam.
        layer_drop: share of transformer layers left out at random in a step.
    """

    steps: int = 20_000
    batch_size: int = 8
    learning_rate: float = 1e-6
    weight_decay: float = 1e-4
    layer_drop: float = 0.0
    evaluate_every: int = 1_000
    checkpoint_every: int = 1_000


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
        dimensions = W2V2AasistConfig(config.task_names, front_end[0])
        super().__init__(table, config, dimensions)
        self.device, self._pool = device, ThreadPoolExecutor(workers)
        self._items = table.items
        self._labels = {task: class_indices(table.items, task) for task in TASKS}
        self._weights = sampling_weights(
            [table.items[row] for row in self._train],
            bona_fide_share=0.5,
            evenness=0.0,
            balance=config.balance,
        )
        self._network = _network(config, dimensions, front_end[1]).to(device)
        if device != "cpu":
            self._network.front_end.gradient_checkpointing_enable()  # type: ignore[no-untyped-call]
        self._optimiser = torch.optim.Adam(
            self._network.parameters(), lr=config.learning_rate, weight_decay=config.weight_decay
        )

    def write_weights(self, path: Path) -> None:
        """Write the best network, calibrated on dev."""
        self._network.load_state_dict(self._reached.best)
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
            training=self.facts | {"kind": self.config.tasks, "best_step": self._reached.best_step},
            tensors=self._reached.best,
        )
        write_weights(path, weights)

    def _step(self) -> dict[str, float]:
        rng = np.random.default_rng((self.config.seed, self.step))
        rows = self._train[rng.choice(len(self._train), self.config.batch_size, p=self._weights)]
        seeds = rng.integers(0, 2**63, len(rows)).tolist()
        waveforms = _batch(list(self._pool.map(self._augmented, rows.tolist(), seeds)), self.device)
        torch.manual_seed(seeds[0])  # dropout
        self._network.train()
        with self._arithmetic():
            logits = self._network(waveforms)
        losses = {task: self._loss(task, logits[task].float(), rows) for task in logits}
        self._optimiser.zero_grad()
        torch.autograd.backward(torch.stack(list(losses.values())).sum())
        self._optimiser.step()
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

    def _dev_metrics(self) -> dict[str, float]:
        logits = self._dev_logits()
        return dev_metrics(logits, {task: self._labels[task][self._dev] for task in logits})

    def _evaluated(self) -> State:
        return self._network.state_dict()


def _network(config: FineTuneConfig, dimensions: W2V2AasistConfig, tensors: State) -> W2V2Aasist:
    torch.manual_seed(config.seed)
    network = W2V2Aasist(dimensions)
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
