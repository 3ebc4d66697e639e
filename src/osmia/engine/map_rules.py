"""Which rule a map's definition breaks, in words: what EINVAL and E2BIG of its creation mean.

From kernel/bpf/syscall.c (map_create) and the `map_alloc_check` of each type, Linux 6.18.
"""

from __future__ import annotations

import mmap

from osmia.object.uapi import MAPS_IN_MAPS, MapFlag, MapType

#: Bytes of a value that is there for each CPU: PCPU_MIN_UNIT_SIZE.
MAX_PER_CPU = 1 << 15

_T = MapType
_LOCAL = frozenset({_T.SK_STORAGE, _T.INODE_STORAGE, _T.TASK_STORAGE, _T.CGRP_STORAGE})
_OF_GROUPS = frozenset({_T.CGROUP_STORAGE, _T.PERCPU_CGROUP_STORAGE})
_UNCOUNTED = _LOCAL | _OF_GROUPS | {_T.STRUCT_OPS}
_RINGS = (_T.RINGBUF, _T.USER_RINGBUF)
_KEYLESS = (_T.QUEUE, _T.STACK, _T.BLOOM_FILTER)
_PER_CPU = (_T.PERCPU_ARRAY, _T.PERCPU_HASH, _T.LRU_PERCPU_HASH)
_KEYS_OF_4 = frozenset(
    {
        _T.ARRAY,
        _T.PERCPU_ARRAY,
        _T.PROG_ARRAY,
        _T.PERF_EVENT_ARRAY,
        _T.CGROUP_ARRAY,
        _T.ARRAY_OF_MAPS,
        _T.DEVMAP,
        _T.DEVMAP_HASH,
        _T.SOCKMAP,
        _T.CPUMAP,
        _T.XSKMAP,
        _T.REUSEPORT_SOCKARRAY,
        _T.STACK_TRACE,
        _T.STRUCT_OPS,
        _T.INSN_ARRAY,
        *_LOCAL,
    }
)
#: Value sizes in bytes, where a type has few.
_VALUES = {
    **dict.fromkeys((_T.PROG_ARRAY, _T.PERF_EVENT_ARRAY, _T.CGROUP_ARRAY, _T.XSKMAP), (4,)),
    **dict.fromkeys(MAPS_IN_MAPS, (4,)),
    **dict.fromkeys((_T.DEVMAP, _T.DEVMAP_HASH, _T.CPUMAP, _T.SOCKMAP, _T.SOCKHASH), (4, 8)),
}


def broken_rule(
    kind: MapType | int,
    *,
    key_size: int = 0,
    value_size: int = 0,
    max_entries: int = 0,
    flags: int = 0,
    has_inner: bool = True,
) -> str:
    """The first rule that a map of these sizes (bytes) and flags breaks; "" for none known."""
    if kind not in MapType._value2member_map_:
        return ""
    kind = MapType(kind)
    sizes = _of_entries(kind, max_entries) or _of_keys(kind, key_size)
    return _of_flags(kind, flags, has_inner) or sizes or _of_values(kind, value_size)


def _of_flags(kind: MapType, flags: int, has_inner: bool) -> str:
    if kind in MAPS_IN_MAPS and not has_inner:
        return "a map in maps needs a template of its inner maps"
    if kind in (*_LOCAL, _T.LPM_TRIE) and not flags & MapFlag.NO_PREALLOC:
        return f"{kind.name} maps need BPF_F_NO_PREALLOC"
    if kind is _T.ARENA and not flags & MapFlag.MMAPABLE:
        return "arenas need BPF_F_MMAPABLE"
    for one, other in (("RDONLY", "WRONLY"), ("RDONLY_PROG", "WRONLY_PROG")):
        if flags & MapFlag[one] and flags & MapFlag[other]:
            return f"BPF_F_{one} and BPF_F_{other} exclude each other"
    return ""


def _of_entries(kind: MapType, count: int) -> str:
    if kind in _LOCAL | _OF_GROUPS:
        return f"max_entries of {kind.name} maps is 0, not {count:,}" if count else ""
    if not count and kind not in _UNCOUNTED:
        return "max_entries is 0; set it before load"
    if kind in _RINGS and (count & (count - 1) or count % mmap.PAGESIZE):
        return (
            f"max_entries of a ring is its size in bytes, a power of two of at least a page"
            f" ({mmap.PAGESIZE:,}), not {count:,}"
        )
    return ""


def _of_keys(kind: MapType, size: int) -> str:
    if kind in (*_RINGS, *_KEYLESS, _T.ARENA):
        return f"{kind.name} maps have no keys: key_size is 0, not {size}" if size else ""
    if kind in _KEYS_OF_4:
        return f"keys of {kind.name} maps have 4 bytes, not {size}" if size != 4 else ""
    if kind is _T.LPM_TRIE and not 5 <= size <= 4 + 256:
        return f"keys of LPM_TRIE maps are a prefix length and 1 to 256 bytes, not {size} in all"
    if kind in _OF_GROUPS:
        return ""
    return "" if size else "key_size is 0"


def _of_values(kind: MapType, size: int) -> str:
    if kind in (*_RINGS, _T.ARENA):
        return f"{kind.name} maps have no values: value_size is 0, not {size}" if size else ""
    if kind in _VALUES:
        few = _VALUES[kind]
        said = " or ".join(map(str, few))
        return "" if size in few else f"values of {kind.name} maps have {said} bytes, not {size}"
    if not size:
        return "value_size is 0"
    if kind in _PER_CPU and -(-size // 8) * 8 > MAX_PER_CPU:
        return f"a value for each CPU has at most {MAX_PER_CPU:,} bytes, not {size:,}"
    if kind is _T.STACK_TRACE and size % 8:
        return f"values of STACK_TRACE maps are addresses of 8 bytes, not {size} bytes in all"
    return ""
