"""Write the model card from what measure.py and conditions.py have measured.

    python release/card.py OUT

Fills release/card.md.jinja with tables and writes weights/MODEL_CARD.md; publish.py comes first,
since the card states the hash of the weights that the package has.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from common import WEIGHTS
from jinja2 import Environment, StrictUndefined

from codecsleuth.arrays import LN10
from codecsleuth.calibration import Calibration
from codecsleuth.verdict import VERDICTS
from codecsleuth.weights import WeightsFile, read_weights

ROOT = Path(__file__).parents[1]
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
PAIRS = {
    "vocoder_against_bona_fide": "vocoder against bona fide",
    "codec_against_vocoder": "codec against vocoder",
    "neural_against_bona_fide": "codec or vocoder against bona fide",
}
SHOWN = [one.name for one in VERDICTS if one.name != "mixed"]
CONDITIONS = {
    "eer": "EER",
    "false_alarms": "false alarms",
    "misses": "misses",
    "inconclusive": "inconclusive",
    "vocoder_called_codec": "vocoder called codec",
    "vocoder_called_bona_fide": "vocoder called none",
}
COUNTED = {2: "two", 3: "three", 4: "four", 5: "five"}
#: Clips that a codec needs for a line of its own.
ENOUGH = 20


def main() -> None:
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("out", type=Path)
    out = parser.parse_args().out
    found = {
        name.replace("-", "_"): json.loads((out / f"{name}.json").read_text(encoding="utf-8"))
        for name in ("held-out", "dev", "open-set", "conditions", "groups")
    }
    weights = read_weights(ROOT / "weights" / WEIGHTS)
    template = (ROOT / "release" / "card.md.jinja").read_text(encoding="utf-8")
    environment = Environment(undefined=StrictUndefined, keep_trailing_newline=True)
    card = environment.from_string(template).render(**tables(found), **facts(weights))
    (ROOT / "weights" / "MODEL_CARD.md").write_text(card, encoding="utf-8")


def tables(found: dict[str, Any]) -> dict[str, str]:
    """All tables, as Markdown by the names that the template has for them."""
    held_out = found["held_out"]
    return {
        "measured": COUNTED[len(held_out["folds"]["runs"])],
        "folds": folds(held_out["folds"]),
        "intervals": interval_table(held_out, (*MAIN, *CALIBRATED)),
        "dev_intervals": interval_table(found["dev"], (*MAIN[:4], *CALIBRATED)),
        "pairs": pairs(held_out["class_pairs"]),
        "groups": shares(found["groups"]["groups"]),
        "products": shares(found["groups"]["products"]),
        "strong": strong(found["groups"]["strong"]),
        "conditions": conditions(found["conditions"]),
        "condition_clips": str(found["conditions"]["as-is"]["clips"]),
        "per_codec": per_codec(held_out["per_codec"]),
        "candidates": candidates(found["open_set"]["dev"]),
        "open_set": open_set(found["open_set"]),
    }


def facts(weights: WeightsFile) -> dict[str, Any]:
    """What the weights file says of itself."""
    fitted, training = Calibration.from_dict(weights.calibration), weights.training
    parameters = sum(
        values.numel() for name, values in weights.tensors.items() if name.startswith("members.")
    )
    return {
        "version": weights.version,
        "sha256": weights.sha256,
        "fitted": fitted,
        "limit": f"{fitted.max_log_odds / LN10:.2f}",
        "training": training,
        "config": weights.config,
        "parameters": f"{parameters / 1e6:.1f}",
        "sources": len(training["sources"]),
    }


def folds(found: dict[str, Any]) -> str:
    rows = []
    for task, name in (*MAIN, *CALIBRATED):
        each = [run["tasks"][task][name] for run in found["runs"]]
        spread = found["spread"][task][name]
        values = (f"{spread['mean']:.3f}", f"{spread['deviation']:.3f}")
        rows.append((f"{task}, {NAMES[name]}", *values, " ".join(f"{v:.3f}" for v in each)))
    return table(("figure", "mean", "standard deviation", "each fold"), rows)


def interval_table(figures: dict[str, Any], wanted: tuple[tuple[str, str], ...]) -> str:
    rows = []
    for task, name in wanted:
        of_task = figures["tasks"][task]
        low, high = of_task["intervals"][name]
        constant = of_task["constant"].get(name)
        shown = "" if constant is None else f"{constant:.3f}"
        value = f"{of_task[name]:.3f}"
        rows.append((f"{task}, {NAMES[name]}", value, f"{low:.3f} to {high:.3f}", shown))
    return table(("figure", "value", "95 % interval", "constant answer"), rows)


def pairs(found: dict[str, Any]) -> str:
    rows = [(words, f"{found[name]['eer']:.3f}") for name, words in PAIRS.items()]
    return table(("pair", "EER"), rows)


def shares(groups: dict[str, Any]) -> str:
    """Of groups of clips, the share that gets each verdict."""
    rows = [
        (name, str(of["clips"]), str(of["sources"]), *(percent(of.get(v, 0.0)) for v in SHOWN))
        for name, of in groups.items()
        if of["clips"]
    ]
    return table(("the clips", "clips", "sources", *SHOWN), rows)


def strong(found: list[dict[str, float]]) -> str:
    return ", ".join(f"{percent(of['codec'])} and {percent(of['neural'])}" for of in found)


def conditions(found: dict[str, Any]) -> str:
    rows = [
        (name, f"{of['eer']:.3f}", *(percent(of[key]) for key in list(CONDITIONS)[1:]))
        for name, of in found.items()
    ]
    return table(("condition", *CONDITIONS.values()), rows)


def per_codec(parts: dict[str, Any]) -> str:
    rows = []
    for name, part in parts.items():
        if part["codec_clips"] >= ENOUGH:
            given = [part["verdicts"].get(v, 0.0) for v in ("codec", "neural", "bona_fide")]
            right = (part["accuracy"][axis] for axis in AXES)
            cells = ("" if share is None else f"{share:.0%}" for share in (*given, *right))
            rows.append((name, str(part["codec_clips"]), *cells))
    called = ("called codec", "called neural", "called none")
    return table(("codec", "clips", *called, *(f"{axis} right" for axis in AXES)), rows)


def candidates(dev: dict[str, Any]) -> str:
    tops = ", ".join(f"{name} {percent(dev[name])}" for name in dev if name.startswith("top"))
    return f"{dev['clips']} dev clips of families with 20 training clips or more: {tops}"


def open_set(found: dict[str, Any]) -> str:
    each = [of for name, of in found.items() if name.startswith("fold")]
    keys = [key for key in each[0] if key.startswith("auroc")]
    rows = [
        (
            key.removeprefix("auroc against "),
            f"{sum(of[key] for of in each) / len(each):.3f}",
            " ".join(f"{of[key]:.3f}" for of in each),
        )
        for key in keys
    ]
    return table(("known codecs are those of", "mean AUROC", "each fold"), rows)


def percent(share: float) -> str:
    return f"{share:.1%}"


def table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    head = list(head)
    lines = (head, ["---"] * len(head), *rows)
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


if __name__ == "__main__":
    main()
