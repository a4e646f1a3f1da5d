"""The paper's experiments on CodecFake+: train its models and tabulate their figures.

    python experiments/paper_tables.py --data CodecFake+ --out runs/paper --set CoSG_ALL

The models of Chen et al. (Interspeech 2025), section 4, are trained by the paper's recipe, each on
the list that it is named after (`--models m1-aux,m2-aux` for some of them), and measured on a set:
CoRS_ALL, CoSG_ALL or CoSG_SEEN. What is there already is not done again, and what was interrupted
goes on. `--published` measures the weights of the paper's authors instead. What stands after `--`
is for `codecsleuth train` (`-- --device cuda`, `-- --recipe default`). Figures are printed as a
table, per cent; `--dry-run` prints the commands instead.
"""

from __future__ import annotations

import argparse
import json
import shlex
import subprocess
import sys
from pathlib import Path

SETS = ("CoRS_ALL", "CoSG_ALL", "CoSG_SEEN")
AXES = ("vq", "aux", "dec")
#: Model, its tasks, and the axis that its training list balances. The paper's authors do not say
#: which lists their models for one axis were trained on; the axis' own is taken.
MODELS = {
    **{f"s-bin-{axis}": ("S_BIN", axis) for axis in AXES},
    **{f"s-{axis}": (f"S_{axis.upper()}", axis) for axis in AXES},
    **{f"d-{axis}": (f"D_{axis.upper()}", axis) for axis in AXES},
    **{f"m{number}-{axis}": (f"M{number}", axis) for number in (1, 2) for axis in AXES},
}
FIGURES = {"BIN": "eer", "VQ": "f1_weighted", "AUX": "f1_weighted", "DEC": "f1_weighted"}


def main() -> int:
    arguments = _arguments()
    print(f"| {arguments.set} | EER | F1 VQ | F1 AUX | F1 DEC |\n|---|---|---|---|---|")
    for name in arguments.models:
        weights = f"w2v2-aasist-{name}"
        if not arguments.published:
            weights = _train(name, arguments)
        figures = _measure(name, weights, arguments)
        print(f"| {name} | {' | '.join(figures)} |", flush=True)
    return 0


def _train(name: str, arguments: argparse.Namespace) -> str:
    out, (tasks, axis) = arguments.out / name, MODELS[name]
    weights = out / "w2v2-aasist.safetensors"
    if weights.is_file():
        return str(weights)
    command = [sys.executable, "-m"]
    if arguments.processes > 1:
        command += ["torch.distributed.run", "--standalone", "--nproc-per-node"]
        command += [str(arguments.processes), "-m"]
    command += ["codecsleuth", "train", "--data", str(arguments.data), "--out", str(out)]
    command += ["--model", "w2v2-aasist", "--tasks", tasks, "--balance", axis, "--recipe", "paper"]
    _run([*command, "--resume", *arguments.rest], arguments.dry_run, weights)
    return str(weights)


def _measure(name: str, weights: str, arguments: argparse.Namespace) -> list[str]:
    answer = arguments.out / f"{name}-{arguments.set}{'-published' * arguments.published}.json"
    if not answer.is_file():
        arguments.out.mkdir(parents=True, exist_ok=True)
        command = [sys.executable, "-m", "codecsleuth", "evaluate", "--data", str(arguments.data)]
        command += ["--split", arguments.set, "--model", weights, "--device", arguments.device]
        _run([*command, "--json", "--output", str(answer)], arguments.dry_run, answer)
    if arguments.dry_run:
        return [""] * len(FIGURES)
    tasks = json.loads(answer.read_text())["tasks"]
    found = [tasks.get(task, {}).get(figure) for task, figure in FIGURES.items()]
    return ["" if value is None else f"{100 * value:.2f}" for value in found]


def _run(command: list[str], dry: bool, made: Path) -> None:
    """Run a command, which has said what is wrong where it does not make its file."""
    if dry:
        print(shlex.join(command))
        return
    status = subprocess.run(command, stdout=sys.stderr).returncode
    if not made.is_file():
        sys.exit(status or 1)


def _arguments() -> argparse.Namespace:
    own = sys.argv[1:]
    rest = own[own.index("--") + 1 :] if "--" in own else []
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--set", choices=SETS, required=True)
    parser.add_argument("--models", type=lambda names: names.split(","), default=list(MODELS))
    parser.add_argument("--published", action="store_true", help="the authors' weights")
    parser.add_argument("--processes", type=int, default=1, help="to train in, one a GPU")
    parser.add_argument("--device", default="cpu", help="to measure on")
    parser.add_argument("--dry-run", action="store_true", help="print the commands")
    arguments = parser.parse_args(own[: own.index("--")] if "--" in own else own)
    unknown = [name for name in arguments.models if name not in MODELS]
    if unknown:
        parser.error(f"no model {unknown[0]}; there are {', '.join(MODELS)}")
    arguments.rest = rest
    return arguments


if __name__ == "__main__":
    sys.exit(main())
