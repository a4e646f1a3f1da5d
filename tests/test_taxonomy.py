"""The catalogue, and how a user finds a codec in it."""

from __future__ import annotations

import json
from collections import Counter

import pytest

from codecsleuth import cli
from codecsleuth.cli import taxonomy as command
from codecsleuth.errors import UsageError
from codecsleuth.taxonomy import (
    AXES,
    CLASSES,
    catalogue,
    find_entries,
    find_family,
    similar_names,
)


def test_every_class_in_the_catalogue_is_one_of_its_axis() -> None:
    for entry in catalogue():
        for axis in AXES:
            assert entry.class_name(axis) in (None, *CLASSES[axis][1:]), entry.name


def test_every_spelling_leads_to_one_entry() -> None:
    for entry in catalogue():
        for spelling in (entry.name, *entry.aliases):
            assert find_entries(spelling) == (entry,), spelling


def test_names_are_unique_and_sorted() -> None:
    names = [(entry.kind, entry.name.casefold()) for entry in catalogue()]
    assert names == sorted(names)
    assert max(Counter(names).values()) == 1


def test_every_codec_belongs_to_a_family_and_no_system_does() -> None:
    assert all(bool(entry.family) == (entry.kind == "codec") for entry in catalogue())


@pytest.mark.parametrize(
    ("spelling", "name"),
    [
        ("encodec", "EnCodec"),
        ("x codec 2", "X-Codec2"),
        ("apcodec+", "APCodec+"),
        ("apcodec", "APCodec"),
        ("xocdec_hubert_general_audio", "X-Codec"),
        ("MASKGCT", "MaskGCT"),
    ],
)
def test_case_spaces_and_punctuation_make_no_difference(spelling: str, name: str) -> None:
    assert [entry.name for entry in find_entries(spelling)] == [name]


def test_versions_belong_to_their_family() -> None:
    assert find_family("DAC-lowrate") == find_family("dac24") == "DAC"
    assert {entry.name for entry in find_entries("ticodec")} == {
        *("TiCodec-1g1r", "TiCodec-1g2r", "TiCodec-1g4r")
    }
    assert find_family("VALL-E") is None
    assert find_family("") is None


def test_an_uncertain_class_is_none_which_is_not_the_class_named_none() -> None:
    (uncertain,), (none,) = find_entries("MsCodec"), find_entries("EnCodec")
    assert uncertain.aux is None
    assert none.aux == "None"


def test_a_misspelt_name_gets_suggestions() -> None:
    assert "EnCodec" in similar_names("encodek")
    with pytest.raises(UsageError, match=r"did you mean .*'WavTokenizer'"):
        command.taxonomy("wavtokeniser")
    with pytest.raises(UsageError, match="lists all"):
        command.taxonomy("qqqqqqqq")


def test_an_unknown_name_is_wrong_usage_in_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["taxonomy", "encodek"]) == 2
    out, err = capsys.readouterr()
    assert not out
    assert err.startswith("codecsleuth: no codec or system named 'encodek'; did you mean 'EnCodec'")
    assert err.count("\n") == 1


def test_the_command_shows_one_codec(capsys: pytest.CaptureFixture[str]) -> None:
    command.taxonomy("dac24")
    shown = capsys.readouterr().out
    assert all(word in shown for word in ("DAC", "MVQ", "Time", "DAC-lowrate", "DAC24"))


def test_the_table_fits_eighty_columns(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    command.taxonomy()
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= 80
    assert sum(" │ codec " in line or " │ system " in line for line in lines) == len(catalogue())


def test_json_holds_the_classes_and_entries(
    capsysbinary: pytest.CaptureFixture[bytes],
) -> None:
    assert cli.run(["taxonomy", "mscodec", "--json"]) == 0
    document = json.loads(capsysbinary.readouterr().out)
    assert document["schema"] == "codecsleuth/taxonomy/1"
    assert document["classes"]["vq"] == ["MVQ", "SVQ", "SQ"]
    assert document["entries"][0]["vq"] == "MVQ"
    assert document["entries"][0]["aux"] is None
