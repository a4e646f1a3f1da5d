"""The answer: the same however the work is spread, and not decided by one odd window."""

from __future__ import annotations

import json
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from torch import nn

from codecsleuth import Analysis, analyze_files
from codecsleuth.audio.windows import SAMPLE_RATE, WINDOW_SAMPLES
from codecsleuth.calibration import Calibration
from codecsleuth.errors import UsageError, WeightsError
from codecsleuth.inference.aggregate import aggregate, midmean
from codecsleuth.inference.compute import one_thread
from codecsleuth.inference.engine.local import LocalEngine
from codecsleuth.inference.model import Model
from codecsleuth.weights import read_weights, write_weights
from conftest import speech_like


@pytest.fixture
def folder(clip, tmp_path) -> Path:
    """Clips of many lengths, rates and formats."""
    for number, (seconds, rate, suffix) in enumerate(
        [
            (1.0, 16_000, "wav"),
            (4.0, 16_000, "flac"),
            (9.7, 16_000, "wav"),
            (5.0, 44_100, "ogg"),
            (13.0, 8_000, "mp3"),
            (2.2, 48_000, "aiff"),
        ]
    ):
        clip(f"many/{number}.{suffix}", seconds, rate, seed=number)
    return tmp_path / "many"


def test_the_answer_does_not_depend_on_how_the_work_is_spread(analyze, folder):
    plain = analyze("--json", folder, "--workers", 1)
    assert plain.status == 0
    for workers in (4, 7):
        assert analyze("--json", folder, "--workers", workers).out == plain.out


def test_the_answer_does_not_depend_on_order_or_on_other_files(analyze, folder):
    together = {r["path"]: r for r in analyze("--json", folder).document["results"]}
    backwards = analyze("--jsonl", *sorted(map(str, folder.iterdir()), reverse=True))
    for line in backwards.out.splitlines()[1:]:
        result = json.loads(line)
        assert result == together[result["path"]]
        assert analyze("--json", result["path"]).result == result


def test_threads_of_torch_do_not_change_logits_and_are_given_back(model, clip):
    path, before = clip("a.wav", 9), torch.get_num_threads()
    try:
        answers = []
        for threads in (1, 2, 4):
            torch.set_num_threads(threads)
            answers.append(model.logits(path))
            assert torch.get_num_threads() == threads
    finally:
        torch.set_num_threads(before)
    for other in answers[1:]:
        assert all(np.array_equal(other[task], values) for task, values in answers[0].items())


def test_callers_at_the_same_time_each_compute_on_one_thread_and_get_their_own_number_back():
    """One that torch knows already, and one that begins while the other computes."""
    before = torch.get_num_threads()
    inside, done = threading.Event(), threading.Event()

    def first() -> tuple[int, int]:
        torch.set_num_threads(3)
        with one_thread():
            inside.set()
            done.wait(10)
            during = torch.get_num_threads()
        return during, torch.get_num_threads()

    def second() -> tuple[int, int]:
        inside.wait(10)
        with one_thread():
            during = torch.get_num_threads()
            done.set()
        return during, torch.get_num_threads()

    try:
        torch.set_num_threads(4)
        with ThreadPoolExecutor(2) as pool:
            answers = [pool.submit(caller) for caller in (first, second)]
            assert [answer.result() for answer in answers] == [(1, 3), (1, 3)]
        assert torch.get_num_threads() == 4
    finally:
        torch.set_num_threads(before)


def test_a_number_of_threads_that_is_set_meanwhile_is_kept():
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(2)
        with one_thread():
            torch.set_num_threads(3)
        assert torch.get_num_threads() == 3
    finally:
        torch.set_num_threads(before)


def test_callers_own_threads_get_the_same_bits(model):
    sounds = [speech_like(5, seed=seed) for seed in range(6)]
    alone = [model.logits(sound, SAMPLE_RATE)["BIN"] for sound in sounds]
    with ThreadPoolExecutor(6) as pool:
        at_once = list(pool.map(lambda s: model.logits(s, SAMPLE_RATE)["BIN"], sounds))
    assert np.array_equal(alone, at_once)


def test_a_copy_in_another_container_gets_the_same_answer(model, clip):
    wav = clip("a.wav", 7)
    flac = wav.with_suffix(".flac")
    soundfile.write(flac, *soundfile.read(wav, dtype="int16"))
    assert model.analyze(wav).raw["BIN"].tolist() == model.analyze(flac).raw["BIN"].tolist()


def test_logits_are_those_of_the_network_on_the_repeated_clip(model):
    sound = speech_like(1.7)
    with torch.inference_mode():
        direct = model.network(torch.from_numpy(np.resize(sound, WINDOW_SAMPLES))[None])
    for task, logits in model.logits(sound, SAMPLE_RATE).items():
        expected = torch.log_softmax(direct[task][0].double(), -1).numpy()
        np.testing.assert_allclose(logits, expected, atol=1e-5)


