"""Reading CodecFake+: a training list and its clips, as a ratio to asking for file after file.

    python benchmarks/data.py [--utterances N] [--json FILE]

Makes the empty files of a training set of the paper's size (42,965 originals and one codec version
of each, .wav and .flac mixed), and reads its list with `codecsleuth.data.read_data`, as it is, and
with the one look into each folder replaced by a look for each file. Exits with 1 if a target is
missed.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path
from unittest import mock

from timing import Figure, in_turns, report

from codecsleuth.data import read_data
from codecsleuth.data.codecfake import reader
from codecsleuth.data.codecfake.clips import SUFFIXES, Clips

UTTERANCES = 42_965
REPEATS = 5
LIST = "train_mult_learn.txt"
CODECS = {
    "vocos_encodec_6": "Trad FREQ MVQ",
    "xcodec_hubert_libirispeech": "SEM TIME MVQ",
    "ticodec_1g1r": "Disent TIME SVQ",
}


def main() -> int:
    arguments = _arguments()
    with tempfile.TemporaryDirectory() as scratch:
        folder = _folder(Path(scratch), arguments.utterances)
        rows = 2 * arguments.utterances
        jobs = {"own": lambda: _read(folder, rows), "asking": lambda: _read_asking(folder, rows)}
        times = in_turns(jobs, REPEATS)
    figures = [
        Figure(f"{rows} rows read and their files found", times["own"], "s", 5.0),
        Figure(
            "asking for every file takes", times["asking"] / times["own"], "x", 1.2, at_least=True
        ),
    ]
    return report(figures, arguments.json)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", type=Path, help="write the figures there too")
    parser.add_argument("--utterances", type=int, default=UTTERANCES, help="pairs in the list")
    return parser.parse_args()


def _folder(folder: Path, utterances: int) -> Path:
    clips = folder / "all_data_16k"
    clips.mkdir()
    lines = []
    for number in range(utterances):
        speaker = f"p{300 + number // 400}"
        stem = f"{speaker}_{number % 400:03}"
        codec = list(CODECS)[number % len(CODECS)]
        lines.append(f"{speaker} {stem} - REAL REAL REAL bonafide\n")
        lines.append(f"{speaker} {stem}_{codec} - {CODECS[codec]} spoof\n")
        (clips / f"{stem}.wav").touch()
        (clips / f"{stem}_{codec}.{('wav', 'flac')[number % 2]}").touch()
    (folder / LIST).write_text("".join(lines))
    return folder


class _Asking(Clips):
    """Looks for every clip by itself."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def __len__(self) -> int:
        return 1

    def find(self, system: str, stem: str, codec: str = "") -> str | None:
        del system, codec
        names = (f"all_data_16k/{stem}{suffix}" for suffix in SUFFIXES)
        return next((name for name in names if (self.root / name).is_file()), None)


def _read(folder: Path, rows: int) -> None:
    assert len(read_data(folder, splits=["train"])) == rows


def _read_asking(folder: Path, rows: int) -> None:
    with mock.patch.object(reader, "Clips", _Asking):
        _read(folder, rows)


if __name__ == "__main__":
    sys.exit(main())
