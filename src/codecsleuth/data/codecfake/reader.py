"""CodecFake+ (Chen et al., arXiv 2501.08238) as labelled clips: lists, splits, balanced draws.

Two layouts are read, each with clips as ``.wav`` or ``.flac``: the authors' own folders
(``all_data_16k``, ``SLMdemos_16k/SYSTEM``), and the Hugging Face release as it is unpacked
(``Codecfake_plus_CoRS``, ``CoSG`` and two label files). A set of clips is what its list says; where
there is no list, it is what the clips' names, the catalogue and the paper's speaker split say.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache, cached_property
from pathlib import Path
from typing import Final, TypeVar

import numpy as np

from codecsleuth.data.codecfake.clips import AUDIO_FOLDERS, RIGHT_SPELLING, Clips
from codecsleuth.data.codecfake.protocols import (
    UNKNOWN,
    Classes,
    Protocol,
    Row,
    is_speaker,
    parse_clip,
    read_protocol,
)
from codecsleuth.data.items import BONA_FIDE, SPLITS, SPOOF, Item, ItemTable, missing_message
from codecsleuth.errors import DataError, UsageError
from codecsleuth.taxonomy import AXES, CLASSES, find_entries

REPOSITORY: Final = "CodecFake/CodecFake_Plus_Dataset"
#: Of the release; its four parts of CoRS are 25.05 GB each.
GIGABYTES: Final = 101
FOLDER: Final = "CodecFake+"
CORS_LABELS: Final = "CoRS_labels.txt"
COSG_LABELS: Final = "CoSG_labels.txt"
#: What `codecsleuth data fetch` notes in the folder.
MARKER: Final = ".codecfake-plus.json"
#: The release's files by subset; an archive's parts in order.
LABEL_FILES: Final = {"CoRS": CORS_LABELS, "CoSG": COSG_LABELS}
ARCHIVES: Final = {
    "CoRS": tuple(f"Codecfake_plus_CoRS.part{number}" for number in range(4)),
    "CoSG": ("CodecFake_plus_CoSG.tar.xz",),
}

#: Speakers of the paper's splits; all others are of train.
SPEAKERS: Final = {"dev": ("p226", "p229"), "test": ("p227", "p228")}
CORS_ALL: Final = "CoRS_ALL"
COSG_ALL: Final = "CoSG_ALL"
COSG_SEEN: Final = "CoSG_SEEN"
SETS: Final = (*SPLITS, CORS_ALL, COSG_ALL, COSG_SEEN)
#: Not in the authors' CoRS_ALL, though in their other lists.
NOT_IN_CORS_ALL: Final = "Encodec_24b24k"
#: Systems that CoSG_SEEN is without.
UNSEEN_SYSTEMS: Final = ("MASKGCT", "NS2", "SINGLECODEC")

#: The training lists by the axis that they balance, the authors' own names first.
_TRAIN_LISTS: Final = {
    "aux": ("train_mult_learn_bal_aux.txt", "train_mult_learn.txt"),
    "vq": ("train_mult_learn_bal_vq.txt",),
    "dec": ("train_mult_learn_bal_dec.txt",),
}
_MARKS: Final = (
    *(*AUDIO_FOLDERS, *LABEL_FILES.values(), *ARCHIVES["CoRS"], *ARCHIVES["CoSG"]),
    *(name for names in _TRAIN_LISTS.values() for name in names),
    *("dev_mult_learn.txt", "test_mult_learn.txt"),
    *(f"{name}.txt" for name in (CORS_ALL, COSG_ALL, COSG_SEEN)),
)
_LABELS: Final = ("label", "vq", "aux", "dec")
_NAMED: Final = 3

T = TypeVar("T")


def find_codecfake(folder: Path) -> Path | None:
    """The folder with the audio, labels or lists: the one given, or a folder in it or around it."""
    if folder.name in AUDIO_FOLDERS and folder.is_dir():
        return folder.parent
    try:
        with os.scandir(folder) as entries:
            inner = sorted(folder / entry.name for entry in entries if entry.is_dir())
    except OSError:
        return None
    marked = (one for one in (folder, *inner) if any((one / mark).exists() for mark in _MARKS))
    return next(marked, None)


def absent_message(folder: Path) -> str:
    """What to say where there is no audio of CodecFake+."""
    return (
        f"{folder}: no audio of CodecFake+ here; 'codecsleuth data fetch codecfake+ --out "
        f"{folder}' gets it from {REPOSITORY} on the Hugging Face hub (about {GIGABYTES} GB)"
    )


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
    if balance not in (None, *_TRAIN_LISTS):
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
    lists = {path.name: _file_digest(path) for path in sorted(reader.used)}
    revision = _revision(root)
    return ItemTable(root, digest, present, missing, notes, bool(protocols), lists, revision)


def _wanted(given: Sequence[Protocol], splits: Sequence[str] | None) -> tuple[str, ...]:
    if splits is not None:
        return tuple(splits)
    return tuple(dict.fromkeys(map(role, given))) or SPLITS


def role(protocol: Protocol) -> str:
    """The set that a list is of: the split that its name begins with, or else its name."""
    match = re.match(r"(train|dev|test)(?![a-z])", protocol.path.stem)
    return match[1] if match else protocol.path.stem


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


def _file_digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


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
    told: list[str] = field(default_factory=list)

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
        yield from self.told
        if self.disagreements:
            total, named = sum(self.disagreements.values()), _listed(self.disagreements)
            yield f"{total} clips: the list's classes differ from the catalogue's ({named}); " + (
                "the list is followed"
            )
        if self.unnamed:
            total, named = sum(self.unnamed.values()), _listed(self.unnamed)
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
            self.told.append(f"{name}: the list {found.path.name} in the folder is followed")
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
            axes = (self.balance,) if self.balance else tuple(_TRAIN_LISTS)
            names = [file for axis in axes for file in _TRAIN_LISTS[axis]]
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
        self.told.append(
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
            codec=_entry(codec)[0] if codec and coded else "",
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
        if _entry(name)[1] is None:
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
    known = _entry(name)[1] or UNKNOWN
    differ = any(a and b and a != b for a, b in zip(stated, known, strict=True))
    vq, aux, dec = (a or b for a, b in zip(stated, known, strict=True))
    return (vq, aux, dec), differ


@cache
def _entry(name: str) -> tuple[str, Classes | None]:
    """Name and classes in the catalogue; the name itself and None if it is not there."""
    entries = find_entries(name)
    if len(entries) != 1:
        return name, None
    return entries[0].name, (entries[0].vq, entries[0].aux, entries[0].dec)


def split_of(row: Row) -> str | None:
    """The paper's split of a clip, by its speaker; None for a CoSG clip."""
    return _split_of_speaker(row.owner)


