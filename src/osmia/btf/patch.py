"""Small corrections to an object's BTF, made in its bytes: ids and strings stay as they are."""

from __future__ import annotations

import struct
from collections.abc import Collection, Iterable, Mapping
from itertools import chain
from operator import itemgetter

from osmia.btf.additions import Additions
from osmia.btf.layout import KIND_MASK, KIND_SHIFT, kind_in, struct_order
from osmia.btf.reader import BTF
from osmia.btf.types import DataSec, Func, FuncLinkage, FuncProto, Kind, Var, VarLinkage
from osmia.named_tuples import NamedTuple

_RECORD = 12  # name, info, size or type
_ENTRY = 12  # type, offset, size: struct btf_var_secinfo
# As numbers: asking an enumeration for a member takes as long as the rest of what is done with it.
_VAR, _STATIC = int(Kind.VAR), int(VarLinkage.STATIC)
MAPS_SECTION = ".maps"
SYMBOLS_SECTION = ".ksyms"
CONFIG_SECTION = ".kconfig"


class SectionLayout(NamedTuple):
    """A data section as the ELF file has it: its size and its variables' offsets, in bytes.

    `hidden` are the variables that other objects shall not see: static for the kernel.
    """

    size: int
    offsets: Mapping[str, int] = {}
    hidden: frozenset[str] = frozenset()


def corrected(
    btf: BTF, layouts: Mapping[str, SectionLayout], static_functions: Iterable[int] = ()
) -> BTF:
    """`btf` with sizes and offsets of data sections filled in, and some functions made static.

    Compilers leave DATASEC sizes and offsets to the loader, and the kernel refuses BTF
    without them. `layouts` is by section name; `static_functions` are ids of FUNCs.
    """
    order = struct_order(btf.byteorder)
    data = bytearray(btf.view())
    changed = list(static_functions)
    for function in changed:
        _set_linkage(btf, data, order, function, FuncLinkage.STATIC)
    for section in btf.ids_of_kind(Kind.DATASEC):
        name, _, _, *words = btf.words(section)
        layout = layouts.get(btf.string(name))
        if layout is None:
            continue
        changed.append(section)
        entries = []
        for variable, offset, size in zip(words[0::3], words[1::3], words[2::3], strict=True):
            named, info, *rest = btf.words(variable)
            # A static variable's offset is there already, and its name may not be the only one.
            if info >> KIND_SHIFT & KIND_MASK == _VAR and rest[1] != _STATIC:
                text = btf.string(named)
                offset = layout.offsets.get(text, offset)
                if text in layout.hidden:
                    place = btf.record_offset(variable) + _RECORD
                    struct.pack_into(f"{order}I", data, place, VarLinkage.STATIC)
                    changed.append(variable)
            entries.append((variable, offset, size))
        _write_section(data, order, btf.record_offset(section), layout.size, entries)
    return btf.with_words(data, changed) if changed else btf


def visible(btf: BTF, functions: Iterable[int], variables: Iterable[int]) -> BTF:
    """`btf` with these FUNCs and VARs global, which `corrected` made static because they are
    hidden: other objects may define or declare them, too."""
    order = struct_order(btf.byteorder)
    data = bytearray(btf.view())
    changed = [*functions, *variables]
    for type_id in changed:
        if btf.kind_of(type_id) == Kind.VAR:
            _set_allocated(btf, data, order, type_id)
        else:
            _set_linkage(btf, data, order, type_id, FuncLinkage.GLOBAL)
    return btf.with_words(data, changed) if changed else btf


def _set_linkage(btf: BTF, data: bytearray, order: str, function: int, linkage: int) -> None:
    """Change a function's linkage; nothing for a type that is no FUNC."""
    info = btf.words(function)[1]
    if kind_in(info) == Kind.FUNC:
        place = btf.record_offset(function) + 4
        struct.pack_into(f"{order}I", data, place, info & ~0xFFFF | linkage)


def _write_section(
    data: bytearray, order: str, start: int, size: int, entries: list[tuple[int, int, int]]
) -> None:
    """Write the size and the entries of the DATASEC at `start`; the kernel wants them by offset."""
    entries.sort(key=itemgetter(1))
    fields = f"{order}{1 + 3 * len(entries)}I"
    struct.pack_into(fields, data, start + 8, size, *chain.from_iterable(entries))


