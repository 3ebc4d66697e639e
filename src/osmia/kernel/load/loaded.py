"""An object's programs, maps and data while the kernel holds them."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from osmia.arguments import names_wrong_arguments
from osmia.engine import loaded as engine
from osmia.engine.maps import Map
from osmia.kernel.load.data_sections import LoadedSection
from osmia.kernel.load.held_maps import HeldMap, LoadedMaps
from osmia.kernel.load.usdt_specs import SPECS_MAP, UsdtSpecs
from osmia.kernel.programs.program import KernelProgram
from osmia.kernel.sys import pin_sets, pins
from osmia.kernel.sys.syscall import Command, error_of, map_element
from osmia.object.model import DataSection, Object
from osmia.object.uapi import MapFlag
from osmia.values.variables import Store

if TYPE_CHECKING:
    from osmia.engine.link import Link


class KernelObject(engine.LoadedObject):
    """A loaded object that owns the descriptors of its programs and maps."""

    engine: ClassVar[str] = "kernel"
    programs: Mapping[str, KernelProgram]
    maps: LoadedMaps

    def __init__(
        self,
        obj: Object,
        programs: Mapping[str, KernelProgram],
        maps: Mapping[str, HeldMap],
        sections: Mapping[str, LoadedSection],
        struct_ops: Mapping[str, bytes],
    ) -> None:
        held = LoadedMaps(f"object {obj.name!r}", maps)
        super().__init__(obj, programs, held, struct_ops)
        self._sections = dict(sections)
        self._struct_ops = struct_ops
        if SPECS_MAP in held:
            specs = UsdtSpecs(held[SPECS_MAP])
            for program in programs.values():
                program.usdt_specs = specs

    def _store(self, section: DataSection) -> Store | None:
        loaded = self._sections.get(section.name)
        return loaded.memory if loaded is not None else None

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
        for section in self._sections.values():
            everything.callback(section.close)
        everything.callback(self.maps.close)
        super()._release(everything)
