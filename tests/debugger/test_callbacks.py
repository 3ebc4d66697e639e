"""Callbacks of timers and work are stepped through, both ways, as the clock gets to them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from io import StringIO
from typing import Any

import pytest

import osmia
import osmia.debugger.terminal.opening
from osmia.debugger import DebuggerError, Session, StopReason
from osmia.debugger.terminal.console import Console
from osmia.testing import Machine

SOURCE = r"""
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
char LICENSE[] SEC("license") = "GPL";
struct entry { struct bpf_timer timer; __u64 fired, seen; };
struct { __uint(type, BPF_MAP_TYPE_ARRAY); __uint(max_entries, 4);
         __type(key, __u32); __type(value, struct entry); } entries SEC(".maps");
__u64 fired, last;
static int fire(void *map, __u32 *which, struct entry *entry)
{
	entry->fired++;
	last = *which;
	if (++fired < 4)
		bpf_timer_start(&entry->timer, 1000, 0);
	entry->seen = bpf_ktime_get_ns();
	return 7;
}
SEC("tc") int starts(struct __sk_buff *ctx)
{
	for (__u32 key = 1; key < 3; key++) {
		__u32 which = key;
		struct entry *entry = bpf_map_lookup_elem(&entries, &which);
		if (!entry)
			return 5;
		bpf_timer_init(&entry->timer, &entries, 1);
		bpf_timer_set_callback(&entry->timer, fire);
		bpf_timer_start(&entry->timer, 1000 * key, 0);
	}
	return 3;
}
"""


@pytest.fixture(scope="module")
def compiled() -> osmia.Object:
    return osmia.compile(SOURCE)


@pytest.fixture
def begin(compiled: osmia.Object) -> Iterator[Callable[[], tuple[Session, Any]]]:
    with ExitStack() as undo:

        def begin_() -> tuple[Session, Any]:
            bpf = undo.enter_context(compiled.load("vm", memory=1 << 25))
            return undo.enter_context(bpf.programs["starts"].session(bytes(64))), bpf

        yield begin_


def test_time_goes_by_behind_the_programs_end(begin: Callable[[], tuple[Session, Any]]) -> None:
    session, bpf = begin()
    machine = Machine(bpf)
    began = machine.time
    with pytest.raises(DebuggerError, match="has not come there yet"):
        session.elapse(1)
    result = session.continue_().result
    assert result is not None and result.retval == 3
    with pytest.raises(ValueError, match="goes by, not back"):
        session.elapse(-1)
    stop = session.elapse(2.0000e-6)
    assert stop.reason is StopReason.STEP and session.frames[0].function == "fire"
    assert session.frames[0].called_by == "timer of entries[1]" and session.result is None
    assert machine.time == began + 1000
    while session.step().reason is not StopReason.END:
        assert session.frames[0].function == "fire"
    assert session.data["fired"] == 3 and machine.time == began + 2000
    assert session.result == result
    ended = session.elapse(0)
    assert ended.missed == "nothing is due until then" and ended.result == result
    session.elapse(1)
    session.continue_()
    assert session.data["fired"] == 5 and machine.time == began + 2000 + 10**9


def test_callbacks_do_what_they_do_without_a_debugger(
    begin: Callable[[], tuple[Session, Any]], compiled: osmia.Object
) -> None:
    session, bpf = begin()
    machine = Machine(bpf)
    session.continue_()
    session.elapse(1)
    session.continue_()
    with compiled.load("vm", memory=1 << 25) as other:
        plain = Machine(other)
        other.programs["starts"].run(bytes(64))
        plain.advance(1)
        for key in (1, 2):
            there, here = other.maps["entries"][key], bpf.maps["entries"][key]
            assert (there.fired, there.seen) == (here.fired, here.seen)
        assert plain.time == machine.time


def test_breakpoints_stop_in_callbacks_and_back_is_there_too(
    begin: Callable[[], tuple[Session, Any]],
) -> None:
    session, bpf = begin()
    machine = Machine(bpf)
    began = machine.time
    session.continue_()
    end = session.position
    session.break_at(function="fire", condition="*(u32 *)r2 == 2")
    session.elapse(1)
    stop = session.continue_()
    assert stop.breakpoint is not None and session.data["fired"] in (1, 2)
    seen, fired = session.position, session.data["fired"]
    assert session.frames[0].called_by == "timer of entries[2]"
    session.continue_()
    assert session.reverse_continue().position == seen and session.data["fired"] == fired
    assert session.reverse_continue().reason is StopReason.BEGIN and machine.time == began
    assert session.go(end).result is not None and session.data["fired"] == 0
    assert session.go(seen).position == seen and session.data["fired"] == fired
    session.back()
    assert session.frames[0].function == "fire"


def test_a_change_at_the_end_forgets_the_callbacks(
    begin: Callable[[], tuple[Session, Any]],
) -> None:
    session, _ = begin()
    session.continue_()
    end = session.position
    session.elapse(1)
    far = session.continue_().position
    session.go(end)
    session.data["fired"] = 100
    session.elapse(1)
    assert session.continue_().position < far and session.data["fired"] == 102


def test_the_terminal_shows_who_called(begin: Callable[[], tuple[Session, Any]]) -> None:
    session, bpf = begin()
    out = StringIO()
    console = Console(session, out)
    for line in ("continue", "break fire", "elapse 1", "bt", "delete", "c", "elapse 0"):
        assert console.attempt(line), out.getvalue()
    text = out.getvalue()
    assert "Breakpoint 1, fire()" in text and "#0  fire () at" in text
    assert ", called by the timer of entries[1]\n" in text
    assert text.endswith("nothing is due until then\n")
    assert not console.attempt("elapse soon")
    session.close()
    assert bpf.vm.clock is None and "ktime_get_ns" not in bpf.vm.helpers
