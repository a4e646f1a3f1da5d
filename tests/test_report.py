"""The answer as people and machines read it."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from rich.cells import cell_len
from rich.console import Console

from answers import ERROR, HEADER, SEVERAL, analysis, axis
from codecsleuth.findings import KINDS, finding
from codecsleuth.inference.answer import FileError, Record, Result
from codecsleuth.report.summary import Summary
from codecsleuth.report.table import TableWriter
from codecsleuth.report.words import ratio, support
from codecsleuth.report.writers import CSV_COLUMNS, CsvWriter, JsonlWriter, JsonWriter, Writer
from codecsleuth.text import fold, printable, shorten
from codecsleuth.verdict import BY_NAME, OUTCOMES, VERDICTS
from conftest import ROOT

SCHEMA = json.loads((ROOT / "docs/schema/analysis.schema.json").read_text("utf-8"))
HEADER_SCHEMA = {"$ref": "#/$defs/header", "$defs": SCHEMA["$defs"]}
ENTRY_SCHEMA = {"$ref": "#/$defs/entry", "$defs": SCHEMA["$defs"]}


def check(content: Any, schema: dict[str, Any]) -> None:
    jsonschema.validate(content, schema, jsonschema.Draft202012Validator)


def feed(writer: Writer, results: Sequence[Result], *, folders: bool = True) -> None:
    summary = Summary(by_folder=folders, left_out={"hidden": 2})
    writer.begin(HEADER)
    for result in results:
        summary.add(result)
        writer.result(result)
    writer.end(summary)


def written(kind: Any, results: Sequence[Result]) -> str:
    pieces: list[str] = []
    feed(kind(pieces.append), results)
    return "".join(pieces)


def shown(results: Sequence[Result], width: int = 80, sort: str | None = None, **console) -> str:
    file = io.StringIO()
    screen = Console(file=file, width=width, highlight=False, markup=False, **console)
    feed(TableWriter(screen, single=len(results) == 1, sort=sort), results)
    return file.getvalue()


def test_real_output_follows_the_schema(analyze, clip, tmp_path):
    (tmp_path / "text.wav").write_text("no")
    clip("more/b.flac", 9, rate=44_100, channels=2)
    arguments = [clip("a.wav"), tmp_path / "text.wav", "gone.wav", tmp_path / "more"]
    document = analyze("--json", *arguments).document
    check(document, SCHEMA)
    assert list(document)[-2:] == ["results", "summary"]
    first, *entries = map(json.loads, analyze("--jsonl", *arguments).out.splitlines())
    check(first, HEADER_SCHEMA)
    for entry in entries:
        check(entry, ENTRY_SCHEMA)
    assert entries == document["results"]
    assert first == {k: v for k, v in document.items() if k not in ("results", "summary")}


@pytest.mark.parametrize("results", [[], SEVERAL[:1], SEVERAL])
def test_json_is_one_document_of_whatever_length(results):
    whole = json.loads(written(JsonWriter, results))
    check(whole, SCHEMA)
    assert whole["results"] == [result.to_dict() for result in results]
    assert len(written(JsonlWriter, results).splitlines()) == 1 + len(results)


def test_the_schema_is_strict():
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    whole = json.loads(written(JsonWriter, SEVERAL))
    for spoil in (
        lambda d: d.update(extra=1),
        lambda d: d["results"][0].update(extra=1),
        lambda d: d["results"][0].pop("findings"),
        lambda d: d["results"][0].update(codec_probability=1.2),
        lambda d: d["results"][0]["findings"][0].update(severity="awful"),
        lambda d: d["results"][3]["error"].update(kind="bad luck"),
    ):
        spoilt = json.loads(json.dumps(whole))
        spoil(spoilt)
        with pytest.raises(jsonschema.ValidationError):
            check(spoilt, SCHEMA)


def test_the_schema_knows_the_verdicts_and_every_kind_of_error():
    names = [one.name for one in VERDICTS]
    assert SCHEMA["$defs"]["verdict"]["enum"] == names
    assert list(SCHEMA["$defs"]["summary"]["properties"]["verdicts"]["properties"]) == names
    sources = "".join(path.read_text("utf-8") for path in (ROOT / "src/codecsleuth").rglob("*.py"))
    raised = set(re.findall(r'AudioError\(\s*"(\w+)"', sources)) - {"array", "cancelled"}
    assert raised < set(
        SCHEMA["$defs"]["error"]["properties"]["error"]["properties"]["kind"]["enum"]
    )


def rows_of(results: Sequence[Result]) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(written(CsvWriter, results))))


def test_csv_reads_back_into_the_same_values():
    rows = rows_of(SEVERAL)
    assert tuple(rows[0]) == CSV_COLUMNS
    assert [row["path"] for row in rows] == [result.path for result in SEVERAL]
    assert [row["status"] for row in rows] == ["ok", "ok", "ok", "error"]
    assert (rows[0]["verdict"], rows[0]["codec_probability"]) == ("codec", "0.987654")
    assert (rows[0]["aux"], rows[0]["aux_probability"]) == ("Semantic distillation", "0.6")
    assert rows[2]["vq"] == ""


def test_csv_says_of_every_file_which_program_model_and_thresholds_gave_the_answer():
    for row in rows_of(SEVERAL):
        assert (row["schema"], row["model"]) == ("codecsleuth/analysis/2", "compact 1")
        assert (row["model_sha256"], row["tool_version"]) == ("cd" * 32, HEADER.tool["version"])
        assert (row["codec_threshold"], row["bona_fide_threshold"]) == ("0.8", "0.2")


def test_csv_states_of_a_file_without_answer_what_is_known_and_no_more():
    row = rows_of([ERROR])[0]
    assert (row["error_kind"], row["sha256"], row["bytes"]) == ("truncated", "cd" * 32, "99")
    assert {row[name] for name in ("verdict", "sample_rate", "duration_s", "log10_lr")} == {""}


def test_csv_writes_the_class_none_so_that_no_reader_takes_it_for_a_missing_value():
    plain = axis("None", **{"None": 0.9, "Semantic_distillation": 0.1})
    row = rows_of([analysis(taxonomy=Record(aux=plain))])[0]
    assert (row["aux"], row["aux_likeliest"]) == ("none", "none")


@pytest.mark.parametrize("start", ["=HYPERLINK(1)", "+1", "-1", "@SUM(A1)", "\tx"])
def test_no_name_is_a_formula_for_a_spreadsheet(start):
    (row,) = rows_of([FileError(f"{start}.wav", "missing", f"{start}: no such file")])
    assert (row["path"], row["error_message"]) == (f"'{start}.wav", f"'{start}: no such file")
    assert rows_of(SEVERAL[1:2])[0]["log10_lr"] == "-9.0"


UNKNOWN = analysis(taxonomy=Record(vq=axis("unknown", "MVQ", MVQ=0.41, SVQ=0.3, SQ=0.29)))


def test_an_unknown_class_is_apart_from_the_likeliest_and_its_probability():
    entry = UNKNOWN.to_dict()["taxonomy"]["vq"]
    assert (entry["label"], entry["likeliest"], entry["probability"]) == ("unknown", "MVQ", 0.41)
    (row,) = rows_of([UNKNOWN])
    assert [row[f"vq{part}"] for part in ("", "_likeliest", "_probability")] == [
        *("unknown", "MVQ", "0.41")
    ]


@pytest.mark.parametrize("verdict", ["codec", "bona_fide"])
def test_in_the_table_an_unknown_class_is_a_mark_and_its_meaning_below(verdict):
    known = [analysis("a.wav", verdict), analysis("b.wav", verdict)]
    text = shown([replace(UNKNOWN, verdict=verdict), known[1]])
    assert "?" in text and "unknown: unlike the codecs" in text
    assert "0.41" not in text
    assert "unknown" not in shown(known)


WIDEST = analysis(
    "x" * 200 + ".wav",
    "vocoder",
    codec_probability=1e-9,
    log10_lr=-12.34,
    taxonomy=Record(
        vq=axis("MVQ", MVQ=1.0),
        aux=axis("Semantic distillation", Semantic_distillation=1.0),
        dec=axis("Frequency", Frequency=1.0),
    ),
)


@pytest.mark.parametrize(("width", "lines"), [(80, 2), (119, 2), (120, 1), (200, 1)])
def test_a_file_takes_one_line_where_there_is_room_and_two_elsewhere(width, lines):
    few = shown([WIDEST] * 2, width).splitlines()
    many = shown([WIDEST] * 6, width).splitlines()
    assert len(many) - len(few) == 4 * lines
    assert max(map(cell_len, many)) <= width


@pytest.mark.parametrize("results", [SEVERAL, SEVERAL[:1], SEVERAL[1:2], SEVERAL[2:3]])
@pytest.mark.parametrize("width", [80, 100, 160])
def test_people_get_lines_that_fit(results, width):
    lines = shown(results, width).splitlines()
    assert max(map(cell_len, lines)) <= width
    assert len(lines) > 8


def test_the_strongest_evidence_comes_first_if_asked_for_and_errors_last():
    results = [ERROR, analysis("weak.wav", log10_lr=0.1), analysis("strong.wav", log10_lr=3.0)]
    text = shown(results, 120, sort="evidence")
    assert text.index("strong.wav") < text.index("weak.wav") < text.index("[bold]")
    plain = shown(results, 120)
    assert plain.index("[bold]") < plain.index("weak.wav") < plain.index("strong.wav")


def test_warnings_name_their_file_and_notes_do_not_warn():
    clipped = analysis("loud.wav", findings=(finding("clipped", share=0.5),))
    text = shown([clipped, analysis("calm.wav")], 120)
    assert "  loud.wav: clipped" in text
    assert text.count("calm.wav") == 1


@pytest.mark.parametrize("results", [SEVERAL, SEVERAL[:1]])
def test_colour_adds_nothing_and_takes_nothing_away(results):
    coloured = shown(results, force_terminal=True, color_system="truecolor")
    assert "\x1b[" in coloured
    assert re.sub(r"\x1b\[[\d;]*m", "", coloured) == shown(results)


def test_that_nothing_was_found_is_not_shown_as_all_clear():
    row = BY_NAME["bona_fide"]
    assert "green" not in row.style
    for colour in row.colour:
        red, green, blue = bytes.fromhex(colour[1:])
        assert green <= max(red, blue)
    line = shown(SEVERAL[1:2] * 2, 120, force_terminal=True, color_system="standard")
    assert not re.search(r"\x1b\[[\d;]*\b(32|92)m", line)


@pytest.mark.parametrize("one", VERDICTS, ids=lambda one: one.name)
def test_verdicts_are_worded_for_people_and_never_as_fake(one):
    account = " ".join(shown([analysis(verdict=one.name)]).split())
    table = shown([analysis(verdict=one.name)] * 2, 120)
    assert one.words in account
    assert one.short in table and f"2 {one.words}" in table
    assert "fake" not in (account + table).lower()
    assert len(one.short) <= 16
    assert len({other.name for other in OUTCOMES}) == len(OUTCOMES)


def test_axes_of_what_is_not_found_are_in_brackets():
    codec, bona_fide = shown(SEVERAL[:1] * 2), shown(SEVERAL[1:2] * 2)
    assert "(MVQ" not in codec
    assert "(MVQ" in bona_fide
    assert "if there were one" in bona_fide
    assert "if there were one" in shown(SEVERAL[1:2])
    assert "if there were one" not in codec


def test_one_file_is_described_in_full():
    account = " ".join(shown(SEVERAL[:1]).split())
    for fact in (
        *("ab" * 32, "4.00 s", "moderate support", "79 : 1", "mixed down", "Time 0.20"),
        *("128,044 bytes", "decoded by libsndfile 1.2.2", "WAV PCM_16"),
    ):
        assert fact in account


def test_names_cannot_disturb_a_terminal_and_are_shown_as_they_are():
    together = shown(SEVERAL, 160)
    assert "\x1b" not in together
    assert "[bold]" in together
    assert "[red]a[/red].wav" in shown([analysis("[red]a[/red].wav")])
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


def test_findings_have_a_stable_kind_a_severity_and_words():
    for name, kind in KINDS.items():
        assert re.fullmatch(r"[a-z0-9_]+", name) and kind.name == name
        assert kind.severity in ("note", "warning", "decisive")
    assert finding("clipped", share=0.25).to_dict() == {
        "kind": "clipped",
        "severity": "warning",
        "message": "clipped: 25.0% of the samples at full scale; clipping adds lines to the "
        "spectrum that no codec made",
    }


def test_the_summary_adds_up():
    summary = Summary(by_folder=True)
    for result in SEVERAL:
        summary.add(result)
    counts = summary.to_dict()
    assert (counts["files"], counts["analysed"], counts["errors"]) == (4, 3, 1)
    there = {name: n for name, n in counts["verdicts"].items() if n}
    assert there == {"codec": 1, "bona_fide": 1, "inconclusive": 1}
    assert sum(folder["files"] for folder in counts["directories"]) == 4
    assert Summary().to_dict()["directories"] == []


def test_the_path_is_the_one_given(analyze, clip, monkeypatch):
    path = clip("sub/a.wav")
    monkeypatch.chdir(path.parents[1])
    assert analyze("--json", "sub/a.wav").result["path"] == "sub/a.wav"
    assert analyze("--json", "sub").result["path"] == str(Path("sub/a.wav"))
    assert analyze("--json", path).result["path"] == str(path)
