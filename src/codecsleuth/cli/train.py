"""``codecsleuth train``."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from codecsleuth.cli.options import Device
from codecsleuth.errors import UsageError
from codecsleuth.inference.compute import available_cores

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress as Bar

    from codecsleuth.data.items import ItemTable
    from codecsleuth.training.compact.views import ViewMaker
    from codecsleuth.training.run import Progress, Run
    from codecsleuth.training.w2v2_aasist.recipes import FineTuneConfig

ARCHITECTURES: Final = ("compact", "w2v2-aasist")


def train(
    data: Annotated[
        Path, typer.Option(metavar="DIR", help="Folder with an items.csv, or CodecFake+.")
    ],
    out: Annotated[Path, typer.Option(metavar="DIR", help="Folder of the run.")],
    model: Annotated[
        str, typer.Option(metavar="NAME", help="Network: compact, or w2v2-aasist.")
    ] = "compact",
    tasks: Annotated[
        str,
        typer.Option(
            metavar="KIND", help="M1 (all four tasks), M2 (the axes), S_BIN, S_VQ, ..., D_VQ, ..."
        ),
    ] = "M1",
    protocol: Annotated[
        list[Path] | None,
        typer.Option(metavar="FILE", help="Take the clips of this CodecFake+ list; repeatable."),
    ] = None,
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
    recipe: Annotated[
        str | None,
        typer.Option(metavar="default|paper", help="Settings of w2v2-aasist; others override it."),
    ] = None,
    task_weights: Annotated[
        str | None,
        typer.Option(
            metavar="equal|softmax|uncertainty", help="How the losses of tasks are added up."
        ),
    ] = None,
    rawboost: Annotated[
        int | None, typer.Option(min=0, max=8, help="Augment by this algorithm of RawBoost.")
    ] = None,
    steps: Annotated[int | None, typer.Option(min=1, help="Optimiser steps.")] = None,
    epochs: Annotated[
        int | None, typer.Option(min=1, help="Instead, go so often through the list as it is.")
    ] = None,
    views: Annotated[int | None, typer.Option(min=1, help="Augmented versions a clip.")] = None,
    batch_size: Annotated[int | None, typer.Option(min=2, help="Clips a step.")] = None,
    accumulate: Annotated[
        int | None, typer.Option(min=1, help="Parts that a batch is computed in, to save memory.")
    ] = None,
    seed: Annotated[
        int, typer.Option(min=0, max=2**63 - 1, help="Seed of everything random.")
    ] = 1234,
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
            help="Fit the calibration to the left-out.safetensors of a run with sources left out, "
            "not to dev; repeatable.",
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
        typer.Option(min=1, max=256, show_default="CPU cores", help="Clips in work at a time."),
    ] = None,
    device: Annotated[
        Device, typer.Option(help="Where w2v2-aasist is trained; compact takes the CPU.")
    ] = Device.cpu,
    front_end: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Begin w2v2-aasist with this wav2vec 2.0 network."),
    ] = None,
    offline: Annotated[bool, typer.Option("--offline", help="Never use the network.")] = False,
) -> None:
    """Train a network; writes log.jsonl, a checkpoint and NETWORK.safetensors into --out.

    The compact network learns from rendered views on the CPU. W2V2-AASIST is fine-tuned from
    XLS-R 300M, which is downloaded on first use unless --front-end names a folder with it, on as
    many GPUs as torchrun starts processes.
    """
    _check(model, out, resume)
    from codecsleuth.cli.loading import read_table

    given: dict[str, Any] = {
        "steps": steps,
        "views": views,
        "batch_size": batch_size,
        "checkpoint_every": checkpoint_every,
        "evaluate_every": evaluate_every,
    }
    table = read_table(
        data, protocol, ("train", "dev"), allow_missing=allow_missing, balance=balance, seed=seed
    )
    settings: dict[str, Any] = {
        "tasks": tasks,
        "balance": balance,
        "seed": seed,
        "left_out_sources": _left_out(table, leave_out_source or [], fold),
        **{name: value for name, value in given.items() if value is not None},
    }
    threads = workers or available_cores()
    own = {"task_weights": task_weights, "epochs": epochs, "accumulate": accumulate}
    if model == "compact":
        others: dict[str, Any] = {
            f"--{name.replace('_', '-')}": value for name, value in own.items()
        }
        others |= {"--recipe": recipe, "--rawboost": rawboost, "--front-end": front_end}
        _refuse(model, others)
        _train_compact(table, settings, out, resume, threads, views_dir, calibrate_on)
    else:
        _refuse(model, {"--views": views, "--views-dir": views_dir, "--calibrate-on": calibrate_on})
        settings |= {name: value for name, value in own.items() if value is not None}
        config = _from_recipe(table, recipe or "default", rawboost, settings)
        _fine_tune(table, config, out, resume, threads, device.value, front_end, offline)


def _refuse(model: str, options: dict[str, Any]) -> None:
    for name, value in options.items():
        if value is not None and value != []:
            raise UsageError(f"{name} is not for --model {model}")


def _train_compact(
    table: ItemTable,
    settings: dict[str, Any],
    out: Path,
    resume: bool,
    workers: int,
    views_dir: Path | None,
    calibrate_on: list[Path] | None,
) -> None:
    from rich.console import Console

    from codecsleuth.models.compact import CompactConfig
    from codecsleuth.training.compact.config import TrainingConfig
    from codecsleuth.training.compact.trainer import Trainer
    from codecsleuth.training.compact.views import ViewMaker
    from codecsleuth.training.distributed import started_processes
    from codecsleuth.training.held_out import read_held_out

    if started_processes() > 1:
        raise UsageError("--model compact is trained in one process; leave torchrun out")
    config = TrainingConfig(**settings)
    held_out = read_held_out(calibrate_on, table.clips_sha256) if calibrate_on else None
    folder = views_dir or out / "views"
    maker = ViewMaker(config.augmentation, config.seed, folder, table.audio_sha256)
    out.mkdir(parents=True, exist_ok=True)
    console = Console(stderr=True)
    _render(console, maker, table, config.views, workers)
    trainer = Trainer(table, config, CompactConfig(tasks=config.task_names), maker, held_out)
    _follow(console, trainer, out, resume)


def _from_recipe(
    table: ItemTable, recipe: str, rawboost: int | None, settings: dict[str, Any]
) -> FineTuneConfig:
    from codecsleuth.augment.rawboost import RawBoost
    from codecsleuth.training.run import rows_of
    from codecsleuth.training.w2v2_aasist.recipes import from_recipe

    if rawboost is not None:
        settings["augmentation"] = RawBoost(rawboost)
    clips = len(rows_of(table, "train", settings["left_out_sources"]))
    return from_recipe(recipe, clips, **settings)


def _fine_tune(
    table: ItemTable,
    config: FineTuneConfig,
    out: Path,
    resume: bool,
    workers: int,
    device: str,
    front_end: Path | None,
    offline: bool,
) -> None:
    from rich.console import Console

    from codecsleuth.cli.status import tell
    from codecsleuth.inference.compute import pick_device
    from codecsleuth.training.distributed import joined
    from codecsleuth.training.w2v2_aasist.trainer import FineTuner
    from codecsleuth.weights.xls_r import pretrained

    place = pick_device(device)
    with joined(place) as group:
        begin = pretrained(front_end, offline=offline, announce=tell)
        tuner = FineTuner(table, config, begin, device=place, workers=workers, group=group)
        out.mkdir(parents=True, exist_ok=True)
        _follow(Console(stderr=True, quiet=not group.writes), tuner, out, resume)


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
    from codecsleuth.data.folds import fold_sources

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


def _follow(console: Console, trainer: Run[Any], out: Path, resume: bool) -> None:
    if resume and trainer.resume(out):
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
