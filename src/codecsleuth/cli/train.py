"""``codecsleuth train``."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from codecsleuth.cli.analyze import available_cores
from codecsleuth.errors import UsageError

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress as Bar

    from codecsleuth.data.items import ItemTable
    from codecsleuth.training.loop import Progress, Trainer
    from codecsleuth.training.views import ViewMaker

ARCHITECTURES: Final = ("compact",)


def train(
    data: Annotated[Path, typer.Option(metavar="DIR", help="Folder with an items.csv.")],
    out: Annotated[Path, typer.Option(metavar="DIR", help="Folder of the run.")],
    model: Annotated[str, typer.Option(metavar="NAME", help="Network: compact.")] = "compact",
    tasks: Annotated[
        str, typer.Option(metavar="KIND", help="M1 (all four tasks), S_BIN, S_VQ, ..., D_VQ, ...")
    ] = "M1",
    balance: Annotated[
        str | None,
        typer.Option(metavar="vq|aux|dec", help="Draw the classes of this axis equally often."),
    ] = None,
    leave_out_source: Annotated[
        list[str] | None, typer.Option(metavar="NAME", help="Take no clip of it; repeatable.")
    ] = None,
    fold: Annotated[
        str | None,
        typer.Option(metavar="K/N", help="Leave out the K-th of N groups of whole sources."),
    ] = None,
    steps: Annotated[int | None, typer.Option(min=1, help="Optimiser steps.")] = None,
    views: Annotated[int | None, typer.Option(min=1, help="Augmented versions a clip.")] = None,
    batch_size: Annotated[int | None, typer.Option(min=2, help="Clips a step.")] = None,
    seed: Annotated[int, typer.Option(help="Seed of everything random.")] = 1234,
    checkpoint_every: Annotated[
        int | None, typer.Option(min=1, help="Steps between checkpoints.")
    ] = None,
    evaluate_every: Annotated[
        int | None, typer.Option(min=1, help="Steps between evaluations on dev.")
    ] = None,
    views_dir: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Keep rendered views there, to share between runs."),
    ] = None,
    calibrate_on: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="FILE",
            help="Fit the calibration to these scores of evaluate, not to dev; repeatable.",
        ),
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on from the checkpoint in --out.")
    ] = False,
    allow_missing: Annotated[
        bool, typer.Option("--allow-missing", help="Go on without audio that is not there.")
    ] = False,
    workers: Annotated[
        int | None,
        typer.Option(min=1, max=256, show_default="CPU cores", help="Clips rendered at a time."),
    ] = None,
) -> None:
    """Train the compact network; writes log.jsonl, a checkpoint and compact.safetensors."""
    _check(model, out, resume)
    from rich.console import Console

    from codecsleuth.data.items import read_items
    from codecsleuth.evaluation.scores import read_scores
    from codecsleuth.models.compact import CompactConfig
    from codecsleuth.training.config import TrainingConfig
    from codecsleuth.training.loop import Trainer
    from codecsleuth.training.views import ViewMaker, clips_sha256

    given: dict[str, Any] = {
        "steps": steps,
        "views": views,
        "batch_size": batch_size,
        "checkpoint_every": checkpoint_every,
        "evaluate_every": evaluate_every,
    }
    table = read_items(data, allow_missing=allow_missing)
    config = TrainingConfig(
        tasks=tasks,
        balance=balance,
        seed=seed,
        left_out_sources=_left_out(table, leave_out_source or [], fold),
        **{name: value for name, value in given.items() if value is not None},
    )
    scores = read_scores(calibrate_on, table.items) if calibrate_on else None
    maker = ViewMaker(config.augmentation, seed, views_dir or out / "views", clips_sha256(table))
    out.mkdir(parents=True, exist_ok=True)
    console = Console(stderr=True)
    _render(console, maker, table, config.views, workers or available_cores())
    network = CompactConfig(tasks=config.task_names)
    trainer = Trainer(table, config, network, maker, scores)
    if resume and trainer.resume(out):
        console.print(f"going on after step {trainer.step}", highlight=False)
    _follow(console, trainer, out)


def _check(model: str, out: Path, resume: bool) -> None:
    """Refuse what would fail later, before anything is read.

    Raises:
        UsageError: with what to do instead.
    """
    if model not in ARCHITECTURES:
        raise UsageError(f"--model {model}: the networks to train are {', '.join(ARCHITECTURES)}")
    if out.exists() and not out.is_dir():
        raise UsageError(f"{out}: a file; --out takes a folder")
    if (out / "checkpoint.safetensors").is_file() and not resume:
        raise UsageError(f"{out}: holds a run already; --resume goes on with it")


def _left_out(table: ItemTable, named: list[str], fold: str | None) -> tuple[str, ...]:
    from codecsleuth.data.items import fold_sources

    rows = sorted((*table.items, *table.missing), key=lambda item: item.row)
    unknown = sorted(set(named) - {item.source for item in rows})
    if unknown:
        raise UsageError(f"--leave-out-source {unknown[0]}: the table has no such source")
    return tuple(sorted({*named, *(fold_sources(rows, fold) if fold else [])}))


def _render(console: Console, maker: ViewMaker, table: ItemTable, views: int, workers: int) -> None:
    missing = maker.missing(views)
    if not missing:
        return
    with _bar(console, "{task.completed:.0f}/{task.total:.0f} clips") as bar:
        total = len(missing) * len(table)
        task = bar.add_task(f"rendering {len(missing)} views", total=total)
        for clips in maker.render(table.items, missing, workers):
            bar.advance(task, clips)


def _follow(console: Console, trainer: Trainer, out: Path) -> None:
    total = trainer.config.steps
    with _bar(console, "{task.fields[figures]}") as bar:
        task = bar.add_task("training", total=total, completed=trainer.step, figures="")
        for progress in trainer.run(out):
            bar.update(task, completed=progress.step, figures=_losses(progress))
            if progress.dev is not None:
                bar.console.print(_dev_line(progress, total), highlight=False, soft_wrap=True)
    console.print(f"weights: {out / 'compact.safetensors'}", highlight=False, soft_wrap=True)


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
