"""The file of scores: it keeps all that figures are made from, and says when it is not whole."""

from __future__ import annotations

import csv
import gzip
import json
import lzma
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from codecsleuth.calibration import Calibration
from codecsleuth.data.items import Item
from codecsleuth.errors import DataError
from codecsleuth.evaluation.document import Report, Spread
from codecsleuth.evaluation.score_file import ScoreFile, read_score_file
from codecsleuth.evaluation.scores import ScoreTable
from codecsleuth.taxonomy import CLASSES
from conftest import score_file

NAMES = ("a.wav", 'com,ma "quoted".wav', "line\nbreak\r.wav", "# not a header.wav", "ünï\u2028.wav")


def table(names: tuple[str, ...] = NAMES, seed: int = 0) -> ScoreTable:
    generator = np.random.default_rng(seed)
    items = []
    for number, name in enumerate(names):
        codec = number % 2 == 1
        classes = ("MVQ", None, "Time") if codec else ("Real", "Real", "Real")
        label = "spoof" if codec else "bonafide"
        facts = {"codec": "EnCodec" * codec, "group": str(number // 2), "source": "page"}
        facts |= {"subset": "CoSG", "system": "S,1", "speaker": "p1"}
        seconds = None if number == 0 else 0.1 + number
        items.append(
            Item(number + 2, name, Path(name), "dev", label, *classes, duration_s=seconds, **facts)
        )
    logits = {t: generator.normal(size=(len(names), len(CLASSES[t]))) / 3 for t in CLASSES}
    return ScoreTable(tuple(items), logits)


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., Path]:
    def make(content: str | ScoreFile, name: str = "scores.csv") -> Path:
        text = content if isinstance(content, str) else content.to_csv()
        (tmp_path / name).write_bytes(text.encode("utf-8"))
        return tmp_path / name

    return make


def test_what_was_written_is_read_to_the_last_bit(write: Callable[..., Path]) -> None:
    scores = replace(table(), verdicts=("codec", "mixed", "bona_fide", "codec", "neural"))
    before = score_file(scores, Calibration(bin_scale=1 / 3, bin_bias=0.1))
    bad = {"path": "x.wav", "row": 9, "kind": "silent", "message": "silence\nthroughout"}
    provenance = replace(
        before.provenance, missing=("gone.wav",), unreadable=(bad,), notes=("a note",)
    )
    before = replace(before, provenance=provenance)
    after = read_score_file(write(before))
    assert after.provenance == before.provenance
    assert after.scores.items == before.scores.items
    assert all((after.scores.logits[t] == before.scores.logits[t]).all() for t in CLASSES)
    assert after.scores.verdicts == before.scores.verdicts
    assert after.to_csv() == before.to_csv()


@pytest.mark.parametrize("name", ["scores.csv.gz", "scores.csv.xz", "kept.gz.csv"])
def test_a_compressed_file_is_the_same_scores(tmp_path: Path, name: str) -> None:
    """By what is in it, not by its name alone: a file may have been renamed."""
    run = score_file(table())
    run.write(tmp_path / name)
    (tmp_path / "renamed.csv").write_bytes((tmp_path / name).read_bytes())
    assert read_score_file(tmp_path / "renamed.csv").to_csv() == run.to_csv()
    assert ((tmp_path / name).read_bytes() != run.to_csv().encode()) == (name != "kept.gz.csv")


@pytest.mark.parametrize("compress", [gzip.compress, lzma.compress])
def test_a_compressed_file_that_is_cut_short_is_refused(
    tmp_path: Path, compress: Callable[[bytes], bytes]
) -> None:
    whole = compress(score_file(table()).to_csv().encode())
    path = tmp_path / "scores.csv.gz"
    for length in (len(whole) // 2, len(whole) - 3):
        path.write_bytes(whole[:length])
        with pytest.raises(DataError, match="not a scores file") as failure:
            read_score_file(path)
        assert "\n" not in str(failure.value)


def test_scores_of_three_classes_keep_the_names_of_the_classes(write: Callable[..., Path]) -> None:
    calibration = Calibration(classes=("codec", "vocoder", "bona fide"), neural_bias=0.3)
    two = table()
    items = (replace(two.items[0], label="vocoder"), replace(two.items[1], label="neural"))
    logits = {"BIN": np.arange(6.0).reshape(2, 3) / 7}
    run = score_file(ScoreTable(items, logits), calibration)
    path = write(run)
    assert '"BIN": ["codec", "vocoder", "bona fide"]' in path.read_text(encoding="utf-8")
    after = read_score_file(path)
    assert after.provenance.calibration == calibration
    assert [item.label for item in after.scores.items] == ["vocoder", "neural"]
    assert (after.scores.logits["BIN"] == logits["BIN"]).all()
    assert after.answers().detection is not None
    with pytest.raises(DataError, match="different tasks or classes"):
        Report((run, score_file(ScoreTable(two.items, {"BIN": two.logits["BIN"]}))), 0, 0)


def test_a_file_of_earlier_versions_without_names_of_classes_is_read(
    write: Callable[..., Path],
) -> None:
    run = score_file(table())
    header, _, rows = run.to_csv().partition("\npath,")
    values = run.provenance.calibration.to_dict()
    earlier = {
        name: values[name]
        for name in ("bin_scale", "bin_bias", "axis_scale", "axis_bias", "codec_threshold")
    }
    lines = [line for line in header.split("\n") if not line.startswith("# classes: ")]
    lines = [
        f"# calibration: {json.dumps(earlier)}" if line.startswith("# calibration") else line
        for line in lines
    ]
    path = write("\n".join(lines) + "\npath," + rows)
    assert read_score_file(path).to_csv() == run.to_csv()


def test_the_header_names_data_model_trials_and_skipped(write: Callable[..., Path]) -> None:
    run = score_file(table(), protocol_sha256={"CoSG_ALL.txt": "c" * 64})
    run = replace(run, provenance=replace(run.provenance, missing=("gone.wav",)))
    lines = run.to_csv().partition("\npath,")[0].split("\n")
    header = dict(line.removeprefix("# ").split(": ", 1) for line in lines)
    assert json.loads(header["model"])["sha256"] == "a" * 64
    assert json.loads(header["data"])["table_sha256"] == "b" * 64
    assert json.loads(header["data"])["protocol_sha256"] == {"CoSG_ALL.txt": "c" * 64}
    assert (header["trials"], header["skipped"]) == ("5", "1")


def test_rows_name_columns_by_task_and_class() -> None:
    run = score_file(table(("0.wav", "1.wav")), Calibration(bin_scale=2.0, bin_bias=1.0))
    rows = [line for line in run.to_csv().split("\n") if not line.startswith("# ")]
    _, second = csv.DictReader(rows)
    logits = run.scores.logits
    raw = logits["BIN"][1, 0] - logits["BIN"][1, 1]
    assert (second["path"], second["codec"], second["vq"], second["aux"]) == (
        *("1.wav", "EnCodec", "MVQ", ""),
    )
    assert float(second["log_odds_raw"]) == raw
    assert float(second["log_odds_calibrated"]) == pytest.approx(2 * raw + 1)
    assert float(second["VQ:MVQ"]) == logits["VQ"][1, 1]


def damaged(change: Callable[[str], str]) -> str:
    scores = replace(table(("0.wav", "1.wav", "2.wav")), verdicts=("mixed",) * 3)
    return change(score_file(scores).to_csv())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda text: "", "no header"),
        (lambda text: "path," + text.partition("\npath,")[2], "no header"),
        (lambda text: text[:-3], "cut short"),
        (lambda text: text.replace("scores/1", "scores/9"), "says 'codecsleuth/scores/9'"),
        (lambda text: text[: text.rindex("2.wav")], "2 rows for 3 trials: not whole"),
        (lambda text: text[: text.rindex(",")] + "\n", "not a scores file"),
        (lambda text: text.replace("# trials: 3", "# trials: three"), "not a scores file"),
        (lambda text: text.replace("# trials: 3\n", ""), "'trials' is missing"),
        (lambda text: text.replace('"table_sha256"', '"table"'), "does not say 'table_sha256'"),
        (lambda text: text.replace("bin_scale", "bin_size"), "not a scores file"),
        (lambda text: text.replace("spoof", "spoofed"), "label 'spoofed'"),
        (lambda text: text.replace(",mixed,", ",error,"), "verdict 'error'"),
        (
            lambda text: text.replace('"codec", "bona fide"]', '"fake", "bona fide"]', 1),
            "classes of",
        ),
        (lambda text: text.replace(",MVQ,", ",XVQ,"), "not a scores file"),
        (lambda text: text.replace(",page,", ",pa,ge,"), "as many values"),
        (lambda text: text.replace("log_odds_raw", "row"), "not a scores file"),
    ],
)
def test_a_damaged_file_is_refused_in_one_line(
    write: Callable[..., Path], change: Callable[[str], str], message: str
) -> None:
    path = write(damaged(change))
    with pytest.raises(DataError) as failure:
        read_score_file(path)
    assert str(failure.value).startswith(str(path))
    assert message in str(failure.value)


