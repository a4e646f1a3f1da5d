"""The answer as people and machines read it."""

from __future__ import annotations

import csv
import io
import json
import re
from pathlib import Path

import jsonschema
import pytest
from codecsleuth.report.document import CSV_COLUMNS, csv_header, csv_line, document, json_line
from rich.cells import cell_len
from rich.console import Console

from codecsleuth.audio.recording import Evidence
from codecsleuth.calibration import Calibration
from codecsleuth.inference.model import Analysis, AxisAnswer, Candidate, FileError, Model, Segment
from codecsleuth.report.summary import summarize
from codecsleuth.report.table import render
from codecsleuth.report.words import VERDICT_WORDS, ratio, support
from codecsleuth.text import fold, printable, shorten
from conftest import ROOT

SCHEMA = json.loads((ROOT / "docs/schema/analysis.schema.json").read_text("utf-8"))
RESULT_SCHEMA = {"$ref": "#/$defs/result", "$defs": SCHEMA["$defs"]}


def analysis(path: str = "a.wav", verdict: str = "codec", **changes) -> Analysis:
    values = {
        "path": path,
        "evidence": Evidence("ab" * 32, 128_044, "WAV PCM_16", 16_000, 1, 4.0),
        "verdict": verdict,
        "codec_probability": 0.98765432,
        "log10_lr": 1.9,
        "taxonomy": {
            "vq": AxisAnswer("MVQ", 0.7, {"MVQ": 0.7, "SVQ": 0.2, "SQ": 0.1}),
            "aux": AxisAnswer(
                "Semantic distillation",
                0.6,
                {"None": 0.3, "Semantic distillation": 0.6, "Disentanglement": 0.1},
            ),
            "dec": AxisAnswer("Frequency", 0.8, {"Time": 0.2, "Frequency": 0.8}),
        },
        "familiarity": 0.62,
        "candidates": (
            Candidate("DAC", 0.62, {"vq": "MVQ", "aux": "None", "dec": "Time"}, ("aux", "dec")),
            Candidate("Mimi", 0.21, {"vq": "MVQ"}, ()),
        ),
        "segments": (Segment(0.0, 4.0375, 0.98), Segment(2.01875, 6.05625, 0.5)),
        "warnings": ("2 channels were mixed down to one",),
        "raw": {},
    }
    return Analysis(**{**values, **changes})


SEVERAL = [
    analysis("/a/rather/long/path/to/the/recordings/of/last/year/first, take.wav"),
    analysis("b.wav", "bona_fide", codec_probability=1e-9, log10_lr=-9.0),
    analysis("c.wav", "inconclusive", codec_probability=0.5, log10_lr=0.0, taxonomy={}),
    FileError("line\nbreak \x1b[1m[bold]名前.wav", "not_a_file", "not a regular file"),
]


@pytest.fixture
def named() -> Model:
    return Model(None, "compact", "1", "cd" * 32, ("BIN", "VQ"), Calibration())  # type: ignore[arg-type]


def shown(results, model, width: int = 80, **console) -> str:
    file = io.StringIO()
    screen = Console(file=file, width=width, highlight=False, **console)
    render(results, summarize(results, {"hidden": 2}, folders=True), model, screen)
    return file.getvalue()


def test_real_output_follows_the_schema(analyze, clip, tmp_path):
    (tmp_path / "text.wav").write_text("no")
    clip("more/b.flac", 9, rate=44_100, channels=2)
    arguments = [clip("a.wav"), tmp_path / "text.wav", "gone.wav", tmp_path / "more"]
    outcome = analyze("--json", *arguments)
    jsonschema.validate(outcome.document, SCHEMA, jsonschema.Draft202012Validator)
    for line in analyze("--jsonl", *arguments).out.splitlines():
        jsonschema.validate(json.loads(line), RESULT_SCHEMA, jsonschema.Draft202012Validator)
        assert json.loads(line) in outcome.document["results"]


def test_the_schema_is_strict(named):
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    whole = json.loads(document(SEVERAL, summarize(SEVERAL, {}, folders=True), named))
    jsonschema.validate(whole, SCHEMA, jsonschema.Draft202012Validator)
    for spoil in (
        lambda d: d.update(extra=1),
        lambda d: d["results"][0].update(extra=1),
        lambda d: d["results"][0].pop("warnings"),
        lambda d: d["results"][0].update(codec_probability=1.2),
        lambda d: d["results"][3]["error"].update(kind="bad luck"),
    ):
        spoilt = json.loads(json.dumps(whole))
        spoil(spoilt)
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate(spoilt, SCHEMA, jsonschema.Draft202012Validator)


def test_every_kind_of_error_is_in_the_schema():
    sources = "".join(path.read_text("utf-8") for path in (ROOT / "src/codecsleuth").glob("*.py"))
    raised = set(re.findall(r'AudioError\(\s*"(\w+)"', sources)) - {"array", "cancelled"}
    known = set(SCHEMA["$defs"]["error"]["properties"]["error"]["properties"]["kind"]["enum"])
    assert raised < known


def test_a_line_of_json_is_one_line_and_ends():
    for result in SEVERAL:
        assert json_line(result).count("\n") == 1


