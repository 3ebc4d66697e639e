"""Load an object into a vm: from an Object to a LoadedObject, step by step."""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from functools import partial
from typing import TYPE_CHECKING, Any

from osmia.btf import Kind
from osmia.btf.core.match import essential_name
from osmia.engine.maps import Map
from osmia.errors import (
    ClosedError,
    NotSupportedError,
    RelocationError,
)
from osmia.object import model
from osmia.object.model import (
    Extern,
    ExternKind,
    Object,
    Relocation,
    RelocationKind,
    SourceLine,
)
from osmia.object.sections import unknown_section
from osmia.object.uapi import ProgramType
from osmia.passes.binding import Binding
from osmia.passes.layout import ProgramLayout
from osmia.passes.options import PASS_OPTIONS
from osmia.passes.poison import poison
from osmia.passes.stages import prepare
from osmia.passes.target import Target, UnknownPartError
from osmia.vm.code import label_handles
from osmia.vm.dispatcher import Dispatcher
from osmia.vm.engine import Vm
from osmia.vm.loaded import Owners, VmObject
from osmia.vm.map_loader import MapLoader
from osmia.vm.maps.raw import VmMap
from osmia.vm.patches import MAP_FD, MAP_VALUE, patch
from osmia.vm.programs import VmProgram
from osmia.vm.signatures import signature
from osmia.vm.target import VmTarget

if TYPE_CHECKING:
    from typing import Unpack

    from osmia.passes.imports import Imports
    from osmia.passes.parts import Part
    from osmia.vm.importing import Called, VmImports
    from osmia.vm.options import OtherOptions

_KFUNC_CALL, _PROGRAM_CALL = 2, 5


def load(
    obj: Object,
    *,
    vm: Vm | None = None,
    target: Target | None = None,
    maps: Mapping[str, Map] | None = None,
    programs: Mapping[str, VmProgram | Dispatcher] | None = None,
    helpers: Mapping[str, Callable[..., int]] | None = None,
    imports: Any = (),
    bind: str = "copy",
    **options: Unpack[OtherOptions],
) -> VmObject:
    """Load all programs of `obj` that have `autoload` on, with their maps, into this process.

    `vm` is a machine to share with other objects; without one the object comes into that of the
    objects it imports from, or gets its own, made with `options` (see `osmia.vm.engine.Vm`).
    `target` is the kernel to resolve CO-RE and externs against: the running one, or where it
    tells no types the object's own. `maps` gives maps of the vm to use instead of new ones,
    `programs` loaded programs of the vm, or dispatchers, that the object's extern functions stand
    for, `helpers` Python callables for helpers and kfuncs. `imports` and `bind` are those of
    every engine (see `CommonOptions`); its mapping may have programs as `programs` has, and with
    bind="call" functions of loaded objects are called where they are. Among `options` may be
    those of passes (see `PassOptions`).

    Raises what `osmia.errors` says. A helper that the vm lacks is a fault when it is called;
    with `strict_helpers=True` NotSupportedError names it here.
    """
    for_passes = {name: each for name, each in options.items() if name in PASS_OPTIONS}
    machine_options: Any = {name: v for name, v in options.items() if name not in PASS_OPTIONS}
    if for_passes:
        _leave_to_machine(for_passes, machine_options, vm)
    given = ", ".join(f"{name}=" for name in machine_options)
    if vm is not None and machine_options:
        raise ValueError(f"{given} is for a new vm: give it to Vm(), or leave vm= out")
    if vm is not None and not isinstance(vm, Vm):
        raise TypeError(f"vm={vm!r:.80}: an osmia.Vm is needed")
    imported = _imported(obj, imports, bind)
    owners: Owners | None = None
    with ExitStack() as undo:
        if imported is not None:
            undo.callback(imported.close)
            theirs, owners = imported.machine()
            if theirs is not None and machine_options:
                raise ValueError(f"{given} is for a new vm, and imports are in one")
            vm = vm or theirs
        if vm is None:
            vm = undo.enter_context(Vm(**machine_options))
            owners = Owners(vm)
        elif owners is not None:
            undo.enter_context(owners)
        for name, function in (helpers or {}).items():
            vm.helpers[name] = function
        loader = _Loader(obj, vm, target, programs or {}, undo, imported)
        loaded = loader.load(maps or {}, for_passes, owners)
        undo.pop_all()
    if not (maps or programs or helpers or for_passes or imported) and target is None:
        from osmia.vm.keeping import keep_load

        try:
            keep_load(loaded, loader.maps.sections, loader.prepared, loader.target)
        except BaseException:
            loaded.close()
            raise
    return loaded


