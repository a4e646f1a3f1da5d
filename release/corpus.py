"""Rebuild the training corpus from the public repositories it was cut from.

    python release/corpus.py OUT [--mirror DIR]

`release/clips.csv.xz` names each clip: repository, commit, path, start and duration in seconds, its
labels, and the MD5 of its 16-bit samples. This command finds each repository below DIR (OWNER+NAME,
with a git directory in it) or fetches what is needed of it from GitHub into DIR, cuts the clips,
brings them to 16 kHz mono and writes OUT/items.csv and 16-bit FLAC files beside it, which
`codecsleuth train` and `codecsleuth evaluate` take. A clip that is there is not cut again, so that
an interrupted run goes on, and a clip that cannot be cut is reported and left out.

Clips marked `made` in the table were made by running a codec on other clips; they cannot be cut and
are left out. So are those marked `silent`, in which nothing is heard. Needs git and the package's
own dependencies; about 1 GB for OUT.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import io
import lzma
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from itertools import groupby
from pathlib import Path
from typing import IO, Any, Final, cast

import av
import numpy as np
import soundfile
import soxr
from numpy.typing import NDArray

TABLE: Final = Path(__file__).with_name("clips.csv.xz")
SAMPLE_RATE: Final = 16_000
Pcm = NDArray[np.int16]
Waveform = NDArray[np.float32]


class ClipError(Exception):
    """A clip that cannot be cut; says why."""


@dataclass(frozen=True)
class Clip:
    """A row of the table, the labels among ``row``."""

    row: dict[str, str]

    @property
    def file(self) -> str:
        """Path below OUT."""
        return self.row["file"]

    @property
    def source(self) -> str:
        """Repository, ``owner/name``."""
        return self.row["source"]

    @property
    def span(self) -> slice:
        """Samples at 16 kHz."""
        start = round(float(self.row["start_s"]) * SAMPLE_RATE)
        return slice(start, start + round(float(self.row["duration_s"]) * SAMPLE_RATE))

    @property
    def made(self) -> bool:
        """Made by a codec here, not cut from a repository."""
        return self.row["how"] == "made"

    @property
    def is_cut(self) -> bool:
        """Cut from a repository, and with something to hear in it."""
        return self.row["how"] == "cut"


@dataclass(frozen=True)
class Outcome:
    """What became of a clip: ``same``, ``differs`` from its MD5, or not there, and why."""

    clip: Clip
    state: str
    reason: str = ""


def read_table(path: Path = TABLE) -> list[Clip]:
    """All clips, in the order of the corpus."""
    with lzma.open(path, "rt", encoding="utf-8", newline="") as file:
        return [Clip(row) for row in csv.DictReader(file)]


# Repositories


def git(folder: Path, *words: str, stdin: str | None = None) -> str:
    """Run git on a git directory.

    Raises:
        ClipError: git fails; with the last line of what it said.
    """
    command = ["git", "--git-dir", str(folder), *words]
    # A repository that is gone would make git ask for a password.
    quiet = os.environ | {"GIT_TERMINAL_PROMPT": "0"}
    done = subprocess.run(
        command, input=stdin, capture_output=True, text=True, check=False, env=quiet
    )
    if done.returncode:
        raise ClipError((done.stderr.strip().splitlines() or ["git failed"])[-1])
    return done.stdout


def repository(mirror: Path, source: str, commit: str, paths: Iterable[str]) -> Path:
    """The git directory of a source; fetched if it is not below the mirror.

    Raises:
        ClipError: it cannot be fetched.
    """
    home = mirror / source.replace("/", "+")
    for folder in (home, home / ".git", *sorted(home.glob("*")), *sorted(home.glob("*/.git"))):
        if (folder / "objects").is_dir() and not (folder / "unfinished").exists():
            return folder
    fetch(home, f"https://github.com/{source}", commit, paths)
    return home


def fetch(home: Path, url: str, commit: str, paths: Iterable[str]) -> None:
    """Fetch one commit without its history, and of its files only those named.

    Raises:
        ClipError: git fails.
    """
    home.mkdir(parents=True, exist_ok=True)
    (home / "unfinished").touch()
    git(home, "init", "--quiet", "--bare")
    settings = {"url": url, "promisor": "true", "partialclonefilter": "blob:none"}
    for name, value in settings.items():
        git(home, "config", f"remote.origin.{name}", value)
    git(home, "fetch", "--quiet", "--depth=1", "--filter=blob:none", "origin", commit)
    listed = git(home, "ls-tree", "-r", "-z", commit).split("\0")
    objects = {path: line.split()[2] for line, path in (x.split("\t", 1) for x in listed if x)}
    wanted = sorted({objects[path] for path in paths if path in objects})
    # One request for all of them; `cat-file` would ask for each by itself.
    options = ("--quiet", "--no-tags", "--no-write-fetch-head", "--filter=blob:none", "--stdin")
    negotiation = ("-c", "fetch.negotiationAlgorithm=noop")
    git(home, *negotiation, "fetch", *options, "origin", stdin="\n".join(wanted) + "\n")
    (home / "unfinished").unlink()


class Blobs:
    """Files of a repository, read through one `git cat-file` process."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self._process = process

    def read(self, commit: str, path: str) -> bytes:
        """A file at the commit or, where a mirror has another one only, at its HEAD.

        Raises:
            ClipError: it is in neither.
        """
        for revision in (commit, "HEAD"):
            content = self._ask(f"{revision}:{path}")
            if content is not None:
                return content
        raise ClipError("not in the repository")

    def _ask(self, name: str) -> bytes | None:
        inlet, outlet = cast(IO[bytes], self._process.stdin), cast(IO[bytes], self._process.stdout)
        inlet.write(f"{name}\n".encode())
        inlet.flush()
        answer = outlet.readline().split()
        if not answer:
            raise ClipError("git ended")
        if len(answer) < 3 or answer[-2] not in (b"blob", b"tree", b"commit"):
            return None
        content = outlet.read(int(answer[-1]) + 1)[:-1]
        return content if answer[-2] == b"blob" else None


