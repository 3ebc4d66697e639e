"""Values with fields that are the map's own: locks, timers, lists. They are never copied in, as in
the kernel (copy_map_value, check_and_init_map_value): an entry keeps its own, a new one has zeros.
"""

from __future__ import annotations

from osmia.btf import BTF, Struct
from osmia.vm.layout import MAP_SPECIAL, MAP_VALUE_SIZE
from osmia.vm.native import copy, field32, field64, load32, native, zero

LOCKS = frozenset({"bpf_spin_lock", "bpf_res_spin_lock"})
SPECIAL = LOCKS | {
    *("bpf_timer", "bpf_wq", "bpf_list_head", "bpf_list_node", "bpf_rb_root", "bpf_rb_node"),
    *("bpf_refcount", "bpf_task_work"),
}
"""Names of structs (kernel/bpf/btf.c, btf_get_field_type)."""

Fields = tuple[tuple[int, int], ...]
"""Offset and size of each in a value, in bytes, in order."""


def special_fields(btf: BTF, type_id: int, at: int = 0) -> list[tuple[str, int, int]]:
    """The special fields of a value of a type: name of its struct, offset, size."""
    found: list[tuple[str, int, int]] = []
    value = btf.type(btf.resolve(type_id))
    for member in value.members if isinstance(value, Struct) else ():
        inner = btf.type(btf.resolve(member.type_id))
        where = at + member.bit_offset // 8
        if isinstance(inner, Struct) and inner.name in SPECIAL:
            found.append((inner.name, where, inner.size))
        elif isinstance(inner, Struct):
            found += special_fields(btf, member.type_id, where)
    return sorted(found, key=lambda field: field[1])


@native
def copy_value(header: int, to: int, source: int, fresh: int) -> int:
    """Copy a value but for its special fields; those of a fresh entry become 0."""
    table = field64(header, MAP_SPECIAL)
    size = field32(header, MAP_VALUE_SIZE)
    if table == 0:
        copy(to, source, size)
        return 0
    done = 0
    while load32(table + 4) != 0:
        at = load32(table)
        copy(to + done, source + done, at - done)
        done = at + load32(table + 4)
        if fresh:
            zero(to + at, load32(table + 4))
        table = table + 8
    copy(to + done, source + done, size - done)
    return 0
