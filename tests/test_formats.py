"""What FFmpeg reads where libsndfile cannot: phones, messengers, video; never anything by guess."""

from __future__ import annotations

import subprocess
import sys
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from codecsleuth.audio.recording import open_recording
from codecsleuth.errors import AudioError
from conftest import speech_like

SECONDS = 6.0


def encode(
    path: Path,
    codec: str,
    *,
    rate: int = 48_000,
    tracks: int = 1,
    video: bool = False,
    container: str | None = None,
    options: dict[str, str] | None = None,
    sound: np.ndarray | None = None,
) -> Path:
    """Write synthetic speech by FFmpeg; the second track is another voice."""
    with av.open(str(path), "w", format=container, options=options or {}) as file:
        # A container's header is written with the first packet: streams come before.
        picture = add_video(file) if video else None
        streams = [file.add_stream(codec, rate=rate, layout="mono") for _ in range(tracks)]
        for stream in streams:
            stream.bit_rate = 12_200 if rate == 8_000 else 64_000
        if picture is not None:
            write_video(file, picture)
        for number, stream in enumerate(streams):
            samples = speech_like(SECONDS, rate, seed=number) if sound is None else sound
            frame = av.AudioFrame.from_ndarray(samples[None], format="flt", layout="mono")
            frame.sample_rate, frame.pts, frame.time_base = rate, 0, Fraction(1, rate)
            resampler = av.AudioResampler(
                format=stream.codec_context.format, layout="mono", rate=rate
            )
            fifo = av.AudioFifo()
            for part in (*resampler.resample(frame), *resampler.resample(None)):
                fifo.write(part)
            size = stream.codec_context.frame_size or 1024
            while (part := fifo.read(size) or fifo.read(size, partial=True)) is not None:
                file.mux(stream.encode(part))
            file.mux(stream.encode(None))
    return path


def add_video(file: Any) -> Any:
    stream = file.add_stream("mpeg4", rate=10)
    stream.width = stream.height = 64
    stream.pix_fmt = "yuv420p"
    return stream


def write_video(file: Any, stream: Any) -> None:
    for number in range(int(10 * SECONDS)):
        image = np.full((64, 64, 3), number, np.uint8)
        file.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
    file.mux(stream.encode(None))


def can_encode(codec: str) -> bool:
    try:
        av.Codec(codec, "w")
    except av.codec.codec.UnknownCodecError:
        return False
    return True


FORMATS = {
    "a.m4a": ("aac", "mp4", "aac", {}),
    "a.webm": ("libopus", "webm", "opus", {}),
    "a.mkv": ("libopus", "matroska", "opus", {"video": True}),
    "a.mov": ("aac", "mov", "aac", {"video": True}),
    "a.avi": ("libmp3lame", "avi", "mp3", {"video": True, "rate": 44_100}),
    "a.wma": ("wmav2", "asf", "wmav2", {"rate": 44_100}),
    "a.ac3": ("ac3", "ac3", "ac3", {}),
    "a.aac": ("aac", "aac", "aac", {"container": "adts"}),
    "a.amr": ("libopencore_amrnb", "amr", "amrnb", {"rate": 8_000}),
    "a.ts": ("aac", "mpegts", "aac", {}),
    "wma in a.wav": ("wmav2", "wav", "wmav2", {"rate": 44_100, "container": "wav"}),
    "flac in a.ogg": ("flac", "ogg", "flac", {"container": "ogg"}),
    "a.3gp": ("libopencore_amrnb", "3gp", "amrnb", {"rate": 8_000}),
}


@pytest.mark.parametrize("name", FORMATS)
def test_recordings_of_phones_messengers_and_video_are_analysed(analyze, tmp_path, name):
    codec, container, coding, more = FORMATS[name]
    if not can_encode(codec):
        pytest.skip(f"this PyAV cannot write {codec}")
    path = encode(tmp_path / name, codec, **more)
    result = analyze(path, "--json").result
    assert result["status"] == "ok", result
    evidence = result["evidence"]
    assert container in evidence["container"].split(",")
    assert coding in evidence["coding"].replace("_", "")
    assert evidence["decoder"] == f"FFmpeg {av.ffmpeg_version_info} (PyAV {av.__version__})"
    assert (evidence["sample_rate"], evidence["channels"]) == (more.get("rate", 48_000), 1)
    assert evidence["duration_s"] == pytest.approx(SECONDS, abs=0.2)
    assert "several_tracks" not in [finding["kind"] for finding in result["findings"]]
    assert analyze(path.parent, "--json").result == result


def test_a_length_that_is_only_estimated_is_not_held_against_the_file(analyze, tmp_path):
    """Quiet at first: by the bit rate of the beginning there would be far more to come."""
    sound = np.random.default_rng(0).standard_normal(960_000).astype(np.float32) / 5
    sound[:480_000] *= 1e-6
    path = encode(tmp_path / "a.aac", "aac", container="adts", sound=sound)
    assert analyze(path, "--json").result["evidence"]["duration_s"] == pytest.approx(20, abs=0.1)


def test_mp3_in_a_wav_file_is_read_whole(analyze, tmp_path):
    path = encode(tmp_path / "a.wav", "libmp3lame", rate=44_100, container="wav")
    evidence = analyze(path, "--json").result["evidence"]
    assert (evidence["container"], evidence["coding"]) == ("WAV", "MPEG_LAYER_III")
    assert evidence["duration_s"] == pytest.approx(SECONDS, abs=0.1)


