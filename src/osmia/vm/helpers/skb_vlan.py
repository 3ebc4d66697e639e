"""VLAN tags of an skb: the outermost is beside the packet, in the context."""

from __future__ import annotations

from osmia.vm.helpers.skb import (
    ETHERNET,
    PROTOCOL_VLAN,
    SKB_PROTOCOL,
    is_vlan,
    run_context,
    skb_protocol,
    skb_room,
    skb_size,
    skb_start,
)
from osmia.vm.helpers.skb_room import set_skb_bounds, skb_push_headers
from osmia.vm.helpers.table import TC, Argument, native_helper
from osmia.vm.layout import STATE_MAC, STATE_NETWORK
from osmia.vm.maps.constants import E_NOMEM
from osmia.vm.native import (
    cpu_state,
    load8,
    load16,
    load32,
    load64,
    move,
    native,
    store8,
    store16,
    store32,
    store64,
)
from osmia.vm.skb_contexts import SKB_FIELDS

SKB_VLAN_PRESENT = SKB_FIELDS["vlan_present"].offset
SKB_VLAN_TCI = SKB_FIELDS["vlan_tci"].offset
SKB_VLAN_PROTO = SKB_FIELDS["vlan_proto"].offset
VLAN_TAG = 4
PROTOCOL_802_3 = 0x0100
PROTOCOL_802_2 = 0x0400
SMALLEST_TYPE = 0x600


@native
def put_tag(frame: int, protocol: int, tag: int) -> int:
    """Note a tag beside the packet."""
    ctx = run_context(frame)
    store32(ctx + SKB_VLAN_PRESENT, 1)
    store32(ctx + SKB_VLAN_PROTO, protocol)
    store32(ctx + SKB_VLAN_TCI, tag)
    return 0


@native
def helper_skb_vlan_push(frame: int, ctx: int, protocol: int, tag: int) -> int:
    """bpf_skb_vlan_push, since 4.3: a tag that was beside the packet goes into it."""
    protocol = protocol & 0xFFFF
    if is_vlan(protocol) == 0:
        protocol = PROTOCOL_VLAN
    ctx = run_context(frame)
    if load32(ctx + SKB_VLAN_PRESENT) != 0:
        failed = skb_push_headers(frame, VLAN_TAG)
        if failed != 0:
            return failed
        start = skb_start(frame)
        move(start, start + VLAN_TAG, 12)
        held = load32(ctx + SKB_VLAN_TCI)
        store16(start + 12, load32(ctx + SKB_VLAN_PROTO))
        store8(start + 14, held >> 8)
        store8(start + 15, held)
        store32(ctx + SKB_PROTOCOL, load16(start + 12))
    return put_tag(frame, protocol, tag & 0xFFFF)


@native
def protocol_after(at: int, end: int) -> int:
    """The protocol that a type field at an address says, in network order; a length means
    802.2, or 802.3 where the payload says so."""
    value = load8(at) << 8 | load8(at + 1)
    if value >= SMALLEST_TYPE:
        return load16(at)
    if at + 4 <= end and load16(at + 2) == 0xFFFF:
        return PROTOCOL_802_3
    return PROTOCOL_802_2


@native
def pull_tag(frame: int) -> int:
    """Take the first tag out of the packet: it, or a failure."""
    if skb_room(frame) == 0 or skb_size(frame) < ETHERNET + VLAN_TAG:
        return E_NOMEM
    start = skb_start(frame)
    end = start + skb_size(frame)
    tag = load8(start + 14) << 8 | load8(start + 15)
    store32(run_context(frame) + SKB_PROTOCOL, protocol_after(start + 16, end))
    move(start + VLAN_TAG, start, 12)
    start = start + VLAN_TAG
    set_skb_bounds(frame, start, end)
    state = cpu_state(frame)
    store64(state + STATE_MAC, start)
    if load64(state + STATE_NETWORK) < start + ETHERNET:
        store64(state + STATE_NETWORK, start + ETHERNET)
    return tag


@native
def helper_skb_vlan_pop(frame: int, ctx: int) -> int:
    """bpf_skb_vlan_pop, since 4.3: the next tag of the packet takes the place beside it."""
    ctx = run_context(frame)
    if load32(ctx + SKB_VLAN_PRESENT) != 0:
        store32(ctx + SKB_VLAN_PRESENT, 0)
        store32(ctx + SKB_VLAN_PROTO, 0)
        store32(ctx + SKB_VLAN_TCI, 0)
    elif is_vlan(skb_protocol(frame)):
        tag = pull_tag(frame)
        if tag > 0xFFFF:
            return tag
    protocol = skb_protocol(frame)
    if is_vlan(protocol) == 0:
        return 0
    tag = pull_tag(frame)
    if tag > 0xFFFF:
        return tag
    return put_tag(frame, protocol, tag)


_CTX, _ANY = Argument.CONTEXT, Argument.ANY
native_helper("skb_vlan_push", _CTX, _ANY, _ANY, types=TC)
native_helper("skb_vlan_pop", _CTX, types=TC)
