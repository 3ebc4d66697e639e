"""linux/bpf.h of osmia's own: what the system's has, with the same values, and the newest."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

import osmia
from osmia import toolchain
from osmia.btf import Kind, kernel_btf
from osmia.object.uapi import AttachType, LinkType, MapType, ProgramType
from osmia.toolchain import INCLUDES, Compiler

pytestmark = pytest.mark.slow

OURS = INCLUDES / "linux" / "bpf.h"
SYSTEM = Path("/usr/include/linux/bpf.h")
_COMMENT = re.compile(r"/\*.*?\*/", re.DOTALL)
_ENUMERATOR = re.compile(r"^\s+((?:BPF|BTF|XDP|SK|TCP|TCX|FLOW)_\w+)\s*(?:=[^,]*)?,", re.MULTILINE)
_MACRO = re.compile(r"^\s*#define\s+([A-Z]\w+)[ \t]+\S", re.MULTILINE)
_TYPE = re.compile(r"^(struct|union|enum)\s+(\w+)\s*\{", re.MULTILINE)
#: What a header older than the kernel's lists of it has otherwise: ends of enums.
_ENDS = re.compile(r"_MAX$|^MAX_|^__MAX|BPF_REG_SIZE")


def text_of(path: Path) -> str:
    return _COMMENT.sub("", path.read_text())


def constants(path: Path) -> set[str]:
    text = text_of(path)
    return set(_ENUMERATOR.findall(text) + _MACRO.findall(text))


def values(header: Path, names: list[str]) -> list[int]:
    """What the names stand for, where that header is included."""
    numbers = ", ".join(f"(unsigned long long)({name})" for name in names)
    source = f'#include "{header}"\nconst unsigned long long values[] = {{{numbers}}};\n'
    source += 'char L[] __attribute__((section("license"), used)) = "GPL";'
    return list(osmia.open(toolchain.compile(source).data).data["values"])


def test_it_has_all_of_the_systems_with_the_same_values() -> None:
    if not SYSTEM.exists():
        pytest.skip("no system header")
    theirs = constants(SYSTEM)
    assert theirs - constants(OURS) - {"BPF_FUNC_unspec"} == set()
    names = sorted(each for each in theirs if not _ENDS.search(each))
    assert len(names) > 400
    found = zip(names, values(OURS, names), values(SYSTEM, names), strict=True)
    assert [each for each in found if each[1] != each[2]] == []
    types = set(_TYPE.findall(text_of(SYSTEM)))
    assert {name for _, name in types} - {name for _, name in _TYPE.findall(text_of(OURS))} == set()


@pytest.mark.parametrize(
    ("table", "prefix"),
    [
        (MapType, "BPF_MAP_TYPE_"),
        (ProgramType, "BPF_PROG_TYPE_"),
        (AttachType, "BPF_"),
        (LinkType, "BPF_LINK_TYPE_"),
    ],
)
def test_it_has_all_that_osmia_knows(table: type[MapType], prefix: str) -> None:
    names = [f"{prefix}{each.name}" for each in table]
    assert values(OURS, names) == [each.value for each in table]


def test_helpers_have_their_numbers() -> None:
    from osmia.isa import HELPERS

    names = [f"BPF_FUNC_{each.name.removeprefix('bpf_')}" for each in HELPERS.values()]
    assert values(OURS, names) == [each.id for each in HELPERS.values()]


@pytest.mark.kernel
def test_layouts_are_the_kernels() -> None:
    kernel = kernel_btf()
    names = [name for kind, name in _TYPE.findall(text_of(OURS)) if kind == "struct"]
    there = [name for name in names if kernel.find(name, Kind.STRUCT)]
    variables = "".join(f"struct {name} of_{name};\n" for name in there)
    obj = osmia.compile(f'#include <linux/bpf.h>\n{variables}char L[] '
                        '__attribute__((section("license"), used)) = "GPL";')  # fmt: skip
    assert obj.btf is not None
    for name in there:
        ours, theirs = obj.btf.find(name, Kind.STRUCT), kernel.find(name, Kind.STRUCT)
        if ours:  # else nothing of it was used
            offsets = [
                {m.name: m.bit_offset for m in btf.type(i).members}  # type: ignore[union-attr]
                for btf, i in ((obj.btf, ours), (kernel, theirs))
            ]
            common = offsets[0].keys() & offsets[1].keys()
            assert {n: offsets[0][n] for n in common} == {n: offsets[1][n] for n in common}, name


def test_it_comes_before_the_systems() -> None:
    made = osmia.compile("""
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
char L[] SEC("license") = "GPL";
struct { __uint(type, BPF_MAP_TYPE_ARENA); __uint(map_flags, BPF_F_MMAPABLE);
         __uint(max_entries, 1); } arena SEC(".maps");