@contextmanager
def open_blobs(folder: Path) -> Iterator[Blobs]:
    """Read files of a git directory."""
    command = ["git", "--git-dir", str(folder), "cat-file", "--batch"]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=subprocess.DEVNULL) as process:
        try:
            yield Blobs(process)
        finally:
            cast(IO[bytes], process.stdin).close()
            process.terminate()


# Sound


def decode(content: bytes) -> tuple[Waveform, int]:
    """An audio file as mono float32 ``(samples,)`` and its sampling rate.

    Raises:
        ClipError: neither libsndfile nor FFmpeg can read it.
    """
    try:
        channels, rate = soundfile.read(io.BytesIO(content), dtype="float32", always_2d=True)
        return channels.mean(axis=1), rate
    except soundfile.LibsndfileError:
        pass
    try:
        with av.open(io.BytesIO(content), "r") as container:
            stream = container.streams.audio[0]
            parts = [_mono(frame) for frame in container.decode(stream)]
            return np.concatenate(parts), stream.rate
    except (av.FFmpegError, IndexError, ValueError) as error:
        raise ClipError(f"cannot be decoded: {error}") from error


def _mono(frame: Any) -> Waveform:
    values = frame.to_ndarray()
    channels = (
        values if frame.format.is_planar else values.reshape(-1, len(frame.layout.channels)).T
    )
    if values.dtype.kind == "u":
        channels = channels.astype(np.float32) - 128
    scale = 1.0 if values.dtype.kind == "f" else 2.0 ** (8 * values.dtype.itemsize - 1)
    return cast(Waveform, (channels.astype(np.float32) / np.float32(scale)).mean(axis=0))


def cut(waveform: Waveform, rate: int, span: slice) -> list[Pcm]:
    """The clip's samples in the ways of rounding that were used; the first one is the usual one."""
    if rate != SAMPLE_RATE:
        waveform = soxr.resample(waveform, rate, SAMPLE_RATE, "HQ")
    piece = np.clip(waveform, -1.0, 1.0)[span]
    if not len(piece):
        raise ClipError("ends before the clip starts")
    whole = np.clip(np.round(piece * 32768), -32768, 32767)
    return [values.astype(np.int16) for values in (piece * 32767, np.round(piece * 32767), whole)]


def md5(samples: Pcm) -> str:
    """Hash of 16-bit little-endian samples."""
    return hashlib.md5(samples.astype("<i2").tobytes(), usedforsecurity=False).hexdigest()


def write(path: Path, samples: Pcm) -> None:
    """Write FLAC, whole or not at all."""
    unfinished = path.with_suffix(".partial")
    soundfile.write(unfinished, samples, SAMPLE_RATE, format="FLAC", subtype="PCM_16")
    unfinished.replace(path)


# Clips


