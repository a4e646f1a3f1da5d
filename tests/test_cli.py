"""The command line as a contract: exit status, what goes to stdout and stderr, files written."""

from __future__ import annotations

import json
import os
import pty
import signal
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from codecsleuth import cli
from codecsleuth.cli.analyze import FailOn
from codecsleuth.verdict import BY_NAME
from codecsleuth.version import __version__

COMMAND = [sys.executable, "-m", "codecsleuth"]


def start(*arguments: object, **options) -> subprocess.CompletedProcess[str]:
    command = [*COMMAND, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False, **options)


def test_help_and_version_answer_without_heavy_imports():
    program = (
        "import sys; from codecsleuth import cli; status = cli.run(['--help']);"
        "heavy = {'torch', 'numpy', 'torchaudio', 'soundfile'} & set(sys.modules);"
        "sys.exit(f'{status} {heavy}' if status or heavy else 0)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    for command in cli.COMMANDS:
        assert command in done.stdout
    assert start("--version").stdout == f"codecsleuth {__version__}\n"


@pytest.mark.parametrize("command", cli.COMMANDS)
def test_every_command_explains_itself(command):
    done = start(command, "--help")
    assert (done.returncode, done.stderr) == (0, "")
    assert "Usage: codecsleuth " + command in done.stdout
    assert max(map(len, done.stdout.splitlines())) <= 80


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["analyse"],
        ["analyze"],
        ["analyze", "--colour", "a.wav"],
        ["analyze", "a.wav", "--json", "--csv"],
        ["analyze", "a.wav", "--jsonl", "--json"],
        ["analyze", "a.wav", "--force"],
        ["analyze", "a.wav", "--workers", "0"],
        ["analyze", "a.wav", "--workers", "many"],
        ["analyze", "a.wav", "-j", "-3"],
        ["analyze", "--batch", "setup.wav"],
        ["analyze", "a.wav", "--sort", "evidence", "--json"],
        ["analyze", "a.wav", "--engine", "steam"],
        ["analyze", "a.wav", "--model", "nonsense"],
        ["analyze", "a.wav", "--precision", "bfloat16"],
        ["analyze", "-", "-"],
        ["analyze", "a.wav", "--device", "abacus"],
        ["analyze", "a.wav", "--fail-on", "rain"],
        ["analyze", "a.wav", "--output"],
    ],
    ids=" ".join,
)
def test_wrong_usage_is_status_2_and_one_line(arguments, capsys):
    assert cli.run(arguments) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("codecsleuth: ")
    assert err.count("\n") == 1


def test_batch_of_a_file_is_wrong_usage(analyze, clip):
    outcome = analyze("--batch", clip("a.wav", 1))
    assert (outcome.status, outcome.out, outcome.err.count("\n")) == (2, "", 1)
    assert "not a folder" in outcome.err


def test_help_has_examples_and_short_flags():
    text = start("analyze", "--help").stdout
    assert "\n    codecsleuth analyze suspicious.wav\n" in text
    assert "-o, --output" in text and "-j, --workers" in text


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_a_shell_can_complete_commands(shell):
    environment = {"_CODECSLEUTH_COMPLETE": f"complete_{shell}", "COMP_CWORD": "1"}
    environment |= {"COMP_WORDS": "codecsleuth ana", "_TYPER_COMPLETE_ARGS": "codecsleuth ana"}
    environment["_TYPER_COMPLETE_FISH_ACTION"] = "get-args"
    done = start(env={**os.environ, **environment})
    assert done.stdout.split()[0].strip("\"'").startswith(("analyze", "_arguments"))
    assert "analyze" in done.stdout
    assert "--show-completion" in start("--help").stdout


def test_a_verdict_changes_the_exit_status_only_when_asked(analyze, clip):
    path = clip("a.wav")
    verdict = analyze("--json", path).result["verdict"]
    assert analyze(path).status == 0
    assert analyze(path, "--fail-on", "codec").status == (3 if verdict == "codec" else 0)


