"""Write docs/cli.md from the commands themselves: ``python docs/make_cli_reference.py``."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from enum import Enum
from importlib import import_module
from pathlib import Path
from typing import Any, get_args, get_type_hints

import typer

from codecsleuth.cli import COMMANDS

REFERENCE = Path(__file__).parent / "cli.md"
HEAD = """# Command line

Written by `docs/make_cli_reference.py` from the commands themselves; `codecsleuth COMMAND --help`
says the same. `codecsleuth --version` says the version.
"""


def reference() -> str:
    """The page: what each command does, and its arguments and options."""
    modules = {name: import_module(f"codecsleuth.cli.{name}") for name in COMMANDS}
    found = [pair for n, module in modules.items() for pair in commands(n, getattr(module, n))]
    return "\n".join([HEAD, *(section(name, command) for name, command in found)])


def commands(name: str, command: Any) -> list[tuple[str, Callable[..., object]]]:
    """A command, or those of a group, with their names."""
    if not isinstance(command, typer.Typer):
        return [(name, command)]
    inner = command.registered_commands
    return [(f"{name} {one.name}", one.callback) for one in inner if one.callback]


def section(name: str, command: Callable[..., object]) -> str:
    """One command."""
    hints = get_type_hints(command, include_extras=True)
    parameters = inspect.signature(command).parameters
    rows = "\n".join(row(key, hints[key], parameters[key].default) for key in parameters)
    about = "\n\n".join(paragraph(part) for part in inspect.getdoc(command).split("\n\n"))
    return f"## codecsleuth {name}\n\n{about}\n\n| | meaning | default |\n|---|---|---|\n{rows}\n"


def paragraph(text: str) -> str:
    """A paragraph of help; the lines of one that begins with a backspace are kept: examples."""
    if not text.startswith("\b"):
        return " ".join(text.split())
    title, *lines = text.splitlines()[1:]
    return "\n".join([title, "", *(f"    {line.strip()}" for line in lines)])


def row(key: str, hint: Any, default: Any) -> str:
    """One argument or option."""
    kind, info = get_args(hint)[:2]
    written = info.metavar or key.upper()
    if isinstance(info, typer.models.OptionInfo):
        # Typer keeps the first declaration where a default would stand outside Annotated.
        declared = [info.default, *(info.param_decls or [])]
        names = [name for name in declared if isinstance(name, str) and name.startswith("-")]
        written = " ".join([", ".join(names or [f"--{key.replace('_', '-')}"]), *taken(kind, info)])
    cells = (f"`{written}`", info.help, default_of(info, default))
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def taken(kind: Any, info: Any) -> list[str]:
    """What an option takes; nothing for a flag."""
    if info.metavar or kind is bool:
        return [info.metavar] if info.metavar else []
    inner = next((one for one in get_args(kind) if one is not type(None)), kind)
    inner = next(iter(get_args(inner)), inner)
    if isinstance(inner, type) and issubclass(inner, Enum):
        return ["|".join(member.value for member in inner)]
    return ["N" if inner is int else "TEXT"]


def default_of(info: Any, default: Any) -> str:
    """The default in words; empty where there is none."""
    if default is inspect.Parameter.empty:
        return "required"
    if isinstance(info.show_default, str):
        return info.show_default
    return "" if default in (None, False) else f"`{getattr(default, 'value', default)}`"


if __name__ == "__main__":
    REFERENCE.write_text(reference(), encoding="utf-8")
