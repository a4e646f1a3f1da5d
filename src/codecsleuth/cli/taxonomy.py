"""``codecsleuth taxonomy``: the catalogue, or what is known of one codec."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from codecsleuth.errors import UsageError
from codecsleuth.taxonomy import AXES, CLASSES, CatalogueEntry, catalogue, find_entries
from codecsleuth.taxonomy import similar_names as similar

if TYPE_CHECKING:
    from rich.table import Table

SCHEMA: Final = "codecsleuth/taxonomy/1"
_UNKNOWN: Final = "?"


def taxonomy(
    name: Annotated[
        str | None, typer.Argument(help="A codec, a family or a system, in any spelling.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Show the codecs and systems that are known, or one of them, and their classes."""
    entries = catalogue() if name is None else _found(name)
    if as_json:
        from codecsleuth.cli.output import Output

        Output().write(json.dumps(_document(entries), indent=2, ensure_ascii=False) + "\n")
        return
    from rich.console import Console

    alone = name is not None and len(entries) == 1
    Console(highlight=False).print(_card(entries[0]) if alone else _table(entries))


def _found(name: str) -> tuple[CatalogueEntry, ...]:
    entries = find_entries(name)
    if not entries:
        hints = " or ".join(repr(hint) for hint in similar(name))
        meant = f"did you mean {hints}?" if hints else "the command without a name lists all"
        raise UsageError(f"no codec or system named {name!r}; {meant}")
    return entries


def _document(entries: Sequence[CatalogueEntry]) -> dict[str, Any]:
    return {
        "schema": SCHEMA,
        "classes": {axis.lower(): list(CLASSES[axis][1:]) for axis in AXES},
        "entries": [entry.to_dict() for entry in entries],
    }


def _table(entries: Sequence[CatalogueEntry]) -> Table:
    from rich.table import Table

    table = Table(title=f"Neural audio codecs and systems ({len(entries)})", title_justify="left")
    for column in ("Name", "Kind", "VQ", "AUX", "DEC"):
        table.add_column(column, overflow="fold")
    for entry in entries:
        classes = (entry.class_name(axis) or _UNKNOWN for axis in AXES)
        table.add_row(entry.name, entry.kind, *classes)
    table.caption = f"{_UNKNOWN} class not certain"
    table.caption_justify = "left"
    return table


def _card(entry: CatalogueEntry) -> Table:
    from rich.table import Table

    card = Table(title=entry.name, title_justify="left", show_header=False)
    card.add_column("", style="dim", no_wrap=True)
    card.add_column("", overflow="fold")
    card.add_row("Kind", entry.kind)
    for axis in AXES:
        card.add_row(axis, entry.class_name(axis) or "not certain")
    if entry.frame_rates_hz:
        card.add_row("Frame rates", ", ".join(f"{rate:g} Hz" for rate in entry.frame_rates_hz))
    if entry.family:
        members = [e.name for e in catalogue() if e.family == entry.family]
        card.add_row("Family", f"{entry.family} ({', '.join(members)})")
    card.add_row("Also spelt", "\n".join(entry.aliases) or "-")
    return card
