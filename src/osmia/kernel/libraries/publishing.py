"""Publishing: a loaded object becomes a library of this machine, whole or not at all."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from osmia.arguments import names_wrong_arguments
from osmia.engine.loaded import LoadedObject
from osmia.engine.refusals import lacking
from osmia.errors import ClosedError, KernelError
from osmia.kernel.libraries import places, record
from osmia.kernel.libraries.library import has_map
from osmia.kernel.libraries.listing import LibraryInfo
from osmia.kernel.load.loaded import KernelObject
from osmia.kernel.sys import pin_sets

#: How often to try again when somebody else publishes or removes the library meanwhile.
_TRIES = 16


@names_wrong_arguments
def publish(loaded: LoadedObject, name: str, *, root: places.Root = None) -> LibraryInfo:
    """Make a loaded object a library of this machine: any process can link against it with
    `osmia.library(name)`, also when this one is gone, until it is removed or the machine stops.

    Its maps, those of data sections too, are pinned, and beside them its own bytes, of the
    object as it was given to `load`. Publishing under a name that is there makes a new version,
    which whoever looks from then on finds; who has the one before keeps it. When the process is
    killed meanwhile, there is the one or the other, whole.

    `name` has up to 64 letters, digits, "_" and "-". `root` is the directory for libraries in a
    bpffs, if not the usual one (`osmia/libraries`).

    NotSupportedError for an object of another engine (a vm ends with its process, in which the
    loaded object itself can be used), RelocationError and ObjectFormatError as of
    `Object.to_bytes`, PinNameError, KernelError. Nothing is left behind then.
    """
    if not isinstance(loaded, KernelObject):
        raise lacking(loaded.engine, "publish", f"object {loaded.name!r}")
    if loaded.closed:
        raise ClosedError(f"object {loaded.name!r} is closed")
    directory = places.directory_of(name, root)
    data = loaded.source.to_bytes()
    header = record.describe(data, loaded.source.name)
    maps = dict(_maps(loaded))
    with record.store(header, data) as stored:
        version = _pin(stored.fileno(), maps, directory)
    for older in places.versions(directory):
        if older < version:
            pin_sets.remove_directory(directory / str(older))
    return LibraryInfo(name, version, directory / str(version), header, tuple(sorted(maps)))


def _maps(loaded: KernelObject) -> Iterator[tuple[str, int]]:
    """The descriptors of what the object itself defines, by name."""
    for name, descriptor in loaded.maps.descriptors().items():
        if name in loaded.source.maps:
            yield name, descriptor
    for name, descriptor in loaded.section_maps.descriptors().items():
        section = loaded.source.data_sections.get(name)
        if section is not None and has_map(section):
            yield name, descriptor


def _pin(stored: int, maps: dict[str, int], directory: Path) -> int:
    """Pin a version; its number."""
    files = {name: places.file_of(name) for name in maps}
    for _ in range(_TRIES):
        places.check_owner(directory)
        there = places.versions(directory)
        version = max(there, default=0) + 1
        place = directory / str(version)
        pins: list[pin_sets.Pin] = [(stored, place / places.OBJECT, "the object")]
        pins += [
            (fd, place / places.MAPS / files[name], f"map {name!r}") for name, fd in maps.items()
        ]
        try:
            pin_sets.pin_all(pins, partial(_check_newest, directory, version))
        except _OlderError:
            continue
        except KernelError as error:
            if error.errno == errno.ENOENT and there and not directory.exists():
                continue  # somebody removed the library meanwhile
            raise
        return version
    hint = "others publish and remove it all the time"
    raise KernelError(errno.EAGAIN, f"publish '{directory}'", hint=hint)


class _OlderError(Exception):
    """Somebody else made this version, or a later one, first."""


def _check_newest(directory: Path, version: int) -> None:
    if max(places.versions(directory), default=0) >= version:
        raise _OlderError
