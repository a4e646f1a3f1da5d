"""Input that cannot be analysed: one clear line each, a stable kind, the others still answered."""

from __future__ import annotations

import hashlib
import os
import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

from codecsleuth.audio import source as audio
from codecsleuth.audio.recording import open_recording
from codecsleuth.errors import AudioError
from conftest import speech_like


def wav_header(
    frames: int = 16_000, rate: int = 16_000, channels: int = 1, bits: int = 16, **sizes: int
) -> bytes:
    align = channels * bits // 8
    data = sizes.get("data", frames * align)
    form = struct.pack("<4sIHHIIHH", b"fmt ", 16, 1, channels, rate, rate * align, align, bits)
    start = struct.pack("<4sI4s", b"RIFF", sizes.get("riff", 36 + data), b"WAVE")
    return start + form + struct.pack("<4sI", b"data", data)


def sound_bytes(seconds: float = 1.0) -> bytes:
    return (speech_like(seconds) * 32767).astype("<i2").tobytes()


def cut(path: Path, share: float) -> Path:
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])
    return path


def expect(analyze, path: Path, good: Path, kind: str) -> str:
    """Analyse a bad file between good ones; return what is said of it."""
    outcome = analyze("--json", good, path, good)
    first, bad, last = outcome.document["results"]
    assert outcome.status == 1
    assert first["status"] == last["status"] == "ok"
    assert (bad["status"], bad["error"]["kind"]) == ("error", kind), bad
    assert outcome.err.count("\n") == 1
    assert "Traceback" not in outcome.err
    if kind not in ("empty", "permission") and os.path.isfile(path):  # noqa: PTH113 - any name
        content = path.read_bytes()
        known = {"sha256": hashlib.sha256(content).hexdigest(), "bytes": len(content)}
        assert bad["evidence"] == known
    return bad["error"]["message"]


CONTENTS = {
    "empty file": (b"", "empty"),
    "text": (b"Dear sir, enclosed please find my voice.\n" * 50, "not_audio"),
    "web page": (b"<html><body>404 not found</body></html>" * 9, "not_audio"),
    "zero bytes": (bytes(5000), "not_audio"),
    "header only": (wav_header(0), "empty"),
    "half a header": (wav_header()[:30], "damaged"),
    "nothing after RIFF": (b"RIFF\0\0\0\0WAVE", "damaged"),
    "no channels": (wav_header(channels=0, data=32_000) + sound_bytes(), "channels"),
    "too many channels": (wav_header(100, channels=2000) + bytes(400_000), "channels"),
    "no rate": (wav_header(rate=0) + sound_bytes(), "damaged"),
    "rate of 1 kHz": (wav_header(rate=1000) + sound_bytes(), "sample_rate"),
    "unknown coding": (wav_header().replace(b"\x10\0\0\0\x01\0", b"\x10\0\0\0\x99\x09"), None),
    "not closed": (wav_header(data=0) + sound_bytes(), "truncated"),
    "cut short": (wav_header(32_000) + sound_bytes(), "truncated"),
    "MP4": (b"\0\0\0\x20ftypM4A " + bytes(500), "damaged"),
    "WebM": (b"\x1aE\xdf\xa3" + bytes(500), "damaged"),
    "RF64 cut in its sizes": (b"RF64\xff\xff\xff\xffWAVEds64\x1c\0\0\0" + bytes(9), "truncated"),
    "FLAC of nothing": (b"fLaC" + bytes(500), "damaged"),
    "Ogg of nothing": (b"OggS" + bytes(500), "truncated"),
    "MP3 of nothing": (b"\xff\xfb\x90\x00" * 2000, None),
}


@pytest.mark.parametrize("case", CONTENTS)
def test_wrong_content_is_named(analyze, clip, tmp_path, case):
    content, kind = CONTENTS[case]
    path = tmp_path / "bad.wav"
    path.write_bytes(content)
    if kind is None:  # whatever it is called, it is an error entry
        kind = analyze("--json", path).result["error"]["kind"]
        assert kind in {"damaged", "not_audio", "truncated"}
    expect(analyze, path, clip("good.wav", 1), kind)


