"""What the command line ends with, and the one line that it says when something is wrong."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final

from codecsleuth.text import one_line

OK: Final = 0
#: Some input could not be analysed; the others were.
INPUT: Final = 1
#: Wrong usage, an unknown model, a missing device.
USAGE: Final = 2
#: A verdict that ``--fail-on`` names.
VERDICT: Final = 3
INTERRUPTED: Final = 130
#: Seconds that work in progress has to end in after an interruption.
_GRACE_S: Final = 1.5


class InterruptionError(Exception):
    """Ctrl-C or SIGTERM; the message says how to go on."""


@contextmanager
def interruptible(message: Callable[[], str]) -> Iterator[None]:
    """Let SIGTERM end the work as Ctrl-C does, and both within two seconds, whatever runs.

    Args:
        message: what to say then.

    Raises:
        InterruptionError: one of them came.
    """
    watchdog = threading.Timer(_GRACE_S, _leave, (message,))
    watchdog.daemon = True

    def stop(number: int, frame: Any) -> None:
        if watchdog.is_alive():
            _leave(message)
        watchdog.start()
        raise KeyboardInterrupt

    before = _handle(stop)
    try:
        yield
    except KeyboardInterrupt:
        raise InterruptionError(message()) from None
    finally:
        watchdog.cancel()
        for number, handler in before.items():
            signal.signal(number, handler)


def _handle(stop: Callable[[int, Any], None]) -> dict[int, Any]:
    """Install a handler, and give back those before; an ignored signal stays ignored."""
    if threading.current_thread() is not threading.main_thread():
        return {}
    numbers = (signal.SIGINT, signal.SIGTERM)
    before = {number: signal.getsignal(number) for number in numbers}
    kept = {number: old for number, old in before.items() if old not in (signal.SIG_IGN, None)}
    for number in kept:
        signal.signal(number, stop)
    return {int(number): old for number, old in kept.items()}


def _leave(message: Callable[[], str]) -> None:
    """End the process though some of its threads cannot be stopped."""
    tell(message())
    os._exit(INTERRUPTED)


def complain(message: str, status: int) -> int:
    """Say what is wrong in one line on stderr, and give the exit status back."""
    tell(message)
    return status


def tell(line: str) -> None:
    """Say something on stderr, in one line; of torchrun's processes, the first speaks."""
    if "TORCHELASTIC_RUN_ID" in os.environ and os.environ.get("RANK", "0") != "0":
        return
    print(f"codecsleuth: {one_line(line)}", file=sys.stderr, flush=True)
