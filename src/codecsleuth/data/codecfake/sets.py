"""The sets of clips of CodecFake+: what the release holds, which sets and lists there are."""

from __future__ import annotations

import os
import re
from functools import cache
from pathlib import Path
from typing import Final

from codecsleuth.data.codecfake.clips import AUDIO_FOLDERS
from codecsleuth.data.codecfake.protocols import Protocol, Row, is_speaker
from codecsleuth.data.items import SPLITS

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
TRAIN_LISTS: Final = {
    "aux": ("train_mult_learn_bal_aux.txt", "train_mult_learn.txt"),
    "vq": ("train_mult_learn_bal_vq.txt",),
    "dec": ("train_mult_learn_bal_dec.txt",),
}
_MARKS: Final = (
    *(*AUDIO_FOLDERS, *LABEL_FILES.values(), *ARCHIVES["CoRS"], *ARCHIVES["CoSG"]),
    *(name for names in TRAIN_LISTS.values() for name in names),
    *("dev_mult_learn.txt", "test_mult_learn.txt"),
    *(f"{name}.txt" for name in (CORS_ALL, COSG_ALL, COSG_SEEN)),
)


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


def role(protocol: Protocol) -> str:
    """The set that a list is of: the split that its name begins with, or else its name."""
    match = re.match(r"(train|dev|test)(?![a-z])", protocol.path.stem)
    return match[1] if match else protocol.path.stem


def split_of(row: Row) -> str | None:
    """The paper's split of a clip, by its speaker; None for a CoSG clip."""
    return _split_of_speaker(row.owner)


@cache
def _split_of_speaker(name: str) -> str | None:
    if not is_speaker(name):
        return None
    return next((split for split, own in SPEAKERS.items() if name in own), "train")
