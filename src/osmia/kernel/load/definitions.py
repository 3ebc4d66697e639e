"""Map definitions as this kernel takes them: what libbpf fills in and corrects at load."""

from __future__ import annotations

import mmap
from dataclasses import replace

from osmia.btf import BTF, DataSec, Var, VarLinkage
from osmia.errors import MapMismatchError, ObjectFormatError
from osmia.kernel.maps.info import MapInfo
from osmia.kernel.sys.cpus import possible_cpus
from osmia.object.model import DataKind, DataSection, Map
from osmia.object.uapi import MapFlag, MapType

RINGS = (MapType.RINGBUF, MapType.USER_RINGBUF)
NAME_LENGTH = 15
INT_SIZE = 4


def effective(definition: Map) -> Map:
    """`definition` with sizes and entries as BPF_MAP_CREATE wants them."""
    if definition.type is MapType.PERF_EVENT_ARRAY and not definition.max_entries:
        return replace(definition, max_entries=possible_cpus())
    if definition.type in RINGS:
        return replace(
            definition, key_size=0, value_size=0, max_entries=ring_size(definition.max_entries)
        )
    if definition.type is MapType.ARENA and not definition.max_entries:
        raise ObjectFormatError(f"arena {definition.name!r} needs max_entries (pages)")
    return definition


def ring_size(wanted: int) -> int:
    """The next size that a ring buffer can have: a power of two of at least a page, in bytes."""
    if not wanted:
        return 0
    return max(mmap.PAGESIZE, 1 << (wanted - 1).bit_length())


def section_map_name(object_name: str, section: str) -> str:
    """The kernel's name of a data section's map, as libbpf makes it; 15 characters.

    Up to 8 characters of the object's name and the section's; of a section with two dots
    only its own.
    """
    room = NAME_LENGTH - max(7, len(section))
    prefix = "" if "." in section[1:] else object_name[: max(room, 0)]
    name = (prefix + section)[:NAME_LENGTH]
    return "".join(
        letter if (letter.isascii() and letter.isalnum()) or letter in "_." else "_"
        for letter in name
    )


def section_map(object_name: str, section: DataSection, btf: BTF | None) -> Map:
    """The array of one element that holds a data section."""
    flags = MapFlag(0)
    if section.kind in (DataKind.RODATA, DataKind.KCONFIG):
        flags |= MapFlag.RDONLY_PROG
    if btf is not None and _has_visible_variable(btf, section):
        flags |= MapFlag.MMAPABLE
    return Map(
        name=section_map_name(object_name, section.name),
        type=MapType.ARRAY,
        key_size=INT_SIZE,
        value_size=len(section.contents),
        max_entries=1,
        flags=flags,
        value_type_id=section.btf_id,
    )


def _has_visible_variable(btf: BTF, section: DataSection) -> bool:
    datasec = btf.type(section.btf_id)
    return isinstance(datasec, DataSec) and any(
        isinstance(variable := btf.type(entry.type_id), Var)
        and variable.linkage != VarLinkage.STATIC
        for entry in datasec.entries
    )


def check_reuse(definition: Map, info: MapInfo, which: str) -> None:
    """MapMismatchError, naming every difference, when the map `which` is not as defined."""
    flags = info.flags
    if definition.type in (MapType.DEVMAP, MapType.DEVMAP_HASH):
        flags &= ~MapFlag.RDONLY_PROG  # the kernel adds it on its own
    pairs = (
        ("type", _type_name(definition.type), _type_name(info.type)),
        ("key size", definition.key_size, info.key_size),
        ("value size", definition.value_size, info.value_size),
        ("max entries", definition.max_entries, info.max_entries),
        ("flags", f"{definition.flags:#x}", f"{flags:#x}"),
        ("map_extra", definition.map_extra, info.map_extra),
    )
    differences = tuple(
        f"{what} {wanted} in the object, {found} in the map"
        for what, wanted, found in pairs
        if wanted != found
    )
    if differences:
        raise MapMismatchError(f"map {definition.name!r} cannot be {which}", differences)


def _type_name(number: int) -> str:
    return getattr(number, "name", str(number)).lower()
