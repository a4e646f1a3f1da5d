"""Runs to a file that are interrupted: nothing is lost, nothing is answered twice."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from codecsleuth import cli

MOMENTS = 20


@pytest.fixture
def folder(clip, tmp_path):
    """Clips in folders, one damaged, one left out."""
    for number in range(24):
        clip(f"in/{number % 3}/{number:02}.wav", 1.0 + number / 12, seed=number)
    (tmp_path / "in/1/damaged.wav").write_bytes(b"RIFF")
    (tmp_path / "in/notes.txt").write_text("")
    (tmp_path / "out").mkdir()
    return tmp_path / "in"


@pytest.fixture
def journal(tmp_path):
    return tmp_path / "out/answers.json.part"


def lines(journal: Path) -> int:
    try:
        return journal.read_bytes().count(b"\n")
    except FileNotFoundError:
        return 0


# One process that is made ready once; each run is a fork of it, so that 20 kills take seconds.
# Torch's own threads would not be there in a fork.
RUNNER = """
import os, sys
import torch
torch.set_num_threads(1)
from codecsleuth import cli
from codecsleuth.cli import analysis_run
from codecsleuth.inference.model import Model
from codecsleuth.inference.engine.local import LocalEngine
model = Model.load(sys.argv[1])
analysis_run.load_model = lambda *_: model
analysis_run.make_engine = lambda _: LocalEngine(1, None)
# All that is imported on the way is there afterwards.
cli.run(["analyze", "--model", *sys.argv[1:], "--json"])
for line in sys.stdin:
    pid = os.fork()
    if pid == 0:
        os._exit(cli.run(line.rstrip().split("\\t")))
    print(pid, flush=True)
    _, status = os.waitpid(pid, 0)
    print(os.waitstatus_to_exitcode(status), flush=True)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_killed_at_any_moment_it_goes_on_to_the_same_bytes(
    analyze, weights_path, folder, tmp_path, journal
):
    target, page = tmp_path / "out/answers.json", tmp_path / "out/page.html"
    words = [folder, "--json", "-o", target, "--report", page]
    assert analyze(*words).status == 1
    uninterrupted = target.read_bytes(), page.read_bytes()
    target.unlink()
    page.unlink()
    entries = len(json.loads(uninterrupted[0])["results"])
    warm = [folder / "0/00.wav", "-o", tmp_path / "warm.json", "--report", tmp_path / "warm.html"]
    command = [sys.executable, "-c", RUNNER, str(weights_path), *map(str, warm)]
    ended_early = 0
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as runner:
        assert runner.stdin is not None and runner.stdout is not None
        for moment in range(MOMENTS):
            # Killed once there are so many lines, and a little later each time.
            wanted = round(moment * (entries + 1) / (MOMENTS - 1))
            given = ["analyze", "--model", str(weights_path), *map(str, words), "--resume"]
            print(*given, sep="\t", file=runner.stdin, flush=True)
            pid = int(runner.stdout.readline())
            deadline = time.monotonic() + 20
            while lines(journal) < wanted and not target.exists() and time.monotonic() < deadline:
                time.sleep(0.0005)
            assert time.monotonic() < deadline
            time.sleep(moment % 4 * 0.003)
            os.kill(pid, signal.SIGKILL)
            ended_early += int(runner.stdout.readline()) == -signal.SIGKILL
        runner.stdin.close()
    assert ended_early >= MOMENTS // 2
    if not target.exists() or journal.exists():
        assert analyze(*words, "--resume").status == 1
    assert (target.read_bytes(), page.read_bytes()) == uninterrupted
    left = sorted(path.name for path in (tmp_path / "out").iterdir())
    assert left == ["answers.json", "page.html"]


@pytest.fixture
def interrupted(weights_path, folder, monkeypatch):
    """Run in this process, and stop after so many results as Ctrl-C does."""
    from codecsleuth.report.journal import Journal

    add = Journal.add

    def call(after: int, *words: object) -> int:
        left = iter(range(after))

        def counted(self, result, stamp):
            if next(left, None) is None:
                raise KeyboardInterrupt
            return add(self, result, stamp)

        with monkeypatch.context() as patched:
            patched.setattr(Journal, "add", counted)
            given = ["analyze", "--model", weights_path, folder, *words]
            return cli.run([str(word) for word in given])

    return call


@pytest.fixture
def answered(monkeypatch):
    """Paths that a model is asked about."""
    from codecsleuth.inference.model import Model

    asked: list[str] = []
    analyze_file = Model.analyze_file

    def noted(self, path, *rest, **named):
        asked.append(path)
        return analyze_file(self, path, *rest, **named)

    monkeypatch.setattr(Model, "analyze_file", noted)
    return asked


@pytest.mark.parametrize("form", ["--json", "--jsonl", "--csv", "--sort=evidence"])
def test_finished_entries_are_kept_and_the_rest_is_answered(
    analyze, interrupted, answered, folder, tmp_path, journal, form, capsysbinary
):
    target = tmp_path / "out/answers.json"
    assert analyze(folder, form, "-o", target).status == 1
    whole = target.read_bytes()
    target.unlink()
    capsysbinary.readouterr()
    assert interrupted(10, form, "-o", target) == 130
    line = capsysbinary.readouterr().err.decode().splitlines()[-1]
    assert "--resume" in line and "10 results" in line
    assert lines(journal) == 11
    with journal.open("ab") as file:
        file.write(b'{"path": "half a li')
    answered.clear()
    assert analyze(folder, form, "-o", target, "--resume").status == 1
    assert target.read_bytes() == whole
    assert len(answered) == len(set(answered)) == 25 - 10
    assert not journal.exists()


