"""An object of iproute2's dialect as one of libbpf's: an Object that libbpf 1.x would open.

Maps keep their names and shapes and become BTF-defined; ids become `values`; programs get
the section names that tell libbpf their types. Code stays as it is, so the kernel computes
the same tags. `write_object` writes the result.
"""

from __future__ import annotations

from typing import Literal, cast

from osmia.btf import BTFBuilder, DataSec, Int, Kind
from osmia.errors import ObjectFormatError, OsmiaError
from osmia.object.map_attributes import MAX_VALUES, values_count
from osmia.object.model import Map, Object, Pinning, Program, RelocationKind
from osmia.object.sections import (
    ANNOTATION_SECTION,
    ANNOTATION_STRUCT,
    LEGACY_MAPS,
    TEXT,
    find_section,
    section_of_type,
    tail_call_of,
)
from osmia.object.uapi import MAPS_IN_MAPS, MapType, ProgramType
from osmia.passes.retyped import rebuilt, without_types
from osmia.records import dataclass, replace

#: Maps whose keys or values the kernel does not let BTF describe as plain numbers.
_UNTYPED = frozenset(
    {
        MapType.PROG_ARRAY,
        MapType.PERF_EVENT_ARRAY,
        MapType.CGROUP_ARRAY,
        MapType.CGROUP_STORAGE,
        MapType.PERCPU_CGROUP_STORAGE,
        MapType.STACK_TRACE,
        MapType.ARRAY_OF_MAPS,
        MapType.HASH_OF_MAPS,
        MapType.DEVMAP,
        MapType.DEVMAP_HASH,
        MapType.CPUMAP,
        MapType.XSKMAP,
        MapType.SOCKMAP,
        MapType.SOCKHASH,
        MapType.QUEUE,
        MapType.STACK,
        MapType.RINGBUF,
        MapType.USER_RINGBUF,
    }
)
_INTEGERS = {1: "unsigned char", 2: "unsigned short", 4: "unsigned int", 8: "unsigned long long"}


@dataclass(frozen=True, slots=True)
class Conversion:
    """A converted object, what it cannot express, and what its user has to know.

    With `problems` the object does less than the old one; `notes` are about its loading.
    """

    object: Object
    problems: tuple[str, ...]
    notes: tuple[str, ...]


def convert(obj: Object, program_type: ProgramType | None = None) -> Conversion:
    """`obj` in libbpf's dialect. `program_type` is that of programs whose type is not told.

    Raises ObjectFormatError for types that no sound BTF holds.
    """
    try:
        return _Converter(obj, program_type).convert()
    except ValueError as error:
        if isinstance(error, OsmiaError):
            raise
        raise ObjectFormatError(str(error), file=obj.path or None) from error


