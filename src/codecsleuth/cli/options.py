"""Options that several commands have, and how help is laid out."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperCommand


class Device(StrEnum):
    """Where the network runs."""

    auto = "auto"
    cpu = "cpu"
    cuda = "cuda"
    mps = "mps"


class Precision(StrEnum):
    """The arithmetic of networks that have a choice."""

    auto = "auto"
    float32 = "float32"
    bfloat16 = "bfloat16"


class EngineName(StrEnum):
    """What spreads the work."""

    local = "local"


ModelOption = Annotated[
    str, typer.Option("--model", metavar="NAME|PATH", help="Model name, or a weights file.")
]
DeviceOption = Annotated[
    Device,
    typer.Option("--device", help="Where the network runs; answers are reproducible on the CPU."),
]
PrecisionOption = Annotated[
    Precision,
    typer.Option(
        "--precision",
        help="Of a large network; auto: bfloat16 where the hardware computes in it.",
    ),
]
CalibrationOption = Annotated[
    Path | None,
    typer.Option(
        "--calibration",
        metavar="FILE",
        help="Recalibrate by this file of validate --calibration-out.",
    ),
]
WorkersOption = Annotated[
    int | None,
    typer.Option(
        "--workers", "-j", min=1, max=256, show_default="CPU cores", help="Files in work at a time."
    ),
]
OfflineOption = Annotated[
    bool, typer.Option("--offline", help="Never use the network (the embedded model needs none).")
]
OutputOption = Annotated[
    Path | None,
    typer.Option("--output", "-o", metavar="FILE", help="Write there instead of stdout."),
]
JsonOption = Annotated[bool, typer.Option("--json", help="One JSON document.")]
DataOption = Annotated[
    Path, typer.Option("--data", metavar="DIR", help="Folder with an items.csv, or CodecFake+.")
]
ProtocolOption = Annotated[
    list[Path] | None,
    typer.Option(
        "--protocol", metavar="FILE", help="Take the clips of this CodecFake+ list; repeatable."
    ),
]
AllowMissingOption = Annotated[
    bool, typer.Option("--allow-missing", help="Go on without audio that is not there.")
]
PlotsOption = Annotated[
    Path | None,
    typer.Option("--report", metavar="FILE.html", help="Write a page with plots there."),
]
BootstrapOption = Annotated[
    int,
    typer.Option("--bootstrap", min=0, max=100_000, help="Draws for the intervals; 0 for none."),
]


class PanelCommand(TyperCommand):
    """A command whose help lists options in groups, by their ``rich_help_panel``."""

    def format_help_text(self, ctx: Any, formatter: Any) -> None:
        """Write the help; the lines of examples are kept as they are."""
        self.help = (self.help or "").replace("\\b\n", "\b\n")
        super().format_help_text(ctx, formatter)

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Write arguments and options, each group under its title."""
        groups: dict[str, list[tuple[str, str]]] = {}
        for parameter in self.get_params(ctx):
            if (record := parameter.get_help_record(ctx)) is None:
                continue
            usual = "Arguments" if parameter.param_type_name == "argument" else "Options"
            title = getattr(parameter, "rich_help_panel", None) or usual
            groups.setdefault(title, []).append(record)
        for title, records in groups.items():
            with formatter.section(title):
                formatter.write_dl(records)
