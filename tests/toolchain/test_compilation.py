"""Compiling: what goes in, what comes out, what is remembered, what errors say."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest

from osmia import toolchain
from osmia.btf import BTF
from osmia.elf import ElfFile
from osmia.errors import CompileError
from osmia.toolchain import Compiler

pytestmark = pytest.mark.slow

PROGRAM = """
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
SEC("xdp") int run(struct xdp_md *ctx) { return RESULT; }
char LICENSE[] SEC("license") = "GPL";
"""


def btf_of(data: bytes) -> BTF:
    section = ElfFile.parse(data).section(".BTF")
    assert section is not None
    return BTF(section.data)


def test_a_file_becomes_an_object_with_types(zig: Compiler, tmp_path: Path) -> None:
    source = tmp_path / "one.bpf.c"
    source.write_text(PROGRAM)
    made = toolchain.compile(source, compiler=zig, defines=["RESULT=XDP_PASS"])
    elf = ElfFile.parse(made.data)
    assert elf.section("xdp") is not None
    assert btf_of(made.data).find("run")
    assert made.dependencies[0] == source
    assert any(path.name == "bpf_helpers.h" for path in made.dependencies)


def test_text_with_a_newline_is_source(zig: Compiler) -> None:
    made = toolchain.compile(PROGRAM, compiler=zig, defines={"RESULT": 2})
    assert ElfFile.parse(made.data).section("xdp") is not None


def test_both_compilers_take_the_same_arguments(zig: Compiler, clang: Compiler) -> None:
    for tool in (zig, clang):
        made = toolchain.compile(
            PROGRAM, compiler=tool, defines={"RESULT": 1}, cpu="v4", target="bpfeb"
        )
        assert ElfFile.parse(made.data).byteorder == "big"
        assert made.compiler is tool


def test_a_file_name_may_hold_anything(zig: Compiler, tmp_path: Path) -> None:
    source = tmp_path / "-a b#$'é.bpf.c"
    header = tmp_path / "with space $1.h"
    header.write_text("#define RESULT 1\n")
    source.write_text(f'#include "{header.name}"\n{PROGRAM}')
    made = toolchain.compile(source, compiler=zig)
    assert {source, header} <= set(made.dependencies)


def test_a_relative_path_that_looks_like_an_option_is_a_path(
    zig: Compiler, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "-o.c").write_text("int x;\n")
    monkeypatch.chdir(tmp_path)
    assert toolchain.compile("-o.c", compiler=zig).data


def test_flags_that_make_something_else_are_refused(zig: Compiler) -> None:
    with pytest.raises(CompileError, match="no object"):
        toolchain.compile("int x;\n", compiler=zig, flags=["-S"])


def test_includes_come_before_shipped_headers(zig: Compiler, tmp_path: Path) -> None:
    (tmp_path / "bpf").mkdir()
    (tmp_path / "bpf/bpf_helpers.h").write_text(
        '#define SEC(x) __attribute__((section("my_" x), used))\n'
    )
    made = toolchain.compile(PROGRAM, compiler=zig, defines=["RESULT=1"], includes=[tmp_path])
    assert ElfFile.parse(made.data).section("my_xdp") is not None


def test_errors_show_file_line_and_reason(zig: Compiler, tmp_path: Path) -> None:
    source = tmp_path / "broken.bpf.c"
    source.write_text("int f(void)\n{\n\treturn nothing;\n}\n")
    with pytest.raises(CompileError, match=r"broken\.bpf\.c:3:\d+: error: .*'nothing'") as caught:
        toolchain.compile(source, compiler=zig)
    assert "nothing" in caught.value.output


def test_errors_in_text_show_its_name_and_line(zig: Compiler) -> None:
    with pytest.raises(CompileError, match=r"snippet\.c:2:"):
        toolchain.compile(
            "int ok;\nint f(void) { return nothing; }\n", compiler=zig, name="snippet.c"
        )


def test_a_missing_header_is_named(zig: Compiler) -> None:
    with pytest.raises(CompileError, match=r"'no/such\.h' file not found"):
        toolchain.compile('#include "no/such.h"\nint x;\n', compiler=zig)


def test_a_missing_source_is_the_usual_error(zig: Compiler) -> None:
    with pytest.raises(FileNotFoundError):
        toolchain.compile("no_such_file.bpf.c", compiler=zig)


def test_warnings_are_told_each_time(zig: Compiler) -> None:
    text = "int f(void) { int unused; return 1; }\n"
    for _ in range(2):
        made = toolchain.compile(text, compiler=zig, flags=["-Wall"])
        assert "unused variable" in made.warnings
        assert not made.cached


def test_the_second_time_comes_from_the_cache(zig: Compiler, fresh_cache: Path) -> None:
    first = toolchain.compile(PROGRAM, compiler=zig, defines=["RESULT=1"])
    second = toolchain.compile(PROGRAM, compiler=zig, defines=["RESULT=1"])
    other = toolchain.compile(PROGRAM, compiler=zig, defines=["RESULT=2"])
    assert (first.cached, second.cached, other.cached) == (False, True, False)
    assert second.data == first.data != other.data


def test_a_changed_header_is_noticed(zig: Compiler, tmp_path: Path, fresh_cache: Path) -> None:
    source, header = tmp_path / "a.bpf.c", tmp_path / "result.h"
    source.write_text(f'#include "result.h"\n{PROGRAM}')
    header.write_text("#define RESULT 1\n")
    first = toolchain.compile(source, compiler=zig)
    header.write_text("#define RESULT 2\n")
    second = toolchain.compile(source, compiler=zig)
    assert not second.cached
    assert first.data != second.data


@pytest.mark.parametrize(
    "name",
    [
        "a b",
        "a'b\"c",
        "a\tb",
        "a\nb",
        "a#b$c",
        "$HOME",
        "%s,:;=",
        "-x",
        "@a",
        "é",
        "\udcff",
        "a b ",
    ],
)
def test_a_changed_header_is_noticed_in_directories_of_any_name(
    zig: Compiler, tmp_path: Path, fresh_cache: Path, name: str
) -> None:
    place = tmp_path / name
    place.mkdir()
    source, header = place / "a.bpf.c", place / "result.h"
    source.write_text(f'#include "result.h"\n{PROGRAM}')
    header.write_text("#define RESULT 1\n")
    first = toolchain.compile(source, compiler=zig)
    assert {source, header} <= set(first.dependencies)
    assert toolchain.compile(source, compiler=zig).cached
    header.write_text("#define RESULT 2\n")
    assert not toolchain.compile(source, compiler=zig, includes=[place]).cached


@pytest.mark.parametrize("name", ["a\\b", "a\\", "a\\ b"])
def test_where_the_compiler_does_not_tell_what_it_read_nothing_is_kept(
    zig: Compiler, tmp_path: Path, fresh_cache: Path, name: str
) -> None:
    # Its list of files has slashes for backslashes; here such files are there, and never change.
    place, other = tmp_path / name, tmp_path / name.replace("\\", "/")
    for each in (place, other):
        each.mkdir(parents=True, exist_ok=True)
        (each / "a.bpf.c").write_text(f'#include "result.h"\n{PROGRAM}')
        (each / "result.h").write_text("#define RESULT 1\n")
    first = toolchain.compile(place / "a.bpf.c", compiler=zig)
    (place / "result.h").write_text("#define RESULT 2\n")
    second = toolchain.compile(place / "a.bpf.c", compiler=zig)
    assert (first.cached, second.cached) == (False, False)
    assert first.data != second.data


def test_texts_are_cached_wherever_temporary_files_are(
    zig: Compiler, tmp_path: Path, fresh_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = tmp_path / "a #$b"
    place.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(place))
    made = [toolchain.compile(PROGRAM, compiler=zig, defines=["RESULT=1"]) for _ in range(2)]
    assert [each.cached for each in made] == [False, True]


def test_a_new_header_that_hides_another_is_noticed(
    zig: Compiler, tmp_path: Path, fresh_cache: Path
) -> None:
    near, far = tmp_path / "near", tmp_path / "far"
    near.mkdir()
    far.mkdir()
    (far / "result.h").write_text("#define RESULT 1\n")
    text = f"#include <result.h>\n{PROGRAM}"
    toolchain.compile(text, compiler=zig, includes=[near, far])
    (near / "result.h").write_text("#define RESULT 2\n")
    assert not toolchain.compile(text, compiler=zig, includes=[near, far]).cached


USES_VMLINUX = """
#include "vmlinux.h"
struct task_struct *task;
unsigned long size = sizeof(struct task_struct);
"""


def test_vmlinux_h_is_made_when_the_source_includes_it(zig: Compiler) -> None:
    made = toolchain.compile(USES_VMLINUX, compiler=zig)
    assert btf_of(made.data).find("task_struct")
    assert any(path.name == "vmlinux.h" for path in made.dependencies)


def test_vmlinux_h_is_found_through_another_header(zig: Compiler, tmp_path: Path) -> None:
    (tmp_path / "all.h").write_text("#include <vmlinux.h>\n")
    text = USES_VMLINUX.replace('"vmlinux.h"', '"all.h"')
    assert toolchain.compile(text, compiler=zig, includes=[tmp_path]).data


def test_the_source_s_own_vmlinux_h_comes_first(zig: Compiler, tmp_path: Path) -> None:
    (tmp_path / "vmlinux.h").write_text("struct task_struct { int only; };\n")
    source = tmp_path / "own.bpf.c"
    source.write_text(USES_VMLINUX)
    made = toolchain.compile(source, compiler=zig)
    assert tmp_path / "vmlinux.h" in made.dependencies


def test_vmlinux_h_can_be_refused(zig: Compiler) -> None:
    with pytest.raises(CompileError, match=r"'vmlinux\.h' file not found"):
        toolchain.compile(USES_VMLINUX, compiler=zig, vmlinux=False)


def test_vmlinux_h_can_be_of_another_kernel(zig: Compiler, tmp_path: Path) -> None:
    other = btf_of(toolchain.compile("struct only_here { int x; } v;\n", compiler=zig).data)
    raw = tmp_path / "other.btf"
    raw.write_bytes(other.to_bytes())
    text = '#include "vmlinux.h"\nstruct only_here here = { 1 };\n'
    for source in (other, raw):
        assert toolchain.compile(text, compiler=zig, vmlinux=source).data


def test_it_works_without_a_home(
    zig: Compiler, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("HOME", "/dev/null")
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.chdir(tmp_path)
    assert toolchain.compile(PROGRAM, compiler=zig, defines=["RESULT=1"]).data
    assert list(tmp_path.iterdir()) == []