@pytest.mark.parametrize(
    ("wanted", "verdicts"),
    [
        ("codec", {"codec"}),
        ("vocoder", {"vocoder"}),
        ("mixed", {"mixed"}),
        ("neural", {"codec", "vocoder", "neural", "mixed"}),
    ],
)
def test_fail_on_neural_means_every_verdict_of_neural_speech(wanted, verdicts):
    assert {name for name in BY_NAME if FailOn(wanted).matches(name)} == verdicts


@pytest.mark.parametrize("form", [(), ("--json",), ("--jsonl",), ("--csv",)])
def test_fail_on_codec_is_status_3(weights_path, clip, capsys, tmp_path, form):
    from dataclasses import replace

    from codecsleuth.weights import read_weights, write_weights

    weights = read_weights(weights_path)
    always = {**weights.calibration, "codec_threshold": 0.0}
    write_weights(tmp_path / "always.safetensors", replace(weights, calibration=always))
    words = ["analyze", "--model", str(tmp_path / "always.safetensors"), str(clip("a.wav"))]
    assert cli.run([*words, *form]) == 0
    assert cli.run([*words, *form, "--fail-on", "codec"]) == 3
    # A verdict is not hidden by another file's error.
    assert cli.run([*words, *form, "missing.wav", "--fail-on", "neural"]) == 3
    assert cli.run([*words, *form, "missing.wav", "--fail-on", "vocoder"]) == 1


@pytest.mark.parametrize("form", [(), ("--json",), ("--jsonl",), ("--csv",)])
def test_output_goes_to_the_file_and_nothing_to_stdout(analyze, clip, tmp_path, form, monkeypatch):
    monkeypatch.setenv("COLUMNS", "120")
    path, target = clip("a.wav"), tmp_path / "out.txt"
    shown = analyze(path, *form)
    written = analyze(path, *form, "-o", target)
    assert (written.status, written.out) == (0, "")
    there = target.read_text("utf-8")
    # A file's tables are fitted to a width of its own: words wrap elsewhere.
    assert sorted(there.split()) == sorted(shown.out.split()) if not form else there == shown.out


def test_output_is_never_overwritten_without_force(analyze, clip, tmp_path):
    target = tmp_path / "out.json"
    target.write_text("precious")
    refused = analyze(clip("a.wav"), "--json", "--output", target)
    assert (refused.status, refused.out, refused.err.count("\n")) == (2, "", 1)
    assert "--force" in refused.err
    assert target.read_text() == "precious"
    target.chmod(0o600)
    assert analyze(clip("a.wav"), "--json", "--output", target, "--force").status == 0
    assert json.loads(target.read_text())["results"]
    assert stat.S_IMODE(target.stat().st_mode) == 0o600


def test_output_that_cannot_be_written_is_said_before_the_work(analyze, clip, tmp_path):
    path = clip("a.wav")
    (tmp_path / "dangling").symlink_to(tmp_path / "gone")
    for target in (
        tmp_path,
        tmp_path / "no/such/out.json",
        path / "out.json",
        tmp_path / "dangling",
    ):
        outcome = analyze(path, "missing.wav", "--json", "--output", target)
        assert (outcome.status, outcome.out) == (2, "")
        assert outcome.err.count("\n") == 1  # no word of missing.wav: nothing was analysed yet
    assert list(tmp_path.glob("*.json")) == []


def test_errors_go_to_stderr_and_leave_machine_output_whole(analyze, clip):
    outcome = analyze("--json", clip("a.wav"), "gone.wav", "lost.wav")
    assert [r["status"] for r in outcome.document["results"]] == ["ok", "error", "error"]
    assert outcome.err == (
        "codecsleuth: gone.wav: no such file\ncodecsleuth: lost.wav: no such file\n"
    )


