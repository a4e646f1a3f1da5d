"""What a data folder may hold, and what a user is told when it does not."""

from __future__ import annotations

from pathlib import Path

import pytest

from codecsleuth.data.folds import source_folds
from codecsleuth.data.items import (
    Item,
    ItemTable,
    allowed_classes,
    class_indices,
    read_items,
)
from codecsleuth.data.sampling import sampling_weights
from codecsleuth.errors import DataError
from codecsleuth.taxonomy import DETECTION

HEADER = "file,split,label,vq,aux,dec,codec,variant,kind,group,source,duration_s"
REAL = "a/0.flac,train,bonafide,,,,,,original,u1,page,1.5"
CODED = "a/1.flac,dev,spoof,MVQ,None,,EnCodec,6kbps,resynthesis,u1,page,1.4"


def make_folder(folder: Path, *rows: str, header: str = HEADER, audio: bool = True) -> Path:
    (folder / "a").mkdir(parents=True)
    (folder / "items.csv").write_text("\n".join([header, *rows]) + "\n", encoding="utf-8")
    for row in rows if audio else ():
        (folder / row.split(",")[0]).touch()
    return folder


def refusal(folder: Path) -> str:
    with pytest.raises(DataError) as caught:
        read_items(folder)
    message = str(caught.value)
    assert "\n" not in message
    assert str(folder) in message
    return message


def test_reads_clips_and_their_classes(tmp_path: Path) -> None:
    table = read_items(make_folder(tmp_path / "set", REAL, CODED))
    real, coded = table
    assert (real.row, real.path) == (2, tmp_path / "set" / "a" / "0.flac")
    assert (coded.codec, coded.variant, coded.group, coded.duration_s) == (
        *("EnCodec", "6kbps", "u1"),
        1.4,
    )
    assert [real.class_index(task) for task in ("BIN", "VQ", "AUX", "DEC")] == [1, 0, 0, 0]
    assert [coded.class_index(task) for task in ("BIN", "VQ", "AUX", "DEC")] == [0, 1, 1, None]
    assert class_indices(table.items, "DEC").tolist() == [0, -1]


def test_only_six_columns_are_needed(tmp_path: Path) -> None:
    folder = make_folder(
        tmp_path / "set",
        "a/0.wav,test,bonafide,Real,,",
        "a/b c.wav,test,spoof,SQ,,Time",
        header="file,split,label,vq,aux,dec",
    )
    real, coded = read_items(folder)
    assert (coded.file, coded.group, coded.source) == ("a/b c.wav", "a/b c.wav", "")
    assert coded.duration_s is None
    assert real.class_index("AUX") == 0


def one_of_each_label(folder: Path) -> ItemTable:
    """A bona fide, a codec, a vocoder and a neural clip, with the corpus' own columns."""
    rows = (
        "a/0.flac,train,bonafide,,,,,Opus,classical,u,page,c0,x.wav,0.3,1.5,ab",
        "a/1.flac,train,spoof,SQ,,,FACodec,v1,conversion,u,page,c0,x.wav,0.3,1.5,ab",
        "a/2.flac,extra,vocoder,,,,,HiFi-GAN,vocoder,u,page,c0,x.wav,0.3,1.5,ab",
        "a/3.flac,train,neural,,,,,A product,cloud,u,page,c0,x.wav,0.3,1.5,ab",
    )
    columns = "file,split,label,vq,aux,dec,codec,variant,kind,group,source"
    return read_items(
        make_folder(folder, *rows, header=f"{columns},commit,path,start_s,duration_s,pcm_md5")
    )


def test_labels_allow_one_detection_class_or_two(tmp_path: Path) -> None:
    table = one_of_each_label(tmp_path / "set")
    assert [item.label_classes for item in table] == [
        *(("bona fide",), ("codec",), ("vocoder",)),
        ("codec", "vocoder"),
    ]
    assert [item.is_codec for item in table] == [False, True, False, False]
    assert [item.is_bona_fide for item in table] == [True, False, False, False]
    assert class_indices(table.items, "BIN", DETECTION).tolist() == [2, 0, 1, -1]
    assert allowed_classes(table.items, "BIN", DETECTION).tolist() == [
        [False, False, True],
        [True, False, False],
        [False, True, False],
        [True, True, False],
    ]


def test_two_detection_classes_have_no_place_for_neural_synthesis_without_a_codec(
    tmp_path: Path,
) -> None:
    table = one_of_each_label(tmp_path / "set")
    assert class_indices(table.items, "BIN").tolist() == [1, 0, -1, -1]
    assert allowed_classes(table.items, "BIN")[2:].sum() == 0
    assert class_indices(table.items, "VQ").tolist() == [0, 3, -1, -1]


