"""CodecFake+ (Chen et al., arXiv 2501.08238) as labelled clips: lists, splits, balanced draws.

Two layouts are read, each with clips as ``.wav`` or ``.flac``: the authors' own folders
(``all_data_16k``, ``SLMdemos_16k/SYSTEM``), and the Hugging Face release as it is unpacked
(``Codecfake_plus_CoRS``, ``CoSG`` and two label files). A set of clips is what its list says; where
there is no list, it is what the clips' names, the catalogue and the paper's speaker split say.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache, cached_property
from pathlib import Path
from typing import Final

from codecsleuth.data.codecfake.clips import RIGHT_SPELLING, Clips
from codecsleuth.data.codecfake.draw import draw
from codecsleuth.data.codecfake.protocols import (
    UNKNOWN,
    Classes,
    Protocol,
    Row,
    catalogue_classes,
    parse_clip,
    read_protocol,
)
from codecsleuth.data.codecfake.sets import (
    CORS_ALL,
    CORS_LABELS,
    COSG_ALL,
    COSG_LABELS,
    COSG_SEEN,
    MARKER,
    NOT_IN_CORS_ALL,
    SETS,
    TRAIN_LISTS,
    UNSEEN_SYSTEMS,
    absent_message,
    role,
    split_of,
)
from codecsleuth.data.items import BONA_FIDE, SPLITS, SPOOF, Item, ItemTable, missing_message
from codecsleuth.errors import DataError, UsageError
from codecsleuth.storage import sha256_of

_LABELS: Final = ("label", "vq", "aux", "dec")
_NAMED: Final = 3


def read_codecfake(
    root: Path,
    *,
    protocols: Sequence[Path] = (),
    splits: Sequence[str] | None = None,
    allow_missing: bool = False,
    balance: str | None = None,
    seed: int = 1234,
) -> ItemTable:
    """Read sets of clips of CodecFake+.

    Args:
        root: as `find_codecfake` has it.
        protocols: lists to take in place of those in the folder.
        splits: which sets: ``train``, ``dev``, ``test``, ``CoRS_ALL``, ``CoSG_ALL``,
            ``CoSG_SEEN``, or the name of a list. By default those of the lists given, and without
            any, train, dev and test.
        allow_missing: leave clips out whose audio is not there (they are listed in ``missing``).
        balance: ``vq``, ``aux`` or ``dec`` to pair each original with one codec version, drawn so
            that the axis is balanced, in splits that have no list.
        seed: of that draw.

    Raises:
        DataError: a list or the audio cannot be used; one line that says what to do.
        UsageError: there is no such set, or a list given is for none of the sets asked for.
    """
    if balance not in (None, *TRAIN_LISTS):
        raise UsageError(f"--balance {balance}: not one of vq, aux, dec")
    try:
        clips = Clips(root)
    except OSError as error:
        raise DataError(f"{error.filename}: {error.strerror}") from error
    if not clips:
        raise DataError(absent_message(root))
    reader = _Reader(clips, [read_protocol(path) for path in protocols], balance, seed)
    names = _wanted(reader.given, splits)
    items = reader.unique(item for name in names for item in reader.items(name))
    reader.refuse_unused()
    present = tuple(item for item, there in items if there)
    missing = tuple(item for item, there in items if not there)
    if missing and not allow_missing:
        hint = _hint(root, present, missing)
        raise DataError(f"{missing_message(root, missing, len(items))}; {hint}")
    digest = _digest(item for item, _ in items)
    notes = tuple(reader.notes())
    lists = {path.name: sha256_of(path) for path in sorted(reader.used)}
    revision = _revision(root)
    return ItemTable(root, digest, present, missing, notes, bool(protocols), lists, revision)


def _wanted(given: Sequence[Protocol], splits: Sequence[str] | None) -> tuple[str, ...]:
    if splits is not None:
        return tuple(splits)
    return tuple(dict.fromkeys(map(role, given))) or SPLITS


def _hint(root: Path, present: Sequence[Item], missing: Sequence[Item]) -> str:
    absent = {item.subset for item in missing} - {item.subset for item in present}
    if absent == {"CoSG"} and (root / COSG_LABELS).is_file():
        return f"the release names these clips otherwise; --split {COSG_ALL} needs no list"
    if absent:
        return f"'codecsleuth data fetch codecfake+ --out {root}' gets them"
    return "--allow-missing goes on without them"


def _digest(items: Iterable[Item]) -> str:
    """Hash of the sets' clips and labels, whatever the format of their audio."""
    digest = hashlib.sha256()
    for item in items:
        words = (item.split, item.group, item.file.rpartition(".")[0], item.label)
        digest.update(f"{words} {item.vq} {item.aux} {item.dec}\n".encode())
    return digest.hexdigest()


