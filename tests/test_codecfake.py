"""CodecFake+ in both layouts: what is read, with and without lists, and what is refused."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from codecfake import CODECS, SYSTEMS, UTTERANCES, make_codecfake
from codecsleuth import cli
from codecsleuth.data import ItemTable, read_data
from codecsleuth.data.codecfake.draw import draw
from codecsleuth.data.codecfake.protocols import Row, read_protocol
from codecsleuth.errors import CodecsleuthError, DataError
from conftest import Outcome

LISTS = os.environ.get("CODECSLEUTH_PROTOCOLS", "")
LAYOUTS = ("authors", "huggingface")
PLAIN = {"Trad": "None", "SEM": "Semantic distillation", "Disent": "Disentanglement"}
PLAIN |= {"TIME": "Time", "FREQ": "Frequency"}
TEST_CODECS = len(CODECS)


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    top = tmp_path_factory.mktemp("data")
    return {
        "authors": make_codecfake(top / "one" / "CodecFake+"),
        "huggingface": make_codecfake(top / "two", "huggingface"),
        "bare": make_codecfake(top / "three" / "CodecFake+", lists=False),
    }


def refusal(folder: Path, **options: object) -> str:
    with pytest.raises(CodecsleuthError) as caught:
        read_data(folder, **options)  # type: ignore[arg-type]
    assert "\n" not in str(caught.value)
    return str(caught.value)


def labels(table: ItemTable) -> Counter[tuple[str, str]]:
    return Counter((item.split, item.label) for item in table)


def test_the_folder_its_parent_and_its_inner_folder_mean_the_same(folders: dict[str, Path]) -> None:
    folder = folders["authors"]
    tables = [read_data(one) for one in (folder, folder.parent, folder / "all_data_16k")]
    assert len(tables[0]) == 24
    assert tables[0].items == tables[1].items == tables[2].items
    assert len({table.sha256 for table in tables}) == 1


def test_lists_in_the_folder_say_what_the_splits_are(folders: dict[str, Path]) -> None:
    table = read_data(folders["authors"])
    sizes = {split: len(names) for split, names in UTTERANCES.items()}
    assert labels(table) == {(s, w): n for s, n in sizes.items() for w in ("bonafide", "spoof")}
    assert all("the folder is followed" in note for note in table.notes)
    coded = [item for item in table if item.is_codec]
    for item in coded:
        vq, aux, dec = CODECS[item.variant.replace("librispeech", "libirispeech")]
        assert (item.vq, item.aux, item.dec) == (vq, PLAIN[aux], PLAIN[dec])


def test_a_clip_knows_where_it_is_from(folders: dict[str, Path]) -> None:
    cors = read_data(folders["authors"], splits=["CoRS_ALL"]).items
    by_stem = {item.path.stem: item for item in cors}
    coded = by_stem["p228_241_vocos_encodec_6"]  # labelled "spoofs"
    assert (coded.subset, coded.speaker, coded.system) == ("CoRS", "p228", "")
    assert (coded.codec, coded.variant, coded.kind) == (
        *("Vocos-EnCodec", "vocos_encodec_6"),
        "resynthesis",
    )
    assert (coded.vq, coded.aux, coded.dec) == ("MVQ", "None", "Frequency")
    real = by_stem["p228_241"]
    assert (real.label, real.vq, real.codec, real.kind) == ("bonafide", "Real", "", "original")
    assert coded.group == real.group == "p228_241"
    cosg = read_data(folders["authors"], splits=["CoSG_ALL"]).items
    assert {item.path.parent.name for item in cosg} == set(SYSTEMS)
    shared = [item for item in cosg if item.path.stem == "sample_1"]
    assert [(item.system, item.aux) for item in shared] == [
        ("VALLE", "None"),
        ("NS3", "Disentanglement"),
    ]
    assert len({item.group for item in cosg}) == len(cosg)
    assert {item.kind for item in cosg if item.is_codec} == {"generation"}


def test_a_codec_spelt_otherwise_is_found_and_named_rightly(folders: dict[str, Path]) -> None:
    table = read_data(folders["authors"], splits=["CoRS_ALL"])
    spelt = [item for item in table if item.codec == "X-Codec"]
    assert len(spelt) == 3
    assert all(item.path.is_file() for item in spelt)
    assert {item.variant for item in spelt} == {"xcodec_hubert_librispeech"}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_sets_are_the_same_in_both_layouts(folders: dict[str, Path], layout: str) -> None:
    folder = folders[layout]
    sizes = {name: len(read_data(folder, splits=[name])) for name in ("CoRS_ALL", "CoSG_ALL")}
    assert sizes == {"CoRS_ALL": 3 * (1 + TEST_CODECS), "CoSG_ALL": 16}
    seen = read_data(folder, splits=["CoSG_SEEN"])
    assert {item.system for item in seen} == {"VALLE", "NS3", "SIMPLESPEECH1", "USLM"}
    sq = [item for item in seen if item.vq == "SQ"]
    assert [(item.system, item.aux, item.dec) for item in sq] == [("SIMPLESPEECH1", "None", "Time")]


def test_without_lists_names_and_speakers_say_it_all(folders: dict[str, Path]) -> None:
    table = read_data(folders["bare"])
    assert labels(table) == {
        **{(split, "bonafide"): len(names) for split, names in UTTERANCES.items()},
        **{(split, "spoof"): 8 * len(names) for split, names in UTTERANCES.items()},
    }
    listed = {item.file: item for item in read_data(folders["authors"])}
    for item in table:
        if twin := listed.get(item.file):
            assert (item.label, item.vq, item.aux, item.dec, item.split) == (
                *(twin.label, twin.vq, twin.aux, twin.dec),
                twin.split,
            )
    assert "names of CoSG clips do not say" in refusal(folders["bare"], splits=["CoSG_ALL"])


@pytest.mark.parametrize("axis", ["vq", "aux", "dec"])
@pytest.mark.parametrize("folder", ["bare", "huggingface"])
def test_without_lists_a_balanced_list_is_drawn(
    folders: dict[str, Path], folder: str, axis: str
) -> None:
    table = read_data(folders[folder], balance=axis, seed=3)
    assert labels(table)["train", "bonafide"] == labels(table)["train", "spoof"] == 6
    train = [item for item in table if item.split == "train"]
    counts = Counter(getattr(item, axis) for item in train if item.is_codec)
    assert max(counts.values()) - min(counts.values()) <= 1
    assert len(counts) == (2 if axis == "dec" else 3)
    pairs = Counter(item.group for item in train)
    assert set(pairs.values()) == {2}
    again = read_data(folders[folder], balance=axis, seed=3)
    other = read_data(folders[folder], balance=axis, seed=4)
    assert again.items == table.items and again.sha256 == table.sha256
    assert other.items != table.items and other.sha256 != table.sha256


#: The training lists' counts: classes of the axis, and of the other two.
PAPER = {
    "aux": {
        "aux": {"None": 14322, "Semantic distillation": 14321, "Disentanglement": 14322},
        "dec": {"Time": 28330, "Frequency": 14635},
        "vq": {"MVQ": 36137, "SVQ": 5261, "SQ": 1567},
    },
    "dec": {
        "aux": {"None": 25631, "Semantic distillation": 11080, "Disentanglement": 6254},
        "dec": {"Time": 21483, "Frequency": 21482},
        "vq": {"MVQ": 34080, "SVQ": 5871, "SQ": 3014},
    },
    "vq": {
        "aux": {"None": 32572, "Semantic distillation": 4481, "Disentanglement": 5912},
        "dec": {"Time": 23668, "Frequency": 19297},
        "vq": {"MVQ": 14322, "SVQ": 14322, "SQ": 14321},
    },
}
ALL_CODECS = """
    DAC24 Encodec_24b24k Encodec_6b24k FACodec_encodec-decoder-v2_16k
    FunCodec_en-libritts-16k-gr1nq32ds320 FunCodec_zh_en-general-16k-nq32ds320
    HiFi_Codec_16k_320d_large_universal SemantiCodec_0.35kbps_16k SemantiCodec_0.70kbps_16k
    SemantiCodec_1.40kbps_16k SpeechTokenizer_hubert_avg audiodec_24k_320d bigcodec
    hilcodec_speech languagecodec llm_codec mini snac_24khz snac_44khz
    socodec_16384x4_120ms_16khz_chinese spectralcodecs sqcodec50dim9 ticodec_1g1r ticodec_1g2r
    ticodec_1g4r vocos_encodec_12 vocos_encodec_6 wavtokenizer_medium_320_24k_4096
    wavtokenizer_small_320_24k_4096 xcodec_hubert_libirispeech xocdec_hubert_general_audio
