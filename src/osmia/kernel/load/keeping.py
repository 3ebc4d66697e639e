"""What a load was, as a record for the next process; and which loads cannot be kept.

Kept are loads whose outcome follows from the file and, where the kernel's types were asked, from
the kernel's build: see `osmia.prepared`. `NotKeptError` says what is in the way.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

from osmia import cache
from osmia.btf.patch import without_externs
from osmia.engine.reuse import effective
from osmia.errors import OsmiaError
from osmia.formats.open import as_read, read_elf
from osmia.kernel.load import attach_target, image
from osmia.kernel.load.definitions import section_map
from osmia.kernel.load.target import KernelTarget, kernel_target
from osmia.kernel.maps.opening import TYPES_WITHOUT_BTF
from osmia.named_tuples import NamedTuple
from osmia.object.model import DataKind, DataSection, Map, Object, Pinning, Program, RelocationKind
from osmia.object.uapi import MapType, ProgramType
from osmia.passes.layout import ProgramLayout
from osmia.passes.running import running_version
from osmia.passes.stages import Prepared, prepare
from osmia.passes.target import Target
from osmia.prepared import store
from osmia.prepared.asked import IN_KEYS
from osmia.prepared.record import (
    BOUND,
    FIXUP,
    FROZEN,
    MAP,
    SECTION,
    SLOT,
    TEMPLATE,
    WRITTEN,
    ZEROED,
    BrokenRecordError,
    MapRow,
    ProgramRow,
    Record,
    check,
    encoded,
    packed,
)

_PLAIN_SECTIONS = (DataKind.DATA, DataKind.RODATA, DataKind.BSS)
_TO_MAPS = (RelocationKind.MAP, RelocationKind.DATA)
_TO_TYPES = (RelocationKind.KERNEL_FUNCTION, RelocationKind.KERNEL_VARIABLE)


_NO_PLACE = (
    "this kernel has no build id, osmia runs from an archive, or there is no room for the record"
)


class NotKeptError(OsmiaError):
    """A load depends on what is not in a record's key, or does more than records say."""


class Kept(NamedTuple):
    """A record, what it holds for (as in `prepared.store`), and the modules that were loaded."""

    record: Record
    holds_for: str
    modules: str


def keep_load(source: Object, prepared: Prepared, target: Target) -> None:
    """Keep a load without options that went well, once a process for each file; what cannot be
    kept is not."""
    known = as_read(source, "kernel") if cache.lasts() else None
    if known is None or not isinstance(target, KernelTarget):
        return
    known.seen.add("kernel")
    name = store.called(known.name, source.path)
    if store.has(known.data, name):
        return
    try:
        kept = recorded(source, prepared, target)
    except OsmiaError:  # the load went well, and that is what counts
        return
    store.keep(known.data, name, packed, *kept)


def prepare_file(path: str | os.PathLike[str]) -> Kept:
    """Keep what a load of the file on this kernel will be, without loading it: no privileges are
    needed. What the kernel refuses then is loaded in the ordinary way.

    Raises NotKeptError with the reason why it cannot be kept, OSError for a file that cannot be
    read, and what opening and resolving it raise.
    """
    if not cache.lasts():
        raise NotKeptError("there is no cache that lasts (OSMIA_CACHE, XDG_CACHE_HOME, HOME)")
    place = os.fspath(path)
    data = Path(place).read_bytes()
    source, target = read_elf(data, place, ""), kernel_target()
    kept = recorded(source, prepare(source, target), target)
    if not store.keep(data, store.called("", place), packed, *kept):
        raise NotKeptError(_NO_PLACE)
    return kept