def _imported(obj: Object, imports: Any, bind: str) -> VmImports | None:
    if not imports and bind == "copy":
        return None
    from osmia.vm.importing import VmImports

    return VmImports(obj, imports, bind, load_part)


def load_part(part: Part, vm: Vm) -> VmObject:
    """Load a function of an object as a program, which has that one's maps and data."""
    with ExitStack() as undo:
        loader = _Loader(part.object, vm, None, {}, undo)
        loader.held = part
        loaded = loader.load({}, {}, None)
        undo.pop_all()
    return loaded


def _leave_to_machine(passes: dict[str, Any], machine: dict[str, Any], vm: Vm | None) -> None:
    """Take out of the passes' options what a vm does itself: it has both meanings of tail
    calls, refuses no call, and counts what runs."""
    passes.pop("cover", None)
    if vm is None and "tail_calls" in passes:
        machine["tail_calls"] = passes.pop("tail_calls")
    elif vm is not None and passes.get("tail_calls", vm.tail_calls) == vm.tail_calls:
        passes.pop("tail_calls", None)
    elif vm is not None and vm.tail_calls == "program":
        raise ValueError("tail_calls='subprogram': in this vm they replace the program")
    if passes.get("calls") == "auto":
        del passes["calls"]


class _Loader:
    """One load: what its steps share."""

    def __init__(
        self,
        obj: Object,
        vm: Vm,
        target: Target | None,
        programs: Mapping[str, VmProgram | Dispatcher],
        undo: ExitStack,
        imported: VmImports | None = None,
    ) -> None:
        if obj.byteorder != "little":
            raise NotSupportedError(f"{obj.name} is big endian; the vm is a little-endian machine")
        self.source = obj
        self.vm = vm
        self.linked = dict(programs)
        self.held: Imports | Part | None = None
        if imported is not None:
            imported.enter(vm, self.linked)
            self.held = imported.resolver
        self.imported = imported
        for name, program in self.linked.items():
            if name not in obj.externs:
                raise RelocationError(f"{obj.name} has no extern function {name!r}")
            _check_own(name, program, vm)
        self.externs: dict[str, tuple[Extern, Object]] = {}  # all that were asked for
        self.undo = undo
        self.target = target or VmTarget(obj.btf)
        self.jump_tables: list[VmMap] = []
        self.links: list[int] = []  # dispatchers of its own, which go with its programs
        self.places: dict[str, list[Dispatcher]] = {}  # the same, by extern
        self.called: dict[str, Called] = {}  # those of them that were bound anew

    def load(
        self, given: Mapping[str, Map], options: Mapping[str, Any], owners: Owners | None
    ) -> VmObject:
        self.prepared = prepare(self.source, self.target, [self], given_maps=given, **options)
        self.obj = self.prepared.object
        others = self.held.sections if self.held is not None else {}
        if self.held is not None:
            given = {**given, **self.held.maps}
            self.linked.update(self.held.functions)
        self.maps = MapLoader(self.obj, self.vm, self.undo)
        self.maps.create(given, others)
        returns = self.maps.check_slots(given)
        programs = {p.name: self._program(p) for p in self.obj.programs.values() if p.autoload}
        self.maps.fill_slots(programs, given)
        self.vm.lifetimes.linked.update(self.links)
        self.vm.target, self.vm.types = self.target, self.obj.btf
        loaded = VmObject(
            self.obj,
            self.vm,
            programs,
            self.maps.maps,
            self.maps.sections,
            self.jump_tables,
            source=self.source.copy(),
            linked=self.prepared.linked,
            owners=owners,
            engine_functions=self.linked,
        )
        loaded.tail_call_returns = returns
        loaded.rebinders = {
            name: partial(self._rebind, name) for name in self.places if name in self.externs
        }
        if self.imported is not None:
            self.imported.leave(loaded)
        return loaded

    def resolve(self, extern: Extern, obj: Object) -> Binding | None:
        """The programs that the load was given, what is imported, and the vm's own functions, for
        the passes."""
        self.externs[extern.name] = extern, obj
        if self.held is not None and extern.name not in self.linked:
            found = self.held.resolve(extern, obj)
            if found is not None:
                return found
        known = extern.name in self.linked or self.vm.has_function(extern.name)
        if not known and not self._is_nowhere(extern):
            return None
        kinds = RelocationKind.ENGINE_FUNCTION, RelocationKind.ENGINE_ADDRESS
        return Binding(extern.name, call=kinds[0], load=kinds[1])

    def _is_nowhere(self, extern: Extern) -> bool:
        """Whether it is a kfunc that an object cannot do without, and that neither the vm nor
        the target has: a fault when it is called, like one that the vm alone lacks."""
        if extern.kind is not ExternKind.KFUNC or extern.weak or self.vm.strict_helpers:
            return False
        from osmia.passes.externs import find_in_kernel

        try:
            return find_in_kernel(essential_name(extern.name), Kind.FUNC, self.target) is None
        except UnknownPartError:
            return True

    # Programs.

    def _program(self, program: model.Program) -> VmProgram:
        if program.type is ProgramType.UNSPEC:
            raise unknown_section(program.section, self.source.path or self.source.name)
        layout = self.prepared.layout(program.name)
        function = self.obj.functions[program.function]
        text = signature(self.obj.btf, function.btf_id)
        jumps: dict[int, tuple[int, ...]] = {}
        if self.obj.jump_tables:
            from osmia.object.jump_targets import (
                placed_targets,  # few objects wait for the analysis
            )

            jumps = placed_targets(self.obj, layout.functions)
        loaded = self.vm.load_program(
            self._code(layout, jumps),
            type=program.type,
            name=program.name,
            expected_attach_type=program.expected_attach_type,
            function_names=dict(layout.functions),
            lines=lines_of(self.obj, layout),
            jumps=jumps,
            signature=text,
            exception_callback=next(
                (slot for slot, name in layout.functions if name == program.exception_callback), 0
            ),
        )
        self.undo.callback(self.vm.unload, [loaded])
        loaded.definition = program
        if self.obj.btf is not None and function.btf_id:
            loaded.declared = self.obj.btf, function.btf_id
        return loaded

    def _create_tables(
        self, layout: ProgramLayout, jumps: Mapping[int, Sequence[int]]
    ) -> dict[str, VmMap]:
        """The program's jump tables by name: read-only memory with handles of its code."""
        made: dict[str, VmMap] = {}
        starts = {name: slot for slot, name in layout.functions}
        handles = label_handles(jumps)
        wanted = (r.target for r in layout.relocations if r.kind is RelocationKind.JUMP_TABLE)
        for name in dict.fromkeys(wanted):
            table = self.obj.jump_tables.get(name)
            if table is None or table.function not in starts:
                raise RelocationError(f"program {layout.name!r} has no jump table {name!r}")
            start = starts[table.function]
            # No jump goes to a slot without a handle: its table is read by none.
            entries = [handles.get(start + target, 0) for target in table.targets]
            made[name] = self.maps.create_memory(
                ".jumptables", struct.pack(f"<{len(entries)}Q", *entries)
            )
        self.jump_tables += made.values()
        return made

    def _code(self, layout: ProgramLayout, jumps: Mapping[int, Sequence[int]]) -> bytes:
        tables = self._create_tables(layout, jumps)
        maps, sections = self.maps.maps, self.maps.sections
        code = bytearray(layout.code)
        for offset, what in layout.unresolved:
            poison(code, offset, self.vm.unresolved.number(what), self.obj.byteorder)
        for relocation in layout.relocations:
            name, at = relocation.target, relocation.offset
            match relocation.kind:
                case RelocationKind.MAP if name in maps:
                    patch(code, at, MAP_FD, maps[name].id)
                case RelocationKind.DATA if name in sections:
                    patch(code, at, MAP_VALUE, sections[name].id, relocation.addend)
                case RelocationKind.JUMP_TABLE:
                    patch(code, at, MAP_VALUE, tables[name].id, relocation.addend)
                case RelocationKind.ENGINE_FUNCTION if name in self.linked:
                    patch(code, at, _PROGRAM_CALL, self._link(name))
                case RelocationKind.ENGINE_ADDRESS:
                    patch(code, at, 0, self.vm.function_number(name), 0)
                case RelocationKind.ENGINE_FUNCTION:
                    patch(code, at, _KFUNC_CALL, self.vm.function_number(name))
                case RelocationKind.KERNEL_SYMBOL:
                    address = self.target.symbols[name]
                    patch(code, at, 0, address & 0xFFFF_FFFF, address >> 32)
                case RelocationKind.KERNEL_VARIABLE if self._is_weak_kfunc(relocation):
                    patch(code, at, 0, 0, 0)
                case RelocationKind.KERNEL_FUNCTION if self._is_weak_kfunc(relocation):
                    self._poison(code, relocation)
                case RelocationKind.KERNEL_FUNCTION if not self.vm.strict_helpers:
                    name = self._kernel_name(relocation).rpartition(" ")[2]
                    patch(code, at, _KFUNC_CALL, self.vm.function_number(name))
                case RelocationKind.KERNEL_VARIABLE if not self.vm.strict_helpers:
                    self._poison(code, relocation)
                case RelocationKind.KERNEL_FUNCTION | RelocationKind.KERNEL_VARIABLE:
                    what = self._kernel_name(relocation)
                    raise NotSupportedError(f"program {layout.name!r}: the vm has no {what}")
                case _:
                    raise RelocationError(
                        f"program {layout.name!r} uses {name!r}, which does not exist"
                    )
        return bytes(code)

    def _poison(self, code: bytearray, relocation: Relocation) -> None:
        """Have a run that comes by end, with the name of what the vm lacks."""
        words = f"the vm has no {self._kernel_name(relocation)}"
        slots = 2 if relocation.kind is RelocationKind.KERNEL_VARIABLE else 1  # of an ld_imm64
        for at in range(relocation.offset, relocation.offset + 8 * slots, 8):
            poison(code, at, self.vm.unresolved.number(words), self.obj.byteorder)

    def _link(self, name: str) -> int:
        wanted = ""
        if name in self.externs:
            extern, declaring = self.externs[name]
            wanted = signature(declaring.btf, extern.type_id)
        linked = self.linked[name]
        program = linked.program if isinstance(linked, Dispatcher) else linked
        if wanted and program.signature and wanted != program.signature:
            raise RelocationError(
                f"{name!r} is declared as {wanted}, program {program.name!r} is {program.signature}"
            )
        if isinstance(linked, Dispatcher):
            return linked.handle
        place = self.vm.dispatcher(linked)
        self.places.setdefault(name, []).append(place)
        self.links.append(place.handle)
        self.undo.callback(self.vm.lifetimes.release, place.handle)
        return place.handle

    def _rebind(self, name: str, source: Any, user: VmObject) -> None:
        """See `LoadedObject.rebind`."""
        from osmia.vm.importing import Called

        if name not in self.called:
            found = self.imported.found.get(name) if self.imported is not None else None
            places = self.places[name]
            self.called[name] = Called(*self.externs[name], places, load_part, found)
        self.called[name].rebind(source, user)

    def _is_weak_kfunc(self, relocation: Relocation) -> bool:
        """Whether it names a kfunc that the vm lacks and the object can do without."""
        name = self._kernel_name(relocation).rpartition(" ")[2]
        return any(
            extern.weak and extern.kind is ExternKind.KFUNC and essential_name(extern.name) == name
            for extern, _ in self.externs.values()
        )

    def _kernel_name(self, relocation: Relocation) -> str:
        kind = "kfunc" if relocation.kind is RelocationKind.KERNEL_FUNCTION else "kernel variable"
        btf = self.target.btf
        name = btf.name_of(relocation.addend) if btf is not None else f"#{relocation.addend}"
        return f"{kind} {name}"


def lines_of(obj: Object, layout: ProgramLayout) -> dict[int, SourceLine]:
    """The source lines of a program by slot."""
    return {
        line.slot + start: line
        for start, name in layout.functions
        for line in obj.source_lines(name)
    }


def _check_own(name: str, program: object, vm: Vm) -> None:
    """See that what an extern is to stand for can be called in this vm."""
    what = f"{name!r} is to stand for {getattr(program, 'name', program)!r}"
    if not isinstance(program, VmProgram | Dispatcher):
        raise RelocationError(f"{what}, which is neither a program nor a dispatcher of a vm")
    if program.vm is not vm:
        raise RelocationError(f"{what}, which is in another vm")
    if program.closed:
        raise ClosedError(f"{what}, which is closed")
