"""Functions in files of our own: versions, several of one name, patterns, other classes of ELF."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from osmia.errors import ObjectFormatError
from osmia.kernel.links.symbols import (
    AmbiguousSymbolError,
    SymbolNotFoundError,
    find_binary,
    function_offset,
    matching_functions,
    open_binary,
)

COMPILER = shutil.which("gcc") or shutil.which("clang")
pytestmark = pytest.mark.skipif(COMPILER is None, reason="needs a C compiler")

VERSIONED = """
int old_answer(void) { return 1; }
int new_answer(void) { return 2; }
int only(void) { return 3; }
__asm__(".symver old_answer, answer@V1");
__asm__(".symver new_answer, answer@@V2");
"""
VERSIONS = "V1 { global: only; answer; local: *; }; V2 { global: answer; } V1;"
TWICE = """
static __attribute__((noinline)) int helper(int x) { return x * %d; }
int %s(int x) { return helper(x) + 1; }
"""
WEAK = "__attribute__((weak)) int shared(void) { return 1; } int main(void) { return shared(); }"
GENERIC = """
.globl main
.type main, @function
main: ret
.type "main.Map[go.shape.int]", @function
"main.Map[go.shape.int]": ret
.size "main.Map[go.shape.int]", 1
.section .note.GNU-stack
"""


def build(directory: Path, *arguments: str, **sources: str) -> Path:
    """Compile the sources, named by file with `_` for the dot; gives the output's path."""
    names = []
    for name, text in sources.items():
        path = directory / name.replace("_", ".")
        path.write_text(text, encoding="utf-8")
        names += [str(path)] if path.suffix in (".c", ".s") else []
    output = directory / "output"
    assert COMPILER is not None
    subprocess.run(
        [COMPILER, "-O1", *arguments, *names, "-o", str(output)], check=True, cwd=directory
    )
    return output


@pytest.fixture
def library(tmp_path: Path) -> Path:
    options = ("-shared", "-fPIC", f"-Wl,--version-script={tmp_path / 'versions.map'}")
    return build(tmp_path, *options, versioned_c=VERSIONED, versions_map=VERSIONS)


def address_of(path: Path, name: str) -> int:
    """Where nm says that a symbol is; code of shared libraries lies there in the file too."""
    listed = subprocess.run(["nm", str(path)], capture_output=True, text=True, check=True).stdout
    (line,) = (line for line in listed.splitlines() if line.split()[-1] == name)
    found = open_binary(path).file_offset(int(line.split()[0], 16))
    assert found is not None
    return found


def test_a_name_means_the_default_version(library: Path) -> None:
    assert function_offset(library, "answer") == address_of(library, "new_answer")


@pytest.mark.parametrize("stripped", [False, True])
def test_a_version_is_the_one_of_the_version_tables(library: Path, stripped: bool) -> None:
    old, new = address_of(library, "old_answer"), address_of(library, "new_answer")
    if stripped:
        subprocess.run(["strip", str(library)], check=True)
    assert function_offset(library, "answer@V1") == old
    assert function_offset(library, "answer@V2") == new
    assert function_offset(library, "answer@@V2") == new
    assert function_offset(library, "answer@V1+1") == old + 1
    with pytest.raises(SymbolNotFoundError, match="no function 'answer@V3'"):
        function_offset(library, "answer@V3")
    assert {each.offset for each in matching_functions(library, "ans*")} == {old, new}
    assert [each.offset for each in matching_functions(library, "ans*@V1")] == [old]


def test_several_functions_of_one_name_are_refused_by_name_and_all_matched(
    tmp_path: Path,
) -> None:
    sources = {"a_c": TWICE % (3, "one"), "b_c": TWICE % (5, "two")}
    path = build(tmp_path, "-shared", "-fPIC", **sources)
    with pytest.raises(AmbiguousSymbolError, match=r"2 functions .*: helper at 0x.*, helper at 0x"):
        function_offset(path, "helper")
    assert len(matching_functions(path, "helper")) == 2
    assert len(matching_functions(path, "help?r")) == 2


def test_a_weak_definition_is_found(tmp_path: Path) -> None:
    path = build(tmp_path, weak_c=WEAK)
    assert function_offset(path, "shared") == address_of(path, "shared")


def test_brackets_are_letters(tmp_path: Path) -> None:
    path = build(tmp_path, go_s=GENERIC)
    place = function_offset(path, "main.Map[go.shape.int]")
    for pattern in ("main.Map[go.shape.int]", "main.Map[go.*]", "main.Map?go*"):
        assert [each.offset for each in matching_functions(path, pattern)] == [place]
    with pytest.raises(SymbolNotFoundError, match="no function matches"):
        matching_functions(path, "main.Ma[p]*")


def test_programs_of_32_bits_have_functions_too(tmp_path: Path) -> None:
    source, output = tmp_path / "work.s", tmp_path / "work.o"
    source.write_text(".globl work\n.type work, @function\nwork: ret\n", encoding="utf-8")
    linked = tmp_path / "work"
    try:
        subprocess.run(["as", "--32", str(source), "-o", str(output)], check=True)
        link = ["ld", "-m", "elf_i386", "-e", "work", str(output), "-o", str(linked)]
        subprocess.run(link, check=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("needs an assembler for i386")
    place = function_offset(linked, "work")
    assert linked.read_bytes()[place] == 0xC3  # ret


def test_what_is_no_program_is_an_error_of_ours(tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.write_bytes(b"")
    with pytest.raises(ObjectFormatError, match="an empty file"):
        function_offset(empty, "main")
    empty.write_bytes(b"#!/bin/sh\n" + bytes(100))
    with pytest.raises(ObjectFormatError, match="not an ELF file"):
        function_offset(empty, "main")


def test_a_path_is_a_path_and_never_looked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "sh").touch()
    for said in ("./sh", Path("./sh"), Path("sh"), find_binary("./sh")):
        assert find_binary(said).samefile(tmp_path / "sh")
    assert find_binary("sh").samefile("/bin/sh")
