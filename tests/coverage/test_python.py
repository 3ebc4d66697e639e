"""coverage.py's data, and its reports of C files."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from osmia.coverage.model import CoverageData
from osmia.coverage.writing import write
from osmia.errors import MissingPackageError

from .gate_program import line_of

coverage = pytest.importorskip("coverage")
CONFIG = "[run]\nbranch = {branch}\nplugins = osmia.coverage.plugin\n"


def measured(here: Path, *arguments: str) -> str:
    command = [sys.executable, "-m", "coverage", *arguments]
    run = subprocess.run(command, cwd=here, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stdout + run.stderr
    return run.stdout


@pytest.mark.parametrize("branch", [True, False])
def test_python_and_c_stand_in_one_report(data: CoverageData, tmp_path: Path, branch: bool) -> None:
    (tmp_path / ".coveragerc").write_text(CONFIG.format(branch=branch))
    (tmp_path / "main.py").write_text("import sys\nif sys.argv[1:]:\n    print('no')\n")
    measured(tmp_path, "run", "--include=main.py", "main.py")
    write(data, tmp_path / ".coverage")
    lines = measured(tmp_path, "report", "-m").splitlines()
    assert any(line.startswith("main.py") for line in lines)
    (c,) = (line.split() for line in lines if "gate.bpf.c" in line)
    totals = data.totals()
    assert (int(c[1]), int(c[1]) - int(c[2])) == totals.lines
    if branch:
        assert int(c[3]) == totals.branches[0]
        assert any(part.startswith(f"{line_of('== 7')}->") for part in " ".join(c).split())


def test_reports_of_every_kind_are_made(data: CoverageData, tmp_path: Path) -> None:
    (tmp_path / ".coveragerc").write_text(CONFIG.format(branch=True))
    write(data, tmp_path / ".coverage")
    write(data, tmp_path / ".coverage")
    for kind in ("html", "xml", "json", "lcov"):
        measured(tmp_path, kind)
    there, taken = data.totals().branches
    xml = (tmp_path / "coverage.xml").read_text()
    assert f'branches-valid="{there}"' in xml and f'branches-covered="{taken}"' in xml
    page = next((tmp_path / "htmlcov").glob("*gate_bpf*.html")).read_text()
    assert f"line {line_of('== 7')}:" in page and "was never" in page


def test_without_the_package_it_is_named(
    data: CoverageData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "coverage", None)
    with pytest.raises(MissingPackageError, match=r"osmia\[coverage\]"):
        write(data, tmp_path / ".coverage")
    assert list(tmp_path.iterdir()) == []