@pytest.fixture
def tree(clip, tmp_path) -> Path:
    """A folder with all that lies about in folders."""
    for name in ("b.wav", "a.flac", "deep/er/c.wav", "deep/d.wav", "Z.WAV"):
        clip(f"tree/{name}", seconds=1)
    root = tmp_path / "tree"
    (root / "no_suffix").write_bytes((root / "b.wav").read_bytes())
    (root / "notes.txt").write_text("not audio")
    (root / "text.wav").write_text("not audio either")
    (root / "video.mp4").write_bytes(b"\0\0\0\x20ftypisom" + bytes(100))
    (root / ".hidden.wav").write_bytes(b"")
    (root / ".git").mkdir()
    (root / ".git/x.wav").write_bytes(b"")
    (root / "deep/round").symlink_to(root)
    (root / "linked.wav").symlink_to(root / "b.wav")
    (root / "empty").mkdir()
    return root


def test_a_folder_is_walked_in_order_and_what_is_left_out_is_named(analyze, tree):
    outcome = analyze("--batch", tree, "--json")
    names = [os.path.relpath(r["path"], tree) for r in outcome.document["results"]]
    assert names == [
        *("Z.WAV", "a.flac", "b.wav", "deep/d.wav", "deep/er/c.wav", "linked.wav", "no_suffix"),
        *("text.wav", "video.mp4"),
    ]
    summary = outcome.document["summary"]
    assert summary["left_out"] == {"hidden": 2, "linked_folder": 1, "not_audio": 1}
    assert (summary["files"], summary["analysed"], summary["errors"]) == (9, 7, 2)
    assert outcome.status == 1
    assert f"codecsleuth: left out (not audio): {tree / 'notes.txt'}\n" in outcome.err
    assert f"left out (linked folder): {tree / 'deep/round'}\n" in outcome.err
    assert analyze(tree, "--json").out == outcome.out


def test_each_folder_has_its_summary(analyze, tree):
    folders = analyze(tree, "--json").document["summary"]["directories"]
    assert [(os.path.relpath(f["path"], tree), f["files"], f["errors"]) for f in folders] == [
        (".", 7, 2),
        ("deep", 1, 0),
        ("deep/er", 1, 0),
    ]
    assert all(sum(f["verdicts"].values()) == f["analysed"] for f in folders)


def test_files_and_folders_mix(analyze, tree):
    results = analyze(tree / "b.wav", tree / "deep", "gone.wav", "--jsonl").out.splitlines()[1:]
    names = [Path(json.loads(line)["path"]).name for line in results]
    assert names == ["b.wav", "d.wav", "c.wav", "gone.wav"]


def test_a_folder_without_audio_is_said(analyze, tree):
    outcome = analyze(tree / "empty", "--json")
    assert outcome.status == 1
    assert outcome.result["error"]["kind"] == "no_audio"


