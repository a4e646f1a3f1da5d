"""Evaluation of a model on labelled clips: the figures, the tables, the command."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from codecsleuth.calibration import Calibration, detection_log_odds
from codecsleuth.data.items import Item
from codecsleuth.evaluation import metrics
from codecsleuth.evaluation.figures import task_metrics
from codecsleuth.evaluation.measure import evaluate
from codecsleuth.evaluation.results import Evaluation
from codecsleuth.evaluation.scores import ScoreTable, score_items
from codecsleuth.inference.answer import FileError
from codecsleuth.inference.engine import Input
from codecsleuth.taxonomy import CLASSES
from conftest import score_file

CODECS = {
    "EnCodec": ("MVQ", "None", "Time"),
    "BigCodec": ("SVQ", "None", "Time"),
    "TaDiCodec": (None, None, "Frequency"),
}


def clip(number: int, codec: str = "", source: str = "page", seconds: float | None = 3.0) -> Item:
    classes = CODECS[codec] if codec else ("Real", "Real", "Real")
    label, kind = ("spoof", "resynthesis") if codec else ("bonafide", "original")
    file = f"{number}{codec}.wav"
    facts = {"codec": codec, "kind": kind, "group": str(number), "source": source}
    return Item(number + 2, file, Path(file), "dev", label, *classes, **facts, duration_s=seconds)


def clips(count: int = 12) -> list[Item]:
    """Utterances, each as an original and through each codec, on two pages."""
    return [
        clip(number, codec, f"page{number % 2}", 1.0 + number % 4)
        for number in range(count)
        for codec in ("", *CODECS)
    ]


VERDICTS = {"spoof": "codec", "bonafide": "bona_fide"}


@dataclass(frozen=True)
class Answer:
    raw: Mapping[str, NDArray[np.float64]]
    verdict: str


class Oracle:
    """An engine that knows the truth, but is unsure of it and now and then wrong."""

    def __init__(self, items: list[Item], noise: float = 0.0, tasks: tuple[str, ...] = ()) -> None:
        generator = np.random.default_rng(1)
        self.closed = False
        self.verdicts = {str(item.path): VERDICTS[item.label] for item in items}
        self.answers = {
            str(item.path): {
                task: self.answer(item, task, noise * generator.normal(size=len(CLASSES[task])))
                for task in tasks or CLASSES
            }
            for item in items
        }

    @staticmethod
    def answer(item: Item, task: str, noise: NDArray[np.float64]) -> NDArray[np.float64]:
        index = item.class_index(task)
        return 2.0 * (np.arange(len(CLASSES[task])) == (1 if index is None else index)) + noise

    def score(self, model: Any, inputs: Iterable[Input]) -> Iterator[Any]:
        try:
            for one in inputs:
                answer = self.answers.get(one.path)
                if answer:
                    yield Answer(answer, self.verdicts.get(one.path, "inconclusive"))
                else:
                    yield FileError(one.path, "silent", "silence")
        finally:
            self.closed = True

    def table(self, items: list[Item]) -> ScoreTable:
        scores, unreadable = score_items(None, items, self)  # type: ignore[arg-type]
        assert not unreadable
        return scores


def evaluated(items: list[Item], noise: float = 0.0, draws: int = 50) -> Evaluation:
    return evaluate(Oracle(items, noise).table(items), Calibration(), draws=draws)


def test_a_perfect_model_has_perfect_figures() -> None:
    result = evaluated(clips())
    detection = result.tasks["BIN"].figures
    assert detection["eer"].value == 0.0
    assert detection["auc"].value == 1.0
    assert detection["bona_fide_called_codec"].value == 0.0
    for axis in ("AUX", "DEC"):
        figures = result.tasks[axis].figures
        assert figures["f1_weighted"].value == figures["accuracy"].value == 1.0
    assert result.per_codec["EnCodec"].detected == 1.0
    assert result.per_codec["EnCodec"].eer == 0.0


def test_each_figure_has_its_interval_and_the_constant_answer() -> None:
    result = evaluated(clips(), noise=2.0)
    for name in ("eer", "auc", "min_dcf", "cllr", "ece", "inconclusive"):
        figure = result.tasks["BIN"].figures[name]
        assert figure.value is not None and figure.interval is not None
        assert figure.interval[0] <= figure.value <= figure.interval[1]
    assert result.tasks["BIN"].figures["eer"].constant == 0.5
    # 12 bona fide, 12 MVQ, 12 SVQ: any constant answer is right on a third of the clips.
    assert result.tasks["VQ"].figures["f1_weighted"].constant == pytest.approx(0.5 / 3)
    assert result.tasks["VQ"].figures["accuracy"].constant == pytest.approx(0.5)


def test_clips_of_unknown_class_are_left_out_of_that_axis_alone() -> None:
    result = evaluated(clips())
    assert result.tasks["VQ"].unknown == 12
    assert result.tasks["VQ"].support == {"Real": 12, "MVQ": 12, "SVQ": 12, "SQ": 0}
    assert result.tasks["DEC"].unknown == 0
    assert result.per_codec["TaDiCodec"].accuracy == {"VQ": None, "AUX": None, "DEC": 1.0}


def test_a_class_without_clips_is_said_to_have_none() -> None:
    result = evaluated(clips())
    assert result.tasks["VQ"].f1["SQ"] is None
    assert result.tasks["VQ"].empty_classes == ["SQ"]
    assert any("VQ: no clips of SQ" in warning for warning in result.warnings)


@pytest.mark.parametrize("label", ["bonafide", "spoof"])
def test_one_label_alone_gives_no_error_rate_but_a_reason(label: str) -> None:
    result = evaluated([item for item in clips() if item.label == label])
    assert result.tasks["BIN"].figures["eer"].value is None
    assert result.tasks["BIN"].figures["eer"].interval is None
    (warning,) = [text for text in result.warnings if text.startswith("BIN")]
    assert "not defined: eer, auc, min_dcf, cllr" in warning


def verdicts(result: Evaluation, label: str) -> dict[str, int]:
    """The row of a label in the confusion of ``BIN``."""
    detection = result.tasks["BIN"]
    row = detection.confusion[list(detection.support).index(label)]
    return dict(zip(detection.columns, row, strict=True))


def test_confusion_counts_what_was_answered() -> None:
    items = [clip(0), clip(1), clip(2, "EnCodec"), clip(3, "BigCodec")]
    logits = {
        "BIN": np.array([[0, 9.0], [9.0, 0], [9.0, 0], [0.1, 0]]),
        "VQ": np.array([[9.0, 0, 0, 0], [0, 9.0, 0, 0], [9.0, 1, 2, 0], [0, 0, 0, 9.0]]),
    }
    calibration = Calibration(codec_threshold=0.9, bona_fide_threshold=0.1)
    result = evaluate(ScoreTable(tuple(items), logits), calibration, draws=0)
    assert verdicts(result, "codec") == {"codec": 1, "inconclusive": 1, "bona_fide": 0}
    assert verdicts(result, "bona fide") == {"codec": 1, "inconclusive": 0, "bona_fide": 1}
    assert result.tasks["VQ"].confusion[1] == (1, 0, 0, 0)
    assert result.tasks["VQ"].figures["f1_weighted"].interval is None
    # What analyze shows leaves Real out: the second best class counts, and it is the wrong one.
    assert result.per_codec["EnCodec"].accuracy == {"VQ": 0.0}


def test_tables_by_source_kind_and_length() -> None:
    result = evaluated(clips())
    assert set(result.per_source) == {"page0", "page1"}
    assert result.per_source["page0"].bona_fide_clips == 6
    assert result.per_kind["resynthesis"].codec_clips == 36
    assert list(result.per_length) == ["under 2 s", "2 to 3.5 s", "3.5 s and over"]
    assert sum(part.codec_clips for part in result.per_length.values()) == 36


def test_lengths_not_stated_make_no_table() -> None:
    assert evaluated([clip(0, seconds=None), clip(1, "EnCodec", seconds=None)]).per_length == {}


def test_an_axis_without_known_clips_is_undefined_not_an_error() -> None:
    result = evaluated([clip(0, "TaDiCodec"), clip(1, "TaDiCodec")])
    assert result.tasks["VQ"].figures["f1_weighted"].value is None
    assert result.tasks["VQ"].unknown == 2


def test_versions_of_an_utterance_are_drawn_together() -> None:
    items = clips()
    scores = Oracle(items, noise=2.0).table(items)
    alone = tuple(Item(**{**vars(item), "group": item.file}) for item in scores.items)
    together = evaluate(scores, Calibration(), draws=200)
    apart = evaluate(ScoreTable(alone, scores.logits), Calibration(), draws=200)
    assert (
        together.tasks["BIN"].figures["auc"].interval != apart.tasks["BIN"].figures["auc"].interval
    )


def test_the_same_scores_give_the_same_document() -> None:
    first, second = (json.dumps(evaluated(clips(), noise=1.0).to_dict()) for _ in range(2))
    assert first == second
    assert "NaN" not in first


def test_unreadable_clips_are_named_and_the_others_keep_their_order() -> None:
    items = clips()
    ticks: list[None] = []
    oracle = Oracle(items[1:])
    scores, unreadable = score_items(None, items, oracle, lambda: ticks.append(None))  # type: ignore[arg-type]
    assert [(u.item.file, u.kind, u.message) for u in unreadable] == [
        (items[0].file, "silent", "silence")
    ]
    assert scores.items == tuple(items[1:])
    assert len(ticks) == len(items)


def test_scoring_that_is_interrupted_stops_the_engine() -> None:
    items = clips()
    oracle = Oracle(items)

    def interrupt() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        score_items(None, items, oracle, interrupt)  # type: ignore[arg-type]
    assert oracle.closed


def test_metrics_of_a_training_epoch_need_no_files() -> None:
    generator = np.random.default_rng(0)
    labels = {task: generator.integers(0, len(names), 40) for task, names in CLASSES.items()}
    labels["VQ"][:10] = -1
    logits = {
        task: generator.normal(size=(40, len(names))).astype(np.float32)
        for task, names in CLASSES.items()
    }
    result = task_metrics(logits, labels)
    assert 0 < result["BIN"]["eer"] < 1
    assert 0 < result["VQ"]["f1_macro_codec"] < 1
    known = task_metrics({"VQ": logits["VQ"][10:]}, {"VQ": labels["VQ"][10:]})
    assert known["VQ"] == result["VQ"]


def test_a_model_without_detection_has_no_verdicts() -> None:
    items = clips()
    scores = Oracle(items, tasks=("VQ", "AUX", "DEC")).table(items)
    result = evaluate(scores, Calibration(), draws=0)
    assert "BIN" not in result.tasks
    assert result.per_codec["EnCodec"].detected is None
    assert result.per_label == result.class_pairs == {}
    assert "log_odds_raw" not in score_file(scores).to_csv()


def test_every_figure_stands_beside_that_of_a_constant_answer() -> None:
    result = evaluated(clips(), noise=2.0, draws=0)
    for task in result.tasks.values():
        assert all(figure.constant is not None for figure in task.figures.values())
    even = {"BIN": np.zeros((48, 2)), "VQ": np.zeros((48, 4))}
    flat = evaluate(ScoreTable(tuple(clips()), even), Calibration(), draws=0).tasks["BIN"].figures
    for name in ("eer", "auc", "min_dcf", "cllr"):
        assert flat[name].value == pytest.approx(flat[name].constant)


def test_detection_figures_are_the_metrics_by_their_names() -> None:
    items = clips()
    scores = Oracle(items, noise=2.0).table(items)
    result = evaluate(scores, Calibration(max_log_odds=99.0), draws=0).tasks["BIN"].figures
    raw = detection_log_odds(scores.logits["BIN"], CLASSES["BIN"])
    is_codec = scores.labels("BIN") == 0
    assert result["eer"].value == metrics.equal_error_rate(raw, is_codec)
    assert result["auc"].value == metrics.area_under_curve(raw, is_codec)
    assert result["min_dcf"].value == metrics.minimum_dcf(raw, is_codec)
    assert result["cllr"].value == metrics.log_likelihood_ratio_cost(raw, is_codec)


def of_system(number: int, system: str, codec: str = "") -> Item:
    item = clip(number, codec)
    return replace(item, system=system, subset="CoSG", group=f"{system}{number}{codec}")


def test_a_system_with_most_of_the_clips_does_not_decide_the_macro_figures() -> None:
    """Ninety clips of a system that is all wrong, ten of one that is all right."""
    items = [of_system(n, "LARGE", codec) for n in range(45) for codec in ("", "EnCodec")]
    items += [of_system(n, "SMALL", codec) for n in range(5) for codec in ("", "EnCodec")]
    sign = np.array([(1 if i.is_codec else -1) * (1 if i.system == "SMALL" else -1) for i in items])
    logits = {"BIN": np.stack([3.0 * sign, 0.0 * sign], axis=1)}
    result = evaluate(ScoreTable(tuple(items), logits), Calibration(), draws=20)
    assert result.tasks["BIN"].figures["codec_called_codec"].value == pytest.approx(0.1)
    macro = result.macro["system"]["BIN"]
    assert macro["codec_called_codec"].value == pytest.approx(0.5)
    assert macro["eer"].value == pytest.approx(0.5)
    assert macro["eer"].interval is not None and macro["eer"].constant == 0.5
    assert (result.per_system["LARGE"].eer, result.per_system["SMALL"].eer) == (1.0, 0.0)
    assert result.per_system["SMALL"].bona_fide_clips == 5
    assert "codec" not in result.macro


def test_macro_f1_over_systems_weighs_the_classes_of_each_system_alike() -> None:
    result = evaluated(
        [of_system(n, "ABC"[n % 3], c) for n in range(9) for c in ("", "EnCodec")], 1.0
    )
    macro = result.macro["system"]["VQ"]["f1_weighted"]
    # Systems of the same size: nothing to even out.
    assert macro.value == pytest.approx(result.tasks["VQ"].figures["f1_weighted"].value)
    assert macro.constant == pytest.approx(result.tasks["VQ"].figures["f1_weighted"].constant)


def test_accuracy_of_a_part_has_an_interval() -> None:
    part = evaluated(clips()).per_codec["EnCodec"]
    low, high = part.accuracy_intervals["DEC"]
    assert 0.5 < low < high == 1.0
    assert evaluated(clips()).per_codec["TaDiCodec"].accuracy_intervals["VQ"] is None


def test_a_share_of_zero_has_an_interval_that_leaves_room_for_doubt() -> None:
    """Twelve utterances, three versions of each through a codec: twelve trials, not 36."""
    figures = evaluated(clips()).tasks["BIN"].figures
    for name, share in (("codec_called_bona_fide", 0.0), ("codec_called_codec", 1.0)):
        assert figures[name].value == share
        assert figures[name].interval == pytest.approx(metrics.wilson_interval(share, 12))
    low, high = figures["bona_fide_called_codec"].interval or (1.0, 0.0)
    assert (low, high) == (0.0, pytest.approx(0.2425, abs=1e-3))
    assert evaluated(clips()).per_source["page0"].detected_interval == pytest.approx(
        metrics.wilson_interval(1.0, 6)
    )


THREE = ("codec", "vocoder", "bona fide")


def three_class_scores(noise: float = 0.0) -> tuple[ScoreTable, Calibration]:
    """Clips of all four labels, twenty each, and a model of three classes that knows them."""
    generator = np.random.default_rng(0)
    items, logits = [], []
    for number in range(20):
        for label, place in (("spoof", 0), ("vocoder", 1), ("neural", number % 2), ("bonafide", 2)):
            item = clip(number, "EnCodec" if label == "spoof" else "")
            axes = (None,) * 3 if label in ("vocoder", "neural") else (item.vq, item.aux, item.dec)
            facts = dict(zip(("vq", "aux", "dec"), axes, strict=True))
            items.append(replace(item, label=label, file=f"{number}{label}", **facts))
            logits.append(4.0 * (np.arange(3) == place) + noise * generator.normal(size=3))
    scores = ScoreTable(tuple(items), {"BIN": np.array(logits)})
    return scores, Calibration(classes=THREE, vocoder_threshold=0.8, codec_threshold=0.8)


def test_a_model_of_three_classes_is_measured_on_each_label_and_pair() -> None:
    scores, calibration = three_class_scores()
    result = evaluate(scores, calibration, draws=20)
    detection = result.tasks["BIN"]
    assert detection.support == {"codec": 20, "bona fide": 20}
    assert detection.unknown == 40
    assert {"codec", "vocoder", "neural", "bona_fide", "inconclusive"} == set(detection.columns)
    assert {label: one.clips for label, one in result.per_label.items()} == dict.fromkeys(
        ("spoof", "vocoder", "neural", "bonafide"), 20
    )
    assert result.per_label["vocoder"].verdicts["vocoder"] == 1.0
    assert result.per_label["neural"].verdicts["codec"] == 0.5
    assert result.per_label["vocoder"].intervals["codec"][1] > 0.1
    pairs = result.class_pairs
    assert {name: (one.positive_clips, one.negative_clips) for name, one in pairs.items()} == {
        "vocoder_against_bona_fide": (20, 20),
        "codec_against_vocoder": (20, 20),
        "neural_against_bona_fide": (60, 20),
    }
    assert all(one.figures["eer"].value == 0.0 for one in pairs.values())
    assert any("40 clips are neither codec nor bona fide" in text for text in result.warnings)


def test_pairs_are_scored_by_their_own_log_odds() -> None:
    scores, calibration = three_class_scores(noise=3.0)
    pairs = evaluate(scores, calibration, draws=20).class_pairs
    logits, labels = scores.logits["BIN"], np.array([item.label for item in scores.items])
    two = np.isin(labels, ["spoof", "vocoder"])
    odds = logits[:, 0] - logits[:, 1]
    eer = pairs["codec_against_vocoder"].figures["eer"]
    assert eer.value == metrics.equal_error_rate(odds[two], labels[two] == "spoof")
    assert eer.interval is not None and eer.interval[0] <= eer.value <= eer.interval[1]
    either = np.logaddexp(logits[:, 0], logits[:, 1]) - logits[:, 2]
    assert pairs["neural_against_bona_fide"].figures["eer"].value == metrics.equal_error_rate(
        either, labels != "bonafide"
    )


def test_other_labels_leave_the_figures_of_codec_and_bona_fide_alone() -> None:
    """A model of two classes on four labels: the same figures, shares of verdicts for the rest."""
    scores, _ = three_class_scores(noise=3.0)
    plain = {"BIN": scores.logits["BIN"][:, [0, 2]]}
    both = np.isin([item.label for item in scores.items], ["spoof", "bonafide"])
    items = tuple(item for item, keep in zip(scores.items, both, strict=True) if keep)
    alone = evaluate(ScoreTable(items, {"BIN": plain["BIN"][both]}), Calibration(), draws=0)
    mixed = evaluate(ScoreTable(scores.items, plain), Calibration(), draws=0)
    assert mixed.tasks["BIN"].figures == alone.tasks["BIN"].figures
    assert mixed.class_pairs == {}
    assert "vocoder" not in mixed.tasks["BIN"].columns
    assert mixed.per_source["page"].other_clips == 40
    assert set(mixed.per_label) - set(alone.per_label) == {"vocoder", "neural"}


def test_shares_are_of_the_verdicts_that_analyze_gives() -> None:
    """A recording of mixed passages, and one on which a finding decides against a verdict."""
    items = clips()
    oracle = Oracle(items)
    mixed, undecided = [str(item.path) for item in items if item.is_codec][:2]
    oracle.verdicts |= {mixed: "mixed", undecided: "inconclusive"}
    result = evaluate(oracle.table(items), Calibration(), draws=0)
    assert verdicts(result, "codec") == {
        "codec": 34,
        "mixed": 1,
        "inconclusive": 1,
        "bona_fide": 0,
    }
    assert result.tasks["BIN"].figures["inconclusive"].value == pytest.approx(1 / 48)
