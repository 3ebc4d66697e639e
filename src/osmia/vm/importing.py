"""What a load into a vm links against: which vm that is, and functions called where they are."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import ExitStack
from typing import Any

from osmia.engine.importing import LoadedProvider, read_imports
from osmia.errors import LinkError
from osmia.object.model import Extern, Object, RelocationKind
from osmia.passes.binding import Binding
from osmia.passes.imports import Found, Imports
from osmia.passes.parts import Part
from osmia.passes.verifier_rules import programs_using
from osmia.vm.dispatcher import Dispatcher
from osmia.vm.engine import Vm
from osmia.vm.loaded import Owners, VmObject
from osmia.vm.programs import VmProgram


class VmImports:
    """The imports of one load.

    In a mapping of `imports=` there may be programs and dispatchers beside providers, as
    `programs=` has them: `calls` is by name all that externs stand for. `load_part` loads a
    function that is no program as one.
    """

    def __init__(
        self, obj: Object, given: Any, bind: str, load_part: Callable[[Part, Vm], VmObject]
    ) -> None:
        self._load_part = load_part
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
        """Bind a function where it is: a program of the object, or one that is made of it."""
        provider = found.provider
        if not isinstance(provider, LoadedProvider) or not isinstance(provider.loaded, VmObject):
            raise LinkError(f"{provider.name} is not loaded: {found.name!r} cannot be called there")
        loaded = provider.loaded
        for program in loaded.programs.values():
            if program.definition is not None and program.definition.function == found.key:
                self.calls[extern.name] = program
                break
        else:
            self.calls[extern.name] = self._made(found, extern, obj, loaded.vm)
        kinds = RelocationKind.ENGINE_FUNCTION, RelocationKind.ENGINE_ADDRESS
        return Binding(extern.name, call=kinds[0], load=kinds[1])

    def _made(self, found: Found, extern: Extern, obj: Object, vm: Vm) -> VmProgram:
        """A program of a function that is none: of the type of those that call it."""
        callers = [*programs_using(obj, extern.name)]
        part = Part.of(found, callers[0] if callers else None)
        return self._parts.enter_context(self._load_part(part, vm)).programs[found.key]
