"""Parts of recordings: from one second to another, one channel, each channel, one track."""

from __future__ import annotations

import csv
import io
import json

import numpy as np
import pytest
import soundfile

from codecsleuth import Analysis, FileError
from codecsleuth.audio.recording import Excerpt
from codecsleuth.inference.answer import result_from_dict
from conftest import speech_like

WHOLE_KEYS = {"start_s": 0.0, "end_s": None, "channel": None, "track": 1}


@pytest.fixture
def stereo(tmp_path):
    path = tmp_path / "two.wav"
    sides = [speech_like(6, seed=1), speech_like(6, seed=7)]
    soundfile.write(path, np.stack(sides, 1), 16_000, subtype="FLOAT")
    for number, side in enumerate(sides, 1):
        soundfile.write(tmp_path / f"side{number}.wav", side, 16_000, subtype="FLOAT")
    return path


def test_an_excerpt_is_answered_like_a_file_of_its_own_and_says_which_it_is(
    analyze, stereo, tmp_path
):
    samples, rate = soundfile.read(tmp_path / "side2.wav", dtype="float32")
    soundfile.write(tmp_path / "cut.wav", samples[rate : 5 * rate], rate, subtype="FLOAT")
    part = analyze(stereo, "--channel", 2, "--start", 1, "--end", 5, "--json").result
    own = analyze(tmp_path / "cut.wav", "--json").result
    assert part["excerpt"] == {"start_s": 1.0, "end_s": 5.0, "channel": 2, "track": 1}
    assert part["evidence"]["duration_s"] == own["evidence"]["duration_s"] == 4.0
    assert part["log10_lr"] == own["log10_lr"]
    assert [w["start_s"] - 1 for w in part["windows"]] == [w["start_s"] for w in own["windows"]]


def test_the_whole_recording_states_no_excerpt(analyze, stereo):
    assert "excerpt" not in analyze(stereo, "--json", "--channel", "mix", "--track", 1).result


def test_each_channel_gets_an_answer(analyze, stereo, tmp_path):
    lines = analyze(stereo, "gone.wav", "--channel", "each", "--jsonl").out.splitlines()[1:]
    entries = [json.loads(line) for line in lines]
    assert [e.get("excerpt") for e in entries] == [
        WHOLE_KEYS | {"channel": 1},
        WHOLE_KEYS | {"channel": 2},
        None,
    ]
    alone = [analyze(tmp_path / f"side{n}.wav", "--json").result for n in (1, 2)]
    assert [e["log10_lr"] for e in entries[:2]] == [one["log10_lr"] for one in alone]
    table = analyze(stereo, "--channel", "each", "--end", 3).out
    assert "from 0 to 3 s, channel 1" in table and "from 0 to 3 s, channel 2" in table


def test_csv_has_a_column_for_each_value(analyze, stereo):
    out = analyze(stereo, "--csv", "--start", 1.5, "--channel", 1).out
    (row,) = csv.DictReader(io.StringIO(out))
    names = ("start_s", "end_s", "channel", "track")
    assert [row[name] for name in names] == ["1.5", "", "1", "1"]
    (row,) = csv.DictReader(io.StringIO(analyze(stereo, "--csv").out))
    assert [row[name] for name in names] == ["", "", "", ""]


@pytest.mark.parametrize(
    ("options", "kind", "words"),
    [
        (("--start", 60), "excerpt", "before the start at 60"),
        (("--channel", 3), "channel", "no channel 3; there are 2"),
        (("--track", 2), "track", "no audio track 2"),
    ],
)
def test_what_a_recording_does_not_have_is_its_error(analyze, stereo, options, kind, words):
    outcome = analyze(stereo, "--json", *options)
    assert outcome.status == 1
    assert outcome.result["error"]["kind"] == kind
    assert words in outcome.result["error"]["message"]
    assert outcome.result["excerpt"] == WHOLE_KEYS | outcome.result["excerpt"]


@pytest.mark.parametrize(
    "options",
    [
        ("--start", -1),
        ("--start", "nan"),
        ("--start", 3, "--end", 3),
        ("--end", 0),
        ("--end", "inf"),
        ("--channel", 0),
        ("--channel", "left"),
        ("--channel", -1),
        ("--track", 0),
    ],
)
def test_what_can_be_in_no_recording_is_wrong_usage(analyze, stereo, options):
    outcome = analyze(stereo, *options)
    assert (outcome.status, outcome.out, len(outcome.err.splitlines())) == (2, "", 1)


def test_an_entry_read_back_writes_the_same_entry(analyze, stereo):
    lines = analyze(stereo, "gone.wav", "--start", 2, "--channel", "each", "--jsonl").out
    entries = [json.loads(line) for line in lines.splitlines()[1:]]
    results = [result_from_dict(entry) for entry in entries]
    assert [type(result) for result in results] == [Analysis, Analysis, FileError]
    assert [result.to_dict() for result in results] == entries
    assert results[0].excerpt == Excerpt(2.0, None, 1)
    assert hash(results[0]) == hash(result_from_dict(entries[0]))
