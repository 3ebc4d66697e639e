"""What a test run makes of a packet and a given struct __sk_buff, and what it gives back.

The rules are those of the kernel's test runs (net/bpf/test_run.c): which fields may be given,
what the others hold, which are told afterwards. Packets in batches go through the same
native function.
"""

from __future__ import annotations

import errno

from osmia.errors import KernelError
from osmia.vm.helpers.skb import (
    IP_HEADER,
    IPV6_HEADER,
    PROTOCOL_IP,
    PROTOCOL_IPV6,
    SKB_DATA,
    SKB_DATA_END,
    SKB_DATA_META,
    SKB_LEN,
    SKB_PKT_TYPE,
    SKB_PROTOCOL,
)
from osmia.vm.helpers.skb_room import SKB_GSO_SIZE
from osmia.vm.helpers.skb_vlan import protocol_after
from osmia.vm.layout import (
    STATE_CHECKSUM,
    STATE_ENCAPSULATED,
    STATE_MAC,
    STATE_NETWORK,
    STATE_TUNNEL,
)
from osmia.vm.maps.constants import E_INVAL
from osmia.vm.native import copy, load16, load32, native, store32, store64
from osmia.vm.skb_contexts import SKB_FIELDS

# The name that type checkers know; `typing` is dear.
TYPE_CHECKING = False

if TYPE_CHECKING:
    from typing import Final

GIVEN: Final = (
    *("mark", "priority", "ingress_ifindex", "ifindex", "cb", "tstamp", "wire_len"),
    *("gso_segs", "gso_size", "hwtstamp"),
)
"""The fields that a test run may be given; all others must be 0."""
TOLD: Final = GIVEN
"""The fields that it tells afterwards; `gso_size` as it was given."""

LARGEST_WIRE = 65536
MOST_SEGMENTS = 65535
LOOPBACK = 1
ETHERNET = 14
FAMILY_INET = 2
FAMILY_INET6 = 10

EMPTY: Final = bytes(192)
"""The struct __sk_buff that is given where none is."""


def _slices(names: tuple[str, ...]) -> tuple[slice, ...]:
    """Where fields are, those that are side by side in one."""
    found: list[slice] = []
    for place in sorted((SKB_FIELDS[name] for name in names), key=lambda place: place.offset):
        end = place.offset + place.size
        if found and found[-1].stop == place.offset:
            found[-1] = slice(found[-1].start, end)
        else:
            found.append(slice(place.offset, end))
    return tuple(found)


_TOLD = _slices(TOLD)
(_GSO_SIZE,) = _slices(("gso_size",))

SKB_IFINDEX = SKB_FIELDS["ifindex"].offset
SKB_WIRE_LEN = SKB_FIELDS["wire_len"].offset
SKB_FAMILY = SKB_FIELDS["family"].offset
SKB_REMOTE_IP4 = SKB_FIELDS["remote_ip4"].offset
SKB_LOCAL_IP4 = SKB_FIELDS["local_ip4"].offset
SKB_REMOTE_IP6 = SKB_FIELDS["remote_ip6"].offset
SKB_LOCAL_IP6 = SKB_FIELDS["local_ip6"].offset


@native
def skb_packet_type(data: int) -> int:
    """PACKET_HOST (0), MULTICAST (2) or OTHERHOST (3), as for a device whose addresses are all
    zero: the loopback device, on which test runs happen."""
    low = load32(data)
    if low & 1:
        return 2
    return 0 if low == 0 and load16(data + 4) == 0 else 3


@native
def skb_socket(context: int, header: int, protocol: int) -> int:
    """The addresses of the socket that the packet seems to come from."""
    if protocol == PROTOCOL_IP:
        store32(context + SKB_FAMILY, FAMILY_INET)
        store32(context + SKB_LOCAL_IP4, load32(header + 12))
        store32(context + SKB_REMOTE_IP4, load32(header + 16))
    elif protocol == PROTOCOL_IPV6:
        store32(context + SKB_FAMILY, FAMILY_INET6)
        copy(context + SKB_LOCAL_IP6, header + 8, 16)
        copy(context + SKB_REMOTE_IP6, header + 24, 16)
    return 0


@native
def skb_place(state: int, context: int, data: int, size: int, begin: int) -> int:
    """Fill in the context of a packet at `data` whose program sees it from `begin` on; given
    fields are there already. 0, or a failure for an IP packet without its whole header."""
    end = data + size
    protocol = protocol_after(data + ETHERNET - 2, end)
    if protocol == PROTOCOL_IP and size < ETHERNET + IP_HEADER:
        return E_INVAL
    if protocol == PROTOCOL_IPV6 and size < ETHERNET + IPV6_HEADER:
        return E_INVAL
    store32(context + SKB_LEN, end - begin)
    store32(context + SKB_PKT_TYPE, skb_packet_type(data))
    store32(context + SKB_PROTOCOL, protocol)
    store32(context + SKB_DATA, begin)
    store32(context + SKB_DATA_END, end)
    store32(context + SKB_DATA_META, begin)
    if load32(context + SKB_IFINDEX) == 0:
        store32(context + SKB_IFINDEX, LOOPBACK)
    if load32(context + SKB_WIRE_LEN) == 0:
        store32(context + SKB_WIRE_LEN, end - begin)
    store32(context + SKB_GSO_SIZE, load32(context + SKB_GSO_SIZE) & 0xFFFF)
    skb_socket(context, data + ETHERNET, protocol)
    store64(state + STATE_MAC, data)
    store64(state + STATE_NETWORK, data + ETHERNET)
    store32(state + STATE_CHECKSUM, 0)
    store32(state + STATE_ENCAPSULATED, 0)
    store32(state + STATE_TUNNEL, 0)
    return 0


def check_given(raw: bytes | bytearray, size: int) -> None:
    """Raise KernelError for a struct __sk_buff that no test run takes; `size` is how much of
    the packet the program sees, in bytes."""
    rest = bytearray(raw)
    for name in GIVEN:
        place = SKB_FIELDS[name]
        rest[place.offset : place.offset + place.size] = bytes(place.size)
    if any(rest):
        at = next(offset for offset, byte in enumerate(rest) if byte)
        name = next((n for n, f in SKB_FIELDS.items() if f.covers(at, 1)), f"byte {at}")
        raise _refused(f"{name} cannot be given, only {', '.join(GIVEN)}")
    wire = _number(raw, "wire_len")
    if wire and not size <= wire <= LARGEST_WIRE:
        raise _refused(f"wire_len is {wire}: {size} (the packet) to {LARGEST_WIRE} are possible")
    if _number(raw, "gso_segs") > MOST_SEGMENTS:
        raise _refused(f"gso_segs is above {MOST_SEGMENTS}")


def told(raw: bytes, given: bytes | bytearray) -> bytes:
    """The struct __sk_buff that a test run gives back, from the one that the program left."""
    result = bytearray(len(raw))
    for at in _TOLD:
        result[at] = raw[at]
    result[_GSO_SIZE] = given[_GSO_SIZE]
    return bytes(result)


def _number(raw: bytes | bytearray, name: str) -> int:
    place = SKB_FIELDS[name]
    return int.from_bytes(raw[place.offset : place.offset + place.size], "little")


def _refused(why: str) -> KernelError:
    return KernelError(errno.EINVAL, "run a packet program", hint=why)
