"""The bytes of an skb: where they are, legacy loads, bpf_skb_load_bytes and its family.

Where the packet is, the context says, and a compiled program may have written anything
there: every bound is masked to the region before it is used, and what moves bytes asks
`skb_room` first.
"""

from __future__ import annotations

from osmia.object.uapi import ProgramType
from osmia.vm.helpers.table import LWT, SENDERS, TC, Argument, native_helper
from osmia.vm.layout import (
    STATE_CONTEXT,
    STATE_MAC,
    STATE_NETWORK,
    STATE_PACKET_END,
    STATE_PACKET_HIGH,
    STATE_PACKET_LOW,
    STATE_PACKET_START,
    STATE_PAGED,
)
from osmia.vm.maps.constants import E_FAULT, E_INVAL, E_NOMEM, M32, M64
from osmia.vm.native import (
    cpu_state,
    load8,
    load16,
    load32,
    load64,
    move,
    native,
    reachable,
    region_size,
    store32,
    zero,
)
from osmia.vm.skb_contexts import SKB_FIELDS

SKB_LEN = SKB_FIELDS["len"].offset
SKB_PKT_TYPE = SKB_FIELDS["pkt_type"].offset
SKB_PROTOCOL = SKB_FIELDS["protocol"].offset
SKB_HASH = SKB_FIELDS["hash"].offset
SKB_DATA = SKB_FIELDS["data"].offset
SKB_DATA_END = SKB_FIELDS["data_end"].offset
SKB_DATA_META = SKB_FIELDS["data_meta"].offset

MAC_HEADER = 0
NETWORK_HEADER = 1
RECOMPUTE_OR_INVALIDATE = 3
INVALIDATE_HASH = 2
LARGEST_RELATIVE = 0xFFFF
LARGEST_OFFSET = 0x7FFF_FFFF
LEGACY_LINK = 0xFFE0_0000  # SKF_LL_OFF, -0x200000
LEGACY_NETWORK = 0xFFF0_0000  # SKF_NET_OFF, -0x100000
PROTOCOL_IP = 0x0008
PROTOCOL_IPV6 = 0xDD86
PROTOCOL_VLAN = 0x0081  # 802.1Q, and 802.1AD, in network order
PROTOCOL_SERVICE_VLAN = 0xA888
MOST_TAGS = 8
ETHERNET = 14
IP_HEADER = 20
IPV6_HEADER = 40


@native
def run_context(frame: int) -> int:
    """The address of the run's context."""
    return load64(cpu_state(frame) + STATE_CONTEXT)


@native
def bound(frame: int, offset: int) -> int:
    """A pointer to the packet from the run's context, inside the region."""
    return load32(run_context(frame) + offset) & (region_size() - 1)


@native
def skb_start(frame: int) -> int:
    """The address of an skb's first byte."""
    return bound(frame, SKB_DATA)


@native
def packet_end(frame: int, end: int) -> int:
    """Where a packet ends whose linear part ends there, inside the region: its other pieces are
    behind that."""
    end = end + load32(cpu_state(frame) + STATE_PAGED)
    return end if end < region_size() else region_size()


@native
def skb_size(frame: int) -> int:
    """How many bytes an skb has, in all pieces."""
    start = bound(frame, SKB_DATA)
    end = packet_end(frame, bound(frame, SKB_DATA_END))
    return end - start if end > start else 0


@native
def skb_pull(frame: int, size: int) -> int:
    """Have the first bytes of an skb in its linear part, as far as there are so many."""
    state = cpu_state(frame)
    paged = load32(state + STATE_PAGED)
    if paged == 0:
        return 0
    linear = (skb_size(frame) - paged) & M64
    if size <= linear or linear >> 63:
        return 0
    more = size - linear
    more = more if more < paged else paged
    store32(state + STATE_PAGED, paged - more)
    store32(run_context(frame) + SKB_DATA_END, bound(frame, SKB_DATA_END) + more)
    return 0


@native
def widen_packet(frame: int, start: int, end: int) -> int:
    """Note that there are bytes of a packet here, which the next one is not to find."""
    state = cpu_state(frame)
    if start < load32(state + STATE_PACKET_LOW):
        store32(state + STATE_PACKET_LOW, start)
    if end > load32(state + STATE_PACKET_HIGH):
        store32(state + STATE_PACKET_HIGH, end)
    return 0


@native
def skb_room(frame: int) -> int:
    """Whether an skb's bounds lie where packets do (1 or 0): then its bytes may be moved."""
    state = cpu_state(frame)
    start = bound(frame, SKB_DATA)
    if start < load64(state + STATE_PACKET_START):
        return 0
    return 1 if start + skb_size(frame) <= load64(state + STATE_PACKET_END) else 0


@native
def skb_at(frame: int, offset: int, size: int) -> int:
    """The address of `size` bytes at an offset of an skb, or 0."""
    return skb_start(frame) + offset if offset + size <= skb_size(frame) else 0


