"""Going back: faults, tail calls, callbacks, answers that differ each time, long runs."""

from __future__ import annotations

import pytest

from osmia.debugger import Session, StopReason
from osmia.debugger.history import FIRST_INTERVAL
from osmia.debugger.state import capture_memory
from osmia.vm.helpers.table import Invocation

from .conftest import Begin, line_of

NULL = """
struct { __uint(type, BPF_MAP_TYPE_ARRAY); __uint(max_entries, 2);
         __type(key, __u32); __type(value, __u64); } slots SEC(".maps");
int before;
SEC("xdp") int count(struct xdp_md *ctx)
{
	__u32 key = ctx->rx_queue_index;
	__u64 *slot = bpf_map_lookup_elem(&slots, &key);
	before++;
	*(volatile __u64 *)slot += 1;
	return XDP_PASS;
}
"""


def state_of(session: Session) -> object:
    """All that a run can change."""
    machine = session.machine
    frames = [
        (f.slot, tuple(f.registers), bytes(f.stack.written)) for f in machine.frames if f.stack
    ]
    return capture_memory(session.vm, machine.cpu), frames, tuple(session.vm.trace)


def check_every_position(session: Session, end: int, stride: int = 1) -> None:
    """Each position, reached from behind, is what it was on the way there."""
    session.go(0)
    there = {}
    while session.position < end:
        there[session.position] = state_of(session)
        session.step(instruction=True)
    for position in range(end - 1, -1, -stride):
        session.go(position)
        assert state_of(session) == there[position], position


def test_a_run_stands_still_at_a_fault_and_goes_back_from_it(begin: Begin) -> None:
    session = begin(NULL)
    session.break_at(line_of(NULL, "before++"))
    session.continue_()
    session.registers["r0"] = 0
    stop = session.continue_()
    assert stop.reason is StopReason.FAULT and stop.fault is not None
    assert "null pointer" in stop.fault.message
    assert session.frames[0].line == line_of(NULL, "+= 1") and session.data["before"] == 1
    assert session.step().reason is StopReason.FAULT
    session.back()
    assert session.data["before"] == 0


def test_what_is_put_right_at_a_fault_lets_the_run_go_on(begin: Begin) -> None:
    session = begin(NULL)
    session.break_at(line_of(NULL, "before++"))
    session.continue_()
    good = session.registers["r0"].value
    session.registers["r0"] = 0
    assert session.continue_().reason is StopReason.FAULT
    here = session.disassembly(around=0)[0].text
    name = next(n for n in session.registers if f"({n} +0)" in here or f"({n})" in here)
    assert good is not None
    session.registers[name] = good
    assert session.continue_().reason is StopReason.END
    assert session.maps["slots"][0] == 1
    session.reverse_continue()
    assert session.maps["slots"][0] == 0


def test_a_run_without_an_end_stops_with_its_budget(begin: Begin) -> None:
    source = """
    SEC("xdp") int spin(struct xdp_md *ctx)
    {
        for (int i = 0; i < 1000000000; i++)
            bpf_get_prandom_u32();
        return XDP_PASS;
    }
    """
    session = begin(source, budget=3 * FIRST_INTERVAL + 17)
    stop = session.continue_()
    assert stop.fault is not None and "budget" in stop.fault.message
    assert stop.position == 3 * FIRST_INTERVAL + 17
    assert session.back(instruction=True).position == stop.position - 1
    assert session.step(instruction=True).position == stop.position
    assert session.reverse_continue().reason is StopReason.BEGIN


LONG = """
int wanted = 30000, sum;
SEC("xdp") int add(struct xdp_md *ctx)
{
	for (int i = 0; i < wanted; i++)
		sum += bpf_get_prandom_u32() & 3;
	return XDP_PASS;
}
"""


