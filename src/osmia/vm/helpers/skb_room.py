"""Room in an skb: tails, heads, other IP versions, encapsulation.

The rules are the kernel's (net/core/filter.c, net/core/skbuff.c) for a linear packet that
nobody else holds. Where head room runs out the packet moves up in its CPU's block, as the
kernel takes a new buffer.
"""

from __future__ import annotations

from osmia.vm.helpers.skb import (
    IP_HEADER,
    IPV6_HEADER,
    PROTOCOL_IP,
    PROTOCOL_IPV6,
    SKB_DATA,
    SKB_DATA_END,
    SKB_DATA_META,
    SKB_HASH,
    SKB_LEN,
    SKB_PROTOCOL,
    run_context,
    skb_protocol,
    skb_room,
    skb_size,
    skb_start,
    widen_packet,
)
from osmia.vm.helpers.table import SENDERS, TC, Argument, native_helper
from osmia.vm.layout import (
    STATE_CHECKSUM,
    STATE_ENCAPSULATED,
    STATE_MAC,
    STATE_NETWORK,
    STATE_PACKET_END,
    STATE_PACKET_START,
    STATE_PAGED,
)
from osmia.vm.maps.constants import E_FAULT, E_INVAL, E_NOMEM, M32, M64, failure
from osmia.vm.native import (
    cpu_state,
    load32,
    load64,
    move,
    native,
    store32,
    store64,
    zero,
)
from osmia.vm.skb_contexts import SKB_FIELDS

SKB_GSO_SEGS = SKB_FIELDS["gso_segs"].offset
SKB_GSO_SIZE = SKB_FIELDS["gso_size"].offset

E_NOTSUPP = failure(524)
E_ALREADY = failure(114)
LARGEST_SKB = 16064  # BPF_SKB_MAX_LEN: four pages without struct skb_shared_info
LARGEST_HEAD = 0x7FFF_FFFF
LARGEST_ADJUSTMENT = 0xFFF
ROOM_NET = 0
ROOM_MAC = 1
FIXED_GSO = 1
ENCAP_IPV4 = 2
ENCAP_IPV6 = 4
ENCAP_GRE = 8
ENCAP_UDP = 16
NO_CSUM_RESET = 32
ENCAP_ETHERNET = 64
DECAP_IPV4 = 128
DECAP_IPV6 = 256
ROOM_FLAGS = 0xFF00_0000_0000_01FF
L2_SHIFT = 56
ETHERNET = 14


@native
def set_skb_bounds(frame: int, start: int, end: int) -> int:
    """Move an skb's data and its length; it is in one piece then."""
    ctx = run_context(frame)
    store32(ctx + SKB_DATA, start)
    store32(ctx + SKB_DATA_META, start)
    store32(ctx + SKB_DATA_END, end)
    store32(ctx + SKB_LEN, end - start)
    store32(cpu_state(frame) + STATE_PAGED, 0)
    return widen_packet(frame, start, end)


@native
def shift_headers(frame: int, distance: int) -> int:
    """Say that an skb's headers have moved."""
    state = cpu_state(frame)
    store64(state + STATE_MAC, (load64(state + STATE_MAC) + distance) & M64)
    store64(state + STATE_NETWORK, (load64(state + STATE_NETWORK) + distance) & M64)
    return 0


@native
def headers_fit(frame: int, distance: int) -> int:
    """Whether an skb's headers, so far from where they are, still lie where packets do (1 or 0).
    Those of a packet do; a program that moves its bounds about can move headers anywhere."""
    state = cpu_state(frame)
    low = load64(state + STATE_PACKET_START)
    high = load64(state + STATE_PACKET_END)
    mac = (load64(state + STATE_MAC) + distance) & M64
    network = (load64(state + STATE_NETWORK) + distance) & M64
    if mac < low or mac > high:
        return 0
    return 1 if low <= network and network <= high else 0


@native
def skb_push(frame: int, size: int) -> int:
    """Let an skb start `size` bytes earlier; 0, or a failure where there is no room. Headers
    stay where they are, the packet moves as a whole when its head room is too small."""
    if skb_room(frame) == 0:
        return E_NOMEM
    state = cpu_state(frame)
    low = load64(state + STATE_PACKET_START)
    start = skb_start(frame)
    end = start + skb_size(frame)
    if start - low < size:
        shift = size - (start - low)
        if end + shift > load64(state + STATE_PACKET_END) or headers_fit(frame, shift) == 0:
            return E_NOMEM
        move(low + shift, low, end - low)
        shift_headers(frame, shift)
        start = start + shift
        end = end + shift
    return set_skb_bounds(frame, start - size, end)


