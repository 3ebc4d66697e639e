"""What a light skeleton is of: the maps and programs of an object, as the loader numbers them."""

from __future__ import annotations

import sys
from collections.abc import Iterator

from osmia.btf import BTF
from osmia.btf.patch import without_externs
from osmia.engine.reuse import effective
from osmia.errors import NotSupportedError, OsmiaError
from osmia.kernel.load.definitions import config_layout, section_map
from osmia.kernel.sys.cpus import possible_cpus
from osmia.named_tuples import NamedTuple
from osmia.object import model
from osmia.object.model import DataKind, DataSection, ExternKind, Object, Pinning
from osmia.object.sections import unknown_section
from osmia.object.uapi import MapFlag, MapType, ProgramType
from osmia.passes.externs import resolve_config
from osmia.passes.left_out import leave_out_maps
from osmia.passes.target import Target
from osmia.records import dataclass


class SkeletonMap(NamedTuple):
    """A map of the skeleton: as it is made, and the data section that it holds, if any."""

    definition: model.Map
    section: DataSection | None = None

    @property
    def mapped(self) -> bool:
        """Whether C code sees the section's variables."""
        return self.section is not None and bool(self.definition.flags & MapFlag.MMAPABLE)


@dataclass(frozen=True)
class Contents:
    """An object whose kernel externs and CO-RE records are left to the loader program.

    `maps` are numbered as libbpf numbers them, since the numbers are in the programs' tags:
    the object's own, then data sections. `programs` are all, also those that are not loaded.
    """

    object: Object
    btf: BTF | None
    maps: tuple[SkeletonMap, ...]
    programs: tuple[model.Program, ...]

    @property
    def map_numbers(self) -> dict[str, int]:
        """The numbers of the object's own maps, by name."""
        return {
            each.definition.name: number
            for number, each in enumerate(self.maps)
            if each.section is None
        }

    @property
    def section_numbers(self) -> dict[str, int]:
        """The numbers of the maps of data sections, by the section's name."""
        return {
            each.section.name: number
            for number, each in enumerate(self.maps)
            if each.section is not None
        }


def contents_of(obj: Object, target: Target) -> Contents:
    """What the skeleton of an object has in it.

    Configuration values (`__kconfig`) are those of `target`, from now on. NotSupportedError
    for what a loader program cannot make; RelocationError and ObjectFormatError as `load`.
    """
    _check(obj)
    obj = resolve_config(leave_out_maps(obj), target)
    cpus = possible_cpus()
    own = [SkeletonMap(effective(each, cpus)) for each in obj.maps.values() if each.autocreate]
    data = [
        SkeletonMap(section_map(obj.name, section, obj.btf), section)
        for section in obj.data_sections.values()
        if section.contents
    ]
    types = without_externs(obj.btf, config_layout(obj)) if obj.btf is not None else None
    return Contents(obj, types, (*own, *data), tuple(obj.programs.values()))


def _check(obj: Object) -> None:
    """Raise for what no loader program can make."""
    for reason in _reasons(obj):
        raise NotSupportedError(f"{obj.name}: a light skeleton {reason}")
    for program in obj.programs.values():
        if program.autoload and program.type is ProgramType.UNSPEC:
            raise unknown_section(program.section, obj.path or obj.name)
    unknown = [each.name for each in obj.externs.values() if each.kind is ExternKind.OBJECT]
    if unknown:
        raise OsmiaError(f"{obj.name}: nothing defines {unknown[0]!r}")


def _reasons(obj: Object) -> Iterator[str]:
    if obj.byteorder != sys.byteorder:
        yield f"is made on a {obj.byteorder}-endian machine for such"
    for each in obj.maps.values():
        if not each.autocreate:
            continue
        if each.pinning != Pinning.NONE or each.pin_path:
            yield f"cannot pin map {each.name!r}: BPF programs cannot"
        if each.type is MapType.ARENA:
            yield f"cannot have arena {each.name!r}, which has to be mapped first"
        if each.exclusive_to:
            yield f"cannot make map {each.name!r} exclusive: the programs' code is not known yet"
    for section in obj.data_sections.values():
        if section.kind is DataKind.STRUCT_OPS and section.variables:
            yield f"cannot have struct_ops (section {section.name!r})"
    if obj.jump_tables:
        yield "cannot have jump tables"
    for program in obj.programs.values():
        if program.autoload and program.type is ProgramType.EXT:
            yield f"cannot replace functions (program {program.name!r}): of which program?"