@pytest.mark.parametrize("share", [0.3, 0.7, 0.97])
@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("a.wav", {"subtype": "PCM_16"}),
        ("a.wav", {"subtype": "PCM_24"}),
        ("a.wav", {"format": "WAVEX"}),
        ("a.wav", {"format": "RF64"}),
        ("a.flac", {}),
        ("a.aiff", {}),
        ("a.aiff", {"subtype": "FLOAT"}),
        ("a.mp3", {}),
        ("a.ogg", {}),
        ("a.opus", {"format": "OGG", "subtype": "OPUS"}),
    ],
)
def test_a_file_cut_short_is_no_answer_on_what_is_left(analyze, clip, name, kind, share):
    bad = cut(clip(f"bad/{name}", 6, **kind), share)
    expect(analyze, bad, clip("good.wav", 1), "truncated")


def test_a_flac_with_a_wrong_bit_is_found(analyze, clip):
    path = clip("bad.flac", 6)
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0x10
    path.write_bytes(content)
    expect(analyze, path, clip("good.wav", 1), "truncated")


@pytest.mark.parametrize("name", ["a.wav", "a.flac", "a.mp3", "a.ogg", "a.aiff"])
def test_a_tag_behind_the_audio_does_no_harm(analyze, clip, name):
    path = clip(name, 3)
    before = analyze("--json", path).result
    path.write_bytes(path.read_bytes() + b"TAG" + bytes(125))
    after = analyze("--json", path).result
    assert after["codec_probability"] == before["codec_probability"]
    assert (after["evidence"]["duration_s"], after["findings"]) == (3.0, before["findings"])


@pytest.mark.parametrize("name", ["a.mp3", "a.ogg"])
def test_audio_behind_the_audio_is_not_passed_over_in_silence(analyze, clip, name):
    path = clip(name, 3)
    path.write_bytes(path.read_bytes() + clip("more/" + name, 9, seed=4).read_bytes())
    kinds = {finding["kind"] for finding in analyze("--json", path).result["findings"]}
    assert kinds & {"unread_bytes", "several_streams"}


@pytest.mark.parametrize("size", [0xFFFFFFFF, 0x7FFFFFFF, 0x7FFFF000])
def test_a_streamed_wav_that_states_no_length_is_read_to_its_end(analyze, tmp_path, size):
    path = tmp_path / "streamed.wav"
    path.write_bytes(wav_header(data=size, riff=0xFFFFFFFF) + sound_bytes(2))
    result = analyze("--json", path).result
    assert result["evidence"]["duration_s"] == 2.0
    assert [finding["kind"] for finding in result["findings"]] == ["no_stated_length"]


def test_millions_of_zero_bytes_behind_a_header_are_refused_at_once(tmp_path, monkeypatch):
    path = tmp_path / "zeros.wav"
    path.write_bytes(b"RIFF\0\0\0\0WAVE" + bytes(16 << 20))
    reads = []
    usual = os.read
    monkeypatch.setattr(os, "read", lambda *given: reads.append(given) or usual(*given))
    with pytest.raises(AudioError) as caught, open_recording(path):
        pass
    assert caught.value.kind == "damaged"
    assert len(reads) < 2_000  # one for every eight bytes would be two million


@pytest.mark.parametrize("error", [OSError("mine"), RuntimeError("mine"), ValueError("mine")])
def test_errors_of_the_callers_own_code_are_not_taken_for_errors_of_the_file(clip, error):
    def fail(_: object) -> None:
        raise error

    with pytest.raises(type(error)) as caught, open_recording(clip("a.wav")) as recording:
        recording.read(fail)
    assert caught.value is error
    with pytest.raises(type(error)) as caught, open_recording(clip("a.mp3")):
        fail(None)
    assert caught.value is error


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_samples_that_are_no_numbers(analyze, clip, tmp_path, value):
    sound = speech_like(6)
    sound[80_000] = value
    soundfile.write(tmp_path / "bad.wav", sound, 16_000, subtype="FLOAT")
    message = expect(analyze, tmp_path / "bad.wav", clip("good.wav", 1), "not_finite")
    assert "5.000 s" in message


def test_absurd_levels_are_an_answer_or_an_error_but_no_crash(analyze, tmp_path):
    soundfile.write(tmp_path / "a.wav", 1e30 * speech_like(5), 16_000, subtype="FLOAT")
    outcome = analyze("--json", tmp_path / "a.wav")
    assert outcome.result["status"] == "ok" or outcome.result["error"]["kind"] == "not_finite"


def test_too_short_and_silent(analyze, clip, tmp_path):
    good = clip("good.wav", 1)
    assert "0.75 s" in expect(analyze, clip("short.wav", 0.2), good, "too_short")
    soundfile.write(tmp_path / "quiet.wav", np.zeros(50_000), 16_000)
    assert "silent" in expect(analyze, tmp_path / "quiet.wav", good, "silent")


