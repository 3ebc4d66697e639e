"""Helpers on stack traces: the stacks themselves the test tells."""

from __future__ import annotations

import struct

from osmia.object.uapi import MapType
from osmia.vm import layout
from osmia.vm.errors import ProgramFault
from osmia.vm.helpers.table import Argument, Invocation, helper
from osmia.vm.maps.constants import E_FAULT, E_INVAL, FAILURES, M64
from osmia.vm.maps.handles import handle_of
from osmia.vm.maps.stacks import StackTraces

SKIPPED = 0xFF
USER_STACK = 1 << 8
_FLAGS = SKIPPED | USER_STACK | 1 << 9 | 1 << 10
LONGEST = 127 * 8
_ROOM = layout.CPU_PACKET + layout.CPU_PACKET_SIZE
"""Where in a CPU's block, behind the packet, the test's answer puts a stack."""


@helper("get_stackid", Argument.ANY, Argument.MAP, Argument.ANY)
def get_stackid(call: Invocation, ctx: int, handle: int, flags: int) -> int:
    """bpf_get_stackid, since 4.6: the number of the stack that the Python callable for
    `get_stack` tells. A run has none of its own: without an answer it is a fault."""
    target = call.vm.map_of(handle)
    if target is None or target.type is not MapType.STACK_TRACE:
        raise ProgramFault(f"{handle:#x} is no map of stack traces")
    if flags & ~_FLAGS:
        return E_INVAL
    place = call.cpu.block + _ROOM
    size = call.ask("get_stack", ctx, place, LONGEST, flags & (SKIPPED | USER_STACK))
    if size is None:
        raise ProgramFault(
            "a run has no stack for bpf_get_stackid: tell one with helpers['get_stack']"
        )
    if size == 0 or size >= FAILURES:
        return E_FAULT
    count = min(size, LONGEST) // 8
    addresses = struct.unpack(f"<{count}Q", call.read(place, 8 * count))
    stacks = handle_of(target)
    assert isinstance(stacks, StackTraces)
    return stacks.store(addresses, flags) & M64
