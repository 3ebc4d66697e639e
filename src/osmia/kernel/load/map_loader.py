"""Make an object's maps in the kernel: create or reuse, initialise, pin, and fill slots."""

from __future__ import annotations

import errno
import os
import struct
from collections.abc import Mapping
from contextlib import ExitStack, suppress
from functools import partial
from typing import Any, Protocol

from osmia.engine.initial_values import initial_values
from osmia.engine.maps import ArenaMap, Map
from osmia.engine.reuse import check_engine, check_reuse, effective, named
from osmia.engine.tail_call_returns import TailCallReturns, check_slots
from osmia.errors import KernelError, OsmiaError, RelocationError
from osmia.kernel.load import image, tc_pins
from osmia.kernel.load.arenas import ArenaSection, arena_memory, arena_of, find_arena
from osmia.kernel.load.data_sections import LoadedSection, open_section
from osmia.kernel.load.definitions import section_map
from osmia.kernel.load.held_maps import HeldMap
from osmia.kernel.load.pin_paths import pin_path
from osmia.kernel.load.struct_ops import StructOps, find_struct_ops
from osmia.kernel.load.target import module_btf_descriptor
from osmia.kernel.maps.info import read_info
from osmia.kernel.maps.opening import MapTypes, create_descriptor
from osmia.kernel.programs.program import KernelProgram
from osmia.kernel.sys import pins, syscall
from osmia.kernel.sys.cpus import possible_cpus
from osmia.kernel.sys.fd import FileDescriptor
from osmia.kernel.sys.kinds import open_pin
from osmia.object import model
from osmia.object.model import DataKind, DataSection, Pinning
from osmia.object.uapi import MapFlag, MapType
from osmia.passes.stages import Prepared
from osmia.passes.target import Target
from osmia.paths import Path
from osmia.records import replace

# Named here: asking an enumeration for a member takes as long as ten of what is done with it.
_ARENA, _PROG_ARRAY, _PERF_EVENT_ARRAY = (
    MapType.ARENA,
    MapType.PROG_ARRAY,
    MapType.PERF_EVENT_ARRAY,
)


class Imported(Protocol):
    """Live maps of other objects: by names in the object for its maps and data sections."""

    @property
    def maps(self) -> Mapping[str, Any]: ...
    @property
    def sections(self) -> Mapping[str, Any]: ...