def test_a_file_that_is_not_text_or_not_there(tmp_path: Path) -> None:
    (tmp_path / "image.csv").write_bytes(bytes(range(256)))
    for name, message in (("image.csv", "not a scores file"), ("none.csv", "cannot be read")):
        with pytest.raises(DataError, match=message):
            read_score_file(tmp_path / name)


def runs() -> list[ScoreFile]:
    """Three folds of other clips each, their scores on scales of their own."""
    return [
        score_file(
            table(tuple(f"{k}-{n}.wav" for n in range(30)), seed=k),
            Calibration(bin_scale=float(k), codec_threshold=0.5 + k / 10),
            fold=f"{k}/3",
            description=f"fold {k}",
        )
        for k in (1, 2, 3)
    ]


def test_spread_is_mean_and_deviation_over_the_runs() -> None:
    report = Report(tuple(runs()), 0, 0)
    alone = [Report((run,), 0, 0).evaluation.tasks["BIN"].figures["eer"].value for run in runs()]
    spread = report.spread["BIN"]["eer"]
    assert spread.values == tuple(alone)
    assert spread.mean == pytest.approx(np.mean(alone))
    assert spread.deviation == pytest.approx(np.std(alone, ddof=1))
    # No clip has semantic distillation, and none of the clips' AUX is known.
    assert report.spread["AUX"]["accuracy"] is None
    assert Spread.of([0.5, float("nan")]) == Spread(0.5, None, (0.5, None))


