"""The maps of data sections, named as libbpf names them."""

from __future__ import annotations

from osmia.btf import BTF, DataSec, Var, VarLinkage
from osmia.btf.patch import CONFIG_SECTION, SectionLayout
from osmia.kernel.sys.syscall import is_kernel_name
from osmia.object.model import DataKind, DataSection, Map, Object
from osmia.object.uapi import MapFlag, MapType

NAME_LENGTH = 15
INT_SIZE = 4
_CONSTANT = (DataKind.RODATA, DataKind.KCONFIG)
# As numbers: an operation of flags makes a member of their enumeration first.
_RDONLY_PROG, _MMAPABLE = int(MapFlag.RDONLY_PROG), int(MapFlag.MMAPABLE)


def section_map_name(object_name: str, section: str) -> str:
    """The kernel's name of a data section's map, as libbpf makes it; 15 characters.

    Up to 8 characters of the object's name and the section's; of a section with two dots
    only its own.
    """
    room = NAME_LENGTH - max(7, len(section))
    prefix = "" if "." in section[1:] else object_name[: max(room, 0)]
    name = (prefix + section)[:NAME_LENGTH]
    if is_kernel_name(name):
        return name
    return "".join(
        letter if (letter.isascii() and letter.isalnum()) or letter in "_." else "_"
        for letter in name
    )


def section_map(object_name: str, section: DataSection, btf: BTF | None) -> Map:
    """The array of one element that holds a data section."""
    flags = _RDONLY_PROG if section.kind in _CONSTANT else 0
    if btf is not None and _has_visible_variable(btf, section):
        flags |= _MMAPABLE
    return Map(
        name=section_map_name(object_name, section.name),
        type=MapType.ARRAY,
        key_size=INT_SIZE,
        value_size=len(section.contents),
        max_entries=1,
        flags=flags,
        value_type_id=section.btf_id,
    )


def config_layout(obj: Object) -> SectionLayout | None:
    """Where the configuration values of an object lie, whose types do not tell; None: it has
    none."""
    section = obj.data_sections.get(CONFIG_SECTION)
    if section is None:
        return None
    offsets = {name: variable.offset for name, variable in section.variables.items()}
    return SectionLayout(len(section.contents), offsets)


def _has_visible_variable(btf: BTF, section: DataSection) -> bool:
    datasec = btf.type(section.btf_id)
    return isinstance(datasec, DataSec) and any(
        isinstance(variable := btf.type(entry.type_id), Var)
        and variable.linkage != VarLinkage.STATIC
        for entry in datasec.entries
    )
