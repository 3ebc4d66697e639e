"""Values with fields that are the map's own: locks, timers, pointers, lists. They are never copied
in or out, as in the kernel (copy_map_value, check_and_init_map_value): an entry keeps its own, a
new one has zeros, and so has who reads."""

from __future__ import annotations

from osmia.btf import BTF, Array, Ptr, Struct, TypeTag, Volatile
from osmia.named_tuples import NamedTuple
from osmia.object.uapi import MapType

LOCK = "bpf_spin_lock"
POINTER = "kptr"

_T = MapType
_STORAGE = frozenset({_T.SK_STORAGE, _T.INODE_STORAGE, _T.TASK_STORAGE, _T.CGRP_STORAGE})
_LOCKED = _STORAGE | {_T.HASH, _T.ARRAY, _T.CGROUP_STORAGE}
_GRAPHS = frozenset({_T.HASH, _T.LRU_HASH, _T.ARRAY})
_ANY = _STORAGE | _GRAPHS | {_T.PERCPU_HASH, _T.LRU_PERCPU_HASH, _T.PERCPU_ARRAY}
#: The map types that each kind of field can be in (kernel/bpf/syscall.c, map_check_btf).
_ALLOWED = {
    LOCK: _LOCKED,
    "bpf_res_spin_lock": _LOCKED,
    "bpf_timer": _GRAPHS,
    "bpf_wq": _GRAPHS,
    "bpf_task_work": _GRAPHS,
    "bpf_list_head": _GRAPHS,
    "bpf_list_node": _GRAPHS,
    "bpf_rb_root": _GRAPHS,
    "bpf_rb_node": _GRAPHS,
    "bpf_refcount": _ANY,
    POINTER: _ANY,
}
_REPEATED = frozenset({POINTER, "bpf_list_head", "bpf_rb_root"})
_SEVERAL = _REPEATED | {"bpf_list_node", "bpf_rb_node"}
_TAGS = frozenset({"kptr", "kptr_untrusted", "percpu_kptr", "uptr"})
_WORDS = frozenset({LOCK, "bpf_res_spin_lock", "bpf_refcount"})
MOST = 11
"""Fields of a value (BTF_FIELDS_MAX)."""
DEEPEST = 32


class Field(NamedTuple):
    """A special field: the name of its struct (or POINTER), where it is, and bytes."""

    kind: str
    offset: int
    size: int


class _Refused(Exception):
    """The kernel takes no field of such a value for a special one."""


def special_fields(btf: BTF, type_id: int, map_type: MapType | int) -> list[Field]:
    """The special fields of a map's values, in order. None where the kernel finds one that cannot
    be: it has the map then without any (btf_parse_fields), or osmia makes it without types."""
    value = btf.type(btf.resolve(type_id))
    if not isinstance(value, Struct):
        return []
    try:
        found = _fields(btf, value, 0)
    except _Refused:
        return []
    kinds = [field.kind for field in found]
    twice = any(kinds.count(kind) > 1 for kind in set(kinds) - _SEVERAL)
    misplaced = any(map_type not in _ALLOWED[kind] for kind in kinds)
    return [] if twice or misplaced or len(found) > MOST else sorted(found, key=lambda f: f.offset)


def _fields(btf: BTF, value: Struct, depth: int) -> list[Field]:
    """Names are looked at as they stand: what is const or behind a typedef is no special field."""
    if depth >= DEEPEST:
        raise _Refused
    found: list[Field] = []
    for member in value.members:
        if member.bit_offset % 8:
            raise _Refused
        count, of = 1, btf.type(member.type_id)
        while isinstance(of, Array):
            count, of = count * of.count, btf.type(of.element)
        if not count:
            continue
        one, size = _of_type(btf, of, depth)
        if count > 1 and any(field.kind not in _REPEATED for field in one):
            raise _Refused
        for number in range(count if one else 0):
            start = member.bit_offset // 8 + number * size
            found += [field._replace(offset=start + field.offset) for field in one]
            if len(found) > MOST:
                raise _Refused
    return [field for field in found if not field.offset % (4 if field.kind in _WORDS else 8)]


def _of_type(btf: BTF, of: object, depth: int) -> tuple[list[Field], int]:
    """The special fields of a value of a type, and its bytes."""
    if isinstance(of, Struct):
        if of.name in _ALLOWED:
            return [Field(of.name, 0, of.size)], of.size
        return _fields(btf, of, depth + 1), of.size
    if isinstance(of, Volatile):
        of = btf.type(of.target)
    tag = btf.type(of.target) if isinstance(of, Ptr) and of.target else None
    if not isinstance(tag, TypeTag) or tag.attribute:
        return [], 8
    target = btf.type(btf.resolve(tag.target)) if tag.target else None
    if tag.name not in _TAGS or not isinstance(target, Struct):
        raise _Refused
    return [Field(POINTER, 0, 8)], 8
