"""Sessions: steps forwards and back, breakpoints, watchpoints, what is changed on the way."""

from __future__ import annotations

import gc
from collections.abc import Callable

import pytest

import osmia
from osmia.debugger import DebuggerError, Session, StopReason
from osmia.errors import ClosedError
from osmia.object.model import Object
from osmia.vm.engine import Vm

from .conftest import Begin, line_of

COUNT = """
struct { __uint(type, BPF_MAP_TYPE_HASH); __uint(max_entries, 8);
         __type(key, __u32); __type(value, __u64); } sizes SEC(".maps");
int limit = 3, counter;
static long add(__u32 i, int *sum)
{
	*sum += i;
	counter++;
	return 0;
}
static __attribute__((noinline)) int size_of(struct xdp_md *ctx)
{
	return ctx->data_end - ctx->data;
}
SEC("xdp") int choose(struct xdp_md *ctx)
{
	int sum = 0;
	__u32 key = size_of(ctx);
	__u64 now = bpf_ktime_get_ns();
	bpf_loop(4, add, &sum, 0);
	bpf_map_update_elem(&sizes, &key, &now, 0);
	if (sum > limit)
		return XDP_DROP;
	return XDP_PASS;
}
"""


def walk(session: Session) -> list[tuple[str, int]]:
    """Where all steps lead, to the end: functions and lines."""
    seen = []
    while session.step().result is None:
        seen.append((session.frames[0].function, session.frames[0].line))
    return seen


def test_steps_go_into_functions_and_callbacks_line_by_line(begin: Begin) -> None:
    session = begin(COUNT)
    assert session.frames[0].function == "choose" and session.position == 0
    seen = walk(session)
    assert ("size_of", line_of(COUNT, "return ctx->data_end")) in seen
    assert seen.count(("add", line_of(COUNT, "counter++"))) == 4
    assert session.result is not None and session.result.verdict == "XDP_DROP"
    assert not session.frames


def test_a_step_over_runs_what_is_called_to_its_end(begin: Begin) -> None:
    session = begin(COUNT)
    while session.next().result is None:
        assert session.frames[0].function == "choose"


def test_going_back_passes_the_same_places_in_the_other_order(begin: Begin) -> None:
    session = begin(COUNT)
    there = [0]
    while session.step().result is None:
        there.append(session.position)
    back = []
    while session.stop.reason is not StopReason.BEGIN:
        back.append(session.back().position)
    assert back == there[::-1]


def test_what_the_run_did_is_undone_on_the_way_back(begin: Begin) -> None:
    session = begin(COUNT)
    session.break_at(line_of(COUNT, "bpf_loop"))
    session.continue_()
    assert session.continue_().reason is StopReason.END
    assert session.data["counter"] == 4 and list(session.maps["sizes"]) == [64]
    stop = session.reverse_continue()
    assert stop.breakpoint is not None and stop.breakpoint.line == line_of(COUNT, "bpf_loop")
    assert session.data["counter"] == 0 and not list(session.maps["sizes"])
    assert session.reverse_continue().reason is StopReason.BEGIN


def test_the_clock_says_the_same_again(begin: Begin) -> None:
    session = begin(COUNT)
    session.continue_()
    first = session.maps["sizes"][64]
    session.go(0)
    session.continue_()
    assert session.maps["sizes"][64] == first
    session.restart()
    session.continue_()
    assert session.maps["sizes"][64] > first


def test_a_step_back_over_calls_stays_in_the_function(begin: Begin) -> None:
    session = begin(COUNT)
    session.break_at(line_of(COUNT, "if (sum > limit)"))
    session.continue_()
    lines = []
    while session.reverse_next().reason is not StopReason.BEGIN:
        assert session.frames[0].function == "choose"
        lines.append(session.frames[0].line)
    assert lines == sorted(lines, reverse=True)
    assert line_of(COUNT, "bpf_loop") in lines


def test_a_step_back_over_calls_at_a_callbacks_start_goes_to_who_called(begin: Begin) -> None:
    session = begin(COUNT)
    session.break_at(function="add", ignore=2)
    session.continue_()
    assert session.frames[0].function == "add" and session.data["counter"] == 2
    session.reverse_next()
    assert (session.frames[0].function, session.frames[0].line) == (
        "choose",
        line_of(COUNT, "bpf_loop"),
    )


def test_instructions_are_stepped_one_by_one_both_ways(begin: Begin) -> None:
    session = begin(COUNT)
    session.step(5, instruction=True)
    assert session.position == 5
    session.back(2, instruction=True)
    assert session.position == 3


def test_finish_gives_what_the_function_returned(begin: Begin) -> None:
    session = begin(COUNT)
    session.break_at(function="size_of")
    session.continue_()
    assert [frame.function for frame in session.frames] == ["size_of", "choose"]
    assert session.frames[1].line == line_of(COUNT, "key = size_of")
    stop = session.finish()
    assert stop.returned == 64 and session.frames[0].function == "choose"
    session.back()
    assert session.reverse_finish().reason is StopReason.STEP
    assert session.frames[0].slot == session.program.code.functions[0].start + 2


