"""Packets as programs see them: legacy loads, skb bytes, head, tail and metadata, redirects.

Where the packet is, the context says, and a compiled program may have written anything
there: every bound is masked to the region before it is used.
"""

from __future__ import annotations

from osmia.object.uapi import ProgramType
from osmia.vm.helpers.map_access import the_map
from osmia.vm.helpers.table import Argument, native_helper, native_variant
from osmia.vm.layout import (
    STATE_CONTEXT,
    STATE_PACKET_END,
    STATE_PACKET_START,
    STATE_REDIRECT_FLAGS,
    STATE_REDIRECT_MAP,
    STATE_REDIRECT_TARGET,
    STATE_SCRATCH,
)
from osmia.vm.maps.constants import E_FAULT, E_INVAL, E_NOMEM, M32, M64, failure
from osmia.vm.maps.operations import map_lookup
from osmia.vm.native import (
    copy,
    cpu_state,
    load8,
    load32,
    load64,
    move,
    native,
    reachable,
    region_size,
    store8,
    store32,
    store64,
    zero,
)

XDP_DATA = 0
XDP_DATA_END = 4
XDP_DATA_META = 8
SKB_LEN = 0
SKB_HASH = 68
SKB_DATA = 76
SKB_DATA_END = 80
SKB_DATA_META = 140

ETHERNET = 14
BROADCAST = 8
MAX_META = 252
E_ACCES = failure(13)
REDIRECT_SET = 1 << 63
TC_ACT_REDIRECT = 7
XDP_REDIRECT = 4
XDP_ABORTED = 0
SHORTEST_TAIL = 14


@native
def run_context(frame: int) -> int:
    """The address of the run's context."""
    return load64(cpu_state(frame) + STATE_CONTEXT)


@native
def bound(frame: int, offset: int) -> int:
    """A pointer to the packet from the run's context, inside the region."""
    return load32(run_context(frame) + offset) & (region_size() - 1)


@native
def packet_start(frame: int) -> int:
    """The address of an skb's first byte."""
    return bound(frame, SKB_DATA)


@native
def packet_end(frame: int) -> int:
    """The address behind an skb's last byte."""
    return bound(frame, SKB_DATA_END)


@native
def packet_holds(frame: int, offset: int, size: int) -> int:
    """Whether an skb has `size` bytes at an offset: 1 or 0."""
    start = packet_start(frame)
    end = packet_end(frame)
    return 1 if start + offset + size <= end else 0


@native
def packet_word(frame: int, offset: int, size: int) -> int:
    """1, 2 or 4 bytes of an skb, in network order."""
    at = packet_start(frame) + offset
    value = 0
    while size != 0:
        value = (value << 8) | load8(at)
        at = at + 1
        size = size - 1
    return value


@native
def helper_skb_load_bytes(frame: int, ctx: int, offset: int, to: int, size: int) -> int:
    """bpf_skb_load_bytes, since 4.5: the buffer is cleared when the packet is too short."""
    size = size & M32
    offset = offset & M32
    target = reachable(frame, to, size)
    if target == 0:
        return E_FAULT
    if packet_holds(frame, offset, size) == 0:
        zero(target, size)
        return E_FAULT
    copy(target, packet_start(frame) + offset, size)
    return 0


@native
def helper_skb_load_bytes_relative(
    frame: int, ctx: int, offset: int, to: int, size: int, start: int
) -> int:
    """bpf_skb_load_bytes_relative, since 4.18: from the MAC (0) or network (1) header."""
    if start > 1:
        return E_INVAL
    if start == 1:
        offset = (offset & M32) + ETHERNET
    return helper_skb_load_bytes(frame, ctx, offset, to, size)


@native
def helper_skb_store_bytes(
    frame: int, ctx: int, offset: int, source: int, size: int, flags: int
) -> int:
    """bpf_skb_store_bytes, since 4.1. Checksums that flags ask for are the device's matter."""
    size = size & M32
    offset = offset & M32
    if flags & ~3:
        return E_INVAL
    data = reachable(frame, source, size)
    if data == 0 or packet_holds(frame, offset, size) == 0:
        return E_FAULT
    move(packet_start(frame) + offset, data, size)
    return 0


