"""Redirects: where a packet would go is recorded; nothing is sent."""

from __future__ import annotations

from osmia.object.uapi import ProgramType
from osmia.vm.helpers.map_access import the_map
from osmia.vm.helpers.table import SENDERS, TC, XDP, Argument, native_helper, native_variant
from osmia.vm.layout import (
    MAP_TYPE,
    STATE_REDIRECT_FLAGS,
    STATE_REDIRECT_MAP,
    STATE_REDIRECT_TARGET,
    STATE_SCRATCH,
)
from osmia.vm.maps.constants import E_INVAL, M32
from osmia.vm.maps.operations import DEVMAP, DEVMAP_HASH, map_lookup
from osmia.vm.native import cpu_state, field32, load32, native, store32, store64

VERDICTS = 3
BROADCAST = 8
EXCLUDE_INGRESS = 16
REDIRECT_SET = 1 << 63
TC_ACT_SHOT = 2
TC_ACT_REDIRECT = 7
XDP_REDIRECT = 4
XDP_ABORTED = 0
NEIGHBOUR_SIZE = 20


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
        return TC_ACT_SHOT
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
    """bpf_redirect_peer, since 5.10."""
    if flags != 0:
        return TC_ACT_SHOT
    record_redirect(frame, ifindex & M32, 0, 0)
    return TC_ACT_REDIRECT


@native
def helper_redirect_neigh(frame: int, ifindex: int, neighbour: int, size: int, flags: int) -> int:
    """bpf_redirect_neigh, since 5.10."""
    size = size & M32
    if flags != 0 or (size != 0 and size < NEIGHBOUR_SIZE):
        return TC_ACT_SHOT
    record_redirect(frame, ifindex & M32, 0, 0)
    return TC_ACT_REDIRECT


@native
def helper_clone_redirect(frame: int, ctx: int, ifindex: int, flags: int) -> int:
    """bpf_clone_redirect, since 4.2: recorded like any redirect; every interface but 0 exists."""
    if flags & ~1 or ifindex & M32 == 0:
        return E_INVAL
    return record_redirect(frame, ifindex & M32, 0, flags)


@native
def helper_redirect_map(frame: int, handle: int, key: int, flags: int) -> int:
    """bpf_redirect_map, since 4.14: the low bits of flags are the verdict of a missing key."""
    header = the_map(frame, handle)
    if header == 0:
        return XDP_ABORTED
    known = VERDICTS
    if field32(header, MAP_TYPE) in (DEVMAP, DEVMAP_HASH):
        known = VERDICTS | BROADCAST | EXCLUDE_INGRESS
    if flags & ~known:
        return XDP_ABORTED
    place = cpu_state(frame) + STATE_SCRATCH
    store32(place, key & M32)
    value = map_lookup(header, place, 0)
    if flags & BROADCAST == 0 and (value == 0 or load32(value) == 0):
        return flags & VERDICTS
    record_redirect(frame, key & M32, handle, flags)
    return XDP_REDIRECT


_CTX, _ANY = Argument.CONTEXT, Argument.ANY
native_helper("redirect", _ANY, _ANY, types=SENDERS | XDP)
native_variant("redirect", ProgramType.XDP, "helper_xdp_redirect")
native_helper("redirect_peer", _ANY, _ANY, types=TC)
native_helper("redirect_neigh", _ANY, Argument.READ, Argument.SIZE, _ANY, types=TC)
native_helper("clone_redirect", _CTX, _ANY, _ANY, types=SENDERS)
native_helper("redirect_map", Argument.MAP, _ANY, _ANY, types=XDP)
