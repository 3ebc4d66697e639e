"""Helpers that send events: ring buffers (native), perf event arrays."""

from __future__ import annotations

from osmia.vm.errors import Interrupt
from osmia.vm.helpers.map_access import the_map
from osmia.vm.helpers.table import Argument, Invocation, helper, native_helper
from osmia.vm.layout import MAP_TYPE
from osmia.vm.maps.constants import E_2BIG, E_FAULT, E_INVAL, E_NOENT, E_OPNOTSUPP, M32, M64
from osmia.vm.maps.ring import ring_commit, ring_output, ring_query, ring_reserve
from osmia.vm.native import field32, interrupt, native, reachable

RINGBUF = 27
CURRENT_CPU = M32
LARGEST_PACKET = 0xFFFFF
LARGEST_EVENT = 65516
"""Bytes: a perf record's size, its header of 12 bytes included, is a multiple of 8 in a u16."""


@native
def the_ring(frame: int, handle: int) -> int:
    """The header of a ring buffer; 0 after an interrupt if it is none."""
    header = the_map(frame, handle)
    if header != 0 and field32(header, MAP_TYPE) != RINGBUF:
        return interrupt(frame, Interrupt.HANDLE, handle)
    return header


@native
def helper_ringbuf_reserve(frame: int, handle: int, size: int, flags: int) -> int:
    """bpf_ringbuf_reserve, since 5.8."""
    header = the_ring(frame, handle)
    if header == 0 or flags != 0:
        return 0
    return ring_reserve(header, size)


@native
def helper_ringbuf_submit(frame: int, data: int, flags: int) -> int:
    """bpf_ringbuf_submit, since 5.8."""
    return ring_commit(data, 0)


@native
def helper_ringbuf_discard(frame: int, data: int, flags: int) -> int:
    """bpf_ringbuf_discard, since 5.8."""
    return ring_commit(data, 1)


@native
def helper_ringbuf_output(frame: int, handle: int, data: int, size: int, flags: int) -> int:
    """bpf_ringbuf_output, since 5.8."""
    header = the_ring(frame, handle)
    if header == 0:
        return E_INVAL
    source = reachable(frame, data, size)
    if source == 0:
        return E_INVAL
    return ring_output(header, source, size, flags)


@native
def helper_ringbuf_query(frame: int, handle: int, what: int) -> int:
    """bpf_ringbuf_query, since 5.8."""
    header = the_ring(frame, handle)
    if header == 0:
        return 0
    return ring_query(header, what)


native_helper("ringbuf_reserve", Argument.MAP, Argument.ANY, Argument.ANY)
native_helper("ringbuf_submit", Argument.ANY, Argument.ANY)
native_helper("ringbuf_discard", Argument.ANY, Argument.ANY)
native_helper("ringbuf_output", Argument.MAP, Argument.READ, Argument.SIZE, Argument.ANY)
native_helper("ringbuf_query", Argument.MAP, Argument.ANY)


_OF_THE_KERNEL = (Argument.ANY, Argument.MAP, Argument.ANY, Argument.READ, Argument.SIZE)


@helper("xdp_output", *_OF_THE_KERNEL)
@helper("skb_output", *_OF_THE_KERNEL)
@helper(
    "perf_event_output",
    Argument.CONTEXT,
    Argument.MAP,
    Argument.ANY,
    Argument.READ,
    Argument.SIZE,
)
def perf_event_output(
    call: Invocation, ctx: int, handle: int, flags: int, data: int, size: int
) -> int:
    """bpf_perf_event_output, since 4.4; of tracing programs bpf_skb_output, since 5.5, and
    bpf_xdp_output, since 5.7, whose context is not the run's. Bits 32 to 51 of the flags ask
    for that many bytes of the packet behind the data, in packet programs. ENOENT without a
    reader, ENOSPC for what finds no room. E2BIG for more than a perf record holds, of which the
    kernel writes nonsense."""
    target = call.vm.map_of(handle)
    if target is None or target.queue is None:
        return E_INVAL
    size &= M32
    wanted = flags >> 32
    if wanted and (wanted > LARGEST_PACKET or not call.has_packet):
        return E_INVAL
    packet = call.packet(wanted)
    if len(packet) < wanted:
        return E_FAULT
    cpu = call.cpu.number if flags & M32 == CURRENT_CPU else flags & M32
    if cpu >= target.max_entries:
        return E_2BIG
    if not target.queue.is_read or cpu >= len(call.vm.cpus):
        return E_NOENT
    if cpu != call.cpu.number:
        return E_OPNOTSUPP
    if size + wanted > LARGEST_EVENT:
        return E_2BIG
    return target.queue.put(cpu, call.read(data, size) + packet) & M64