""".split()  # noqa: SIM905


@pytest.fixture(scope="module")
def inventory() -> list[Row]:
    """All clips of a training set as large as the real one; versions are lent from each codec."""
    utterances = [f"p{speaker}_{number:03}" for speaker in range(400, 506) for number in range(406)]
    return [
        Row(0, stem.split("_")[0], f"{stem}_{codec}" if codec else stem, label)
        for stem in utterances[:42_965]
        for codec, label in [("", "bonafide"), *((codec, "spoof") for codec in ALL_CODECS)]
    ]


@pytest.mark.parametrize("axis", ["vq", "aux", "dec"])
def test_a_draw_from_all_clips_has_the_counts_of_the_papers_list(
    inventory: list[Row], axis: str
) -> None:
    from codecsleuth.taxonomy import find_entries

    drawn, left_out = draw(inventory, axis, 1234)
    assert (len(drawn), left_out) == (85_930, 0)
    entries = {codec: find_entries(codec)[0] for codec in ALL_CODECS}
    coded = [entries[row.stem.split("_", 2)[2]] for row in drawn if row.label == "spoof"]
    for name, paper in PAPER[axis].items():
        counts = Counter(getattr(entry, name) for entry in coded)
        # The axis itself is dealt out evenly; on the others, chance decides in the paper's too.
        for label, count in paper.items():
            assert abs(counts[label] - count) <= (1 if name == axis else 5 * count**0.5)


def test_a_draw_does_with_what_versions_there_are() -> None:
    rows = [Row(0, "p225", f"p225_00{n}", "bonafide") for n in range(6)]
    rows += [Row(0, "p225", f"p225_00{n}_bigcodec", "spoof") for n in range(5)]
    rows += [Row(0, "p225", "p225_000_spectralcodecs", "spoof")]
    drawn, left_out = draw(rows, "vq", 0)
    assert left_out == 1
    assert [row.stem for row in drawn] == [
        *("p225_000", "p225_000_spectralcodecs", "p225_001", "p225_001_bigcodec"),
        *("p225_002", "p225_002_bigcodec", "p225_003", "p225_003_bigcodec"),
        *("p225_004", "p225_004_bigcodec"),
    ]


def test_a_list_given_is_read_in_place_of_those_in_the_folder(
    folders: dict[str, Path], tmp_path: Path
) -> None:
    given = tmp_path / "mine.txt"
    given.write_text(
        "p225 p225_001 - - bonafide\np225 p225_001_bigcodec - - spoof\n"
        "p226 p226_001 - - bonafide\np226 p226_001_bigcodec - - spoof\n"
    )
    assert labels(read_data(folders["authors"], protocols=[given])) == {
        ("mine", "bonafide"): 2,
        ("mine", "spoof"): 2,
    }
    dealt = read_data(folders["authors"], protocols=[given], splits=["train", "dev"])
    assert [(item.split, item.path.stem) for item in dealt] == [
        *(("train", "p225_001"), ("train", "p225_001_bigcodec")),
        *(("dev", "p226_001"), ("dev", "p226_001_bigcodec")),
    ]
    train = tmp_path / "train_mult_learn_bal_dec.txt"
    train.write_text("s5 s5_180 - REAL REAL REAL bonafide\n")
    table = read_data(folders["authors"], protocols=[train], splits=["train", "dev"])
    assert labels(table)["train", "bonafide"] == 1
    assert labels(table)["dev", "bonafide"] == 3
    cosg = folders["authors"] / "CoSG_ALL.txt"
    assert "not asked for here" in refusal(
        folders["authors"], protocols=[cosg], splits=["train", "dev"]
    )


def test_the_axis_asked_for_decides_between_lists(tmp_path: Path) -> None:
    folder = make_codecfake(tmp_path / "set")
    drawn = read_data(folder, splits=["train"], balance="vq")
    assert "6 pairs drawn, balanced over VQ with seed 1234" in drawn.notes[0]
    listed = read_data(folder, splits=["train"], balance="aux")
    assert "train_mult_learn.txt" in listed.notes[0]
    (folder / "train_mult_learn_bal_vq.txt").write_text("p225 p225_001 - REAL REAL REAL bonafide\n")
    assert len(read_data(folder, splits=["train"], balance="vq")) == 1


def test_where_list_and_catalogue_differ_the_list_wins_and_it_is_said(
    folders: dict[str, Path], tmp_path: Path
) -> None:
    given = tmp_path / "train.txt"
    given.write_text(
        "p225 p225_001_bigcodec - SEM TIME SVQ spoof\np225 p225_002_bigcodec - - spoof\n"
    )
    first, second = (table := read_data(folders["authors"], protocols=[given])).items
    assert (first.aux, second.aux) == ("Semantic distillation", "None")
    (note,) = table.notes
    assert "1 clips" in note and "bigcodec" in note and "the list is followed" in note


def test_a_codec_that_nobody_knows_is_kept_without_classes(tmp_path: Path) -> None:
    folder = make_codecfake(tmp_path / "set", lists=False)
    source = folder / "all_data_16k" / "p225_001_bigcodec.wav"
    source.rename(source.with_name("p225_001_newcodec_3.wav"))
    table = read_data(folder)
    (new,) = [item for item in table if item.variant == "newcodec_3"]
    assert (new.codec, new.vq, new.aux, new.dec) == ("newcodec_3", None, None, None)
    assert any("newcodec_3" in note for note in table.notes)


def test_a_clip_whose_name_is_not_text_is_named(tmp_path: Path) -> None:
    folder = make_codecfake(tmp_path / "set", lists=False)
    source = folder / "all_data_16k" / "p227_001_bigcodec.wav"
    try:
        source.rename(source.with_name("p227_001_big\udcffcodec.wav"))
    except OSError:
        pytest.skip("the file system takes names in UTF-8 only")
    assert "p227_001_big\udcffcodec.wav: the name is not UTF-8" in refusal(
        folder, splits=["CoRS_ALL"]
    )
    assert len(read_data(folder, splits=["dev"])) == 27


@pytest.mark.parametrize("layout", LAYOUTS)
def test_missing_audio_is_counted_and_named(tmp_path: Path, layout: str) -> None:
    gone = {"authors": ["sample_1"], "huggingface": ["VALLE_2", "NS3_2"]}[layout]
    folder = make_codecfake(tmp_path / "set", layout, missing=gone)
    message = refusal(folder, splits=["CoSG_ALL"])
    assert "audio missing for 2 of 16" in message
    assert f"{gone[0]}.wav" in message and "--allow-missing" in message
    table = read_data(folder, splits=["CoSG_ALL"], allow_missing=True)
    assert (len(table), len(table.missing)) == (14, 2)
    assert len(read_data(folder, splits=["CoSG_SEEN"], allow_missing=True)) == 8


def test_a_set_without_any_audio_is_not_evaluated(
    tmp_path: Path, weights_path: Path, run: Callable[..., Outcome]
) -> None:
    gone = [stem for _, stems in SYSTEMS.values() for stem in stems]
    folder = make_codecfake(tmp_path / "set", missing=gone)
    words = ("evaluate", "--data", folder, "--split", "CoSG_ALL", "--model", weights_path)
    outcome = run(*words, "--allow-missing")
    assert outcome.status == 1
    assert "none of the 16 clips chosen has audio here" in outcome.err


@pytest.mark.parametrize("layout", LAYOUTS)
def test_without_any_audio_one_message_says_how_to_get_it(tmp_path: Path, layout: str) -> None:
    folder = make_codecfake(tmp_path / "set", layout, audio=False)
    for absent in (folder, tmp_path / "CodecFake+", tmp_path / "codecfake_plus"):
        message = refusal(absent)
        assert f"codecsleuth data fetch codecfake+ --out {absent}" in message
        assert "CodecFake/CodecFake_Plus_Dataset" in message
        assert "101 GB" in message


def test_a_subset_that_was_not_fetched_is_named(tmp_path: Path) -> None:
    every = [stem for _, stems in SYSTEMS.values() for stem in stems]
    folder = make_codecfake(tmp_path / "set", missing=every)
    assert len(read_data(folder)) == 24
    assert "codecsleuth data fetch codecfake+" in refusal(folder, splits=["CoSG_ALL"])


def test_the_releases_clips_have_names_of_their_own(folders: dict[str, Path]) -> None:
    given = folders["authors"] / "CoSG_ALL.txt"
    message = refusal(folders["huggingface"], protocols=[given])
    assert "--split CoSG_ALL needs no list" in message


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("p225 p225_001 - - fake\n", "line 1: label 'fake' is neither bonafide nor spoof"),
        ("\np225 p225_001\n", "line 2: not 'speaker clip ... label'"),
        ("p225 p225_001_dac - XYZ TIME MVQ spoof\n", "line 1: 'XYZ' is not a class"),
        ("p225 p225_001 - Trad TIME MVQ bonafide\n", "'bonafide' contradicts class 'Trad'"),
        ("p225 p225_001_dac - REAL REAL REAL spoof\n", "'spoof' contradicts class 'REAL'"),
        ("p225 a - - spoof\np225 a - - bonafide\n", "line 2: contradicts line 1"),
        ("p225 ../../etc/passwd - - spoof\n", "is not the name of a clip"),
        ("\n", "the list is empty"),
    ],
)
def test_a_bad_line_is_named(
    folders: dict[str, Path], tmp_path: Path, text: str, told: str
) -> None:
    given = tmp_path / "train.txt"
    given.write_text(text)
    message = refusal(folders["authors"], protocols=[given])
    assert told in message
    assert str(given) in message


def test_lists_that_are_not_there_or_not_text_are_named(
    folders: dict[str, Path], tmp_path: Path
) -> None:
    assert "none.txt" in refusal(folders["authors"], protocols=[tmp_path / "none.txt"])
    (tmp_path / "x.txt").write_bytes(b"\xff\xfe")
    assert "not UTF-8 text" in refusal(folders["authors"], protocols=[tmp_path / "x.txt"])
    (tmp_path / "items.csv").write_text("file,split,label,vq,aux,dec\n")
    given = folders["authors"] / "CoSG_ALL.txt"
    assert "--protocol is for CodecFake+" in refusal(tmp_path, protocols=[given])


def test_a_line_said_twice_counts_once_and_is_told(
    folders: dict[str, Path], tmp_path: Path
) -> None:
    given = tmp_path / "train.txt"
    given.write_text("p225 p225_001 - - bonafide\n" * 3)
    table = read_data(folders["authors"], protocols=[given])
    assert len(table) == 1
    assert table.notes == ("2 lines say again what an earlier line says",)


def test_lists_of_one_split_are_joined_and_must_agree(
    folders: dict[str, Path], tmp_path: Path
) -> None:
    row = "p225 p225_001_bigcodec - {} TIME SVQ spoof\n"
    for name, aux in (("train_a", "Trad"), ("train_b", "Trad"), ("train_c", "SEM")):
        (tmp_path / f"{name}.txt").write_text(row.format(aux))
    a, b, c = (tmp_path / f"train_{name}.txt" for name in "abc")
    table = read_data(folders["authors"], protocols=[a, b])
    assert len(table) == 1
    assert "1 lines say again" in table.notes[0]
    assert "contradict each other" in refusal(folders["authors"], protocols=[a, c])
    whole, part = folders["authors"] / "CoSG_ALL.txt", folders["authors"] / "CoSG_SEEN.txt"
    assert "in CoSG_ALL and in CoSG_SEEN" in refusal(folders["authors"], protocols=[whole, part])


@pytest.mark.parametrize("clip", ["p225_001_{codec}", "p225_001"])
def test_cors_labels_may_stand_under_the_codec(tmp_path: Path, clip: str) -> None:
    folder = make_codecfake(tmp_path / "set", "huggingface")
    rows = "Model ClipID QUA AUX DEC Label\nOriginal p225_001 Real Real Real bonafide\n"
    rows += f"bigcodec {clip.format(codec='bigcodec')} Svq None Time Spoof\n"
    (folder / "CoRS_labels.txt").write_text(rows)
    real, coded = read_data(folder, splits=["train"])
    assert (real.speaker, coded.speaker) == ("p225", "p225")
    assert (coded.codec, coded.vq, coded.path.stem) == ("BigCodec", "SVQ", "p225_001_bigcodec")


def test_wrong_words_are_usage_errors(folders: dict[str, Path]) -> None:
    assert "--balance codec" in refusal(folders["bare"], balance="codec")
    assert "there are: train, dev, test, CoRS_ALL" in refusal(folders["bare"], splits=["eval"])


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Callable[..., Outcome]:
    def call(*words: object) -> Outcome:
        capsys.readouterr()
        status = cli.run([str(word) for word in words])
        return Outcome(status, *capsys.readouterr())

    return call


def test_evaluate_takes_a_set_by_name_or_by_list(
    folders: dict[str, Path], weights_path: Path, run: Callable[..., Outcome]
) -> None:
    folder = folders["authors"]
    words = ("evaluate", "--model", weights_path, "--json", "--bootstrap", "0", "--data")
    by_name = run(*words, folder.parent, "--split", "CoSG_SEEN")
    by_list = run(*words, folder, "--protocol", folder / "CoSG_SEEN.txt")
    assert (by_name.status, by_list.status) == (0, 0)
    assert by_name.document["clips"] == by_list.document["clips"] == 10
    assert by_name.document["tasks"] == by_list.document["tasks"]
    assert set(by_name.document["per_source"]) == {"VALLE", "NS3", "SIMPLESPEECH1", "USLM"}
    assert run(*words, folder).document["clips"] == 6


def test_training_reads_it(
    folders: dict[str, Path], tmp_path: Path, run: Callable[..., Outcome]
) -> None:
    small = ("--steps", "2", "--views", "1", "--batch-size", "4", "--workers", "1")
    outcome = run("train", "--data", folders["bare"], "--balance", "vq", "--out", tmp_path, *small)
    assert outcome.status == 0, outcome.err
    assert "train: no list; 6 pairs drawn" in outcome.err
    assert (tmp_path / "compact.safetensors").is_file()


def test_the_commands_say_how_to_get_what_is_absent(
    tmp_path: Path, run: Callable[..., Outcome]
) -> None:
    for words in (("evaluate",), ("train", "--out", tmp_path / "run")):
        outcome = run(*words, "--data", tmp_path / "CodecFake+")
        assert outcome.status == 1
        assert outcome.err.count("\n") == 1
        assert "codecsleuth data fetch codecfake+" in outcome.err


@pytest.mark.skipif(not LISTS, reason="CODECSLEUTH_PROTOCOLS names no folder with the real lists")
def test_the_real_lists_are_read() -> None:
    folder = Path(LISTS)
    sizes = {
        **{"CoRS_ALL": 23405, "CoSG_ALL": 1797, "CoSG_SEEN": 577},
        **{"dev_mult_learn": 1470, "test_mult_learn": 1510},
    }
    for name, size in sizes.items():
        assert len(read_protocol(folder / f"{name}.txt").rows) == size


@pytest.mark.skipif(not LISTS, reason="CODECSLEUTH_PROTOCOLS names no folder with the real lists")
@pytest.mark.parametrize("suffix", [".wav", ".flac"])
def test_the_real_lists_find_their_clips(tmp_path: Path, suffix: str) -> None:
    lists = sorted(Path(LISTS).glob("*_*.txt"))
    for path in lists:
        for row in read_protocol(path).rows:
            inner = "all_data_16k" if row.clip else f"SLMdemos_16k/{row.owner}"
            (tmp_path / inner).mkdir(parents=True, exist_ok=True)
            (tmp_path / inner / f"{row.stem}{suffix}").touch()
    for path in lists:
        table = read_data(tmp_path, protocols=[path])
        assert len(table) == len(read_protocol(path).rows)
        assert not table.notes
        coded = [item for item in table if item.is_codec]
        assert all(item.vq and item.aux and item.dec for item in coded)


def test_an_unreadable_folder_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "all_data_16k").write_text("not a folder")
    with pytest.raises(DataError):
        read_data(tmp_path)
