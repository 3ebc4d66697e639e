"""`LoadedObject`: an object's programs, maps and data while the kernel holds them."""

from __future__ import annotations

import errno
import os
from collections.abc import Collection, Iterator, Mapping
from contextlib import ExitStack
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

from osmia.engine.maps import Map
from osmia.kernel.load.held_maps import HeldMap, LoadedMaps
from osmia.kernel.load.map_loader import LoadedSection
from osmia.kernel.load.usdt_specs import SPECS_MAP, UsdtSpecs
from osmia.kernel.programs.program import Program
from osmia.kernel.sys import pins
from osmia.kernel.sys.syscall import Command, error_of, map_element
from osmia.object.model import DataKind, DataSection, Object, variables
from osmia.object.uapi import MapFlag
from osmia.values.names import PartsByName
from osmia.values.variables import Store, Variables

if TYPE_CHECKING:
    from osmia.kernel.links import Link


class LoadedObject:
    """What `Object.load` gives: `.programs["name"]`, `.maps["name"]`, `.data["variable"]`.

    Owns the descriptors of its programs and maps; `close` (or leaving a `with` block)
    gives them up. What is attached or pinned stays in the kernel.
    """

    def __init__(
        self,
        obj: Object,
        programs: Mapping[str, Program],
        maps: Mapping[str, HeldMap],
        sections: Mapping[str, LoadedSection],
        struct_ops: Mapping[str, bytes],
    ) -> None:
        self.object = obj
        self.programs = PartsByName(f"object {obj.name!r}", "program", programs)
        self.maps = LoadedMaps(f"object {obj.name!r}", maps)
        self._sections = dict(sections)
        self._struct_ops = dict(struct_ops)
        if SPECS_MAP in self.maps:
            specs = UsdtSpecs(self.maps[SPECS_MAP])
            for program in self.programs.values():
                program.usdt_specs = specs

    @cached_property
    def data(self) -> Variables:
        """The global variables: `bpf.data["dropped"]`, read and, but for constants, assigned."""
        read_only = (DataKind.RODATA, DataKind.KCONFIG)
        return variables(self.object, self._store, read_only=read_only)

    @property
    def name(self) -> str:
        """The object's name."""
        return self.object.name

    def _store(self, section: DataSection) -> Store | None:
        loaded = self._sections.get(section.name)
        return loaded.memory if loaded is not None else None

    def attach(self, *, without: Collection[str] = ()) -> list[Link]:
        """Attach every program whose section says where, and every struct_ops; the links, in
        the object's order.

        Programs that need to be told (an interface, a cgroup) are left alone, and so are
        programs and struct_ops named in `without` (KeyError for names of neither). When one
        cannot be attached, those attached before are detached again.
        """
        for name in without:
            if name not in self._struct_ops:
                self.programs[name]
        with ExitStack() as undo:
            links = []
            for name, program in self.programs.items():
                wanted = program.definition is not None and program.definition.auto_attach
                if wanted and name not in without:
                    links.append(undo.enter_context(program.attach()))
            for name in self._struct_ops:
                if name not in without:
                    links.append(undo.enter_context(self.attach_struct_ops(name)))
            undo.pop_all()
        return links

    def attach_struct_ops(self, name: str) -> Link:
        """Register the struct_ops of that name with the kernel (since 5.6; links since 6.4).

        Raises KeyError when the object has none of that name.
        """
        from osmia.kernel.links import struct_ops

        ops, value = self.maps[name], self._struct_ops[name]
        if not ops.flags & MapFlag.LINK:
            return struct_ops.register_struct_ops(ops, value, name)
        # Once a link uses the value it cannot be written again, and need not be.
        error = -map_element(Command.MAP_UPDATE_ELEM, ops.fileno(), key=bytes(4), value=value)
        if error not in (0, errno.EBUSY):
            raise error_of(Command.MAP_UPDATE_ELEM, error, f"write struct_ops {name!r}")
        return struct_ops.attach_struct_ops(ops, name)

    def register_struct_ops(self, name: str) -> None:
        """Register the struct_ops of that name until `osmia struct_ops unregister` or a delete
        of its map's value ends it, beyond this process (since 5.6).

        Raises ValueError for those that are registered by links (section `.struct_ops.link`):
        pin the link that `attach_struct_ops` gives.
        """
        from osmia.kernel.links import struct_ops

        ops, value = self.maps[name], self._struct_ops[name]
        if ops.flags & MapFlag.LINK:
            raise ValueError(f"struct_ops {name!r} is registered by a link; pin that")
        struct_ops.register_for_good(ops, value, name)

    def pin(
        self, directory: str | os.PathLike[str], *, programs: bool = True, maps: bool = True
    ) -> list[Path]:
        """Pin all programs and maps under their names in a directory of a bpffs; the paths.

        All or none: when one cannot be pinned, those before are removed again, and so are
        directories made here. Global data stays as long as the programs do.
        """
        wanted = [
            (part.fileno(), path, f"{kind} {part.name!r}")
            for kind, part, path in self._pins(directory, programs=programs, maps=maps)
        ]
        pins.pin_all(wanted)
        return [path for _, path, _ in wanted]

    def unpin(
        self, directory: str | os.PathLike[str], *, programs: bool = True, maps: bool = True
    ) -> None:
        """Remove what `pin` with the same arguments made, in this process or another one."""
        pins.unpin_all(path for *_, path in self._pins(directory, programs=programs, maps=maps))

    def _pins(
        self, directory: str | os.PathLike[str], *, programs: bool, maps: bool
    ) -> Iterator[tuple[str, Program | Map, Path]]:
        if programs:
            for name, program in self.programs.items():
                yield "program", program, Path(directory, pins.safe_name(name))
        if maps:
            for name, held in self.maps.items():
                yield "map", held, Path(directory, pins.safe_name(name))

    def close(self) -> None:
        """Give up all descriptors. Doing it twice does no harm."""
        with ExitStack() as everything:
            for section in self._sections.values():
                everything.callback(section.close)
            everything.callback(self.maps.close)
            for program in self.programs.values():
                everything.callback(program.close)

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
        return f"<LoadedObject {self.name!r}: {len(self.programs)} programs, {len(self.maps)} maps>"
