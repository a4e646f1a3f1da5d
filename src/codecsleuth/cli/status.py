"""What the command line ends with, and the one line that it says when something is wrong."""

from __future__ import annotations

import os
import sys
from typing import Final

from codecsleuth.text import one_line

OK: Final = 0
#: Some input could not be analysed; the others were.
INPUT: Final = 1
#: Wrong usage, an unknown model, a missing device.
USAGE: Final = 2
#: A verdict that ``--fail-on`` names.
VERDICT: Final = 3
INTERRUPTED: Final = 130


def complain(message: str, status: int) -> int:
    """Say what is wrong in one line on stderr, and give the exit status back."""
    tell(message)
    return status


def tell(line: str) -> None:
    """Say something on stderr, in one line; of torchrun's processes, the first speaks."""
    if "TORCHELASTIC_RUN_ID" in os.environ and os.environ.get("RANK", "0") != "0":
        return
    print(f"codecsleuth: {one_line(line)}", file=sys.stderr, flush=True)
