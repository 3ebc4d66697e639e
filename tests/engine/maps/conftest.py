"""Maps of every engine, for tests of the face that they share."""

from __future__ import annotations

import importlib
import itertools
import os
import socket
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Protocol

import pytest

from osmia.engine.maps import Map
from osmia.isa import assemble
from osmia.kernel.maps import batches
from osmia.kernel.programs.program import KernelProgram
from osmia.kernel.sys.cpus import possible_cpus
from osmia.kernel.sys.fd import FileDescriptor
from osmia.object.uapi import MapType, ProgramType
from osmia.vm.engine import Vm

RETURN_0 = assemble("r0 = 0\nexit")
MakeMap = Callable[..., Any]
SO_COOKIE = 57


class Bench(Protocol):
    """What the tests ask of an engine."""

    def create(self, kind: MapType, **options: Any) -> Map:
        """Make a map."""

    def program(self, kind: ProgramType) -> Any:
        """Load a program that returns 0."""

    def socket(self) -> Any:
        """What stands for a socket."""

    def stored(self, made: Any) -> int:
        """The number by which maps tell a socket."""

    def group(self) -> Any:
        """What stands for a control group."""


class KernelBench:
    """The kernel engine."""

    def __init__(self, stack: ExitStack) -> None:
        self._stack = stack

    def create(self, kind: MapType, **options: Any) -> Map:
        made: Map = self._stack.enter_context(Map.create(kind, **options))
        return made

    def program(self, kind: ProgramType) -> Any:
        loaded = KernelProgram.load(kind, RETURN_0, license="GPL", name="target")
        return self._stack.enter_context(loaded)

    def socket(self) -> Any:
        made = self._stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        made.bind(("127.0.0.1", 0))
        # The first sockets after a boot have numbers that sizes and counts have too.
        return made if self.stored(made) > 100 else self.socket()

    def stored(self, made: Any) -> int:
        return int.from_bytes(made.getsockopt(socket.SOL_SOCKET, SO_COOKIE, 8), sys.byteorder)

    def group(self) -> Any:
        mounts = (line.split() for line in Path("/proc/mounts").read_text().splitlines())
        where = next((fields[1] for fields in mounts if fields[2] == "cgroup2"), None)
        if where is None:
            pytest.skip("no cgroup v2 is mounted")
        return self._stack.enter_context(FileDescriptor(os.open(where, os.O_RDONLY), "cgroup"))


class VmBench:
    """A vm with as many CPUs as the kernel has."""

    def __init__(self, stack: ExitStack) -> None:
        self.vm = stack.enter_context(Vm(memory=1 << 27, cpus=possible_cpus()))
        # So that no number of a map is some other number in what the tests compare.
        self.vm._map_numbers = itertools.count(1000)
        self.vm._program_numbers = itertools.count(1000)
        self._numbers = itertools.count(2000)

    def create(self, kind: MapType, **options: Any) -> Map:
        for role in ("key", "value"):
            codec = options.get(f"{role}_codec")
            if f"{role}_size" not in options and codec is not None:
                options[f"{role}_size"] = codec.size
        return self.vm.create_map(kind, **options)

    def program(self, kind: ProgramType) -> Any:
        return self.vm.load_program(RETURN_0, type=kind, name="target")

    def socket(self) -> Any:
        return next(self._numbers)

    def stored(self, made: Any) -> int:
        return int(made)

    def group(self) -> Any:
        return next(self._numbers)


class MockBench:
    """The small engine of the tests, as far as it goes: hashes and arrays, and no programs."""

    def __init__(self, stack: ExitStack) -> None:
        self._create = importlib.import_module("mock_maps").create

    def create(self, kind: MapType, **options: Any) -> Map:
        if kind not in (MapType.HASH, MapType.ARRAY) or options.get("flags"):
            pytest.skip("the mock has plain hashes and arrays")
        made: Map = self._create(kind, **options)
        return made

    def program(self, kind: ProgramType) -> Any:
        pytest.skip("the mock has no programs of its own")

    def socket(self) -> Any:
        pytest.skip("the mock has no maps of sockets")

    def stored(self, made: Any) -> int:
        pytest.skip("the mock has no maps of sockets")

    def group(self) -> Any:
        pytest.skip("the mock has no maps of control groups")


#: Two that are compared.
BENCHES: dict[str, Callable[[ExitStack], Bench]] = {"kernel": KernelBench, "vm": VmBench}
#: The kernel with batch commands, and as before 5.6.
WAYS = [
    pytest.param("kernel", marks=pytest.mark.kernel),
    pytest.param("kernel without batches", marks=pytest.mark.kernel),
    "vm",
    "mock",
]


@pytest.fixture(params=WAYS)
def engine_name(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """The engine that a test runs on, once more as an old kernel has it."""
    name, _, how = request.param.partition(" ")
    if how:
        monkeypatch.setattr(batches, "BATCH_TYPES", frozenset())
    return str(name)


@pytest.fixture
def bench(engine_name: str) -> Iterator[Bench]:
    with ExitStack() as stack:
        yield {**BENCHES, "mock": MockBench}[engine_name](stack)


@pytest.fixture
def make_map(bench: Bench) -> MakeMap:
    """make_map(type, **options): u32 keys, u64 values and 8 entries unless told otherwise."""

    def make(map_type: MapType, **options: Any) -> Map:
        sizes = {"key_size": 4, "value_size": 8, "max_entries": 8, "name": "example"}
        for role in ("key", "value"):
            if f"{role}_codec" in options:
                del sizes[f"{role}_size"]
        return bench.create(map_type, **{**sizes, **options})

    return make


@pytest.fixture
def u64() -> Callable[[int], bytes]:
    """The eight bytes of a number in the machine's order."""
    return lambda number: number.to_bytes(8, sys.byteorder)
