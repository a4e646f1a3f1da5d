"""Consoles that print tables to where output goes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rich.console import Console

if TYPE_CHECKING:
    from codecsleuth.cli.output import Output

#: Columns of tables that are written to a file.
FILE_WIDTH = 120


class _Sink:
    """What a console prints to: the text goes on to an output."""

    encoding = "utf-8"

    def __init__(self, output: Output) -> None:
        self._output = output

    def write(self, text: str) -> int:
        self._output.write(text)
        return len(text)

    def flush(self) -> None:
        """Outputs flush by themselves."""


class ConsoleOutput:
    """Makes consoles: plain text for a file; for stdout, what the terminal can show."""

    @staticmethod
    def of(target: Output) -> Console:
        """A console that prints to an output."""
        sink: Any = _Sink(target)
        if target.path is not None:
            return Console(
                file=sink,
                no_color=True,
                width=FILE_WIDTH,
                highlight=False,
                force_terminal=False,
                markup=False,
            )
        terminal = Console()
        return Console(
            file=sink,
            width=terminal.width,
            highlight=False,
            force_terminal=terminal.is_terminal,
            color_system=terminal.color_system,  # type: ignore[arg-type]
            markup=False,
        )
