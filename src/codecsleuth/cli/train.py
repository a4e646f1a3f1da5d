"""``codecsleuth train``."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from codecsleuth.cli.options import (
    AllowMissingOption,
    DataOption,
    Device,
    OfflineOption,
    ProtocolOption,
)
from codecsleuth.errors import UsageError
from codecsleuth.models.network import NETWORKS

if TYPE_CHECKING:
    from codecsleuth.data.items import ItemTable

_COMPACT: Final = "Options of --model compact"
_W2V2: Final = "Options of --model w2v2-aasist"


def train(
    data: DataOption,
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
    protocol: ProtocolOption = None,
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
    batch_size: Annotated[int | None, typer.Option(min=2, help="Clips a step.")] = None,
    seed: Annotated[
        int, typer.Option(min=0, max=2**63 - 1, help="Seed of everything random.")
    ] = 1234,
    checkpoint_every: Annotated[
        int | None, typer.Option(min=1, help="Steps between checkpoints.")
    ] = None,
    evaluate_every: Annotated[
        int | None, typer.Option(min=1, help="Steps between evaluations on dev.")
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on from the checkpoint in --out.")
    ] = False,
    allow_missing: AllowMissingOption = False,
    workers: Annotated[
        int | None,
        typer.Option(
            "--workers",
            "-j",
            min=1,
            max=256,
            show_default="CPU cores",
            help="Clips in work at a time.",
        ),
    ] = None,
    views: Annotated[
        int | None,
        typer.Option(min=1, help="Augmented versions a clip.", rich_help_panel=_COMPACT),
    ] = None,
    views_dir: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="Keep rendered views there, to share between runs.",
            rich_help_panel=_COMPACT,
        ),
    ] = None,
    calibrate_on: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="FILE",
            help="Fit the calibration to the left-out.safetensors of a run with sources left out, "
            "not to dev; repeatable.",
            rich_help_panel=_COMPACT,
        ),
    ] = None,
    recipe: Annotated[
        str | None,
        typer.Option(
            metavar="default|paper",
            help="Settings; other options override it.",
            rich_help_panel=_W2V2,
        ),
    ] = None,
    epochs: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="In place of --steps, go so often through the list as it is.",
            rich_help_panel=_W2V2,
        ),
    ] = None,
    task_weights: Annotated[
        str | None,
        typer.Option(
            metavar="equal|softmax|uncertainty",
            help="How the losses of tasks are added up.",
            rich_help_panel=_W2V2,
        ),
    ] = None,
    rawboost: Annotated[
        int | None,
        typer.Option(
            min=0, max=8, help="Augment by this algorithm of RawBoost.", rich_help_panel=_W2V2
        ),
    ] = None,
    accumulate: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Parts that a batch is computed in, to save memory.",
            rich_help_panel=_W2V2,
        ),
    ] = None,
    front_end: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="Begin with the wav2vec 2.0 network in this folder.",
            rich_help_panel=_W2V2,
        ),
    ] = None,
    device: Annotated[
        Device, typer.Option(help="Where it is trained.", rich_help_panel=_W2V2)
    ] = Device.cpu,
    offline: OfflineOption = False,
) -> None:
    r"""Train a network; writes log.jsonl, a checkpoint and NETWORK.safetensors into --out.

    The compact network learns from rendered views on the CPU. W2V2-AASIST is fine-tuned from
    XLS-R 300M, which is downloaded on first use unless --front-end names a folder with it, on as
    many GPUs as torchrun starts processes.

    \b
    Examples:
      codecsleuth train --data CodecFake+ --out runs/mine
      codecsleuth train --data corpus/ --fold 1/5 --out runs/fold-1 --resume
      codecsleuth train --data CodecFake+ --out runs/paper \
        --model w2v2-aasist --recipe paper
    """
    _check(model, out, resume)
    from codecsleuth.cli import training_runs
    from codecsleuth.cli.loading import read_table
    from codecsleuth.inference.compute import available_cores

    common = {
        "steps": steps,
        "batch_size": batch_size,
        "checkpoint_every": checkpoint_every,
        "evaluate_every": evaluate_every,
    }
    own: dict[str, dict[str, Any]] = {
        "compact": {"views": views, "views_dir": views_dir, "calibrate_on": calibrate_on},
        "w2v2-aasist": {
            "recipe": recipe,
            "epochs": epochs,
            "task_weights": task_weights,
            "rawboost": rawboost,
            "accumulate": accumulate,
            "front_end": front_end,
        },
    }
    _refuse_others(model, own)
    table = read_table(
        data, protocol, ("train", "dev"), allow_missing=allow_missing, balance=balance, seed=seed
    )
    left_out = _left_out(table, leave_out_source or [], fold)
    settings = {"tasks": tasks, "balance": balance, "seed": seed, "left_out_sources": left_out}
    given = {name: value for name, value in common.items() if value is not None}
    place = training_runs.RunFolder(out, resume, workers or available_cores(), device, offline)
    training_runs.RUNS[model](table, settings | given, own[model], place)


def _refuse_others(model: str, own: Mapping[str, Mapping[str, Any]]) -> None:
    """Refuse options that are another network's.

    Raises:
        UsageError: there is one.
    """
    for network, options in own.items():
        given = [name for name, value in options.items() if value is not None and value != []]
        if network != model and given:
            raise UsageError(f"--{given[0].replace('_', '-')} is not for --model {model}")


def _check(model: str, out: Path, resume: bool) -> None:
    """Refuse what would fail later, before anything is read.

    Raises:
        UsageError: with what to do instead.
    """
    if model not in NETWORKS:
        raise UsageError(f"--model {model}: the networks to train are {', '.join(NETWORKS)}")
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
