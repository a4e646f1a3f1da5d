"""Put measured weights into the package, with the figures that ``analyze`` quotes.

    python release/publish.py OUT

OUT is a folder that `release/train.py`, `release/measure.py` and `release/conditions.py` have
filled. Writes weights/compact.safetensors and release/scores/*.csv.xz.
"""

from __future__ import annotations

import argparse
import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

from common import WEIGHTS

from codecsleuth.verdict import BONA_FIDE, INCONCLUSIVE, VERDICTS
from codecsleuth.weights import read_weights, write_weights

ROOT = Path(__file__).parents[1]
QUOTED = ("false_alarms", "misses", "inconclusive", "clips")


def main() -> None:
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("out", type=Path)
    out = parser.parse_args().out
    weights = read_weights(out / "final" / WEIGHTS)
    training = {**weights.training, "performance": performance(out)}
    write_weights(ROOT / "weights" / WEIGHTS, replace(weights, training=training))
    kept = ROOT / "release" / "scores"
    kept.mkdir(exist_ok=True)
    for path in sorted((out / "scores").glob("*.csv.xz")):
        shutil.copy(path, kept / path.name)


def performance(out: Path) -> dict[str, Any]:
    """Error rates on held-out sources, and under each condition; fractions."""
    groups = _read(out / "groups.json")["groups"]
    codec, real = groups["codec"], groups["bona fide, all"]
    clips = codec["clips"] + real["clips"]
    neural = sum(real.get(one.name, 0.0) for one in VERDICTS if one.neural)
    undecided = sum(of["clips"] * of.get(INCONCLUSIVE, 0.0) for of in (codec, real))
    held_out = {
        "false_alarms": neural,
        "misses": codec.get(BONA_FIDE, 0.0),
        "inconclusive": undecided / clips,
        "clips": clips,
        "sources": _read(out / "groups.json")["sources"],
    }
    conditions = _read(out / "conditions.json")
    return {"held_out": held_out, "conditions": {n: _quoted(f) for n, f in conditions.items()}}


def _quoted(figures: dict[str, Any]) -> dict[str, Any]:
    kept = {name: figures[name] for name in (*QUOTED, "sources")}
    return {**kept, "clips": int(kept["clips"]), "sources": int(kept["sources"])}


def _read(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))


if __name__ == "__main__":
    main()