def _revision(root: Path) -> str:
    """Commit of the release in the folder, as far as it was fetched by `codecsleuth data fetch`."""
    try:
        return str(json.loads((root / MARKER).read_text(encoding="utf-8"))["revision"])
    except (OSError, ValueError, KeyError, TypeError):
        return ""


@dataclass
class _Reader:
    """What is known of the folder while its sets are read."""

    clips: Clips
    given: Sequence[Protocol]
    balance: str | None
    seed: int
    used: set[Path] = field(default_factory=set)
    disagreements: Counter[str] = field(default_factory=Counter)
    unnamed: Counter[str] = field(default_factory=Counter)
    repeated: int = 0
    unpaired: int = 0
    remarks: list[str] = field(default_factory=list)

    def items(self, name: str) -> Iterator[tuple[Item, bool]]:
        """The clips of a set, and whether their audio is there."""
        for row in self._rows(name):
            yield self._item(name, row)

    def unique(self, items: Iterable[tuple[Item, bool]]) -> list[tuple[Item, bool]]:
        """Each clip once; whatever is said of a clip twice must agree."""
        first: dict[tuple[str, str], Item] = {}
        kept = []
        for item, there in items:
            known = first.setdefault((item.group, item.file), item)
            if known is item:
                kept.append((item, there))
            elif known.split != item.split:
                raise UsageError(f"{item.file}: in {known.split} and in {item.split}; choose one")
            elif any(getattr(known, one) != getattr(item, one) for one in _LABELS):
                raise DataError(f"{item.file}: lists of {item.split} contradict each other")
            else:
                self.repeated += 1
        return kept

    def notes(self) -> Iterator[str]:
        """What a user should know of how the clips were read."""
        yield from self.remarks
        if self.disagreements:
            total, named = sum(self.disagreements.values()), _first_names(self.disagreements)
            yield f"{total} clips: the list's classes differ from the catalogue's ({named}); " + (
                "the list is followed"
            )
        if self.unnamed:
            total, named = sum(self.unnamed.values()), _first_names(self.unnamed)
            yield f"{total} clips: not in the catalogue ({named}); what no list says is unknown"
        if self.repeated:
            yield f"{self.repeated} lines say again what an earlier line says"
        if self.unpaired:
            yield f"{self.unpaired} utterances without original or codec version are not drawn"

    def refuse_unused(self) -> None:
        """Refuse lists given that are for none of the sets read."""
        for protocol in self.given:
            if protocol.path not in self.used:
                raise UsageError(
                    f"--protocol {protocol.path}: a list of {role(protocol)}, not asked for here"
                )

    def _rows(self, name: str) -> list[Row]:
        """The clips of a set from the lists given, a list in the folder, or the clips' names."""
        own = [one for one in self.given if role(one) == name]
        if not own and name in SPLITS:
            # A list of another name holds clips of any split.
            own = [one for one in self.given if role(one) not in SETS]
        if own:
            rows = [row for one in own for row in self._taken(one)]
            dealt = name in SPLITS and all(role(one) != name for one in own)
            return [row for row in rows if not dealt or split_of(row) == name]
        if found := self._found(name):
            self.remarks.append(f"{name}: the list {found.path.name} in the folder is followed")
            return list(self._taken(found))
        return self._without_list(name)

    def _taken(self, protocol: Protocol) -> tuple[Row, ...]:
        if protocol.path not in self.used:
            self.repeated += protocol.repeated
        self.used.add(protocol.path)
        return protocol.rows

    def _found(self, name: str) -> Protocol | None:
        """The list of a set in the folder; the release's own labels come first for CoSG."""
        if name in (COSG_ALL, COSG_SEEN) and (self.clips.root / COSG_LABELS).is_file():
            return None
        if name == "train":
            axes = (self.balance,) if self.balance else tuple(TRAIN_LISTS)
            names = [file for axis in axes for file in TRAIN_LISTS[axis]]
        else:
            names = [f"{name}_mult_learn.txt" if name in SPLITS else f"{name}.txt"]
        paths = (self.clips.root / one for one in names)
        return next((read_protocol(path) for path in paths if path.is_file()), None)

    def _without_list(self, name: str) -> list[Row]:
        if name not in SETS:
            raise UsageError(f"--split {name}: no such set; there are: {', '.join(SETS)}")
        if name in (COSG_ALL, COSG_SEEN):
            left_out = UNSEEN_SYSTEMS if name == COSG_SEEN else ()
            return [row for row in self._cosg(name) if row.owner not in left_out]
        rows = self._cors["test" if name == CORS_ALL else name]
        if not rows:
            root = self.clips.root
            raise DataError(
                f"{root}: no clips of {name}, by their speakers; "
                f"'codecsleuth data fetch codecfake+ --out {root}' gets CoRS"
            )
        if name == CORS_ALL:
            return [row for row in rows if not row.stem.endswith(f"_{NOT_IN_CORS_ALL}")]
        return self._drawn(name, rows) if self.balance else rows

    def _cosg(self, name: str) -> tuple[Row, ...]:
        path = self.clips.root / COSG_LABELS
        if not path.is_file():
            raise DataError(
                f"{self.clips.root}: no {COSG_LABELS} or {name}.txt, and the names of CoSG clips "
                "do not say which are bona fide; --protocol FILE names the list"
            )
        return self._taken(read_protocol(path))

    @cached_property
    def _cors(self) -> dict[str | None, list[Row]]:
        """All CoRS clips by split, from the release's labels, or else from the clips' names."""
        path = self.clips.root / CORS_LABELS
        rows = self._taken(read_protocol(path)) if path.is_file() else _named_rows(self.clips)
        by_split: dict[str | None, list[Row]] = defaultdict(list)
        for row in rows:
            by_split[split_of(row)].append(row)
        return by_split

    def _drawn(self, name: str, rows: list[Row]) -> list[Row]:
        drawn, left_out = draw(rows, str(self.balance), [self.seed, SPLITS.index(name)])
        self.unpaired += left_out
        self.remarks.append(
            f"{name}: no list; {len(drawn) // 2} pairs drawn, balanced over "
            f"{str(self.balance).upper()} with seed {self.seed}"
        )
        return drawn

    def _item(self, split: str, row: Row) -> tuple[Item, bool]:
        clip = row.clip
        system, codec = ("", clip.codec) if clip else (row.owner, "")
        found = self.clips.find(system, row.stem, codec)
        file = _text(self.clips.root, found or self.clips.expected(system, row.stem))
        vq, aux, dec = self._classes(row, codec or system)
        coded = row.label == SPOOF
        item = Item(
            row=row.number,
            file=file,
            path=self.clips.root / file,
            split=split,
            label=row.label,
            vq=vq,
            aux=aux,
            dec=dec,
            codec=catalogue_classes(codec)[0] if codec and coded else "",
            variant=RIGHT_SPELLING.get(codec, codec) if coded else "",
            kind=("resynthesis" if clip else "generation") if coded else "original",
            group=clip.utterance if clip else f"{row.owner}/{row.stem}",
            source="VCTK" if clip else row.owner,
            subset="CoRS" if clip else "CoSG",
            system=system,
            speaker=clip.speaker if clip else "",
        )
        return item, found is not None

    def _classes(self, row: Row, name: str) -> Classes:
        """The list's classes; where it does not say, the catalogue's."""
        if row.label == BONA_FIDE:
            return row.classes
        if catalogue_classes(name)[1] is None:
            self.unnamed[name] += 1
        classes, differ = _merged(row.classes, name)
        if differ:
            self.disagreements[name] += 1
        return classes


