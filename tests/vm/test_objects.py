"""The repository's own objects on both engines: equal verdicts, packets, maps, data, events."""

from __future__ import annotations

import ipaddress
import os
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache
from itertools import islice
from typing import Any

import pytest

import osmia
from osmia.captures.packets import read_packets
from osmia.errors import KernelError
from osmia.isa import opcodes as op
from osmia.object import Object
from osmia.object.model import Pinning
from osmia.object.uapi import MapType, ProgramType
from osmia.passes.attachment import for_attachment
from osmia.passes.layout import lay_out

from .object_programs import (
    COMPILED_ONLY,
    HEAVY,
    NEWER,
    NOT_COMPARED,
    READS_TASK,
    REASONS,
    ROOT,
    RUN,
    TYPE_REASONS,
    objects,
)
from .own_task import has_kernel_numbers, own_task
from .packets import PACKETS, ethernet, ipv4, ipv6

pytestmark = pytest.mark.slow

KTIME_GET_NS, GET_PRANDOM_U32 = 5, 7
SET_R0 = struct.pack("<BBhi", 0xB7, 0, 0, 1000)
TRAFFIC = [
    *PACKETS.values(),
    *(data for _, data in islice(read_packets(ROOT / "examples" / "traffic.pcap"), 0, 600, 40)),
]
TCP_PACKET = next(packet for packet in TRAFFIC if packet[12:24:11] == b"\x08\x06")
LEGACY = "examples/legacy/"
ENDPOINTS = {"10.7.0.10": 10, "10.7.0.20": 20, "fd07::10": 10, "fd07::20": 20}


@cache
def compiled(path: str) -> Object:
    newer = {"cpu": "v4", "compiler": "zig"} if path in NEWER else {}
    obj = osmia.compile(ROOT / path, includes=[(ROOT / path).parent], **newer)
    if path.startswith(LEGACY):
        entry = "entry" if path.endswith("container.c") else "to_container"
        obj, _ = for_attachment(obj, ProgramType.SCHED_CLS, entry)
    return obj


def test_every_program_is_on_a_list() -> None:
    unknown, gone = [], []
    for path in objects():
        listed = {*RUN.get(path, "").split(), *REASONS.get(path, {})}
        programs = compiled(path).programs
        unknown += [
            f"{path}: {name} ({program.type.name})"
            for name, program in programs.items()
            if name not in listed and program.type not in TYPE_REASONS
        ]
        gone += [f"{path}: {name}" for name in listed - programs.keys()]
    gone += sorted((RUN.keys() | REASONS.keys()) - set(objects()))
    assert not unknown, "neither run on both engines nor with a reason not to"
    assert not gone, "on a list, but not there"


def without_clock(obj: Object) -> Object:
    """The object with constants in the place of the time and of random numbers."""
    result = obj.copy()
    for name, function in obj.functions.items():
        code = bytearray(function.code)
        for at in range(0, len(code), op.SLOT_SIZE):
            opcode, registers, _, number = struct.unpack_from("<BBhi", code, at)
            is_helper = opcode == 0x85 and registers >> 4 == op.CallKind.HELPER
            if is_helper and number in (KTIME_GET_NS, GET_PRANDOM_U32):
                code[at : at + op.SLOT_SIZE] = SET_R0
        result.functions[name] = replace(function, code=bytes(code))
    return result


def only(obj: Object, programs: Sequence[str]) -> Object:
    """The object with these programs alone and the maps that they use, not pinned."""
    result = without_clock(obj)
    for name, program in obj.programs.items():
        result.programs[name] = replace(program, autoload=name in programs)
    used = {r.target for name in programs for r in lay_out(obj, name).relocations}
    while (
        more := {
            target
            for definition in obj.maps.values()
            if definition.name in used
            for _, target in definition.slots
        }
        - used
    ):
        used |= more
    if any(definition.inner for definition in obj.maps.values() if definition.name in used):
        used |= obj.maps.keys()  # any may be put into the others
    for name, definition in obj.maps.items():
        result.maps[name] = replace(
            definition, autocreate=name in used, pinning=Pinning.NONE, pin_path=""
        )
    return result


@dataclass
class Outcome:
    """What programs gave run by run, and what they left."""

    runs: dict[str, list[Any]]
    maps: dict[str, Any]
    data: dict[str, Any]


def inputs(kind: int | None, extra: Sequence[bytes]) -> Iterator[tuple[bytes, Any]]:
    """What programs of a type are run on: data and context."""
    match kind:
        case ProgramType.RAW_TRACEPOINT:
            yield from ((b"", [value] * 12) for value in (0, 1))
        case ProgramType.SYSCALL:
            yield b"", bytes(64)
        case _:
            yield from ((packet, None) for packet in (*extra, *TRAFFIC))


def run(program: Any, data: bytes, ctx: Any, **options: Any) -> Any:
    """A run's result; a refused one's errno."""
    try:
        result = program.run(data, ctx, **options)
    except KernelError as error:
        return error.errno
    # Of a context that it was not given, the kernel tells nothing for XDP programs.
    context = b"" if program.type is ProgramType.XDP else bytes(result.ctx_data)
    return result.retval, result.data, context


