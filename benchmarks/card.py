"""Print the model card's tables from what release.py and conditions.py have measured.

python benchmarks/card.py OUT
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from codecsleuth.calibration import LN10, Calibration
from codecsleuth.weights import read_weights

NAMES = {
    "BIN eer": "BIN, EER",
    **{f"{axis} f1_weighted": f"{axis}, weighted F1" for axis in ("VQ", "AUX", "DEC")},
    **{
        f"{axis} f1_macro_codec": f"{axis}, macro F1, codec classes"
        for axis in ("VQ", "AUX", "DEC")
    },
}


def main() -> None:
    out = Path(sys.argv[1])
    figures = json.loads((out / "figures.json").read_text(encoding="utf-8"))
    left_out(figures["left_out"])
    verdicts(figures["left_out_verdicts"])
    dev(figures["dev"])
    conditions(json.loads((out / "conditions.json").read_text(encoding="utf-8")))
    calibrated = figures["left_out_calibrated"]["BIN"]
    fitted = Calibration.from_dict(read_weights(out / "final" / "compact.safetensors").calibration)
    print(f"Cllr {calibrated['cllr']:.3f}, ECE {calibrated['ece']:.3f}")
    print(f"log10 LR limit {fitted.max_log_odds / LN10:.2f}")
    print(f"thresholds {fitted.codec_threshold:.3f}, {fitted.bona_fide_threshold:.3f}")


def left_out(figures: dict) -> None:
    print("| figure | mean | lowest | highest |\n|---|---|---|---|")
    for key, name in NAMES.items():
        folds = figures[key]["folds"]
        print(f"| {name} | {figures[key]['mean']:.3f} | {min(folds):.3f} | {max(folds):.3f} |")


def verdicts(figures: dict) -> None:
    print("\n| the clip | called codec | inconclusive | called no codec |\n|---|---|---|---|")
    for label, name in (("codec", "passed through a codec"), ("bona_fide", "bona fide")):
        shares = [figures[label][verdict] for verdict in ("codec", "inconclusive", "bona_fide")]
        print(f"| {name} | " + " | ".join(f"{share:.1%}" for share in shares) + " |")


def dev(figures: dict) -> None:
    print("\n| figure | value | 95 % interval | constant answer |\n|---|---|---|---|")
    for task, metric in (("BIN", "eer"), *((axis, "f1_weighted") for axis in ("VQ", "AUX", "DEC"))):
        low, high = figures[task]["intervals"][metric]
        constant = figures[task]["constant"].get(metric)
        shown = "" if constant is None else f"{constant:.3f}"
        name = NAMES[f"{task} {metric}"]
        print(f"| {name} | {figures[task][metric]:.3f} | {low:.3f} to {high:.3f} | {shown} |")


def conditions(figures: dict) -> None:
    print("\n| condition | EER | bona fide called codec | codec called none | inconclusive |")
    print("|---|---|---|---|---|")
    for name, figure in figures.items():
        shares = [value for key, value in figure.items() if key != "eer"]
        cells = " | ".join(f"{share:.1%}" for share in shares)
        print(f"| {name} | {figure['eer']:.3f} | {cells} |")


if __name__ == "__main__":
    main()
