"""What reaches the network of a file: every format, every rate, nothing lost, nothing whole."""

from __future__ import annotations

import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import soundfile
import soxr

from codecsleuth.audio import decode
from codecsleuth.audio.facts import Facts
from codecsleuth.audio.recording import open_recording
from codecsleuth.audio.windows import (
    HOP_SAMPLES,
    SAMPLE_RATE,
    WINDOW_SAMPLES,
    Window,
    cut_windows,
)
from codecsleuth.errors import AudioError
from conftest import speech_like


def read(path: Path) -> np.ndarray:
    with open_recording(path) as recording:
        return np.concatenate(list(recording.samples()))


def facts_of(path: Path, windows: list[Window] | None = None) -> Facts:
    with open_recording(path) as recording:
        return recording.read((windows if windows is not None else []).append)


def kinds_of(path: Path) -> list[str]:
    return [finding.kind for finding in facts_of(path).findings]


FORMATS = [
    ("a.wav", {"subtype": "PCM_U8"}, 0.01),
    ("a.wav", {"subtype": "PCM_16"}, 1e-4),
    ("a.wav", {"subtype": "PCM_24"}, 1e-6),
    ("a.wav", {"subtype": "PCM_32"}, 1e-6),
    ("a.wav", {"subtype": "FLOAT"}, 0),
    ("a.wav", {"subtype": "DOUBLE"}, 0),
    ("a.wav", {"format": "WAVEX", "subtype": "PCM_24"}, 1e-6),
    ("a.wav", {"format": "RF64", "subtype": "PCM_16"}, 1e-4),
    ("a.flac", {}, 1e-4),
    ("a.flac", {"subtype": "PCM_24"}, 1e-6),
    ("a.aiff", {}, 1e-4),
    ("a.mp3", {}, 0.2),
    ("a.ogg", {}, 0.2),
    ("a.opus", {"format": "OGG", "subtype": "OPUS"}, 0.3),
]


@pytest.mark.parametrize(("name", "kind", "tolerance"), FORMATS)
def test_every_format_gives_the_sound_that_was_stored(clip, name, kind, tolerance):
    path = clip(name, **kind)
    got, meant = read(path), speech_like(4.2)
    assert got.shape == meant.shape
    assert np.abs(got - meant).max() <= tolerance


@pytest.mark.parametrize(("name", "kind", "_"), FORMATS)
def test_the_size_of_the_blocks_read_does_not_show(clip, monkeypatch, name, kind, _):
    path = clip(name, **kind)
    at_once = read(path)
    monkeypatch.setattr(decode, "_BLOCK_VALUES", 1000)
    assert np.array_equal(read(path), at_once)


@pytest.mark.parametrize("rate", [4_000, 8_000, 11_025, 22_050, 44_100, 48_000, 96_000, 192_000])
def test_any_rate_becomes_16_khz_as_if_resampled_in_one_piece(clip, monkeypatch, rate):
    path = clip("a.wav", seconds=1.3, rate=rate, subtype="FLOAT")
    monkeypatch.setattr(decode, "_BLOCK_VALUES", 1000)
    assert np.array_equal(read(path), soxr.resample(speech_like(1.3, rate), rate, SAMPLE_RATE))


@pytest.mark.parametrize("rate", [2_000, 384_000])
def test_rates_outside_the_range_are_refused(clip, rate):
    with pytest.raises(AudioError, match=str(rate)):
        read(clip("a.wav", rate=rate))


@pytest.mark.parametrize("channels", [2, 6, 40])
def test_channels_are_averaged_and_it_is_said(clip, channels):
    path = clip("a.wav", channels=channels, seconds=1.0, subtype="FLOAT")
    got, messages = read(path), [finding.message for finding in facts_of(path).findings]
    assert f"{channels} channels were mixed down to one" in messages
    meant = np.mean([speech_like(1.0, seed=c) for c in range(channels)], axis=0)
    assert np.allclose(got, meant, atol=1e-6)


@pytest.mark.parametrize(
    ("samples", "starts"),
    [
        (WINDOW_SAMPLES, [0]),
        (WINDOW_SAMPLES + 1, [0, 1]),
        (WINDOW_SAMPLES + HOP_SAMPLES, [0, HOP_SAMPLES]),
        (
            3 * WINDOW_SAMPLES - 7,
            [0, HOP_SAMPLES, 2 * HOP_SAMPLES, 3 * HOP_SAMPLES, 4 * HOP_SAMPLES - 7],
        ),
    ],
)
@pytest.mark.parametrize("block", [999, 50_000, 1_000_000])
def test_windows_overlap_by_half_and_the_last_ends_with_the_audio(samples, starts, block):
    sound = np.arange(samples, dtype=np.float32)
    windows = list(cut_windows(sound[at : at + block] for at in range(0, samples, block)))
    assert [round(window.start_s * SAMPLE_RATE) for window in windows] == starts
    for window, start in zip(windows, starts, strict=True):
        assert np.array_equal(window.samples, sound[start : start + WINDOW_SAMPLES])
    assert windows[-1].end_s == samples / SAMPLE_RATE
    # What is new in a window, in hops; the first stands for all that is before its second half.
    new = [min(1.0, (b - a) / HOP_SAMPLES) for a, b in pairwise([-HOP_SAMPLES, *starts])]
    assert [window.weight for window in windows] == pytest.approx(new)


