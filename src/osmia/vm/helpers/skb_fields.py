"""What an skb has besides its bytes: type, hash, ECN mark, time, class, realm."""

from __future__ import annotations

from osmia.object.uapi import ProgramType
from osmia.vm.helpers.skb import (
    IP_HEADER,
    IPV6_HEADER,
    PROTOCOL_IP,
    PROTOCOL_IPV6,
    SKB_HASH,
    SKB_PKT_TYPE,
    header_at,
    inner_protocol,
    run_context,
    skb_protocol,
)
from osmia.vm.helpers.table import LWT, SENDERS, TC, Argument, native_helper
from osmia.vm.layout import STATE_NETWORK
from osmia.vm.maps.constants import E_INVAL, E_OPNOTSUPP, M32
from osmia.vm.native import load8, load16, load32, native, store8, store16, store32, store64
from osmia.vm.skb_contexts import SKB_FIELDS

SKB_TSTAMP = SKB_FIELDS["tstamp"].offset
SKB_TSTAMP_TYPE = SKB_FIELDS["tstamp_type"].offset
OTHER_HOST = 3
CLOCK_TAI = 2


@native
def helper_skb_change_type(frame: int, ctx: int, kind: int) -> int:
    """bpf_skb_change_type, since 4.8: PACKET_HOST to PACKET_OTHERHOST."""
    place = run_context(frame) + SKB_PKT_TYPE
    if load32(place) > OTHER_HOST or kind & M32 > OTHER_HOST:
        return E_INVAL
    store32(place, kind & M32)
    return 0


@native
def mixed(value: int, more: int) -> int:
    """A 32-bit hash of a hash and 32 more bits."""
    value = ((value ^ more) * 0x9E37_79B1) & M32
    return value ^ (value >> 15)


@native
def flow_hash(frame: int) -> int:
    """A hash of an IP packet's addresses, protocol and ports; 0 of any other packet."""
    protocol = skb_protocol(frame)
    size = IPV6_HEADER if protocol == PROTOCOL_IPV6 else IP_HEADER
    at = header_at(frame, STATE_NETWORK, 0, size)
    if at == 0 or (protocol != PROTOCOL_IP and protocol != PROTOCOL_IPV6):
        return 0
    address = at + (8 if protocol == PROTOCOL_IPV6 else 12)
    kind = at + (6 if protocol == PROTOCOL_IPV6 else 9)
    behind = at + size
    value = mixed(protocol, load8(kind))
    while address < behind:
        value = mixed(value, load32(address))
        address = address + 4
    ports = header_at(frame, STATE_NETWORK, size, 4)
    if (load8(kind) == 6 or load8(kind) == 17) and ports != 0:
        value = mixed(value, load32(ports))
    return value if value != 0 else 1


@native
def helper_get_hash_recalc(frame: int, ctx: int) -> int:
    """bpf_get_hash_recalc, since 4.8: the hash that is there, or a new one of the flow. The
    kernel's is keyed at random; this one is the same in every process."""
    place = run_context(frame) + SKB_HASH
    if load32(place) == 0:
        store32(place, flow_hash(frame))
    return load32(place)


@native
def helper_set_hash_invalid(frame: int, ctx: int) -> int:
    """bpf_set_hash_invalid, since 4.9."""
    store32(run_context(frame) + SKB_HASH, 0)
    return 0


@native
def helper_set_hash(frame: int, ctx: int, value: int) -> int:
    """bpf_set_hash, since 4.13."""
    store32(run_context(frame) + SKB_HASH, value & M32)
    return 0


@native
def ip_ecn_set_ce(at: int) -> int:
    """Mark an IPv4 packet as having met congestion, where its sender can be told."""
    following = (load8(at + 1) + 1) & 3
    if following & 2 == 0:
        return 1 if following == 0 else 0
    check = load16(at + 10) + 0xFBFF + (following << 8)
    check = (check & 0xFFFF) + (check >> 16)
    store16(at + 10, check)
    store8(at + 1, load8(at + 1) | 3)
    return 1


@native
def helper_skb_ecn_set_ce(frame: int, ctx: int) -> int:
    """bpf_skb_ecn_set_ce, since 5.1: 1 when the packet is marked now."""
    protocol = inner_protocol(frame)
    at = header_at(frame, STATE_NETWORK, 0, IPV6_HEADER if protocol == PROTOCOL_IPV6 else IP_HEADER)
    if at == 0:
        return 0
    if protocol == PROTOCOL_IP:
        return ip_ecn_set_ce(at)
    if protocol == PROTOCOL_IPV6:
        if load8(at + 1) & 0x30 == 0:
            return 0
        store8(at + 1, load8(at + 1) | 0x30)
        return 1
    return 0


@native
def helper_skb_set_tstamp(frame: int, ctx: int, time: int, kind: int) -> int:
    """bpf_skb_set_tstamp, since 5.18: real time (0), monotonic (1) or TAI (2)."""
    protocol = skb_protocol(frame)
    kind = kind & M32
    if protocol != PROTOCOL_IP and protocol != PROTOCOL_IPV6:
        return E_OPNOTSUPP
    if kind > CLOCK_TAI or (kind != 0 and time == 0):
        return E_INVAL
    store64(run_context(frame) + SKB_TSTAMP, time)
    store8(run_context(frame) + SKB_TSTAMP_TYPE, kind)
    return 0


@native
def helper_get_cgroup_classid(frame: int, ctx: int) -> int:
    """bpf_get_cgroup_classid, since 4.3: there is no cgroup, so no class: 0."""
    return 0


@native
def helper_get_route_realm(frame: int, ctx: int) -> int:
    """bpf_get_route_realm, since 4.4: there is no route, so no realm: 0."""
    return 0


_CTX, _ANY = Argument.CONTEXT, Argument.ANY
native_helper("skb_change_type", _CTX, _ANY, types=TC)
native_helper("get_hash_recalc", _CTX, types=TC | LWT)
native_helper("set_hash_invalid", _CTX, types=SENDERS)
native_helper("set_hash", _CTX, _ANY, types=TC)
native_helper("skb_ecn_set_ce", _CTX, types=TC | {ProgramType.CGROUP_SKB})
native_helper("skb_set_tstamp", _CTX, _ANY, _ANY, types=TC)
native_helper("get_cgroup_classid", _CTX)
native_helper("get_route_realm", _CTX, types=TC | LWT)
