"""Make an object's maps and data sections in a vm: create, or use those of others; fill slots."""

from __future__ import annotations

from collections.abc import Container, Mapping
from contextlib import ExitStack
from functools import partial
from typing import Any

from osmia.engine.initial_values import initial_values
from osmia.engine.maps import Map
from osmia.engine.maps.references import ProgramArray
from osmia.engine.reuse import check_engine, check_reuse, effective, named
from osmia.engine.tail_call_returns import TailCallReturns, check_slots
from osmia.errors import MapMismatchError, RelocationError
from osmia.object import model
from osmia.object.model import DataKind, DataSection, Object
from osmia.object.uapi import MapFlag, MapType
from osmia.values import Codec, codec
from osmia.vm.data_pointers import write_pointers
from osmia.vm.engine import Vm
from osmia.vm.maps.build import Definition
from osmia.vm.maps.raw import VmMap
from osmia.vm.maps.special import set_template
from osmia.vm.maps.special_fields import LOCK, Field, special_fields
from osmia.vm.programs import VmProgram


class MapLoader:
    """The maps of one load. What is made is registered with `undo` until the load succeeds."""

    def __init__(self, obj: Object, vm: Vm, undo: ExitStack) -> None:
        self.obj = obj
        self.vm = vm
        self.undo = undo
        self.maps: dict[str, Map] = {}
        self.sections: dict[str, VmMap] = {}

    def create(self, given: Mapping[str, Map], others: Mapping[str, Map]) -> None:
        """Make every map of the object, but those that `given` has, and its data sections, but
        those for which `others` has the maps of other objects."""
        unknown = given.keys() - self.obj.maps.keys()
        if unknown:
            raise RelocationError(f"{self.obj.name} has no map {min(unknown)!r}")
        for definition in self.obj.maps.values():
            if definition.name in given:
                self._use(self._effective(definition), given[definition.name])
            elif definition.autocreate:
                self._create(definition)
        for section in self.obj.data_sections.values():
            if section.name in others:
                self._use_section(section, others[section.name])
            elif section.contents and section.kind is not DataKind.STRUCT_OPS:
                self._create_section(section)
        if any(section.relocations for section in self.obj.data_sections.values()):
            raws = {name: self._raw(held) for name, held in self.maps.items()}
            write_pointers(self.obj, self.vm, raws, self.sections)

    def _use(self, definition: model.Map, given: Map) -> None:
        check_engine(definition, given, "vm")
        held = self._raw(given)
        held.check_open()
        if held.vm is not self.vm:
            what = f"map {definition.name!r} cannot be {named(given)}"
            raise MapMismatchError(what, ("it is a map of another vm",))
        check_reuse(definition, given.info, named(given))
        raw = held.another()  # closed with this object, not with the one that gave it
        key, value = self._codecs(definition)
        made = Map.over(raw, key or given.key_codec, value or given.value_codec)
        if isinstance(made, ProgramArray) and isinstance(given, ProgramArray):
            made.callers = given.callers
        self._add(definition, made)

    def _effective(self, definition: model.Map) -> model.Map:
        return effective(definition, len(self.vm.cpus))

    def _create(self, definition: model.Map) -> None:
        wanted = self._effective(definition)
        key_codec, value_codec = self._codecs(wanted)
        special = self._special(wanted.value_type_id, wanted.type)
        made = self.vm.create_map(
            wanted.type,
            key_size=wanted.key_size,
            value_size=wanted.value_size,
            max_entries=wanted.max_entries,
            flags=int(wanted.flags),
            map_extra=wanted.map_extra,
            name=wanted.name,
            lock_offset=next((f.offset for f in special if f.kind == LOCK), None),
            special=tuple((f.offset, f.size) for f in special),
            key_codec=key_codec,
            value_codec=value_codec,
        )
        self._add(wanted, made)
        if wanted.inner is not None:
            inner = self._effective(wanted.inner)
            fields = self._special(inner.value_type_id, inner.type)
            set_template(self._raw(made).body, _template(inner, fields))

    def _add(self, definition: model.Map, made: Map) -> None:
        self.undo.callback(made.close)
        self.maps[definition.name] = made

    @staticmethod
    def _raw(made: Map) -> VmMap:
        assert isinstance(made.raw, VmMap)
        return made.raw

    def _codecs(self, definition: model.Map) -> tuple[Codec | None, Codec | None]:
        return codecs_of(self.obj, definition)

    def _special(self, type_id: int, map_type: MapType | int) -> list[Field]:
        """What of a value is the map's own: its locks, timers and the like."""
        if self.obj.btf is None or not type_id:
            return []
        return special_fields(self.obj.btf, type_id, map_type)

    def _use_section(self, section: DataSection, live: Map) -> None:
        """A data section of another object, which stays that one's."""
        check_engine(model.Map(section.name, MapType.ARRAY), live, "vm")
        raw = self._raw(live).another()
        self.undo.callback(raw.close)
        self.sections[section.name] = raw

    def _create_section(self, section: DataSection) -> None:
        if section.kind is DataKind.ARENA:
            self.sections[section.name] = self._fill_arena(section)
            return
        read_only = section.kind in (DataKind.RODATA, DataKind.KCONFIG)
        name = f"{self.obj.name}{section.name}"
        made = self.create_memory(name, section.contents, read_only=read_only)
        self.sections[section.name] = made

    def _fill_arena(self, section: DataSection) -> VmMap:
        """Variables of an arena lie at its start."""
        arenas = [held for held in self.maps.values() if held.type is MapType.ARENA]
        if len(arenas) != 1:
            what = f"section {section.name!r} needs an arena among the maps"
            raise RelocationError(f"{what}, and there are {len(arenas)}")
        raw = self._raw(arenas[0]).another()
        self.undo.callback(raw.close)
        raw.body.fill_pages(section.contents)
        return raw

    def create_memory(
        self, name: str, contents: bytes | bytearray, *, read_only: bool = True
    ) -> VmMap:
        """An array of one element that programs address directly."""
        flags = MapFlag.MMAPABLE | (MapFlag.RDONLY_PROG if read_only else MapFlag(0))
        made = self.vm.create_map(MapType.ARRAY, value_size=len(contents), flags=flags, name=name)
        self.undo.callback(made.close)
        raw = self._raw(made)
        self.vm.memory.write(raw.values_address, contents)
        if read_only:
            made.freeze()
        return raw

    def check_slots(self, given: Mapping[str, Map]) -> TailCallReturns | None:
        """Check what the prog arrays will hold; see `engine.tail_call_returns`. Where a tail call
        replaces the whole program, none returns to a subprogram's caller."""
        arrays = {name: made for name, made in self.maps.items() if isinstance(made, ProgramArray)}
        if self.vm.tail_calls == "program":
            return None
        reused = {name: partial(arrays.__getitem__, name) for name in arrays if name in given}
        return check_slots(self.obj, arrays, reused, variable=given)

    def fill_slots(self, programs: Mapping[str, VmProgram], given: Container[str]) -> None:
        """Store initial values: inner maps, and the programs of prog arrays."""
        made = {name for name in self.maps if name not in given}
        for definition, index, name in initial_values(self.obj, self.maps, made):
            is_prog_array = definition.type is MapType.PROG_ARRAY
            target: Any = programs[name] if is_prog_array else self.maps[name]
            self._store(definition.name, index, target)

    def _store(self, name: str, index: int, target: Any) -> None:
        outer: Any = self.maps[name]
        outer[index] = target


def codecs_of(obj: Object, definition: model.Map) -> tuple[Codec | None, Codec | None]:
    """The codecs of a map's keys and values; None where the object has no types of them."""
    key, value = (
        codec(obj.btf, type_id) if obj.btf is not None and type_id else None
        for type_id in (definition.key_type_id, definition.value_type_id)
    )
    return key, value


def _template(d: model.Map, fields: list[Field]) -> Definition:
    """What inner maps must agree with."""
    size = (d.key_size, d.value_size, d.max_entries)
    special = tuple((f.offset, f.size) for f in fields)
    return Definition(d.type, *size, int(d.flags), d.map_extra, special=special)