@cache
def _split_of_speaker(name: str) -> str | None:
    if not is_speaker(name):
        return None
    return next((split for split, own in SPEAKERS.items() if name in own), "train")


def _named_rows(clips: Clips) -> Iterator[Row]:
    for number, (system, stem) in enumerate(clips, 1):
        clip = None if system else parse_clip(stem)
        if clip:
            label = SPOOF if clip.codec else BONA_FIDE
            classes: Classes = UNKNOWN if clip.codec else ("Real", "Real", "Real")
            yield Row(number, clip.speaker, stem, label, classes)


def draw(rows: Iterable[Row], balance: str, seed: int | Sequence[int]) -> tuple[list[Row], int]:
    """Pair each original with one of its codec versions, all classes of an axis equally often.

    Utterances are taken in random order, those with the fewest classes to choose from first; each
    gets the class that is behind, and one of its versions of that class at random. So where all
    versions are there, the classes' counts differ by one at most, as in the paper's lists.

    Args:
        rows: CoRS clips.
        balance: ``vq``, ``aux`` or ``dec``.
        seed: of the draw.

    Returns:
        Original, version, original, version, ..., sorted by utterance; and how many utterances are
        left out, having no original or no version of known class.
    """
    originals: dict[str, Row] = {}
    versions: dict[str, dict[str, list[Row]]] = defaultdict(lambda: defaultdict(list))
    axis = [one.lower() for one in AXES].index(balance)
    for row in rows:
        clip = row.clip
        if clip is None:
            continue
        if row.label == BONA_FIDE:
            originals[clip.utterance] = row
            continue
        known = _entry(clip.codec)[1] or UNKNOWN
        if name := row.classes[axis] or known[axis]:
            versions[clip.utterance][name].append(row)
    utterances = sorted(originals.keys() & versions.keys())
    rng = np.random.default_rng(seed)
    order = [utterances[place] for place in rng.permutation(len(utterances))]
    taken = Counter(dict.fromkeys(CLASSES[balance.upper()], 0))
    drawn: dict[str, Row] = {}
    for utterance in sorted(order, key=lambda utterance: len(versions[utterance])):
        choices = versions[utterance]
        fewest = min(taken[name] for name in choices)
        name = _any(sorted(name for name in choices if taken[name] == fewest), rng)
        taken[name] += 1
        drawn[utterance] = _any(sorted(choices[name], key=lambda row: row.stem), rng)
    left_out = len(originals.keys() | versions.keys()) - len(utterances)
    return [row for one in utterances for row in (originals[one], drawn[one])], left_out


def _any(choices: Sequence[T], rng: np.random.Generator) -> T:
    return choices[int(rng.integers(len(choices)))]


def _listed(counts: Counter[str]) -> str:
    names = sorted(counts)
    return ", ".join(names[:_NAMED]) + (", ..." if len(names) > _NAMED else "")
