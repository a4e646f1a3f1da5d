"""``codecsleuth data``: get data sets."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from codecsleuth.errors import UsageError

if TYPE_CHECKING:
    from codecsleuth.data.codecfake.unpack import Advance

DATA_SETS: Final = ("codecfake+",)

data = typer.Typer(
    help="Get data sets.",
    context_settings={"help_option_names": ["-h", "--help"]},
    no_args_is_help=False,
)


class Subset(StrEnum):
    """Parts of CodecFake+."""

    cors = "CoRS"
    cosg = "CoSG"


@data.command("fetch")
def fetch_data(
    name: Annotated[str, typer.Argument(metavar="NAME", help="codecfake+.")],
    out: Annotated[Path, typer.Option(metavar="DIR", help="Folder to put it in.")],
    subset: Annotated[
        Subset | None, typer.Option(show_default="both", help="Only this part of it.")
    ] = None,
) -> None:
    """Download a data set from the Hugging Face hub, check and unpack it.

    CoRS is about 101 GB to download, CoSG 0.24 GB. After an interruption the same command goes on.
    """
    from codecsleuth.cli.status import tell
    from codecsleuth.data.codecfake.fetch import SUBSETS, fetch_codecfake

    if name.casefold() not in DATA_SETS:
        raise UsageError(f"no data set named {name!r}; there are: {', '.join(DATA_SETS)}")
    if out.exists() and not out.is_dir():
        raise UsageError(f"--out {out}: a file; it takes a folder")
    subsets = SUBSETS if subset is None else (subset.value,)
    typer.echo(fetch_codecfake(out, subsets, announce=tell, watch=_watch))


@contextmanager
def _watch(step: str, total: int) -> Iterator[Advance]:
    """A bar of bytes, if there is a terminal to see it."""
    from codecsleuth.cli.progress import progress_bar

    with progress_bar() as bar:
        task = bar.add_task(step, total=total)
        yield lambda count: bar.advance(task, count)
