"""Hooks: source lines and breakpoints of interpreted runs."""

from __future__ import annotations

from pathlib import Path

import pytest

import osmia
from osmia.errors import VerifierError
from osmia.isa import assemble
from osmia.object.model import Object, SourceLine
from osmia.vm.check import check
from osmia.vm.hooks import breakpoints, current_line, on_lines
from osmia.vm.interpreter import Interpreter

SOURCE = """#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
SEC("xdp") int choose(struct xdp_md *ctx)
{
	int size = ctx->data_end - ctx->data;
	if (size > 100)
		size = bpf_get_smp_processor_id() + 1000;
	else
		size = bpf_get_prandom_u32() % 1 + 2000;
	return size;
}
char _license[] SEC("license") = "GPL";
"""


@pytest.fixture(scope="module")
def choose(tmp_path_factory: pytest.TempPathFactory) -> Object:
    path: Path = tmp_path_factory.mktemp("hooks") / "choose.bpf.c"
    path.write_text(SOURCE)
    return osmia.compile(path)


def test_line_hooks_see_the_lines_in_order(choose: Object) -> None:
    seen: list[int] = []

    def note(interpreter: Interpreter, line: SourceLine) -> None:
        assert current_line(interpreter) == line
        seen.append(line.line)

    with choose.load(engine="vm") as loaded:
        loaded.programs["choose"].run(bytes(128), hook=on_lines(note))
    assert 7 in seen and 9 not in seen
    assert seen.index(5) < seen.index(7) < seen.index(10)


def test_a_breakpoint_may_change_registers(choose: Object) -> None:
    def skip(interpreter: Interpreter) -> None:
        interpreter.registers[0] = 7

    with choose.load(engine="vm") as loaded:
        program = loaded.programs["choose"]
        last = len(program.code.instructions) - 1
        assert program.run(bytes(64), hook=breakpoints(skip, slots=[last])).retval == 7


def test_a_breakpoint_may_stop_the_run(choose: Object) -> None:
    def stop(interpreter: Interpreter) -> None:
        raise StopIteration

    with choose.load(engine="vm") as loaded:
        program = loaded.programs["choose"]
        assert program.run(bytes(64), hook=breakpoints(stop, lines=[7])).retval == 2000
        with pytest.raises(StopIteration):
            program.run(bytes(128), hook=breakpoints(stop, lines=[7]))
        assert program.run(bytes(128)).retval == 1000


def ladder(levels: int, calls: int) -> bytes:
    """Functions that each call the next one many times."""
    text = ""
    for level in range(levels):
        text += f"f{level}:\n*(u64 *)(r10 -{8 + 64 * level}) = 0\n"
        text += f"call f{level + 1}\n" * calls + f"call f{level + 2}\n" * (level + 2 <= levels)
        text += "exit\n"
    return assemble(f"{text}f{levels}:\nr0 = 0\nexit")


def test_stack_chains_are_counted_as_the_kernel_rounds() -> None:
    code = check("f0", ladder(2, 1))
    assert sorted(used for _, used in code.stack_chains()) == [64, 160]
    names, used = code.deepest_chain()
    assert (len(names), names[0], used) == (3, "f0", 160)


def test_chains_too_deep_are_refused_without_walking_them_all() -> None:
    with pytest.raises(VerifierError, match="too deep"):
        check("f0", ladder(40, 2))