def _text(root: Path, file: str) -> str:
    """The name as it is, which lists, scores and JSON must be able to hold.

    Raises:
        DataError: it cannot be written as UTF-8.
    """
    try:
        file.encode()
    except UnicodeEncodeError as error:
        raise DataError(f"{root / file}: the name is not UTF-8 text; rename the file") from error
    return file


@cache
def _merged(stated: Classes, name: str) -> tuple[Classes, bool]:
    """A list's classes, filled in from the catalogue, and whether the two differ anywhere."""
    known = catalogue_classes(name)[1] or UNKNOWN
    differ = any(a and b and a != b for a, b in zip(stated, known, strict=True))
    vq, aux, dec = (a or b for a, b in zip(stated, known, strict=True))
    return (vq, aux, dec), differ


def _named_rows(clips: Clips) -> Iterator[Row]:
    for number, (system, stem) in enumerate(clips, 1):
        clip = None if system else parse_clip(stem)
        if clip:
            label = SPOOF if clip.codec else BONA_FIDE
            classes: Classes = UNKNOWN if clip.codec else ("Real", "Real", "Real")
            yield Row(number, clip.speaker, stem, label, classes)


def _first_names(counts: Counter[str]) -> str:
    names = sorted(counts)
    return ", ".join(names[:_NAMED]) + (", ..." if len(names) > _NAMED else "")
