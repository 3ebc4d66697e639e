"""Which maps there can be: the kernel's rules for each type, with its errno values.

From kernel/bpf/syscall.c (map_create) and the `map_alloc_check` of each type, Linux 6.18.
"""

from __future__ import annotations

import errno
import mmap

from osmia.engine.map_rules import broken_rule
from osmia.errors import KernelError, NotSupportedError
from osmia.object.uapi import MapFlag, MapType
from osmia.records import replace
from osmia.vm.maps.build import OF_GROUPS, PAGE, STORAGE, Definition, is_known

MAX_KEY = 512
"""Bytes: MAX_BPF_STACK, a key has to fit a program's stack here."""
MAX_VALUE = 1 << 22
"""Bytes: what the kernel's allocator gives in one piece."""
MAX_ENTRIES = 1 << 27
MOST_PAGES = (1 << 32) // PAGE
"""Of an arena."""
_LARGEST = {
    MapType.ARRAY: (1 << 31) - 1,
    MapType.PERCPU_ARRAY: 1 << 15,
    MapType.PERCPU_HASH: 1 << 15,
    MapType.LRU_PERCPU_HASH: 1 << 15,
}
"""Bytes of a value, where it is not `MAX_VALUE`: an array is in virtual memory, what is by CPU
in units of its own."""
MAX_STACK = 127
"""Addresses of one stack (PERF_MAX_STACK_DEPTH)."""
MAX_GROUP_VALUE = 3584
"""Bytes: what bpf_get_local_storage can make on its own."""
STORAGE_ENTRIES = 4096
"""How many owners a storage map holds at most, where its definition does not say."""

_F = MapFlag
FD_ACCESS = _F.RDONLY | _F.WRONLY
"""What holds for who made the map only, not for the map."""
_ACCESS = FD_ACCESS | _F.RDONLY_PROG | _F.WRONLY_PROG
_HASH = _F.NO_PREALLOC | _F.NUMA_NODE | _F.ZERO_SEED | _ACCESS
_LRU = _HASH | _F.NO_COMMON_LRU
_OBJECTS = _F.NUMA_NODE | FD_ACCESS

#: The flags that each type may have; a per-CPU map is on all nodes.
_FLAGS: dict[MapType, MapFlag] = {
    MapType.HASH: _HASH,
    MapType.PERCPU_HASH: _HASH & ~_F.NUMA_NODE,
    MapType.LRU_HASH: _LRU,
    MapType.LRU_PERCPU_HASH: _LRU & ~_F.NUMA_NODE,
    MapType.HASH_OF_MAPS: _HASH,
    MapType.ARRAY: _F.NUMA_NODE | _F.MMAPABLE | _F.INNER_MAP | _ACCESS,
    MapType.PERCPU_ARRAY: _ACCESS,
    MapType.PROG_ARRAY: _OBJECTS,
    MapType.PERF_EVENT_ARRAY: _OBJECTS | _F.PRESERVE_ELEMS,
    MapType.ARRAY_OF_MAPS: _OBJECTS,
    MapType.LPM_TRIE: _F.NO_PREALLOC | _F.NUMA_NODE | _ACCESS,
    MapType.DEVMAP: _OBJECTS,
    MapType.DEVMAP_HASH: _OBJECTS,
    MapType.CPUMAP: _F.NUMA_NODE,
    MapType.XSKMAP: _OBJECTS,
    MapType.CGROUP_ARRAY: _OBJECTS,
    MapType.SOCKMAP: _OBJECTS,
    MapType.SOCKHASH: _OBJECTS,
    MapType.REUSEPORT_SOCKARRAY: _F.NUMA_NODE | _ACCESS,
    MapType.STACK_TRACE: _OBJECTS | _F.STACK_BUILD_ID,
    MapType.QUEUE: _F.NUMA_NODE | _ACCESS,
    MapType.STACK: _F.NUMA_NODE | _ACCESS,
    MapType.BLOOM_FILTER: _F.NUMA_NODE | _F.ZERO_SEED | _ACCESS,
    MapType.RINGBUF: _F.NUMA_NODE,
    MapType.USER_RINGBUF: _F.NUMA_NODE,
    MapType.ARENA: _F.MMAPABLE | _F.SEGV_ON_FAULT | _F.NO_USER_CONV,
    **dict.fromkeys(STORAGE, _F.NO_PREALLOC | _F.CLONE),
    **dict.fromkeys(OF_GROUPS, _F.NUMA_NODE | _ACCESS),
}
_WITHOUT_PREALLOCATION = STORAGE - OF_GROUPS | {MapType.LPM_TRIE}
_RINGS = (MapType.RINGBUF, MapType.USER_RINGBUF)
_KEYLESS = (MapType.QUEUE, MapType.STACK, MapType.BLOOM_FILTER)
_SOCKETS = (MapType.SOCKMAP, MapType.SOCKHASH, MapType.REUSEPORT_SOCKARRAY)
_DEVICES = (MapType.DEVMAP, MapType.DEVMAP_HASH)
_KEYS_OF_4 = frozenset(
    {
        MapType.ARRAY,
        MapType.PERCPU_ARRAY,
        MapType.PROG_ARRAY,
        MapType.PERF_EVENT_ARRAY,
        MapType.ARRAY_OF_MAPS,
        MapType.DEVMAP,
        MapType.DEVMAP_HASH,
        MapType.CPUMAP,
        MapType.XSKMAP,
        MapType.CGROUP_ARRAY,
        MapType.SOCKMAP,
        MapType.REUSEPORT_SOCKARRAY,
        MapType.STACK_TRACE,
    }
)
#: Value sizes in bytes, where a type has few.
_VALUE_SIZES = {
    **dict.fromkeys((MapType.PROG_ARRAY, MapType.PERF_EVENT_ARRAY, MapType.XSKMAP), (4,)),
    MapType.CGROUP_ARRAY: (4,),
    **dict.fromkeys(_SOCKETS, (4, 8)),
    **dict.fromkeys((MapType.ARRAY_OF_MAPS, MapType.HASH_OF_MAPS), (4,)),
    **dict.fromkeys((*_DEVICES, MapType.CPUMAP), (4, 8)),
}


