"""Names of files made fit to be printed: they come from strangers."""

from __future__ import annotations

import os
import re

from rich.cells import cell_len


def valid_unicode(path: str) -> str:
    """A path as valid Unicode: bytes that are not UTF-8 are written as hexadecimal escapes."""
    return path.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def from_valid_unicode(path: str) -> str:
    """The path of which `valid_unicode` gave this text, if there were such bytes in it."""
    restored = re.sub(rb"\\x([0-9a-f]{2})", lambda m: bytes.fromhex(m[1].decode()), path.encode())
    return os.fsdecode(restored)


def printable(path: str) -> str:
    """A text that cannot disturb a terminal: control and direction characters are escaped."""
    return "".join(c if c.isprintable() else _escaped(c) for c in valid_unicode(path))


def one_line(message: str) -> str:
    """A message on one line, with nothing in it that could disturb a terminal."""
    return printable(" ".join(message.split()))


def _escaped(character: str) -> str:
    return character.encode("unicode_escape").decode("ascii")


def shorten(name: str, cells: int) -> str:
    """A name of at most ``cells`` terminal cells, cut in the middle; its end tells most."""
    if cell_len(name) <= cells:
        return name
    front = _fit(name, (cells - 1) // 3)
    back = _fit(name[::-1], cells - 1 - cell_len(front))[::-1]
    return f"{front}…{back}"


def fold(name: str, cells: int) -> str:
    """A name over lines of at most ``cells``; a break at a space would hide it."""
    lines = []
    while name:
        line = _fit(name, cells)
        if len(line) < len(name):
            line = line[: _break(line)]
        lines.append(line)
        name = name[len(line) :]
    return "\n".join(lines)


def _break(line: str) -> int:
    """Where to end a full line: behind a separator in its second half, or at its end."""
    behind = max(line.rfind(separator) for separator in "/_-.") + 1
    return behind if behind > len(line) // 2 else len(line)


def _fit(name: str, cells: int) -> str:
    """The longest beginning of a name that is no wider than ``cells``."""
    width = 0
    for position, character in enumerate(name):
        width += cell_len(character)
        if width > cells:
            return name[:position]
    return name
