"""What maps' numbers mean: `id`, `inner_id` and `inner_idx` become templates and slots.

The numbers come from iproute2's struct bpf_elf_map, or from attributes of `.maps`
declarations (`__uint(id, 7)`); the rules are iproute2's:

- a map in maps takes as its template the first map whose id is its inner_id;
- every map with that id, without an inner_id of its own and with an inner_idx other than
  -1, is stored at inner_idx, in each map in maps that names the id;
- a program in section "ID/KEY" is stored at KEY of the prog array with that id.

iproute2 lets a later entry overwrite an earlier one in silence; here that is an error.
"""

from __future__ import annotations

from collections import defaultdict

from osmia.errors import ObjectFormatError
from osmia.object.model import Map, Object, Program, RelocationKind
from osmia.object.sections import tail_call_of
from osmia.object.uapi import MAPS_IN_MAPS, MapFlag, MapType, ProgramType
from osmia.records import replace

#: inner_idx of a map that is a template only.
TEMPLATE_ONLY = -1

#: Slots that one object may fill by ids; each is a system call at load.
MAX_SLOTS = 1 << 20

#: Map types of which an array's length is part of what an inner map must share.
_COUNTED_INNER = (MapType.ARRAY, MapType.PERCPU_ARRAY)


def map_id(definition: Map) -> int:
    """The number that others name the map by; 0: none."""
    return definition.attributes.get("id", 0)


def signed32(number: int) -> int:
    """A 32-bit number as the kernel's `int`: 0xffffffff is -1."""
    return (number + (1 << 31)) % (1 << 32) - (1 << 31)


def connect(obj: Object) -> list[str]:
    """Fill in templates, inner maps' slots and prog arrays' slots of `obj`, in place.

    Gives remarks: what has no effect and looks as if it were meant to. Raises
    ObjectFormatError for what contradicts itself: an inner_id that no map has, a slot out
    of range, two for one slot, an id that two maps share without being inner maps.
    """
    connection = _Connection(obj)
    connection.connect_maps()
    connection.connect_programs()
    return connection.remarks


class _Connection:
    """The work of `connect`."""

    def __init__(self, obj: Object) -> None:
        self.obj = obj
        self.remarks: list[str] = []
        self.by_id: dict[int, list[Map]] = defaultdict(list)
        for definition in obj.maps.values():
            if map_id(definition):
                self.by_id[map_id(definition)].append(definition)
        self.slots = 0

    def connect_maps(self) -> None:
        outers = []
        for definition in self.obj.maps.values():
            if not definition.attributes.get("inner_id"):
                continue
            if definition.type in MAPS_IN_MAPS:
                outers.append(definition)
            else:
                self.remarks.append(
                    f"map {definition.name!r} is no map in maps: its inner_id has no effect"
                )
        for outer in outers:
            self._connect_outer(outer)
        named = {outer.attributes["inner_id"] for outer in outers}
        self._check_ids(named)
        for definition in self.obj.maps.values():
            index = definition.attributes.get("inner_idx", 0)
            if index and index != TEMPLATE_ONLY and map_id(definition) not in named:
                self.remarks.append(
                    f"map {definition.name!r} has inner_idx {index}, but no map in maps names"
                    f" its id {map_id(definition)}"
                )

    def _connect_outer(self, outer: Map) -> None:
        wanted = outer.attributes["inner_id"]
        candidates = self.by_id.get(wanted, [])
        if not candidates:
            raise self._error(f"map {outer.name!r}: no map has the id {wanted} of its inner_id")
        template = candidates[0]
        if template.type in (*MAPS_IN_MAPS, MapType.PROG_ARRAY):
            raise self._error(
                f"map {outer.name!r}: its template {template.name!r} is a"
                f" {template.type.name.lower()}, which the kernel takes as no inner map"
            )
        taken = dict(outer.slots)
        for inner in candidates:
            index = inner.attributes.get("inner_idx", 0)
            if inner.attributes.get("inner_id") or index == TEMPLATE_ONLY:
                continue
            self._check_inner(outer, template, inner, index)
            if taken.get(index, inner.name) != inner.name:
                raise self._error(
                    f"map {outer.name!r}: {taken[index]!r} and {inner.name!r} are both for"
                    f" slot {index}"
                )
            taken[index] = inner.name
        self.slots += len(taken)
        if self.slots > MAX_SLOTS:
            raise self._error(f"more than {MAX_SLOTS} slots of maps in maps")
        self.obj.maps[outer.name] = replace(
            outer, inner=outer.inner or replace(template, slots=()), slots=tuple(taken.items())
        )

    def _check_inner(self, outer: Map, template: Map, inner: Map, index: int) -> None:
        if outer.type is MapType.HASH_OF_MAPS:
            if outer.key_size != 4:
                raise self._error(
                    f"map {outer.name!r} has keys of {outer.key_size} bytes; inner_idx of"
                    f" {inner.name!r} is one of 4"
                )
        elif not 0 <= index < outer.max_entries:
            raise self._error(
                f"map {outer.name!r}: slot {index} of {inner.name!r} is out of range, there are"
                f" {outer.max_entries}"
            )
        differences = inner_differences(template, inner)
        if differences:
            raise self._error(
                f"map {outer.name!r}: {inner.name!r} is unlike the template {template.name!r}:"
                f" {'; '.join(differences)}"
            )

    def _check_ids(self, named: set[int]) -> None:
        """An id may be shared by inner maps alone, and by one prog array beside others."""
        for number, maps in self.by_id.items():
            arrays = [each for each in maps if each.type is MapType.PROG_ARRAY]
            others = [each for each in maps if each.type is not MapType.PROG_ARRAY]
            clash = arrays if len(arrays) > 1 else others if number not in named else []
            if len(clash) > 1:
                names = " and ".join(repr(each.name) for each in clash[:2])
                raise self._error(f"id {number} is given to {names}")

    def connect_programs(self) -> None:
        taken: dict[str, dict[int, str]] = {}
        for program in list(self.obj.programs.values()):
            place = tail_call_of(program.section)
            if place is None:
                continue
            array = self._prog_array(place.map_id)
            if array is None:
                self.remarks.append(
                    f"program {program.name!r} in section {program.section!r} is not loaded: no"
                    f" prog array has id {place.map_id}"
                )
                self.obj.programs[program.name] = replace(program, autoload=False)
                continue
            if not 0 <= place.key < array.max_entries:
                raise self._error(
                    f"section {program.section!r}: key {place.key} is out of range, prog array"
                    f" {array.name!r} has {array.max_entries} slots"
                )
            slots = taken.setdefault(array.name, dict(array.slots))
            if slots.get(place.key, program.name) != program.name:
                raise self._error(
                    f"map {array.name!r}: programs {slots[place.key]!r} and {program.name!r} are"
                    f" both for slot {place.key}"
                )
            slots[place.key] = program.name
        for name, slots in taken.items():
            self.obj.maps[name] = replace(self.obj.maps[name], slots=tuple(slots.items()))

    def _prog_array(self, number: int) -> Map | None:
        maps = self.by_id.get(number, ()) if number else ()
        return next((each for each in maps if each.type is MapType.PROG_ARRAY), None)

    def _error(self, message: str) -> ObjectFormatError:
        return ObjectFormatError(message, file=self.obj.path or self.obj.name)