class MapLoader:
    """The maps of one load. What is made is registered with `undo` until the load succeeds."""

    def __init__(
        self,
        prepared: Prepared,
        btf: FileDescriptor | None,
        pin_root: str | os.PathLike[str],
        undo: ExitStack,
        target: Target,
        token_fd: int = 0,
    ) -> None:
        self.prepared = prepared
        self.ifindex = 0  # of what holds the maps, where it is not the kernel
        self.obj = prepared.object
        self.token_fd = token_fd
        self.target = target
        self.btf = btf
        self.pin_root = pin_root
        self.undo = undo
        self.user_maps: dict[str, HeldMap] = {}
        self.made: set[str] = set()  # those of them that are new
        self.sections: dict[str, LoadedSection] = {}
        self.imported: Mapping[str, Any] = {}  # other objects' maps, by section
        self.struct_ops: dict[str, StructOps] = {}
        self.pin_paths: dict[str, str] = {}

    def create(self, given: Mapping[str, Map], imports: Imported | None = None) -> None:
        """Make every map of the object and its data sections, but those that `given` has and
        those that are imported."""
        if imports is not None:
            given = {**given, **imports.maps}
            self.imported = imports.sections
        unknown = given.keys() - self.obj.maps.keys()
        if unknown:
            raise RelocationError(f"{self.obj.name} has no map {sorted(unknown)[0]!r}")
        self._find_pins(given)
        for definition in self.obj.maps.values():
            if definition.name in given:
                self._use(_effective(definition), given[definition.name])
            elif definition.autocreate:
                self._create(_effective(definition))
        for section in self.obj.data_sections.values():
            if section.name in self.imported:
                self._use_section(section, self.imported[section.name])
            elif section.kind is DataKind.ARENA:
                self._fill_arena(section)
            elif section.contents and section.kind is not DataKind.STRUCT_OPS:
                self._create_section(section)
        for ops in find_struct_ops(self.obj, self.target) if self._has_struct_ops() else ():
            self._create_struct_ops(ops)

    def _has_struct_ops(self) -> bool:
        return any(s.kind is DataKind.STRUCT_OPS for s in self.obj.data_sections.values())

    def _create_struct_ops(self, ops: StructOps) -> None:
        with ExitStack() as descriptors:
            flags, module = int(ops.definition.flags), 0
            if ops.module != "vmlinux":
                flags |= MapFlag.VTYPE_BTF_OBJ_FD
                module = descriptors.enter_context(module_btf_descriptor(ops.module)).fileno()
            if flags & MapFlag.LINK:
                from osmia.kernel.probes.features import needs

                descriptors.enter_context(needs("6.4", "struct_ops with a link"))
            fd = syscall.map_create(
                MapType.STRUCT_OPS,
                key_size=ops.definition.key_size,
                value_size=ops.definition.value_size,
                max_entries=1,
                flags=flags,
                name=ops.definition.name,
                btf_fd=self.btf.fileno() if self.btf is not None else 0,
                btf_vmlinux_value_type_id=ops.value_type_id,
                value_type_btf_obj_fd=module,
                token_fd=self.token_fd,
            )
        self._add(ops.definition, FileDescriptor(fd, f"struct_ops {ops.definition.name!r}"))
        self.struct_ops[ops.definition.name] = ops

    @property
    def descriptors(self) -> dict[str, int]:
        """The maps' descriptors, by name."""
        return {name: made.fileno() for name, made in self.user_maps.items()}

    @property
    def data_descriptors(self) -> dict[str, int]:
        """The descriptors of the data sections' maps, by section."""
        return {name: loaded.fd.fileno() for name, loaded in self.sections.items()}

    @property
    def constants(self) -> list[LoadedSection]:
        """The object's own `.rodata` sections."""
        return [
            each
            for name, each in self.sections.items()
            if each.section.kind is DataKind.RODATA and name not in self.imported
        ]

    def _use(self, definition: model.Map, given: Map) -> None:
        check_engine(definition, given, "kernel")
        check_reuse(definition, given.info, named(given))
        fd = FileDescriptor(os.dup(given.fileno()), f"map {definition.name!r}")
        self._add(definition, fd, like=given)
        if isinstance(given, ArenaMap):
            arena_of(self.user_maps[definition.name]).memory_from(given)

    def _find_pins(self, given: Mapping[str, Map]) -> None:
        """Where maps are to be pinned; what is there already is opened and compared.

        This comes before anything is made, so that a name that is no file's, an unknown
        place and a pinned map of another shape leave nothing to undo.
        """
        for definition in self.obj.maps.values():
            path = pin_path(self.obj, definition, self.pin_root) if definition.autocreate else None
            if path is None or definition.name in given:
                continue
            self.pin_paths[definition.name] = path
            if os.path.lexists(path):
                self._reuse(_effective(definition), path)

    def _reuse(self, definition: model.Map, path: str) -> None:
        fd = open_pin(path, "map")
        fd.what = f"map {definition.name!r}"
        self._add(definition, fd, pinned=path)
        if definition.type is MapType.ARENA:
            with suppress(KernelError):  # it has the address where somebody else mapped it
                arena_of(self.user_maps[definition.name]).memory()

    def _create(self, definition: model.Map) -> None:
        if definition.name in self.user_maps:
            # Reused; keep the order of the object.
            self.user_maps[definition.name] = self.user_maps.pop(definition.name)
            return
        self._add(definition, self._new(definition))
        self.made.add(definition.name)
        if definition.type is _ARENA:
            # Programs are verified against the address that the first mapping gives it.
            arena_of(self.user_maps[definition.name]).memory()
        if definition.name in self.pin_paths:
            self._pin(definition, self.pin_paths[definition.name])

    def _pin(self, definition: model.Map, path: str) -> None:
        self._make_directories(Path(path).parent, tc_layout=_is_tc_place(definition))
        made = self.user_maps[definition.name]
        try:
            made.pin(path)
        except KernelError as error:
            if error.errno != errno.EEXIST:
                raise
            # Somebody else was first: theirs is the one to use.
            made.close()
            self.made.discard(definition.name)
            self._reuse(definition, path)
            return
        self.undo.callback(Path(path).unlink, missing_ok=True)

    def _make_directories(self, directory: Path, *, tc_layout: bool) -> None:
        """Make a pin's directories, mode 0700; those made here go when the load fails."""
        if tc_layout and pins.is_on_bpffs(directory):
            self.undo.callback(tc_pins.remove_layout, tc_pins.make_layout(tc_pins.tc_root()))
        for made in pins.make_directories(directory):
            self.undo.callback(pins.remove_empty, made)

    def _new(self, definition: model.Map) -> FileDescriptor:
        what = f"map {definition.name!r}"
        if definition.inner is None:
            return FileDescriptor(self._create_fd(definition, 0), what)
        inner = _effective(definition.inner)
        with FileDescriptor(self._create_fd(inner, 0), f"inner map of {what}") as template:
            return FileDescriptor(self._create_fd(definition, template.fileno()), what)

    def _create_fd(self, definition: model.Map, inner_fd: int) -> int:
        types = MapTypes()
        if self.btf is not None and (definition.key_type_id or definition.value_type_id):
            types = MapTypes(self.btf.fileno(), definition.key_type_id, definition.value_type_id)
        try:
            return create_descriptor(
                definition.type,
                types,
                key_size=definition.key_size,
                value_size=definition.value_size,
                max_entries=definition.max_entries,
                flags=int(definition.flags),
                name=definition.name,
                inner_map_fd=inner_fd,
                numa_node=definition.numa_node or 0,
                map_extra=definition.map_extra,
                excl_prog_hash=self._exclusive_hash(definition),
                # An interface that holds maps has no perf buffers; these stay the kernel's.
                ifindex=0 if definition.type is _PERF_EVENT_ARRAY else self.ifindex,
                token_fd=self.token_fd,
            )
        except KernelError as error:
            raise _explained(definition, error, self.ifindex) from None

    def _exclusive_hash(self, definition: model.Map) -> bytes:
        if not definition.exclusive_to:
            return b""
        program = self.obj.programs.get(definition.exclusive_to)
        if program is None:
            raise RelocationError(
                f"map {definition.name!r} is exclusive to {definition.exclusive_to!r}, which is"
                " no program"
            )
        from osmia.kernel.load.exclusive import code_hash

        layout = self.prepared.layout(program.name)
        return code_hash(layout, self.obj.byteorder, image.symbols_of(layout, self.target))

    def _add(
        self,
        definition: model.Map,
        fd: FileDescriptor,
        pinned: str | None = None,
        like: Map | None = None,
    ) -> None:
        held = HeldMap(definition, fd, self.obj.btf, like)
        self.undo.callback(held.close)
        if pinned is not None:
            check_reuse(definition, read_info(fd.fileno()), f"the one pinned at {pinned!r}")
        self.user_maps[definition.name] = held

    def _create_section(self, section: DataSection) -> None:
        definition = section_map(self.obj.name, section, self.obj.btf)
        fd = self.undo.enter_context(
            FileDescriptor(self._create_fd(definition, 0), f"section {section.name!r}")
        )
        if section.kind is not DataKind.BSS or any(section.contents):
            self._write_section(fd, section)
        if section.kind in (DataKind.RODATA, DataKind.KCONFIG):
            syscall.map_freeze(fd.fileno(), what=f"freeze section {section.name!r}")
        memory = open_section(
            fd, len(section.contents), definition.flags, writable=section.writable
        )
        self.undo.callback(memory.close)
        self.sections[section.name] = LoadedSection(section, definition, fd, memory)

    def _use_section(self, section: DataSection, live: Map) -> None:
        """A data section of another object, which stays that one's."""
        check_engine(model.Map(section.name, MapType.ARRAY), live, "kernel")
        definition = model.Map(
            live.name,
            MapType.ARRAY,
            key_size=live.key_size,
            value_size=live.value_size,
            max_entries=1,
            flags=live.flags,
        )
        check_reuse(replace(definition, value_size=len(section.contents)), live.info, named(live))
        fd = FileDescriptor(os.dup(live.fileno()), f"section {section.name!r}")
        self.undo.enter_context(fd)
        memory = open_section(fd, live.value_size, live.flags, writable=section.writable)
        self.undo.callback(memory.close)
        self.sections[section.name] = LoadedSection(section, definition, fd, memory)

    def _fill_arena(self, section: DataSection) -> None:
        """Global variables of an arena lie at its start."""
        held = find_arena(section, self.user_maps.values())
        memory = arena_memory(section, held)
        if held.definition.name in self.made:
            memory[: len(section.contents)] = section.contents
        fd = FileDescriptor(os.dup(held.fileno()), f"section {section.name!r}")
        self.undo.enter_context(fd)
        loaded = LoadedSection(section, held.definition, fd, ArenaSection(memory))
        self.sections[section.name] = loaded
        self.undo.callback(loaded.memory.close)

    def _write_section(self, fd: FileDescriptor, section: DataSection) -> None:
        result = syscall.map_element(
            syscall.Command.MAP_UPDATE_ELEM,
            fd.fileno(),
            key=bytes(4),
            value=bytes(section.contents),
        )
        if result:
            raise syscall.error_of(
                syscall.Command.MAP_UPDATE_ELEM, -result, f"write section {section.name!r}"
            )

    def check_slots(self, given: Mapping[str, Map]) -> TailCallReturns | None:
        """Check what the prog arrays will hold; see `engine.tail_call_returns`."""
        arrays = {
            name: held
            for name, held in self.user_maps.items()
            if held.definition.type is _PROG_ARRAY
        }
        reused = {
            name: partial(getattr, held, "map")
            for name, held in arrays.items()
            if name not in self.made
        }
        return check_slots(self.obj, arrays, reused, variable=given)

    def fill_slots(self, programs: Mapping[str, KernelProgram]) -> None:
        """Store initial values: inner maps, and the programs of prog arrays."""
        for definition, index, target in initial_values(self.obj, self.user_maps, self.made):
            is_prog_array = definition.type is MapType.PROG_ARRAY
            held = programs.get(target) if is_prog_array else self.user_maps[target]
            if held is not None:
                self._store(definition, index, target, held.fileno())

    def _store(self, definition: model.Map, index: int, target: str, fd: int) -> None:
        key, value = struct.pack("=I", index), struct.pack("=I", fd)
        result = syscall.map_element(
            syscall.Command.MAP_UPDATE_ELEM,
            self.user_maps[definition.name].fileno(),
            key=key,
            value=value,
        )
        if result:
            raise syscall.error_of(
                syscall.Command.MAP_UPDATE_ELEM,
                -result,
                f"store {target!r} at {index} of map {definition.name!r}",
            )


def _effective(definition: model.Map) -> model.Map:
    return effective(definition, possible_cpus())


def _is_tc_place(definition: model.Map) -> bool:
    untold = bool(definition.pin_path) or definition.pinning in (Pinning.NONE, Pinning.BY_NAME)
    return not untold


def _explained(definition: model.Map, error: KernelError, ifindex: int) -> OsmiaError:
    """The refusal of a map with what is likely to be the reason."""
    if ifindex:
        from osmia.kernel.programs.offload import not_offloaded

        return not_offloaded(f"map {definition.name!r}", ifindex, error)
    from osmia.kernel.probes import features

    if error.errno in (errno.EINVAL, errno.E2BIG) and not error.hint:
        missing = features.missing_map_type(definition.type)
        if missing is not None:
            return missing
    return error