@native
def helper_skb_pull_data(frame: int, ctx: int, size: int) -> int:
    """bpf_skb_pull_data, since 4.9: packets are always linear here."""
    size = size & M32
    if size == 0 or packet_holds(frame, 0, size):
        return 0
    return E_NOMEM


@native
def set_skb_bounds(frame: int, start: int, end: int) -> int:
    """Move an skb's data and its length."""
    ctx = run_context(frame)
    store32(ctx + SKB_DATA, start)
    store32(ctx + SKB_DATA_META, start)
    store32(ctx + SKB_DATA_END, end)
    store32(ctx + SKB_LEN, end - start)
    return 0


@native
def helper_skb_change_tail(frame: int, ctx: int, size: int, flags: int) -> int:
    """bpf_skb_change_tail, since 4.9: grow (with zeros) or trim the packet."""
    size = size & M32
    start = packet_start(frame)
    end = packet_end(frame)
    if flags != 0 or size < SHORTEST_TAIL:
        return E_INVAL
    if start + size > load64(cpu_state(frame) + STATE_PACKET_END):
        return E_INVAL
    if start + size > end:
        zero(end, start + size - end)
    return set_skb_bounds(frame, start, start + size)


@native
def helper_skb_change_head(frame: int, ctx: int, size: int, flags: int) -> int:
    """bpf_skb_change_head, since 4.10: room for a new header in front, zeroed."""
    size = size & M32
    start = packet_start(frame)
    if flags != 0 or start < load64(cpu_state(frame) + STATE_PACKET_START) + size:
        return E_INVAL
    zero(start - size, size)
    return set_skb_bounds(frame, start - size, packet_end(frame))


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
    return 0


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
    return 0


@native
def helper_xdp_adjust_tail(frame: int, ctx: int, delta: int) -> int:
    """bpf_xdp_adjust_tail, since 4.18; growing (with zeros) since 5.8."""
    ctx = run_context(frame)
    delta = sign_extended(delta)
    start = bound(frame, XDP_DATA)
    end = bound(frame, XDP_DATA_END)
    moved = (end + delta) & M64
    if moved > load64(cpu_state(frame) + STATE_PACKET_END) or moved < start + ETHERNET:
        return E_INVAL
    if moved > end:
        zero(end, moved - end)
    store32(ctx + XDP_DATA_END, moved)
    return 0


@native
def sign_extended(value: int) -> int:
    """The low 32 bits as a signed number, in 64 bits."""
    low = value & M32
    return low | (M64 ^ M32) if low >> 31 else low


@native
def xdp_holds(frame: int, offset: int, size: int) -> int:
    """The address of `size` bytes at an offset of an XDP packet, or 0."""
    at = bound(frame, XDP_DATA) + offset
    return at if at + size <= bound(frame, XDP_DATA_END) else 0


@native
def helper_xdp_load_bytes(frame: int, ctx: int, offset: int, to: int, size: int) -> int:
    """bpf_xdp_load_bytes, since 5.18."""
    size = size & M32
    target = reachable(frame, to, size)
    source = xdp_holds(frame, offset & M32, size)
    if target == 0 or source == 0:
        return E_INVAL
    move(target, source, size)
    return 0


@native
def helper_xdp_store_bytes(frame: int, ctx: int, offset: int, source: int, size: int) -> int:
    """bpf_xdp_store_bytes, since 5.18."""
    size = size & M32
    data = reachable(frame, source, size)
    target = xdp_holds(frame, offset & M32, size)
    if target == 0 or data == 0:
        return E_INVAL
    move(target, data, size)
    return 0


@native
def helper_xdp_get_buff_len(frame: int, ctx: int) -> int:
    """bpf_xdp_get_buff_len, since 5.18."""
    where = run_context(frame)
    return load32(where + XDP_DATA_END) - load32(where + XDP_DATA)


@native
def record_redirect(frame: int, target: int, handle: int, flags: int) -> int:
    """Note where the packet would go."""
    state = cpu_state(frame)
    store64(state + STATE_REDIRECT_TARGET, target)
    store64(state + STATE_REDIRECT_MAP, handle)
    store64(state + STATE_REDIRECT_FLAGS, flags | REDIRECT_SET)
    return 0


@native
def helper_redirect(frame: int, ifindex: int, flags: int) -> int:
    """bpf_redirect for tc programs, since 4.4."""
    if flags & ~1:
        return 2
    record_redirect(frame, ifindex & M32, 0, flags)
    return TC_ACT_REDIRECT