class _Converter:
    def __init__(self, obj: Object, program_type: ProgramType | None) -> None:
        self.obj = obj.copy(dialect="libbpf", pin_digest="")
        self.program_type = program_type
        self.problems: list[str] = []
        self.notes: list[str] = []

    def convert(self) -> Conversion:
        self._convert_programs()
        self._move_subprograms()
        for name in _inner_first(self.obj):
            # libbpf fills an outer map when it makes it: the inner ones must be there.
            self.obj.maps[name] = self._map(self.obj.maps.pop(name))
        self.obj = without_types(self.obj, _legacy_types(self.obj))
        self._add_types()
        return Conversion(self.obj, tuple(self.problems), tuple(self.notes))

    def _convert_programs(self) -> None:
        for name, program in self.obj.programs.items():
            kind = program.type
            if kind is ProgramType.UNSPEC and self.program_type is not None:
                kind = self.program_type
            section = self._section(program, kind)
            converted = replace(program, type=kind, section=section)
            row = find_section(section.removeprefix("?"))
            if row is not None and kind is not ProgramType.UNSPEC:
                attach_type, flags = row[0].attach_type, int(row[0].flags)
                converted = replace(converted, expected_attach_type=attach_type, flags=flags)
            self.obj.programs[name] = converted
            function = self.obj.functions[program.function]
            self.obj.functions[program.function] = replace(function, section=section)

    def _section(self, program: Program, kind: ProgramType) -> str:
        row = find_section(program.section.removeprefix("?"))
        if row is not None and row[0].type is kind and tail_call_of(program.section) is None:
            section = program.section.removeprefix("?")
            if section == "classifier":
                section = section_of_type(ProgramType.SCHED_CLS)
        elif kind is ProgramType.UNSPEC:
            self.problems.append(
                f"program {program.name!r} in section {program.section!r}: its type is told by"
                " what it is attached to; say it (--type)"
            )
            return program.section
        else:
            section = section_of_type(kind)
            if not section:
                self.problems.append(
                    f"program {program.name!r} in section {program.section!r}: programs of type"
                    f" {kind.name.lower()} are for one of several hooks, which its section's name"
                    " is to tell"
                )
                return program.section
        return section if program.autoload else f"?{section}"

    def _move_subprograms(self) -> None:
        """libbpf wants in `.text` what is called and no program."""
        entries = {program.function for program in self.obj.programs.values()}
        for name, function in self.obj.functions.items():
            if name not in entries and function.section != TEXT:
                self.obj.functions[name] = replace(function, section=TEXT)
            for relocation in function.relocations:
                if relocation.kind is RelocationKind.CALL and relocation.target in entries:
                    self.problems.append(
                        f"function {name!r} calls program {relocation.target!r}; libbpf lets"
                        " functions in .text be called alone"
                    )

    def _map(self, definition: Map) -> Map:
        if definition.pin_path:
            self.problems.append(f"map {definition.name!r} is pinned at {definition.pin_path!r}")
        match definition.pinning:
            case Pinning.NONE | Pinning.BY_NAME:
                pass
            case Pinning.GLOBAL:
                self.notes.append(
                    f"map {definition.name!r} is pinned by name; load with the pin root"
                    " /sys/fs/bpf/tc/globals, as tc does"
                )
            case Pinning.OBJECT:
                self.problems.append(
                    f"map {definition.name!r} was pinned for its file alone (tc/<sha1>); it is"
                    " pinned by name now"
                )
            case other:
                self.problems.append(
                    f"map {definition.name!r} was pinned in namespace {other} of"
                    " /etc/iproute2/bpf_pinning; it is pinned by name now"
                )
        self._check_slots(definition)
        slots = definition.slots
        if values_count(definition) > MAX_VALUES:
            kept = tuple(slot for slot in slots if slot[0] < MAX_VALUES)
            self.problems.append(
                f"map {definition.name!r}: {len(slots) - len(kept)} slots from {MAX_VALUES} on"
                " are too far out for `values`"
            )
            slots = kept
        attributes = {
            name: value
            for name, value in definition.attributes.items()
            if name not in ("id", "inner_id", "inner_idx")
        }
        return replace(
            definition,
            pinning=Pinning.BY_NAME if definition.pinning else Pinning.NONE,
            pin_path="",
            slots=slots,
            attributes=attributes,
        )

    def _check_slots(self, definition: Map) -> None:
        """libbpf loads no object whose prog arrays have slots for what it does not load."""
        for index, target in definition.slots:
            program = self.obj.programs.get(target)
            if definition.type is MapType.PROG_ARRAY and (program is None or not program.autoload):
                why = "no program" if program is None else "not loaded (autoload is off)"
                self.problems.append(
                    f"map {definition.name!r}: slot {index} is for {target!r}, which is {why}"
                )

    def _add_types(self) -> None:
        """Integers and byte arrays for maps whose types nobody tells."""
        btf = self.obj.btf
        builder = BTFBuilder.edit(btf) if btf else BTFBuilder(byteorder=self._byteorder())
        types = _PlainTypes(builder)
        if btf is not None:
            types.learn(btf.type(type_id) for type_id in btf.ids_of_kind(Kind.INT))
        for name, definition in self.obj.maps.items():
            typed = types.typed(definition)
            if typed.inner is not None:
                # libbpf lets an inner map be stored whose types differ from the template's.
                typed = replace(typed, inner=types.typed(typed.inner))
            self.obj.maps[name] = typed
        if btf is not None or len(builder) > 1:  # the kernel refuses BTF without types
            self.obj = rebuilt(self.obj, builder, lambda type_id: type_id)

    def _byteorder(self) -> Literal["little", "big"]:
        return cast(Literal["little", "big"], self.obj.byteorder)


class _PlainTypes:
    """Types for values of which only the size is known."""

    def __init__(self, builder: BTFBuilder) -> None:
        self.builder = builder
        self.made: dict[int, int] = {}
        self.index = 0

    def learn(self, types: object) -> None:
        """Use integers that are there already."""
        names = {name: size for size, name in _INTEGERS.items()}
        for found in types:  # type: ignore[attr-defined]
            if isinstance(found, Int) and names.get(found.name) == found.size:
                self.made.setdefault(found.size, found.id)

    def typed(self, definition: Map) -> Map:
        """`definition` with key and value types, where it has none and the kernel takes some."""
        if definition.type in _UNTYPED:
            return definition
        key, value = definition.key_type_id, definition.value_type_id
        return replace(
            definition,
            key_type_id=key or (self.of(definition.key_size) if definition.key_size else 0),
            value_type_id=value or (self.of(definition.value_size) if definition.value_size else 0),
        )

    def of(self, size: int) -> int:
        """An unsigned integer of that many bytes, or an array of bytes."""
        if size not in self.made:
            if size in _INTEGERS:
                self.made[size] = self.builder.add_int(_INTEGERS[size], size)
            else:
                byte, index = self.of(1), self.of(4)
                self.made[size] = self.builder.add_array(byte, index, size)
        return self.made[size]


def _inner_first(obj: Object) -> list[str]:
    """The maps' names, in order, but those that hold maps last."""
    return sorted(obj.maps, key=lambda name: obj.maps[name].type in MAPS_IN_MAPS)


def _legacy_types(obj: Object) -> set[int]:
    """The types that only described maps to older loaders: variables, sections, annotations."""
    btf = obj.btf
    if btf is None:
        return set()
    found = set()
    for type_id in btf.ids_of_kind(Kind.DATASEC):
        section = btf.type(type_id)
        if isinstance(section, DataSec) and (
            section.name == LEGACY_MAPS or section.name.startswith(ANNOTATION_SECTION)
        ):
            found |= {type_id, *(entry.type_id for entry in section.entries)}
    for type_id in btf.ids_of_kind(Kind.STRUCT):
        name = btf.name_of(type_id)
        if name.startswith(ANNOTATION_STRUCT) or name == "bpf_elf_map":
            found.add(type_id)
    return found
