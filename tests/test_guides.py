"""The guides in docs/ run: files are written, commands give what is shown, Python what it says."""

from __future__ import annotations

import os
import pkgutil
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from osmia.cli.application import VERBS

from .documents import DOCS, run

GUIDES = [DOCS / "first-hour.md", *sorted((DOCS / "recipes").glob("[!i]*.md"))]
_FENCE = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
#: A block whose first line names a file, in a comment of any of these languages.
_NAMED = re.compile(r"(?:/\* |# )([\w.-]+\.\w+)(?: \*/)?\n")
#: Which nobody runs from within a test.
_NOT_RUN = ("pip install",)


def test_the_guides_are_found() -> None:
    assert len(GUIDES) == 8


@pytest.mark.kernel
@pytest.mark.parametrize("document", GUIDES, ids=lambda each: each.stem)
def test_a_guide(document: Path, here: Path, interface: str, bpffs: Path) -> None:
    names: dict[str, Any] = {
        "__name__": "__main__",
        "pins": bpffs,
        "examples": DOCS.parent / "examples",
    }
    text = document.read_text()
    for found in _FENCE.finditer(text):
        language, block = found[1], found[2]
        named = _NAMED.match(block)
        if named:
            (here / named[1]).write_text(block[named.end() :] if language != "c" else block)
        elif language == "python":
            run(document, "\n" * text.count("\n", 0, found.start(2)) + block, names)
        elif language == "console":
            for command, shown in commands(block):
                run_command(command, shown, bpffs)


def commands(block: str) -> Iterator[tuple[str, str]]:
    """The command lines of a block, continued ones whole, each with what is shown behind it."""
    for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
        line, _, shown = part.replace("\\\n", " ").partition("\n")
        yield line, shown


def run_command(command: str, shown: str, bpffs: Path) -> None:
    """Run it; what it prints is what is shown, where … stands for anything."""
    command = re.sub(r"\s+#\s.*", "", command).removeprefix("sudo ")
    if command.startswith(_NOT_RUN):
        return
    environment = os.environ | {
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "PINS": str(bpffs),
        "COLUMNS": "100",
    }
    shell = ["bash", "-euo", "pipefail", "-c", command]
    done = subprocess.run(shell, env=environment, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
    if shown.strip() and shown.strip() != "…":
        pattern = ".*".join(map(re.escape, shown.strip().split("…")))
        assert re.fullmatch(pattern, done.stdout.strip(), re.DOTALL), f"{command}:\n{done.stdout}"


@pytest.mark.parametrize("document", sorted((DOCS / "coming-from").glob("*.md")), ids=str)
def test_names_for_those_who_come_from_elsewhere_are_there(document: Path) -> None:
    text = document.read_text()
    for name in set(re.findall(r"\bosmia(?:\.\w+)+", text)):
        pkgutil.resolve_name(name)
    for verb in set(re.findall(r"`osmia (\w+)", text)):
        assert verb in VERBS | {"m": "an abbreviation"}, verb


def test_commands_are_told_from_output() -> None:
    block = "$ one a \\\n  b\n1\n2\n$ two\n"
    assert list(commands(block)) == [("one a    b", "1\n2\n"), ("two", "")]


def test_what_is_shown_is_compared(tmp_path: Path) -> None:
    run_command("echo a b c", "a … c", tmp_path)
    with pytest.raises(AssertionError):
        run_command("echo a b", "a c", tmp_path)
    with pytest.raises(AssertionError):
        run_command("false", "", tmp_path)