@native
def helper_xdp_redirect(frame: int, ifindex: int, flags: int) -> int:
    """bpf_redirect for XDP programs, since 4.14."""
    if flags != 0:
        return XDP_ABORTED
    record_redirect(frame, ifindex & M32, 0, flags)
    return XDP_REDIRECT


@native
def helper_redirect_peer(frame: int, ifindex: int, flags: int) -> int:
    """bpf_redirect_peer and bpf_redirect_neigh without parameters, since 5.10."""
    if flags != 0:
        return 2
    record_redirect(frame, ifindex & M32, 0, 0)
    return TC_ACT_REDIRECT


@native
def helper_clone_redirect(frame: int, ctx: int, ifindex: int, flags: int) -> int:
    """bpf_clone_redirect, since 4.2: recorded like any redirect."""
    if flags & ~1:
        return E_INVAL
    return record_redirect(frame, ifindex & M32, 0, flags)


@native
def helper_redirect_map(frame: int, handle: int, key: int, flags: int) -> int:
    """bpf_redirect_map, since 4.14: the low bits of flags are the verdict of a missing key."""
    header = the_map(frame, handle)
    if header == 0:
        return XDP_ABORTED
    place = cpu_state(frame) + STATE_SCRATCH
    store32(place, key & M32)
    value = map_lookup(header, place, 0)
    if flags & BROADCAST == 0 and (value == 0 or load32(value) == 0):
        return flags & 3
    record_redirect(frame, key & M32, handle, flags)
    return XDP_REDIRECT


@native
def helper_skb_vlan_push(frame: int, ctx: int, protocol: int, tci: int) -> int:
    """bpf_skb_vlan_push, since 4.3: the tag goes into the packet at once."""
    start = packet_start(frame)
    if start < load64(cpu_state(frame) + STATE_PACKET_START) + 4:
        return E_INVAL
    move(start - 4, start, 12)
    store8(start + 8, protocol & 255)
    store8(start + 9, (protocol >> 8) & 255)
    store8(start + 10, (tci >> 8) & 255)
    store8(start + 11, tci & 255)
    return set_skb_bounds(frame, start - 4, packet_end(frame))


@native
def helper_get_hash_recalc(frame: int, ctx: int) -> int:
    """bpf_get_hash_recalc, since 4.8: the context's hash."""
    return load32(run_context(frame) + SKB_HASH)


@native
def helper_set_hash_invalid(frame: int, ctx: int) -> int:
    """bpf_set_hash_invalid, since 4.9."""
    store32(run_context(frame) + SKB_HASH, 0)
    return 0


_CTX, _ANY, _SIZE = Argument.CONTEXT, Argument.ANY, Argument.SIZE
native_helper("skb_load_bytes", _CTX, _ANY, Argument.WRITE, _SIZE)
native_helper("skb_load_bytes_relative", _CTX, _ANY, Argument.WRITE, _SIZE, _ANY)
native_helper("skb_store_bytes", _CTX, _ANY, Argument.READ, _SIZE, _ANY)
native_helper("skb_pull_data", _CTX, _ANY)
native_helper("skb_change_tail", _CTX, _ANY, _ANY)
native_helper("skb_change_head", _CTX, _ANY, _ANY)
native_helper("skb_vlan_push", _CTX, _ANY, _ANY)
native_helper("get_hash_recalc", _CTX)
native_helper("set_hash_invalid", _CTX)
native_helper("xdp_adjust_head", _CTX, _ANY)
native_helper("xdp_adjust_meta", _CTX, _ANY)
native_helper("xdp_adjust_tail", _CTX, _ANY)
native_helper("xdp_load_bytes", _CTX, _ANY, Argument.WRITE, _SIZE)
native_helper("xdp_store_bytes", _CTX, _ANY, Argument.READ, _SIZE)
native_helper("xdp_get_buff_len", _CTX)
native_helper("redirect", _ANY, _ANY)
native_variant("redirect", ProgramType.XDP, "helper_xdp_redirect")
native_helper("redirect_peer", _ANY, _ANY)
native_helper("clone_redirect", _CTX, _ANY, _ANY)
native_helper("redirect_map", Argument.MAP, _ANY, _ANY)
