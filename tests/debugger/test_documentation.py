"""What docs/debugger.md shows is what comes out."""

from __future__ import annotations

import re
import shutil
import struct
from collections.abc import Callable
from pathlib import Path

import pytest

from osmia.cli import main
from osmia.debugger.terminal import opening, words

from ..documents import DOCS, blocks, run

DOCUMENT = DOCS / "debugger.md"
SOURCE = Path(__file__).parents[1] / "testing" / "limit.bpf.c"
PACKET = bytes(12) + b"\x08\0" + b"\x45" + bytes(11) + bytes([10, 0, 0, 1]) + bytes(30)


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A directory with the source and a capture."""
    shutil.copy(SOURCE, tmp_path)
    data = struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, 1)
    for _ in range(4):
        data += struct.pack("<IIII", 0, 0, len(PACKET), len(PACKET)) + PACKET
    (tmp_path / "traffic.pcap").write_bytes(data)
    monkeypatch.chdir(tmp_path)


def told(shown: str) -> str:
    """A pattern for what is printed, where … stands for anything."""
    return ".*".join(map(re.escape, shown.strip().split("…")))


def test_the_sessions_go_as_they_are_shown(capsys: pytest.CaptureFixture[str]) -> None:
    for block in blocks(DOCUMENT, "console"):
        line, _, rest = block.strip().removeprefix("$ ").partition("\n")
        typed = re.findall(r"^\(osmia\) (.*)$", rest, re.MULTILINE)
        shown = re.sub(r"^\(osmia\) .*\n", "", rest, flags=re.MULTILINE)
        arguments = [word.strip("'") for word in re.findall(r"'[^']*'|\S+", line)][1:]
        for each in typed:
            arguments += ["--command", each]
        assert main([*arguments, *(["--batch"] if typed else [])]) == 0
        out = capsys.readouterr().out
        assert re.fullmatch(told(shown), out.strip(), re.DOTALL), out


def test_the_python_runs(compiled: Callable[..., object]) -> None:
    for block in blocks(DOCUMENT, "python"):
        run(DOCUMENT, block, {"packet": PACKET})


def test_the_commands_that_are_named_are_there() -> None:
    assert opening
    table = DOCUMENT.read_text().split("## Commands")[1].split("## Expressions")[0]
    for row in re.findall(r"^\| (`.*?) \|", table, re.MULTILINE):
        for name in re.findall(r"`(\w+)", row):
            assert words.find(name), name
