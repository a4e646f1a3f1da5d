"""Lists of files, shares of them, folders walked as they are needed, URLs."""

from __future__ import annotations

import json
import os
from itertools import islice
from pathlib import Path

import pytest

from codecsleuth.audio.files import FileWalk, Shard
from codecsleuth.errors import UsageError


def entries(outcome):
    return [json.loads(line) for line in outcome.out.splitlines()[1:]]


def paths(outcome):
    return [entry["path"] for entry in entries(outcome)]


@pytest.mark.parametrize(
    ("separator", "ending"), [(b"\n", b"\n"), (b"\n", b""), (b"\0", b"\0"), (b"\r\n", b"\r\n")]
)
def test_a_list_of_files_is_analysed_in_its_order(analyze, clip, tmp_path, separator, ending):
    names = [clip("b.wav", 1), clip("a b.wav", 1), clip("ü.wav", 1)]
    if separator == b"\0":
        names.append(clip("two\nlines.wav", 1))
    content = separator.join(os.fsencode(name) for name in names) + ending
    (tmp_path / "list").write_bytes(content)
    outcome = analyze("--files-from", tmp_path / "list", "--jsonl")
    assert paths(outcome) == [str(name) for name in names]
    first = clip("first.wav", 1)
    both = analyze(first, "--files-from", tmp_path / "list", "--jsonl")
    assert paths(both) == [str(first), *map(str, names)]


def test_a_list_comes_from_standard_input(analyze, clip, tmp_path, monkeypatch):
    path = clip("a.wav", 1)
    (tmp_path / "list").write_text(f"{path}\n\n-\n{tmp_path}\n")
    with (tmp_path / "list").open() as piped:
        monkeypatch.setattr("sys.stdin", piped)
        outcome = analyze("--files-from", "-", "--jsonl")
    assert paths(outcome) == [str(path), "./-", str(path)]


@pytest.mark.parametrize("words", [(), ("--files-from", "gone.txt"), ("-", "--files-from", "-")])
def test_a_list_that_is_none_is_wrong_usage(analyze, words):
    outcome = analyze(*words)
    assert (outcome.status, outcome.out, len(outcome.err.splitlines())) == (2, "", 1)


def test_something_else_than_a_list_is_refused_without_reading_all_of_it(analyze, tmp_path):
    with (tmp_path / "video.bin").open("wb") as file:
        file.truncate(1 << 33)
        file.seek(0)
        file.write(b"x" * (3 << 20))
    outcome = analyze("--files-from", tmp_path / "video.bin", "--json", "-o", tmp_path / "out")
    assert outcome.status == 2
    assert "not a list of paths" in outcome.err
    assert not (tmp_path / "out").exists()


def test_shares_are_a_partition_and_do_not_move_when_files_are_added(analyze, clip, tmp_path):
    names = [str(clip(f"in/{n}.wav", 1)) for n in range(9)]
    (tmp_path / "in/notes.txt").write_text("")
    folder = tmp_path / "in"
    shares = [analyze(folder, "--jsonl", "--shard", f"{k}/3") for k in (1, 2, 3)]
    assert sorted(path for share in shares for path in paths(share)) == names
    summaries = [analyze(folder, "--json", "--shard", f"{k}/3").document for k in (1, 2, 3)]
    left = [one["summary"]["left_out"].get("not_audio", 0) for one in summaries]
    assert sum(left) == 1
    clip("in/00.wav", 1)
    again = analyze(folder, "--jsonl", "--shard", "2/3")
    assert set(paths(shares[1])) <= set(paths(again)) <= {*paths(shares[1]), f"{folder}/00.wav"}


@pytest.mark.parametrize("text", ["0/3", "4/3", "1", "1/0", "a/b", "-1/2", "1/2/3", ""])
def test_a_share_is_k_of_n(text):
    with pytest.raises(UsageError, match="K/N"):
        Shard.parse(text)