def test_what_is_decoded_is_the_sound_that_was_stored(tmp_path):
    path = encode(tmp_path / "a.m4a", "aac", rate=16_000)
    with open_recording(path) as recording:
        got = np.concatenate(list(recording.samples()))
    meant = speech_like(SECONDS)
    best = max(
        float(np.corrcoef(got[start : start + 80_000], meant[:80_000])[0, 1])
        for start in range(0, 3_000)
    )
    assert best > 0.95
    assert 0.5 < np.abs(got).max() / np.abs(meant).max() < 2


def test_of_several_tracks_the_first_is_read_and_that_is_said(analyze, tmp_path):
    two = analyze(encode(tmp_path / "two.mp4", "aac", tracks=2, video=True), "--json").result
    one = analyze(encode(tmp_path / "one.mp4", "aac", video=True), "--json").result
    finding, *others = two["findings"]
    assert (finding["kind"], finding["severity"]) == ("several_tracks", "note")
    assert finding["message"] == "2 audio tracks, of which number 1 was read"
    assert (two["codec_probability"], others) == (one["codec_probability"], one["findings"])


def test_a_video_without_sound_is_one_line(analyze, tmp_path):
    with av.open(str(tmp_path / "a.mp4"), "w") as file:
        write_video(file, add_video(file))
    outcome = analyze(tmp_path / "a.mp4", "--json")
    assert outcome.result["error"]["kind"] == "no_audio_track"
    assert outcome.err.count("\n") == 1


@pytest.mark.parametrize("share", [0.3, 0.7, 0.97])
@pytest.mark.parametrize(
    ("name", "codec", "options"),
    [
        ("a.mp4", "aac", {}),
        ("a.mp4", "aac", {"movflags": "faststart"}),
        ("a.webm", "libopus", {}),
        ("a.avi", "libmp3lame", {}),
    ],
)
def test_a_file_cut_short_is_one_line_and_no_answer(analyze, tmp_path, name, codec, options, share):
    path = encode(tmp_path / name, codec, options=options)
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    outcome = analyze(path, "--json")
    assert outcome.result["error"]["kind"] == "truncated", outcome.result
    assert "cut short" in outcome.result["error"]["message"]
    assert outcome.err.count("\n") == 1


def test_a_stream_that_states_no_length_is_read_to_its_end(analyze, tmp_path):
    """As browsers record: Matroska with sizes left open."""
    path = encode(tmp_path / "a.webm", "libopus")
    content = bytearray(path.read_bytes())
    at = content.index(b"\x18\x53\x80\x67") + 4
    content[at : at + 8] = b"\x01" + 7 * b"\xff"
    path.write_bytes(content)
    result = analyze(path, "--json").result
    assert "no_stated_length" in [finding["kind"] for finding in result["findings"]]
    assert result["evidence"]["duration_s"] == pytest.approx(SECONDS, abs=0.2)


@pytest.mark.parametrize("name", ["a.mp4", "a.webm", "a.amr", "a.mkv"])
@pytest.mark.parametrize(
    "content",
    [b"Dear sir, enclosed please find my voice.\n" * 50, b"#!/bin/sh\necho\n", b"\0" * 9_000],
)
def test_what_is_only_called_so_is_one_line(analyze, tmp_path, name, content):
    (tmp_path / name).write_bytes(content)
    outcome = analyze(tmp_path / name)
    assert (outcome.status, outcome.err.count("\n")) == (1, 1)
    assert "not an audio file that can be read" in outcome.err


#: First bytes that decoders take for the beginning of something, and none.
STARTS = (
    *(b"", b"\xff\xfb\x90\x00", b"\xff\xf1\x50\x80", b"\x0b\x77", b"\x47", b"\x00\x00\x01\xba"),
    *(b"#!AMR\n", b"\x1aE\xdf\xa3", b"\0\0\0\x20ftypisom", b"OggS", b"fLaC", b"RIFF\0\0\0\0AVI "),
    *(b"\x7f\xfe\x80\x01", b"FLV\x01", b"wvpk", b"MAC ", b"TTA1", b"\x56\xe0", b".RMF", b"ea3\x03"),
)


@pytest.mark.parametrize("start", STARTS)
def test_random_bytes_are_never_taken_for_audio(tmp_path, start):
    for seed in range(12):
        for size in (300, 5_000, 100_000):
            noise = np.random.default_rng(seed).integers(0, 256, size, dtype=np.uint8)
            path = tmp_path / "a.bin"
            path.write_bytes(start + noise.tobytes())
            with pytest.raises(AudioError), open_recording(path) as recording:
                recording.read(lambda _: None)


def test_a_video_can_be_piped_in(analyze, tmp_path, weights_path):
    path = encode(tmp_path / "a.mkv", "libopus", video=True)
    command = [sys.executable, "-m", "codecsleuth", "analyze", "-", "--jsonl", "--model"]
    with path.open("rb") as file, subprocess.Popen(["cat"], stdin=file, stdout=-1) as cat:
        words = [*command, str(weights_path)]
        done = subprocess.run(words, stdin=cat.stdout, capture_output=True, text=True, check=False)
    assert done.stdout == analyze(path, "--jsonl").out.replace(f'"{path}"', '"-"'), done.stderr
