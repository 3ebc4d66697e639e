"""An object's programs, maps and data in a vm."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import ExitStack
from typing import Any, ClassVar

from osmia.engine import loaded as engine
from osmia.engine.maps import Map
from osmia.errors import ClosedError
from osmia.object.model import DataSection, Object
from osmia.values.names import PartsByName
from osmia.values.variables import Store
from osmia.vm.engine import Vm
from osmia.vm.maps.raw import VmMap
from osmia.vm.programs import VmProgram


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


class VmObject(engine.LoadedObject):
    """A loaded object in `vm`; `close` frees its maps, and the vm if it made that itself."""

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
        owns_vm: bool,
    ) -> None:
        held = PartsByName(f"object {obj.name!r}", "map", maps)
        super().__init__(obj, programs, held, source=source)
        self.vm = vm
        self._sections = dict(sections)
        self._jump_tables = tuple(jump_tables)
        self._owns_vm = owns_vm

    def _store(self, section: DataSection) -> Store | None:
        loaded = self._sections.get(section.name)
        return SectionStore(loaded) if loaded is not None else None

    def _release(self, everything: ExitStack) -> None:
        if self._owns_vm:
            everything.callback(self.vm.close)
            return
        for unnamed in (*self._sections.values(), *self._jump_tables):
            everything.callback(unnamed.close)
        for held in self.maps.values():
            everything.callback(held.close)
        everything.callback(self._unload)

    def _unload(self) -> None:
        """All at once: the vm looks only once at what is in use."""
        self.vm.unload([each for each in self.programs.values() if not each.give_up()])
