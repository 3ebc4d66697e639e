"""Kfuncs: number iterators, dynptrs of packets, and what means nothing here."""

from __future__ import annotations

from osmia.vm.helpers.dynptr import SKB, load_dynptr, store_dynptr
from osmia.vm.helpers.table import Argument, Invocation, helper, native_helper
from osmia.vm.layout import STATE_PAGED, STATE_READ_ONLY
from osmia.vm.maps.constants import E_2BIG, E_INVAL, E_RANGE, M32, M64
from osmia.vm.native import load32, native, reachable, store32

MAX_ITERATIONS = 8 * 1024 * 1024
ITERATOR_SIZE = 8


@native
def biased(value: int) -> int:
    """A signed 32-bit number shifted so that unsigned comparison orders it."""
    return (value & M32) ^ 0x8000_0000


@native
def helper_iter_num_new(frame: int, iterator: int, start: int, end: int) -> int:
    """bpf_iter_num_new, since 6.4: from `start` on, below `end`; both signed."""
    place = reachable(frame, iterator, ITERATOR_SIZE)
    if place == 0:
        return E_INVAL
    store32(place, 0)
    store32(place + 4, 0)
    if biased(start) > biased(end):
        return E_INVAL
    if biased(end) - biased(start) > MAX_ITERATIONS:
        return E_2BIG
    store32(place, (start - 1) & M32)
    store32(place + 4, end & M32)
    return 0


@native
def helper_iter_num_next(frame: int, iterator: int) -> int:
    """bpf_iter_num_next, since 6.4: the address of the next number, or 0."""
    place = reachable(frame, iterator, ITERATOR_SIZE)
    if place == 0:
        return 0
    following = (load32(place) + 1) & M32
    if biased(following) >= biased(load32(place + 4)):
        store32(place, 0)
        store32(place + 4, 0)
        return 0
    store32(place, following)
    return place


@native
def helper_iter_num_destroy(frame: int, iterator: int) -> int:
    """bpf_iter_num_destroy, since 6.4."""
    place = reachable(frame, iterator, ITERATOR_SIZE)
    if place != 0:
        store32(place, 0)
        store32(place + 4, 0)
    return 0


@native
def helper_nothing(frame: int) -> int:
    """What has no meaning here: there is no RCU and no preemption."""
    return 0


native_helper("iter_num_new", Argument.WRITE8, Argument.ANY, Argument.ANY)
native_helper("iter_num_next", Argument.READ8)
native_helper("iter_num_destroy", Argument.READ8)
for _name in ("rcu_read_lock", "rcu_read_unlock", "preempt_disable", "preempt_enable"):
    native_helper(_name, function="helper_nothing")


def _from_packet(call: Invocation, flags: int, place: int, kind: int = 0) -> int:
    start, end = call.vm.packet_bounds(call.cpu)
    if flags:
        store_dynptr(call, place, 0, 0)
        return E_INVAL
    read_only = bool(call.state(STATE_READ_ONLY) & M32)
    store_dynptr(call, place, start, end - start, kind, read_only=read_only)
    return 0


@helper("dynptr_from_xdp", Argument.CONTEXT, Argument.ANY, Argument.NEW_DYNPTR)
def dynptr_from_xdp(call: Invocation, ctx: int, flags: int, place: int) -> int:
    """bpf_dynptr_from_xdp, since 6.4."""
    return _from_packet(call, flags, place)


@helper("dynptr_from_skb", Argument.CONTEXT, Argument.ANY, Argument.NEW_DYNPTR)
def dynptr_from_skb(call: Invocation, ctx: int, flags: int, place: int) -> int:
    """bpf_dynptr_from_skb, since 6.4; read-only where the packet is."""
    return _from_packet(call, flags, place, SKB)


@helper("dynptr_slice", Argument.DYNPTR, Argument.ANY, Argument.BUFFER, Argument.SIZE)
def dynptr_slice(call: Invocation, place: int, offset: int, buffer: int, size: int) -> int:
    """bpf_dynptr_slice, since 6.4: what is not in the linear part is copied to the buffer."""
    address, length, _ = load_dynptr(call, place)
    size, offset = size & M32, offset & M32
    if not address or offset + size > length:
        return 0
    at = address + offset
    paged = call.state(STATE_PAGED) & M32
    if paged:
        start, end = call.vm.packet_bounds(call.cpu)
        if start <= at < end and at + size > end - paged:
            if buffer:
                call.write(buffer, call.read(at, size))
            return buffer
    return at


@helper("dynptr_slice_rdwr", Argument.DYNPTR, Argument.ANY, Argument.BUFFER, Argument.SIZE)
def dynptr_slice_rdwr(call: Invocation, place: int, offset: int, buffer: int, size: int) -> int:
    """bpf_dynptr_slice_rdwr, since 6.4."""
    if load_dynptr(call, place)[2] >> 31:
        return 0
    return dynptr_slice(call, place, offset, buffer, size)


@helper("dynptr_size", Argument.DYNPTR)
def dynptr_size(call: Invocation, place: int) -> int:
    """bpf_dynptr_size, since 6.5."""
    address, length, _ = load_dynptr(call, place)
    return length if address else E_INVAL & M32


@helper("dynptr_adjust", Argument.DYNPTR, Argument.ANY, Argument.ANY)
def dynptr_adjust(call: Invocation, place: int, start: int, end: int) -> int:
    """bpf_dynptr_adjust, since 6.5: narrow it to a part."""
    address, length, kind = load_dynptr(call, place)
    start, end = start & M32, end & M32
    if not address or start > end:
        return E_INVAL & M64
    if start > length or end > length:
        return E_RANGE
    store_dynptr(call, place, address + start, end - start, kind)
    return 0


@helper("dynptr_is_null", Argument.DYNPTR)
def dynptr_is_null(call: Invocation, place: int) -> int:
    """bpf_dynptr_is_null, since 6.5."""
    return int(not load_dynptr(call, place)[0])


@helper("dynptr_is_rdonly", Argument.DYNPTR)
def dynptr_is_rdonly(call: Invocation, place: int) -> int:
    """bpf_dynptr_is_rdonly, since 6.5."""
    return load_dynptr(call, place)[2] >> 31