def test_until_goes_to_a_line_of_the_function(begin: Begin) -> None:
    session = begin(COUNT)
    session.until(line_of(COUNT, "bpf_map_update_elem"))
    assert session.frames[0].line == line_of(COUNT, "bpf_map_update_elem")
    assert session.data["counter"] == 4


def test_a_watchpoint_on_a_maps_entry_stops_behind_the_change(begin: Begin) -> None:
    session = begin(COUNT)
    watched = session.watch(("sizes", 64))
    stop = session.continue_()
    (change,) = stop.changes
    assert (change.watchpoint, change.old) == (watched, None)
    assert change.new == session.maps["sizes"][64]
    assert session.continue_().reason is StopReason.END
    undone = session.reverse_continue()
    assert undone.changes[0].new is None and 64 not in session.maps["sizes"]


def test_a_watchpoint_on_a_variable_sees_each_value(begin: Begin) -> None:
    session = begin(COUNT)
    session.watch("counter")
    seen = []
    while (stop := session.continue_()).reason is StopReason.WATCHPOINT:
        seen.append((stop.changes[0].old, stop.changes[0].new))
    assert seen == [(0, 1), (1, 2), (2, 3), (3, 4)]
    back = []
    while (stop := session.reverse_continue()).reason is StopReason.WATCHPOINT:
        back.append((stop.changes[0].new, stop.changes[0].old))
    assert back == seen[::-1]


def test_memory_and_registers_are_watched_too(begin: Begin) -> None:
    session = begin(COUNT)
    stack = session.frames[0].pointer
    session.watch(stack - 4, 4)
    session.watch("r2")
    stop = session.continue_()
    assert [change.watchpoint.text for change in stop.changes] == ["r2"]
    session.watchpoints[stop.changes[0].watchpoint.id].delete()
    values = []
    while (stop := session.continue_()).changes:
        values.append(int.from_bytes(stop.changes[0].new, "little"))
    assert values == [1, 3, 6]


def test_conditions_are_expressions_or_functions(begin: Begin) -> None:
    session = begin(COUNT)
    session.break_at(function="add", condition="r1 == 2 && counter == 2")
    session.continue_()
    assert session.registers["r1"].value == 2
    session.go(0)
    made = session.break_at(function="size_of", condition=lambda s: s.position == 3)
    assert session.continue_().breakpoint is made and session.position == 3


def test_a_condition_that_has_no_value_stops_with_the_reason(begin: Begin) -> None:
    session = begin(COUNT)
    session.break_at(function="add", condition="nothing_such > 2")
    with pytest.raises(DebuggerError, match="there is no 'nothing_such' here"):
        session.continue_()
    assert session.frames[0].function == "add"
    with pytest.raises(DebuggerError, match="no expression"):
        session.break_at(function="add", condition="a b")


def test_breakpoints_count_ignore_and_go(begin: Begin) -> None:
    session = begin(COUNT)
    made = session.break_at(function="add", ignore=1)
    once = session.break_at(line_of(COUNT, "counter++"), temporary=True)
    assert session.continue_().breakpoint is once
    assert session.continue_().breakpoint is made and made.hits == 2
    made.enabled = False
    assert session.continue_().reason is StopReason.END
    made.delete()
    assert not list(session.breakpoints)


def test_helpers_and_accesses_to_maps_are_places(begin: Begin) -> None:
    session = begin(COUNT)
    session.break_at(helper="bpf_ktime_get_ns")
    session.continue_()
    assert "bpf_ktime_get_ns" in session.disassembly(around=0)[0].text
    session.break_at(map="sizes", key=65)
    entry = session.break_at(map="sizes", key=64)
    assert session.continue_().breakpoints == (entry,)
    assert "bpf_map_update_elem" in session.disassembly(around=0)[0].text


def test_loads_and_stores_in_a_maps_values_are_accesses(begin: Begin) -> None:
    source = """
    struct { __uint(type, BPF_MAP_TYPE_ARRAY); __uint(max_entries, 4);
             __type(key, __u32); __type(value, __u64); } slots SEC(".maps");
    SEC("xdp") int count(struct xdp_md *ctx)
    {
        __u32 key = ctx->data_end - ctx->data & 3;
        __u64 *slot = bpf_map_lookup_elem(&slots, &key);
        if (slot)
            __sync_fetch_and_add(slot, 1);
        return XDP_PASS;
    }
    """
    session = begin(source, bytes(66))
    other = session.break_at(map="slots", key=1)
    made = session.break_at(map="slots", key=2)
    seen = []
    while session.continue_().breakpoint is made:
        seen.append(session.disassembly(around=0)[0].text)
    assert len(seen) == 2 and "lookup_elem" in seen[0] and "lock" in seen[1]
    assert other.hits == 0


