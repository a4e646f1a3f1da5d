"""``codecsleuth data fetch``: checked, gone on with after a cut, and nothing leaves the folder."""

from __future__ import annotations

import hashlib
import io
import lzma
import random
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from codecfake import make_codecfake
from codecsleuth import cli
from codecsleuth.data import read_data
from codecsleuth.data.codecfake import fetch
from codecsleuth.data.codecfake.sets import REPOSITORY
from codecsleuth.data.codecfake.unpack import unpack
from codecsleuth.errors import DataError
from conftest import Outcome
from hub import COMMIT, Hub, ask_only, serve

PART = "Codecfake_plus_CoRS.part{}"
COSG = "CodecFake_plus_CoSG.tar.xz"


def at(name: str, revision: str = COMMIT) -> str:
    return f"/datasets/{REPOSITORY}/resolve/{revision}/{name}"


def packed(folder: Path, *names: str) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:xz", preset=0) as archive:
        for name in names:
            archive.add(folder / name, name)
    return buffer.getvalue()


@pytest.fixture(scope="module")
def release(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """The files of a miniature release."""
    folder = make_codecfake(tmp_path_factory.mktemp("release"), "huggingface", seconds=0.1)
    cors = packed(folder, "Codecfake_plus_CoRS")
    size = len(cors) // 4 + 1
    return {
        "CoRS_labels.txt": (folder / "CoRS_labels.txt").read_bytes(),
        "CoSG_labels.txt": (folder / "CoSG_labels.txt").read_bytes(),
        COSG: packed(folder, "CoSG"),
        **{PART.format(n): cors[n * size : (n + 1) * size] for n in range(4)},
    }


@pytest.fixture
def hub(
    release: dict[str, bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Hub]:
    """A hub with the release; downloads of the second part can be cut."""
    files = {at(name, r): content for name, content in release.items() for r in (COMMIT, "main")}
    path = at(PART.format(1))
    in_git = frozenset(at("CoSG_labels.txt", revision) for revision in (COMMIT, "main"))
    others = {name: content for name, content in files.items() if name != path}
    sha256 = hashlib.sha256(release["CoRS_labels.txt"]).hexdigest()
    monkeypatch.setattr(fetch, "SHA256", {"CoRS_labels.txt": sha256})
    with serve(Hub(path, files[path], others, in_git)) as running:
        ask_only(running, monkeypatch, tmp_path / "hf")
        yield running


@pytest.fixture
def run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Callable[..., Outcome]:
    def call(*words: object) -> Outcome:
        capsys.readouterr()
        out = tmp_path / "CodecFake+"
        status = cli.run(["data", "fetch", "codecfake+", "--out", str(out), *map(str, words)])
        return Outcome(status, *capsys.readouterr())

    return call


def downloads(hub: Hub) -> list[str]:
    """Names of the files whose content was asked for."""
    return [one.rpartition("/")[2] for one in hub.requests if one.startswith("GET")]


def below(folder: Path) -> dict[str, bytes]:
    files = (path for path in sorted(folder.rglob("*")) if path.is_file())
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


def test_what_is_fetched_can_be_read(
    hub: Hub, tmp_path: Path, run: Callable[..., Outcome], release: dict[str, bytes]
) -> None:
    outcome = run()
    folder = tmp_path / "CodecFake+"
    assert outcome.status == 0, outcome.err
    assert outcome.out == f"{folder}\n"
    assert "downloading CoRS" in outcome.err and " GB)" in outcome.err
    assert len(read_data(folder, balance="aux")) == 24
    generated = read_data(folder, splits=["CoSG_ALL"])
    assert (len(generated), generated.revision) == (16, COMMIT)
    assert (folder / "CoSG_labels.txt").read_bytes() == release["CoSG_labels.txt"]
    assert not list((folder / "downloads").iterdir())


def test_a_second_run_downloads_nothing(hub: Hub, run: Callable[..., Outcome]) -> None:
    assert run().status == 0
    hub.requests.clear()
    again = run()
    assert again.status == 0
    assert "already" in again.err
    assert not hub.requests


def test_one_subset_can_be_had_alone(hub: Hub, tmp_path: Path, run: Callable[..., Outcome]) -> None:
    assert run("--subset", "CoSG").status == 0
    assert set(downloads(hub)) == {"CoSG_labels.txt", COSG}
    assert len(read_data(tmp_path / "CodecFake+", splits=["CoSG_SEEN"])) == 10
    hub.requests.clear()
    assert run().status == 0
    assert COSG not in downloads(hub)


def test_a_cut_download_is_gone_on_with(
    hub: Hub, tmp_path: Path, run: Callable[..., Outcome]
) -> None:
    hub.cut_after, hub.cuts = 3000, 1000
    first = run()
    assert first.status == 1
    assert "the next try goes on from there" in first.err
    assert first.err.splitlines()[-1].startswith("codecsleuth: Codecfake_plus_CoRS.part1")
    kept = sum(p.stat().st_size for p in (tmp_path / "CodecFake+" / "downloads").glob("*.part"))
    assert kept >= 3000
    hub.cuts = 0
    hub.requests.clear()
    hub.ranges.clear()
    assert run().status == 0
    assert hub.ranges[0] == f"bytes={kept}-"
    assert PART.format(0) not in downloads(hub)
    assert len(read_data(tmp_path / "CodecFake+")) == 12 * 9


def test_what_is_not_what_the_hub_declares_is_refused(
    hub: Hub, tmp_path: Path, run: Callable[..., Outcome]
) -> None:
    hub.declared_sha256 = "0" * 64
    outcome = run()
    assert outcome.status == 1
    assert "it is not used" in outcome.err
    assert not (tmp_path / "CodecFake+" / "Codecfake_plus_CoRS").exists()
    hub.declared_sha256 = ""
    assert run().status == 0


def test_labels_other_than_those_known_are_not_downloaded(
    hub: Hub, run: Callable[..., Outcome], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fetch, "SHA256", {"CoRS_labels.txt": "1" * 64})
    outcome = run()
    assert outcome.status == 1
    assert "CoRS_labels.txt" in outcome.err and "not downloaded" in outcome.err
    assert not downloads(hub)


def test_unpacking_is_gone_on_with(
    hub: Hub, tmp_path: Path, run: Callable[..., Outcome], monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = fetch.unpack

    def stopped(*arguments: object) -> int:
        whole(*arguments)  # type: ignore[arg-type]
        raise KeyboardInterrupt

    monkeypatch.setattr(fetch, "unpack", stopped)
    assert run("--subset", "CoSG").status == 130
    monkeypatch.setattr(fetch, "unpack", whole)
    clips = sorted((tmp_path / "CodecFake+" / "CoSG").iterdir())
    (cut, half), kept = clips[:2], clips[2:]
    written = {path: path.stat().st_ino for path in kept}
    cut.unlink()
    half.write_bytes(b"half")
    hub.requests.clear()
    assert run("--subset", "CoSG").status == 0
    assert not downloads(hub)
    assert {path: path.stat().st_ino for path in kept} == written
    assert half.stat().st_size > 4
    assert len(read_data(tmp_path / "CodecFake+", splits=["CoSG_ALL"])) == 16


def test_a_disk_that_is_too_small_is_told_first(
    hub: Hub, run: Callable[..., Outcome], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fetch.shutil, "disk_usage", lambda _: type("Usage", (), {"free": 10}))
    outcome = run()
    assert outcome.status == 1
    assert "still to be downloaded" in outcome.err
    assert not downloads(hub)


def test_wrong_names_are_usage_errors(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["data", "fetch", "other", "--out", str(tmp_path)]) == 2
    assert "there are: codecfake+" in capsys.readouterr().err
    (tmp_path / "file").touch()
    assert cli.run(["data", "fetch", "codecfake+", "--out", str(tmp_path / "file")]) == 2


def member(name: str, kind: bytes = tarfile.REGTYPE, target: str = "") -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, target
    info.size = 4 if kind == tarfile.REGTYPE else 0
    return info


def archive(path: Path, *members: tarfile.TarInfo) -> list[Path]:
    with tarfile.open(path, "w:xz") as packing:
        for info in members:
            packing.addfile(info, io.BytesIO(b"evil"))
    return [path]


@pytest.mark.parametrize(
    "hostile",
    [
        [member("/tmp/evil.wav")],
        [member("../evil.wav")],
        [member("CoSG/../../evil.wav")],
        [member("CoSG", tarfile.SYMTYPE, ".."), member("CoSG/evil.wav")],
        [member("a", tarfile.SYMTYPE, "/etc/passwd")],
        [member("a", tarfile.LNKTYPE, "../victim")],
        [member("a", tarfile.CHRTYPE)],
        [member("a", tarfile.BLKTYPE)],
        [member("a", tarfile.FIFOTYPE)],
    ],
    ids=lambda members: members[0].name + members[0].type.decode(),
)
def test_a_hostile_archive_writes_nothing_outside(
    tmp_path: Path, hostile: list[tarfile.TarInfo]
) -> None:
    (tmp_path / "victim").write_text("as it was")
    folder = tmp_path / "inner" / "out"
    folder.mkdir(parents=True)
    parts = archive(tmp_path / "x.tar.xz", member("CoSG/good.wav"), *hostile)
    before = below(tmp_path)
    with pytest.raises(DataError, match="member"):
        unpack(parts, folder)
    after = below(tmp_path)
    assert after.pop("inner/out/CoSG/good.wav") == b"evil"
    assert after == before
    assert not any(path.is_symlink() for path in tmp_path.rglob("*"))


def test_a_link_that_was_there_leads_nowhere(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    folder = tmp_path / "out"
    folder.mkdir()
    (folder / "CoSG").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(DataError, match="leave the folder"):
        unpack(archive(tmp_path / "x.tar.xz", member("CoSG/evil.wav")), folder)
    assert not list((tmp_path / "elsewhere").iterdir())


def test_parts_are_read_as_one_wherever_they_were_cut(tmp_path: Path) -> None:
    content = {f"CoRS/{n}.wav": random.Random(n).randbytes(5000) for n in range(20)}
    for name, data in content.items():
        (tmp_path / "in" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "in" / name).write_bytes(data)
    whole = packed(tmp_path / "in", "CoRS")
    cuts = [0, 1, 5, 30_000, 30_000, len(whole)]
    parts = [tmp_path / f"part{n}" for n in range(5)]
    for part, start, end in zip(parts, cuts[:-1], cuts[1:], strict=True):
        part.write_bytes(whole[start:end])
    read: list[int] = []
    assert unpack(parts, tmp_path / "out", read.append) == 20
    assert below(tmp_path / "out") == content
    assert sum(read) == len(whole)
    for damaged in (whole[:-20_000], whole[:50_000] + b"????" + whole[50_004:], b"", b"no archive"):
        parts[0].write_bytes(damaged)
        with pytest.raises(DataError, match="damaged"):
            unpack(parts[:1], tmp_path / "again")
    # Some packers write several streams, one after the other.
    parts[0].write_bytes(lzma.compress(lzma.decompress(whole)[:9000]))
    parts[1].write_bytes(lzma.compress(lzma.decompress(whole)[9000:]))
    assert unpack(parts[:2], tmp_path / "streams") == 20