def normalised(definition: Definition, cpus: int) -> Definition:
    """The definition as the map will have it; raises KernelError for what no kernel takes."""
    d = definition
    if not is_known(d.type):
        raise NotSupportedError(f"the vm has no maps of type {getattr(d.type, 'name', d.type)}")
    if d.type in STORAGE:
        d = replace(d, key_size=d.key_size or 4, max_entries=d.max_entries or STORAGE_ENTRIES)
    if d.type is MapType.PERF_EVENT_ARRAY and d.max_entries == 0:
        d = replace(d, key_size=4, value_size=4, max_entries=cpus)
    why = _wrong_flags(d) or _wrong_sizes(d)
    if why:
        raise KernelError(why, f"create a map of type {d.type.name}", hint=_hint(d))
    if d.type in _DEVICES:  # as the kernel does on its own
        d = replace(d, flags=d.flags | MapFlag.RDONLY_PROG)
    return d


def _wrong_flags(d: Definition) -> int:
    """0, or the errno value for flags that the type does not have, or not together."""
    if d.type is MapType.ARENA:
        if not d.flags & MapFlag.MMAPABLE or d.map_extra % PAGE:
            return errno.EINVAL
    elif d.map_extra and d.type is not MapType.BLOOM_FILTER:
        return errno.EINVAL
    if _unknown_flags(d):
        return errno.EINVAL
    for pair in (FD_ACCESS, MapFlag.RDONLY_PROG | MapFlag.WRONLY_PROG):
        if d.flags & pair == pair:
            return errno.EINVAL
    if d.type in _WITHOUT_PREALLOCATION and not d.flags & MapFlag.NO_PREALLOC:
        return errno.EINVAL
    lru = d.type in (MapType.LRU_HASH, MapType.LRU_PERCPU_HASH)
    return errno.EOPNOTSUPP if lru and d.flags & MapFlag.NO_PREALLOC else 0


def _unknown_flags(d: Definition) -> int:
    return d.flags & ~int(_FLAGS[d.type])  # a MapFlag's complement has bits with names only


def _wrong_sizes(d: Definition) -> int:
    if d.max_entries <= 0 or d.max_entries > MAX_ENTRIES:
        return errno.EINVAL if d.max_entries <= 0 else errno.E2BIG
    if d.type in _RINGS:
        bad = d.key_size or d.value_size or d.max_entries & (d.max_entries - 1)
        return errno.EINVAL if bad or d.max_entries % mmap.PAGESIZE else 0
    if d.type is MapType.ARENA:
        bad = d.key_size or d.value_size
        return errno.EINVAL if bad else errno.E2BIG if d.max_entries > MOST_PAGES else 0
    if d.type in _KEYLESS:
        bad_rounds = d.type is MapType.BLOOM_FILTER and d.map_extra > 15
        if d.key_size or not d.value_size or bad_rounds:
            return errno.EINVAL
        return errno.E2BIG if d.value_size > MAX_VALUE else 0
    if d.type in OF_GROUPS and d.value_size > MAX_GROUP_VALUE:
        return errno.E2BIG
    if d.value_size not in _VALUE_SIZES.get(d.type, (d.value_size,)):
        return errno.EINVAL
    if d.type in _KEYS_OF_4 and d.key_size != 4:
        return errno.EINVAL
    if d.type is MapType.STACK_TRACE and _wrong_stack(d):
        return errno.EINVAL
    if d.type is MapType.LPM_TRIE and not 5 <= d.key_size <= 4 + 256:
        return errno.EINVAL
    if not d.key_size or not d.value_size:
        return errno.EINVAL
    if d.type is MapType.LPM_TRIE and d.value_size > MAX_VALUE:
        return errno.EINVAL
    if d.key_size > MAX_KEY or d.value_size > _LARGEST.get(d.type, MAX_VALUE):
        return errno.E2BIG
    return 0


def _wrong_stack(d: Definition) -> bool:
    """Whether the values of a map of stacks are none: at most `kernel.perf_event_max_stack`
    addresses, or build ids."""
    size = 32 if d.flags & MapFlag.STACK_BUILD_ID else 8
    return bool(d.value_size < 8 or d.value_size % size or d.value_size // size > MAX_STACK)


def _hint(d: Definition) -> str:
    rule = broken_rule(
        d.type,
        key_size=d.key_size,
        value_size=d.value_size,
        max_entries=0 if d.type in STORAGE else d.max_entries,
        flags=d.flags,
    )
    if rule:
        return rule
    if unknown := _unknown_flags(d):
        return f"{d.type.name} maps have no flags {MapFlag(unknown)!r}"
    return f"key {d.key_size}, value {d.value_size} bytes, {d.max_entries} entries"
