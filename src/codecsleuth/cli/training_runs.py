"""Training runs as the command line starts and follows them, one function a network."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from codecsleuth.cli.status import tell
from codecsleuth.errors import UsageError

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress as Bar

    from codecsleuth.data.items import ItemTable
    from codecsleuth.training.compact.views import ViewMaker
    from codecsleuth.training.run import Progress, Run


@dataclass(frozen=True)
class RunFolder:
    """Where a run is kept, and what computes it.

    Attributes:
        out: folder of the run.
        resume: whether to go on from a checkpoint there.
        workers: clips in work at a time.
        device: where W2V2-AASIST is trained.
        offline: never use the network.
    """

    out: Path
    resume: bool
    workers: int
    device: str
    offline: bool


Start = Callable[["ItemTable", Mapping[str, Any], Mapping[str, Any], RunFolder], None]


def run_compact(
    table: ItemTable, settings: Mapping[str, Any], own: Mapping[str, Any], place: RunFolder
) -> None:
    """Train the compact network.

    Args:
        table: the clips.
        settings: of every run.
        own: the network's own options: ``views``, ``views_dir``, ``calibrate_on``.
        place: where it is kept.

    Raises:
        UsageError: torchrun started several processes.
    """
    from rich.console import Console

    from codecsleuth.models.compact import CompactConfig
    from codecsleuth.training.compact.config import TrainingConfig
    from codecsleuth.training.compact.trainer import Trainer
    from codecsleuth.training.compact.views import ViewMaker
    from codecsleuth.training.distributed import started_processes
    from codecsleuth.training.held_out import read_held_out

    if started_processes() > 1:
        raise UsageError("--model compact is trained in one process; leave torchrun out")
    views = {} if own["views"] is None else {"views": own["views"]}
    config = TrainingConfig(**settings, **views)
    calibrate_on = own["calibrate_on"]
    held_out = read_held_out(calibrate_on, table.clips_sha256) if calibrate_on else None
    folder = own["views_dir"] or place.out / "views"
    maker = ViewMaker(config.augmentation, config.seed, folder, table.audio_sha256)
    place.out.mkdir(parents=True, exist_ok=True)
    console = Console(stderr=True)
    _render(console, maker, table, config.views, place.workers)
    trainer = Trainer(table, config, CompactConfig(tasks=config.task_names), maker, held_out)
    _follow(console, trainer, place)


def run_w2v2_aasist(
    table: ItemTable, settings: Mapping[str, Any], own: Mapping[str, Any], place: RunFolder
) -> None:
    """Fine-tune W2V2-AASIST.

    Args:
        table: the clips.
        settings: of every run.
        own: the network's own options: ``recipe``, ``epochs``, ``task_weights``, ``rawboost``,
            ``accumulate``, ``front_end``.
        place: where it is kept.

    Raises:
        UsageError: options do not go together, or the device is not there.
    """
    from rich.console import Console

    from codecsleuth.augment.rawboost import RawBoost
    from codecsleuth.inference.compute import pick_device
    from codecsleuth.training.distributed import joined
    from codecsleuth.training.run import rows_of
    from codecsleuth.training.w2v2_aasist.recipes import from_recipe
    from codecsleuth.training.w2v2_aasist.trainer import FineTuner
    from codecsleuth.weights.xls_r import pretrained

    given = {name: own[name] for name in ("epochs", "task_weights", "accumulate")}
    if own["rawboost"] is not None:
        given["augmentation"] = RawBoost(own["rawboost"])
    clips = len(rows_of(table, "train", settings["left_out_sources"]))
    config = from_recipe(own["recipe"] or "default", clips, **settings, **given)
    device = pick_device(place.device)
    with joined(device) as group:
        begin = pretrained(own["front_end"], offline=place.offline, announce=tell)
        tuner = FineTuner(table, config, begin, device=device, workers=place.workers, group=group)
        place.out.mkdir(parents=True, exist_ok=True)
        _follow(Console(stderr=True, quiet=not group.writes), tuner, place)


#: What starts a run of each network.
RUNS: Final[Mapping[str, Start]] = {"compact": run_compact, "w2v2-aasist": run_w2v2_aasist}


def _render(console: Console, maker: ViewMaker, table: ItemTable, views: int, workers: int) -> None:
    missing = maker.missing(views)
    if not missing:
        return
    with _bar(console, "{task.completed:.0f}/{task.total:.0f} clips") as bar:
        total = len(missing) * len(table)
        task = bar.add_task(f"rendering {len(missing)} views", total=total)
        for clips in maker.render(table.items, missing, workers):
            bar.advance(task, clips)


def _follow(console: Console, trainer: Run[Any], place: RunFolder) -> None:
    out = place.out
    if place.resume and trainer.resume(out):
        console.print(f"going on after step {trainer.step}", highlight=False)
    total = trainer.config.steps
    with _bar(console, "{task.fields[figures]}") as bar:
        task = bar.add_task("training", total=total, completed=trainer.step, figures="")
        for progress in trainer.run(out):
            bar.update(task, completed=progress.step, figures=_losses(progress))
            if progress.dev is not None:
                bar.console.print(_dev_line(progress, total), highlight=False, soft_wrap=True)
    if trainer.step < total:
        console.print("stopped early: dev did not get better any more", highlight=False)
    console.print(f"weights: {out / trainer.final_name}", highlight=False, soft_wrap=True)


@contextmanager
def _bar(console: Console, figures: str) -> Iterator[Bar]:
    from rich.progress import BarColumn, Progress, TimeRemainingColumn

    columns = ("{task.description}", BarColumn(20), figures, TimeRemainingColumn())
    with Progress(*columns, console=console, disable=not console.is_terminal) as bar:
        yield bar


def _losses(progress: Progress) -> str:
    return " ".join(f"{task} {loss:.2f}" for task, loss in progress.losses.items())


def _dev_line(progress: Progress, total: int) -> str:
    dev = progress.dev or {}
    figures = "  ".join(f"{name} {value:.3f}" for name, value in dev.items())
    return f"step {progress.step}/{total}  {_losses(progress)}  dev: {figures}"
