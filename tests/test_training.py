"""Training: what comes out, and that an interrupted run ends as if it had not stopped."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile

from codecsleuth import cli
from codecsleuth.calibration import Calibration
from codecsleuth.data.items import read_items
from codecsleuth.errors import DataError, UsageError
from codecsleuth.inference.model import Model
from codecsleuth.models.compact import CompactConfig
from codecsleuth.taxonomy import CLASSES
from codecsleuth.training.checkpoint import read_checkpoint
from codecsleuth.training.compact import views as compact_views
from codecsleuth.training.compact.config import TrainingConfig
from codecsleuth.training.compact.trainer import FINAL_NAME, LEFT_OUT_NAME, Trainer
from codecsleuth.training.compact.views import ViewMaker
from codecsleuth.training.held_out import QUALITY, HeldOut, read_held_out
from codecsleuth.training.run import CHECKPOINT_NAME, LOG_NAME, one_cycle
from codecsleuth.weights import read_weights
from conftest import ROOT, speech_like

HEADER = "file,split,label,vq,aux,dec,codec,group,source"
CODECS = {
    "A": "MVQ,None,Time",
    "B": "SVQ,Semantic distillation,Frequency",
    "C": "SQ,Disentanglement,",
}
PAGES = ("page/one", "page/two", "page/three")
CONFIG = TrainingConfig(
    views=2, steps=7, batch_size=4, evaluate_every=3, checkpoint_every=3, learning_rate=1e-3
)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Speech-like clips, and the same with a tone that stands for each codec's trace."""
    folder = tmp_path_factory.mktemp("data")
    rows = [HEADER]
    for number in range(6):
        split, page = ("dev" if number >= 3 else "train"), PAGES[number % 3]
        clean = speech_like(1.2, seed=number)
        soundfile.write(folder / f"{number}.flac", clean, 16_000)
        rows.append(f"{number}.flac,{split},bonafide,,,,,u{number},{page}")
        for place, (codec, classes) in enumerate(CODECS.items(), 1):
            tone = 0.02 * np.sin(2 * np.pi * 1500 * place * np.arange(len(clean)) / 16_000)
            soundfile.write(folder / f"{number}{codec}.flac", clean + tone, 16_000)
            rows.append(f"{number}{codec}.flac,{split},spoof,{classes},{codec},u{number},{page}")
    (folder / "items.csv").write_text("\n".join(rows) + "\n", encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def views(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("views")


def trainer(
    data: Path,
    views: Path,
    config: TrainingConfig = CONFIG,
    calibrate_on: HeldOut | None = None,
    dropout: float = 0.3,
) -> Trainer:
    table = read_items(data)
    maker = ViewMaker(config.augmentation, config.seed, views, table.audio_sha256)
    for _ in maker.render(table.items, maker.missing(config.views), workers=1):
        pass
    network = CompactConfig(members=2, hidden=8, embedding=4, dropout=dropout)
    return Trainer(table, config, network, maker, calibrate_on)


def run(training: Trainer, out: Path, stop_after: int | None = None) -> None:
    out.mkdir(exist_ok=True)
    for progress in training.run(out):
        if progress.step == stop_after:
            return


@pytest.fixture(scope="module")
def uninterrupted(data: Path, views: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("whole")
    run(trainer(data, views), out)
    return out


@pytest.mark.parametrize("stop", [1, 5])
def test_an_interrupted_run_ends_as_if_it_had_not_stopped(
    data: Path, views: Path, uninterrupted: Path, tmp_path: Path, stop: int
) -> None:
    run(trainer(data, views), tmp_path, stop_after=stop)
    second = trainer(data, views)
    second.resume(tmp_path)
    run(second, tmp_path)
    for name in (FINAL_NAME, LOG_NAME):
        assert (tmp_path / name).read_bytes() == (uninterrupted / name).read_bytes()


#: Trains, and kills itself at a moment of the second checkpoint.
KILLED = """
import os, signal, sys
from pathlib import Path

import test_training
from codecsleuth.training import checkpoint

folders, moment = [Path(word) for word in sys.argv[1:4]], sys.argv[4]
saves, save_file, replace, fsync = 0, checkpoint.save_file, Path.replace, os.fsync


def die():
    os.kill(os.getpid(), signal.SIGKILL)


def save(tensors, path, facts):
    global saves
    saves += 1
    if saves == 2 and moment == "before":
        die()
    save_file(tensors, path, facts)
    if saves == 2 and moment == "half written":
        os.truncate(path, path.stat().st_size // 2)
        die()


def flush(handle):
    fsync(handle)
    if saves == 2 and moment == "written":
        die()


def rename(path, target):
    replace(path, target)
    if saves == 2 and moment == "renamed" and "checkpoint" in target.name:
        die()


checkpoint.save_file, os.fsync, Path.replace = save, flush, rename
data, views, out = folders
test_training.run(test_training.trainer(data, views), out)
"""


@pytest.mark.parametrize(
    ("moment", "step"), [("before", 3), ("half written", 3), ("written", 3), ("renamed", 6)]
)
def test_a_run_killed_while_it_saves_goes_on_from_a_readable_checkpoint(
    data: Path, views: Path, uninterrupted: Path, tmp_path: Path, moment: str, step: int
) -> None:
    paths = os.pathsep.join([str(ROOT / "src"), str(ROOT / "tests"), *sys.path])
    words = map(str, (data, views, tmp_path, moment))
    environment = os.environ | {"PYTHONPATH": paths}
    process = subprocess.run([sys.executable, "-c", KILLED, *words], env=environment)
    assert process.returncode == -signal.SIGKILL
    second = trainer(data, views)
    assert second.resume(tmp_path)
    assert second.step == step
    run(second, tmp_path)
    for name in (FINAL_NAME, LOG_NAME):
        assert (tmp_path / name).read_bytes() == (uninterrupted / name).read_bytes()
    left = {path.name for path in tmp_path.iterdir()}
    assert left == {CHECKPOINT_NAME, FINAL_NAME, LOG_NAME}


def test_another_seed_gives_another_network(
    data: Path, views: Path, uninterrupted: Path, tmp_path: Path
) -> None:
    run(trainer(data, views, replace(CONFIG, seed=7)), tmp_path)
    assert (tmp_path / FINAL_NAME).read_bytes() != (uninterrupted / FINAL_NAME).read_bytes()


def test_a_checkpoint_of_other_settings_is_refused(
    data: Path, views: Path, uninterrupted: Path
) -> None:
    with pytest.raises(UsageError, match="other settings"):
        trainer(data, views, replace(CONFIG, learning_rate=0.5)).resume(uninterrupted)


def test_the_final_file_analyzes_as_it_is(data: Path, uninterrupted: Path) -> None:
    answer = Model.load(uninterrupted / FINAL_NAME).analyze(data / "0.flac")
    assert 0.0 <= answer.codec_probability <= 1.0
    assert set(answer.taxonomy) == {"vq", "aux", "dec"}


def test_the_network_kept_is_the_one_with_the_best_dev_score(uninterrupted: Path) -> None:
    lines = [json.loads(line) for line in (uninterrupted / LOG_NAME).read_text().splitlines()]
    scores = {line["step"]: line["dev"]["score"] for line in lines if "dev" in line}
    assert list(scores) == [3, 6, 7]
    best = max(scores, key=scores.__getitem__)
    assert read_weights(uninterrupted / FINAL_NAME).training["best_step"] == best


def test_axes_are_put_to_the_share_of_bona_fide_among_the_clips(uninterrupted: Path) -> None:
    """A quarter of the training clips are bona fide, four tenths of each batch."""
    learned = read_checkpoint(uninterrupted / CHECKPOINT_NAME).states["best"]
    written = read_weights(uninterrupted / FINAL_NAME).tensors
    moved = {
        task: (written[name] - learned[name]).tolist()
        for task in CLASSES
        for name in [f"members.0.heads.{task}.bias"]
    }
    shift = np.log(0.25 / 0.75) - np.log(0.4 / 0.6)
    assert moved["BIN"] == [0.0, 0.0]
    assert moved["DEC"] == pytest.approx([shift, 0.0, 0.0], abs=1e-6)
    assert moved["VQ"] == pytest.approx([shift, 0.0, 0.0, 0.0], abs=1e-6)


def test_a_rare_class_gains_what_the_adjustment_says(
    data: Path, views: Path, tmp_path: Path
) -> None:
    """Two of three codecs are MVQ and none is SVQ: at 1, MVQ and SQ end up equally frequent."""
    relabelled = tmp_path / "data"
    shutil.copytree(data, relabelled)
    table = (relabelled / "items.csv").read_text(encoding="utf-8")
    (relabelled / "items.csv").write_text(table.replace("SVQ", "MVQ"), encoding="utf-8")
    config = replace(CONFIG, views=1, steps=1)
    axes = {}
    for adjustment in (0.0, 1.0):
        out = tmp_path / str(adjustment)
        run(trainer(relabelled, views, replace(config, adjustment=adjustment)), out)
        tensors = read_weights(out / FINAL_NAME).tensors
        axes[adjustment] = tensors["members.1.heads.VQ.bias"].tolist()
    real, several, single, scalar = np.subtract(axes[1.0], axes[0.0])
    assert (real, single) == (0.0, 0.0)
    assert scalar - several == pytest.approx(np.log(2.0), abs=1e-5)


def test_training_learns_what_sets_the_labels_apart(
    data: Path, views: Path, tmp_path: Path
) -> None:
    config = replace(CONFIG, steps=50, evaluate_every=50, mixup=0.0, learning_rate=3e-3)
    training = trainer(data, views, config, dropout=0.0)
    losses = [progress.losses["BIN"] for progress in training.run(tmp_path)]
    assert np.mean(losses[-10:]) < 0.75 * np.mean(losses[:5])


def test_sources_left_out_are_left_out(data: Path, views: Path, tmp_path: Path) -> None:
    run(trainer(data, views, replace(CONFIG, left_out_sources=("page/two",))), tmp_path)
    assert read_weights(tmp_path / FINAL_NAME).training["sources"] == ["page/one", "page/three"]


def test_calibration_is_fitted_to_the_answers_given(
    data: Path, views: Path, uninterrupted: Path, tmp_path: Path
) -> None:
    """Answers shifted by a constant are put back by it."""
    table = read_items(data)
    shift = 5.0
    codec = np.array([1.0 if item.is_codec else -1.0 for item in table])
    noise = np.random.default_rng(0).normal(0.0, 1.0, len(table))
    logits = np.stack([shift + codec + noise, np.zeros(len(table))], axis=1)
    answers = {"BIN": logits[None], QUALITY: np.zeros((1, len(table), 2))}
    path = tmp_path / "left-out.safetensors"
    HeldOut(table.clips_sha256, np.arange(len(table)), answers).write(path)
    given = read_held_out([path], table.clips_sha256)
    run(trainer(data, views, calibrate_on=given), tmp_path)
    fitted = Calibration.from_dict(read_weights(tmp_path / FINAL_NAME).calibration)
    even = -fitted.bin_bias / fitted.bin_scale
    assert even == pytest.approx(shift, abs=0.6)


def test_a_run_without_a_source_tells_what_it_says_of_it(
    data: Path, views: Path, tmp_path: Path
) -> None:
    run(trainer(data, views, replace(CONFIG, left_out_sources=("page/two",))), tmp_path)
    table = read_items(data)
    told = read_held_out([tmp_path / LEFT_OUT_NAME], table.clips_sha256)
    assert {table.items[row].source for row in told.rows} == {"page/two"}
    assert told.outputs["VQ"].shape == (CONFIG.views, len(told.rows), 4)


def test_answers_about_other_clips_are_refused(data: Path, tmp_path: Path) -> None:
    path = tmp_path / "left-out.safetensors"
    HeldOut("other", np.arange(1), {"BIN": np.zeros((1, 1, 2))}).write(path)
    with pytest.raises(DataError, match="other data"):
        read_held_out([path], read_items(data).clips_sha256)


def test_views_do_not_depend_on_the_number_of_workers(data: Path, tmp_path: Path) -> None:
    table = read_items(data)
    rendered = []
    for workers in (1, 2):
        maker = ViewMaker(CONFIG.augmentation, 1, tmp_path / str(workers), table.audio_sha256)
        assert sum(maker.render(table.items, [1], workers)) == len(table)
        rendered.append(np.asarray(maker.load(1)))
    np.testing.assert_array_equal(*rendered)


def test_the_learning_rate_rises_to_its_peak_and_no_further() -> None:
    factors = [one_cycle(step / 1000, 0.15) for step in range(1001)]
    assert max(factors) == factors[150] == 1.0
    assert 0.0 < factors[0] < 0.05


def test_rendered_views_are_kept_until_what_they_follow_from_changes(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = tmp_path / "front_end.py"
    text = '"""Said so."""\n\n\ndef double(x):\n    """Twice."""\n    return 2 * x\n'

    def path(code: str = text, audio: str = "ab") -> Path:
        module.write_text(code, encoding="utf-8")
        monkeypatch.setattr(compact_views.front_end, "__file__", str(module))
        return ViewMaker(CONFIG.augmentation, 1, tmp_path, audio).path(1)

    first = path()
    assert path(text.replace("Twice", "Two times").replace("Said", "Put")) == first
    assert path(text.replace("2 *", "3 *")) != first
    assert path(audio="cd") != first
    monkeypatch.setattr(compact_views.metadata, "version", lambda name: "0.0")
    assert path() != first


def test_the_hash_of_the_audio_follows_from_the_files_alone(data: Path, tmp_path: Path) -> None:
    copied = tmp_path / "data"
    shutil.copytree(data, copied)
    table = (copied / "items.csv").read_text(encoding="utf-8")
    (copied / "items.csv").write_text(table.replace("SVQ", "MVQ"), encoding="utf-8")
    assert read_items(copied).audio_sha256 == read_items(data).audio_sha256
    shutil.copyfile(data / "1.flac", copied / "2.flac")
    changed = read_items(copied)
    assert changed.audio_sha256 != read_items(data).audio_sha256
    (copied / "3.flac").unlink()
    with pytest.raises(DataError, match=r"3\.flac \(row 14\): cannot be read"):
        _ = replace(changed).audio_sha256


def command(capsys: pytest.CaptureFixture[str], *words: object) -> tuple[int, str]:
    status = cli.run(["train", *map(str, words)])
    out, err = capsys.readouterr()
    assert out == ""
    return status, err


def test_the_command_trains_resumes_and_refuses_to_overwrite(
    data: Path, views: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ("--data", data, "--out", tmp_path, "--views-dir", views, "--views", 2, "--workers", 1)
    words += ("--steps", 2, "--batch-size", 4)
    status, err = command(capsys, *words)
    assert status == 0
    assert "dev:" in err
    first = (tmp_path / FINAL_NAME).read_bytes()
    status, err = command(capsys, *words)
    assert (status, err.count("\n")) == (2, 1)
    assert "--resume" in err
    status, _ = command(capsys, *words, "--resume")
    assert status == 0
    assert (tmp_path / FINAL_NAME).read_bytes() == first


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("--model", "huge"), "compact"),
        (("--tasks", "M9"), "M1"),
        (("--balance", "bin"), "vq, aux or dec"),
        (("--leave-out-source", "nowhere"), "nowhere"),
        (("--fold", "9/5"), "9/5"),
    ],
)
def test_wrong_usage_is_one_line(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], words: tuple[str], told: str
) -> None:
    status, err = command(capsys, "--data", data, "--out", tmp_path / "run", *words)
    assert (status, err.count("\n")) == (2, 1)
    assert told in err


def test_a_clip_that_cannot_be_read_is_named_with_its_row(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    broken = tmp_path / "data"
    shutil.copytree(data, broken)
    (broken / "1B.flac").write_bytes(b"not audio at all")
    status, err = command(capsys, "--data", broken, "--out", tmp_path / "run", "--workers", 1)
    assert (status, err.count("\n")) == (1, 1)
    assert "1B.flac" in err
    assert "row 8" in err


def test_nothing_of_training_is_imported_to_analyze() -> None:
    code = "import sys, codecsleuth.inference.model, codecsleuth.models.compact;"
    code += "print([m for m in sys.modules if 'codecsleuth.training' in m or '.data' in m])"
    found = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT
    )
    assert "codecsleuth" not in found.stdout