def inner_differences(template: Map, inner: Map) -> list[str]:
    """What keeps the kernel from taking `inner` where `template` is the template."""
    pairs = [
        ("type", int(template.type), int(inner.type)),
        ("key size", template.key_size, inner.key_size),
        ("value size", template.value_size, inner.value_size),
        ("flags", template.flags, inner.flags),
    ]
    if template.type in _COUNTED_INNER and not template.flags & MapFlag.INNER_MAP:
        pairs.append(("max entries", template.max_entries, inner.max_entries))
    return [f"{what} {found}, not {wanted}" for what, wanted, found in pairs if wanted != found]


def give_tail_call_types(obj: Object) -> None:
    """Types for programs that only their place in a prog array tells, in place.

    A prog array holds programs of one type and attach type: those of the programs that use
    it, or that are in it.
    """
    members = _prog_array_members(obj)
    known = {name for name, each in obj.programs.items() if each.type is not ProgramType.UNSPEC}
    pending = True
    while pending:
        pending = False
        for names in members:
            models = {_kind(obj.programs[name]): name for name in sorted(names & known)}
            untold = names - known
            if len(models) != 1 or not untold:
                continue
            (model,) = models.values()
            for name in untold:
                obj.programs[name] = like(obj.programs[name], obj.programs[model])
            known |= untold
            pending = True


def like(program: Program, model: Program) -> Program:
    """`program` to be loaded as `model` is: type, attach type, flags."""
    return replace(
        program,
        type=model.type,
        expected_attach_type=model.expected_attach_type,
        flags=model.flags,
    )


def _kind(program: Program) -> tuple[int, int | None]:
    return program.type, program.expected_attach_type


def _prog_array_members(obj: Object) -> list[set[str]]:
    """For each prog array the programs that use it or are in it."""
    users: dict[str, set[str]] = defaultdict(set)
    for program in obj.programs.values():
        for function in (program.function, *obj.callees(program.function)):
            for relocation in obj.functions[function].relocations:
                if relocation.kind is RelocationKind.MAP:
                    users[relocation.target].add(program.name)
    return [
        users[array.name] | {name for _, name in array.slots if name in obj.programs}
        for array in obj.maps.values()
        if array.type is MapType.PROG_ARRAY
    ]
