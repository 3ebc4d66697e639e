"""Internet checksums: differences, and updates of headers' fields."""

from __future__ import annotations

from osmia.vm.helpers.skb import skb_at, skb_pull
from osmia.vm.helpers.table import LWT, SENDERS, TC, XDP, Argument, native_helper
from osmia.vm.layout import STATE_CHECKSUM
from osmia.vm.maps.constants import E_FAULT, E_INVAL, M32, failure
from osmia.vm.native import (
    cpu_state,
    load8,
    load16,
    load32,
    native,
    reachable,
    store16,
    store32,
)

FIELD_SIZE = 15
PSEUDO_HEADER = 16
MARK_MANGLED_0 = 32
ENFORCE = 64
IPV6 = 128
LARGEST_OFFSET = 0xFFFF
LEVEL_QUERY = 0
LEVEL_UP = 1
LEVEL_DOWN = 2
LEVEL_RESET = 3
MOST_KNOWN = 4
E_NOTSUPP = failure(524)
E_ACCES = failure(13)


@native
def csum_fold(total: int) -> int:
    """A checksum's 16 bits from a sum."""
    total = (total & 0xFFFF) + (total >> 16)
    total = (total & 0xFFFF) + (total >> 16)
    total = (total & 0xFFFF) + (total >> 16)
    return (total ^ 0xFFFF) & 0xFFFF


@native
def csum_add(a: int, b: int) -> int:
    """The sum of two 32-bit sums, carry added."""
    total = a + b
    return (total & M32) + (total >> 32)


@native
def csum_sum(at: int, size: int) -> int:
    """The one's complement sum of bytes, in 32 bits."""
    total = 0
    end = at + size
    while at + 4 <= end:
        total = total + load32(at)
        at = at + 4
    if at + 2 <= end:
        total = total + load16(at)
        at = at + 2
    if at < end:
        total = total + load8(at)
    total = (total & M32) + (total >> 32)
    return (total & M32) + (total >> 32)


@native
def helper_csum_diff(
    frame: int, old: int, old_size: int, new: int, new_size: int, seed: int
) -> int:
    """bpf_csum_diff, since 4.6: the seed without the old bytes and with the new ones. Sizes
    that are no multiples of 4 are an error in older kernels."""
    old_size = old_size & M32
    new_size = new_size & M32
    total = seed & M32
    source = reachable(frame, old, old_size)
    target = reachable(frame, new, new_size)
    if (source == 0 and old_size) or (target == 0 and new_size):
        return E_INVAL
    if new_size:
        total = csum_add(csum_sum(target, new_size), total)
        if old_size:
            total = csum_add(total, csum_sum(source, old_size) ^ M32)
    elif old_size:
        total = csum_add(csum_sum(source, old_size), total ^ M32) ^ M32
    return csum_from32(total)


@native
def csum_from32(total: int) -> int:
    """A 32-bit sum folded to 16 bits, as helpers give it on every architecture since 6.13."""
    total = (total & 0xFFFF) + (total >> 16)
    return (total & 0xFFFF) + (total >> 16)


@native
def csum_replace(place: int, old: int, new: int) -> int:
    """Correct a checksum in the packet: sums of 32 bits, of the bytes before and after."""
    total = csum_add(load16(place) ^ M32, csum_add(new, old ^ M32))
    store16(place, csum_fold(total))
    return 0


@native
def csum_replace_by(place: int, difference: int) -> int:
    """Correct a checksum in the packet by a difference, as bpf_csum_diff gives it."""
    store16(place, csum_fold(csum_add(load16(place) ^ M32, difference)))
    return 0


@native
def csum_replace_field(place: int, old: int, new: int, size: int) -> int:
    """Correct a checksum for a field of 2 or 4 bytes; with size 0, by the difference `new`."""
    if size == 0 and old == 0:
        return csum_replace_by(place, new & M32)
    if size == 2:
        return csum_replace(place, old & 0xFFFF, new & 0xFFFF)
    if size == 4:
        return csum_replace(place, old & M32, new & M32)
    return E_INVAL


@native
def helper_l3_csum_replace(
    frame: int, ctx: int, offset: int, old: int, new: int, flags: int
) -> int:
    """bpf_l3_csum_replace, since 4.1."""
    offset = offset & M32
    if flags & ~FIELD_SIZE:
        return E_INVAL
    place = skb_at(frame, offset, 2)
    if offset > LARGEST_OFFSET or offset & 1 or place == 0:
        return E_FAULT
    skb_pull(frame, offset + 2)
    return csum_replace_field(place, old, new, flags)


@native
def helper_l4_csum_replace(
    frame: int, ctx: int, offset: int, old: int, new: int, flags: int
) -> int:
    """bpf_l4_csum_replace, since 4.1; a UDP checksum of 0 stays when the flags say so."""
    offset = offset & M32
    if flags & ~(FIELD_SIZE | PSEUDO_HEADER | MARK_MANGLED_0 | ENFORCE | IPV6):
        return E_INVAL
    place = skb_at(frame, offset, 2)
    if offset > LARGEST_OFFSET or offset & 1 or place == 0:
        return E_FAULT
    skb_pull(frame, offset + 2)
    if flags & MARK_MANGLED_0 and flags & ENFORCE == 0 and load16(place) == 0:
        return 0
    failed = csum_replace_field(place, old, new, flags & FIELD_SIZE)
    if failed == 0 and flags & MARK_MANGLED_0 and load16(place) == 0:
        store16(place, 0xFFFF)
    return failed


@native
def helper_csum_update(frame: int, ctx: int, difference: int) -> int:
    """bpf_csum_update, since 4.9: packets here carry no sum of their own."""
    return E_NOTSUPP


@native
def helper_csum_level(frame: int, ctx: int, level: int) -> int:
    """bpf_csum_level, since 5.8: how many checksums, from the outside, are known to be right."""
    place = cpu_state(frame) + STATE_CHECKSUM
    known = load32(place)
    if level == LEVEL_QUERY:
        return known - 1 if known != 0 else E_ACCES
    if level == LEVEL_UP:
        store32(place, known + 1 if known < MOST_KNOWN else MOST_KNOWN)
    elif level == LEVEL_DOWN:
        store32(place, known - 1 if known != 0 else 0)
    elif level == LEVEL_RESET:
        store32(place, 0)
    else:
        return E_INVAL
    return 0


_CTX, _ANY = Argument.CONTEXT, Argument.ANY
_READ, _SIZE = Argument.READ, Argument.SIZE
native_helper("csum_diff", _READ, _SIZE, _READ, _SIZE, _ANY, types=TC | LWT | XDP)
native_helper("l3_csum_replace", _CTX, _ANY, _ANY, _ANY, _ANY, types=SENDERS)
native_helper("l4_csum_replace", _CTX, _ANY, _ANY, _ANY, _ANY, types=SENDERS)
native_helper("csum_update", _CTX, _ANY, types=SENDERS)
native_helper("csum_level", _CTX, _ANY, types=SENDERS)