def test_long_runs_go_back_across_checkpoints(begin: Begin) -> None:
    session = begin(LONG)
    session.watch("sum")
    session.continue_()
    first = session.position
    for each in session.watchpoints:
        each.delete()
    session.continue_()
    end, total = session.position, session.data["sum"]
    assert end > 10 * FIRST_INTERVAL
    session.go(end // 2)
    half = session.data["sum"]
    session.go(0)
    session.go(end // 2)
    assert session.data["sum"] == half
    session.continue_()
    assert (session.position, session.data["sum"]) == (end, total)
    watch = session.watch("sum")
    assert session.reverse_continue().changes[0].old == total
    watch.delete()
    session.break_at(
        line_of(LONG, "sum +="), condition=lambda s: s.position < 3 * FIRST_INTERVAL + 20
    )
    stop = session.reverse_continue()
    assert stop.reason is StopReason.BREAKPOINT
    assert first < stop.position < 3 * FIRST_INTERVAL + 20


def test_each_position_of_a_run_is_the_same_from_behind(begin: Begin) -> None:
    session = begin(EACH)
    end = session.continue_().position
    check_every_position(session, end, stride=3)


EACH = """
struct { __uint(type, BPF_MAP_TYPE_HASH); __uint(max_entries, 8);
         __type(key, __u32); __type(value, __u64); } sizes SEC(".maps");
struct { __uint(type, BPF_MAP_TYPE_LRU_HASH); __uint(max_entries, 2);
         __type(key, __u32); __type(value, __u32); } latest SEC(".maps");
struct { __uint(type, BPF_MAP_TYPE_RINGBUF); __uint(max_entries, 4096); } events SEC(".maps");
struct { __uint(type, BPF_MAP_TYPE_PERCPU_ARRAY); __uint(max_entries, 1);
         __type(key, __u32); __type(value, __u64); } runs SEC(".maps");
__u64 total;
static long visit(void *map, __u32 *key, __u64 *value, __u64 *sum)
{
	*sum += *value + *key;
	bpf_printk("%d", *key);
	bpf_map_update_elem(&latest, key, key, 0);
	return 0;
}
SEC("xdp") int each(struct xdp_md *ctx)
{
	__u64 sum = 0;
	__u32 zero = 0;
	for (__u32 i = 0; i < 3; i++) {
		__u64 random = bpf_get_prandom_u32();
		bpf_map_update_elem(&sizes, &i, &random, 0);
	}
	bpf_for_each_map_elem(&sizes, visit, &sum, 0);
	__u64 *run = bpf_map_lookup_elem(&runs, &zero);
	if (run)
		*run += 1;
	bpf_ringbuf_output(&events, &sum, sizeof(sum), 0);
	total = sum;
	return XDP_PASS;
}
"""


def test_callbacks_for_each_element_are_stepped_and_undone(begin: Begin) -> None:
    session = begin(EACH)
    session.break_at(function="visit")
    keys = []
    while session.continue_().reason is StopReason.BREAKPOINT:
        keys.append(session.evaluate("u32(r2)"))
        assert [frame.function for frame in session.frames] == ["visit", "each"]
    assert sorted(keys) == [0, 1, 2] and len(session.vm.trace) == 3
    assert len(session.maps["latest"]) == 2
    back = []
    while session.reverse_continue().reason is StopReason.BREAKPOINT:
        back.append(session.evaluate("u32(r2)"))
    assert back == keys[::-1]
    assert not session.vm.trace and not len(session.maps["latest"])


def test_a_reader_gets_each_event_once_however_often_the_run_comes_by(begin: Begin) -> None:
    session = begin(EACH)
    end = session.continue_().position
    seen: list[object] = []
    session.maps["events"].drain(seen.append)
    session.go(end - 1)
    session.maps["events"].drain(seen.append)
    session.go(0)
    session.continue_()
    session.maps["events"].drain(seen.append)
    assert len(seen) == 1


def test_a_users_helper_runs_once_and_what_it_changed_is_there_again(begin: Begin) -> None:
    calls = []

    def random(call: Invocation) -> int:
        calls.append(1)
        session.data["total"] = 77
        call.vm.trace.append("asked")
        return len(calls)

    session = begin(EACH, helpers={"get_prandom_u32": random})
    session.continue_()
    total = session.data["total"]
    assert len(calls) == 3
    session.go(0)
    session.until(line_of(EACH, "bpf_map_update_elem(&sizes"))
    assert session.data["total"] == 77
    assert session.continue_().reason is StopReason.END
    assert len(calls) == 3 and session.data["total"] == total


def test_a_users_helper_that_calls_back_is_one_step(begin: Begin) -> None:
    source = """
    int sum;
    static long add(__u32 i, void *ctx) { sum += i; return 0; }
    SEC("xdp") int loop(struct xdp_md *ctx)
    {
        bpf_loop(4, add, 0, 0);
        return sum;
    }
    """

    def twice(call: Invocation, count: int, callback: int, ctx: int, flags: int) -> int:
        caller = call.interpreter
        assert caller is not None
        slot = caller.frame.code.function_of(callback)
        assert slot is not None
        for number in range(count):
            caller.call_function(slot, 2 * number, ctx)
        return count

    session = begin(source, helpers={"loop": twice})
    session.next()
    end = session.continue_()
    assert end.result is not None and end.result.retval == 12
    session.go(0)
    assert session.data["sum"] == 0
    again = session.continue_()
    assert again.position == end.position and session.data["sum"] == 12


TAIL = """
int second(struct xdp_md *);
struct { __uint(type, BPF_MAP_TYPE_PROG_ARRAY); __uint(max_entries, 2); __type(key, __u32);
         __array(values, int(struct xdp_md *)); } jumps SEC(".maps") = {
	.values = { [1] = &second } };
int seen;
SEC("xdp") int second(struct xdp_md *ctx)
{
	seen += 2;
	return XDP_TX;
}
static __attribute__((noinline)) int jump(struct xdp_md *ctx)
{
	seen += 1;
	volatile int none = 0;
	bpf_tail_call(ctx, &jumps, 1);
	return none;
}
SEC("xdp") int first(struct xdp_md *ctx)
{
	int got = jump(ctx);
	seen += 10 * got;
	return got;
}
"""


def test_tail_calls_are_followed_into_the_other_program_and_back(begin: Begin) -> None:
    session = begin(TAIL, program="first")
    session.break_at(function="second")
    stop = session.continue_()
    assert stop.reason is StopReason.BREAKPOINT
    assert [frame.function for frame in session.frames] == ["second", "first"]
    assert session.frames[0].program.name == "second" and session.data["seen"] == 1
    session.break_at(line_of(TAIL, "seen += 10"))
    session.continue_()
    assert session.data["seen"] == 3 and session.frames[0].function == "first"
    result = session.continue_().result
    assert result is not None and result.verdict == "XDP_TX" and session.data["seen"] == 33
    check_every_position(session, session.position)


def test_a_tail_call_is_stepped_over_like_what_it_replaces(begin: Begin) -> None:
    session = begin(TAIL, program="first")
    lines = []
    while session.next().result is None:
        lines.append((session.frames[0].function, session.frames[0].line))
    assert all(function == "first" for function, _ in lines)
    assert ("first", line_of(TAIL, "seen += 10")) in lines


def test_a_fault_in_a_callback_is_where_it_is(begin: Begin) -> None:
    source = """
    static long bad(__u32 i, __u64 *at) { return i == 2 ? *(volatile __u64 *)(long)i : 0; }
    SEC("xdp") int loop(struct xdp_md *ctx)
    {
        __u64 some = 1;
        return bpf_loop(4, bad, &some, 0);
    }
    """
    session = begin(source)
    stop = session.continue_()
    assert stop.reason is StopReason.FAULT
    assert [frame.function for frame in session.frames] == ["bad", "loop"]
    while session.back().reason is not StopReason.BEGIN:
        pass
    assert session.continue_().position == stop.position


def test_changes_within_callbacks_are_replayed(begin: Begin) -> None:
    session = begin(EACH)
    session.break_at(function="visit", ignore=1)
    session.continue_()
    session.assign("u64(r3)", 1_000_000)
    here = session.position
    next(iter(session.breakpoints)).delete()
    session.continue_()
    assert session.data["total"] > 1_000_000
    total = session.data["total"]
    session.go(0)
    session.go(here)
    assert session.evaluate("u64(r3)") == 1_000_000
    session.go(0)
    session.continue_()
    assert session.data["total"] == total


def test_without_strictness_a_session_does_as_compiled_code_does(begin: Begin) -> None:
    session = begin(NULL, strict=False)
    end = session.continue_()
    assert end.reason is StopReason.END
    check_every_position(session, end.position)


@pytest.mark.parametrize("data", [b"", bytes(8)])
def test_raw_contexts_are_those_of_other_types(begin: Begin, data: bytes) -> None:
    source = """
    SEC("raw_tp/sys_enter") int enter(struct bpf_raw_tracepoint_args *ctx)
    {
        return ctx->args[1];
    }
    """
    session = begin(source, b"", ctx=[1, 42] if not data else bytes(8) + b"\x2a" + bytes(7))
    assert session.ctx[8] == 42 and session.packet == b""
    result = session.continue_().result
    assert result is not None and result.retval == 42
