"""An object's programs, maps and data in a vm."""

from __future__ import annotations

from _weakref import ref  # all of `weakref` is dear
from collections.abc import Callable, Iterable, Mapping
from contextlib import ExitStack
from functools import cached_property

from osmia.arguments import names_wrong_arguments
from osmia.engine import loaded as engine
from osmia.errors import ClosedError
from osmia.object.uapi import MapType
from osmia.values.names import PartsByName
from osmia.vm.dispatcher import Dispatcher
from osmia.vm.engine import Vm
from osmia.vm.maps.raw import VmMap
from osmia.vm.programs import VmProgram

# The name that type checkers know; `typing` is dear.
TYPE_CHECKING = False

if TYPE_CHECKING:
    from typing import Any, ClassVar, Self

    from osmia.engine.maps import Map
    from osmia.object.model import DataSection, Object
    from osmia.values.variables import Store


class SectionStore:
    """A data section's bytes, where programs see them."""

    def __init__(self, section: VmMap) -> None:
        self._section = section

    def _address(self) -> int:
        if self._section.closed:
            raise ClosedError("the object is closed")
        return self._section.values_address

    def read(self, offset: int, size: int) -> bytes:
        """The bytes now."""
        return self._section.vm.memory.read(self._address() + offset, size)

    def write(self, offset: int, data: bytes) -> None:
        """Replace bytes; programs that run meanwhile may see them one by one."""
        self._section.vm.memory.write(self._address() + offset, data)


class Owners:
    """The objects that keep a vm which one of them made; the last to be closed closes it.

    One that is loaded into it as well enters, and leaves when its load fails.
    """

    def __init__(self, vm: Vm) -> None:
        self.vm = vm
        self._count = 1

    def __enter__(self) -> Self:
        self._count += 1
        return self

    def __exit__(self, *_: object) -> None:
        self.leave()

    def leave(self) -> bool:
        """One object fewer; whether it was the last."""
        self._count -= 1
        return not self._count


class VmObject(engine.LoadedObject):
    """A loaded object in `vm`; `close` frees its maps, and the vm if an object made that and no
    other has it any more."""

    engine: ClassVar[str] = "vm"
    programs: PartsByName[VmProgram]
    maps: PartsByName[Any]

    def __init__(
        self,
        obj: Object,
        vm: Vm,
        programs: Mapping[str, VmProgram],
        maps: Mapping[str, Map],
        sections: Mapping[str, VmMap],
        jump_tables: Iterable[VmMap],
        *,
        source: Object,
        linked: Object,
        owners: Owners | None,
        engine_functions: Mapping[str, VmProgram | Dispatcher],
        name: str | None = None,
    ) -> None:
        name = obj.name if name is None else name
        held = PartsByName(f"object {name!r}", "map", maps)
        super().__init__(obj, programs, held, source=source, linked=linked, name=name)
        self.vm = vm
        for program in programs.values():
            program.loaded = ref(self)
        self._sections = dict(sections)
        self._jump_tables = tuple(jump_tables)
        self.owners = owners
        self.engine_functions = engine_functions
        self.parts = ExitStack()
        """Functions of other objects that were made programs for this one to call."""
        self.rebinders: Mapping[str, Callable[[Any, VmObject], None]] = {}
        """How each extern that is called by handle is bound anew."""
        self._kept = owners is not None
        self._ends_vm = False

    @cached_property
    def section_maps(self) -> Mapping[str, Any]:
        from osmia.engine.maps import Map

        return {
            name: Map.over(section)
            for name, section in self._sections.items()
            if section.type is not MapType.ARENA
        }

    @names_wrong_arguments
    def rebind(self, name: str, provider: Any) -> None:
        rebinder = self.rebinders.get(name)
        if self._closed or rebinder is None:
            super().rebind(name, provider)
        else:
            rebinder(provider, self)

    def _store(self, section: DataSection) -> Store | None:
        loaded = self._sections.get(section.name)
        return SectionStore(loaded) if loaded is not None else None

    def _release(self, everything: ExitStack) -> None:
        if self._kept and self.owners is not None:
            self._kept = False
            self._ends_vm = self.owners.leave()
        if self._ends_vm:
            everything.callback(self.vm.close)
            return
        everything.callback(self.parts.close)
        for unnamed in (*self._sections.values(), *self._jump_tables):
            everything.callback(unnamed.close)
        for held in self._map_handles():
            everything.callback(held.close)
        everything.callback(self._unload)

    def _map_handles(self) -> list[Any]:
        """Its maps, to be closed."""
        return list(self.maps.values())

    def _unload(self) -> None:
        """All at once: the vm looks only once at what is in use."""
        self.vm.unload([each for each in self.programs.values() if not each.give_up()])
