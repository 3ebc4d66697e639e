"""XDP packets: head, tail, metadata, bytes."""

from __future__ import annotations

from osmia.vm.contexts import XDP_MD
from osmia.vm.helpers.skb import bound, packet_end, run_context, widen_packet
from osmia.vm.helpers.table import XDP, Argument, native_helper
from osmia.vm.layout import STATE_PACKET_END, STATE_PACKET_START, STATE_PAGED
from osmia.vm.maps.constants import E_FAULT, E_INVAL, FAILURES, M32, M64, failure
from osmia.vm.native import (
    cpu_state,
    load32,
    load64,
    move,
    native,
    reachable,
    store32,
    zero,
)

XDP_DATA = XDP_MD.fields["data"].offset
XDP_DATA_END = XDP_MD.fields["data_end"].offset
XDP_DATA_META = XDP_MD.fields["data_meta"].offset

ETHERNET = 14
MAX_META = 252
LARGEST_OFFSET = 0xFFFF
E_ACCES = failure(13)
E_OPNOTSUPP = failure(95)


@native
def helper_xdp_adjust_head(frame: int, ctx: int, delta: int) -> int:
    """bpf_xdp_adjust_head, since 4.10: metadata moves along."""
    ctx = run_context(frame)
    delta = sign_extended(delta)
    start = bound(frame, XDP_DATA)
    meta = bound(frame, XDP_DATA_META)
    size = start - meta if meta < start else 0
    moved = (start + delta) & M64
    low = load64(cpu_state(frame) + STATE_PACKET_START)
    end = bound(frame, XDP_DATA_END)
    if moved < low + size or moved > end or moved + ETHERNET > end:
        return E_INVAL
    if size:
        move(moved - size, meta, size)
    store32(ctx + XDP_DATA, moved)
    store32(ctx + XDP_DATA_META, moved - size)
    return widen_packet(frame, moved - size, end)


@native
def helper_xdp_adjust_meta(frame: int, ctx: int, delta: int) -> int:
    """bpf_xdp_adjust_meta, since 4.15."""
    ctx = run_context(frame)
    start = bound(frame, XDP_DATA)
    moved = (bound(frame, XDP_DATA_META) + sign_extended(delta)) & M64
    if moved < load64(cpu_state(frame) + STATE_PACKET_START) or moved > start:
        return E_INVAL
    if start - moved > MAX_META or (start - moved) & 3:
        return E_ACCES
    store32(ctx + XDP_DATA_META, moved)
    return widen_packet(frame, moved, start)


@native
def xdp_cut_pieces(frame: int, start: int, end: int, delta: int) -> int:
    """Move the end of a packet in pieces: further pieces go before bytes of the linear part, and
    nothing grows, as in a test run."""
    if delta != 0 and delta >> 63 == 0:
        return E_OPNOTSUPP
    cut = (M64 + 1 - delta) & M64
    paged = load32(cpu_state(frame) + STATE_PAGED)
    size = packet_end(frame, end) - start if packet_end(frame, end) > start else 0
    if cut + ETHERNET > size:
        return E_INVAL
    store32(cpu_state(frame) + STATE_PAGED, paged - cut if paged > cut else 0)
    if cut > paged:
        store32(run_context(frame) + XDP_DATA_END, end - (cut - paged))
    return 0


@native
def helper_xdp_adjust_tail(frame: int, ctx: int, delta: int) -> int:
    """bpf_xdp_adjust_tail, since 4.18; growing (with zeros) since 5.8."""
    ctx = run_context(frame)
    delta = sign_extended(delta)
    start = bound(frame, XDP_DATA)
    end = bound(frame, XDP_DATA_END)
    if load32(cpu_state(frame) + STATE_PAGED) != 0:
        return xdp_cut_pieces(frame, start, end, delta)
    moved = (end + delta) & M64
    if moved > load64(cpu_state(frame) + STATE_PACKET_END) or moved < start + ETHERNET:
        return E_INVAL
    if moved > end:
        zero(end, moved - end)
    store32(ctx + XDP_DATA_END, moved)
    return widen_packet(frame, start, moved)


@native
def sign_extended(value: int) -> int:
    """The low 32 bits as a signed number, in 64 bits."""
    low = value & M32
    return low | (M64 ^ M32) if low >> 31 else low


@native
def xdp_at(frame: int, offset: int, size: int) -> int:
    """The address of `size` bytes at an offset of an XDP packet, or a failure."""
    if offset > LARGEST_OFFSET or size > LARGEST_OFFSET:
        return E_FAULT
    at = bound(frame, XDP_DATA) + offset
    return at if at + size <= packet_end(frame, bound(frame, XDP_DATA_END)) else E_INVAL


@native
def helper_xdp_load_bytes(frame: int, ctx: int, offset: int, to: int, size: int) -> int:
    """bpf_xdp_load_bytes, since 5.18."""
    size = size & M32
    target = reachable(frame, to, size)
    source = xdp_at(frame, offset & M32, size)
    if target == 0 or source >= FAILURES:
        return E_FAULT if target == 0 else source
    move(target, source, size)
    return 0


@native
def helper_xdp_store_bytes(frame: int, ctx: int, offset: int, source: int, size: int) -> int:
    """bpf_xdp_store_bytes, since 5.18."""
    size = size & M32
    data = reachable(frame, source, size)
    target = xdp_at(frame, offset & M32, size)
    if data == 0 or target >= FAILURES:
        return E_FAULT if data == 0 else target
    move(target, data, size)
    return 0


@native
def helper_xdp_get_buff_len(frame: int, ctx: int) -> int:
    """bpf_xdp_get_buff_len, since 5.18."""
    where = run_context(frame)
    paged = load32(cpu_state(frame) + STATE_PAGED)
    return load32(where + XDP_DATA_END) + paged - load32(where + XDP_DATA)


_CTX, _ANY, _SIZE = Argument.CONTEXT, Argument.ANY, Argument.SIZE
native_helper("xdp_adjust_head", _CTX, _ANY, types=XDP)
native_helper("xdp_adjust_meta", _CTX, _ANY, types=XDP)
native_helper("xdp_adjust_tail", _CTX, _ANY, types=XDP)
native_helper("xdp_load_bytes", _CTX, _ANY, Argument.WRITE, _SIZE, types=XDP)
native_helper("xdp_store_bytes", _CTX, _ANY, Argument.READ, _SIZE, types=XDP)
native_helper("xdp_get_buff_len", _CTX, types=XDP)
