"""The command line: a thin client of the library, one file a command.

Nothing heavy is imported until a command runs, so that help is there at once.
"""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from importlib import import_module
from typing import Annotated, Final

import typer

from codecsleuth.cli import status
from codecsleuth.cli.options import PanelCommand
from codecsleuth.cli.status import complain
from codecsleuth.errors import CodecsleuthError, UsageError
from codecsleuth.version import __version__

COMMANDS: Final = (
    *("analyze", "verify", "validate", "evaluate", "train", "weights", "data", "taxonomy"),
)

# Typer does not export the class of its usage errors, only this heir of it.
_ParserError: Final[type[Exception]] = typer.BadParameter.__bases__[0]

app = typer.Typer(
    name="codecsleuth",
    help="Did this speech pass through a neural audio codec, and of which kind?",
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"codecsleuth {__version__}")
        raise typer.Exit


@app.callback(invoke_without_command=True)
def _root(
    context: typer.Context,
    version: Annotated[
        bool,
        typer.Option("--version", callback=_print_version, is_eager=True, help="Show the version."),
    ] = False,
) -> None:
    if context.invoked_subcommand is None:
        raise UsageError("no command given; see codecsleuth --help")


for _name in COMMANDS:
    _command = getattr(import_module(f"codecsleuth.cli.{_name}"), _name)
    if isinstance(_command, typer.Typer):
        app.add_typer(_command, name=_name)
    else:
        app.command(_name, cls=PanelCommand)(_command)


def main() -> None:
    """Run the command line and leave with its exit status; errors are one line each."""
    sys.exit(run(sys.argv[1:]))


def run(arguments: list[str]) -> int:
    """Run one command line and return its exit status."""
    try:
        result = app(arguments, prog_name="codecsleuth", standalone_mode=False)
        if sys.stdout is not None:
            sys.stdout.flush()
    except _ParserError as error:
        return complain(error.format_message(), status.USAGE)  # type: ignore[attr-defined]
    except UsageError as error:
        return complain(str(error), status.USAGE)
    except CodecsleuthError as error:
        return complain(str(error), status.INPUT)
    except status.InterruptionError as error:
        return complain(str(error), status.INTERRUPTED)
    except (KeyboardInterrupt, typer.Abort):
        result = status.INTERRUPTED
    except BrokenPipeError:
        _forget_stdout()
        return status.INPUT
    except OSError as error:
        _forget_stdout()
        where = os.fsdecode(error.filename) if error.filename else "cannot write the output"
        return complain(f"{where}: {error.strerror or error}", status.INPUT)
    if result == status.INTERRUPTED:
        return complain("interrupted", status.INTERRUPTED)
    return result if isinstance(result, int) else status.OK


def _forget_stdout() -> None:
    # What is still buffered cannot be delivered; Python would complain of it at exit.
    with suppress(OSError, ValueError, AttributeError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
