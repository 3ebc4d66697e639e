"""Kfuncs with arguments that no verifier saw: faults, but nothing beyond the region."""

from __future__ import annotations

import random
import struct
from typing import Any

from osmia.object.uapi import MapFlag, MapType
from osmia.vm import layout
from osmia.vm.engine import Vm
from osmia.vm.errors import ProgramFault
from osmia.vm.helpers import KFUNCS

EXIT = struct.pack("<BBhi", 0xB7, 0, 0, 0) + struct.pack("<BBhi", 0x95, 0, 0, 0)
PROGRAMS = 120


def wide(register: int, value: int, source: int = 0) -> bytes:
    low, high = value & 0xFFFF_FFFF, value >> 32
    first = struct.pack("<BBhI", 0x18, register | source << 4, 0, low)
    return first + struct.pack("<BBhI", 0, 0, 0, high)


def argument(source: random.Random, register: int, vm: Vm, maps: list[Any]) -> bytes:
    """Code that puts something into a register: a map, a place on the stack, a number."""
    kind = source.random()
    if kind < 0.15:
        return wide(register, source.choice(maps).id, 1)
    if kind < 0.35:
        copied = struct.pack("<BBhi", 0xBF, register | 10 << 4, 0, 0)
        return copied + struct.pack("<BBhi", 0x07, register, 0, -source.choice([8, 16, 24, 512]))
    values = [held.raw.body.values_address for held in maps]
    edges = [0, 1, vm.memory.size - 8, vm.memory.size, (1 << 64) - 1, 0xFFFF_FFFF]
    handle = layout.FUNCTION_HANDLE + 8 * source.randrange(40)
    wild = [source.getrandbits(64), source.getrandbits(23), handle]
    return wide(register, source.choice([*values, *edges, *wild]))


def hostile(source: random.Random, vm: Vm, maps: list[Any]) -> bytes:
    code = b""
    for _ in range(source.randrange(1, 6)):
        for register in range(1, 6):
            code += argument(source, register, vm, maps)
        number = vm.function_number(f"bpf_{source.choice(sorted(KFUNCS))}")
        code += struct.pack("<BBhi", 0x85, 2 << 4, 0, number)
    return code + EXIT


def test_no_kfunc_leaves_the_region() -> None:
    source = random.Random(20261130)
    with Vm(memory=1 << 23, cpus=1) as vm:
        sizes: dict[str, Any] = {"key_size": 0, "value_size": 0, "flags": MapFlag.MMAPABLE}
        maps: list[Any] = [
            vm.create_map(MapType.ARENA, max_entries=4, **sizes),
            vm.create_map(MapType.ARRAY, value_size=64, max_entries=4),
        ]
        headers = [(h.raw.body.header, layout.MAP_LOCK) for h in maps]
        before = [vm.memory.read(*each) for each in headers]
        ended = 0
        for number in range(PROGRAMS):
            program: Any = vm.load_program(hostile(source, vm, maps))
            few = ("jit",) if number % 10 == 0 else ()
            for executor in ("interpreter", "generated", *few):
                try:
                    program.run(bytes(64), executor=executor, strict=False)
                    ended += 1
                except ProgramFault as fault:
                    assert "raised" not in fault.message
            program.close()
        assert ended > PROGRAMS // 2
        assert [vm.memory.read(*each) for each in headers] == before
