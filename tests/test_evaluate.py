"""Evaluation of a model on labelled clips: the figures, the tables, the command."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from codecsleuth.calibration import Calibration
from codecsleuth.data.items import Item
from codecsleuth.errors import AudioError
from codecsleuth.evaluation import metrics
from codecsleuth.evaluation.measure import Evaluation, evaluate
from codecsleuth.evaluation.metrics import task_metrics
from codecsleuth.evaluation.scores import ScoreTable, score_items, scores_csv
from codecsleuth.taxonomy import CLASSES
from conftest import scored

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


class Oracle:
    """Knows the truth, but is unsure of it and now and then wrong."""

    def __init__(self, items: list[Item], noise: float = 0.0, tasks: tuple[str, ...] = ()) -> None:
        generator = np.random.default_rng(1)
        self.answers = {
            item.path: {
                task: self.answer(item, task, noise * generator.normal(size=len(CLASSES[task])))
                for task in tasks or CLASSES
            }
            for item in items
        }

    @staticmethod
    def answer(item: Item, task: str, noise: NDArray[np.float64]) -> NDArray[np.float64]:
        index = item.class_index(task)
        return 2.0 * (np.arange(len(CLASSES[task])) == (1 if index is None else index)) + noise

    def logits(self, audio: Path) -> Mapping[str, NDArray[np.float64]]:
        if audio not in self.answers:
            raise AudioError("silent", f"{audio}: silence")
        return self.answers[audio]


def judged(items: list[Item], noise: float = 0.0, draws: int = 50) -> Evaluation:
    scores, unreadable = score_items(Oracle(items, noise), items)
    assert not unreadable
    return evaluate(scores, Calibration(), draws=draws)


def test_a_perfect_model_has_perfect_figures() -> None:
    found = judged(clips())
    detection = found.tasks["BIN"].figures
    assert detection["eer"].value == 0.0
    assert detection["auc"].value == 1.0
    assert detection["bona_fide_called_codec"].value == 0.0
    for axis in ("AUX", "DEC"):
        figures = found.tasks[axis].figures
        assert figures["f1_weighted"].value == figures["accuracy"].value == 1.0
    assert found.per_codec["EnCodec"].detected == 1.0
    assert found.per_codec["EnCodec"].eer == 0.0


def test_each_figure_has_its_interval_and_the_constant_answer() -> None:
    found = judged(clips(), noise=2.0)
    for name in ("eer", "auc", "min_dcf", "cllr", "ece", "inconclusive"):
        figure = found.tasks["BIN"].figures[name]
        assert figure.value is not None and figure.interval is not None
        assert figure.interval[0] <= figure.value <= figure.interval[1]
    assert found.tasks["BIN"].figures["eer"].constant == 0.5
    # 12 bona fide, 12 MVQ, 12 SVQ: any constant answer is right on a third of the clips.
    assert found.tasks["VQ"].figures["f1_weighted"].constant == pytest.approx(0.5 / 3)
    assert found.tasks["VQ"].figures["accuracy"].constant == pytest.approx(0.5)


def test_clips_of_unknown_class_are_left_out_of_that_axis_alone() -> None:
    found = judged(clips())
    assert found.tasks["VQ"].unknown == 12
    assert found.tasks["VQ"].support == {"Real": 12, "MVQ": 12, "SVQ": 12, "SQ": 0}
    assert found.tasks["DEC"].unknown == 0
    assert found.per_codec["TaDiCodec"].accuracy == {"VQ": None, "AUX": None, "DEC": 1.0}


def test_a_class_without_clips_is_said_to_have_none() -> None:
    found = judged(clips())
    assert found.tasks["VQ"].f1["SQ"] is None
    assert found.tasks["VQ"].empty_classes == ["SQ"]
    assert any("VQ: no clips of SQ" in warning for warning in found.warnings)


@pytest.mark.parametrize("label", ["bonafide", "spoof"])
def test_one_label_alone_gives_no_error_rate_but_a_reason(label: str) -> None:
    found = judged([item for item in clips() if item.label == label])
    assert found.tasks["BIN"].figures["eer"].value is None
    assert found.tasks["BIN"].figures["eer"].interval is None
    (warning,) = [text for text in found.warnings if text.startswith("BIN")]
    assert "not defined: eer, auc, min_dcf, cllr" in warning


def test_confusion_counts_what_was_answered() -> None:
    items = [clip(0), clip(1), clip(2, "EnCodec"), clip(3, "BigCodec")]
    logits = {
        "BIN": np.array([[0, 9.0], [9.0, 0], [9.0, 0], [0.1, 0]]),
        "VQ": np.array([[9.0, 0, 0, 0], [0, 9.0, 0, 0], [9.0, 1, 2, 0], [0, 0, 0, 9.0]]),
    }
    calibration = Calibration(codec_threshold=0.9, bona_fide_threshold=0.1)
    found = evaluate(ScoreTable(tuple(items), logits), calibration, draws=0)
    assert found.tasks["BIN"].columns == ("codec", "inconclusive", "bona_fide")
    assert found.tasks["BIN"].confusion == ((1, 1, 0), (1, 0, 1))
    assert found.tasks["VQ"].confusion[1] == (1, 0, 0, 0)
    assert found.tasks["VQ"].figures["f1_weighted"].interval is None
    # What analyze shows leaves Real out: the second best class counts, and it is the wrong one.
    assert found.per_codec["EnCodec"].accuracy == {"VQ": 0.0}


def test_tables_by_source_kind_and_length() -> None:
    found = judged(clips())
    assert set(found.per_source) == {"page0", "page1"}
    assert found.per_source["page0"].bona_fide_clips == 6
    assert found.per_kind["resynthesis"].codec_clips == 36
    assert list(found.per_length) == ["under 2 s", "2 to 3.5 s", "3.5 s and over"]
    assert sum(part.codec_clips for part in found.per_length.values()) == 36


def test_lengths_not_stated_make_no_table() -> None:
    assert judged([clip(0, seconds=None), clip(1, "EnCodec", seconds=None)]).per_length == {}


def test_an_axis_without_known_clips_is_undefined_not_an_error() -> None:
    found = judged([clip(0, "TaDiCodec"), clip(1, "TaDiCodec")])
    assert found.tasks["VQ"].figures["f1_weighted"].value is None
    assert found.tasks["VQ"].unknown == 2


def test_versions_of_an_utterance_are_drawn_together() -> None:
    items = clips()
    scores, _ = score_items(Oracle(items, noise=2.0), items)
    alone = tuple(Item(**{**vars(item), "group": item.file}) for item in scores.items)
    together = evaluate(scores, Calibration(), draws=200)
    apart = evaluate(ScoreTable(alone, scores.logits), Calibration(), draws=200)
    assert (
        together.tasks["BIN"].figures["auc"].interval != apart.tasks["BIN"].figures["auc"].interval
    )


def test_the_same_scores_give_the_same_document() -> None:
    first, second = (json.dumps(judged(clips(), noise=1.0).to_dict()) for _ in range(2))
    assert first == second
    assert "NaN" not in first


def test_scores_do_not_depend_on_workers_and_unreadable_clips_are_named() -> None:
    items = clips()
    oracle = Oracle(items[1:], noise=1.0)
    one, unreadable = score_items(oracle, items)
    four, _ = score_items(oracle, items, workers=4)
    assert [(u.item.file, u.kind) for u in unreadable] == [(items[0].file, "silent")]
    assert one.items == four.items == tuple(items[1:])
    assert all((one.logits[task] == four.logits[task]).all() for task in CLASSES)


def test_metrics_of_a_training_epoch_need_no_files() -> None:
    generator = np.random.default_rng(0)
    labels = {task: generator.integers(0, len(names), 40) for task, names in CLASSES.items()}
    labels["VQ"][:10] = -1
    logits = {
        task: generator.normal(size=(40, len(names))).astype(np.float32)
        for task, names in CLASSES.items()
    }
    found = task_metrics(logits, labels)
    assert 0 < found["BIN"]["eer"] < 1
    assert 0 < found["VQ"]["f1_macro_codec"] < 1
    known = task_metrics({"VQ": logits["VQ"][10:]}, {"VQ": labels["VQ"][10:]})
    assert known["VQ"] == found["VQ"]


def test_a_model_without_detection_has_no_verdicts() -> None:
    items = clips()
    scores, _ = score_items(Oracle(items, tasks=("VQ", "AUX", "DEC")), items)
    found = evaluate(scores, Calibration(), draws=0)
    assert "BIN" not in found.tasks
    assert found.per_codec["EnCodec"].detected is None
    assert "log_odds_raw" not in scores_csv(scored(scores))


def test_every_figure_stands_beside_that_of_a_constant_answer() -> None:
    found = judged(clips(), noise=2.0, draws=0)
    for task in found.tasks.values():
        assert all(figure.constant is not None for figure in task.figures.values())
    even = {"BIN": np.zeros((48, 2)), "VQ": np.zeros((48, 4))}
    flat = evaluate(ScoreTable(tuple(clips()), even), Calibration(), draws=0).tasks["BIN"].figures
    for name in ("eer", "auc", "min_dcf", "cllr"):
        assert flat[name].value == pytest.approx(flat[name].constant)


def test_detection_figures_are_the_metrics_by_their_names() -> None:
    items = clips()
    scores, _ = score_items(Oracle(items, noise=2.0), items)
    found = evaluate(scores, Calibration(max_log_odds=99.0), draws=0).tasks["BIN"].figures
    raw, is_codec = metrics.bin_log_odds(scores.logits["BIN"]), scores.labels("BIN") == 0
    assert found["eer"].value == metrics.equal_error_rate(raw, is_codec)
    assert found["auc"].value == metrics.area_under_curve(raw, is_codec)
    assert found["min_dcf"].value == metrics.minimum_dcf(raw, is_codec)
    assert found["cllr"].value == metrics.log_likelihood_ratio_cost(raw, is_codec)


def of_system(number: int, system: str, codec: str = "") -> Item:
    item = clip(number, codec)
    return replace(item, system=system, subset="CoSG", group=f"{system}{number}{codec}")


def test_a_system_with_most_of_the_clips_does_not_decide_the_macro_figures() -> None:
    """Ninety clips of a system that is all wrong, ten of one that is all right."""
    items = [of_system(n, "LARGE", codec) for n in range(45) for codec in ("", "EnCodec")]
    items += [of_system(n, "SMALL", codec) for n in range(5) for codec in ("", "EnCodec")]
    sign = np.array([(1 if i.is_codec else -1) * (1 if i.system == "SMALL" else -1) for i in items])
    logits = {"BIN": np.stack([3.0 * sign, 0.0 * sign], axis=1)}
    found = evaluate(ScoreTable(tuple(items), logits), Calibration(), draws=20)
    assert found.tasks["BIN"].figures["codec_called_codec"].value == pytest.approx(0.1)
    macro = found.macro["system"]["BIN"]
    assert macro["codec_called_codec"].value == pytest.approx(0.5)
    assert macro["eer"].value == pytest.approx(0.5)
    assert macro["eer"].interval is not None and macro["eer"].constant == 0.5
    assert (found.per_system["LARGE"].eer, found.per_system["SMALL"].eer) == (1.0, 0.0)
    assert found.per_system["SMALL"].bona_fide_clips == 5
    assert "codec" not in found.macro


def test_macro_f1_over_systems_weighs_the_classes_of_each_system_alike() -> None:
    found = judged([of_system(n, "ABC"[n % 3], c) for n in range(9) for c in ("", "EnCodec")], 1.0)
    macro = found.macro["system"]["VQ"]["f1_weighted"]
    # Systems of the same size: nothing to even out.
    assert macro.value == pytest.approx(found.tasks["VQ"].figures["f1_weighted"].value)
    assert macro.constant == pytest.approx(found.tasks["VQ"].figures["f1_weighted"].constant)


def test_accuracy_of_a_part_has_an_interval() -> None:
    part = judged(clips()).per_codec["EnCodec"]
    low, high = part.accuracy_intervals["DEC"]
    assert 0.5 < low < high == 1.0
    assert judged(clips()).per_codec["TaDiCodec"].accuracy_intervals["VQ"] is None
