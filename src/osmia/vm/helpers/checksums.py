"""Internet checksums: differences, and updates of headers' fields."""

from __future__ import annotations

from osmia.vm.helpers.packets import packet_holds, packet_start
from osmia.vm.helpers.table import Argument, native_helper
from osmia.vm.maps.constants import E_FAULT, E_INVAL, M32, failure
from osmia.vm.native import load8, load16, load32, native, reachable, store16

FIELD_SIZE = 15
PSEUDO_HEADER = 16
MARK_MANGLED_0 = 32
ENFORCE = 64
IPV6 = 128
E_NOTSUPP = failure(524)


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
    """bpf_csum_diff, since 4.6: the seed without the old bytes and with the new ones."""
    old_size = old_size & M32
    new_size = new_size & M32
    if (old_size | new_size) & 3 or old_size + new_size > 512:
        return E_INVAL
    total = seed & M32
    if new_size:
        data = reachable(frame, new, new_size)
        if data == 0:
            return E_INVAL
        total = csum_add(csum_sum(data, new_size), total)
    if old_size:
        data = reachable(frame, old, old_size)
        if data == 0:
            return E_INVAL
        total = csum_add(total, csum_sum(data, old_size) ^ M32)
    return csum_from32(total)


@native
def csum_from32(total: int) -> int:
    """A 32-bit sum folded to 16 bits, as helpers give it on every architecture since 6.13."""
    total = (total & 0xFFFF) + (total >> 16)
    return (total & 0xFFFF) + (total >> 16)


@native
def csum_replace(place: int, difference: int) -> int:
    """Correct a checksum in the packet by a 32-bit difference of sums."""
    total = csum_add(load16(place) ^ 0xFFFF, difference)
    store16(place, csum_fold(total))
    return 0


@native
def csum_change(old: int, new: int) -> int:
    """The difference that replacing a value makes."""
    return csum_add(new, old ^ M32)


@native
def helper_l3_csum_replace(
    frame: int, ctx: int, offset: int, old: int, new: int, flags: int
) -> int:
    """bpf_l3_csum_replace, since 4.1."""
    offset = offset & M32
    if flags & ~FIELD_SIZE or offset & 1:
        return E_INVAL if flags & ~FIELD_SIZE else E_FAULT
    if packet_holds(frame, offset, 2) == 0:
        return E_FAULT
    place = packet_start(frame) + offset
    size = flags & FIELD_SIZE
    if size == 0 and old == 0:
        return csum_replace(place, new & M32)
    if size == 2:
        return csum_replace(place, csum_change(old & 0xFFFF, new & 0xFFFF))
    if size == 4:
        return csum_replace(place, csum_change(old & M32, new & M32))
    return E_INVAL


@native
def helper_l4_csum_replace(
    frame: int, ctx: int, offset: int, old: int, new: int, flags: int
) -> int:
    """bpf_l4_csum_replace, since 4.1; a UDP checksum of 0 stays when the flags say so."""
    offset = offset & M32
    size = flags & FIELD_SIZE
    if flags & ~(FIELD_SIZE | PSEUDO_HEADER | MARK_MANGLED_0 | ENFORCE | IPV6):
        return E_INVAL
    if offset & 1 or packet_holds(frame, offset, 2) == 0:
        return E_FAULT
    place = packet_start(frame) + offset
    if flags & MARK_MANGLED_0 and flags & ENFORCE == 0 and load16(place) == 0:
        return 0
    if size == 0 and old == 0:
        csum_replace(place, new & M32)
    elif size == 2:
        csum_replace(place, csum_change(old & 0xFFFF, new & 0xFFFF))
    elif size == 4:
        csum_replace(place, csum_change(old & M32, new & M32))
    else:
        return E_INVAL
    if flags & MARK_MANGLED_0 and load16(place) == 0:
        store16(place, 0xFFFF)
    return 0


@native
def helper_csum_update(frame: int, ctx: int, difference: int) -> int:
    """bpf_csum_update, since 4.9: packets here carry no sum of their own."""
    return E_NOTSUPP


@native
def helper_csum_level(frame: int, ctx: int, level: int) -> int:
    """bpf_csum_level, since 5.8: packets here carry no sum of their own."""
    return E_FAULT


_CTX, _ANY = Argument.CONTEXT, Argument.ANY
native_helper("csum_diff", Argument.READ, Argument.SIZE, Argument.READ, Argument.SIZE, Argument.ANY)
native_helper("l3_csum_replace", _CTX, _ANY, _ANY, _ANY, _ANY)
native_helper("l4_csum_replace", _CTX, _ANY, _ANY, _ANY, _ANY)
native_helper("csum_update", _CTX, _ANY)
native_helper("csum_level", _CTX, _ANY)