@native
def skb_push_headers(frame: int, size: int) -> int:
    """As `skb_push`, and the headers move with the packet's start."""
    start = skb_start(frame)
    low = load64(cpu_state(frame) + STATE_PACKET_START)
    above = start - low if start > low else 0
    if headers_fit(frame, M64 + 1 - (size if size < above else above)) == 0:
        return E_NOMEM
    failed = skb_push(frame, size)
    return failed if failed != 0 else shift_headers(frame, M64 + 1 - size)


@native
def open_gap(frame: int, offset: int, size: int) -> int:
    """Put `size` zero bytes at an offset of an skb; the headers move with what is before."""
    failed = skb_push_headers(frame, size)
    if failed != 0:
        return failed
    start = skb_start(frame)
    move(start, start + size, offset)
    zero(start + offset, size)
    return 0


@native
def close_gap(frame: int, offset: int, size: int) -> int:
    """Take `size` bytes at an offset out of an skb."""
    if skb_room(frame) == 0 or offset + size > skb_size(frame):
        return E_NOMEM
    if headers_fit(frame, size) == 0:
        return E_NOMEM
    start = skb_start(frame)
    end = start + skb_size(frame)
    move(start + size, start, offset)
    set_skb_bounds(frame, start + size, end)
    return shift_headers(frame, size)


@native
def network_offset(frame: int) -> int:
    """Where in an skb's data its network header is; 0 when it is no longer in it."""
    header = load64(cpu_state(frame) + STATE_NETWORK)
    start = skb_start(frame)
    return header - start if header > start else 0


@native
def mac_size(frame: int) -> int:
    """Bytes from the link-layer header to the network header."""
    state = cpu_state(frame)
    return (load64(state + STATE_NETWORK) - load64(state + STATE_MAC)) & 0xFFFF


@native
def is_gso(frame: int) -> int:
    """Whether an skb stands for many segments: it has their size."""
    return load32(run_context(frame) + SKB_GSO_SIZE) & 0xFFFF


@native
def helper_skb_change_tail(frame: int, ctx: int, size: int, flags: int) -> int:
    """bpf_skb_change_tail, since 4.9: grow (with zeros) or trim the packet."""
    size = size & M32
    if flags != 0 or size > LARGEST_SKB or size < network_offset(frame):
        return E_INVAL
    if load32(cpu_state(frame) + STATE_ENCAPSULATED) != 0:
        return E_NOTSUPP
    if skb_room(frame) == 0:
        return E_NOMEM
    start = skb_start(frame)
    held = skb_size(frame)
    if start + size > load64(cpu_state(frame) + STATE_PACKET_END):
        return E_NOMEM
    if size > held:
        zero(start + held, size - held)
    if is_gso(frame):
        store32(run_context(frame) + SKB_GSO_SIZE, 0)
        store32(run_context(frame) + SKB_GSO_SEGS, 0)
    return set_skb_bounds(frame, start, start + size)


@native
def helper_skb_change_head(frame: int, ctx: int, size: int, flags: int) -> int:
    """bpf_skb_change_head, since 4.10: room for a new link-layer header in front, zeroed."""
    size = size & M32
    if flags != 0 or size > LARGEST_HEAD:
        return E_INVAL
    if is_gso(frame) == 0 and skb_size(frame) + size > LARGEST_SKB:
        return E_INVAL
    failed = skb_push(frame, size)
    if failed != 0:
        return failed
    start = skb_start(frame)
    zero(start, size)
    store64(cpu_state(frame) + STATE_MAC, start)
    return 0


@native
def helper_skb_change_proto(frame: int, ctx: int, protocol: int, flags: int) -> int:
    """bpf_skb_change_proto, since 4.8: room for an IPv6 header instead of an IPv4 one, or the
    other way round."""
    protocol = protocol & 0xFFFF
    held = skb_protocol(frame)
    failed = E_NOTSUPP
    if flags != 0:
        return E_INVAL
    if held == PROTOCOL_IP and protocol == PROTOCOL_IPV6:
        failed = open_gap(frame, mac_size(frame), IPV6_HEADER - IP_HEADER)
    elif held == PROTOCOL_IPV6 and protocol == PROTOCOL_IP:
        failed = close_gap(frame, mac_size(frame), IPV6_HEADER - IP_HEADER)
    if failed != 0:
        return failed
    store32(run_context(frame) + SKB_PROTOCOL, protocol)
    store32(run_context(frame) + SKB_HASH, 0)
    return 0


