"""The documents and the program say the same."""

from __future__ import annotations

import re
import runpy
from pathlib import Path

import pytest

from codecsleuth.cli import COMMANDS, run
from codecsleuth.storage import sha256_of
from conftest import ROOT

PAGES = sorted(page for folder in (".", "docs", "weights") for page in ROOT.glob(f"{folder}/*.md"))
#: A block of Python, and what it prints.
EXAMPLE = re.compile(r"^```python\n(.*?)^```\n\n```text\n(.*?)^```$", re.DOTALL | re.MULTILINE)


def test_the_command_line_reference_is_the_commands_own_help() -> None:
    made = runpy.run_path(str(ROOT / "docs" / "make_cli_reference.py"))
    assert made["REFERENCE"].read_text(encoding="utf-8") == made["reference"]()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    for target in re.findall(r"\]\(([^)#]+)", text):
        if "://" not in target:
            assert (page.parent / target).exists(), target


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_options_in_the_documents_exist(page: Path) -> None:
    reference = (ROOT / "docs" / "cli.md").read_text(encoding="utf-8")
    text = page.read_text(encoding="utf-8")
    for line in re.findall(r"^ {4}codecsleuth (.+)$", text, flags=re.MULTILINE):
        command = line.split()[0]
        assert command in COMMANDS
        for option in re.findall(r"(--[a-z-]+)", line):
            assert option in reference, option


def test_the_examples_of_the_library_print_what_the_page_says(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    text = (ROOT / "docs" / "api.md").read_text(encoding="utf-8")
    examples, names = EXAMPLE.findall(text), {}
    monkeypatch.chdir(ROOT)
    assert len(examples) == text.count("```python")
    for code, printed in examples:
        exec(code, names)
        assert capsys.readouterr().out == printed, code


def test_the_readme_states_the_hash_of_the_embedded_weights() -> None:
    weights = ROOT / "weights" / "compact.safetensors"
    assert sha256_of(weights) in (ROOT / "README.md").read_text(encoding="utf-8")


def test_the_output_in_the_readme_is_the_tools_own(
    monkeypatch: pytest.MonkeyPatch, capsysbinary: pytest.CaptureFixture[bytes]
) -> None:
    monkeypatch.chdir(ROOT)
    monkeypatch.setenv("COLUMNS", "100")
    command, *shown = _first_block((ROOT / "README.md").read_text(encoding="utf-8"))
    assert run(command.removeprefix("$ codecsleuth ").split()) == 0
    printed = capsysbinary.readouterr().out.decode("utf-8")
    # The version of the decoder is that of the machine.
    lines = [line.rstrip() for line in printed.strip().splitlines() if "decoded by" not in line]
    assert lines == [line for line in shown if "decoded by" not in line]


def _first_block(text: str) -> list[str]:
    return text.split("\n```\n")[1].splitlines()
