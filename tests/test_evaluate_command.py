"""``codecsleuth evaluate``: what a user types, and what comes back."""

from __future__ import annotations

import csv
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import jsonschema
import numpy as np
import pytest
import soundfile
import torch

from codecfake import SYSTEMS, UNSEEN, make_codecfake
from codecsleuth import cli
from codecsleuth.arrays import LN10
from codecsleuth.calibration import Calibration
from codecsleuth.inference.model import Model
from codecsleuth.taxonomy import CLASSES
from codecsleuth.weights import WeightsFile, write_weights
from conftest import ROOT, Outcome, speech_like

SCHEMA = ROOT / "docs" / "schema" / "evaluation.schema.json"
HEADER = "file,split,label,vq,aux,dec,codec,kind,group,source,duration_s"
CODECS = {"EnCodec": "MVQ,None,Time", "BigCodec": "SVQ,None,Time", "Unheard": ",,"}
PAGES = ("anna/page", "boris/page", "clara/page")


class NoiseMeter(torch.nn.Module):
    """Calls noise codec and tones bona fide, the louder the more so."""

    precisions = ("float32",)
    block_names = ()
    widths: ClassVar = {task: len(names) for task, names in CLASSES.items()}

    def __init__(self) -> None:
        super().__init__()
        self.scale = torch.nn.Parameter(torch.tensor(400.0))

    def forward(self, waveforms: torch.Tensor) -> dict[str, torch.Tensor]:
        rough = waveforms.diff(dim=1).abs().mean(dim=1) - 0.72 * waveforms.abs().mean(dim=1)
        codec = (self.scale * rough)[:, None]
        axes = {
            axis: torch.cat([-codec, codec] + [0 * codec] * (len(CLASSES[axis]) - 2), dim=1)
            for axis in ("VQ", "AUX", "DEC")
        }
        return {"BIN": torch.cat([codec, -codec], dim=1), **axes}

    def outputs(self, waveforms: torch.Tensor, *, exact: bool = False) -> dict[str, torch.Tensor]:
        return self(waveforms)

    def set_precision(self, precision: str) -> None:
        assert precision == "float32"