def test_draws_are_shared_out_by_label_and_vocoders_evened_over_systems(tmp_path: Path) -> None:
    vocoders = [_clip("page", n, "", "vocoder", "Griffin") for n in range(9)]
    vocoders += [_clip("other", 0, "", "vocoder", "WaveGlow"), _clip("third", 0, "", "neural", "X")]
    items = [*page("page", {"DAC": 4}, 8), *vocoders]
    weights = sampling_weights(items, bona_fide_share=0.4, vocoder_share=0.2, evenness=1.0)
    assert weights[:8].sum() == pytest.approx(0.4)
    assert weights[8:12].sum() == pytest.approx(0.4)
    assert weights[12:21].sum() == pytest.approx(weights[21]) == pytest.approx(0.2 / 3)
    without = sampling_weights(items[:12], bona_fide_share=0.4, vocoder_share=0.2, evenness=1.0)
    assert without[8:].sum() == pytest.approx(0.6)


def test_text_may_be_quoted_and_begin_with_a_byte_order_mark(tmp_path: Path) -> None:
    folder = make_folder(tmp_path / "set", audio=False)
    row = '"a/x, y.wav",dev,bonafide,,,,,,,"line\u2028inside",,'
    (folder / "items.csv").write_text(f"{HEADER}\r\n\r\n{row}\r\n", encoding="utf-8-sig")
    (folder / "a" / "x, y.wav").touch()
    (item,) = read_items(folder)
    assert (item.file, item.row, item.group) == ("a/x, y.wav", 3, "line\u2028inside")


@pytest.mark.parametrize(
    ("row", "told"),
    [
        (
            "a/1.flac,dev,fake,,,,,,,,,",
            "label 'fake' is not one of: bonafide, spoof, vocoder",
        ),
        ("a/1.flac,,spoof,,,,,,,,,", "split '' is not one word, such as train, dev, test"),
        ("a/1.flac,my set,spoof,,,,,,,,,", "split 'my set' is not one word"),
        ("a/1.flac,dev,spoof,mvq,,,,,,,,", "vq 'mvq' is not one of: Real, MVQ, SVQ, SQ"),
        ("a/1.flac,dev,vocoder,MVQ,,,,,,,,", "'vocoder' contradicts vq 'MVQ'"),
        ("a/1.flac,dev,neural,,,Real,,,,,,", "'neural' contradicts dec 'Real'"),
        ("a/1.flac,dev,vocoder,,,,DAC,,,,,", "'vocoder' contradicts codec 'DAC'"),
        ("a/1.flac,dev,spoof,,,,,,classical,,,", "'spoof' contradicts kind 'classical'"),
        ("a/1.flac,dev,bonafide,MVQ,,,,,,,,", "'bonafide' contradicts vq 'MVQ'"),
        ("a/1.flac,dev,bonafide,,,,DAC,,,,,", "'bonafide' contradicts codec 'DAC'"),
        ("a/1.flac,dev,bonafide,,,,,,generation,,,", "'bonafide' contradicts kind 'generation'"),
        ("a/1.flac,dev,spoof,,Real,,,,,,,", "'spoof' contradicts aux 'Real'"),
        ("a/1.flac,dev,spoof,,,,DAC,,original,,,", "'spoof' contradicts kind 'original'"),
        ("a/1.flac,dev,spoof,,,,,,,,,soon", "duration_s 'soon' is not a number of seconds"),
        ("a/1.flac,dev,spoof,,,,,,,,,nan", "duration_s 'nan' is not a number of seconds"),
        ("../1.flac,dev,spoof,,,,,,,,,", "leaves the data folder"),
        ("/etc/passwd,dev,spoof,,,,,,,,,", "leaves the data folder"),
        (",dev,spoof,,,,,,,,,", "no file name"),
        ("a/0.flac,dev,bonafide,,,,,,,,,", "also in row 2"),
        ("a/1.flac,dev", "row 3: 2 values for 12 columns"),
        (CODED + ",more", "row 3: 13 values for 12 columns"),
    ],
)
def test_a_bad_row_is_named(tmp_path: Path, row: str, told: str) -> None:
    message = refusal(make_folder(tmp_path / "set", REAL, row, audio=False))
    assert told in message
    assert "items.csv, row 3" in message


