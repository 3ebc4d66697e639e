"""Whether two objects mean the same map by one name: the whole definition counts.

Whoever joins objects asks this, of a definition and a declaration (`extern`) or of two
definitions of which one is weak. The rules are libbpf's (tools/lib/bpf/linker.c,
map_defs_match), and what libbpf does not know counts as well.
"""

from __future__ import annotations

from osmia.btf.agreement import disagreement
from osmia.btf.c.format import declaration
from osmia.btf.reader import BTF
from osmia.btf.types import Var, VarLinkage
from osmia.object.map_attributes import find_attribute
from osmia.object.model import Map, Object
from osmia.object.uapi import MapType


def map_disagreement(a: Map, btf_a: BTF | None, b: Map, btf_b: BTF | None) -> str | None:
    """None when the definitions agree, else every difference in words, `a`'s side first.

    Names, slots and what symbols say (weak, hidden) do not count, and types only where both
    objects have some.
    """
    found = _differences(a, btf_a, b, btf_b)
    if (a.inner is None) != (b.inner is None):
        sides = ["none" if each is None else "one" for each in (a.inner, b.inner)]
        found.append(f"template of inner maps: {sides[0]} and {sides[1]}")
    elif a.inner is not None and b.inner is not None:
        found += [f"inner map's {each}" for each in _differences(a.inner, btf_a, b.inner, btf_b)]
    return "; ".join(found) or None


def is_static_map(obj: Object, definition: Map) -> bool:
    """Whether other objects do not see a map: not symbols say so, but its declaration does."""
    if obj.btf is None or not definition.btf_id or definition.hidden:
        return False
    variable = obj.btf.type(definition.btf_id)
    return isinstance(variable, Var) and variable.linkage == VarLinkage.STATIC


def map_declaration(definition: Map, btf: BTF | None) -> str:
    """A map's definition in a line of C, as <bpf/bpf_helpers.h> has its macros."""
    return f"struct {{ {_members(definition, btf)} }} {definition.name}"


def _members(definition: Map, btf: BTF | None) -> str:
    told = _types(definition).items() if btf is not None else ()
    types = {name: each for name, each in told if each}
    members = [
        f"__uint({name}, {_as_c(name, number)});"
        for name, number in _numbers(definition).items()
        if number and name.removesuffix("_size") not in types
    ]
    for name, type_id in types.items():
        assert btf is not None
        members.append(f"__type({name}, {declaration(btf, type_id, '').strip()});")
    if definition.inner is not None:
        members.append(f"__array(values, struct {{ {_members(definition.inner, btf)} }});")
    return " ".join(members)


def _differences(a: Map, btf_a: BTF | None, b: Map, btf_b: BTF | None) -> list[str]:
    mine, other = _numbers(a), _numbers(b)
    found = [
        f"{name}: {_told(name, mine.get(name))} and {_told(name, other.get(name))}"
        for name in mine | other
        if mine.get(name) != other.get(name)
    ]
    types_a, types_b = _types(a), _types(b)
    for name in types_a | types_b:
        id_a, id_b = types_a.get(name, 0), types_b.get(name, 0)
        if bool(id_a) != bool(id_b):
            sides = ["one" if each else "none" for each in (id_a, id_b)]
            found.append(f"{name} type: {sides[0]} and {sides[1]}")
        elif id_a and btf_a is not None and btf_b is not None:
            difference = disagreement(btf_a, id_a, btf_b, id_b)
            found += [f"{name} type: {difference}"] if difference else []
    return found


def _as_c(name: str, number: int) -> str:
    return f"BPF_MAP_TYPE_{_told(name, number).upper()}" if name == "type" else str(number)


def _numbers(definition: Map) -> dict[str, int | None]:
    numbers = {
        "type": int(definition.type),
        "key_size": definition.key_size,
        "value_size": definition.value_size,
        "max_entries": definition.max_entries,
        "map_flags": definition.flags,
        "numa_node": definition.numa_node,
        "map_extra": definition.map_extra,
        "pinning": int(definition.pinning),
    }
    return numbers | _attributes(definition, types=False)


def _types(definition: Map) -> dict[str, int]:
    types = {"key": definition.key_type_id, "value": definition.value_type_id}
    return types | _attributes(definition, types=True)


def _attributes(definition: Map, *, types: bool) -> dict[str, int]:
    return {
        name: value
        for name, value in definition.attributes.items()
        if ((attribute := find_attribute(name)) is not None and attribute.is_type) == types
    }


def _told(name: str, number: int | None) -> str:
    if number is None:
        return "none"
    if name == "type":
        known = next((each for each in MapType if each == number), None)
        return known.name.lower() if known is not None else str(number)
    return f"{number:#x}" if name in ("map_flags", "map_extra") else str(number)
