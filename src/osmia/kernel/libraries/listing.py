"""What libraries there are on this machine and who uses them; removing one."""

from __future__ import annotations

import errno
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from osmia.arguments import names_wrong_arguments
from osmia.errors import KernelError, OsmiaError
from osmia.kernel.libraries import places, record
from osmia.kernel.maps.info import read_info
from osmia.kernel.maps.raw import KernelMap
from osmia.kernel.sys import pin_sets
from osmia.kernel.sys.kinds import open_pin
from osmia.named_tuples import NamedTuple

if TYPE_CHECKING:
    from osmia.kernel.programs.info import ProgramInfo


class LibraryInfo(NamedTuple):
    """A library as it is listed: `header` tells of the object, `maps` has names.

    `problem` says in words what is wrong with one that cannot be used; its header is None.
    """

    name: str
    version: int
    path: Path
    header: record.Header | None
    maps: tuple[str, ...]
    problem: str = ""


@names_wrong_arguments
def published(root: places.Root = None) -> list[LibraryInfo]:
    """The libraries of this machine, by name, those with a problem too."""
    found = (described(name, root) for name in places.names(root))
    return [each for each in found if each is not None]


def described(name: str, root: places.Root = None) -> LibraryInfo | None:
    """The library of that name, None when there is none. Its object is not read."""
    directory = places.directory_of(name, root)
    there = places.versions(directory)
    if not there:
        return None
    place = directory / str(there[-1])
    maps = tuple(sorted(places.map_files(place)))
    try:
        places.check_owner(directory)
        places.check_owner(place)
        with open_pin(place / places.OBJECT, "map") as fd:
            raw = KernelMap(fd, read_info(fd.fileno()))
            header = record.read_header(raw, f"library {name!r} ({place})")
    except OsmiaError as error:
        if not place.exists():  # replaced meanwhile
            return described(name, root)
        return LibraryInfo(name, there[-1], place, None, maps, str(error))
    return LibraryInfo(name, there[-1], place, header, maps)


def remove(name: str, *, root: places.Root = None) -> None:
    """Remove a library, at once for whoever looks; who uses it keeps what he has.

    KernelError ENOENT when there is none.
    """
    directory = places.directory_of(name, root)
    if not directory.is_dir():
        raise KernelError(errno.ENOENT, f"remove library {name!r}")
    pin_sets.remove_directory(directory)


def map_ids(info: LibraryInfo) -> set[int]:
    """The ids of a library's maps, of those that can be opened."""
    found = set()
    for path in places.map_files(info.path).values():
        with suppress(KernelError), open_pin(path, "map") as fd:
            found.add(read_info(fd.fileno()).id)
    return found


def users(info: LibraryInfo) -> list[ProgramInfo]:
    """The loaded programs that hold maps of a library (CAP_SYS_ADMIN)."""
    from osmia.kernel.inventory import iterate  # all kinds of links come with it

    wanted = map_ids(info)
    return [each for each in iterate.programs() if wanted.intersection(each.map_ids)]
