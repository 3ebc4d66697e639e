"""Iterators that a program opens itself: over bits, and over lists that a test gives.

An iterator's memory on the stack has where it is; of a list, what comes next is looked at when
the program asks for it.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from typing import Any

from osmia.vm.helpers.probe_reads import Memory
from osmia.vm.helpers.table import Argument, Invocation, helper
from osmia.vm.maps.constants import E_2BIG, E_INVAL, M32

ALL_PROCESSES, ALL_THREADS, THREADS_OF_PROCESS = range(3)  # BPF_TASK_ITER_*
MOST_WORDS = 511
_STATE = struct.Struct("<QII")
_BITS = struct.Struct("<QIi")


def _places(call: Invocation, name: str) -> Sequence[Any]:
    found: Sequence[Any] = call.vm.lists.get(name, ())
    return found


def _next(call: Invocation, place: int, name: str, wanted: Callable[[Any], bool]) -> int:
    position, flags, of = _STATE.unpack(call.read(place, _STATE.size))
    items = _places(call, name)
    while position < len(items):
        item = items[position]
        position += 1
        if wanted(item):
            call.write(place, _STATE.pack(position, flags, of))
            return int(item)
    call.write(place, _STATE.pack(position, flags, of))
    return 0


def _destroy(call: Invocation, place: int) -> int:
    """Leave nothing in an iterator's memory."""
    call.write(place, bytes(8))
    return 0


@helper("iter_task_new", Argument.ANY, Argument.ANY, Argument.ANY)
def iter_task_new(call: Invocation, place: int, task: int, flags: int) -> int:
    """bpf_iter_task_new, since 6.7: over the test's "task" list."""
    flags &= M32
    of = next((int(each.tgid) for each in _places(call, "task") if int(each) == task), 0)
    refused = flags > THREADS_OF_PROCESS or (flags == THREADS_OF_PROCESS and not task)
    end = 1 << 32 if refused else 0
    call.write(place, _STATE.pack(end, flags, of))
    return E_INVAL if refused else 0


@helper("iter_task_next", Argument.ANY)
def iter_task_next(call: Invocation, place: int) -> int:
    """bpf_iter_task_next, since 6.7: processes, threads, or those of one process."""
    _, flags, of = _STATE.unpack(call.read(place, _STATE.size))

    def wanted(task: Any) -> bool:
        if flags == ALL_THREADS:
            return True
        return bool(task.tgid == of if flags else task.tgid == task.pid)

    return _next(call, place, "task", wanted)


helper("iter_task_destroy", Argument.ANY)(_destroy)


def _over_list(name: str, extra: int, size: int) -> None:
    """The functions of an iterator over a list, whose state has `size` bytes."""

    def new(call: Invocation, place: int, *arguments: int) -> int:
        call.write(place, bytes(size))
        return 0

    def following(call: Invocation, place: int) -> int:
        position = int.from_bytes(call.read(place, 8), "little")
        items = _places(call, name)
        if position >= len(items):
            return 0
        call.write(place, (position + 1).to_bytes(8, "little"))
        return int(items[position])

    helper(f"iter_{name}_new", *[Argument.ANY] * (1 + extra))(new)
    helper(f"iter_{name}_next", Argument.ANY)(following)
    helper(f"iter_{name}_destroy", Argument.ANY)(_destroy)


_over_list("css", 2, 24)  # since 6.7
_over_list("css_task", 2, 8)  # since 6.7
_over_list("task_vma", 2, 8)  # since 6.7
_over_list("kmem_cache", 0, 8)  # since 6.13


@helper("iter_bits_new", Argument.ANY, Argument.ANY, Argument.ANY)
def iter_bits_new(call: Invocation, place: int, source: int, count: int) -> int:
    """bpf_iter_bits_new, since 6.11: over so many words. They are read when it gets there."""
    count &= M32
    call.write(place, _BITS.pack(0, 0, -1))
    if not count:
        return E_INVAL
    if count > MOST_WORDS:
        return E_2BIG
    if Memory(call.vm).bytes_at(source, 8 * count) is None:
        return -14 & ((1 << 64) - 1)  # EFAULT
    call.write(place, _BITS.pack(source, 64 * count, -1))
    return 0


@helper("iter_bits_next", Argument.ANY)
def iter_bits_next(call: Invocation, place: int) -> int:
    """bpf_iter_bits_next, since 6.11: where the number of the next bit is that is set."""
    source, count, bit = _BITS.unpack(call.read(place, _BITS.size))
    for number in range(bit + 1, count):
        word = int.from_bytes(call.read(source + number // 64 * 8, 8), "little")
        if word >> number % 64 & 1:
            call.write(place, _BITS.pack(source, count, number))
            return place + 12
    call.write(place, _BITS.pack(source, 0, -1))
    return 0


helper("iter_bits_destroy", Argument.ANY)(_destroy)
