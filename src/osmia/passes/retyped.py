"""An object with some of its BTF's types taken out: every id and string offset is renewed."""

from __future__ import annotations

import struct
from collections.abc import Callable, Set
from typing import Literal, cast

from osmia.btf import BTF, BTFBuilder
from osmia.btf.references import referenced_ids
from osmia.object.map_attributes import find_attribute
from osmia.object.model import Function, Map, Object
from osmia.records import replace


def without_types(obj: Object, unwanted: Set[int]) -> Object:
    """`obj` without the types `unwanted`, but for those that others refer to."""
    btf = obj.btf
    if btf is None:
        return obj
    dropped = _removable(btf, unwanted)
    if not dropped:
        return obj
    new_ids = {0: 0}
    for type_id in range(1, len(btf)):
        if type_id not in dropped:
            new_ids[type_id] = len(new_ids)
    builder = BTFBuilder(byteorder=cast(Literal["little", "big"], obj.byteorder))
    for type_id in new_ids:
        if type_id:
            builder.add_from(btf, type_id, new_ids)
    return rebuilt(obj, builder, lambda type_id: new_ids.get(type_id, 0))


def _removable(btf: BTF, unwanted: Set[int]) -> set[int]:
    """What of `unwanted` nothing that stays refers to, and nothing that this keeps."""
    dropped = set(unwanted)
    pending = [type_id for type_id in range(1, len(btf)) if type_id not in dropped]
    while pending:
        for referenced in referenced_ids(btf.type(pending.pop())):
            if referenced in dropped:
                dropped.discard(referenced)
                pending.append(referenced)
    return dropped


def rebuilt(obj: Object, builder: BTFBuilder, new: Callable[[int], int]) -> Object:
    """`obj` with the BTF that `builder` has. `new` gives the new ids of its types by the old.

    The strings of its source lines are added to the builder.
    """
    btf = obj.btf
    functions = {
        name: _function(function, obj.byteorder, btf, builder, new)
        for name, function in obj.functions.items()
    }
    sections = {
        name: replace(
            section,
            btf_id=new(section.btf_id),
            contents=bytearray(section.contents),
            variables={
                key: replace(variable, type_id=new(variable.type_id))
                for key, variable in section.variables.items()
            },
        )
        for name, section in obj.data_sections.items()
    }
    externs = {
        name: replace(
            extern,
            type_id=new(extern.type_id),
            btf_id=new(extern.btf_id),
            map=retyped_map(extern.map, new) if extern.map is not None else None,
        )
        for name, extern in obj.externs.items()
    }
    return obj.copy(
        btf=builder.build(btf.name if btf is not None else ""),
        functions=functions,
        maps={name: retyped_map(definition, new) for name, definition in obj.maps.items()},
        data_sections=sections,
        externs=externs,
    )


def _function(
    function: Function,
    byteorder: str,
    btf: BTF | None,
    builder: BTFBuilder,
    new: Callable[[int], int],
) -> Function:
    if btf is None:
        return function
    record = struct.Struct("<4I" if byteorder == "little" else ">4I")
    lines = b"".join(
        record.pack(
            slot,
            builder.add_string(btf.string(file)),
            builder.add_string(btf.string(text)),
            place,
        )
        for slot, file, text, place in record.iter_unpack(function.line_info)
    )
    return replace(
        function,
        btf_id=new(function.btf_id),
        line_info=lines,
        core_relocations=tuple(
            each._replace(type_id=new(each.type_id)) for each in function.core_relocations
        ),
    )


def retyped_map(definition: Map, new: Callable[[int], int]) -> Map:
    """A map with its types by the ids that `new` gives for the old ones."""
    attributes = {
        name: new(value)
        if (attribute := find_attribute(name)) is not None and attribute.is_type
        else value
        for name, value in definition.attributes.items()
    }
    return replace(
        definition,
        key_type_id=new(definition.key_type_id),
        value_type_id=new(definition.value_type_id),
        btf_id=new(definition.btf_id),
        inner=retyped_map(definition.inner, new) if definition.inner is not None else None,
        attributes=attributes,
    )
