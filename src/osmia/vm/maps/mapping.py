"""The mapping that Python sees."""

from __future__ import annotations

from typing import TYPE_CHECKING

from osmia.vm.maps.base import RawMap
from osmia.vm.maps.build import Definition

if TYPE_CHECKING:
    from osmia.vm.engine import Vm


class VmMap:
    def __init__(self, raw: RawMap, name: str) -> None:
        self.raw = raw
        self.name = name
        self.key_size, self.value_size = raw.key_size, raw.value_size


def open_map(vm: Vm, number: int, definition: Definition, name: str) -> VmMap:
    return VmMap(RawMap(vm, number, definition), name)
