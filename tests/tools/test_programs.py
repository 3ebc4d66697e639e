"""The tools' programs: in wheels compiled, equal to their source, small, and for any kernel."""

from __future__ import annotations

import os
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

from osmia.object import Object
from osmia.toolchain import find_compiler
from osmia.tools import TOOLS
from osmia.tools.programs import compile_program, open_program, program_names, source_of

ROOT = Path(__file__).resolve().parents[2]

DOCUMENT = ROOT / "docs" / "tools.md"

#: Lines of C and Python that a tool may have.
LINES = 120


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with a wheel and a source distribution."""
    pytest.importorskip("hatchling")
    directory = tmp_path_factory.mktemp("built")
    _build(ROOT, directory)
    return directory


def _build(root: Path, directory: Path, **environment: str) -> None:
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-d", directory],
        cwd=root,
        env=os.environ | environment,
        check=True,
        capture_output=True,
    )


def _objects(wheel: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(wheel) as files:
        paths = [each for each in files.namelist() if each.endswith(".bpf.o")]
        return {Path(each).name.removesuffix(".bpf.o"): files.read(each) for each in paths}


def _from_sources() -> dict[str, bytes]:
    return {name: compile_program(name, byteorder="little") for name in program_names()}


def test_a_wheel_has_all_programs_as_their_sources_say(built: Path) -> None:
    (wheel,) = built.glob("*.whl")
    assert _objects(wheel) == _from_sources()


def test_a_source_distribution_needs_no_compiler(built: Path, tmp_path: Path) -> None:
    (archive,) = built.glob("*.tar.gz")
    with tarfile.open(archive) as files:
        files.extractall(tmp_path, filter="data")
    (root,) = tmp_path.iterdir()
    _build(root, tmp_path / "again", OSMIA_CLANG="/missing")
    (wheel,) = (tmp_path / "again").glob("*.whl")
    assert _objects(wheel) == _from_sources()


@pytest.mark.kernel
def test_tools_out_of_a_wheel_run_without_a_compiler(built: Path, tmp_path: Path) -> None:
    (wheel,) = built.glob("*.whl")
    with zipfile.ZipFile(wheel) as files:
        files.extractall(tmp_path)
    command = [sys.executable, "-m", "osmia", "tool", "opensnoop", "-d", "0"]
    environment = {"PYTHONPATH": str(tmp_path), "OSMIA_CLANG": "/missing", "OSMIA_CACHE": "off"}
    done = subprocess.run(
        command, env=os.environ | environment, cwd=tmp_path, capture_output=True, text=True
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.split()[0] == "pid"


def test_a_checkout_has_no_object_that_could_be_old() -> None:
    assert not list(source_of("opensnoop").parent.glob("*.o"))


@pytest.mark.parametrize("name", program_names())
def test_objects_have_no_paths_of_where_they_were_made(name: str) -> None:
    assert os.fsencode(ROOT) not in compile_program(name)


@pytest.mark.parametrize("name", program_names())
def test_each_compiler_makes_the_same_programs_and_maps(name: str) -> None:
    def shape(obj: Object) -> tuple[object, object]:
        return list(obj.programs), [(each.name, each.type) for each in obj.maps.values()]

    from osmia.formats import open_object

    theirs = open_object(compile_program(name, find_compiler("zig")), name=name)
    assert shape(theirs) == shape(open_program(name))


def lines(path: Path) -> int:
    return len(path.read_text().splitlines()) if path.exists() else 0


@pytest.mark.parametrize("name", TOOLS)
def test_tools_are_as_small_as_their_document_says(name: str) -> None:
    c = source_of(name.replace("-", "_"))
    python = c.with_name(f"{name.replace('-', '_')}.py")
    assert lines(c) + lines(python) < LINES
    cells = [lines(c) or "", lines(python), lines(c) + lines(python)]
    assert f"| {name} | {' | '.join(map(str, cells))} |" in DOCUMENT.read_text()


def test_what_tools_share_is_as_large_as_their_document_says() -> None:
    directory = source_of("opensnoop").parent
    headers = sum(lines(each) for each in directory.glob("*.bpf.h"))
    own = {f"{name.replace('-', '_')}.py" for name in TOOLS}
    frame = sum(lines(each) for each in directory.glob("*.py") if each.name not in own)
    text = " ".join(DOCUMENT.read_text().split())
    assert f"headers of {headers} lines" in text
    assert f"and {frame} lines of Python" in text


def test_no_program_needs_the_types_of_one_kernel() -> None:
    for each in source_of("opensnoop").parent.glob("*.bpf.*"):
        assert "vmlinux.h" not in each.read_text()
