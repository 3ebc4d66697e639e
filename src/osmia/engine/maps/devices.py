"""Maps of devices and CPUs, whose values may name a program that runs there."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from typing import Any

from osmia.engine.maps.keyed import KeyedMap
from osmia.engine.program import Program
from osmia.object.uapi import MapType
from osmia.values import Codec, StructCodec

_PROGRAM = "bpf_prog"


class DeviceMap(KeyedMap, types=(MapType.DEVMAP, MapType.DEVMAP_HASH, MapType.CPUMAP)):
    """Interfaces or CPUs by index, or by key. Where values are struct bpf_devmap_val (since 5.8)
    or bpf_cpumap_val (since 5.9) they take a Program: `cpus[0] = {"qsize": 192, "bpf_prog":
    program}`. What is read has its id: `cpus[0].bpf_prog.id`."""

    def _encoder(self, codec: Codec | None, role: str) -> Callable[[Any], bytes]:
        encode = super()._encoder(codec, role)
        if role != "value" or not isinstance(codec, StructCodec):
            return encode
        return lambda value: encode(self._with_number(value))

    def _with_number(self, value: Any) -> Any:
        """The value with the engine's number where it has a Program."""
        if not isinstance(value, Mapping) or _PROGRAM not in value:
            return value
        program = value[_PROGRAM]
        if isinstance(program, Mapping):
            program = program.get("fd")
        if not isinstance(program, Program):
            return value
        number = int.from_bytes(self.raw.reference(program), sys.byteorder)
        return {**value, _PROGRAM: {"fd": number}}
