"""Small corrections to an object's BTF, made in its bytes: ids and strings stay as they are."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from osmia.btf.layout import struct_order
from osmia.btf.reader import BTF
from osmia.btf.types import DataSec, Func, FuncLinkage, Kind

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