def test_a_short_clip_is_repeated_to_fill_a_window():
    sound = speech_like(1.5)
    (window,) = cut_windows([sound])
    assert window.samples.shape == (WINDOW_SAMPLES,)
    assert np.array_equal(window.samples, np.tile(sound, 3)[:WINDOW_SAMPLES])
    assert (window.start_s, window.end_s) == (0.0, 1.5)


def test_three_quarters_of_a_second_are_enough_and_less_is_not():
    assert len(list(cut_windows([speech_like(0.75)]))) == 1
    for seconds, stated in ((0.74, "0.740"), (0.7496, "0.749"), (11_999 / 16_000, "0.749")):
        with pytest.raises(AudioError, match=f"^{stated} s of audio; at least 0.75 s are needed"):
            list(cut_windows([speech_like(seconds)]))


def test_evidence_states_the_file_as_stored(clip):
    import hashlib

    path = clip("a.flac", seconds=2.5, rate=44_100, channels=2)
    facts = facts_of(path).evidence
    assert facts.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert (facts.bytes, facts.container, facts.coding) == (path.stat().st_size, "FLAC", "PCM_16")
    assert facts.decoder.startswith("libsndfile 1.")
    assert (facts.sample_rate, facts.channels, facts.duration_s) == (44_100, 2, 2.5)


def test_silent_windows_are_left_out_and_counted(tmp_path):
    sound = np.concatenate([speech_like(8), np.zeros(20 * SAMPLE_RATE, np.float32)])
    soundfile.write(tmp_path / "a.wav", sound, SAMPLE_RATE)
    windows: list[Window] = []
    (finding,) = facts_of(tmp_path / "a.wav", windows).findings
    assert windows[-1].start_s < 8
    assert finding.kind == "silent_windows"


@pytest.mark.parametrize("offset", [0.0, 0.25])
def test_silence_is_an_error_also_with_an_offset(tmp_path, offset):
    soundfile.write(tmp_path / "a.wav", np.full(40_000, offset), SAMPLE_RATE)
    with pytest.raises(AudioError) as caught:
        facts_of(tmp_path / "a.wav")
    assert caught.value.kind == "silent"


def test_channels_that_cancel_are_named_as_the_reason_for_silence(tmp_path):
    sound = speech_like(2)
    soundfile.write(tmp_path / "a.wav", np.stack([sound, -sound], 1), SAMPLE_RATE)
    with pytest.raises(AudioError, match="cancel"):
        facts_of(tmp_path / "a.wav")


def test_clipping_low_rate_and_wrong_scale_are_said(tmp_path):
    def kinds(sound: np.ndarray, rate: int = 16_000) -> list[str]:
        soundfile.write(tmp_path / "a.wav", sound, rate, subtype="FLOAT")
        return kinds_of(tmp_path / "a.wav")

    assert kinds(speech_like(4)) == []
    assert kinds(np.clip(30 * speech_like(4), -1, 1)) == ["clipped"]
    assert kinds(speech_like(4, 8_000), 8_000) == ["low_sample_rate"]
    assert kinds(32768 * speech_like(4)) == ["overdriven"]
    assert kinds(speech_like(0.9)) == ["very_short"]


def test_memory_does_not_grow_with_the_length_of_a_file(tmp_path):
    program = """
import resource, sys
import numpy as np, soundfile
from codecsleuth.audio.recording import open_recording
path, minutes = sys.argv[1], int(sys.argv[2])
minute = 0.1 * np.random.default_rng(0).standard_normal((60 * 48_000, 2))
with soundfile.SoundFile(path, "w", 48_000, 2) as file:
    for _ in range(minutes):
        file.write(minute)
with open_recording(path) as recording:
    windows = 0
    def take(_):
        global windows
        windows += 1
    recording.read(take)
    assert windows > 14 * minutes
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""

    def peak(minutes: int) -> int:
        command = [sys.executable, "-c", program, str(tmp_path / "a.wav"), str(minutes)]
        return int(subprocess.run(command, capture_output=True, check=True).stdout)

    unit = 1 if sys.platform == "darwin" else 1024
    assert (peak(8) - peak(1)) * unit < 20e6
