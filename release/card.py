"""Print the model card's tables from what measure.py and conditions.py have measured.

python release/card.py OUT
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from common import WEIGHTS

from codecsleuth.arrays import LN10
from codecsleuth.calibration import Calibration
from codecsleuth.weights import read_weights

AXES = ("VQ", "AUX", "DEC")
MAIN = (
    ("BIN", "eer"),
    *((axis, name) for name in ("f1_weighted", "f1_macro_codec") for axis in AXES),
)
CALIBRATED = (("BIN", "cllr"), ("BIN", "ece"))
NAMES = {
    "eer": "EER",
    "cllr": "Cllr",
    "ece": "expected calibration error",
    "f1_weighted": "weighted F1",
    "f1_macro_codec": "macro F1, codec classes",
}
CLIPS = {"codec": "passed through a codec", "bona fide": "bona fide"}
VERDICTS = ("codec", "inconclusive", "bona_fide")
#: Clips that a codec needs for a line of its own.
ENOUGH = 20


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out", type=Path)
    out = parser.parse_args().out
    held_out, dev, open_set, by_condition = (
        json.loads((out / f"{name}.json").read_text(encoding="utf-8"))
        for name in ("left-out", "dev", "open-set", "conditions")
    )
    folds(held_out["folds"])
    verdicts(held_out["tasks"]["BIN"]["confusion"])
    interval_table(held_out, (*MAIN, *CALIBRATED))
    interval_table(dev, (*MAIN[:4], *CALIBRATED))
    conditions(by_condition)
    per_codec(held_out["per_codec"])
    print(json.dumps(open_set, indent=1))
    fitted = Calibration.from_dict(read_weights(out / "final" / WEIGHTS).calibration)
    print(f"log10 LR limit {fitted.max_log_odds / LN10:.2f}")
    print(f"thresholds {fitted.codec_threshold:.3f}, {fitted.bona_fide_threshold:.3f}")
    print(f"familiar from {fitted.familiar_threshold:.3f}, sure from {fitted.sure_threshold}")


def folds(found: dict[str, Any]) -> None:
    head("figure", "mean", "standard deviation", "each fold")
    for task, name in (*MAIN, *CALIBRATED):
        each = [run["tasks"][task][name] for run in found["runs"]]
        spread = found["spread"][task][name]
        values = (
            f"{spread['mean']:.3f}",
            f"{spread['deviation']:.3f}",
            " ".join(f"{v:.3f}" for v in each),
        )
        row(f"{task}, {NAMES[name]}", *values)


def verdicts(confusion: dict[str, Any]) -> None:
    head("the clip", "called codec", "inconclusive", "called no codec")
    for label, counts in zip(confusion["true"], confusion["clips"], strict=True):
        answered = dict(zip(confusion["answered"], counts, strict=True))
        row(CLIPS[label], *(f"{answered[verdict] / sum(counts):.1%}" for verdict in VERDICTS))


def interval_table(figures: dict[str, Any], wanted: tuple[tuple[str, str], ...]) -> None:
    head("figure", "value", "95 % interval", "constant answer")
    for task, name in wanted:
        of_task = figures["tasks"][task]
        low, high = of_task["intervals"][name]
        constant = of_task["constant"].get(name)
        shown = "" if constant is None else f"{constant:.3f}"
        row(f"{task}, {NAMES[name]}", f"{of_task[name]:.3f}", f"{low:.3f} to {high:.3f}", shown)


def conditions(figures: dict[str, Any]) -> None:
    head("condition", "EER", "bona fide called codec", "codec called none", "inconclusive")
    for name, figure in figures.items():
        shares = [f"{value:.1%}" for key, value in figure.items() if key != "eer"]
        row(name, f"{figure['eer']:.3f}", *shares)


def per_codec(parts: dict[str, Any]) -> None:
    head("codec", "clips", "called codec", "called no codec", *(f"{axis} right" for axis in AXES))
    for name, part in parts.items():
        if part["codec_clips"] >= ENOUGH:
            shares = (part["verdicts"]["codec"], part["verdicts"]["bona_fide"])
            right = (part["accuracy"][axis] for axis in AXES)
            cells = ("" if share is None else f"{share:.0%}" for share in (*shares, *right))
            row(name, str(part["codec_clips"]), *cells)


def head(*names: str) -> None:
    print()
    row(*names)
    row(*("---" for _ in names))


def row(*cells: str) -> None:
    print(f"| {' | '.join(cells)} |")


if __name__ == "__main__":
    main()
