"""Which loads into a vm are kept for the next process, and what of them.

Kept are loads whose outcome follows from the file and, where the kernel's types were asked, from
the kernel's build (`osmia.prepared`): of objects without externs, prog arrays and maps in maps.
"""

from __future__ import annotations

from collections.abc import Mapping

from osmia import cache
from osmia.formats.open import as_read
from osmia.object.model import DataKind, Object, Program, RelocationKind
from osmia.object.uapi import MapType, ProgramType
from osmia.passes.layout import ProgramLayout
from osmia.passes.stages import Prepared
from osmia.passes.target import Target
from osmia.prepared import store
from osmia.prepared.asked import IN_KEYS
from osmia.prepared.record import FIXUP, encoded
from osmia.vm.loaded import VmObject
from osmia.vm.maps.body import OUTER
from osmia.vm.maps.raw import VmMap
from osmia.vm.patches import MAP_FD, MAP_VALUE, patch
from osmia.vm.record import MapRow, ProgramRow, SectionRow, VmRecord, packed
from osmia.vm.target import VmTarget

_PLAIN_SECTIONS = (DataKind.DATA, DataKind.RODATA, DataKind.BSS)
_TO_MAPS = (RelocationKind.MAP, RelocationKind.DATA)


def keep_load(
    loaded: VmObject, sections: Mapping[str, VmMap], prepared: Prepared, target: Target
) -> None:
    """Keep a load without options that went well, once a process for each file; what cannot be
    kept is not."""
    source = loaded.source
    known = as_read(source, "vm")
    if known is None or not isinstance(target, VmTarget):
        return
    known.seen.add("vm")
    name = store.called(known.name, source.path)
    asked = target.asked()
    if not cache.lasts() or not asked <= IN_KEYS or store.has(known.data, name, "vm"):
        return
    wanted = [each for each in prepared.object.programs.values() if each.autoload]
    layouts = {each.name: prepared.layout(each.name) for each in wanted}
    if _can_be_kept(source, prepared.object, layouts):
        record = _recorded(loaded, sections, layouts)
        scope = target.scope(asked)
        store.keep(known.data, name, packed, record, scope, target.modules_then, "vm")


def _can_be_kept(source: Object, obj: Object, layouts: Mapping[str, ProgramLayout]) -> bool:
    return (
        not source.externs
        and not obj.jump_tables
        and not source.remarks
        and all(_is_plain_map(each.type) and each.inner is None for each in obj.maps.values())
        and all(
            each.kind in _PLAIN_SECTIONS and not each.relocations
            for each in obj.data_sections.values()
        )
        and all(isinstance(each.type, ProgramType) for each in obj.programs.values())
        and not any(each.unresolved for each in layouts.values())
        and all(each.kind in _TO_MAPS for one in layouts.values() for each in one.relocations)
    )


def _is_plain_map(kind: MapType | int) -> bool:
    return isinstance(kind, MapType) and kind is not MapType.PROG_ARRAY and kind not in OUTER


def _recorded(
    loaded: VmObject, sections: Mapping[str, VmMap], layouts: Mapping[str, ProgramLayout]
) -> VmRecord:
    obj = loaded.object
    numbers = {(RelocationKind.MAP, name): n for n, name in enumerate(loaded.maps)}
    for number, name in enumerate(sections, len(numbers)):
        numbers[RelocationKind.DATA, name] = number
    return VmRecord(
        obj.name,
        tuple(_map_row(loaded, name) for name in loaded.maps),
        tuple(
            SectionRow(
                obj.data_sections[name].kind is DataKind.RODATA,
                encoded(name),
                encoded(held.name),
                bytes(obj.data_sections[name].contents),
            )
            for name, held in sections.items()
        ),
        tuple(
            _program_row(obj.programs[name], loaded.programs[name].signature, layout, numbers)
            for name, layout in layouts.items()
        ),
    )


def _map_row(loaded: VmObject, name: str) -> MapRow:
    held, made = loaded.object.maps[name], loaded.maps[name].raw.body.definition
    return MapRow(
        int(made.type),
        made.key_size,
        made.value_size,
        0 if made.type is MapType.PERF_EVENT_ARRAY and not held.max_entries else made.max_entries,
        int(held.flags),
        made.map_extra,
        -1 if made.lock_offset is None else made.lock_offset,
        encoded(name),
        b"".join(FIXUP.pack(*field) for field in made.special),
    )


def _program_row(
    program: Program,
    signature: str,
    layout: ProgramLayout,
    numbers: Mapping[tuple[RelocationKind, str], int],
) -> ProgramRow:
    code, fixups = bytearray(layout.code), []
    for each in layout.relocations:
        if each.kind is RelocationKind.MAP:
            patch(code, each.offset, MAP_FD, 0)
        else:
            patch(code, each.offset, MAP_VALUE, 0, each.addend)
        fixups.append(FIXUP.pack(each.offset, numbers[each.kind, each.target]))
    attach = program.expected_attach_type
    return ProgramRow(
        int(program.type),
        -1 if attach is None else int(attach),
        encoded(program.name),
        signature.encode(),
        bytes(code),
        b"\0".join(f"{slot} ".encode() + encoded(name) for slot, name in layout.functions),
        b"".join(fixups),
    )