@pytest.mark.parametrize(
    ("header", "told"),
    [
        (HEADER + ",colour", "row 1: unknown column 'colour'"),
        (HEADER + ",codec", "row 1: repeated column 'codec'"),
        (HEADER.replace(",vq,aux", ""), "row 1: missing column 'vq', 'aux'"),
    ],
)
def test_bad_columns_are_named(tmp_path: Path, header: str, told: str) -> None:
    assert told in refusal(make_folder(tmp_path / "set", header=header))


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"", "the table is empty"),
        (HEADER.encode() + b"\n", "the table has no rows"),
        (HEADER.encode() + b"\na/\xff.flac,dev,spoof,,,,,,,,,\n", "row 2: not UTF-8"),
        (HEADER.encode() + b'\n"a/0.flac"x,dev,spoof,,,,,,,,,\n', "row 2: not a CSV table"),
        (HEADER.encode() + b'\n"a/0.flac,dev,spoof,,,,,,,,,\n', "row 2: not a CSV table"),
    ],
)
def test_a_table_that_is_none_is_refused(tmp_path: Path, content: bytes, told: str) -> None:
    (tmp_path / "items.csv").write_bytes(content)
    assert told in refusal(tmp_path)


def test_no_folder_no_table_or_a_file_instead(tmp_path: Path) -> None:
    assert "no such folder" in refusal(tmp_path / "nowhere")
    assert "no items.csv in this folder" in refusal(tmp_path)
    (tmp_path / "file.wav").touch()
    assert "not a folder with an items.csv" in refusal(tmp_path / "file.wav")


def test_missing_audio_is_counted_and_refused_unless_allowed(tmp_path: Path) -> None:
    folder = make_folder(tmp_path / "set", REAL, CODED)
    (folder / "a" / "1.flac").unlink()
    assert "audio missing for 1 of 2 rows: row 3 ('a/1.flac')" in refusal(folder)
    (folder / "a" / "1.flac").symlink_to("gone.flac")
    table = read_items(folder, allow_missing=True)
    assert [item.file for item in table] == ["a/0.flac"]
    assert [item.file for item in table.missing] == ["a/1.flac"]


def test_of_many_missing_files_only_the_first_are_named(tmp_path: Path) -> None:
    rows = [f"a/{i}.flac,dev,spoof,,,,,,,,," for i in range(9)]
    message = refusal(make_folder(tmp_path / "set", *rows, audio=False))
    assert "9 of 9 rows" in message
    assert message.count("row ") == 3


def page(name: str, codecs: dict[str, int], bona_fide: int) -> list[Item]:
    items = [_clip(name, i, "") for i in range(bona_fide)]
    return items + [_clip(name, i, codec) for codec, n in codecs.items() for i in range(n)]


def _clip(source: str, number: int, codec: str, label: str = "", variant: str = "") -> Item:
    label = label or ("spoof" if codec else "bonafide")
    known = {"spoof": ("MVQ", "None", "Time"), "bonafide": ("Real", "Real", "Real")}
    classes = known.get(label, (None, None, None))
    file = f"{source}-{codec}{variant}-{number}"
    return Item(
        *(2, file, Path(file), "train", label, *classes),
        codec=codec,
        variant=variant,
        source=source,
    )


def test_folds_take_whole_sources_and_are_even() -> None:
    items = [
        item
        for number in range(20)
        for item in page(f"page{number}", {"shared": 6 + number % 4}, 5 + number % 3)
    ]
    folds = source_folds(items, 5)
    assert sorted(source for fold in folds for source in fold) == sorted(
        {item.source for item in items}
    )
    real = [sum(not i.is_codec and i.source in fold for i in items) for fold in folds]
    coded = [sum(i.is_codec and i.source in fold for i in items) for fold in folds]
    assert max(real) - min(real) <= 4
    assert max(coded) - min(coded) <= 4


def test_each_fold_has_a_codec_no_other_page_has() -> None:
    items = [item for n in range(6) for item in page(f"plain{n}", {"shared": 40}, 40)]
    items += [item for n in range(5) for item in page(f"own{n}", {f"codec{n}": 2}, 1)]
    for fold in source_folds(items, 5):
        outside = {item.codec for item in items if item.source not in fold}
        assert {item.codec for item in items if item.source in fold} - outside


def test_folds_do_not_depend_on_the_order_of_rows() -> None:
    items = [item for n in range(9) for item in page(f"page{n}", {f"codec{n % 3}": n + 1}, n)]
    assert source_folds(items, 3) == source_folds(items[::-1], 3)


def test_too_few_sources_for_the_folds() -> None:
    with pytest.raises(DataError, match="1 sources cannot make 5 folds"):
        source_folds(page("only", {"codec": 3}, 3), 5)