def contents(held: Any) -> Any:
    """What is in a map, as far as it can be compared between engines."""
    match held.type:
        case MapType.RINGBUF:
            return held.read()
        case MapType.PERF_EVENT_ARRAY:
            # The kernel pads its records: with their size, of four bytes, by eight.
            return [
                bytes(e).ljust((len(bytes(e)) + 11) // 8 * 8 - 4, b"\0") for _, e in held.read()
            ]
        case MapType.USER_RINGBUF:
            return held.records.pending
        case MapType.QUEUE | MapType.STACK:
            return list(held.drain())
        case MapType.PROG_ARRAY | MapType.ARRAY_OF_MAPS | MapType.HASH_OF_MAPS:
            return sorted(held)
        case MapType.BLOOM_FILTER:
            return None
        case _:
            return {str(key): str(value) for key, value in held.items()}


def configure(path: str, maps: Any) -> list[bytes]:
    """Fill maps as an object's control plane does; packets for it."""
    if "orders" in maps:
        for amount in (5, 6, 7):
            maps["orders"].send(amount.to_bytes(8, "little"))
        maps["orders"].reserve(8).discard()
    if "sources4" in maps:
        prefix = TCP_PACKET[26:29]
        maps["sources4"][struct.pack("=I", 24) + prefix + b"\0"] = struct.pack("=2I", 3, 1)
        maps["ports"][struct.unpack(">H", TCP_PACKET[36:38])[0]] = struct.pack("=2I", 9, 1)
    if "first_ring" in maps:
        service = TCP_PACKET[30:34] + TCP_PACKET[36:38] + bytes([6, 0])
        for place in range(maps["first_ring"].max_entries):
            maps["first_ring"][place] = place % 2
        for backend in range(2):
            maps["backends"][backend] = bytes([10, 9, 8, backend, *range(6), 0, 0])
        maps["services"][service] = maps["first_ring"]
    if path != f"{LEGACY}container.c":
        return []
    packets = []
    for address, endpoint in ENDPOINTS.items():
        packed = ipaddress.ip_address(address).packed
        maps["endpoints"][packed.ljust(16, b"\0")] = endpoint
        for port in (53, 80):
            udp = struct.pack(">4H", 1234, port, 16, 0) + b"datagram"
            packet = ipv4(payload=udp) if len(packed) == 4 else ipv6(payload=udp)
            at = 16 if len(packed) == 4 else 24
            kind = b"\x08\0" if len(packed) == 4 else b"\x86\xdd"
            packets.append(ethernet(kind, packet[:at] + packed + packet[at + len(packed) :]))
    maps["policy_10"][53] = 1
    maps["policy_20"][80] = 1
    return packets


def outcome(path: str, programs: Sequence[str], engine: str, **options: Any) -> Outcome:
    obj = compiled(path)
    machine: dict[str, Any] = {} if engine == "kernel" else {"cpus": os.cpu_count()}
    with only(obj, programs).load(engine=engine, **machine) as loaded:
        for held in loaded.maps.values():
            if held.type is MapType.PERF_EVENT_ARRAY:
                held.events.poll(0)  # opens the kernel's buffers
        extra = configure(path, loaded.maps)
        if engine == "vm" and path in READS_TASK:
            task = own_task(loaded.vm)  # type: ignore[attr-defined]
            loaded.vm.helpers["get_current_task"] = lambda: int(task)  # type: ignore[attr-defined]
        runs = {}
        for name in programs:
            program = loaded.programs[name]
            given = list(inputs(program.type, extra))
            few = given[:: len(given) // 2] if name in HEAVY else given
            runs[name] = [run(program, data, ctx, **options) for data, ctx in few]
        hidden = NOT_COMPARED.get(path, frozenset())
        maps = {
            name: contents(held)
            for name, held in loaded.maps.items()
            if held.type is not MapType.STRUCT_OPS and name not in hidden
        }
        data = {name: str(value) for name, value in dict(loaded.data).items() if name not in hidden}
        return Outcome(runs, maps, data)


@pytest.fixture
def one_cpu() -> Iterator[None]:
    """All runs on the first CPU: the kernel's per-CPU values are where the vm's are."""
    allowed = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {0})
    yield
    os.sched_setaffinity(0, allowed)


@pytest.mark.kernel
@pytest.mark.usefixtures("one_cpu")
@pytest.mark.parametrize("path", RUN)
def test_an_object_does_the_same_on_both_engines(path: str) -> None:
    if path in READS_TASK and not has_kernel_numbers():
        pytest.skip("this process has other numbers than the kernel's")
    programs = RUN[path].split()
    short = [name for name in programs if name not in COMPILED_ONLY]
    for executor, names in (("interpreter", short), ("jit", programs)):
        expected = outcome(path, names, "kernel")
        found = outcome(path, names, "vm", executor=executor)
        for name, runs in expected.runs.items():
            assert found.runs[name] == runs, f"{name}, {executor}"
            assert any(isinstance(result, tuple) for result in runs), f"{name} never ran"
        assert found.maps == expected.maps, executor
        assert found.data == expected.data, executor
