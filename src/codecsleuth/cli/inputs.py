"""Which recordings a command is to look at, and which parts of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Final

from codecsleuth.errors import AudioError, UsageError

if TYPE_CHECKING:
    from codecsleuth.audio.facts import Excerpt
    from codecsleuth.audio.files import FileWalk, Shard
    from codecsleuth.inference.engine import Input

MIX: Final = "mix"
EACH: Final = "each"


@dataclass(frozen=True)
class Selection:
    """Recordings, and the part of each that is meant.

    Attributes:
        paths: as given.
        files_from: a list of further paths; None for no list.
        shard: which share of the files is meant.
        excerpt: which part of each recording.
        each_channel: whether every channel is a recording of its own.
        offline: whether URLs are refused.
    """

    paths: tuple[str, ...]
    files_from: str | None
    shard: Shard
    excerpt: Excerpt
    each_channel: bool = False
    offline: bool = False

    def check(self) -> None:
        """Look for what does not go together.

        Raises:
            UsageError: something does not.
        """
        from codecsleuth.audio.source import STDIN

        if not self.paths and self.files_from is None:
            raise UsageError("no files; give paths or --files-from")
        if self.files_from not in (None, STDIN) and not Path(str(self.files_from)).exists():
            raise UsageError(f"--files-from {self.files_from}: no such file")
        given = [*self.paths, *([self.files_from] if self.files_from else [])].count(STDIN)
        if given > 1:
            raise UsageError("-: standard input can be read once")
        if self.each_channel and STDIN in self.paths:
            raise UsageError("--channel each reads more than once, standard input cannot be")

    def walk(self, own: frozenset[str]) -> FileWalk:
        """The files, found as they are asked for.

        Args:
            own: real paths of files that the command writes.
        """
        from codecsleuth.audio.files import FileWalk, listed_paths

        listed = listed_paths(self.files_from) if self.files_from is not None else ()
        return FileWalk(chain(self.paths, listed), self.shard, own)

    def folders(self) -> bool:
        """Whether a folder is among the paths given."""
        from codecsleuth.audio.files import is_folder

        return any(map(is_folder, self.paths))

    def total(self) -> int | None:
        """How many recordings there are, where that is known before they are looked for."""
        listed = self.files_from is not None or self.shard.of > 1
        unknown = listed or self.each_channel or self.folders()
        return None if unknown else len(self.paths)

    def inputs(self, walk: FileWalk, check: Callable[[str], None]) -> Iterator[Input]:
        """What an engine is given.

        Args:
            walk: the files.
            check: is called with each path, and raises if the path must not be read.
        """
        from codecsleuth.audio.source import is_url
        from codecsleuth.inference.engine import Input

        for path, problem in walk:
            check(path)
            if self.offline and is_url(path):
                problem = AudioError("offline", "a URL, which is not read with --offline")
            if self.each_channel and problem is None:
                yield from self._channels(path)
            else:
                yield Input(path, self.excerpt, problem)

    def _channels(self, path: str) -> Iterator[Input]:
        from codecsleuth.audio.recording import open_recording
        from codecsleuth.inference.engine import Input

        try:
            with open_recording(path, self.excerpt) as recording:
                channels = recording.stream.channels
        except AudioError as error:
            yield Input(path, self.excerpt, error)
            return
        for channel in range(1, channels + 1):
            yield Input(path, replace(self.excerpt, channel=channel))


def make_excerpt(
    start: float | None, end: float | None, channel: str, track: int
) -> tuple[Excerpt, bool]:
    """The part of each recording that is meant, and whether every channel is one of its own.

    Args:
        start: where it begins, in seconds.
        end: where it ends, in seconds.
        channel: ``mix``, ``each`` or a number.
        track: number of the audio track.

    Raises:
        UsageError: there can be no such part.
    """
    from codecsleuth.audio.facts import Excerpt

    if channel not in (MIX, EACH) and not channel.isdecimal():
        raise UsageError(f"--channel {channel}: give mix, each, or a number from 1")
    number = int(channel) if channel.isdecimal() else None
    return Excerpt(start or 0.0, end, number, track), channel == EACH