def test_pooled_figures_are_over_all_clips_each_judged_by_its_own_thresholds() -> None:
    report = Report(tuple(runs()), 0, 0)
    pooled = report.evaluation.tasks["BIN"]
    each = [Report((run,), 0, 0).evaluation.tasks["BIN"] for run in runs()]
    assert report.evaluation.clips == 90
    assert np.array_equal(np.sum([one.confusion for one in each], axis=0), pooled.confusion)


def test_facts_on_which_the_runs_differ_are_null() -> None:
    document = Report(tuple(runs()), 0, 0).to_dict()
    assert document["model"]["sha256"] == "a" * 64
    assert (document["data"]["folder"], document["data"]["fold"]) == ("/data", None)
    assert document["settings"]["codec_threshold"] is None
    assert [run["name"] for run in document["folds"]["runs"]] == [
        "fold 1/3",
        "fold 2/3",
        "fold 3/3",
    ]


def test_a_clip_in_two_runs_is_pointed_out() -> None:
    first, second, _ = runs()
    assert not any("more than one run" in text for text in Report((first, second), 0, 0).warnings)
    twice = Report((first, first), 0, 0)
    assert any("30 clips are in more than one run" in text for text in twice.warnings)


def test_models_with_different_tasks_are_not_pooled() -> None:
    first, second, _ = runs()
    fewer = ScoreTable(second.scores.items, {"BIN": second.scores.logits["BIN"]})
    with pytest.raises(DataError, match="different tasks"):
        Report((first, replace(second, scores=fewer)), 0, 0)
