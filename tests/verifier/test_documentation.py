"""docs/verifier.md: its program is refused as it says, its Python runs."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import osmia

from ..documents import DOCS, blocks, run, write_programs

DOCUMENT = DOCS / "verifier.md"

pytestmark = pytest.mark.kernel


def test_the_program_is_refused_as_it_is_told(tmp_path: Path) -> None:
    write_programs(DOCUMENT, tmp_path)
    (console,) = blocks(DOCUMENT, "console")
    command, told = console.strip().split("\n", 1)
    environment = os.environ | {
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    }
    done = subprocess.run(
        command.removeprefix("$ "),
        shell=True,
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1, done.stderr
    pattern = ".*".join(map(re.escape, told.split("…")))
    assert re.fullmatch(pattern, done.stdout, re.DOTALL), done.stdout


def test_the_python_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    write_programs(DOCUMENT, tmp_path)
    monkeypatch.chdir(tmp_path)
    osmia.compile("limit.bpf.c").save("limit.bpf.o")
    (block,) = blocks(DOCUMENT, "python")
    run(DOCUMENT, block, {"osmia": osmia})
    assert capsys.readouterr().out.startswith("limit False ")