""")
    assert made.maps["arena"].type is MapType.ARENA


def test_the_tool_prints_it() -> None:
    tool = Path(__file__).parents[2] / "tools" / "generate_bpf_header.py"
    text = OURS.read_text()
    known = {e.name: e.value for e in kernel_types("bpf_map_type")}
    if max(known.values()) < 33:
        pytest.skip("an older kernel's types")
    printed = subprocess.run(
        [sys.executable, str(tool)], capture_output=True, text=True, check=True
    )
    assert _TYPE.findall(printed.stdout) == _TYPE.findall(text)


def kernel_types(name: str) -> list[osmia.btf.EnumValue]:
    kernel = kernel_btf()
    return list(kernel.type(kernel.find(name, Kind.ENUM)).values)  # type: ignore[union-attr]


#: Headers of the bundle's clang that are for others, by reason.
FOREIGN = {
    "instructions of a machine": r".*intrin(_\w+)?\.h|__wmmintrin\w+\.h|mm3dnow\.h"
    r"|.*vector.*\.h|arm.*\.h|hexagon.*\.h|hvx.*\.h|riscv.*\.h|velintrin\w*\.h|altivec\.h|amo\.h|cet\.h|cpuid\.h|msa\.h"
    r"|wasm_simd128\.h|builtins\.h|ptrauth\.h|__clang_spirv\w+\.h",
    "before a header of Microsoft's": r"intrin0?\.h|vadefs\.h|yvals_core\.h",
    "says that there is <stdarg.h>": r"varargs\.h",
}
#: Some of its C library's.
LIBRARY = (
    "arpa/inet.h", "assert.h", "complex.h", "ctype.h", "endian.h", "errno.h", "math.h",
    "netinet/in.h", "stdio.h", "stdlib.h", "string.h", "sys/socket.h", "sys/types.h", "time.h",
    "unistd.h",
)  # fmt: skip
WITH_KFUNCS = """
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
char L[] SEC("license") = "GPL";
SEC("tp_btf/sched_switch") int a(void *ctx) {
    struct task_struct *task = bpf_task_from_pid(1);
    if (likely(task)) bpf_task_release(task);
    return 0;
}
"""


@pytest.mark.kernel
def test_vmlinux_has_the_kernels_functions() -> None:
    kernel = kernel_btf()
    if kernel.string_offset("bpf_kfunc") is None:
        pytest.skip("this kernel marks none")
    assert {"bpf_task_from_pid", "bpf_task_release"} <= osmia.compile(WITH_KFUNCS).externs.keys()
    without = toolchain.compile(
        '#define BPF_NO_KFUNC_PROTOTYPES\n#include "vmlinux.h"\nint bpf_task_from_pid;',
    )
    assert without.warnings == ""


@pytest.mark.slow
@pytest.mark.parametrize("architecture", ["x86", "arm64"])
def test_every_header_of_the_compilers_bundle_compiles(zig: Compiler, architecture: str) -> None:
    """Those that a source for BPF may include."""
    includes = zig.system_includes(architecture)
    clang = Path(includes[includes.index("-isystem") + 1])
    ours = [
        each.name
        for each in sorted(clang.glob("*.h"))
        if not any(re.fullmatch(names, each.name) for names in FOREIGN.values())
    ]
    assert {"stddef.h", "stdint.h", "tgmath.h", "mm_malloc.h"} <= {*ours}
    for name in (*ours, *LIBRARY):
        source = f"#include <{name}>\nint x;"
        made = toolchain.compile(source, compiler=zig, architecture=architecture)
        assert made.warnings == "", name
