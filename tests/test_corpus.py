"""The recipe of the training corpus: a sound table, and clips cut from a git repository."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from collections import Counter
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import soundfile

from conftest import ROOT, speech_like

COMMIT = ("-c", "user.name=a", "-c", "user.email=a@b.c", "commit", "-q", "-m", "speech")


@pytest.fixture(scope="module")
def corpus() -> ModuleType:
    spec = importlib.util.spec_from_file_location("corpus", ROOT / "release" / "corpus.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["corpus"] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def mirror(tmp_path: Path) -> tuple[Path, str]:
    """A mirror with one repository of one recording, and its commit."""
    folder = tmp_path / "mirror" / "someone+speech"
    folder.mkdir(parents=True)
    soundfile.write(folder / "a b.wav", speech_like(2.0, 24_000), 24_000)
    for words in (["init", "-q"], ["add", "."], COMMIT):
        subprocess.run(["git", *words], cwd=folder, check=True)
    head = subprocess.run(["git", "rev-parse", "HEAD"], cwd=folder, check=True, capture_output=True)
    return folder.parent, head.stdout.decode().strip()


def test_the_table_names_every_clip_once(corpus: ModuleType) -> None:
    clips = corpus.read_table()
    assert len({clip.file for clip in clips}) == len(clips) == 19_508
    assert len({clip.source for clip in clips}) == 385
    assert set(Counter(clip.row["label"] for clip in clips)) == {
        *("bonafide", "spoof", "vocoder", "neural")
    }
    assert all(len(clip.row["md5"]) == 32 and clip.span.start >= 0 for clip in clips)


def test_clips_are_cut_and_what_is_missing_is_said(
    corpus: ModuleType, mirror: tuple[Path, str], tmp_path: Path
) -> None:
    folder, commit = mirror
    template = corpus.read_table()[0].row | {"source": "someone/speech", "commit": commit}
    template |= {"path": "a b.wav", "start_s": "0.5", "duration_s": "1.0"}
    made = template | {"file": "more/3.flac", "how": "made", "codec": "Some codec"}
    clips = [
        corpus.Clip(template | {"file": "more/1.flac"}),
        corpus.Clip(template | {"file": "more/2.flac", "path": "gone.wav"}),
        corpus.Clip(made),
    ]
    out = tmp_path / "out"
    for _ in range(2):
        outcomes = corpus.build(clips, out, folder, 1)
        assert [outcome.state for outcome in outcomes] == ["differs", "missing"]
    samples, rate = soundfile.read(out / "more" / "1.flac")
    assert (rate, len(samples)) == (16_000, 16_000)
    expected = speech_like(2.0)[8_000:24_000]
    assert np.corrcoef(samples, expected)[0, 1] > 0.5
    said = corpus.report(clips, outcomes)
    assert "gone.wav: not in the repository" in said
    assert "1 clips of Some codec are made, not cut" in said
    assert (out / "items.csv").read_text().count("\n") == 2