def test_midmean_is_the_mean_of_the_middle_half():
    assert midmean(np.array([[3.0]])) == 3.0
    assert midmean(np.array([[1.0], [5.0]])) == 3.0
    assert midmean(np.array([[9.0], [1.0], [2.0], [3.0]])) == 2.5
    # Three values: the outer ones lie in the middle half by a twelfth each.
    assert midmean(np.array([[0.0], [1.0], [8.0]])) == pytest.approx((4 * 1 + 1 * 8) / 6)
    assert midmean(np.arange(8.0)[:, None]) == np.mean([2, 3, 4, 5])


def test_one_odd_window_does_not_decide():
    calm = [{"BIN": np.array([-1.0, 1.0]), "VQ": np.array([2.0, 0.0, 0.0, 1.0])}] * 9
    odd = {"BIN": np.array([500.0, -500.0]), "VQ": np.array([-500.0, 500.0, 0.0, 0.0])}
    with_odd, without = aggregate([*calm, odd]), aggregate(calm)
    for task, logits in without.items():
        np.testing.assert_allclose(with_odd[task], logits)


def test_the_last_window_counts_by_the_audio_that_is_new_in_it(by_loudness):
    """Of 4.1 s the second window repeats all but 0.06 s of the first."""
    loud, quiet = {"BIN": np.array([8.0, 0.0])}, {"BIN": np.array([-8.0, 0.0])}
    even, by_weight = aggregate([loud, quiet]), aggregate([loud, quiet], [1.0, 0.03])
    assert even["BIN"][0] == pytest.approx(even["BIN"][1])
    np.testing.assert_allclose(by_weight["BIN"], aggregate([loud])["BIN"])
    sound = 0.5 * np.random.default_rng(0).standard_normal(round(4.1 * SAMPLE_RATE))
    sound[WINDOW_SAMPLES:] = 0.0
    sound = sound.astype(np.float32)
    whole, start = (
        by_loudness.analyze(part, SAMPLE_RATE) for part in (sound, sound[:WINDOW_SAMPLES])
    )
    assert (len(whole.windows), len(start.windows)) == (2, 1)
    assert whole.log10_lr == pytest.approx(start.log10_lr)


class Loudness(nn.Module):
    """A stand-in whose answer is in the sound: loud windows are codec, quiet ones are not."""

    precisions = ("float32",)
    block_names = ()

    def outputs(self, waveforms: torch.Tensor, *, exact: bool = False) -> dict[str, torch.Tensor]:
        level = 10 * torch.log10(waveforms.square().mean(1) + 1e-12).unsqueeze(1)
        return {
            "BIN": torch.cat([level + 30, -level - 30], 1),
            "DEC": torch.cat([0 * level, level, -level], 1),
        }


@pytest.fixture
def by_loudness() -> Model:
    calibration = Calibration(bona_fide_threshold=0.3, codec_threshold=0.7)
    return Model(Loudness(), "loudness", "0", "0" * 64, ("BIN", "DEC"), calibration)


def test_verdict_probability_and_ratio_agree(by_loudness):
    for gain, verdict in ((0.002, "bona_fide"), (0.0316, "inconclusive"), (0.5, "codec")):
        spoken = speech_like(8)
        answer = by_loudness.analyze(gain * spoken / spoken.std(), SAMPLE_RATE)
        assert answer.verdict == verdict
        odds = answer.codec_probability / (1 - answer.codec_probability)
        assert np.log10(odds) == pytest.approx(answer.log10_lr)


def test_a_limited_calibration_claims_no_more_than_its_limit(by_loudness):
    model = replace(by_loudness, calibration=Calibration(max_log_odds=np.log(1000)))
    loud = model.analyze(speech_like(5) * 8, SAMPLE_RATE)
    assert loud.log10_lr == pytest.approx(3.0)


def test_windows_that_disagree_are_a_finding(by_loudness):
    half = np.concatenate([speech_like(20), 0.01 * speech_like(20)])
    answer = by_loudness.analyze(half, SAMPLE_RATE)
    assert [one.kind for one in answer.findings] == ["several_passages"]
    assert answer.windows[0].codec_probability > 0.9 > 0.1 > answer.windows[-1].codec_probability
    assert by_loudness.analyze(speech_like(20), SAMPLE_RATE).findings == ()


def test_axes_are_given_whatever_the_verdict_and_only_those_the_model_has(by_loudness):
    answer = by_loudness.analyze(0.02 * speech_like(5), SAMPLE_RATE)
    assert answer.verdict == "bona_fide"
    assert set(answer.taxonomy) == {"dec"}
    assert answer.taxonomy["dec"].label == "Frequency"
    assert sum(answer.taxonomy["dec"].probabilities.values()) == pytest.approx(1)


