"""What a load into a vm links against: which vm that is, and functions called where they are."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from typing import Any

from osmia.engine.importing import LoadedProvider, exchange, find_in, read_imports
from osmia.errors import LinkError
from osmia.object.model import Extern, Object, RelocationKind
from osmia.passes.binding import Binding
from osmia.passes.imports import Imports
from osmia.passes.parts import Part
from osmia.passes.providers import Found, check_agreement
from osmia.passes.verifier_rules import check_callable, programs_using
from osmia.vm.dispatcher import Dispatcher
from osmia.vm.engine import Vm
from osmia.vm.loaded import Owners, VmObject
from osmia.vm.programs import VmProgram

#: Loads a function of an object as a program.
LoadPart = Callable[[Part, Vm], VmObject]


class VmImports:
    """The imports of one load.

    In a mapping of `imports=` there may be programs and dispatchers beside providers, as
    `programs=` has them: `calls` is by name all that externs stand for. `load_part` loads a
    function that is no program as one.
    """

    def __init__(self, obj: Object, given: Any, bind: str, load_part: LoadPart) -> None:
        self._load_part = load_part
        self.found: dict[str, Found] = {}
        self.calls: dict[str, VmProgram | Dispatcher] = {}
        self._parts = ExitStack()
        rest = self._without_calls(given)
        self.resolver: Imports | None = read_imports(
            rest, bind, "vm", obj=obj, ways={"call": self._call}
        )

    def enter(self, vm: Vm, calls: dict[str, VmProgram | Dispatcher]) -> None:
        """Begin a load into a vm, of which `calls` are the other programs that externs stand
        for. LinkError for an object of another vm."""
        for each in self.objects:
            if each.vm is not vm:
                raise LinkError(f"{each.name!r} is in another vm: nothing of it can be used here")
        calls.update(self.calls)
        self.calls = calls

    def leave(self, loaded: VmObject) -> None:
        """End a load: what was made for callers is theirs from now on."""
        loaded.parts = self._parts.pop_all()
        if self.resolver is not None:
            self.resolver.note_users(loaded)

    def close(self) -> None:
        """Give up what was made for callers."""
        self._parts.close()

    def _without_calls(self, given: Any) -> Any:
        if isinstance(given, Mapping):
            mine = {k: v for k, v in given.items() if isinstance(v, VmProgram | Dispatcher)}
            self.calls.update(mine)
            return {name: each for name, each in given.items() if name not in mine}
        if isinstance(given, list | tuple):
            rest = (self._without_calls(e) if isinstance(e, Mapping) else e for e in given)
            return [each for each in rest if not isinstance(each, Mapping) or each]
        return given

    @property
    def objects(self) -> list[VmObject]:
        """The objects of vms that are imported from."""
        if self.resolver is None:
            return []
        every = [*self.resolver.providers, *self.resolver.decided.values()]
        loaded = [each.loaded for each in every if isinstance(each, LoadedProvider)]
        return [each for each in loaded if isinstance(each, VmObject)]

    def machine(self) -> tuple[Vm | None, Owners | None]:
        """The vm of the objects, and who keeps it open; None where none is told. LinkError for
        several vms."""
        found: Vm | None = None
        owners: Owners | None = None
        for each in self.objects:
            if found is not None and each.vm is not found:
                raise LinkError(f"{each.name!r} is in another vm than the others to import from")
            found, owners = each.vm, each.owners or owners
        return found, owners

    def _call(self, found: Found, extern: Extern, obj: Object) -> Binding:
        """Bind a function where it is."""
        self.calls[extern.name] = _program(found, extern, obj, self._load_part, self._parts)
        self.found[extern.name] = found
        kinds = RelocationKind.ENGINE_FUNCTION, RelocationKind.ENGINE_ADDRESS
        return Binding(extern.name, call=kinds[0], load=kinds[1])


class Called:
    """An extern that programs of an object call by handle, at `places`; what those have can be
    exchanged. `obj` declares it."""

    def __init__(
        self,
        extern: Extern,
        obj: Object,
        places: Sequence[Dispatcher],
        load_part: LoadPart,
        found: Found | None,
    ) -> None:
        self._extern = extern
        self._obj = obj
        self._places = places
        self._load_part = load_part
        self._found = found

    def rebind(self, source: Any, user: VmObject) -> None:
        """Let a function of a provider stand for it, or a program of the vm."""
        with ExitStack() as made:
            if isinstance(source, VmProgram | Dispatcher):
                found = None
                program = source.program if isinstance(source, Dispatcher) else source
            else:
                found = self._checked(source)
                program = _program(found, self._extern, self._obj, self._load_part, made)
            self._update(program)
            user.parts.push(made.pop_all())
        exchange(user, self._found, found)
        self._found = found

    def _checked(self, source: Any) -> Found:
        name = self._extern.name
        found = find_in(source, name, "vm")
        check_agreement(self._extern, self._obj, found)
        provider = found.provider
        check_callable(self._obj, name, provider.object, found.key, provider.name)
        return found

    def _update(self, program: VmProgram) -> None:
        """All places or none."""
        before = [place.program for place in self._places]
        with ExitStack() as undo:
            for place, old in zip(self._places, before, strict=True):
                place.update(program)
                undo.callback(place.update, old)
            undo.pop_all()


def _program(
    found: Found, extern: Extern, obj: Object, load_part: LoadPart, made: ExitStack
) -> VmProgram:
    """The program that a function is, or one that is made of it: of the type of those that call
    it. What is made ends with `made`."""
    provider = found.provider
    if not isinstance(provider, LoadedProvider) or not isinstance(provider.loaded, VmObject):
        raise LinkError(f"{provider.name} is not loaded: {found.name!r} cannot be called there")
    loaded = provider.loaded
    for program in loaded.programs.values():
        if program.definition is not None and program.definition.function == found.key:
            return program
    callers = [*programs_using(obj, extern.name)]
    part = Part.of(found, callers[0] if callers else None)
    return made.enter_context(load_part(part, loaded.vm)).programs[found.key]
