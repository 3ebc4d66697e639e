"""Helpers that call back: bpf_loop, bpf_for_each_map_elem, bpf_user_ringbuf_drain."""

from __future__ import annotations

from typing import TYPE_CHECKING

from osmia.object.uapi import MapType
from osmia.vm.errors import Interrupt, ProgramFault
from osmia.vm.helpers.map_access import current_cpu, the_map
from osmia.vm.helpers.table import Argument, Calls, Invocation, calling_helper
from osmia.vm.layout import (
    FRAME_STRIDE,
    MAP_KEY_SIZE,
    MAP_LOCK,
    MAP_MAX_ENTRIES,
    MAP_NODE_COUNT,
    MAP_TYPE,
    STATE_BUDGET,
)
from osmia.vm.maps.constants import E_2BIG, E_AGAIN, E_BUSY, E_INVAL, FAILURES, M32, M64
from osmia.vm.maps.hash import NODE_KEY, NODE_LIVE, hash_node, hash_value
from osmia.vm.maps.operations import KIND_ARRAY, KIND_HASH, KIND_LRU, map_kind, map_lookup
from osmia.vm.maps.ring import HEADER_SIZE
from osmia.vm.maps.user_ring import E_NODATA, user_ring_peek, user_ring_take
from osmia.vm.native import (
    call_function,
    copy,
    cpu_state,
    field32,
    interrupt,
    interrupted,
    load8,
    load32,
    load64,
    may_enter,
    native,
    refill,
    release32,
    store32,
    store64,
    swap32,
)

if TYPE_CHECKING:
    from osmia.vm.helpers.table import HelperCaller

MAX_LOOPS = 8 * 1024 * 1024
MAX_SAMPLES = 128 * 1024
USER_RINGBUF = 31
KEY_DISTANCE = 2 * FRAME_STRIDE
"""Keys are handed over in the gap under the callback's frame, which holds FRAME_SIZE bytes."""


@native
def pay(frame: int, cost: int) -> int:
    """Take instructions off the budget: 1 while there are any."""
    place = cpu_state(frame) + STATE_BUDGET
    left = (load64(place) - cost) & M64
    if left >> 63:
        left = refill(frame, left, 0)
        if left >> 63:
            if interrupted(frame) == 0:
                interrupt(frame, M64 + 1 - left, 0)
            return 0
    store64(place, left)
    return 1


@native
def may_call_back(frame: int) -> int:
    """Whether the stack has room for a callback: 0 after an interrupt. Nothing that callbacks do
    changes that for the next one."""
    return 1 if may_enter(frame) else interrupt(frame, Interrupt.STACK, 0)


@native
def helper_loop(frame: int, count: int, callback: int, data: int, flags: int) -> int:
    """bpf_loop, since 5.17: how often the callback ran."""
    count = count & M32
    if flags != 0:
        return E_INVAL
    if count > MAX_LOOPS:
        return E_2BIG
    if may_call_back(frame) == 0:
        return 0
    done = 0
    while done < count:
        if pay(frame, 8) == 0:
            return done
        stop = call_function(frame, callback, done, data, 0, 0)
        done = done + 1
        if stop != 0 or interrupted(frame):
            return done
    return done


@calling_helper(
    "loop", Argument.ANY, Argument.CALLBACK, Argument.ANY, Argument.ANY, native="helper_loop"
)
def loop(call: Invocation, count: int, callback: int, data: int, flags: int) -> Calls:
    """bpf_loop of an interpreted program."""
    count &= M32
    if flags:
        return E_INVAL
    if count > MAX_LOOPS:
        return E_2BIG
    for done in range(count):
        if (yield callback, done, data):
            return done + 1
    return count


@native
def for_each_index(frame: int, header: int, handle: int, callback: int, data: int) -> int:
    """bpf_for_each_map_elem over an array."""
    count = field32(header, MAP_MAX_ENTRIES)
    key = frame - KEY_DISTANCE
    done = 0
    while done < count:
        if pay(frame, 8) == 0:
            return done
        store32(key, done)
        value = map_lookup(header, key, current_cpu(frame))
        stop = call_function(frame, callback, handle, key, value, data)
        done = done + 1
        if stop != 0 or interrupted(frame):
            return done
    return done


@native
def for_each_node(frame: int, header: int, handle: int, callback: int, data: int) -> int:
    """bpf_for_each_map_elem over a hash: every entry that is live when its turn comes."""
    count = field32(header, MAP_NODE_COUNT)
    size = field32(header, MAP_KEY_SIZE)
    done = 0
    number = 0
    key = frame - KEY_DISTANCE
    while number < count:
        node = hash_node(header, number)
        if load8(node + NODE_LIVE):
            if pay(frame, 8) == 0:
                return done
            copy(key, node + NODE_KEY, size)
            value = hash_value(header, number, current_cpu(frame))
            stop = call_function(frame, callback, handle, key, value, data)
            done = done + 1
            if stop != 0 or interrupted(frame):
                return done
        number = number + 1
    return done


