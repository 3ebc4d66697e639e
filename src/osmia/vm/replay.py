"""A load into a vm from its record: maps and programs are made, and nothing else.

What else a loaded object tells, from its types to the lines of its source, comes from the file,
which is read when somebody asks. What does not go well here is left to the ordinary load, which
tries again and says what is wrong.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from functools import cached_property

from osmia.errors import OsmiaError
from osmia.object.uapi import AttachType, MapFlag, MapType, ProgramType
from osmia.prepared import store
from osmia.prepared.record import FIXUP, text
from osmia.prepared.unread import Held, unread
from osmia.values.names import PartsByName
from osmia.vm.engine import Vm
from osmia.vm.loaded import Owners, VmObject
from osmia.vm.maps.build import Definition
from osmia.vm.maps.raw import VmMap
from osmia.vm.programs import VmProgram
from osmia.vm.record import MapRow, ProgramRow, SectionRow, VmRecord, unpacked

# The name that type checkers know; `typing` is dear.
TYPE_CHECKING = False

if TYPE_CHECKING:
    from typing import Any

    from osmia.btf import BTF
    from osmia.engine.maps import Map
    from osmia.engine.tail_call_returns import FunctionType
    from osmia.object import model
    from osmia.object.model import Object, SourceLine
    from osmia.passes.stages import Prepared
    from osmia.passes.target import Target
    from osmia.vm.target import VmTarget

#: Options of a load that change the vm, and nothing of what is loaded into it.
_OF_VM = frozenset(
    {
        *("memory", "cpus", "tail_calls", "jit", "retpoline", "strict_helpers", "interruptible"),
        "helpers",
    }
)


def replay(held: Held, options: Mapping[str, Any]) -> VmObject | None:
    """The loaded object, or None where the ordinary load has to do it."""
    if not options.keys() <= _OF_VM:
        return None
    found = store.find(held.data, store.called(held.name, held.path), "vm", unpacked)
    if found is None:
        return None
    machine: Any = {name: value for name, value in options.items() if name != "helpers"}
    try:
        with ExitStack() as undo:
            vm = undo.enter_context(Vm(**machine))
            for name, function in (options.get("helpers") or {}).items():
                vm.helpers[name] = function
            loaded = _made(vm, held, found[0])
            undo.pop_all()
    except (OsmiaError, TypeError, ValueError, AttributeError):
        return None
    return loaded


def _made(vm: Vm, held: Held, record: VmRecord) -> ReplayedObject:
    maps = {text(row.name): _map(vm, row) for row in record.maps}
    sections = {text(row.section): _section(vm, row) for row in record.sections}
    numbers = [each.id for each in (*maps.values(), *sections.values())]
    file = _File(held, maps)
    programs = {
        text(row.name): _program(vm, row, numbers, _Lines(file, text(row.name)))
        for row in record.programs
    }
    for name, program in programs.items():
        program.tell = file.teller(name)
    vm.tell_types = file.types
    for name, handle in maps.items():
        handle.make_face = file.face_maker(name)
    return ReplayedObject(file, record.name, vm, programs, sections)


def _map(vm: Vm, row: MapRow) -> VmMap:
    special = tuple(FIXUP.iter_unpack(row.special))
    sizes = (row.key_size, row.value_size, row.max_entries)
    lock = None if row.lock < 0 else row.lock
    wanted = Definition(MapType(row.type), *sizes, row.flags, row.map_extra, lock, special)
    return vm.make_map(wanted, text(row.name))


def _section(vm: Vm, row: SectionRow) -> VmMap:
    flags = MapFlag.MMAPABLE | (MapFlag.RDONLY_PROG if row.read_only else MapFlag(0))
    wanted = Definition(MapType.ARRAY, 4, len(row.contents), 1, flags)
    made = vm.make_map(wanted, text(row.name))
    vm.memory.write(made.values_address, row.contents)
    if row.read_only:
        made.freeze()
    return made


def _program(vm: Vm, row: ProgramRow, numbers: list[int], lines: _Lines) -> VmProgram:
    code = bytearray(row.code)
    for offset, number in FIXUP.iter_unpack(row.fixups):
        struct.pack_into("<I", code, offset + 4, numbers[number])
    names = (each.partition(b" ") for each in row.functions.split(b"\0"))
    return vm.load_program(
        bytes(code),
        type=ProgramType(row.type),
        name=text(row.name),
        expected_attach_type=None if row.attach_type < 0 else AttachType(row.attach_type),
        function_names={int(slot): text(name) for slot, _, name in names},
        lines=lines,
        signature=row.signature.decode(),
    )


class _File:
    """What is in the file, read when it is asked for."""

    def __init__(self, held: Held, handles: Mapping[str, VmMap]) -> None:
        self.handles = handles
        self.source: Object = unread(held)

    @cached_property
    def prepared(self) -> Prepared:
        """What the passes made of it."""
        from osmia.passes.stages import prepare

        return prepare(self.source, self.target)

    @cached_property
    def target(self) -> VmTarget:
        """What it was made ready for."""
        from osmia.vm.target import VmTarget

        return VmTarget(self.source.btf)

    def types(self) -> tuple[Target, BTF | None]:
        """See `Vm.tell_types`."""
        return self.target, self.prepared.object.btf

    def teller(self, name: str) -> Callable[[], tuple[model.Program, FunctionType | None]]:
        """What tells a program's definition, and how its function was declared."""

        def tell() -> tuple[model.Program, FunctionType | None]:
            obj = self.prepared.object
            definition = obj.programs[name]
            function = obj.functions[definition.function]
            typed = obj.btf is not None and function.btf_id
            return definition, (obj.btf, function.btf_id) if typed and obj.btf else None

        return tell

    def face_maker(self, name: str) -> Callable[[VmMap], Map]:
        """What makes a map's typed face."""

        def face(handle: VmMap) -> Map:
            from osmia.vm.map_loader import codecs_of

            return handle.typed(*codecs_of(self.source, self.source.maps[name]))

        return face