def test_files_are_found_as_they_are_asked_for(tmp_path, monkeypatch):
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "x.wav").write_bytes(b"")
    read = []
    listed = os.listdir
    monkeypatch.setattr(os, "listdir", lambda folder: read.append(folder) or listed(folder))
    walk = iter(FileWalk([str(tmp_path)]))
    assert list(islice(walk, 1)) == [(str(tmp_path / "a/x.wav"), None)]
    assert read == [str(tmp_path), str(tmp_path / "a")]
    assert [path for path, _ in walk] == [str(tmp_path / "b/x.wav")]


def test_no_output_may_be_a_file_of_a_list(analyze, clip, tmp_path):
    path = clip("a.wav", 1)
    before = path.read_bytes()
    (tmp_path / "list").write_text(f"{clip('b.wav', 1)}\n{path}\n")
    outcome = analyze("--files-from", tmp_path / "list", "-o", path, "--force")
    assert (outcome.status, path.read_bytes()) == (2, before)
    listed = (tmp_path / "list").read_bytes()
    outcome = analyze("--files-from", tmp_path / "list", "-o", tmp_path / "list", "--force")
    assert (outcome.status, (tmp_path / "list").read_bytes()) == (2, listed)


def test_own_answers_in_the_folder_are_not_counted(analyze, clip, tmp_path):
    clip("in/a.wav", 1)
    target = tmp_path / "in/answers.json"
    for _ in range(2):
        assert analyze(tmp_path / "in", "--json", "-o", target, "--force").status == 0
        assert json.loads(target.read_text())["summary"]["left_out"] == {}
    assert sorted(path.name for path in (tmp_path / "in").iterdir()) == ["a.wav", "answers.json"]


@pytest.fixture
def remote(clip):
    fsspec = pytest.importorskip("fsspec")
    system = fsspec.filesystem("memory")
    path = clip("here.wav", 2)
    system.pipe("/bucket/there.wav", path.read_bytes())
    yield path
    system.rm("/bucket", recursive=True)


def test_a_url_is_answered_like_the_file(analyze, remote):
    outcome = analyze("memory://bucket/there.wav", remote, "--jsonl")
    there, here = entries(outcome)
    assert there.pop("path") == "memory://bucket/there.wav"
    assert here.pop("path") == str(remote)
    assert there == here


@pytest.mark.parametrize(
    ("url", "kind"),
    [
        ("memory://bucket/gone.wav", "missing"),
        ("nonsense://bucket/a.wav", "url"),
        ("file:///etc/hostname", "url"),
    ],
)
def test_a_url_that_leads_nowhere_is_its_error(analyze, remote, url, kind):
    outcome = analyze(url, "--json")
    assert (outcome.status, outcome.result["error"]["kind"]) == (1, kind)
    assert len(outcome.err.splitlines()) == 1


def test_without_the_extra_one_line_says_what_to_install(analyze, monkeypatch):
    fsspec = pytest.importorskip("fsspec")

    def lacking(url):
        raise ImportError("Install s3fs to access S3")

    monkeypatch.setattr(fsspec.core, "url_to_fs", lacking)
    outcome = analyze("s3://bucket/a.wav", "--json")
    assert "pip install 'codecsleuth[cloud]'" in outcome.result["error"]["message"]


def test_offline_reads_no_url(analyze, remote):
    outcome = analyze("memory://bucket/there.wav", "--offline", "--json")
    assert outcome.result["error"]["kind"] == "offline"


def test_a_url_is_kept_when_a_run_goes_on_and_is_what_it_was(tmp_path, remote):
    from codecsleuth.audio.source import stamp

    first = stamp("memory://bucket/there.wav")
    assert first is not None and first == stamp("memory://bucket/there.wav")
    import fsspec

    fsspec.filesystem("memory").pipe("/bucket/there.wav", Path(remote).read_bytes() + b"x")
    assert stamp("memory://bucket/there.wav") != first
