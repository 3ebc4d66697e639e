"""An object's programs, maps and data while the kernel holds them."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar

from osmia.arguments import names_wrong_arguments
from osmia.engine import loaded as engine
from osmia.engine.maps import Map
from osmia.errors import ClosedError
from osmia.kernel.load.data_sections import LoadedSection
from osmia.kernel.load.held_maps import HeldMap, LoadedMaps
from osmia.kernel.load.usdt_specs import SPECS_MAP, UsdtSpecs
from osmia.kernel.programs.program import KernelProgram
from osmia.kernel.sys import pin_sets, pins
from osmia.kernel.sys.syscall import Command, error_of, map_element
from osmia.object import model
from osmia.object.model import DataKind, DataSection, Object
from osmia.object.uapi import MapFlag
from osmia.paths import Path
from osmia.records import replace
from osmia.values.variables import Store

if TYPE_CHECKING:
    from osmia.engine.link import Link
    from osmia.kernel.load.counters import Counters
    from osmia.kernel.load.replacing import Replacement
    from osmia.passes.cover import Counted


class KernelObject(engine.LoadedObject):
    """A loaded object that owns the descriptors of its programs and maps."""

    engine: ClassVar[str] = "kernel"
    #: What `clone` does; the load says.
    load_clone: Callable[[model.Program, KernelProgram | None, int], KernelProgram]
    #: What is counted in its code, where its load asked for that.
    counters: Counters | None = None
    programs: Mapping[str, KernelProgram]
    maps: LoadedMaps

    def __init__(
        self,
        obj: Object,
        programs: Mapping[str, KernelProgram],
        maps: Mapping[str, HeldMap],
        sections: Mapping[str, LoadedSection],
        struct_ops: Mapping[str, bytes],
        *,
        source: Object,
        linked: Object,
    ) -> None:
        held = LoadedMaps(f"object {obj.name!r}", maps)
        super().__init__(obj, programs, held, struct_ops, source=source, linked=linked)
        self._sections = dict(sections)
        self._struct_ops = struct_ops
        self.replacements: dict[str, Replacement] = {}
        """Functions of other objects that stand for stubs in programs of this one, by name."""
        if SPECS_MAP in held:
            specs = UsdtSpecs(held[SPECS_MAP])
            for program in programs.values():
                program.usdt_specs = specs

    @names_wrong_arguments
    def clone(
        self,
        program: str,
        *,
        target: KernelProgram | None = None,
        log_level: int = 0,
        **changes: Any,
    ) -> KernelProgram:
        """Load a program of the object once more, with the same maps and global variables.

        `changes` are fields of its definition: `attach_to="vfs_read"`, `flags=…`. `target` is
        the loaded program that an freplace or fentry program is for. The new program is the
        caller's, to be closed, and stays when the object is closed.

        Raises KeyError for a program that was not loaded, TypeError for a field that definitions
        lack, ClosedError, and as `load`.
        """
        if self.closed:
            raise ClosedError(f"object {self.name!r} is closed")
        definition = replace(self.object.programs[self.programs[program].name], **changes)
        return self.load_clone(definition, target, log_level)

    @names_wrong_arguments
    def count(self, counted: Counted) -> None:
        """Its code has counters, in a data section of theirs."""
        from osmia.kernel.load.counters import Counters

        self.counters = Counters(counted, self._sections.get(counted.rows.section))

    def held(self) -> tuple[dict[str, HeldMap], dict[str, LoadedSection]]:
        """Its maps and data sections, by name; the object goes on owning them."""
        return self.maps.held(), dict(self._sections)

    @cached_property
    def section_maps(self) -> LoadedMaps:
        held = {
            name: HeldMap(each.definition, each.fd, None)
            for name, each in self._sections.items()
            if each.section.kind is not DataKind.ARENA
        }
        return LoadedMaps(f"the data of object {self.name!r}", held)

    def _store(self, section: DataSection) -> Store | None:
        loaded = self._sections.get(section.name)
        return loaded.memory if loaded is not None else None

    @names_wrong_arguments
    def rebind(self, name: str, provider: Any) -> None:
        replacement = self.replacements.get(name)
        if self._closed or replacement is None:
            super().rebind(name, provider)
        else:
            replacement.rebind(provider, self)

    @names_wrong_arguments
    def attach_struct_ops(self, name: str) -> Link:
        from osmia.kernel.links import struct_ops

        ops, value = self.maps[name], self._struct_ops[name]
        if not ops.flags & MapFlag.LINK:
            return self._links.adopt(struct_ops.register_struct_ops(ops, value, name))
        # Once a link uses the value it cannot be written again, and need not be.
        error = -map_element(Command.MAP_UPDATE_ELEM, ops.fileno(), key=bytes(4), value=value)
        if error not in (0, errno.EBUSY):
            raise error_of(Command.MAP_UPDATE_ELEM, error, f"write struct_ops {name!r}")
        return self._links.adopt(struct_ops.attach_struct_ops(ops, name))

    def register_struct_ops(self, name: str) -> None:
        from osmia.kernel.links import struct_ops

        ops, value = self.maps[name], self._struct_ops[name]
        if ops.flags & MapFlag.LINK:
            raise ValueError(f"struct_ops {name!r} is registered by a link; pin that")
        struct_ops.register_for_good(ops, value, name)

    @names_wrong_arguments
    def pin(
        self, directory: str | os.PathLike[str], *, programs: bool = True, maps: bool = True
    ) -> list[Path]:
        wanted = [
            (part.fileno(), path, f"{kind} {part.name!r}")
            for kind, part, path in self._pins(directory, programs=programs, maps=maps)
        ]
        pin_sets.pin_all(wanted)
        return [path for _, path, _ in wanted]

    @names_wrong_arguments
    def unpin(
        self, directory: str | os.PathLike[str], *, programs: bool = True, maps: bool = True
    ) -> None:
        pin_sets.unpin_all(path for *_, path in self._pins(directory, programs=programs, maps=maps))

    def _pins(
        self, directory: str | os.PathLike[str], *, programs: bool, maps: bool
    ) -> Iterator[tuple[str, KernelProgram | Map, Path]]:
        if programs:
            for name, program in self.programs.items():
                yield "program", program, Path(directory, pins.safe_name(name))
        if maps:
            for name, held in self.maps.items():
                yield "map", held, Path(directory, pins.safe_name(name))

    def _release(self, everything: ExitStack) -> None:
        if self.counters is not None:
            self.counters.keep()
        for section in self._sections.values():
            everything.callback(section.close)
        everything.callback(self.maps.close)
        super()._release(everything)
        for replacement in self.replacements.values():
            everything.callback(replacement.close)
