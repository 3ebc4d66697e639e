"""Dynptrs: 16 bytes on the stack that name a piece of memory, with checked access.

Their layout is the vm's own (a program may not look into them): u64 address, u32 size,
u32 kind and flags.
"""

from __future__ import annotations

import struct

import osmia.vm.helpers.skb_fields  # helper_set_hash_invalid
import osmia.vm.maps.ring  # noqa: F401  # ring_reserve, ring_commit
from osmia.object.uapi import MapType
from osmia.vm.helpers.table import Argument, Invocation, helper
from osmia.vm.maps.constants import E_2BIG, E_INVAL, M32

_RING = 1
SKB = 2
_STORE_FLAGS = 3  # of bpf_skb_store_bytes
_INVALIDATE_HASH = 2
_READ_ONLY = 1 << 31
_MAX_SIZE = (1 << 24) - 1


def store_dynptr(
    call: Invocation, place: int, address: int, size: int, kind: int = 0, *, read_only: bool = False
) -> None:
    """Write a dynptr of `size` bytes at an address."""
    kind |= _READ_ONLY if read_only else 0
    call.write(place, struct.pack("<QII", address, size, kind))


def load_dynptr(call: Invocation, place: int) -> tuple[int, int, int]:
    """Address, size and kind of a dynptr; the address is 0 for a dynptr of nothing."""
    address, size, kind = struct.unpack("<QII", call.read(place, 16))
    return address, size, kind


@helper("dynptr_from_mem", Argument.ANY, Argument.ANY, Argument.ANY, Argument.NEW_DYNPTR)
def dynptr_from_mem(call: Invocation, data: int, size: int, flags: int, place: int) -> int:
    """bpf_dynptr_from_mem, since 5.19."""
    size &= M32
    if flags or size > _MAX_SIZE:
        store_dynptr(call, place, 0, 0)
        return E_INVAL if flags else E_2BIG
    call.vm.reachable(data, size)
    store_dynptr(call, place, data, size)
    return 0


@helper("ringbuf_reserve_dynptr", Argument.MAP, Argument.ANY, Argument.ANY, Argument.NEW_DYNPTR)
def ringbuf_reserve_dynptr(call: Invocation, handle: int, size: int, flags: int, place: int) -> int:
    """bpf_ringbuf_reserve_dynptr, since 5.19."""
    target = call.vm.map_of(handle)
    size &= M32
    data = 0
    if target is not None and target.type is MapType.RINGBUF and not flags and size <= _MAX_SIZE:
        data = call.vm.natives.call("ring_reserve", target.header, size)
    store_dynptr(call, place, data, size if data else 0, _RING)
    if not flags and size > _MAX_SIZE:
        return E_2BIG
    return 0 if data else E_INVAL


def _end(call: Invocation, place: int, discard: int) -> int:
    address, _, kind = load_dynptr(call, place)
    if address and kind & _RING:
        call.vm.natives.call("ring_commit", address, discard)
    store_dynptr(call, place, 0, 0)
    return 0


@helper("ringbuf_submit_dynptr", Argument.DYNPTR, Argument.ANY)
def ringbuf_submit_dynptr(call: Invocation, place: int, flags: int) -> int:
    """bpf_ringbuf_submit_dynptr, since 5.19."""
    return _end(call, place, 0)


@helper("ringbuf_discard_dynptr", Argument.DYNPTR, Argument.ANY)
def ringbuf_discard_dynptr(call: Invocation, place: int, flags: int) -> int:
    """bpf_ringbuf_discard_dynptr, since 5.19."""
    return _end(call, place, 1)


@helper("dynptr_read", Argument.WRITE, Argument.SIZE, Argument.DYNPTR, Argument.ANY, Argument.ANY)
def dynptr_read(call: Invocation, to: int, size: int, place: int, offset: int, flags: int) -> int:
    """bpf_dynptr_read, since 5.19."""
    address, length, _ = load_dynptr(call, place)
    size, offset = size & M32, offset & M32
    if not address or flags:
        return E_INVAL
    if offset + size > length:
        return E_2BIG
    call.write(to, call.read(address + offset, size))
    return 0


@helper("dynptr_write", Argument.DYNPTR, Argument.ANY, Argument.READ, Argument.SIZE, Argument.ANY)
def dynptr_write(
    call: Invocation, place: int, offset: int, source: int, size: int, flags: int
) -> int:
    """bpf_dynptr_write, since 5.19."""
    address, length, kind = load_dynptr(call, place)
    size, offset = size & M32, offset & M32
    if not address or kind & _READ_ONLY:
        return E_INVAL
    if offset + size > length:
        return E_2BIG
    if flags & ~(_STORE_FLAGS if kind & SKB else 0):
        return E_INVAL
    if flags & _INVALIDATE_HASH:
        call.vm.natives.call("helper_set_hash_invalid", call.frame, 0)
    call.write(address + offset, call.read(source, size))
    return 0


@helper("dynptr_data", Argument.DYNPTR, Argument.ANY, Argument.ANY)
def dynptr_data(call: Invocation, place: int, offset: int, size: int) -> int:
    """bpf_dynptr_data, since 5.19: an address inside, or 0."""
    address, length, kind = load_dynptr(call, place)
    size, offset = size & M32, offset & M32
    if not address or kind & _READ_ONLY or offset + size > length:
        return 0
    return address + offset