Run = Callable[..., Outcome]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Speech as bona fide, noisy speech as codec; four utterances on each of three pages."""
    folder = tmp_path_factory.mktemp("data")
    random = np.random.default_rng(0)
    rows = [HEADER]
    for number in range(12):
        page, split = PAGES[number % 3], ("train", "dev", "dev", "test")[number // 3]
        spoken = speech_like(0.8, seed=number)
        soundfile.write(folder / f"{number}.wav", spoken, 16_000)
        rows.append(f"{number}.wav,{split},bonafide,,,,,original,u{number},{page},0.8")
        for codec, classes in CODECS.items():
            name = f"{number} {codec}.wav"
            noise = 0.5 * spoken.std() * random.standard_normal(len(spoken))
            soundfile.write(folder / name, spoken + noise, 16_000)
            rows.append(f"{name},{split},spoof,{classes},{codec},resynthesis,u{number},{page},0.8")
    (folder / "items.csv").write_text("\n".join(rows) + "\n", encoding="utf-8")
    return folder


@pytest.fixture
def copied(data: Path, tmp_path: Path) -> Path:
    folder = tmp_path / "copy"
    folder.mkdir()
    for path in data.iterdir():
        (folder / path.name).write_bytes(path.read_bytes())
    return folder


@pytest.fixture
def evaluate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsysbinary: Any) -> Run:
    """Run the command in this process, on weights that say they know the first page."""
    monkeypatch.setattr(
        "codecsleuth.models.network.build_network", lambda name, config: NoiseMeter()
    )
    weights = WeightsFile(
        name="meter",
        version="1",
        architecture="meter",
        config={},
        tasks=tuple(CLASSES),
        classes={task: list(names) for task, names in CLASSES.items()},
        calibration=Calibration(codec_threshold=0.6, bona_fide_threshold=0.4).to_dict(),
        training={"sources": [PAGES[0]]},
        tensors=NoiseMeter().state_dict(),
    )
    write_weights(tmp_path / "meter.safetensors", weights)

    def bare(*words: object) -> Outcome:
        capsysbinary.readouterr()
        status = cli.run([*map(str, words)])
        out, err = capsysbinary.readouterr()
        return Outcome(status, out.decode(), err.decode())

    def call(*words: object) -> Outcome:
        model = ["--model", tmp_path / "meter.safetensors", "--bootstrap", 50]
        return bare("evaluate", *model, *words)

    call.bare = bare  # type: ignore[attr-defined]
    return call


@pytest.fixture(scope="module")
def codecfake(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_codecfake(tmp_path_factory.mktemp("mini") / "CodecFake+")


def test_json_follows_its_schema(evaluate: Run, data: Path) -> None:
    outcome = evaluate("--data", data, "--json")
    assert outcome.status == 0
    schema = json.loads(SCHEMA.read_text(encoding="utf-8"))
    jsonschema.Draft202012Validator.check_schema(schema)
    jsonschema.validate(outcome.document, schema)


def test_figures_are_of_the_dev_split_and_fractions(evaluate: Run, data: Path) -> None:
    document = evaluate("--data", data, "--json").document
    assert document["data"]["split"] == "dev"
    assert (document["clips"], document["missing"]) == (24, 0)
    assert document["tasks"]["BIN"]["eer"] == 0.0
    assert document["tasks"]["BIN"]["constant"]["eer"] == 0.5
    assert document["tasks"]["VQ"]["support"] == {"Real": 6, "MVQ": 6, "SVQ": 6, "SQ": 0}
    assert document["tasks"]["VQ"]["unknown"] == 6
    assert document["tasks"]["VQ"]["f1"]["SQ"] is None
    assert document["per_codec"]["Unheard"]["accuracy"] == {"VQ": None, "AUX": None, "DEC": None}
    assert set(document["per_source"]) == set(PAGES)
    assert any("no clips of SQ" in warning for warning in document["warnings"])


def test_the_table_fits_eighty_columns_and_says_what_is_empty(
    evaluate: Run, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    outcome = evaluate("--data", data)
    assert outcome.status == 0
    assert max(map(len, outcome.out.splitlines())) <= 80
    for words in ("EER", "F1 weighted", "EnCodec", "boris/page", "SQ (no clips)", "no clips of SQ"):
        assert words in outcome.out


def test_the_answer_does_not_depend_on_workers(evaluate: Run, data: Path) -> None:
    one, three = (evaluate("--data", data, "--json", "--workers", n).out for n in (1, 3))
    assert one == three


def test_sources_left_out_take_all_splits(evaluate: Run, data: Path) -> None:
    outcome = evaluate("--data", data, "--json", "--leave-out-source", PAGES[1])
    assert outcome.document["data"]["split"] is None
    assert outcome.document["clips"] == 16
    assert list(outcome.document["per_source"]) == [PAGES[1]]
    assert "NOT LEFT OUT" not in outcome.err


def test_a_source_that_the_weights_know_is_not_left_out(evaluate: Run, data: Path) -> None:
    chosen = ["--leave-out-source", PAGES[0], "--leave-out-source", PAGES[2]]
    outcome = evaluate("--data", data, "--json", *chosen)
    assert outcome.status == 0
    assert "NOT LEFT OUT: the weights were trained on 1 of these 2 sources" in outcome.err
    assert any("NOT LEFT OUT" in warning for warning in outcome.document["warnings"])
    assert "NOT LEFT OUT" in evaluate("--data", data, *chosen).out.replace("\n", " ")


def test_clips_of_the_training_split_are_pointed_out(evaluate: Run, data: Path) -> None:
    assert "trained on 4 of these clips" in evaluate("--data", data, "--split", "train").out
    assert "trained on" not in evaluate("--data", data, "--split", "dev").out


def test_each_source_is_in_one_fold(evaluate: Run, data: Path) -> None:
    folds = [evaluate("--data", data, "--json", "--fold", f"{k}/3").document for k in (1, 2, 3)]
    assert sorted(source for fold in folds for source in fold["per_source"]) == sorted(PAGES)
    assert sum(fold["clips"] for fold in folds) == 48


def test_one_source_of_the_split(evaluate: Run, data: Path) -> None:
    assert evaluate("--data", data, "--json", "--source", PAGES[2]).document["clips"] == 8


@pytest.mark.parametrize(
    ("words", "status", "message"),
    [
        (["--split", "final"], 1, "no clips of split final; there are: dev (24 clips), test"),
        (["--source", "borys/page"], 2, "no source named 'borys/page' in the data; did you mean"),
        (["--fold", "4/3"], 2, "--fold '4/3': not a fold such as 1/5"),
        (["--fold", "1/9"], 1, "3 sources cannot make 9 folds"),
        (["--fold", "1/3", "--source", PAGES[0]], 2, "exclude each other"),
        (["--force"], 2, "--force is for --output, --scores and --report"),
        (["--output", "x", "--scores", "x"], 2, "name the same file"),
    ],
)
def test_wrong_usage_is_one_line(
    evaluate: Run, data: Path, words: list[str], status: int, message: str
) -> None:
    outcome = evaluate("--data", data, *words)
    assert outcome.status == status
    assert message in outcome.err
    assert outcome.err.count("\n") == 1
    assert not outcome.out


def test_missing_audio_is_refused_unless_allowed(evaluate: Run, copied: Path) -> None:
    (copied / "3.wav").unlink()
    refused = evaluate("--data", copied)
    assert refused.status == 1
    assert "audio missing for 1 of 48 rows: row 14 ('3.wav')" in refused.err
    document = evaluate("--data", copied, "--allow-missing", "--json").document
    assert (document["clips"], document["missing"], document["missing_files"]) == (23, 1, ["3.wav"])
    assert any("not there, left out: 1 clips" in warning for warning in document["warnings"])


def test_unreadable_clips_are_named_and_the_others_scored(evaluate: Run, copied: Path) -> None:
    (copied / "3.wav").write_text("not audio")
    outcome = evaluate("--data", copied, "--json")
    assert outcome.status == 1
    assert "3.wav (row 14)" in outcome.err
    assert outcome.document["clips"] == 23
    (bad,) = outcome.document["unreadable"]
    assert (bad["path"], bad["row"]) == ("3.wav", 14)


def test_nothing_readable_at_all(evaluate: Run, copied: Path) -> None:
    for path in copied.glob("*.wav"):
        path.write_text("not audio")
    outcome = evaluate("--data", copied)
    assert (outcome.status, outcome.out) == (1, "")
    assert "none of the 24 clips could be read" in outcome.err


def test_scores_and_output_go_to_files_that_are_not_overwritten(
    evaluate: Run, data: Path, tmp_path: Path
) -> None:
    files = ["--output", tmp_path / "report.txt", "--scores", tmp_path / "scores.csv"]
    outcome = evaluate("--data", data, *files)
    assert (outcome.status, outcome.out) == (0, "")
    assert "EER" in (tmp_path / "report.txt").read_text(encoding="utf-8")
    with (tmp_path / "scores.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(line for line in file if not line.startswith("# ")))
    assert len(rows) == 24
    assert all((float(r["log_odds_raw"]) > 0) == (r["label"] == "spoof") for r in rows)
    again = evaluate("--data", data, "--scores", tmp_path / "scores.csv")
    assert again.status == 2
    assert "--scores" in again.err and "--force" in again.err
    assert evaluate("--data", data, *files, "--force").status == 0


def test_what_is_measured_is_what_analyze_says(evaluate: Run, data: Path, tmp_path: Path) -> None:
    evaluate("--data", data, "--scores", tmp_path / "scores.csv")
    with (tmp_path / "scores.csv").open(encoding="utf-8", newline="") as file:
        row = next(csv.DictReader(line for line in file if not line.startswith("# ")))
    answer = Model.load(tmp_path / "meter.safetensors").analyze(data / row["path"])
    assert float(row["log_odds_calibrated"]) == pytest.approx(answer.log10_lr * LN10, rel=1e-12)


def test_figures_made_again_from_scores_are_the_same_to_the_byte(
    evaluate: Run, copied: Path, tmp_path: Path
) -> None:
    """Missing and unreadable clips, thresholds and notes included; without data and model."""
    (copied / "3.wav").write_text("not audio")
    (copied / "6 EnCodec.wav").unlink()
    words = ["--json", "--report", tmp_path / "page.html", "--scores", tmp_path / "scores.csv"]
    first = evaluate("--data", copied, "--allow-missing", *words)
    assert first.status == 1
    shutil.rmtree(copied)
    (tmp_path / "meter.safetensors").unlink()
    words = ["evaluate", "--from-scores", tmp_path / "scores.csv", "--bootstrap", "50"]
    again = evaluate.bare(*words, "--json", "--report", tmp_path / "again.html")
    assert again.status == 0
    document = again.document
    assert document.pop("from_scores") == [str(tmp_path / "scores.csv")]
    assert json.dumps(document, ensure_ascii=False, indent=2) + "\n" == first.out
    assert (document["missing"], len(document["unreadable"])) == (1, 1)
    assert (tmp_path / "page.html").read_bytes() == (tmp_path / "again.html").read_bytes()


@pytest.mark.parametrize("name", ["scores.csv.gz", "scores.csv.xz"])
def test_tables_are_made_again_from_compressed_scores(
    evaluate: Run, data: Path, tmp_path: Path, name: str
) -> None:
    first = evaluate("--data", data, "--scores", tmp_path / name)
    again = evaluate.bare("evaluate", "--from-scores", tmp_path / name, "--bootstrap", 50)
    assert (first.status, again.status) == (0, 0)
    assert again.out == first.out


def test_no_output_takes_the_place_of_an_input(evaluate: Run, data: Path, tmp_path: Path) -> None:
    scores, link = tmp_path / "scores.csv", tmp_path / "link.csv"
    assert evaluate("--data", data, "--scores", scores).status == 0
    link.hardlink_to(scores)
    before = scores.read_bytes()
    for option in ("--output", "--report"):
        words = ("evaluate", "--from-scores", scores, option, link, "--force")
        refused = evaluate.bare(*words)
        assert (refused.status, refused.out) == (2, "")
        assert f"{option} {link}: is an input of this command" in refused.err
    weights = tmp_path / "meter.safetensors"
    for path in (weights, data / "items.csv", data / "6.wav"):
        for option in ("--output", "--report", "--scores"):
            assert evaluate("--data", data, option, path, "--force").status == 2
    assert scores.read_bytes() == before


def test_folder_names_that_are_not_text(evaluate: Run, copied: Path, tmp_path: Path) -> None:
    folder = Path(os.fsdecode(bytes(tmp_path) + b"/d\xffta"))
    copied.rename(folder)
    scores = folder / "scores.csv"
    words = ["--scores", scores, "--report", folder / "page.html", "--json"]
    first = evaluate("--data", folder, *words)
    assert first.status == 0
    assert first.document["data"]["folder"].endswith("d\\xffta")
    again = evaluate.bare("evaluate", "--from-scores", scores, "--bootstrap", 50, "--json")
    assert again.document["from_scores"][0].endswith("d\\xffta/scores.csv")


@pytest.fixture
def folds(evaluate: Run, data: Path, tmp_path: Path) -> tuple[Outcome, Path]:
    """All three folds by one command, each with a model of its own."""
    for number in (1, 2, 3):
        (tmp_path / f"fold-{number}.safetensors").write_bytes(
            (tmp_path / "meter.safetensors").read_bytes()
        )
    model = ["--model", tmp_path / "fold-{fold}.safetensors"]
    words = ["--folds", 3, "--scores", tmp_path / "scores-{fold}.csv", "--json"]
    return evaluate("--data", data, *model, *words), tmp_path


def test_folds_in_one_command_are_the_folds_one_by_one(
    evaluate: Run, data: Path, folds: tuple[Outcome, Path]
) -> None:
    outcome, folder = folds
    assert outcome.status == 0
    document = outcome.document
    jsonschema.validate(document, json.loads(SCHEMA.read_text(encoding="utf-8")))
    assert [run["name"] for run in document["folds"]["runs"]] == [
        "fold 1/3",
        "fold 2/3",
        "fold 3/3",
    ]
    assert document["clips"] == 48
    for number, run in enumerate(document["folds"]["runs"], 1):
        alone = evaluate("--data", data, "--fold", f"{number}/3", "--json").document
        assert run["clips"] == alone["clips"]
        assert run["tasks"]["VQ"]["f1_weighted"] == alone["tasks"]["VQ"]["f1_weighted"]
    # One of the three pages is known to the weights.
    assert sum("NOT LEFT OUT" in warning for warning in document["warnings"]) == 1
    spread = document["folds"]["spread"]["VQ"]["f1_weighted"]
    assert spread["mean"] == pytest.approx(np.mean(spread["values"]))
    files = [word for n in (1, 2, 3) for word in ("--from-scores", folder / f"scores-{n}.csv")]
    again = evaluate.bare("evaluate", *files, "--bootstrap", "50", "--json").document
    assert again.pop("from_scores")
    assert again == document


def test_folds_in_words_and_on_the_page(
    evaluate: Run, folds: tuple[Outcome, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    _, folder = folds
    files = [word for n in (1, 2, 3) for word in ("--from-scores", folder / f"scores-{n}.csv")]
    outcome = evaluate.bare("evaluate", *files, "--report", folder / "page.html")
    assert max(map(len, outcome.out.splitlines())) <= 80
    assert "Over 3 runs" in outcome.out and "VQ: F1 weighted" in outcome.out
    page = (folder / "page.html").read_text(encoding="utf-8")
    for words in ("Over the runs", "Deviation", "fold 2/3", "each run"):
        assert words in page


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "name the clips with --data, or a file of scores with --from-scores"),
        (["--from-scores", "s.csv", "--split", "dev"], "--split is not for --from-scores"),
        (["--from-scores", "s.csv", "--model", "compact"], "--model is not for --from-scores"),
        (["--data", ".", "--folds", "5"], "--model with --folds needs '{fold}'"),
        (["--data", ".", "--folds", "5", "--fold", "1/5"], "--folds and --fold exclude"),
        (
            ["--data", ".", "--folds", "5", "--model", "{fold}.st", "--scores", "s.csv"],
            "--scores with --folds needs '{fold}'",
        ),
        (["--data", ".", "--scores", "x", "--report", "x"], "name the same file"),
        (["--data", ".", "--report", "none/x.html"], "--report none/x.html: no such folder"),
    ],
)
def test_options_that_do_not_go_together(evaluate: Run, words: list[str], message: str) -> None:
    outcome = evaluate.bare("evaluate", *words)
    assert (outcome.status, outcome.out) == (2, "")
    assert message in outcome.err
    assert len(outcome.err.splitlines()) == 1


def test_weights_of_a_fold_that_are_not_there_are_noticed_first(
    evaluate: Run, data: Path, tmp_path: Path
) -> None:
    (tmp_path / "fold-1.safetensors").write_bytes((tmp_path / "meter.safetensors").read_bytes())
    model = ["--model", tmp_path / "fold-{fold}.safetensors"]
    scores = tmp_path / "scores-{fold}.csv"
    outcome = evaluate("--data", data, *model, "--folds", 3, "--scores", scores)
    assert outcome.status == 2
    assert "fold-2.safetensors" in outcome.err
    assert not (tmp_path / "scores-1.csv").exists()


@pytest.mark.parametrize("name", ["CoRS_ALL", "CoSG_ALL", "CoSG_SEEN"])
def test_the_sets_of_the_paper(evaluate: Run, codecfake: Path, tmp_path: Path, name: str) -> None:
    scores = tmp_path / "scores.csv"
    outcome = evaluate("--data", codecfake, "--split", name, "--json", "--scores", scores)
    document = outcome.document
    jsonschema.validate(document, json.loads(SCHEMA.read_text(encoding="utf-8")))
    for task, figure in (("BIN", "eer"), *((axis, "f1_weighted") for axis in ("VQ", "AUX", "DEC"))):
        assert document["tasks"][task][figure] is not None
        assert document["tasks"][task]["constant"][figure] is not None
    assert list(document["data"]["protocol_sha256"]) == [f"{name}.txt"]
    systems = {} if name == "CoRS_ALL" else SYSTEMS
    seen = {one for one in systems if name == "CoSG_ALL" or one not in UNSEEN}
    assert set(document["per_system"]) == seen
    assert set(document["macro"]) == ({"system"} if seen else {"codec"})
    assert scores.read_text(encoding="utf-8").startswith('# schema: "codecsleuth/scores/1"')


def test_how_the_clips_were_read_stands_with_the_figures(
    evaluate: Run, codecfake: Path, tmp_path: Path
) -> None:
    given, page, scores = (tmp_path / name for name in ("odd.txt", "page.html", "scores.csv"))
    given.write_text("p225 p225_001 - - bonafide\np225 p225_001_bigcodec - SEM - spoof\n")
    words = ("--data", codecfake, "--protocol", given, "--json", "--bootstrap", 0)
    outcome = evaluate(*words, "--scores", scores, "--report", page)
    document = outcome.document
    jsonschema.validate(document, json.loads(SCHEMA.read_text(encoding="utf-8")))
    (note,) = document["data"]["notes"]
    assert "the list's classes differ from the catalogue's (bigcodec)" in note
    assert note in outcome.err and note in page.read_text(encoding="utf-8").replace("&#39;", "'")
    again = evaluate.bare("evaluate", "--from-scores", scores, "--bootstrap", 0)
    assert note in " ".join(again.out.split())


def test_no_data_folder_or_table(evaluate: Run, tmp_path: Path) -> None:
    assert "no such folder" in evaluate("--data", tmp_path / "none").err
    assert "no items.csv" in evaluate("--data", tmp_path).err