def test_csv_reads_back_into_the_same_values():
    text = csv_header() + "".join(csv_line(result) for result in SEVERAL)
    rows = list(csv.DictReader(io.StringIO(text)))
    assert tuple(rows[0]) == CSV_COLUMNS
    assert [row["path"] for row in rows] == [result.path for result in SEVERAL]
    assert [row["status"] for row in rows] == ["ok", "ok", "ok", "error"]
    assert (rows[0]["verdict"], rows[0]["codec_probability"]) == ("codec", "0.987654")
    assert (rows[0]["aux"], rows[0]["aux_probability"]) == ("Semantic distillation", "0.6")
    assert rows[2]["vq"] == ""
    assert (rows[3]["error_kind"], rows[3]["verdict"]) == ("not_a_file", "")


@pytest.mark.parametrize("results", [SEVERAL, SEVERAL[:1], SEVERAL[1:2], SEVERAL[2:3]])
@pytest.mark.parametrize("width", [80, 100, 160])
def test_people_get_lines_that_fit(results, width, named):
    lines = shown(results, named, width).splitlines()
    assert max(map(cell_len, lines)) <= width
    assert len(lines) > 8


@pytest.mark.parametrize("results", [SEVERAL, SEVERAL[:1]])
def test_colour_adds_nothing_and_takes_nothing_away(results, named):
    coloured = shown(results, named, force_terminal=True, color_system="truecolor")
    assert "\x1b[" in coloured
    assert re.sub(r"\x1b\[[\d;]*m", "", coloured) == shown(results, named)


def test_verdicts_are_worded_for_people_and_never_as_fake(named):
    table = " ".join(re.sub(r"\s+", " ", shown([result], named)) for result in SEVERAL[:3])
    for words in VERDICT_WORDS.values():
        assert words in table
    assert "fake" not in table.lower()
    together = shown(SEVERAL, named)
    assert "passed through a" in together
    assert "no neural codec" in together
    assert "not analysed" in together


def test_axes_of_what_is_not_found_are_in_brackets(named):
    codec, bona_fide = shown(SEVERAL[:1] * 2, named), shown(SEVERAL[1:2] * 2, named)
    assert "(MVQ" not in codec
    assert "(MVQ" in bona_fide
    assert "if there were one" in bona_fide
    assert "if there were one" in shown(SEVERAL[1:2], named)
    assert "if there were one" not in codec


def test_one_file_is_told_in_full(named):
    account = shown(SEVERAL[:1], named)
    for fact in ("ab" * 32, "4.00 s", "moderate support", "79 : 1", "mixed down", "Time 0.20"):
        assert fact in account


def test_names_cannot_disturb_a_terminal(named):
    together = shown(SEVERAL, named, 160)
    assert "\x1b" not in together
    assert "[bold]" in together
    assert printable("a\nb\x1b‮\udcff.wav") == "a\\nb\\x1b\\u202e\\xff.wav"


@pytest.mark.parametrize("name", ["short.wav", "x" * 90 + "end.wav", "名" * 40 + "end.wav"])
def test_long_names_keep_their_end(name):
    short = shorten(name, 30)
    assert cell_len(short) <= 30
    assert short.endswith("end.wav") or short == name
    assert all(cell_len(line) <= 7 for line in fold(short, 7).split("\n"))
    assert fold(short, 7).replace("\n", "") == short


@pytest.mark.parametrize(
    ("log10_lr", "words", "odds"),
    [
        (0.0, "no support for either side", "1 : 1"),
        (0.2, "no support for either side", "1.6 : 1"),
        (0.7, "weak support for a neural codec", "5 : 1"),
        (-1.5, "moderate support for no neural codec", "1 : 32"),
        (2.0, "moderately strong support for a neural codec", "100 : 1"),
        (4.0, "very strong support for a neural codec", "10,000 : 1"),
    ],
)
def test_likelihood_ratios_in_words(log10_lr, words, odds):
    assert (support(log10_lr), ratio(log10_lr)) == (words, odds)


def test_the_summary_adds_up():
    summary = summarize(SEVERAL, {}, folders=True).to_dict()
    assert (summary["files"], summary["analysed"], summary["errors"]) == (4, 3, 1)
    assert summary["verdicts"] == {"codec": 1, "bona_fide": 1, "inconclusive": 1}
    assert sum(folder["files"] for folder in summary["directories"]) == 4
    assert summarize(SEVERAL, {}, folders=False).to_dict()["directories"] == []


def test_the_path_is_the_one_given(analyze, clip, monkeypatch):
    path = clip("sub/a.wav")
    monkeypatch.chdir(path.parents[1])
    assert analyze("--json", "sub/a.wav").result["path"] == "sub/a.wav"
    assert analyze("--json", "sub").result["path"] == str(Path("sub/a.wav"))
    assert analyze("--json", path).result["path"] == str(path)


@pytest.mark.parametrize("verdict", ["codec", "bona_fide"])
def test_an_unknown_class_has_a_mark_and_its_meaning_below(named, verdict: str) -> None:
    known = [analysis("a.wav", verdict), analysis("b.wav", verdict)]
    vague = AxisAnswer("unknown", 0.41, {"MVQ": 0.41, "SVQ": 0.3, "SQ": 0.29})
    strange = analysis("a.wav", verdict, taxonomy=known[0].taxonomy | {"vq": vague})
    text = shown([strange, known[1]], named)
    assert "?" in text and "unknown: like no codec" in text
    assert "unk\u2026" not in text and "0.41" not in text
    assert "unknown" not in shown(known, named)