@native
def grow_room(frame: int, offset: int, size: int, flags: int) -> int:
    """bpf_skb_adjust_room with a positive difference."""
    state = cpu_state(frame)
    if is_gso(frame):
        return E_NOTSUPP
    both = ENCAP_IPV4 | ENCAP_IPV6
    if flags & both:
        if flags & both == both or flags & (ENCAP_GRE | ENCAP_UDP) == ENCAP_GRE | ENCAP_UDP:
            return E_INVAL
        if flags & ENCAP_ETHERNET and flags >> L2_SHIFT < ETHERNET:
            return E_INVAL
        if load32(state + STATE_ENCAPSULATED) != 0:
            return E_ALREADY
        if flags >> L2_SHIFT > size:
            return E_INVAL
    failed = open_gap(frame, offset, size)
    if failed != 0:
        return failed
    if flags & both:
        store32(state + STATE_ENCAPSULATED, 1)
        store32(
            run_context(frame) + SKB_PROTOCOL,
            PROTOCOL_IPV6 if flags & ENCAP_IPV6 else PROTOCOL_IP,
        )
    return 0


@native
def shrink_room(frame: int, offset: int, size: int, flags: int) -> int:
    """bpf_skb_adjust_room with a negative difference."""
    if flags & ~(FIXED_GSO | NO_CSUM_RESET | DECAP_IPV4 | DECAP_IPV6):
        return E_INVAL
    if is_gso(frame):
        return E_NOTSUPP
    failed = close_gap(frame, offset, size)
    if failed != 0:
        return failed
    if flags & DECAP_IPV6:
        store32(run_context(frame) + SKB_PROTOCOL, PROTOCOL_IPV6)
    elif flags & DECAP_IPV4:
        store32(run_context(frame) + SKB_PROTOCOL, PROTOCOL_IP)
    return 0


@native
def helper_skb_adjust_room(frame: int, ctx: int, delta: int, mode: int, flags: int) -> int:
    """bpf_skb_adjust_room, since 4.13: room behind the network (0) or link-layer (1) header."""
    delta = delta & M32
    mode = mode & M32
    shrinks = delta >> 31
    size = (M32 + 1 - delta) & M32 if shrinks else delta
    protocol = skb_protocol(frame)
    header = IPV6_HEADER if protocol == PROTOCOL_IPV6 else IP_HEADER
    if flags & ~ROOM_FLAGS:
        return E_INVAL
    if size > LARGEST_ADJUSTMENT:
        return E_FAULT
    if (protocol != PROTOCOL_IP and protocol != PROTOCOL_IPV6) or mode > ROOM_MAC:
        return E_NOTSUPP
    offset = mac_size(frame) + (header if mode == ROOM_NET else 0)
    if flags & (DECAP_IPV4 | DECAP_IPV6):
        if shrinks == 0 or flags & (DECAP_IPV4 | DECAP_IPV6) == DECAP_IPV4 | DECAP_IPV6:
            return E_INVAL
        header = IPV6_HEADER if flags & DECAP_IPV6 else IP_HEADER
    held = skb_size(frame)
    before = network_offset(frame)
    held = held - before if held > before else 0
    if shrinks:
        if size >= held or held - size < header:
            return E_NOTSUPP
        failed = shrink_room(frame, offset, size, flags)
    else:
        if skb_size(frame) + size > LARGEST_SKB and is_gso(frame) == 0:
            return E_NOTSUPP
        failed = grow_room(frame, offset, size, flags)
    if failed == 0 and flags & NO_CSUM_RESET == 0:
        store32(cpu_state(frame) + STATE_CHECKSUM, 0)
    return failed


_CTX, _ANY = Argument.CONTEXT, Argument.ANY
native_helper("skb_change_tail", _CTX, _ANY, _ANY, types=SENDERS)
native_helper("skb_change_head", _CTX, _ANY, _ANY, types=SENDERS)
native_helper("skb_change_proto", _CTX, _ANY, _ANY, types=TC)
native_helper("skb_adjust_room", _CTX, _ANY, _ANY, _ANY, types=TC)
