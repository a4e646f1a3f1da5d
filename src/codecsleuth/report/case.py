"""What an examiner states of the case: a TOML file beside the recordings, read strictly."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any, Final

from codecsleuth.errors import UsageError

OPTION: Final = "--case"
_TEXTS: Final = ("case", "exhibit", "examiner", "notes")
_KEYS: Final = (*_TEXTS, "date", "exhibits")


@dataclass(frozen=True)
class Case:
    """What a page states of the case; all of it may be empty.

    Attributes:
        case: reference of the case.
        exhibit: number of the exhibit that is examined, where one number covers all recordings.
        examiner: who examined.
        date: of the examination, as it is printed.
        notes: anything else that belongs on the first page.
        exhibits: exhibit numbers of single recordings, by path, file name or SHA-256.
    """

    case: str = ""
    exhibit: str = ""
    examiner: str = ""
    date: str = ""
    notes: str = ""
    exhibits: Mapping[str, str] = field(default_factory=dict)

    def exhibit_of(self, path: str, sha256: str = "") -> str:
        """The number of one recording: by hash, by path as given, by file name, or that of all."""
        names = (sha256.casefold(), path, Path(path).name)
        return next((self.exhibits[name] for name in names if name in self.exhibits), self.exhibit)


def read_case(path: Path) -> Case:
    """Read a case file; `docs/page.md` has an example.

    Raises:
        UsageError: it cannot be read, is not TOML, or holds a key or type that does not belong.
    """
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UsageError(f"{OPTION} {path}: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise UsageError(f"{OPTION} {path}: not UTF-8 text") from error
    except tomllib.TOMLDecodeError as error:
        raise UsageError(f"{OPTION} {path}: not TOML: {error}") from error
    try:
        return _case(values)
    except ValueError as error:
        raise UsageError(f"{OPTION} {path}: {error}") from error


def _case(values: Mapping[str, Any]) -> Case:
    unknown = [key for key in values if key not in _KEYS]
    if unknown:
        raise ValueError(f"unknown key {unknown[0]!r}; the keys are {', '.join(_KEYS)}")
    texts = {key: _text(key, values[key]) for key in _TEXTS if key in values}
    return Case(
        **texts, date=_date(values.get("date", "")), exhibits=_exhibits(values.get("exhibits", {}))
    )


def _text(key: str, value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError(f"{key} must be text in quotes")
    return value.strip()


def _date(value: Any) -> str:
    if not isinstance(value, (str, date)):
        raise ValueError("date must be a date such as 2026-11-24, or text in quotes")
    return str(value).strip()


def _exhibits(value: Any) -> dict[str, str]:
    if not isinstance(value, dict):
        raise ValueError('exhibits must be a table, such as [exhibits] with "call.wav" = "A-7"')
    return {_name(name): _text(f"exhibits.{name!r}", one) for name, one in value.items()}


def _name(name: str) -> str:
    """A hash in lower case; any other name as it is."""
    is_hash = len(name) == 64 and all(letter in "0123456789abcdefABCDEF" for letter in name)
    return name.casefold() if is_hash else name