def recorded(source: Object, prepared: Prepared, target: KernelTarget) -> Kept:
    """The record of a load of `source`, which its passes made `prepared` of.

    Raises NotKeptError with the reason, and RelocationError as a load would.
    """
    obj = prepared.object
    _check(source)
    maps = _MapRows(obj)
    wanted = [each for each in obj.programs.values() if each.autoload]
    programs = [_program_row(prepared, each, maps, target) for each in wanted]
    btf = without_externs(obj.btf, None) if obj.btf is not None else None
    if btf is not None and btf.string_offset("arg:ctx") is not None:
        raise NotKeptError("its tags of context arguments are read in another way by some kernels")
    asked = target.asked()
    if further := asked - IN_KEYS:
        raise NotKeptError(f"it asks for the kernel's {', '.join(sorted(further))}")
    record = Record(
        obj.name,
        obj.license,
        btf.to_bytes() if btf is not None else b"",
        b"".join(_slots(obj, maps.numbers, [each.name for each in wanted])),
        tuple(maps.rows),
        tuple(programs),
    )
    try:
        check(record)
    except BrokenRecordError as error:
        raise NotKeptError(f"it has numbers that the kernel has no room for ({error})") from None
    versioned = any(each.kernel_version for each in programs) and not obj.kernel_version
    scope = target.scope({*asked, "version"} if versioned else asked)
    return Kept(record, scope, target.modules_then)


def _check(obj: Object) -> None:
    """Refuse what no record has a place for."""
    for map_ in obj.maps.values():
        if map_.type is MapType.ARENA:
            raise NotKeptError(f"map {map_.name!r} is an arena: its address is its first mapping's")
        if map_.exclusive_to or map_.attributes:
            why = "is exclusive to a program" if map_.exclusive_to else "has further attributes"
            raise NotKeptError(f"map {map_.name!r} {why}")
        if map_.pinning != Pinning.NONE or map_.pin_path:
            raise NotKeptError(f"map {map_.name!r} is pinned: what is there already is used")
        if not map_.autocreate:
            raise NotKeptError(f"map {map_.name!r} is not made")
    for section in obj.data_sections.values():
        if section.kind not in _PLAIN_SECTIONS or section.relocations:
            raise NotKeptError(f"section {section.name!r} has more than plain data")
    for program in obj.programs.values():
        _check_program(program)
    if obj.byteorder != sys.byteorder:
        raise NotKeptError(f"it is for {obj.byteorder}-endian machines")
    if obj.jump_tables:
        raise NotKeptError("it has jump tables")
    if obj.remarks:
        raise NotKeptError("opening it warns each time")


def _check_program(program: Program) -> None:
    if program.type in (ProgramType.UNSPEC, ProgramType.EXT, ProgramType.STRUCT_OPS):
        raise NotKeptError(f"program {program.name!r} has type {program.type.name}")
    if attach_target.traces_static_probes(program):
        raise NotKeptError(f"program {program.name!r} is for static probes")


class _MapRows:
    """The rows of an object's maps and data sections, and their numbers by name."""

    def __init__(self, obj: Object) -> None:
        self.rows: list[MapRow] = []
        self.numbers: dict[str, int] = {}
        self.sections: dict[str, int] = {}
        self.constants: list[str] = []
        for definition in obj.maps.values():
            inner = -1
            if definition.inner is not None:
                inner = self._add(definition.inner, TEMPLATE)
            self.numbers[definition.name] = self._add(definition, MAP, inner=inner)
        for section in obj.data_sections.values():
            if section.contents:
                self.sections[section.name] = self._add_section(obj, section)
                if section.kind is DataKind.RODATA:
                    self.constants.append(section.name)

    def of(self, kind: RelocationKind) -> dict[str, int]:
        """The numbers that relocations of a kind mean."""
        return self.numbers if kind is RelocationKind.MAP else self.sections

    def _add_section(self, obj: Object, section: DataSection) -> int:
        definition = section_map(obj.name, section, obj.btf)
        becomes = WRITTEN if section.kind is not DataKind.BSS or any(section.contents) else ZEROED
        if section.kind is DataKind.RODATA:
            becomes = FROZEN
        contents = bytes(section.contents)
        return self._add(definition, SECTION, section.name, contents=contents, becomes=becomes)

    def _add(
        self,
        definition: Map,
        role: int,
        key: str = "",
        *,
        inner: int = -1,
        contents: bytes = b"",
        becomes: int = ZEROED,
    ) -> int:
        # Without a number of entries a perf event array has one a CPU, of which loads know.
        sized = definition if _for_each_cpu(definition) else effective(definition, 0)
        typed = sized.type not in TYPES_WITHOUT_BTF
        row = MapRow(
            int(sized.type),
            sized.key_size,
            sized.value_size,
            sized.max_entries,
            int(sized.flags),
            sized.key_type_id if typed else 0,
            sized.value_type_id if typed else 0,
            sized.numa_node or 0,
            sized.map_extra,
            inner,
            role,
            becomes,
            encoded(sized.name),
            encoded(key or sized.name),
            contents,
        )
        self.rows.append(row)
        return len(self.rows) - 1