def test_a_model_without_bin_is_asked_through_its_axes(by_loudness):
    model = replace(by_loudness, tasks=("DEC",))
    answer = model.analyze(speech_like(5), SAMPLE_RATE)
    assert answer.codec_probability > 0.99  # both codec classes together far above Real


def test_a_crash_within_one_file_is_its_error_entry(by_loudness, clip):
    class Fragile(Loudness):
        def outputs(self, waveforms, *, exact=False):
            if waveforms.abs().max() > 5:
                raise RuntimeError("boom")
            return super().outputs(waveforms)

    loud, good = clip("loud.wav", subtype="FLOAT"), clip("good.wav")
    soundfile.write(loud, 50 * speech_like(9), SAMPLE_RATE, subtype="FLOAT")
    model = replace(by_loudness, network=Fragile())
    broken, fine = analyze_files([loud, good], model=model)
    assert (broken.kind, broken.message) == ("internal", "unexpected RuntimeError: boom")
    assert isinstance(fine, Analysis)


def test_closing_the_iterator_stops_the_work(by_loudness, clip):
    paths = [str(clip(f"{n}.wav", seconds=1)) for n in range(40)]
    asked = []

    class Counting(Loudness):
        def outputs(self, waveforms, *, exact=False):
            asked.append(threading.get_ident())
            return super().outputs(waveforms)

    model = replace(by_loudness, network=Counting())
    answers = analyze_files(paths * 20, model=model, engine=LocalEngine(2))
    next(answers)
    answers.close()
    assert len(asked) < 400


@pytest.mark.parametrize("device", ["cuda", "mps"])
def test_a_device_that_is_not_there_is_one_line(analyze, clip, device, weights_path):
    try:
        Model.load(weights_path, device=device)
    except UsageError as error:
        assert "not available" in str(error)
        outcome = analyze(clip("a.wav"), "--device", device)
        assert (outcome.status, outcome.out) == (2, "")
        assert outcome.err.count("\n") == 1
    else:
        pytest.skip(f"this machine has {device}")


def test_weights_that_do_not_fit_are_one_line(weights_path, tmp_path):
    weights = read_weights(weights_path)
    name, tensor = next((n, t) for n, t in weights.tensors.items() if t.ndim > 1)
    shorter = {**weights.tensors, name: tensor[:1]}
    fewer = {key: value for key, value in weights.tensors.items() if key != name}
    for number, changes in enumerate(
        (
            {"tensors": shorter},
            {"tensors": fewer},
            {"config": {"wheels": 4}},
            {"architecture": "elephant"},
            {"calibration": {}},
        )
    ):
        path = tmp_path / f"{number}.safetensors"
        write_weights(path, replace(weights, **changes))
        with pytest.raises(WeightsError) as caught:
            Model.load(path)
        assert "\n" not in str(caught.value)


class Rounded(Loudness):
    """Has two precisions, of which the rough one errs; counts what it is asked for."""

    precisions = ("float32", "bfloat16")
    block_names = ()

    def __init__(self, rough: float, exact: float) -> None:
        super().__init__()
        self.log_odds = {False: rough, True: exact}
        self.asked: list[bool] = []

    def outputs(self, waveforms: torch.Tensor, *, exact: bool = False) -> dict[str, torch.Tensor]:
        self.asked.append(exact)
        value = self.log_odds[exact] * torch.ones(len(waveforms), 1)
        return {"BIN": torch.cat([value, 0 * value], 1)}


@pytest.mark.parametrize(
    ("probability", "asked"), [(0.69, [False, True]), (0.71, [False, True]), (0.9, [False])]
)
def test_in_half_precision_what_is_near_a_threshold_is_computed_in_full(
    by_loudness, probability, asked
):
    near = float(np.log(probability / (1 - probability)))
    network = Rounded(near, near - 0.2)
    model = replace(by_loudness, network=network, precision="bfloat16", tasks=("BIN",))
    answer = model.analyze(speech_like(3), SAMPLE_RATE)
    assert network.asked == asked
    exact = len(asked) == 2
    assert answer.log10_lr == pytest.approx((near - 0.2 * exact) / np.log(10))


def test_what_is_piped_in_can_be_computed_a_second_time(by_loudness, clip, monkeypatch):
    network = Rounded(np.log(0.7 / 0.3), 2.0)
    model = replace(by_loudness, network=network, precision="bfloat16", tasks=("BIN",))
    with clip("a.wav", 3).open("rb") as piped:
        monkeypatch.setattr("sys.stdin", piped)
        assert model.analyze("-").log10_lr == pytest.approx(2.0 / np.log(10))
    assert network.asked == [False, True]
