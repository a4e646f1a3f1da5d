"""Settings of fine-tuning W2V2-AASIST: the paper's, and this project's own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from codecsleuth.augment.chain import Augmentation
from codecsleuth.augment.rawboost import RawBoost
from codecsleuth.errors import DataError, UsageError
from codecsleuth.training.config import RunConfig

TASK_WEIGHTS: Final = ("equal", "softmax", "uncertainty")
ClassWeights = dict[str, tuple[float, ...]]
_AXIS_CLASSES: Final[ClassWeights] = {
    "VQ": (0.1, 0.3, 0.3, 0.3),
    "AUX": (0.1, 0.3, 0.3, 0.3),
    "DEC": (0.1, 0.45, 0.45),
}
#: Weight of each class in the loss, as in the authors' recipe.
PAPER_CLASSES: Final[ClassWeights] = {"BIN": (0.1, 0.9), **_AXIS_CLASSES}
#: The same for the axes; codec and bona fide alike.
EVEN_CLASSES: Final[ClassWeights] = {"BIN": (0.5, 0.5), **_AXIS_CLASSES}


@dataclass(frozen=True)
class FineTuneConfig(RunConfig):
    """Settings of a run; by default this project's own recipe.

    Attributes:
        by_epochs: go through the list in a new order each epoch, rather than draw each clip by
            `sampling_weights`.
        accumulate: parts that a batch passes the front end in, to save memory; the loss stays.
        optimiser: ``adam`` or ``adamw``.
        learning_rate: the largest.
        weight_decay: of the optimiser.
        warm_up: share of the steps that the rate rises in before it falls; None for a constant.
        gradient_limit: longest gradient; longer ones are shortened. None for no limit.
        mixed_precision: multiply in bfloat16 on a GPU.
        patience: evaluations on dev without a better score after which a run ends; None for never.
        task_weights: ``equal``, or learned: ``softmax`` over one number a task, as the paper's
            authors have it, or ``uncertainty`` (Kendall et al., CVPR 2018).
        task_weight_rate: learning rate of learned task weights, the largest.
        class_weights: of the cross-entropy, per task.
        augmentation: of training clips.
        augment_dev: augment dev clips too, each always in the same way.
    """

    steps: int = 20_000
    batch_size: int = 16
    evaluate_every: int = 1_000
    checkpoint_every: int = 1_000
    by_epochs: bool = False
    accumulate: int = 1
    optimiser: str = "adamw"
    learning_rate: float = 1e-5
    weight_decay: float = 1e-2
    warm_up: float | None = 0.1
    gradient_limit: float | None = 1.0
    mixed_precision: bool = True
    patience: int | None = 5
    task_weights: str = "equal"
    task_weight_rate: float = 1e-3
    class_weights: ClassWeights = field(default_factory=EVEN_CLASSES.copy)
    augmentation: Augmentation | RawBoost = field(default_factory=Augmentation)
    augment_dev: bool = False

    def __post_init__(self) -> None:
        """Refuse settings that cannot be run.

        Raises:
            UsageError: with what is wrong.
        """
        super().__post_init__()
        self._refuse_below_one("accumulate")
        if self.task_weights not in TASK_WEIGHTS:
            known = ", ".join(TASK_WEIGHTS)
            raise UsageError(f"task weights {self.task_weights!r}: there are {known}")
        if self.optimiser not in ("adam", "adamw"):
            raise UsageError(f"the optimiser is adam or adamw, not {self.optimiser!r}")


#: What each recipe sets other than `FineTuneConfig` does.
RECIPES: Final[Mapping[str, Mapping[str, Any]]] = {
    "default": {},
    "paper": {
        "epochs": 20,
        "by_epochs": True,
        "batch_size": 8,
        "optimiser": "adam",
        "learning_rate": 1e-6,
        "weight_decay": 1e-4,
        "warm_up": None,
        "gradient_limit": None,
        "mixed_precision": False,
        "patience": None,
        "task_weight_rate": 1e-6,
        "class_weights": PAPER_CLASSES,
        "augmentation": RawBoost(algorithm=5),
        "augment_dev": True,
    },
}


def from_recipe(name: str, clips: int, **given: Any) -> FineTuneConfig:
    """Settings of a recipe, but for those given.

    Args:
        name: key of `RECIPES`.
        clips: training clips that there are.
        **given: fields of `FineTuneConfig`, or ``epochs`` in place of ``steps``; an epoch is as
            many full batches as there are clips for.

    Raises:
        UsageError: there is no such recipe, or steps and epochs are both given.
        DataError: there are fewer clips than a batch has.
    """
    if name not in RECIPES:
        raise UsageError(f"--recipe {name}: the recipes are {', '.join(RECIPES)}")
    given = {key: value for key, value in given.items() if value is not None}
    if "steps" in given and "epochs" in given:
        raise UsageError("--steps and --epochs: give one of them")
    settings = {**RECIPES[name], **given}
    epochs = settings.pop("epochs", None)
    if epochs is None or "steps" in given:
        return FineTuneConfig(**settings)
    batch_size = settings.get("batch_size", FineTuneConfig.batch_size)
    if clips < batch_size:
        raise DataError(f"{clips} clips to train on make no batch of {batch_size}")
    each = clips // batch_size
    settings = {"evaluate_every": each} | settings | {"steps": epochs * each, "by_epochs": True}
    return FineTuneConfig(**settings)
