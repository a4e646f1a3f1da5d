"""Which clips of a data folder are evaluated, and whether the weights know them already."""

from __future__ import annotations

import difflib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from codecsleuth.data.folds import fold_sources
from codecsleuth.data.items import Item, ItemTable
from codecsleuth.errors import DataError, UsageError
from codecsleuth.text import valid_unicode

DEFAULT_SPLIT: Final = "dev"
_NAMED: Final = 3


@dataclass(frozen=True)
class Selection:
    """Clips chosen for evaluation.

    Attributes:
        table: the data folder's clips, of which they were chosen.
        items: the clips, audio there.
        missing: clips chosen whose audio is not there.
        split: the split they are of; None for all splits.
        sources: the sources they are limited to; None for all.
        fold: the fold of sources, such as ``1/5``; None if no fold was asked for.
        left_out: whether the sources are meant to be unknown to the weights.
    """

    table: ItemTable
    items: tuple[Item, ...]
    missing: tuple[Item, ...]
    split: str | None
    sources: tuple[str, ...] | None
    fold: str | None
    left_out: bool

    def describe(self) -> str:
        """The choice in words."""
        words = [f"split {self.split}" if self.split else "all splits"]
        if self.fold:
            words.append(f"sources of fold {self.fold}")
        elif self.sources is not None:
            words.append("sources " + _listed(self.sources))
        return ", ".join(words)

    def facts(self) -> dict[str, Any]:
        """Which clips of which data; plain values for JSON."""
        return {
            "folder": valid_unicode(str(self.table.folder)),
            "table_sha256": self.table.sha256,
            "protocol_sha256": {
                valid_unicode(name): sha for name, sha in self.table.protocols.items()
            },
            "revision": self.table.revision or None,
            "notes": [valid_unicode(note) for note in self.table.notes],
            "description": self.describe(),
            "split": self.split,
            "sources": None if self.sources is None else list(self.sources),
            "fold": self.fold,
            "left_out": self.left_out,
        }


def select(
    table: ItemTable,
    *,
    split: str | None = None,
    sources: Sequence[str] = (),
    left_out: Sequence[str] = (),
    fold: str | None = None,
) -> Selection:
    """Choose clips of a data folder.

    Args:
        table: the data folder's clips.
        split: only this split; by default ``dev``, or all of sources left out or of lists named.
        sources: only these sources.
        left_out: only these sources, meant to be unknown to the weights.
        fold: only the sources of this fold of `codecsleuth.data.folds.source_folds`, likewise.

    Raises:
        UsageError: the options exclude each other, or name what is not in the table.
        DataError: no clip is left.
    """
    if (bool(sources) + bool(left_out) + (fold is not None)) > 1:
        raise UsageError("--source, --leave-out-source and --fold exclude each other")
    rows = (*table.items, *table.missing)
    chosen = _named_sources(rows, (*sources, *left_out))
    if fold is not None:
        # A fold must not depend on which audio happens to be there.
        chosen = tuple(fold_sources(sorted(rows, key=lambda item: item.row), fold))
    unseen = bool(left_out) or fold is not None
    if split is None and not unseen and not table.chosen:
        split = DEFAULT_SPLIT
    items, missing = _chosen(table.items, split, chosen), _chosen(table.missing, split, chosen)
    selection = Selection(table, items, missing, split, chosen, fold, unseen)
    if missing and not items:
        raise DataError(f"{table.folder}: none of the {len(missing)} clips chosen has audio here")
    if not items:
        splits = Counter(item.split for item in rows)
        listed = ", ".join(f"{name} ({clips} clips)" for name, clips in sorted(splits.items()))
        raise DataError(f"{table.folder}: no clips of {selection.describe()}; there are: {listed}")
    return selection


def _named_sources(rows: Sequence[Item], names: Sequence[str]) -> tuple[str, ...] | None:
    known = {item.source for item in rows if item.source}
    for name in names:
        if name not in known:
            close = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
            hint = f"; did you mean {close[0]!r}?" if close else ""
            raise UsageError(f"no source named {name!r} in the data{hint}")
    return tuple(sorted(set(names))) or None


def _chosen(
    items: Sequence[Item], split: str | None, sources: Sequence[str] | None
) -> tuple[Item, ...]:
    wanted = None if sources is None else set(sources)
    return tuple(
        item
        for item in items
        if split in (None, item.split) and (wanted is None or item.source in wanted)
    )


def overlap_warnings(selection: Selection, training: Mapping[str, Any]) -> list[str]:
    """Say where the weights were trained on what they are now tested on.

    Args:
        selection: the clips chosen.
        training: the weights' own facts on their training; ``sources`` lists the sources of
            their training clips.
    """
    if "sources" not in training:
        return ["the weights do not say on which sources they were trained"]
    trained = set(training["sources"])
    known = sorted({item.source for item in selection.items} & trained)
    if selection.left_out and known:
        total = len({item.source for item in selection.items})
        return [
            f"NOT LEFT OUT: the weights were trained on {len(known)} of these {total} sources "
            f"({_listed(known)}); the figures do not say how the model does on sources that it "
            "was not trained on"
        ]
    seen = sum(item.split == "train" and item.source in trained for item in selection.items)
    if seen and not selection.left_out:
        return [f"the weights may have been trained on {seen} of these clips (split train)"]
    return []


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return ", ".join(names[:_NAMED]) + more