def _for_each_cpu(definition: Map) -> bool:
    return definition.type is MapType.PERF_EVENT_ARRAY and not definition.max_entries


def _program_row(
    prepared: Prepared, program: Program, maps: _MapRows, target: KernelTarget
) -> ProgramRow:
    obj, layout = prepared.object, prepared.layout(program.name)
    for relocation in layout.relocations:
        if relocation.kind in _TO_TYPES and relocation.target != image.VMLINUX:
            raise NotKeptError(f"program {program.name!r} uses module {relocation.target!r}")
        if relocation.kind is RelocationKind.KERNEL_SYMBOL:
            what = f"the address of {relocation.target!r}, which changes with each boot"
            raise NotKeptError(f"program {program.name!r} uses {what}")
        if relocation.kind not in (*_TO_MAPS, *_TO_TYPES):
            raise NotKeptError(f"program {program.name!r} uses {relocation.target!r}")
    nothing = image.Numbers(dict.fromkeys(maps.numbers, 0), dict.fromkeys(maps.sections, 0))
    code, _ = image.resolve(layout, nothing, obj.byteorder)
    typed = obj.btf is not None and bool(layout.function_info)
    version = obj.kernel_version
    if not version and program.type is ProgramType.KPROBE:
        version = running_version()
    return ProgramRow(
        int(program.type),
        int(program.expected_attach_type or 0),
        int(program.flags),
        version,
        _attach_type_id(program, target),
        encoded(program.name),
        code,
        layout.function_info if typed else b"",
        layout.line_info if typed else b"",
        b"".join(_fixups(layout, maps)),
        b"".join(_bound(layout, maps)),
    )


def _attach_type_id(program: Program, target: KernelTarget) -> int:
    if not attach_target.needs_target(program):
        return 0
    found = attach_target.find_in_kernel(program, target)
    if found.module != image.VMLINUX:
        raise NotKeptError(f"program {program.name!r} attaches to module {found.module!r}")
    return found.type_id


def _fixups(layout: ProgramLayout, maps: _MapRows) -> Iterator[bytes]:
    for relocation in layout.relocations:
        if relocation.kind in _TO_MAPS:
            yield FIXUP.pack(relocation.offset, maps.of(relocation.kind)[relocation.target])


def _bound(layout: ProgramLayout, maps: _MapRows) -> Iterator[bytes]:
    """The constants that the code does not name: see `loader._bind_constants`."""
    used = {relocation.target for relocation in layout.relocations}
    for name in maps.constants:
        if name not in used:
            yield BOUND.pack(maps.sections[name])


def _slots(obj: Object, numbers: dict[str, int], programs: list[str]) -> Iterator[bytes]:
    for definition in obj.maps.values():
        is_array = definition.type is MapType.PROG_ARRAY
        for index, target in definition.slots:
            if is_array and target not in programs:
                raise NotKeptError(f"prog array {definition.name!r} is for {target!r}, not loaded")
            if not is_array and target not in numbers:
                raise NotKeptError(f"map {definition.name!r} is for {target!r}, which is no map")
            if index >> 32:
                raise NotKeptError(f"map {definition.name!r} has no slot {index}")
            number = programs.index(target) if is_array else numbers[target]
            yield SLOT.pack(numbers[definition.name], index, is_array, number)