def test_until_says_what_it_cannot_get_to(begin: Begin) -> None:
    session = begin(COUNT)
    with pytest.raises(DebuggerError, match="choose has no code of line 999: its lines are"):
        session.until(999)
    assert session.position == 0
    assert session.until(line_of(COUNT, "bpf_loop")).missed == ""
    source = """
    int limit = 3;
    SEC("xdp") int prog(struct xdp_md *ctx)
    {
        if (limit > 100)
            bpf_ktime_get_ns();
        return XDP_PASS;
    }
    """
    stop = begin(source).until(line_of(source, "bpf_ktime"))
    assert stop.result is not None and stop.missed.endswith("not reached: prog returned before")


def test_what_is_changed_is_part_of_the_run(begin: Begin) -> None:
    session = begin(COUNT)
    session.until(line_of(COUNT, "if (sum > limit)"))
    here = session.position
    session.data["limit"] = 100
    session.maps["sizes"][7] = 1
    assert session.continue_().result.verdict == "XDP_PASS"  # type: ignore[union-attr]
    session.go(0)
    assert session.data["limit"] == 3 and 7 not in session.maps["sizes"]
    assert session.go(here).position == here
    assert session.data["limit"] == 100 and session.maps["sizes"][7] == 1
    session.go(0)
    assert session.continue_().result.verdict == "XDP_PASS"  # type: ignore[union-attr]


def test_a_change_in_the_past_makes_another_future(begin: Begin) -> None:
    session = begin(COUNT)
    session.continue_()
    end = session.position
    session.go(1)
    session.assign("limit", 7)
    with pytest.raises(DebuggerError, match="is the last known"):
        session.go(end)
    session.go(1)
    assert session.continue_().result.verdict == "XDP_PASS"  # type: ignore[union-attr]


def test_registers_are_typed_and_assigned(begin: Begin) -> None:
    session = begin(COUNT)
    context = session.registers["r1"].pointer
    assert context is not None and (context.to, context.type) == ("context", "struct xdp_md")
    assert session.registers["r3"].value is None
    session.break_at(helper="map_update_elem")
    session.continue_()
    told = {name: str(register) for name, register in session.registers.items()}
    assert "map sizes" in told["r1"] and "stack of choose-8" in told["r2"]
    session.break_at(line_of(COUNT, "return XDP_PASS"))
    session.until(line_of(COUNT, "if (sum > limit)"))
    session.step(instruction=True)
    assert "limit, int *" in str(session.registers["r1"])
    while session.disassembly(around=0)[0].text != "exit":
        session.step(instruction=True)
    session.registers["r0"] = 3
    assert session.continue_().result.verdict == "XDP_TX"  # type: ignore[union-attr]
    with pytest.raises(DebuggerError):
        session.registers["r0"]


def test_memory_packet_and_context_are_read_and_changed(begin: Begin) -> None:
    session = begin(COUNT, bytes(range(64)))
    start = session.ctx.data
    assert session.packet == bytes(range(64)) == session.memory(start, 64)
    session.packet = bytes(64)
    assert session.memory(start, 64) == bytes(64)
    session.assign(f"u16({start})", 0x1234)
    assert session.packet[:2] == b"\x34\x12" and session.evaluate(f"*(u8 *)({start} + 1)") == 0x12
    with pytest.raises(DebuggerError, match="not the program's"):
        session.memory(1 << 40, 4)
    result = session.continue_().result
    assert result is not None and result.data[:2] == b"\x34\x12"


def test_source_and_instructions_are_listed(begin: Begin) -> None:
    session = begin(COUNT)
    session.until(line_of(COUNT, "bpf_loop"))
    before, here, after = session.source(around=1)
    assert here.current and "bpf_loop(4" in here.text and not before.current
    assert "bpf_map_update_elem" in after.text
    assert [each.current for each in session.disassembly(around=1)] == [False, True, False]


def test_places_that_are_not_there_are_said(begin: Begin) -> None:
    session = begin(COUNT)
    assert session.break_at(line_of(COUNT, "__u64 now") + 0).line == line_of(COUNT, "__u64 now")
    for wrong in (
        {"line": 1000},
        {"line": 3, "file": "other.c"},
        {"function": "nobody"},
        {"helper": "nobody"},
        {"instruction": 5000},
        {"map": "siezs"},
        {},
        {"line": 3, "function": "add"},
    ):
        with pytest.raises(DebuggerError):
            session.break_at(**wrong)
    with pytest.raises(DebuggerError, match="nobody"):
        session.watch("nobody")


def test_a_session_ends_with_its_vm(begin: Begin) -> None:
    session = begin(COUNT)
    session.step()
    session.vm.close()
    with pytest.raises(ClosedError):
        session.step()
    session.close()


def test_a_session_that_is_forgotten_gives_its_cpu_back(compiled: Callable[[str], Object]) -> None:
    with Vm(cpus=1) as vm, compiled(COUNT).load("vm", vm=vm) as loaded:
        program = loaded.programs["choose"]
        session = program.session(bytes(64))
        with pytest.raises(osmia.KernelError, match="a debugger's session has one"):
            program.run(bytes(64))
        del session
        gc.collect()
        assert program.run(bytes(64)).verdict == "XDP_DROP"
