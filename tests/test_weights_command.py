"""Published weights: listed, fetched, imported, verified; nothing of a pickle is run."""

from __future__ import annotations

import hashlib
import io
import json
import os
import pickle
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import torch
from safetensors import safe_open

import published
from codecsleuth import cli, load_model
from codecsleuth.errors import WeightsError
from codecsleuth.weights import read_weights, xls_r
from codecsleuth.weights.fetch import fetch
from codecsleuth.weights.published import convert
from codecsleuth.weights.registry import registry
from conftest import Outcome
from hub import COMMIT, Hub, ask_only, serve

NAME = "w2v2-aasist-m1-aux"
HUB_PATH = (
    "/CodecFake/CodecFake_Source_Tracing/resolve/main"
    "/model_checkpoints/Wav2Vec2_baseline/M1_AUX_bal.pth"
)


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("CODECSLEUTH_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


@pytest.fixture
def run(home: Path, capsys: pytest.CaptureFixture[str]) -> Callable[..., Outcome]:
    def call(*words: object) -> Outcome:
        capsys.readouterr()
        status = cli.run([str(word) for word in words])
        return Outcome(status, *capsys.readouterr())

    return call


def saved(content: object) -> bytes:
    buffer = io.BytesIO()
    torch.save(content, buffer)
    return buffer.getvalue()


@pytest.fixture(scope="module")
def m1() -> bytes:
    return saved(published.checkpoint("M1"))


@pytest.fixture
def hub(m1: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    with serve(Hub(HUB_PATH, m1)) as running:
        ask_only(running, monkeypatch, tmp_path / "hf")
        yield running


def files_below(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.rglob("*") if path.is_file())


def test_list_shows_what_can_be_had_and_what_is_there(run: Callable[..., Outcome]) -> None:
    rows = json.loads(run("weights", "list", "--json").out)["weights"]
    by_name = {row["name"]: row for row in rows}
    assert len([row for row in rows if row["state"] == "published"]) == 15
    assert by_name[NAME]["tasks"] == ["BIN", "VQ", "AUX", "DEC"]
    assert by_name[NAME]["licence"] == "none stated"
    assert by_name["compact"]["state"] == "embedded"
    table = run("weights", "list")
    assert table.status == 0
    assert all(name in table.out for name in by_name)
    assert "state no licence" in table.out


def test_fetch_downloads_checks_converts_and_drops_the_pickle(
    run: Callable[..., Outcome], hub: Hub, home: Path
) -> None:
    outcome = run("weights", "fetch", NAME)
    assert outcome.status == 0, outcome.err
    (line,) = [text for text in outcome.err.splitlines() if text.startswith("codecsleuth:")]
    assert NAME in line and "GB" in line
    path = Path(outcome.out.strip())
    with safe_open(path, "pt") as file:
        described = json.loads(file.metadata()["codecsleuth"])
    assert described["training"]["kind"] == "M1"
    assert described["training"]["revision"] == COMMIT
    assert described["training"]["sha256_of_original"] == hashlib.sha256(hub.content).hexdigest()
    assert described["training"]["source"].endswith("M1_AUX_bal.pth")
    assert described["classes"]["BIN"] == ["codec", "bona fide"]
    assert not [name for name in files_below(home) if name.endswith((".pth", ".incomplete"))]
    assert "yes" in next(row for row in run("weights", "list").out.splitlines() if NAME in row)


def test_a_second_fetch_needs_no_network(run: Callable[..., Outcome], hub: Hub) -> None:
    first = run("weights", "fetch", NAME)
    hub.requests.clear()
    second = run("weights", "fetch", NAME, "--offline")
    assert (second.status, second.out, second.err) == (0, first.out, "")
    assert not hub.requests


def test_a_connection_cut_half_way_is_taken_up_again(run: Callable[..., Outcome], hub: Hub) -> None:
    hub.cut_after = 100_000
    outcome = run("weights", "fetch", NAME)
    assert outcome.status == 0, outcome.err
    assert hub.ranges == ["bytes=100000-"]
    assert run("weights", "verify", NAME).status == 0


def test_the_next_fetch_goes_on_where_a_broken_one_stopped(
    run: Callable[..., Outcome], hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    from huggingface_hub import file_download

    def interrupted(_: float) -> None:
        raise KeyboardInterrupt

    hub.cut_after = 100_000
    with monkeypatch.context() as patched:
        patched.setattr(file_download.time, "sleep", interrupted)
        assert run("weights", "fetch", NAME).status == 130
    assert run("weights", "fetch", NAME).status == 0
    assert hub.ranges == ["bytes=100000-"]


def test_a_file_that_is_not_what_the_hub_declares_is_not_used(
    run: Callable[..., Outcome], hub: Hub, home: Path
) -> None:
    hub.declared_sha256 = "0" * 64
    outcome = run("weights", "fetch", NAME)
    assert outcome.status == 1
    assert "sha256" in outcome.err and "0" * 64 in outcome.err
    assert not [name for name in files_below(home) if name.endswith((".pth", ".safetensors"))]


def test_a_hub_that_does_not_answer_is_one_line(run: Callable[..., Outcome], hub: Hub) -> None:
    hub.path = "/elsewhere"
    outcome = run("weights", "fetch", NAME)
    assert outcome.status == 1
    assert "cannot be downloaded" in outcome.err
    assert len(outcome.err.splitlines()) == 1


@pytest.mark.parametrize(
    "words", [("weights", "fetch", NAME, "--offline"), ("analyze", "--offline")]
)
def test_offline_is_one_line_that_says_what_to_do(
    run: Callable[..., Outcome], hub: Hub, words: tuple[str, ...], clip: Callable[..., Path]
) -> None:
    extra = ("--model", NAME, clip("a.wav")) if words[0] == "analyze" else ()
    outcome = run(*words, *extra)
    assert outcome.status == 1
    assert outcome.out == ""
    (line,) = outcome.err.splitlines()
    assert f"codecsleuth weights fetch {NAME}" in line
    assert not hub.requests


def test_analyze_fetches_on_first_use(
    run: Callable[..., Outcome], hub: Hub, clip: Callable[..., Path]
) -> None:
    words = ("analyze", clip("a.wav"), "--model", NAME)
    first, second = run(*words), run(*words, "--offline")
    assert first.status == second.status == 0, first.err
    assert "downloading" in first.err and "downloading" not in second.err
    assert first.out == second.out


def test_the_hub_is_found_through_the_environment(hub: Hub, tmp_path: Path) -> None:
    """Another process, since huggingface_hub reads its environment once."""
    changed = {
        "HF_ENDPOINT": hub.url,
        "HF_HOME": str(tmp_path / "hf-home"),
        "CODECSLEUTH_HOME": str(tmp_path / "other"),
    }
    words = [sys.executable, "-m", "codecsleuth", "weights", "fetch", NAME]
    environment = {name: value for name, value in os.environ.items() if name != "HF_HUB_OFFLINE"}
    offline = environment | changed | {"HF_HUB_OFFLINE": "1"}
    refused = subprocess.run(words, env=offline, capture_output=True, text=True, check=False)
    assert refused.returncode == 1 and not hub.requests
    done = subprocess.run(
        words, env=environment | changed, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert Path(done.stdout.strip()).is_relative_to(tmp_path / "other")


@pytest.mark.parametrize("form", ["plain", "module prefix", "wrapped", "old file format"])
def test_import_takes_the_usual_forms(
    run: Callable[..., Outcome], tmp_path: Path, form: str
) -> None:
    state = published.checkpoint("D_VQ")
    path = tmp_path / "Mine v2.pth"
    if form == "old file format":
        torch.save(state, path, _use_new_zipfile_serialization=False)
    else:
        prefixed = {f"module.{name}": value for name, value in state.items()}
        path.write_bytes(
            saved({"plain": state, "wrapped": {"model": prefixed}}.get(form, prefixed))
        )
    outcome = run("weights", "import", path)
    assert outcome.status == 0, outcome.err
    weights = read_weights(Path(outcome.out.strip()))
    assert (weights.name, weights.tasks) == ("mine-v2", ("BIN", "VQ"))
    network = load_model("mine-v2").network
    with torch.inference_mode():
        assert tuple(network(published.waveforms(1))) == ("BIN", "VQ")
    assert run("weights", "import", path).status == 2
    assert run("weights", "import", path, "--force").status == 0


@pytest.mark.parametrize("kind", published.KINDS)
def test_the_kind_follows_from_the_tensors(
    run: Callable[..., Outcome], tmp_path: Path, kind: str
) -> None:
    path = tmp_path / "any.pth"
    path.write_bytes(saved(published.checkpoint(kind)))
    kept = Path(run("weights", "import", path).out.strip())
    weights = read_weights(kept)
    assert weights.training["kind"] == kind
    assert weights.tasks == published.KINDS[kind]


def test_a_file_of_the_authors_is_kept_under_its_published_name(
    run: Callable[..., Outcome], tmp_path: Path, m1: bytes
) -> None:
    path = tmp_path / "M1_AUX_bal.pth"
    path.write_bytes(m1)
    assert Path(run("weights", "import", path).out.strip()).stem == NAME
    path = tmp_path / "S_VQ.pth"
    path.write_bytes(m1)
    outcome = run("weights", "import", path)
    assert outcome.status == 1 and "kind M1" in outcome.err


def damage(change: str) -> dict[str, torch.Tensor]:
    state = published.checkpoint("M1")
    if change == "unknown":
        state["extra.weight"] = torch.zeros(2)
    elif change == "missing":
        del state["attention.2.running_mean"]
    elif change == "missing layer":
        del state["ssl_model.model.encoder.layers.0.fc1.weight"]
    elif change == "shape":
        state["binary_branch.out_layer.weight"] = torch.zeros(3, 20)
    elif change == "not a kind":
        state = {name: value for name, value in state.items() if "branch_qs" not in name}
    return state


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ("unknown", "unknown tensors: extra.weight"),
        ("missing", "missing tensors: attention.2.running_mean"),
        ("missing layer", "missing tensors: ssl_model.model.encoder.layers.0.fc1.weight"),
        ("shape", "another shape: binary_branch.out_layer.weight (3, 20), not (2, 20)"),
        ("not a kind", "none of the nine kinds"),
    ],
)
def test_tensors_that_do_not_fit_are_named_in_one_line(
    run: Callable[..., Outcome], tmp_path: Path, change: str, named: str
) -> None:
    path = tmp_path / "odd.pth"
    path.write_bytes(saved(damage(change)))
    outcome = run("weights", "import", path)
    assert outcome.status == 1
    (line,) = outcome.err.splitlines()
    assert named in line


class Malicious:
    def __init__(self, trace: Path) -> None:
        self.trace = trace

    def __reduce__(self):
        return Path.touch, (self.trace,)


@pytest.mark.parametrize("form", ["torch", "bare pickle"])
def test_a_pickle_with_code_is_refused_and_does_not_run(
    run: Callable[..., Outcome], tmp_path: Path, form: str
) -> None:
    trace, path = tmp_path / "trace", tmp_path / "bad.pth"
    state = {**published.checkpoint("S_BIN"), "LL.weight": Malicious(trace)}
    path.write_bytes(saved(state) if form == "torch" else pickle.dumps(Malicious(trace)))
    outcome = run("weights", "import", path)
    assert outcome.status == 1
    assert len(outcome.err.splitlines()) == 1
    assert not trace.exists()
    assert not (tmp_path / "home" / "weights" / "bad.safetensors").exists()


@pytest.mark.parametrize("content", [b"", b"RIFF nothing", b"PK\x03\x04 broken"])
def test_a_file_that_is_no_checkpoint_is_one_line(
    run: Callable[..., Outcome], tmp_path: Path, content: bytes
) -> None:
    path = tmp_path / "no.pth"
    path.write_bytes(content)
    for words in (("weights", "import", path), ("weights", "import", tmp_path / "none.pth")):
        outcome = run(*words)
        assert outcome.status == 1
        assert len(outcome.err.splitlines()) == 1


def test_a_checkpoint_given_as_a_model_says_how_to_convert_it(
    run: Callable[..., Outcome], tmp_path: Path, m1: bytes, clip: Callable[..., Path]
) -> None:
    path = tmp_path / "any.pth"
    path.write_bytes(m1)
    outcome = run("analyze", clip("a.wav"), "--model", path)
    assert outcome.status == 1 and "weights import" in outcome.err


def test_verify_finds_a_changed_byte(run: Callable[..., Outcome], tmp_path: Path) -> None:
    path = tmp_path / "mine.pth"
    path.write_bytes(saved(published.checkpoint("S_VQ")))
    kept = Path(run("weights", "import", path).out.strip())
    assert run("weights", "verify").out == "compact: ok\nmine: ok\n"
    content = bytearray(kept.read_bytes())
    content[-1] ^= 1
    kept.write_bytes(content)
    outcome = run("weights", "verify", "mine")
    assert outcome.status == 1 and "DAMAGED" in outcome.out
    assert run("weights", "verify", "unheard-of").status == 2


def test_two_at_a_time_download_once(home: Path, hub: Hub) -> None:
    with ThreadPoolExecutor(2) as pool:
        first, second = pool.map(lambda name: fetch(registry()[name]), [NAME, NAME])
    assert first == second
    assert [request for request in hub.requests if request.startswith("GET /storage")] == [
        f"GET /storage{HUB_PATH}"
    ]


def test_the_pretrained_front_end_is_fetched_once_and_held_to_its_hash(
    home: Path, hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    state = convert(published.checkpoint("S_BIN"), "test").tensors
    inner = {n.removeprefix("front_end."): t for n, t in state.items() if n.startswith("front_")}
    hub.content = saved({f"wav2vec2.{name}": tensor for name, tensor in inner.items()})
    hub.path = f"/{xls_r.XLS_R.repository}/resolve/{xls_r.XLS_R.revision}/{xls_r.XLS_R.file}"
    with pytest.raises(WeightsError, match="not the one expected"):
        xls_r.pretrained()
    monkeypatch.setattr(xls_r, "SHA256", hub.sha256)
    dimensions, tensors = xls_r.pretrained()
    assert (dimensions.width, dimensions.layers) == (32, 2)
    assert tensors.keys() == inner.keys()
    hub.requests.clear()
    xls_r.pretrained(offline=True)
    assert not hub.requests
