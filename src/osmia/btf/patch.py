"""Small corrections to an object's BTF, made in its bytes: ids and strings stay as they are."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from osmia.btf.layout import struct_order
from osmia.btf.reader import BTF
from osmia.btf.types import DataSec, Func, FuncLinkage, FuncProto, Kind, Var, VarLinkage

_RECORD = 12  # name, info, size or type
_ENTRY = 12  # type, offset, size: struct btf_var_secinfo


@dataclass(slots=True)
class SectionLayout:
    """A data section as the ELF file has it: its size and its variables' offsets, in bytes."""

    size: int
    offsets: Mapping[str, int] = field(default_factory=dict)


def data_sections(btf: BTF) -> list[DataSec]:
    """All DATASECs of `btf`, in order of their ids."""
    return [
        found
        for type_id in btf.ids_of_kind(Kind.DATASEC)
        if isinstance(found := btf.type(type_id), DataSec)
    ]


def corrected(
    btf: BTF, layouts: Mapping[str, SectionLayout], static_functions: Iterable[int] = ()
) -> BTF:
    """`btf` with sizes and offsets of data sections filled in, and some functions made static.

    Compilers leave DATASEC sizes and offsets to the loader, and the kernel refuses BTF
    without them. `layouts` is by section name; `static_functions` are ids of FUNCs.
    """
    order = struct_order(btf.byteorder)
    data = bytearray(btf.to_bytes())
    for section in data_sections(btf):
        layout = layouts.get(section.name)
        if layout is None:
            continue
        start = btf.record_offset(section.id)
        struct.pack_into(f"{order}I", data, start + 8, layout.size)
        for number, entry in enumerate(section.entries):
            offset = layout.offsets.get(btf.name_of(entry.type_id), entry.offset)
            struct.pack_into(f"{order}I", data, start + _RECORD + _ENTRY * number + 4, offset)
        _sort_entries(data, order, start + _RECORD, len(section.entries))
    for type_id in static_functions:
        if isinstance(btf.type(type_id), Func):
            start = btf.record_offset(type_id) + 4
            (info,) = struct.unpack_from(f"{order}I", data, start)
            struct.pack_into(f"{order}I", data, start, info & ~0xFFFF | FuncLinkage.STATIC)
    return BTF(bytes(data), base=btf.base, name=btf.name)


def _sort_entries(data: bytearray, order: str, start: int, count: int) -> None:
    """The kernel wants a section's variables in order of their offsets."""
    end = start + _ENTRY * count
    entries = sorted(struct.iter_unpack(f"{order}III", data[start:end]), key=lambda e: e[1])
    data[start:end] = b"".join(struct.pack(f"{order}III", *entry) for entry in entries)


def without_externs(btf: BTF, extern_sections: Iterable[str]) -> BTF:
    """`btf` as the kernel takes it: what is declared extern looks as if it were defined here.

    The kernel refuses extern linkage, functions as entries of a DATASEC, and variables of
    type void. The sections named become anonymous structs of as many integers, extern
    functions global, extern variables integers. Ids stay as they are; one type may be
    added at the end. libbpf changes BTF to the same purpose.
    """
    named = set(extern_sections)
    sections = [section for section in data_sections(btf) if section.name in named]
    if not sections:
        return btf
    order = struct_order(btf.byteorder)
    data, integer = _with_integer(btf, order)
    for section in sections:
        for entry in section.entries:
            _define(btf, data, order, entry.type_id, integer)
        _make_struct(data, order, btf.record_offset(section.id), len(section.entries), integer)
    return BTF(bytes(data), base=btf.base, name=btf.name)


def _with_integer(btf: BTF, order: str) -> tuple[bytearray, int]:
    """The bytes of `btf`, and the id of an integer of 4 bytes, added if there is none."""
    data = bytearray(btf.to_bytes())
    for type_id in btf.ids_of_kind(Kind.INT):
        if btf.size_of(type_id) == 4:
            return data, type_id
    # Its name is any string that is there: the section's own name would be no identifier.
    record = struct.pack(f"{order}IIII", 0, int(Kind.INT) << 24, 4, 32)
    header_size, _, types_size, strings_start, _ = struct.unpack_from(f"{order}5I", data, 4)
    end = header_size + types_size
    data[end:end] = record
    struct.pack_into(f"{order}I", data, 12, types_size + len(record))
    struct.pack_into(f"{order}I", data, 16, strings_start + len(record))
    return data, len(btf)


def _define(btf: BTF, data: bytearray, order: str, type_id: int, integer: int) -> None:
    start = btf.record_offset(type_id)
    match btf.type(type_id):
        case Func(type_id=prototype):
            name, info = struct.unpack_from(f"{order}II", data, start)
            struct.pack_into(f"{order}I", data, start + 4, info & ~0xFFFF | FuncLinkage.GLOBAL)
            _name_parameters(btf, data, order, prototype, name)
        case Var():
            struct.pack_into(f"{order}I", data, start + 8, integer)
            struct.pack_into(f"{order}I", data, start + 12, VarLinkage.GLOBAL_ALLOCATED)


def _name_parameters(btf: BTF, data: bytearray, order: str, prototype: int, name: int) -> None:
    """Give parameters without a name one: the kernel wants them named in a FUNC's type."""
    kind = btf.type(prototype)
    if not isinstance(kind, FuncProto):
        return
    start = btf.record_offset(prototype) + _RECORD
    for number, parameter in enumerate(kind.parameters):
        if parameter.type_id and not parameter.name:
            struct.pack_into(f"{order}I", data, start + 8 * number, name)


def _make_struct(data: bytearray, order: str, start: int, count: int, integer: int) -> None:
    info = int(Kind.STRUCT) << 24 | count
    struct.pack_into(f"{order}III", data, start, 0, info, 4 * count)
    for number in range(count):
        place = start + _RECORD + _ENTRY * number
        struct.pack_into(f"{order}III", data, place, 0, integer, 32 * number)