def as_defined(btf: BTF, ids: Iterable[int]) -> BTF:
    """`btf` with these extern variables and functions as if they were defined here.

    The kernel takes no others. Parameters without a name, which only declarations have, get
    one, and the entries of `.maps` places: an extern map has none. Ids stay as they are.
    """
    chosen = list(ids)
    if not chosen:
        return btf
    order = struct_order(btf.byteorder)
    added = Additions(btf)
    data = bytearray(btf.view())
    name = 0
    for type_id in chosen:
        declared = btf.type(type_id)
        if isinstance(declared, Var):
            _set_allocated(btf, data, order, type_id)
        elif isinstance(declared, Func):
            _set_linkage(btf, data, order, type_id, FuncLinkage.GLOBAL)
            name = name or added.add_string("argument")
            _name_parameters(btf, data, order, declared.type_id, name)
    maps = btf.type(btf.find(MAPS_SECTION, Kind.DATASEC))
    if isinstance(maps, DataSec) and any(entry.type_id in chosen for entry in maps.entries):
        _place_entries(btf, data, order, maps, chosen)
    return BTF(added.append_to(data), base=btf.base, name=btf.name)


def _place_entries(
    btf: BTF, data: bytearray, order: str, section: DataSec, unplaced: Collection[int]
) -> None:
    """Give entries of a DATASEC that have no place one behind the others."""
    end, entries = section.size, []
    for type_id, offset, size in section.entries:
        if type_id in unplaced:
            offset, end = end, end + size
        entries.append((type_id, offset, size))
    _write_section(data, order, btf.record_offset(section.id), end, entries)


def without_externs(btf: BTF, config: SectionLayout | None = None) -> BTF:
    """`btf` as the kernel takes it: what is declared extern looks as if it were defined here.

    The kernel refuses extern linkage, functions as entries of a DATASEC, and variables of
    type void. Variables of `.kconfig` become allocated ones, laid out as `config` says; of
    `.ksyms`, integers; extern functions become global, and a variable "dummy_ksym" stands in
    the section for each. Ids stay as they are, new types and strings stand at the end. All
    this is what libbpf hands to the kernel, byte for byte.
    """
    symbols, values = (
        btf.type(btf.find(name, Kind.DATASEC)) for name in (SYMBOLS_SECTION, CONFIG_SECTION)
    )
    has_symbols = isinstance(symbols, DataSec)
    has_values = isinstance(values, DataSec) and config is not None
    if not has_symbols and not has_values:
        return btf
    order = struct_order(btf.byteorder)
    added = Additions(btf)
    data = bytearray(btf.view())
    if isinstance(values, DataSec) and config is not None:
        _allocate(btf, data, order, values, config)
    if isinstance(symbols, DataSec):
        _define_symbols(btf, data, order, symbols, added)
    return BTF(added.append_to(data), base=btf.base, name=btf.name)


def _allocate(
    btf: BTF, data: bytearray, order: str, section: DataSec, layout: SectionLayout
) -> None:
    entries = []
    for type_id, offset, size in section.entries:
        if isinstance(btf.type(type_id), Var):
            _set_allocated(btf, data, order, type_id)
        entries.append((type_id, layout.offsets.get(btf.name_of(type_id), offset), size))
    _write_section(data, order, btf.record_offset(section.id), layout.size, entries)


def _define_symbols(
    btf: BTF, data: bytearray, order: str, section: DataSec, added: Additions
) -> None:
    stand_in = stand_in_name = 0
    start = btf.record_offset(section.id)
    struct.pack_into(f"{order}I", data, start + 8, 4 * len(section.entries))
    for number, entry in enumerate(section.entries):
        type_id = entry.type_id
        declared = btf.type(type_id)
        if isinstance(declared, Func):
            _set_linkage(btf, data, order, type_id, FuncLinkage.GLOBAL)
            if not stand_in:
                integer = added.integer()
                stand_in_name = added.add_string("dummy_ksym")
                words = (int(Kind.VAR) << 24, integer, VarLinkage.GLOBAL_ALLOCATED)
                stand_in = added.add_type(stand_in_name, *words)
            type_id = stand_in
            _name_parameters(btf, data, order, declared.type_id, stand_in_name)
        elif isinstance(declared, Var):
            _set_allocated(btf, data, order, type_id)
            place = btf.record_offset(type_id) + 8
            struct.pack_into(f"{order}I", data, place, added.integer())
        place = start + _RECORD + _ENTRY * number
        struct.pack_into(f"{order}III", data, place, type_id, 4 * number, 4)


def _set_allocated(btf: BTF, data: bytearray, order: str, variable: int) -> None:
    place = btf.record_offset(variable) + _RECORD
    struct.pack_into(f"{order}I", data, place, VarLinkage.GLOBAL_ALLOCATED)


def _name_parameters(btf: BTF, data: bytearray, order: str, prototype: int, name: int) -> None:
    """Give parameters without a name one: the kernel wants them named in a FUNC's type."""
    kind = btf.type(prototype)
    if not isinstance(kind, FuncProto):
        return
    start = btf.record_offset(prototype) + _RECORD
    for number, parameter in enumerate(kind.parameters):
        if parameter.type_id and not parameter.name:
            struct.pack_into(f"{order}I", data, start + 8 * number, name)
