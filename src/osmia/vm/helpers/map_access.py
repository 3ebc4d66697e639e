"""Helpers on maps: bpf_map_lookup_elem and its family, spin locks, tail calls."""

from __future__ import annotations

from osmia.vm.errors import Interrupt
from osmia.vm.helpers.table import GROUPS, Argument, native_helper
from osmia.vm.layout import (
    MAP_CPUS,
    MAP_FLAGS,
    MAP_KEY_SIZE,
    MAP_VALUE_SIZE,
    STATE_CPU,
    STATE_SCRATCH,
)
from osmia.vm.maps.constants import E_INVAL, E_PERM, M32
from osmia.vm.maps.operations import (
    map_at,
    map_delete,
    map_element,
    map_is_outer,
    map_lookup,
    map_push,
    map_take,
    map_update,
)
from osmia.vm.native import (
    cpu_state,
    field32,
    interrupt,
    load32,
    native,
    reachable,
    region_size,
    release32,
    swap32,
    zero,
)

SPIN_LIMIT = 1 << 24
READ_ONLY = 128  # BPF_F_RDONLY_PROG
WRITE_ONLY = 256  # BPF_F_WRONLY_PROG
STORAGE_KEY = 16  # struct bpf_cgroup_storage_key


@native
def the_map(frame: int, handle: int) -> int:
    """The header of a map that a program names; 0 after an interrupt if it is none."""
    header = map_at(handle)
    if header == 0:
        return interrupt(frame, Interrupt.HANDLE, handle)
    return header


@native
def current_cpu(frame: int) -> int:
    """The number of the CPU that a frame belongs to."""
    return load32(cpu_state(frame) + STATE_CPU)


@native
def helper_map_lookup_elem(frame: int, handle: int, key: int) -> int:
    """bpf_map_lookup_elem, since 3.19."""
    header = the_map(frame, handle)
    if header == 0:
        return 0
    where = reachable(frame, key, field32(header, MAP_KEY_SIZE))
    if where == 0 or field32(header, MAP_FLAGS) & WRITE_ONLY:
        return 0
    return map_element(header, where, current_cpu(frame))


@native
def helper_map_update_elem(frame: int, handle: int, key: int, value: int, flags: int) -> int:
    """bpf_map_update_elem, since 3.19."""
    header = the_map(frame, handle)
    if header == 0:
        return E_INVAL
    if field32(header, MAP_FLAGS) & READ_ONLY or map_is_outer(header):
        return E_PERM
    where = reachable(frame, key, field32(header, MAP_KEY_SIZE))
    source = reachable(frame, value, field32(header, MAP_VALUE_SIZE))
    if where == 0 or source == 0:
        return E_INVAL
    return map_update(header, where, source, flags, current_cpu(frame))


@native
def helper_map_delete_elem(frame: int, handle: int, key: int) -> int:
    """bpf_map_delete_elem, since 3.19."""
    header = the_map(frame, handle)
    if header == 0:
        return E_INVAL
    if field32(header, MAP_FLAGS) & READ_ONLY:
        return E_PERM
    where = reachable(frame, key, field32(header, MAP_KEY_SIZE))
    if where == 0:
        return E_INVAL
    return map_delete(header, where)


@native
def helper_map_lookup_percpu_elem(frame: int, handle: int, key: int, cpu: int) -> int:
    """bpf_map_lookup_percpu_elem, since 5.19: 0 for a CPU that is not there."""
    header = the_map(frame, handle)
    if header == 0:
        return 0
    where = reachable(frame, key, field32(header, MAP_KEY_SIZE))
    if where == 0 or cpu & M32 >= field32(header, MAP_CPUS):
        return 0
    return map_lookup(header, where, cpu & M32)


@native
def helper_map_push_elem(frame: int, handle: int, value: int, flags: int) -> int:
    """bpf_map_push_elem, since 4.20."""
    header = the_map(frame, handle)
    if header == 0:
        return E_INVAL
    source = reachable(frame, value, field32(header, MAP_VALUE_SIZE))
    if source == 0:
        return E_INVAL
    return map_push(header, source, flags)


@native
def take_element(frame: int, handle: int, value: int, remove: int) -> int:
    """Pop or peek."""
    header = the_map(frame, handle)
    if header == 0:
        return E_INVAL
    result = reachable(frame, value, field32(header, MAP_VALUE_SIZE))
    if result == 0:
        return E_INVAL
    return map_take(header, result, remove)


@native
def helper_map_pop_elem(frame: int, handle: int, value: int) -> int:
    """bpf_map_pop_elem, since 4.20."""
    return take_element(frame, handle, value, 1)


@native
def helper_map_peek_elem(frame: int, handle: int, value: int) -> int:
    """bpf_map_peek_elem, since 4.20; of a bloom filter, whether it holds the value."""
    return take_element(frame, handle, value, 0)


@native
def helper_get_local_storage(frame: int, handle: int, flags: int) -> int:
    """bpf_get_local_storage, since 4.19: all runs are in one control group, whose key is 0;
    its value is there when it is first asked for."""
    header = the_map(frame, handle)
    if header == 0:
        return 0
    key = cpu_state(frame) + STATE_SCRATCH
    zero(key, STORAGE_KEY)
    cpu = current_cpu(frame)
    found = map_lookup(header, key, cpu)
    if found == 0:
        zero(key + STORAGE_KEY, field32(header, MAP_VALUE_SIZE))
        map_update(header, key, key + STORAGE_KEY, 0, cpu)
        found = map_lookup(header, key, cpu)
    return found


@native
def lock_word(frame: int, address: int) -> int:
    """The aligned word of a program's spin lock."""
    return address & (region_size() - 1) & ~3


@native
def helper_spin_lock(frame: int, address: int) -> int:
    """bpf_spin_lock, since 5.1. A lock that stays taken ends the run."""
    word = lock_word(frame, address)
    tries = 0
    while swap32(word, 0, 1) != 0:
        tries = tries + 1
        if tries > SPIN_LIMIT:
            return interrupt(frame, Interrupt.DEADLOCK, address)
    return 0


@native
def helper_spin_unlock(frame: int, address: int) -> int:
    """bpf_spin_unlock, since 5.1."""
    release32(lock_word(frame, address), 0)
    return 0


native_helper("map_lookup_elem", Argument.MAP, Argument.KEY)
native_helper("map_update_elem", Argument.MAP, Argument.KEY, Argument.VALUE, Argument.ANY)
native_helper("map_delete_elem", Argument.MAP, Argument.KEY)
native_helper("map_lookup_percpu_elem", Argument.MAP, Argument.KEY, Argument.ANY)
native_helper("map_push_elem", Argument.MAP, Argument.VALUE, Argument.ANY)
native_helper("map_pop_elem", Argument.MAP, Argument.RESULT)
native_helper("map_peek_elem", Argument.MAP, Argument.RESULT)
native_helper("get_local_storage", Argument.MAP, Argument.ANY, types=GROUPS)
native_helper("spin_lock", Argument.READ4)
native_helper("spin_unlock", Argument.READ4)
