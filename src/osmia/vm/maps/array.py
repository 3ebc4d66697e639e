"""Array maps: values one after the other, found by index (BPF_MAP_TYPE_ARRAY, since 3.19;
per CPU since 4.6). The copies of a per-CPU value lie side by side."""

from __future__ import annotations

from osmia.vm.layout import (
    MAP_CPUS,
    MAP_LOCK_OFFSET,
    MAP_MAX_ENTRIES,
    MAP_STRIDE,
    MAP_VALUES,
)
from osmia.vm.maps.constants import E_2BIG, E_EXIST, E_INVAL, EXIST, LOCK, NOEXIST
from osmia.vm.maps.values import copy_value, copy_value_locked
from osmia.vm.native import field32, field64, load32, load64, native, store64

_FLAGS = EXIST | LOCK | NOEXIST


@native
def array_lookup(header: int, key: int, cpu: int) -> int:
    """The address of the value under the u32 at `key`, or 0."""
    index = load32(key)
    if index >= field32(header, MAP_MAX_ENTRIES):
        return 0
    if field32(header, MAP_CPUS):
        index = index * field32(header, MAP_CPUS) + cpu
    return field64(header, MAP_VALUES) + index * field32(header, MAP_STRIDE)


@native
def array_update(header: int, key: int, value: int, flags: int, cpu: int) -> int:
    """Copy a value under an index."""
    if flags > _FLAGS or flags & (NOEXIST | EXIST) == NOEXIST | EXIST:
        return E_INVAL
    address = array_lookup(header, key, cpu)
    if address == 0:
        return E_2BIG
    if flags & NOEXIST:
        return E_EXIST
    if flags & LOCK and field32(header, MAP_LOCK_OFFSET) == 0:
        return E_INVAL
    if flags & LOCK:
        return copy_value_locked(header, address, value)
    return copy_value(header, address, value, 0)


@native
def array_delete(header: int, key: int) -> int:
    """Array elements cannot be deleted."""
    return E_INVAL


@native
def slot_delete(header: int, key: int) -> int:
    """Empty a slot that holds a number."""
    address = array_lookup(header, key, 0)
    if address == 0 or load64(address) == 0:
        return E_INVAL
    store64(address, 0)
    return 0
