"""Sources written for libbpf compile unchanged with osmia's headers; libbpf loads the result."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from osmia import toolchain
from osmia.errors import CompileError
from osmia.toolchain import INCLUDES, Compiler

pytestmark = pytest.mark.slow

SOURCES = sorted((Path(__file__).parent / "sources").glob("*.bpf.c"))
STRICT = ("-Wall", "-Wextra", "-Wno-unused-parameter")

# These hold what Debian's bpftool (libbpf 1.1) cannot read, or programs whose targets no
# kernel has.
NOT_FOR_LIBBPF_1_1 = {"structure_arguments", "wide_numbers"}

# One of each macro group, for the second compiler.
FEWER = {
    "atomics",
    "bitfields",
    "core_questions",
    "exec_chain",
    "kernel_probes",
    "loops",
    "packet_counter",
    "system_headers",
    "tail_calls",
}


def name_of(path: Path) -> str:
    return path.name.removesuffix(".bpf.c")


every_source = pytest.mark.parametrize("source", SOURCES, ids=name_of)


@every_source
def test_sources_compile_without_a_warning(source: Path, zig: Compiler) -> None:
    made = toolchain.compile(source, compiler=zig, flags=STRICT)
    assert made.warnings == ""
    assert made.data[:7] == b"\x7fELF\x02\x01\x01"


@pytest.mark.parametrize("source", [s for s in SOURCES if name_of(s) in FEWER], ids=name_of)
def test_sources_compile_with_debian_clang(source: Path, clang: Compiler) -> None:
    assert toolchain.compile(source, compiler=clang, flags=STRICT).warnings == ""


@pytest.mark.parametrize("source", [s for s in SOURCES if name_of(s) in FEWER], ids=name_of)
def test_sources_compile_for_big_endian_and_newest_instructions(
    source: Path, zig: Compiler
) -> None:
    made = toolchain.compile(source, compiler=zig, flags=STRICT, target="bpfeb", cpu="v4")
    assert made.warnings == ""
    assert made.data[:7] == b"\x7fELF\x02\x02\x01"


FOR_LIBBPF = [source for source in SOURCES if name_of(source) not in NOT_FOR_LIBBPF_1_1]


@pytest.mark.kernel
@pytest.mark.parametrize(
    ("source", "cpu"),
    [(source, "v3") for source in FOR_LIBBPF]
    + [(source, "v4") for source in FOR_LIBBPF if name_of(source) in FEWER],
    ids=lambda value: value if isinstance(value, str) else name_of(value),
)
def test_libbpf_loads_what_comes_out(
    source: Path, cpu: str, zig: Compiler, tmp_path: Path, bpffs: Path
) -> None:
    made = tmp_path / "made.o"
    made.write_bytes(toolchain.compile(source, compiler=zig, cpu=cpu, flags=STRICT).data)
    run = subprocess.run(
        ["bpftool", "prog", "loadall", made, bpffs / "programs"],
        capture_output=True,
        text=True,
    )
    assert run.returncode == 0, run.stderr


ARCHITECTURES = {
    "arm64": "struct user_pt_regs { unsigned long long regs[31], sp, pc, pstate; };",
    "s390": """
struct user_pt_regs {
    struct { unsigned long mask, addr; } psw;
    unsigned long gprs[16];
};""",
    "riscv": """
struct user_regs_struct {
    unsigned long pc, ra, sp, s0, a0, a1, a2, a3, a4, a5, a6, a7;
};""",
    "loongarch": "struct pt_regs { unsigned long regs[32], orig_a0, csr_era; };",
    "powerpc": "struct pt_regs { unsigned long gpr[32], nip, link, orig_gpr3; };",
}
ALL_REGISTERS = """
#include <linux/types.h>
#define __VMLINUX_H__
{registers}
#include <bpf/bpf_tracing.h>

unsigned long sum;

SEC("kprobe/f") int BPF_KPROBE(entry, int a, char *b, long c)
{{
    sum = a + *b + c + PT_REGS_PARM5(ctx) + PT_REGS_IP(ctx) + PT_REGS_SP(ctx) +
          PT_REGS_FP(ctx) + PT_REGS_RC(ctx) + PT_REGS_RET(ctx) + PT_REGS_PARM2_CORE(ctx);
    return 0;
}}

SEC("ksyscall/f") int BPF_KSYSCALL(call, int a, char *b, long c, long d, int e)
{{
    sum = a + (long) b + c + d + e;
    return 0;
}}
"""


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_registers_have_names_on_other_machines(architecture: str, zig: Compiler) -> None:
    text = ALL_REGISTERS.format(registers=ARCHITECTURES[architecture])
    toolchain.compile(text, compiler=zig, architecture=architecture)


def test_registers_of_an_unknown_machine_are_an_error_that_says_what_to_define(
    zig: Compiler,
) -> None:
    text = ALL_REGISTERS.format(registers="")
    with pytest.raises(CompileError, match="needs __TARGET_ARCH_<name>"):
        toolchain.compile(text, compiler=zig, architecture="x86", defines=["__TARGET_ARCH_vax"])


def test_helper_definitions_are_what_the_table_says() -> None:
    generator = Path(__file__).parents[2] / "tools/generate_helper_defs.py"
    printed = subprocess.run([sys.executable, generator], capture_output=True, check=True).stdout
    assert (INCLUDES / "bpf/bpf_helper_defs.h").read_bytes() == printed


ORDERS = {
    "helpers first": "#include <bpf/bpf_helpers.h>\n#include <linux/bpf.h>\n",
    "helpers before vmlinux": '#include <bpf/bpf_helpers.h>\n#include "vmlinux.h"\n',
    "tracing alone": "#include <bpf/bpf_tracing.h>\n",
    "everything twice": "#include <linux/bpf.h>\n"
    + 2 * "#include <bpf/bpf_core_read.h>\n#include <bpf/bpf_atomic.h>\n#include <stddef.h>\n",
}


@pytest.mark.parametrize("order", ORDERS)
def test_headers_need_no_order(order: str, zig: Compiler) -> None:
    text = ORDERS[order] + 'SEC("xdp") int f(void *ctx) { return bpf_ktime_get_ns() & 1; }\n'
    assert toolchain.compile(text, compiler=zig).warnings == ""