class _Lines(Mapping[int, "SourceLine"]):
    """The source lines of a program by slot."""

    def __init__(self, file: _File, program: str) -> None:
        self._file = file
        self._program = program

    @cached_property
    def _found(self) -> dict[int, SourceLine]:
        from osmia.vm.loader import lines_of

        prepared = self._file.prepared
        return lines_of(prepared.object, prepared.layout(self._program))

    def __getitem__(self, slot: int) -> SourceLine:
        return self._found[slot]

    def __iter__(self) -> Iterator[int]:
        return iter(self._found)

    def __len__(self) -> int:
        return len(self._found)


class ReplayedObject(VmObject):
    """A VmObject whose file was not read in this process."""

    def __init__(
        self,
        file: _File,
        name: str,
        vm: Vm,
        programs: Mapping[str, VmProgram],
        sections: Mapping[str, VmMap],
    ) -> None:
        source = file.source
        super().__init__(
            source,
            vm,
            programs,
            {},
            sections,
            (),
            source=source,
            linked=source,
            owners=Owners(vm),
            engine_functions={},
            name=name,
        )
        self._file = file
        self._name = name
        del vars(self)["object"], vars(self)["maps"]

    @property
    def name(self) -> str:
        return self._name

    @cached_property
    def object(self) -> Object:  # type: ignore[override]  # it may be set, too
        """As of every loaded object."""
        return self._file.prepared.object

    @cached_property
    def maps(self) -> PartsByName[Any]:  # type: ignore[override]
        """As of every loaded object."""
        faces = {name: handle.face for name, handle in self._file.handles.items()}
        return PartsByName(f"object {self._name!r}", "map", faces)

    def _map_handles(self) -> list[Any]:
        return list(self._file.handles.values())
