"""`Library`: a published object as later processes find it, its code and its living maps."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import ExitStack
from functools import cached_property
from pathlib import Path
from typing import Self

from osmia.arguments import names_wrong_arguments
from osmia.closing import ClosedByWith
from osmia.engine.reuse import check_reuse, effective
from osmia.errors import ClosedError, KernelError, OsmiaError
from osmia.formats import open_object
from osmia.kernel.libraries import places, record
from osmia.kernel.load.arenas import ArenaSection, arena_memory, find_arena
from osmia.kernel.load.data_sections import CopiedSection, MappedSection, open_section
from osmia.kernel.load.definitions import section_map
from osmia.kernel.load.held_maps import HeldMap, LoadedMaps
from osmia.kernel.maps.info import read_info
from osmia.kernel.maps.raw import KernelMap
from osmia.kernel.sys.cpus import possible_cpus
from osmia.kernel.sys.kinds import open_pin
from osmia.object.model import DataKind, DataSection, Map, Object, variables
from osmia.values.names import unknown_name
from osmia.values.variables import Store, Variables

#: How often to look again when the version that was found is replaced meanwhile.
_TRIES = 16


class Library(ClosedByWith):
    """An object that somebody published on this machine: `osmia.library("conntrack")`.

    `object` is what was published, `maps` are its living maps by name, those of data sections
    by section (".bss"), `data` its global variables: the same memory that everybody has who
    uses this version. Publishing another version or removing the library changes nothing here.
    Close it, or use it in a `with` block; what was loaded against it stays.
    """

    def __init__(
        self,
        name: str,
        version: int,
        header: record.Header,
        obj: Object,
        maps: dict[str, HeldMap],
    ) -> None:
        self.name = name
        self.version = version
        self.header = header
        self.object = obj
        self._held = maps
        self.maps = LoadedMaps(f"library {name!r}", maps)
        self._memories: dict[str, MappedSection | CopiedSection | ArenaSection] = {}
        self._closed = False

    @property
    def digest(self) -> str:
        """The SHA-256 of the object's file, in hexadecimal."""
        return self.header.digest

    def where(self, found: object) -> str:
        """Which library something is in that was found here, for messages of loads."""
        return f"library, version {self.version}, {self.digest[:12]}"

    @property
    def identity(self) -> tuple[object, ...]:
        """Equal for whoever has the same object and the same maps."""
        return self.digest, *sorted((name, held.id) for name, held in self.maps.items())

    @property
    def closed(self) -> bool:
        """Whether `close` was called."""
        return self._closed

    @cached_property
    def data(self) -> Variables:
        """The global variables as they are now; all but constants can be assigned. Those in an
        arena are there if it can be mapped: a process maps one once, and another process only
        one that has its address in its definition (`map_extra`)."""
        if self._closed:
            raise ClosedError(f"library {self.name!r} is closed")
        return variables(self.object, self._store, read_only=(DataKind.RODATA,))

    def _store(self, section: DataSection) -> Store | None:
        held = self._held.get(section.name)
        if held is None:
            return None
        memory: MappedSection | CopiedSection | ArenaSection
        if section.kind is DataKind.ARENA:
            try:
                memory = ArenaSection(arena_memory(section, held))
            except KernelError:
                return None
        else:
            info = read_info(held.fileno())
            writable = section.writable and not info.frozen
            memory = open_section(held.file, info.value_size, int(info.flags), writable=writable)
        return self._memories.setdefault(section.name, memory)

    def close(self) -> None:
        """Let go of the maps. Doing it twice does no harm."""
        self._closed = True
        for memory in self._memories.values():
            memory.close()
        self.maps.close()

    def __enter__(self) -> Self:
        if self._closed:
            raise ClosedError(f"library {self.name!r} is closed")
        return self

    def __repr__(self) -> str:
        maps = f"{len(self._held)} maps"
        return f"<Library {self.name!r}: version {self.version}, {self.digest[:12]}, {maps}>"


@names_wrong_arguments
def library(name: str, *, root: places.Root = None) -> Library:
    """The library that `osmia.publish` made last under that name, on this machine; `root` is
    the directory with all libraries, if not the usual one.

    What is found is not trusted: KernelError ENOENT when there is none, ObjectFormatError for
    bytes that are no object or not those that the digest is of, MapMismatchError for maps that
    are not as the object defines them, BpfPermissionError for one of another user.
    """
    directory = places.directory_of(name, root)
    for _ in range(_TRIES):
        places.check_owner(directory)
        found = places.versions(directory)
        if not found:
            raise _missing(name, directory.parent)
        place = directory / str(found[-1])
        identity = places.identity(place)
        try:
            opened = _opened(name, found[-1], place)
        except OsmiaError:
            if identity is not None and identity == places.identity(place):
                raise
            continue  # it was replaced or removed while this went on
        if identity == places.identity(place):
            return opened
        opened.close()  # parts of two versions may be in it
    raise KernelError(errno.EAGAIN, f"open library {name!r}", hint="it is published all the time")


def _missing(name: str, root: Path) -> KernelError:
    there = places.names(root)
    hint = f"nothing is published in '{root}'"
    if there:
        hint = unknown_name(f"'{root}'", name, there, kind="library ")
    return KernelError(errno.ENOENT, f"open library {name!r}", hint=hint)


def _opened(name: str, version: int, place: Path) -> Library:
    places.check_owner(place)
    what = f"library {name!r} ({place})"
    header, obj = read_object(name, place)
    with ExitStack() as undo:
        maps: dict[str, HeldMap] = {}
        pinned = places.map_files(place)
        for key, definition in _definitions(obj):
            if key in pinned:
                maps[key] = _map(definition, obj, pinned[key], what)
                undo.callback(maps[key].close)
        for section in obj.data_sections.values():
            if section.kind is DataKind.ARENA and section.name not in maps:
                maps[section.name] = find_arena(section, maps.values())
        undo.pop_all()
    return Library(name, version, header, obj, maps)


def read_object(name: str, place: Path) -> tuple[record.Header, Object]:
    """What is published as version `place` of a library, without its maps."""
    with open_pin(place / places.OBJECT, "map") as fd:
        raw = KernelMap(fd, read_info(fd.fileno()))
        header, data = record.read(raw, f"library {name!r} ({place})")
    return header, open_object(data, name=header.object_name or name, dialect="libbpf")


def _map(definition: Map, obj: Object, path: Path, what: str) -> HeldMap:
    fd = open_pin(path, "map")
    try:
        found = read_info(fd.fileno())
        check_reuse(effective(definition, possible_cpus()), found, f"the one of {what}")
    except BaseException:
        fd.close()
        raise
    fd.what = f"map {definition.name!r}"
    return HeldMap(definition, fd, obj.btf)


def _definitions(obj: Object) -> Iterator[tuple[str, Map]]:
    """What maps a library of the object can have: by name, those of data by section."""
    yield from obj.maps.items()
    for section in obj.data_sections.values():
        if has_map(section):
            yield section.name, section_map(obj.name, section, obj.btf)


def has_map(section: DataSection) -> bool:
    """Whether a data section is a map of its own that others can use."""
    of_its_own = section.kind in (DataKind.DATA, DataKind.RODATA, DataKind.BSS)
    return of_its_own and bool(section.contents)
