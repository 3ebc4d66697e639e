"""Names of the kernel's addresses, of its modules and of BPF programs."""

from __future__ import annotations

from pathlib import Path

import pytest

from osmia import symbols
from osmia.kernel.programs.info import native_addresses, native_lengths
from osmia.symbols import KernelSymbols
from osmia.toolchain.objects import compile_object

pytestmark = pytest.mark.kernel

SOURCE = """
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
char LICENSE[] SEC("license") = "GPL";
int total;
static __noinline int of_its_own(int x)
{
	total += x;
	return total * 3;
}
SEC("xdp") int counted_by_name(struct xdp_md *ctx)
{
	return of_its_own(ctx->data_end - ctx->data) & 1;
}
"""


def _addresses() -> dict[str, int]:
    lines = Path("/proc/kallsyms").read_text().splitlines()
    return {line.split()[2]: int(line.split()[0], 16) for line in reversed(lines)}


def test_kernel_functions_have_names() -> None:
    known = _addresses()
    if not known["schedule"]:
        pytest.skip("the kernel hides its addresses")
    frame = symbols.kernel(known["schedule"] + 3)
    assert (frame.name, frame.offset, frame.module) == ("schedule", 3, "kernel")
    exact, caller = KernelSymbols().symbolize([known["schedule"]] * 2, stack=True)
    assert exact[0].name == "schedule" != caller[0].name


def test_addresses_of_nothing_have_no_names() -> None:
    assert symbols.kernel((1 << 64) - 1).name == ""
    assert symbols.kernel(1 << 63).label == "[kernel]"
    assert symbols.kernel(0x1000).label == "[unknown]"


def test_programs_loaded_later_have_names_and_source_lines(tmp_path: Path) -> None:
    source = tmp_path / "counted.bpf.c"
    source.write_text(SOURCE)
    known = KernelSymbols()
    known.frame(1 << 63)  # what was there before is read
    with compile_object(source).load() as bpf:
        program = bpf.programs["counted_by_name"]
        entry, other = native_addresses(program.fileno())
        size, _ = native_lengths(program.fileno())
        first, second = (frame for (frame,) in known.symbolize([entry + size - 1, other + 20]))
        assert first.name == f"bpf_prog_{program.info.tag}_counted_by_name"
        assert first.module == second.module == "bpf"
        assert second.name.startswith("bpf_prog_")
        assert second.name.endswith("_of_its_own")
        lines = SOURCE.splitlines()
        assert first.file == second.file == str(source)
        assert "of_its_own(ctx" in lines[first.line - 1]
        assert "total" in lines[second.line - 1]
    assert known.frame(other + 20).name.endswith("_of_its_own") or not known.frame(other).name
