"""The handle on a map whose values have special fields: Python reads zeros there."""

from __future__ import annotations

from osmia.engine.raw_map import RawMap
from osmia.object.uapi import MapFlag
from osmia.vm.maps.body import MapBody
from osmia.vm.maps.raw import VmMap


class FieldMap(VmMap):
    """A map with locks, timers, pointers or the like (`osmia.vm.maps.special_fields`)."""

    def __init__(self, body: MapBody, access: MapFlag) -> None:
        super().__init__(body, access)
        step, fields = body.definition.stride, body.definition.special
        self._hidden = [
            slice(copy * step + at, copy * step + at + size)
            for copy in range(body.copies)
            for at, size in fields
        ]

    def take(self, key: bytes, flags: int = 0) -> bytes | int:
        found = super().take(key, flags)
        return found if isinstance(found, int) else self._shown(found)

    def clear(self) -> int:
        return self._unchangeable() or RawMap.clear(self)

    def _read(self, native: str, key: bytes) -> bytes | int:
        found = super()._read(native, key)
        return found if isinstance(found, int) else self._shown(found)

    def _values_of(self, numbers: range) -> list[bytes]:
        return [self._shown(value) for value in super()._values_of(numbers)]

    def _shown(self, value: bytes) -> bytes:
        shown = bytearray(value)
        for hidden in self._hidden:
            shown[hidden] = bytes(hidden.stop - hidden.start)
        return bytes(shown)
