"""`LoadedObject`: an object's programs, maps and data in a vm, as the kernel engine's looks."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import TracebackType
from typing import Any

from osmia.engine.maps import Map
from osmia.errors import ClosedError, NotSupportedError
from osmia.object.model import DataKind, DataSection, Object, variables
from osmia.values.names import PartsByName
from osmia.values.variables import Store, Variables
from osmia.vm.engine import Vm
from osmia.vm.maps.raw import VmMap
from osmia.vm.programs import Program


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


class LoadedObject:
    """What `Object.load(engine="vm")` gives: `.programs["name"]`, `.maps["name"]`,
    `.data["variable"]`, `.vm`. `close` frees its maps, and the vm if it made that itself."""

    def __init__(
        self,
        obj: Object,
        vm: Vm,
        programs: Mapping[str, Program],
        maps: Mapping[str, Map],
        sections: Mapping[str, VmMap],
        borrowed: frozenset[str],
        jump_tables: Iterable[VmMap],
        *,
        owns_vm: bool,
    ) -> None:
        self.object = obj
        self.vm = vm
        self.programs = PartsByName(f"object {obj.name!r}", "program", programs)
        self.maps: dict[str, Any] = PartsByName(f"object {obj.name!r}", "map", maps)
        self._sections = dict(sections)
        self._borrowed = borrowed
        self._jump_tables = tuple(jump_tables)
        self._owns_vm = owns_vm
        self._closed = False
        self.data: Variables = variables(
            obj, self._store, read_only=(DataKind.RODATA, DataKind.KCONFIG)
        )

    @property
    def name(self) -> str:
        """The object's name."""
        return self.object.name

    def _store(self, section: DataSection) -> Store | None:
        loaded = self._sections.get(section.name)
        return SectionStore(loaded) if loaded is not None else None

    def attach(self) -> list[Any]:
        """The vm has no places to attach to: NotSupportedError."""
        raise NotSupportedError("the vm attaches nothing: run its programs with Program.run")

    def close(self) -> None:
        """Free what the object has in the vm. Doing it twice does no harm."""
        if self._closed:
            return
        self._closed = True
        if self._owns_vm:
            self.vm.close()
            return
        self.vm.unload(self.programs.values())
        for name, held in self.maps.items():
            if name not in self._borrowed:
                held.close()
        for unnamed in (*self._sections.values(), *self._jump_tables):
            unnamed.close()

    def __enter__(self) -> LoadedObject:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        counts = f"{len(self.programs)} programs, {len(self.maps)} maps"
        return f"<LoadedObject {self.name!r}: {counts}, vm>"