def test_json_lines_come_as_they_are_ready(weights_path, clip):
    """The first answers are there while a later file is still being read."""
    first = clip("first.wav", 1)
    paths = [str(first)] * 60
    command = [*COMMAND, "analyze", "--jsonl", "--workers", "1", "--model", str(weights_path)]
    with subprocess.Popen([*command, *paths], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert "schema" in json.loads(process.stdout.readline())
        assert json.loads(process.stdout.readline())["path"] == str(first)
        assert process.poll() is None
        assert len(process.stdout.readlines()) == 59


def test_a_reader_that_leaves_early_gets_no_trace(weights_path, clip):
    paths = [str(clip("a.wav", 1))] * 200
    command = [*COMMAND, "analyze", "--jsonl", "--model", str(weights_path), *paths]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.readline()
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode != 0


def test_ctrl_c_is_one_line_and_status_130(weights_path, clip):
    paths = [str(clip("a.wav", 10))] * 300
    command = [*COMMAND, "analyze", "--jsonl", "--model", str(weights_path), *paths]
    # A suite that runs in the background has it ignored, and children inherit that.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    finally:
        signal.signal(signal.SIGINT, before)
    with process:
        assert process.stdout is not None
        process.stdout.readline()
        process.stdout.readline()
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (130, b"codecsleuth: interrupted\n")
    assert all(json.loads(line)["status"] == "ok" for line in out.splitlines())


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no such device here")
def test_a_full_disk_and_a_closed_stdout_are_one_line(weights_path, clip):
    path = str(clip("a.wav", 1))
    command = [*COMMAND, "analyze", "--json", "--model", str(weights_path), path]
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
    assert "No space left" in done.stderr
    closed = subprocess.run(
        ["sh", "-c", '"$@" >&-', "sh", *command], stderr=subprocess.PIPE, text=True, check=False
    )
    assert (closed.returncode, closed.stderr.count("\n")) == (2, 1)


def test_a_long_file_needs_no_more_memory_than_a_short_one(weights_path, clip):
    program = (
        "import resource, sys; from codecsleuth import cli; status = cli.run(sys.argv[1:]);"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, file=sys.stderr)"
    )

    def peak(seconds: float) -> int:
        path = clip("a.flac", seconds, rate=48_000, channels=2)
        command = [sys.executable, "-c", program, "analyze", "--csv", "--model", str(weights_path)]
        done = subprocess.run([*command, str(path)], capture_output=True, text=True, check=True)
        return int(done.stderr) * (1 if sys.platform == "darwin" else 1024)

    assert peak(120) - peak(12) < 60e6


def on_terminal(arguments: list[str], **environment: str) -> str:
    """Run with a terminal of 80 columns on stdout and stderr; return all that it was sent."""
    main_end, far_end = pty.openpty()
    usual = {k: v for k, v in os.environ.items() if k not in ("NO_COLOR", "FORCE_COLOR")}
    env = {**usual, "COLUMNS": "80", "TERM": "xterm-256color", **environment}
    process = subprocess.Popen([*COMMAND, *arguments], stdout=far_end, stderr=far_end, env=env)
    os.close(far_end)
    received = b""
    try:
        while piece := os.read(main_end, 4096):
            received += piece
    except OSError:  # the terminal is gone with the process
        pass
    process.wait()
    os.close(main_end)
    return received.decode("utf-8")


def test_progress_shows_only_on_a_terminal_and_for_more_than_one_file(weights_path, clip, tmp_path):
    one, two = str(clip("1.wav", 1)), str(clip("2.wav", 1))
    words = ["analyze", "--model", str(weights_path)]
    assert "Analysing" in on_terminal([*words, one, two, "--sort", "evidence"])
    assert "Analysing" in on_terminal([*words, one, two, "--json", "-o", str(tmp_path / "a.json")])
    assert "Analysing" not in on_terminal([*words, one, "--sort", "evidence"])
    # A bar and lines that are printed as they come would run into each other.
    assert "Analysing" not in on_terminal([*words, one, two, "--json"])
    assert "\x1b" not in on_terminal([*words, one, two, "--sort", "evidence"], TERM="dumb")
    assert start(*words, one, two).stderr == ""


def test_a_name_cannot_play_with_the_terminal_through_progress_and_notes(weights_path, clip):
    name = "a\x1b]0;owned\x07[red]b[/red].wav"
    missing = name.replace("b", "c")
    words = ["analyze", "--model", str(weights_path), str(clip(name, 1)), missing]
    words += ["--sort", "evidence"]
    seen = on_terminal(words)
    assert "\x1b]0;owned" not in seen and "\x07" not in seen
    assert "[red]c[/red].wav: no such file" in seen and "[red]b[/red].wav" in seen


def test_a_crash_in_native_code_is_not_silent(clip):
    """While decoders are kept from printing, what kills the process is still said."""
    program = (
        "import os\nfrom codecsleuth.cli.output import quiet_libraries\n"
        "with quiet_libraries():\n    os.write(2, b'noise of a library')\n    os.abort()"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, check=False)
    assert done.returncode == -signal.SIGABRT
    assert b"Aborted" in done.stderr and b"noise" not in done.stderr