def build_source(clips: list[Clip], out: Path, mirror: Path) -> list[Outcome]:
    """Cut what is missing of one repository's clips."""
    there = [judge_file(clip, out) for clip in clips if (out / clip.file).is_file()]
    to_cut = [clip for clip in clips if not (out / clip.file).is_file()]
    outcomes: list[Outcome] = []
    try:
        if to_cut:
            paths = [clip.row["path"] for clip in to_cut]
            folder = repository(mirror, to_cut[0].source, to_cut[0].row["commit"], paths)
            with open_blobs(folder) as blobs:
                outcomes += [cut_clip(clip, blobs, out) for clip in to_cut]
    except (ClipError, OSError) as error:
        done = {outcome.clip.file for outcome in outcomes}
        outcomes += [Outcome(c, "missing", str(error)) for c in to_cut if c.file not in done]
    return there + outcomes


def judge_file(clip: Clip, out: Path) -> Outcome:
    """Hold a clip that is there to its hash; one that is broken is removed, to be cut next time."""
    try:
        samples = soundfile.read(out / clip.file, dtype="int16")[0]
    except soundfile.LibsndfileError as error:
        (out / clip.file).unlink()
        return Outcome(clip, "missing", f"{error}; removed")
    return Outcome(clip, "same" if md5(samples) == clip.row["md5"] else "differs")


def cut_clip(clip: Clip, blobs: Blobs, out: Path) -> Outcome:
    """Cut one clip; whatever goes wrong becomes its outcome."""
    try:
        waveform, rate = decode(blobs.read(clip.row["commit"], clip.row["path"]))
        variants = cut(waveform, rate, clip.span)
        same = [samples for samples in variants if md5(samples) == clip.row["md5"]]
        write(out / clip.file, (same or variants)[0])
        return Outcome(clip, "same" if same else "differs")
    except (ClipError, OSError, ValueError, MemoryError, soundfile.LibsndfileError) as error:
        return Outcome(clip, "missing", f"{clip.row['path']}: {error}")


def build(clips: list[Clip], out: Path, mirror: Path, workers: int) -> list[Outcome]:
    """Cut all clips that can be cut, source by source, and write OUT/items.csv."""
    cuttable = sorted((clip for clip in clips if clip.is_cut), key=lambda clip: clip.source)
    for folder in {(out / clip.file).parent for clip in cuttable}:
        folder.mkdir(parents=True, exist_ok=True)
    sources = [list(group) for _, group in groupby(cuttable, key=lambda clip: clip.source)]
    outcomes: list[Outcome] = []
    with ProcessPoolExecutor(workers) as pool:
        for number, part in enumerate(
            pool.map(partial(build_source, out=out, mirror=mirror), sources), 1
        ):
            outcomes += part
            print(f"\r{number}/{len(sources)} sources", end="", file=sys.stderr, flush=True)
    print(file=sys.stderr)
    write_items(clips, outcomes, out)
    return outcomes


def write_items(clips: list[Clip], outcomes: list[Outcome], out: Path) -> None:
    """The table of the clips that are there, in the order of the corpus."""
    there = {outcome.clip.file for outcome in outcomes if outcome.state != "missing"}
    with (out / "items.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(clips[0].row), lineterminator="\n")
        writer.writeheader()
        writer.writerows(clip.row for clip in clips if clip.file in there)


def report(clips: list[Clip], outcomes: list[Outcome]) -> str:
    """What is there, what differs, what is missing and why."""
    states = Counter(outcome.state for outcome in outcomes)
    made = Counter(clip.row["codec"] for clip in clips if clip.made)
    lines = [
        f"{states['same'] + states['differs']} of {len(clips)} clips are there, "
        f"{states['differs']} of which differ from their hash (decoders round differently)."
    ]
    lines += [
        f"{count} clips of {codec} are made, not cut; left out." for codec, count in made.items()
    ]
    missing = [outcome for outcome in outcomes if outcome.state == "missing"]
    lines += [f"{len(missing)} clips are missing:"] if missing else []
    by_source = Counter(outcome.clip.source for outcome in missing)
    for source, count in by_source.most_common():
        reason = next(outcome.reason for outcome in missing if outcome.clip.source == source)
        lines.append(f"  {source} ({count}): {reason}")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("out", type=Path, metavar="OUT")
    parser.add_argument("--mirror", type=Path, default=Path("mirror"), metavar="DIR")
    parser.add_argument("--source", action="append", help="only this repository, owner/name")
    parser.add_argument("--workers", type=int, default=2)
    options = parser.parse_args()
    clips = read_table()
    if options.source:
        clips = [clip for clip in clips if clip.source in options.source]
    if not clips:
        parser.error("no clips of these sources are in the table")
    outcomes = build(clips, options.out, options.mirror, options.workers)
    print(report(clips, outcomes))


if __name__ == "__main__":
    main()
