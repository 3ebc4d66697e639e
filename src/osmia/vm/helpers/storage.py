"""Helpers on local storage: a value for each socket, task, inode or control group.

There are none of these here: the owner is a number, the low half of the pointer that a program
has of it. That of the running task is the thread's.
"""

from __future__ import annotations

from osmia.vm.helpers.map_access import current_cpu, the_map
from osmia.vm.helpers.table import Argument, native_helper
from osmia.vm.layout import MAP_VALUE_SIZE, MAP_VALUES, STATE_SCRATCH
from osmia.vm.maps.constants import E_INVAL, M32
from osmia.vm.maps.operations import map_delete, map_lookup, map_update
from osmia.vm.native import cpu_state, field32, field64, native, reachable, store64, zero

CREATE = 1  # BPF_LOCAL_STORAGE_GET_F_CREATE


@native
def storage_key(frame: int, owner: int) -> int:
    """Where the key of an owner is put for map operations."""
    key = cpu_state(frame) + STATE_SCRATCH
    store64(key, owner & M32)
    return key


@native
def helper_storage_get(frame: int, handle: int, owner: int, value: int, flags: int) -> int:
    """bpf_sk_storage_get, since 5.2, and its like: the value's address, or 0; with CREATE it is
    made where there is none, as `value` or of zeros."""
    header = the_map(frame, handle)
    if header == 0 or owner == 0 or flags & ~CREATE:
        return 0
    key = storage_key(frame, owner)
    cpu = current_cpu(frame)
    found = map_lookup(header, key, cpu)
    if found != 0 or flags == 0:
        return found
    source = field64(header, MAP_VALUES)  # any, to be overwritten
    if value != 0:
        source = reachable(frame, value, field32(header, MAP_VALUE_SIZE))
    if source == 0 or map_update(header, key, source, 0, cpu) != 0:
        return 0
    found = map_lookup(header, key, cpu)
    if value == 0 and found != 0:
        zero(found, field32(header, MAP_VALUE_SIZE))
    return found


@native
def helper_storage_delete(frame: int, handle: int, owner: int) -> int:
    """bpf_sk_storage_delete, since 5.2, and its like."""
    header = the_map(frame, handle)
    if header == 0 or owner == 0:
        return E_INVAL
    return map_delete(header, storage_key(frame, owner))


for _owner in ("sk", "inode", "task", "cgrp"):
    native_helper(
        f"{_owner}_storage_get",
        *(Argument.MAP, Argument.ANY, Argument.INITIAL, Argument.ANY),
        function="helper_storage_get",
    )
    native_helper(
        f"{_owner}_storage_delete",
        *(Argument.MAP, Argument.ANY),
        function="helper_storage_delete",
    )