def test_what_has_changed_since_is_answered_again(
    analyze, interrupted, answered, folder, clip, tmp_path
):
    target = tmp_path / "out/answers.json"
    interrupted(12, "--json", "-o", target)
    changed = clip("in/0/03.wav", 2, seed=99)
    (folder / "0/06.wav").unlink()
    added = clip("in/0/001.wav", 1, seed=50)
    answered.clear()
    analyze(folder, "--json", "-o", target, "--resume")
    assert {str(changed), str(added)} <= set(answered)
    assert str(folder / "0/00.wav") not in answered
    again = tmp_path / "out/again.json"
    analyze(folder, "--json", "-o", again)
    assert target.read_bytes() == again.read_bytes()


def test_a_file_that_was_missing_is_looked_for_again(analyze, interrupted, clip, tmp_path):
    target, late = tmp_path / "out/answers.json", tmp_path / "late.wav"
    interrupted(25, late, "--json", "-o", target)
    clip("late.wav", 1)
    analyze(tmp_path / "in", late, "--json", "-o", target, "--resume")
    assert json.loads(target.read_text())["results"][-1]["status"] == "ok"


def test_an_unfinished_run_is_neither_forgotten_nor_mixed_with_another(
    analyze, interrupted, folder, tmp_path, journal, weights_path
):
    target = tmp_path / "out/answers.json"
    interrupted(5, "--json", "-o", target)
    kept = journal.read_bytes()
    refused = analyze(folder, "--json", "-o", target)
    assert refused.status == 2 and journal.read_bytes() == kept
    assert "--resume" in refused.err and "--force" in refused.err
    changed = bytearray(kept)
    changed[kept.index(b'"sha256": "') + 12] ^= 1
    journal.write_bytes(changed)
    refused = analyze(folder, "--json", "-o", target, "--resume")
    assert refused.status == 2 and "another run (model)" in refused.err
    assert journal.read_bytes() == changed and not target.exists()
    assert analyze(folder, "--json", "-o", target, "--force").status == 1
    assert target.exists() and not journal.exists()


def test_a_file_of_another_kind_in_the_journals_place_is_left_alone(analyze, folder, tmp_path):
    target = tmp_path / "out/answers.json"
    other = tmp_path / "out/answers.json.part"
    other.write_text("a download\n")
    for words in ((), ("--resume",), ("--force",)):
        assert analyze(folder, "--json", "-o", target, *words).status == 2
        assert other.read_text() == "a download\n"


def test_going_on_overwrites_no_file_that_came_meanwhile(analyze, interrupted, folder, tmp_path):
    target = tmp_path / "out/answers.json"
    interrupted(5, "--json", "-o", target)
    target.write_text("mine")
    refused = analyze(folder, "--json", "-o", target, "--resume")
    assert (refused.status, target.read_text()) == (2, "mine")
    assert analyze(folder, "--json", "-o", target, "--resume", "--force").status == 1
    assert target.read_text() != "mine"


def test_resume_needs_a_file_and_may_be_given_from_the_start(analyze, folder, tmp_path):
    assert analyze(folder, "--resume").status == 2
    target = tmp_path / "out/answers.json"
    assert analyze(folder, "--json", "-o", target, "--resume").status == 1
    assert target.exists()


@pytest.mark.skipif(os.name != "posix", reason="no such signals here")
def test_sigterm_ends_within_two_seconds_and_says_how_to_go_on(weights_path, clip, tmp_path):
    path, target = clip("long.wav", 60), tmp_path / "answers.json"
    command = [sys.executable, "-m", "codecsleuth", "analyze", "--model", str(weights_path)]
    command += ["--json", "-o", str(target), *[str(path)] * 40]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        journal = tmp_path / "answers.json.part"
        while lines(journal) < 2 and process.poll() is None:
            time.sleep(0.02)
        began = time.monotonic()
        process.send_signal(signal.SIGTERM)
        _, err = process.communicate(timeout=30)
        took = time.monotonic() - began
    assert process.returncode == 130
    assert took < 2.5
    (line,) = err.splitlines()
    assert "interrupted" in line and "--resume" in line
    assert lines(journal) >= 2 and not target.exists()


def test_a_full_disk_is_one_line_that_says_how_to_go_on(analyze, folder, tmp_path, monkeypatch):
    write = os.write

    def full(descriptor, content):
        if b'"entry"' in content[:400] and b"07.wav" in content:
            write(descriptor, content[:100])
            raise OSError(28, "No space left on device")
        return write(descriptor, content)

    target = tmp_path / "out/answers.json"
    with monkeypatch.context() as patched:
        patched.setattr(os, "write", full)
        outcome = analyze(folder, "--json", "-o", target)
    assert outcome.status == 1
    assert "No space left" in outcome.err.splitlines()[-1]
    assert "--resume" in outcome.err.splitlines()[-1]
    assert analyze(folder, "--json", "-o", target, "--resume").status == 1
    assert len(json.loads(target.read_text())["results"]) == 25
