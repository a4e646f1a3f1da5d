"""What was examined is what the answer names, and nothing of it is ever overwritten."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from pathlib import Path

import pytest

from codecsleuth.audio import source
from codecsleuth.audio.recording import open_recording
from codecsleuth.audio.windows import Window
from codecsleuth.errors import AudioError


@pytest.mark.parametrize("option", ["--output", "--report"])
@pytest.mark.parametrize("link", ["itself", "hard link", "symbolic link", "in a folder"])
def test_no_output_may_be_a_recording_that_is_examined(analyze, clip, tmp_path, option, link):
    recording = clip("box/a.wav", 1)
    before, given, target = recording.read_bytes(), recording, recording
    if link == "hard link":
        target = tmp_path / "b.html"
        target.hardlink_to(recording)
    elif link == "symbolic link":
        target = tmp_path / "b.html"
        target.symlink_to(recording)
    elif link == "in a folder":
        given = recording.parent
    outcome = analyze(given, option, target, "--force")
    assert (outcome.status, outcome.out, outcome.err.count("\n")) == (2, "", 1)
    assert f"{option} {target}: is an input" in outcome.err
    assert recording.read_bytes() == target.read_bytes() == before


def test_no_output_may_be_the_weights_or_what_is_piped_in(analyze, clip, weights_path, monkeypatch):
    before = weights_path.read_bytes()
    outcome = analyze(clip("a.wav", 1), "--output", weights_path, "--force")
    assert (outcome.status, weights_path.read_bytes()) == (2, before)
    path = clip("piped.wav", 1)
    with path.open("rb") as piped:
        monkeypatch.setattr("sys.stdin", piped)
        outcome = analyze("-", "--output", path, "--force")
    assert (outcome.status, path.stat().st_size > 1000) == (2, True)


def test_standard_input_gives_the_answer_of_the_file(analyze, clip, weights_path):
    for path in (clip("a.wav", 3), clip("a.mp3", 3)):
        command = [sys.executable, "-m", "codecsleuth", "analyze", "-", "--jsonl", "--model"]
        with path.open("rb") as file, subprocess.Popen(["cat"], stdin=file, stdout=-1) as cat:
            words = [*command, str(weights_path)]
            done = subprocess.run(words, stdin=cat.stdout, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        meant = analyze(path, "--jsonl").out.replace(f'"{path}"', '"-"')
        assert done.stdout == meant


def replace(path: Path) -> None:
    other = path.with_name("other")
    other.write_bytes(bytes(path.stat().st_size))
    other.replace(path)


def append(path: Path) -> None:
    with path.open("ab") as file:
        file.write(bytes(32_000))


def overwrite(path: Path) -> None:
    with path.open("r+b") as file:
        file.seek(400_000)
        file.write(bytes(100_000))


CHANGES = pytest.mark.parametrize("change", [replace, append, overwrite])


def read_while(path: Path, change) -> tuple[str, list[Window]]:
    """Read a file that is changed when it has been opened."""
    windows: list[Window] = []
    with open_recording(path) as recording:
        change(path)
        facts = recording.read(windows.append)
    return facts.evidence.sha256, windows


@CHANGES
def test_the_hash_is_that_of_what_was_decoded_though_the_file_changes(clip, change):
    path = clip("a.wav", 30)
    content = path.read_bytes()
    _, meant = read_while(path, lambda _: None)
    digest, windows = read_while(path, change)
    assert digest == hashlib.sha256(content).hexdigest()
    assert all((a.samples == b.samples).all() for a, b in zip(windows, meant, strict=True))
    assert path.read_bytes() != content


@CHANGES
def test_a_large_file_that_changes_while_it_is_read_gives_no_answer(clip, monkeypatch, change):
    monkeypatch.setattr(source, "COPIED_BYTES", 0)
    path = clip("a.wav", 30)
    content = path.read_bytes()
    digest = hashlib.sha256(content).hexdigest()
    assert read_while(path, lambda _: None)[0] == digest
    if change is replace:  # what was opened is still there, under no name
        assert read_while(path, change)[0] == digest
        return
    with pytest.raises(AudioError) as caught:
        read_while(path, change)
    assert caught.value.kind == "changed"
    assert caught.value.evidence == {"sha256": digest, "bytes": len(content)}
