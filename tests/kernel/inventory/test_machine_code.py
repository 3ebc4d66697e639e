"""Machine code of programs: split into functions, disassembled on two machines, with lines."""

from __future__ import annotations

import platform
import sys

import pytest

import osmia
from osmia.errors import MissingPackageError, NotSupportedError
from osmia.kernel.inventory.machine_code import MachineFunction, disassembled, machine_functions

SOURCE = """
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
char LICENSE[] SEC("license") = "GPL";
__u64 seen;
static __attribute__((noinline)) int count(int by)
{
    return __sync_fetch_and_add(&seen, by);
}
SEC("xdp") int entry(struct xdp_md *ctx)
{
    return count(ctx->rx_queue_index) ? XDP_DROP : XDP_PASS;
}
"""


def _function(code: str) -> MachineFunction:
    return MachineFunction("", "", 0x1000, bytes.fromhex(code), {})


def test_x86_is_written_as_at_and_t_writes_it() -> None:
    pytest.importorskip("capstone")
    found = list(disassembled(_function("55 48 89 e5 b8 02 00 00 00 c3"), "x86_64"))
    assert [(each.operation, each.operands) for each in found] == [
        ("pushq", "%rbp"),
        ("movq", "%rsp, %rbp"),
        ("movl", "$2, %eax"),
        ("retq", ""),
    ]
    assert [each.address for each in found] == [0x1000, 0x1001, 0x1004, 0x1009]
    assert b"".join(each.code for each in found).hex() == "554889e5b802000000c3"


def test_arm64_is_read_too() -> None:
    pytest.importorskip("capstone")
    found = list(disassembled(_function("fd7bbfa9 fd030091 40008052 c0035fd6"), "aarch64"))
    assert [f"{each.operation} {each.operands}".strip() for each in found] == [
        "stp x29, x30, [sp, #-0x10]!",
        "mov x29, sp",
        "mov w0, #2",
        "ret",
    ]


def test_what_is_no_instruction_is_bytes() -> None:
    pytest.importorskip("capstone")
    found = list(disassembled(_function("c3 06 c3"), "x86_64"))
    assert [each.operation for each in found] == ["retq", ".byte", "retq"]


def test_another_machine_is_refused() -> None:
    pytest.importorskip("capstone")
    with pytest.raises(NotSupportedError, match="riscv64"):
        list(disassembled(_function("c3"), "riscv64"))


def test_without_capstone_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "capstone", None)
    with pytest.raises(MissingPackageError, match=r"pip install 'osmia\[disassembly\]'"):
        list(disassembled(_function("c3")))


@pytest.mark.kernel
@pytest.mark.skipif(platform.machine() != "x86_64", reason="x86's instructions")
def test_a_program_has_its_functions_lines_and_calls() -> None:
    pytest.importorskip("capstone")
    with osmia.compile(SOURCE).load() as loaded:
        program = loaded.programs["entry"]
        entry, count = machine_functions(program)
        whole = program.jited()
        assert entry.code + count.code == whole
        assert entry.declaration == "int entry(struct xdp_md *ctx)"
        assert count.symbol.endswith("_count")
        assert "count(ctx->rx_queue_index)" in [each.text.partition("return ")[2][:26]
                                                for each in entry.lines.values()]  # fmt: skip
        instructions = list(disassembled(entry))
        (call,) = [each for each in instructions if each.operation.startswith("call")]
        assert call.target == count.symbol
        assert b"".join(each.code for each in instructions) == entry.code