def test_paths_that_lead_nowhere(analyze, clip, tmp_path):
    good = clip("good.wav", 1)
    (tmp_path / "link.wav").symlink_to(tmp_path / "gone.wav")
    (tmp_path / "round.wav").symlink_to(tmp_path / "round.wav")
    (tmp_path / "nothing").mkdir()
    expect(analyze, tmp_path / "missing.wav", good, "missing")
    assert analyze("--json", "").result["error"]["kind"] == "missing"
    expect(analyze, tmp_path / "link.wav", good, "broken_link")
    expect(analyze, tmp_path / "round.wav", good, "io")
    expect(analyze, good / "below.wav", good, "io")
    expect(analyze, tmp_path / ("x" * 300 + ".wav"), good, "io")
    expect(analyze, tmp_path / "nothing", good, "no_audio")


def test_no_permission(analyze, clip, monkeypatch):
    good, path = clip("good.wav", 1), clip("secret.wav", 1)
    path.chmod(0)
    if os.access(path, os.R_OK):  # the superuser may read it all the same
        usual = os.open

        def refuse(name, *rest):
            if str(name) == str(path):
                raise PermissionError(13, "Permission denied")
            return usual(name, *rest)

        monkeypatch.setattr(audio.os, "open", refuse)
    expect(analyze, path, good, "permission")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes here")
def test_pipes_and_devices_do_not_hang(analyze, clip, tmp_path):
    os.mkfifo(tmp_path / "pipe.wav")
    good = clip("good.wav", 1)
    expect(analyze, tmp_path / "pipe.wav", good, "not_a_file")
    expect(analyze, Path("/dev/zero"), good, "not_a_file")


def test_a_folder_is_no_file_for_the_library(model, tmp_path):
    with pytest.raises(AudioError, match="folder") as caught:
        model.analyze(tmp_path)
    assert caught.value.kind == "directory"


ODD_NAMES = [
    b"two  spaces.wav",
    b"new\nline.wav",
    b"\xff\xfe.wav",
    b"\x1b[31mred[red].wav",
    "‮reversed.wav".encode(),
    "日本語のとても長い名前".encode() * 5 + b".wav",
    b"[bold]markup[blink] :smile:.wav",
    b"'\"; $HOME.wav",
    b"-dash.wav",
]


@pytest.fixture
def odd_names(clip, tmp_path) -> Path:
    content = clip("plain.wav", 1).read_bytes()
    folder = tmp_path / "odd"
    folder.mkdir()
    for name in ODD_NAMES:
        try:
            Path(os.fsdecode(os.fsencode(folder) + b"/" + name)).write_bytes(content)
        except OSError:
            pytest.skip("this file system refuses such names")
    return folder


@pytest.mark.parametrize("form", ["--json", "--jsonl", "--csv", None])
def test_odd_names_are_analysed_and_break_nothing(weights_path, odd_names, form):
    """In a process of its own, in an ASCII locale: nothing about the terminal may matter."""
    command = [sys.executable, "-m", "codecsleuth", "analyze", "--model", str(weights_path)]
    done = subprocess.run(
        [*command, str(odd_names), *([form] if form else [])],
        capture_output=True,
        env={**os.environ, "LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, b"")
    shown = done.stdout.decode("utf-8")
    if form != "--csv":  # where a name stands as it is, between quotes
        assert "\x1b" not in shown
    if form is None:
        assert "‮" not in shown
    assert form == "--csv" or not any(line.startswith("line.wav") for line in shown.splitlines())
    assert "\\xff\\xfe" in shown.replace("\\\\", "\\")


def test_names_of_files_that_cannot_be_read_break_nothing(analyze, tmp_path):
    outcome = analyze(tmp_path / "no\nsuch\x1b[2Jfile[/].wav", tmp_path / "other.wav")
    assert outcome.status == 1
    assert len(outcome.err.splitlines()) == 2
    assert "\x1b" not in outcome.err + outcome.out


def test_decoders_do_not_write_into_our_messages(weights_path, clip):
    """The MP3 decoder prints warnings of its own to stderr."""
    path = clip("a.mp3", 6)
    content = path.read_bytes()
    path.write_bytes(content[:3000] + bytes(4000) + content[7000:])
    command = [sys.executable, "-m", "codecsleuth", "analyze", "--model", str(weights_path)]
    done = subprocess.run([*command, str(path)], capture_output=True, text=True, check=False)
    assert "mpg123" not in done.stderr
    assert "Note:" not in done.stderr
