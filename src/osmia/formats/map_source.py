"""Maps as C: the `.maps` declarations to write in the place of older ones."""

from __future__ import annotations

from collections.abc import Iterator

from osmia.btf import BTF, Array, declaration
from osmia.formats.map_declarations import inner_declaration, map_numbers, map_types
from osmia.object.model import Map, Object
from osmia.object.uapi import MapFlag, MapType

_PINNING = {1: "LIBBPF_PIN_BY_NAME"}


def map_source(obj: Object) -> str:
    """The declarations of all maps of `obj` in C, as <bpf/bpf_helpers.h> has its macros.

    Types are named, not defined: they are those of the source that the object is from.
    Programs that a prog array holds must be declared before it, inner maps too.
    """
    parts = []
    for name in _in_order(obj):
        parts.append("\n".join(_declaration(obj, obj.maps[name])))
    declared = [f"int {target}();" for target in _slot_programs(obj)]
    if declared:
        parts.insert(0, "\n".join(declared))
    return "\n\n".join(parts) + "\n" if parts else ""


def _slot_programs(obj: Object) -> list[str]:
    return sorted(
        {target for each in obj.maps.values() for _, target in each.slots if target not in obj.maps}
    )


def _in_order(obj: Object) -> list[str]:
    """The maps' names, inner maps before those that hold them."""
    outer = [name for name, each in obj.maps.items() if each.slots]
    return [name for name in obj.maps if name not in outer] + outer


def _declaration(obj: Object, definition: Map) -> Iterator[str]:
    yield "struct {"
    yield from _members(obj.btf, definition, "\t")
    if definition.inner is not None:
        yield "\t__array(values, struct {"
        yield from _members(obj.btf, inner_declaration(definition.inner), "\t\t")
        yield "\t});"
    elif definition.type is MapType.PROG_ARRAY and definition.slots:
        yield "\t__array(values, int ());"
    if not definition.slots:
        yield f'}} {definition.name} SEC(".maps");'
        return
    yield f'}} {definition.name} SEC(".maps") = {{'
    yield "\t.values = {"
    for index, target in sorted(definition.slots):
        cast = "(void *)" if target not in obj.maps else ""
        yield f"\t\t[{index}] = {cast}&{target},"
    yield "\t},"
    yield "};"


def _members(btf: BTF | None, definition: Map, indent: str) -> Iterator[str]:
    for name, value in map_numbers(definition).items():
        macro = "__uint" if 0 <= value < 1 << 32 else "__ulong"
        yield f"{indent}{macro}({name}, {_number(name, value)});"
    for name, type_id in map_types(definition).items():
        yield f"{indent}__type({name}, {_type_name(btf, type_id)});"


def _number(name: str, value: int) -> str:
    if name == "type" and value in set(MapType):
        return f"BPF_MAP_TYPE_{MapType(value).name}"
    if name == "pinning" and value in _PINNING:
        return _PINNING[value]
    if name == "map_flags" and MapFlag(value).name:
        return " | ".join(f"BPF_F_{flag.name}" for flag in MapFlag(value))
    return str(value)


def _type_name(btf: BTF | None, type_id: int) -> str:
    if btf is None:
        return "void"
    kind = btf.type(type_id)
    if isinstance(kind, Array):
        # `__type` makes a pointer to it: the array needs a name for that.
        return f"typeof({declaration(btf, kind.element, '')}[{kind.count}])"
    return declaration(btf, type_id, "").strip()
