"""``codecsleuth weights``: list, fetch, import and verify model weights."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from codecsleuth.errors import UsageError

if TYPE_CHECKING:
    from rich.table import Table

EXIT_INPUT: Final = 1

weights = typer.Typer(
    help="List, fetch, import and verify model weights.",
    context_settings={"help_option_names": ["-h", "--help"]},
    no_args_is_help=False,
)


@weights.command("list")
def list_weights(
    as_json: Annotated[bool, typer.Option("--json", help="One JSON document.")] = False,
) -> None:
    """Show the embedded model, published weights, and what is in the cache."""
    from rich.console import Console

    from codecsleuth.weights.cache import home

    rows = _rows()
    if as_json:
        content = {"schema": "codecsleuth/weights/1", "cache": str(home()), "weights": rows}
        typer.echo(json.dumps(content, ensure_ascii=False, indent=2))
        return
    console = Console(highlight=False)
    console.print(_table(rows))
    console.print(
        f"The published weights' authors state no licence; they are fetched from the authors' own "
        f"place and not passed on. Cache: {home()}",
        style="dim",
        soft_wrap=True,
    )


def _rows() -> list[dict[str, Any]]:
    """One row per model: those of the package, of the registry, and others in the cache."""
    from codecsleuth import weights as library
    from codecsleuth.taxonomy import TASKS
    from codecsleuth.weights.cache import cache_path, cached, cached_names
    from codecsleuth.weights.registry import registry

    embedded = {
        "name": library.DEFAULT_MODEL,
        "tasks": list(TASKS),
        "state": "embedded",
        "licence": "Apache-2.0",
    }
    rows: list[dict[str, Any]] = [embedded]
    for entry in registry().values():
        size = cache_path(entry.name).stat().st_size if cached(entry.name) else None
        rows.append(
            {
                "name": entry.name,
                "kind": entry.kind,
                "tasks": list(entry.tasks),
                "balance": entry.balance,
                "gigabytes": entry.gigabytes,
                "licence": entry.licence,
                "state": "published" if size is None else "cached",
                "source": f"{entry.repository}/{entry.file}",
            }
        )
    others = [name for name in cached_names() if name not in registry()]
    return rows + [{"name": name, "state": "cached", "licence": "unknown"} for name in others]


def _table(rows: list[dict[str, Any]]) -> Table:
    from rich.table import Table

    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for title in ("Model", "Tasks", "Balanced", "Size", "Licence", "In cache"):
        table.add_column(title, no_wrap=title == "Model")
    states = {"published": "no", "cached": "yes", "embedded": "embedded"}
    for row in rows:
        size = f"{row['gigabytes']:g} GB" if "gigabytes" in row else ""
        tasks = " ".join(row.get("tasks", []))
        state = states[row["state"]]
        table.add_row(row["name"], tasks, row.get("balance") or "-", size, row["licence"], state)
    return table


@weights.command("fetch")
def fetch_weights(
    name: Annotated[str, typer.Argument(metavar="NAME", help="As 'weights list' shows it.")],
    offline: Annotated[bool, typer.Option("--offline", help="Never use the network.")] = False,
) -> None:
    """Download published weights, check and convert them, and keep them in the cache."""
    from codecsleuth.cli.status import tell
    from codecsleuth.weights.fetch import fetch
    from codecsleuth.weights.registry import registry

    entry = registry().get(name)
    if entry is None:
        raise UsageError(f"no published weights named {name!r}; see 'codecsleuth weights list'")
    typer.echo(fetch(entry, offline=offline, announce=tell))


@weights.command("import")
def import_weights(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A checkpoint of PyTorch (.pth).")],
    name: Annotated[
        str | None,
        typer.Option(metavar="NAME", show_default="the file's name", help="To keep it under."),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace weights of that name.")] = False,
) -> None:
    """Convert a checkpoint in the form of the paper's authors, and keep it in the cache.

    No code in the file is run. What kind of model it is follows from its tensors.
    """
    from codecsleuth.cli.status import tell
    from codecsleuth.weights.cache import cache_path
    from codecsleuth.weights.fetch import import_file

    kept = import_file(file, name, force=force)
    tell(f"kept as {kept}; use it by --model {kept}")
    typer.echo(cache_path(kept))


@weights.command("verify")
def verify_weights(
    name: Annotated[
        str | None,
        typer.Argument(metavar="[NAME]", show_default="all", help="Embedded or in the cache."),
    ] = None,
) -> None:
    """Hash the embedded weights, and those in the cache, and compare with what was published.

    What is in the cache is compared with what was written there.

    Exit status: 0 all are as they were; 1 some are not.
    """
    from codecsleuth.weights import DEFAULT_MODEL, embedded
    from codecsleuth.weights.cache import cached, cached_names, check

    names = [name] if name else [DEFAULT_MODEL, *cached_names()]
    files = {one: embedded(one) or cached(one) for one in names}
    if name is not None and files[name] is None:
        raise UsageError(f"{name}: not in the cache; see 'codecsleuth weights list'")
    problems = {one: check(file) for one, file in files.items() if file is not None}
    for one, problem in problems.items():
        typer.echo(f"{one}: {'ok' if problem is None else f'DAMAGED: {problem}'}")
    raise typer.Exit(EXIT_INPUT if any(problems.values()) else 0)
