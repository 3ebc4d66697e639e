"""`import osmia`: which names it has, for people and for type checkers, and what it costs."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import osmia

HEAVY = ("click", "llvmlite", "numpy", "pyroute2", "rich")


def test_every_public_name_is_there() -> None:
    assert {name for name in osmia.__all__ if getattr(osmia, name, None) is None} == set()


def test_every_error_that_users_meet_is_public() -> None:
    from osmia import errors

    defined = {
        name
        for name, value in vars(errors).items()
        if isinstance(value, type) and value.__module__ == errors.__name__
    }
    assert defined - set(osmia.__all__) == {"LegacyObjectWarning"}  # a kind of OsmiaWarning


@pytest.mark.slow
def test_type_checkers_see_every_public_name(tmp_path: Path) -> None:
    source = tmp_path / "user.py"
    source.write_text("\n".join(["import osmia", *(f"osmia.{name}" for name in osmia.__all__)]))
    command = [sys.executable, "-m", "mypy", "--strict", "--follow-imports=silent", str(source)]
    checked = subprocess.run(
        command, cwd=tmp_path, capture_output=True, text=True, timeout=300, check=False
    )
    assert checked.stdout.startswith("Success"), checked.stdout + checked.stderr


def test_importing_osmia_imports_none_of_its_dependencies() -> None:
    code = f"import osmia, sys; print([name for name in {HEAVY} if name in sys.modules])"
    command = [sys.executable, "-c", code]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout == "[]\n"
