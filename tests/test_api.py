"""The library: what it takes, what it refuses in words, and results as values."""

from __future__ import annotations

import io
import json
import pickle
from dataclasses import replace

import numpy as np
import pytest
import soundfile
import torch

import codecsleuth
from answers import ERROR, SEVERAL, analysis
from codecsleuth import api
from codecsleuth.cli import options
from codecsleuth.errors import AudioError, DataError, UsageError, WeightsError
from codecsleuth.inference import compute
from codecsleuth.inference.engine import Input
from codecsleuth.inference.model import Model
from conftest import speech_like

RATE = 16_000


@pytest.mark.parametrize(
    "error",
    [
        AudioError("silent", "silent throughout", {"bytes": 9}),
        UsageError("no such option"),
        DataError("row 3"),
        WeightsError("damaged"),
    ],
)
def test_errors_survive_pickling(error):
    copy = pickle.loads(pickle.dumps(error))
    assert (type(copy), str(copy), vars(copy)) == (type(error), str(error), vars(error))


@pytest.mark.parametrize("value", [*SEVERAL, Input("a.wav", problem=AudioError("io", "no"))])
def test_inputs_and_results_survive_pickling(value):
    copy = pickle.loads(pickle.dumps(value))
    if isinstance(value, Input):  # exceptions are never equal
        assert (copy.path, str(copy.problem)) == (value.path, str(value.problem))
    else:
        assert copy == value and hash(copy) == hash(value) and copy.to_dict() == value.to_dict()


def test_results_compare_and_hash_by_what_they_say(model, clip):
    path = clip("a.wav")
    one, again = model.analyze(path), model.analyze(path)
    assert one == again and len({one, again, ERROR, replace(ERROR)}) == 2
    assert one != replace(one, verdict="mixed")
    assert analysis() != analysis(log10_lr=1.8)
    assert pickle.loads(pickle.dumps(one)) == one
    with pytest.raises(TypeError):
        one.taxonomy["vq"] = None


def test_to_dict_is_the_entry_of_the_json_answer(analyze, model, clip):
    path = clip("a.wav")
    entries = analyze("--json", path, "gone.wav").document["results"]
    results = list(codecsleuth.analyze_files([path, "gone.wav"], model=model))
    assert [json.loads(json.dumps(result.to_dict())) for result in results] == entries


def test_the_command_line_and_the_library_compute_alike(analyze, model, clip):
    assert options.Device.cpu == compute.DEFAULT_DEVICE
    assert options.Precision.float32 == compute.DEFAULT_PRECISION
    path = clip("a.wav", 9)
    document = analyze("--json", path).document
    assert document["settings"]["precision"] == model.precision == "float32"
    assert document["results"] == [model.analyze(path).to_dict()]


def test_the_embedded_model_is_loaded_once(clip, monkeypatch):
    loaded = []
    usual = Model.load
    monkeypatch.setattr(
        Model, "load", lambda *given, **more: loaded.append(given) or usual(*given, **more)
    )
    api._embedded.cache_clear()
    path = clip("a.wav", 1)
    first = codecsleuth.analyze(path)
    assert codecsleuth.analyze(path) == first == next(iter(codecsleuth.analyze_files([path])))
    assert len(loaded) == 1


def test_many_files_are_analysed_in_order_and_an_error_is_a_result(model, clip):
    paths = [clip(f"{number}.wav", 1, seed=number) for number in range(5)]
    results = list(codecsleuth.analyze_files(iter([*paths[:2], "gone", *paths[2:]]), model=model))
    assert [result.path for result in results] == [*map(str, paths[:2]), "gone"] + [
        str(path) for path in paths[2:]
    ]
    assert isinstance(results[2], codecsleuth.FileError)
    with pytest.raises(UsageError, match="as a list"):
        codecsleuth.analyze_files("a.wav")


SOUND = np.round(speech_like(2) * 32768).astype(np.int16)
FLOATS = SOUND / np.float32(32768)


@pytest.mark.parametrize(
    "samples",
    [
        SOUND,
        SOUND.astype(np.int32) << 16,
        FLOATS.astype(np.float64),
        FLOATS.tolist(),
        FLOATS[:, None],
        np.stack([FLOATS, FLOATS], 1),
        FLOATS.repeat(2)[::2],
        torch.from_numpy(FLOATS.copy()),
        torch.from_numpy(FLOATS.copy()).requires_grad_(),
    ],
    ids=["int16", "int32", "float64", "list", "column", "stereo", "strided", "tensor", "trained"],
)
def test_samples_of_every_usual_kind_get_the_same_answer(model, samples):
    answer = model.analyze(samples, RATE)
    assert answer.raw["BIN"].tolist() == model.analyze(FLOATS, RATE).raw["BIN"].tolist()
    assert (answer.path, answer.evidence.container) == ("", "array")
    assert answer.evidence.duration_s == 2.0


@pytest.mark.parametrize(
    ("samples", "rate", "advice"),
    [
        (FLOATS, None, "give sample_rate"),
        (FLOATS, 16_000.5, "whole hertz"),
        (FLOATS, "16000", "whole hertz"),
        (FLOATS, float("nan"), "whole hertz"),
        (FLOATS, 1_000, "4000 to 192000 Hz"),
        (np.stack([FLOATS, FLOATS]), RATE, "transpose"),
        (FLOATS[None, None], RATE, r"\(frames,\) or \(frames, channels\)"),
        (np.float32(0.5), RATE, r"\(frames,\) or \(frames, channels\)"),
        (SOUND.astype(np.int64), RATE, "int16 or int32"),
        (SOUND.astype(np.uint8), RATE, "int16 or int32"),
        (["a", "b"], RATE, "give floats"),
        ([[0.1, 0.2], [0.3]], RATE, "give a path, or an array"),
        (torch.zeros(RATE, dtype=torch.bfloat16), RATE, "give a path, or an array"),
        (None, RATE, "samples must be"),
        (io.BytesIO(b"RIFF"), RATE, "a file object: give its path"),
        (io.BytesIO(b"RIFF"), None, "a file object: give its path"),
        (np.zeros((RATE, 0)), RATE, "no channels"),
        (np.zeros(0), RATE, "no audio samples|0.000 s of audio"),
    ],
)
def test_what_cannot_be_taken_is_refused_with_a_line_that_says_what_to_give(
    model, samples, rate, advice
):
    with pytest.raises(AudioError, match=advice) as caught:
        model.analyze(samples, rate)
    assert "\n" not in str(caught.value)


def test_a_file_has_its_own_rate_and_samples_of_a_file_its_answer(model, clip):
    path = clip("a.wav", 6, subtype="FLOAT")
    samples, rate = soundfile.read(path, dtype="float32")
    of_file, of_array = model.analyze(path), model.analyze(samples, rate)
    assert of_array.probabilities == of_file.probabilities
    assert of_array.taxonomy == of_file.taxonomy
    with pytest.raises(AudioError, match="leave sample_rate out"):
        model.analyze(path, 16_000)


def test_all_that_is_promised_is_there():
    for name in codecsleuth.__all__:
        assert getattr(codecsleuth, name) is not None
    assert not hasattr(codecsleuth, "no_such_name")
