"""What type checkers make of osmia: the documented calls pass, misspellings do not."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

HERE = Path(__file__).parent
DOCUMENT = HERE.parents[1] / "docs" / "python.md"

#: What the blocks of the document say that they find.
GIVEN = """\
from pathlib import Path

pins = Path("/sys/fs/bpf/flows")
"""


def check(path: Path) -> list[str]:
    """The lines that `mypy --strict` writes about a file."""
    command = [sys.executable, "-m", "mypy", "--strict", "--follow-imports=silent"]
    command += ["--no-error-summary", "--hide-error-context", path.name]
    done = subprocess.run(
        command, cwd=path.parent, capture_output=True, text=True, timeout=300, check=False
    )
    assert not done.stderr, done.stderr
    return done.stdout.splitlines()


def test_every_documented_call_is_typed(tmp_path: Path) -> None:
    text = DOCUMENT.read_text()
    blocks = re.findall(r"^```python\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    assert len(blocks) > 10
    (tmp_path / "documented.py").write_text("\n".join([GIVEN, *blocks]))
    assert check(tmp_path / "documented.py") == []


def test_misspellings_are_refused(tmp_path: Path) -> None:
    source = (HERE / "refused.py").read_text()
    (tmp_path / "refused.py").write_text(source)
    said: dict[int, str] = {}
    for line in check(tmp_path / "refused.py"):
        if found := re.match(r"refused\.py:(\d+): error: (.*)", line):
            said[int(found[1])] = said.get(int(found[1]), "") + found[2]
    wanted = {
        number: line.split("# refused: ")[1]
        for number, line in enumerate(source.splitlines(), 1)
        if "# refused: " in line
    }
    assert said.keys() == wanted.keys()
    assert len(wanted) >= 10
    for number, words in wanted.items():
        assert words in said[number], said[number]
