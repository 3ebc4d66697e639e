"""A small engine in a package of its own: functions stand for programs, dictionaries for maps.

`obj.load("mock", answers={"ingress": function})`: a run of the program is a call of
`function(data, ctx, variables)`, which gives a RunResult. It shows all that a third engine needs.
"""

from __future__ import annotations

import errno
import itertools
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from typing import Any, ClassVar, Never

import mock_maps

from osmia.engine.loaded import LoadedObject
from osmia.engine.program import Program
from osmia.engine.results import RunResult
from osmia.errors import ClosedError, KernelError
from osmia.object import model
from osmia.object.model import DataKind, DataSection, Object
from osmia.passes import Target, prepare
from osmia.passes.options import CommonOptions
from osmia.values import Codec, codec
from osmia.values.names import PartsByName
from osmia.values.variables import MemoryStore, Store

Answer = Callable[[bytes, Any, Any], RunResult]

_numbers = itertools.count(1)
_SHORTEST = 14


class MockEngine:
    """See `osmia.engine.protocol.Engine`."""

    name = "mock"
    lacks: Mapping[str, str] = {
        "attach": "a mock is attached to nothing",
        "struct_ops": "a mock calls no struct_ops",
        "pin": "a mock is pinned to nothing",
        "publish": "a mock is no library",
        "open": "a mock is not found by an id",
        "fileno": "a mock has no descriptor",
        "info": "a mock has no info",
        "btf": "a mock has no types",
        "dump": "a mock has no code",
        "run_statistics": "a mock counts no runs",
        "output": "a mock writes nothing",
        "imports": "a mock's functions are Python's",
        "session": "a mock's functions are debugged as Python is",
    }
    options: Mapping[str, frozenset[str]] = {"load": frozenset({"answers"}), "run": frozenset()}

    def load(
        self, obj: Object, common: CommonOptions, options: Mapping[str, Any]
    ) -> MockLoadedObject:
        """Load an object; `answers` are functions by the names of programs."""
        passes: dict[str, Any] = {**common}
        target = passes.pop("target", None) or Target(btf=obj.btf)
        ready = prepare(obj, target, **passes).object
        return MockLoadedObject(ready, options.get("answers") or {}, obj.copy())

    def program_class(self) -> type[Program]:
        """The class of its programs."""
        return MockProgram


class MockProgram(Program):
    """A program that a Python function stands for."""

    engine: ClassVar[str] = "mock"

    def __init__(self, definition: model.Program, answer: Answer, loaded: MockLoadedObject) -> None:
        self.name = definition.name
        self.type = definition.type
        self.expected_attach_type = definition.expected_attach_type
        self.definition = definition
        self._answer = answer
        self._loaded = loaded
        self._id = next(_numbers)
        self._closed = False

    @property
    def id(self) -> int:
        return self._id

    @property
    def closed(self) -> bool:
        return self._closed

    def run(
        self,
        data: bytes | bytearray | memoryview = b"",
        ctx: Any = None,
        *,
        repeat: int = 1,
        **others: Never,
    ) -> RunResult:
        for name in others:
            self._refuse_run(name)
        if self._closed:
            raise ClosedError(f"program {self.name!r} is closed")
        if repeat < 0:
            raise ValueError(f"a program cannot run {repeat} times")
        if data and len(data) < _SHORTEST:
            hint = f"it has {len(data)} bytes; an Ethernet header of 14 is the least"
            raise KernelError(errno.EINVAL, f"run program {self.name!r}", hint=hint)
        for _ in range(repeat or 1):
            result = self._answer(bytes(data), ctx, self._loaded.data)
        return result

    def close(self) -> None:
        self._closed = True


class MockLoadedObject(LoadedObject):
    """An object whose variables are bytes."""

    engine: ClassVar[str] = "mock"

    def __init__(self, obj: Object, answers: Mapping[str, Answer], source: Object) -> None:
        programs = {
            each.name: MockProgram(each, answers.get(each.name, _nothing), self)
            for each in obj.programs.values()
            if each.autoload
        }
        maps: dict[str, Any] = {
            each.name: mock_maps.create(
                each.type,
                key_size=each.key_size,
                value_size=each.value_size,
                max_entries=each.max_entries,
                name=each.name,
                key_codec=_codec(obj, each.key_type_id),
                value_codec=_codec(obj, each.value_type_id),
            )
            for each in obj.maps.values()
            if each.autocreate
        }
        held = PartsByName(f"object {obj.name!r}", "map", maps)
        super().__init__(obj, programs, held, source=source)
        self._sections = {name: bytearray(s.contents) for name, s in obj.data_sections.items()}

    def _release(self, everything: ExitStack) -> None:
        for held in self.maps.values():
            everything.callback(held.close)
        super()._release(everything)

    def _store(self, section: DataSection) -> Store | None:
        if section.kind is DataKind.STRUCT_OPS:
            return None
        return _Section(self, self._sections[section.name])


class _Section(MemoryStore):
    """A data section's bytes, while the object is open."""

    def __init__(self, loaded: LoadedObject, contents: bytearray) -> None:
        super().__init__(contents)
        self._loaded = loaded

    def read(self, offset: int, size: int) -> bytes:
        self._check_open()
        return super().read(offset, size)

    def write(self, offset: int, data: bytes) -> None:
        self._check_open()
        super().write(offset, data)

    def _check_open(self) -> None:
        if self._loaded.closed:
            raise ClosedError(f"object {self._loaded.name!r} is closed")


def _codec(obj: Object, type_id: int) -> Codec | None:
    return codec(obj.btf, type_id) if obj.btf is not None and type_id else None


def _nothing(data: bytes, ctx: Any, variables: Any) -> RunResult:
    return RunResult(0, data)


ENGINE = MockEngine()
