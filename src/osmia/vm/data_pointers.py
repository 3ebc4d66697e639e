"""Addresses in data: in the vm sections and maps have some, so pointers in data work.

What programs read there compares equal to the address that their code loads. Functions have
no address but in one program's code, and externs none: such pointers stay as the file has
them, with a warning.
"""

from __future__ import annotations

from collections.abc import Mapping

from osmia.object.data_pointers import Pointer, pointers, warn_of_pointers
from osmia.object.model import Object, Relocation, RelocationKind
from osmia.vm.engine import Vm
from osmia.vm.maps.raw import VmMap


def write_pointers(
    obj: Object, vm: Vm, maps: Mapping[str, VmMap], sections: Mapping[str, VmMap]
) -> None:
    """Write the addresses that the data of `obj` names into its sections' memory."""
    unknown: list[Pointer] = []
    for section, relocation in pointers(obj):
        address = _address(relocation, maps, sections)
        held = sections.get(section.name)
        if held is None or relocation.offset + relocation.size > len(section.contents):
            continue
        if address is None:
            unknown.append((section, relocation))
            continue
        number = address % (1 << 8 * relocation.size)
        place = held.values_address + relocation.offset
        vm.memory.write(place, number.to_bytes(relocation.size, "little"))
    warn_of_pointers(obj, unknown, "vm")


def _address(
    relocation: Relocation, maps: Mapping[str, VmMap], sections: Mapping[str, VmMap]
) -> int | None:
    match relocation.kind:
        case RelocationKind.DATA if relocation.target in sections:
            return sections[relocation.target].values_address + relocation.addend
        case RelocationKind.MAP if relocation.target in maps:
            return maps[relocation.target].body.handle + relocation.addend
    return None
