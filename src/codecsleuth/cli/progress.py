"""Progress on stderr, if there is a terminal to see it."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.progress import Progress, ProgressColumn


@contextmanager
def progress_bar(*columns: str | ProgressColumn, shown: bool = True) -> Iterator[Progress]:
    """A bar that is gone when the work is done; nothing at all where no terminal is.

    Args:
        columns: of `rich.progress.Progress`; its usual ones by default.
        shown: False to show nothing.
    """
    from rich.console import Console
    from rich.progress import Progress

    console = Console(stderr=True, file=sys.stderr, highlight=False, soft_wrap=True, markup=False)
    visible = shown and console.is_terminal and not console.is_dumb_terminal
    with Progress(*columns, console=console, transient=True, disable=not visible) as bar:
        yield bar


@contextmanager
def counting(
    description: str, total: int | None, *, shown: bool = True
) -> Iterator[Callable[[int], None]]:
    """A bar of things done; gives a function that is called with how many more are done.

    Args:
        description: what is done.
        total: how many things there are; None if that is not known.
        shown: False to show nothing.
    """
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn

    columns = (
        TextColumn("{task.description}", markup=False),
        *(BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()),
    )
    with progress_bar(*columns, shown=shown) as bar:
        task = bar.add_task(description, total=total)
        yield lambda count: bar.advance(task, count)