@native
def header_at(frame: int, header: int, offset: int, size: int) -> int:
    """The address of `size` bytes at an offset (32 bits both) from the link-layer header
    (`STATE_MAC`) or the network header (`STATE_NETWORK`). 0 if they do not lie where packets do,
    or not before this packet's end. Every access by these headers asks here."""
    state = cpu_state(frame)
    start = load64(state + header)
    highest = load64(state + STATE_PACKET_END)
    if start < load64(state + STATE_PACKET_START) or start > highest:
        return 0
    behind = start + offset + size  # which cannot wrap: the header lies in the region
    end = skb_start(frame) + skb_size(frame)
    return start + offset if behind <= end and behind <= highest else 0


@native
def skb_protocol(frame: int) -> int:
    """An skb's protocol, in network order."""
    return load16(run_context(frame) + SKB_PROTOCOL)


@native
def is_vlan(protocol: int) -> int:
    """Whether a protocol (in network order) says that a tag follows."""
    if protocol == PROTOCOL_VLAN:
        return 1
    return 1 if protocol == PROTOCOL_SERVICE_VLAN else 0


@native
def inner_protocol(frame: int) -> int:
    """The protocol behind the VLAN tags that are in the packet; 0 when they do not end."""
    protocol = skb_protocol(frame)
    state = cpu_state(frame)
    link = (load64(state + STATE_NETWORK) - load64(state + STATE_MAC)) & M32
    # Behind the Ethernet header; where that was made longer, the last 4 bytes of it are a tag.
    at = skb_start(frame) + (ETHERNET if link == ETHERNET or link < 4 else link - 4)
    end = skb_start(frame) + skb_size(frame)
    tags = 0
    while is_vlan(protocol):
        tags = tags + 1
        if at + 4 > end or tags == MOST_TAGS:
            return 0
        protocol = load16(at + 2)
        at = at + 4
    return protocol


@native
def legacy_at(frame: int, offset: int, size: int) -> int:
    """The address that a legacy load of a 32-bit offset means, or 0: negative ones count from
    the link-layer or the network header."""
    if offset <= LARGEST_OFFSET:
        return skb_at(frame, offset, size)
    if offset >= LEGACY_NETWORK:
        return header_at(frame, STATE_NETWORK, offset - LEGACY_NETWORK, size)
    if offset >= LEGACY_LINK:
        return header_at(frame, STATE_MAC, offset - LEGACY_LINK, size)
    return 0


@native
def packet_holds(frame: int, offset: int, size: int) -> int:
    """Whether a legacy load finds its bytes: 1 or 0."""
    return 1 if legacy_at(frame, offset, size) != 0 else 0


@native
def packet_word(frame: int, offset: int, size: int) -> int:
    """What a legacy load of 1, 2 or 4 bytes gives, in network order."""
    at = legacy_at(frame, offset, size)
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
    target = reachable(frame, to, size)
    if target == 0:
        return E_FAULT
    source = skb_at(frame, offset & M32, size)
    if source == 0:
        zero(target, size)
        return E_FAULT
    move(target, source, size)
    return 0


@native
def helper_skb_load_bytes_relative(
    frame: int, ctx: int, offset: int, to: int, size: int, start: int
) -> int:
    """bpf_skb_load_bytes_relative, since 4.18: from the MAC (0) or network (1) header."""
    size = size & M32
    offset = offset & M32
    start = start & M32
    target = reachable(frame, to, size)
    if target == 0:
        return E_FAULT
    header = STATE_NETWORK if start == NETWORK_HEADER else STATE_MAC
    source = header_at(frame, header, offset, size)
    if start > NETWORK_HEADER or offset > LARGEST_RELATIVE or source == 0:
        zero(target, size)
        return E_FAULT
    move(target, source, size)
    return 0


@native
def helper_skb_store_bytes(
    frame: int, ctx: int, offset: int, source: int, size: int, flags: int
) -> int:
    """bpf_skb_store_bytes, since 4.1. Checksums that flags ask for are the device's matter."""
    size = size & M32
    if flags & ~RECOMPUTE_OR_INVALIDATE:
        return E_INVAL
    data = reachable(frame, source, size)
    target = skb_at(frame, offset & M32, size)
    if data == 0 or target == 0:
        return E_FAULT
    skb_pull(frame, (offset & M32) + size)
    move(target, data, size)
    if flags & INVALIDATE_HASH:
        store32(run_context(frame) + SKB_HASH, 0)
    return 0


@native
def helper_skb_pull_data(frame: int, ctx: int, size: int) -> int:
    """bpf_skb_pull_data, since 4.9: so many bytes are linear then."""
    if size & M32 > skb_size(frame):
        return E_NOMEM
    return skb_pull(frame, size & M32)


_CTX, _ANY, _SIZE = Argument.CONTEXT, Argument.ANY, Argument.SIZE
_WRITE, _READ = Argument.WRITE, Argument.READ
_FILTERS = TC | {ProgramType.SOCKET_FILTER, ProgramType.CGROUP_SKB}
native_helper("skb_load_bytes", _CTX, _ANY, _WRITE, _SIZE, types=_FILTERS | LWT)
native_helper("skb_load_bytes_relative", _CTX, _ANY, _WRITE, _SIZE, _ANY, types=_FILTERS)
native_helper("skb_store_bytes", _CTX, _ANY, _READ, _SIZE, _ANY, types=SENDERS)
native_helper("skb_pull_data", _CTX, _ANY, types=TC | LWT)