@native
def helper_for_each_map_elem(frame: int, handle: int, callback: int, data: int, flags: int) -> int:
    """bpf_for_each_map_elem, since 5.13."""
    header = the_map(frame, handle)
    if header == 0 or flags != 0:
        return E_INVAL
    if may_call_back(frame) == 0:
        return 0
    kind = map_kind(header)
    if kind == KIND_ARRAY:
        return for_each_index(frame, header, handle, callback, data)
    if kind in (KIND_HASH, KIND_LRU):
        return for_each_node(frame, header, handle, callback, data)
    return E_INVAL


@native
def the_user_ring(frame: int, handle: int) -> int:
    """The header of a user ring buffer; 0 after an interrupt if it is none."""
    header = the_map(frame, handle)
    if header != 0 and field32(header, MAP_TYPE) != USER_RINGBUF:
        return interrupt(frame, Interrupt.HANDLE, handle)
    return header


@native
def user_ring_sample(frame: int, header: int) -> int:
    """Put a dynptr of the next record under the callback's frame: its size, or a failure."""
    record = user_ring_peek(header)
    if record >= FAILURES:
        return record
    size = load32(record)
    dynptr = frame - KEY_DISTANCE
    store64(dynptr, record + HEADER_SIZE)
    store64(dynptr + 8, size)
    return size


@native
def helper_user_ringbuf_drain(frame: int, handle: int, callback: int, data: int, flags: int) -> int:
    """bpf_user_ringbuf_drain, since 6.1: how many records were taken."""
    header = the_user_ring(frame, handle)
    if header == 0 or flags & ~3:
        return E_INVAL
    if may_call_back(frame) == 0:
        return 0
    if swap32(header + MAP_LOCK, 0, 1) != 0:
        return E_BUSY
    result = 0
    tried = 0
    stop = 0
    while tried < MAX_SAMPLES and stop == 0:
        tried = tried + 1
        size = user_ring_sample(frame, header)
        if size == E_AGAIN:
            continue
        if size == E_NODATA or pay(frame, 8) == 0:
            break
        if size >= FAILURES:
            result = size
            break
        stop = call_function(frame, callback, frame - KEY_DISTANCE, data, 0, 0)
        user_ring_take(header, size)
        result = result + 1
        if interrupted(frame):
            break
    release32(header + MAP_LOCK, 0)
    return result


class _Key:
    """The key that a callback may read, as strict mode asks for it."""

    def __init__(self, start: int, size: int) -> None:
        self.start, self.end = start, start + size

    def forbids(self, address: int, size: int, write: bool) -> str | None:
        """See `osmia.vm.access.Owner`."""
        if write:
            return "a write to a map's key"
        return None if address + size <= self.end else "an access that runs over a map's key"


@calling_helper(
    "for_each_map_elem",
    Argument.MAP,
    Argument.CALLBACK,
    Argument.ANY,
    Argument.ANY,
    native="helper_for_each_map_elem",
)
def for_each_map_elem(call: Invocation, handle: int, callback: int, data: int, flags: int) -> Calls:
    """bpf_for_each_map_elem of an interpreted program."""
    target = call.vm.map_of(handle)
    if target is None or call.interpreter is None:
        raise ProgramFault(f"{handle:#x} is no map")
    kind = call.vm.natives.call("map_kind", target.header)
    if flags or kind not in (KIND_ARRAY, KIND_HASH, KIND_LRU):
        return E_INVAL
    call.interpreter.execution.check_entry(call.frame)
    key = call.frame - KEY_DISTANCE
    stack = call.interpreter.access.stack
    offset = target.definition.stride * call.cpu.number if target.cpus else 0
    done = 0
    stack.frames.append(_Key(key, target.key_size))
    for name, where in target.entries():
        call.vm.memory.write(key, name)
        done += 1
        if (yield callback, handle, key, where + offset, data):
            break
    stack.frames.pop()
    return done


@calling_helper(
    "user_ringbuf_drain",
    Argument.MAP,
    Argument.CALLBACK,
    Argument.ANY,
    Argument.ANY,
    native="helper_user_ringbuf_drain",
)
def user_ringbuf_drain(
    call: Invocation, handle: int, callback: int, data: int, flags: int
) -> Calls:
    """bpf_user_ringbuf_drain of an interpreted program."""
    target = call.vm.map_of(handle)
    if target is None or target.type is not MapType.USER_RINGBUF or call.interpreter is None:
        raise ProgramFault(f"{handle:#x} is no user ring buffer")
    if flags & ~3:
        return E_INVAL
    header = target.header
    if call.vm.natives.call("exchange32", header + MAP_LOCK, 0, 1):
        return E_BUSY
    try:
        return (yield from _drain(call, call.interpreter, header, callback, data))
    finally:
        call.vm.memory.store32(header + MAP_LOCK, 0)


def _drain(
    call: Invocation, interpreter: HelperCaller, header: int, callback: int, data: int
) -> Calls:
    interpreter.execution.check_entry(call.frame)
    natives, stack = call.vm.natives, interpreter.access.stack
    dynptr = call.frame - KEY_DISTANCE
    stack.frames.append(_Key(dynptr, 16))
    taken = 0
    for _ in range(MAX_SAMPLES):
        size = natives.call("user_ring_sample", call.frame, header)
        if size == E_AGAIN:
            continue
        if size >= FAILURES:
            taken = taken if size == E_NODATA else size
            break
        stop = yield callback, dynptr, data
        natives.call("user_ring_take", header, size)
        taken += 1
        if stop:
            break
    stack.frames.pop()
    return taken
