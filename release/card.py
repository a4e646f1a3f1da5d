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
LABELS = {
    "spoof": "passed through a neural codec",
    "vocoder": "neural synthesis without a codec",
    "neural": "commercial text-to-speech",
    "bonafide": "bona fide",
}
VERDICTS = ("codec", "neural", "vocoder", "inconclusive", "bona_fide")
PAIRS = {
    "vocoder_against_bona_fide": "vocoder against bona fide",
    "codec_against_vocoder": "codec against vocoder",
    "neural_against_bona_fide": "codec or vocoder against bona fide",
}
#: Clips that a codec needs for a line of its own.
ENOUGH = 40


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out", type=Path)
    out = parser.parse_args().out
    held_out, dev, open_set = (
        json.loads((out / f"{name}.json").read_text(encoding="utf-8"))
        for name in ("held-out", "dev", "open-set")
    )
    folds(held_out["folds"])
    labels(held_out["per_label"])
    kinds(held_out["per_kind"])
    interval_table(held_out, (*MAIN, *CALIBRATED))
    pairs(held_out["class_pairs"])
    interval_table(dev, (*MAIN, *CALIBRATED))
    labels(dev["per_label"])
    if (out / "conditions.json").is_file():
        conditions(json.loads((out / "conditions.json").read_text(encoding="utf-8")))
    per_codec(held_out["per_codec"])
    print(json.dumps(open_set, indent=1))
    weights = read_weights(out / "final" / WEIGHTS)
    fitted = Calibration.from_dict(weights.calibration)
    print(f"sha256 {weights.sha256}, {weights.training['clips']} training clips")
    print(f"log10 LR limit {fitted.max_log_odds / LN10:.2f}")
    print(", ".join(f"{name} {value:.3f}" for name, value in fitted.thresholds().items()))
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


def labels(found: dict[str, Any]) -> None:
    head("the clip", "clips", *VERDICTS)
    for label, words in LABELS.items():
        if label in found:
            verdicts = found[label]["verdicts"]
            shares = (f"{verdicts.get(name, 0.0):.1%}" for name in VERDICTS)
            row(words, str(found[label]["clips"]), *shares)


def kinds(found: dict[str, Any]) -> None:
    head("kind", "clips", *VERDICTS)
    for kind, part in found.items():
        row(kind, str(part["clips"]), *(f"{part['verdicts'].get(n, 0.0):.1%}" for n in VERDICTS))


def pairs(found: dict[str, Any]) -> None:
    head("classes", "EER", "95 % interval")
    for name, words in PAIRS.items():
        low, high = found[name]["intervals"]["eer"]
        row(words, f"{found[name]['eer']:.3f}", f"{low:.3f} to {high:.3f}")


def interval_table(figures: dict[str, Any], wanted: tuple[tuple[str, str], ...]) -> None:
    head("figure", "value", "95 % interval", "constant answer")
    for task, name in wanted:
        of_task = figures["tasks"][task]
        low, high = of_task["intervals"][name]
        constant = of_task["constant"].get(name)
        shown = "" if constant is None else f"{constant:.3f}"
        row(f"{task}, {NAMES[name]}", f"{of_task[name]:.3f}", f"{low:.3f} to {high:.3f}", shown)


def conditions(figures: dict[str, Any]) -> None:
    head(
        "condition",
        "EER",
        "false alarms",
        "misses",
        "vocoder called codec",
        "vocoder called bona fide",
        "inconclusive",
    )
    for name, figure in figures.items():
        shares = [f"{value:.1%}" for key, value in figure.items() if key not in ("eer", "clips")]
        row(name, f"{figure['eer']:.3f}", *shares)


def per_codec(parts: dict[str, Any]) -> None:
    axes = (f"{axis} right" for axis in AXES)
    head("codec", "clips", "codec", "neural or vocoder", "bona fide", *axes)
    for name, part in parts.items():
        if part["codec_clips"] >= ENOUGH:
            verdicts = part["verdicts"]
            other = verdicts.get("neural", 0.0) + verdicts.get("vocoder", 0.0)
            shares = (verdicts["codec"], other, verdicts["bona_fide"])
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
