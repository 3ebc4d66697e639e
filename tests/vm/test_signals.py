"""Signals in map operations: an exception, or a further operation, wherever they can come.

A trace function stands for the signal. It is called where functions begin, which is where Python
looks for signals, and all reads and writes of a vm's memory are functions.
"""

from __future__ import annotations

import errno
import re
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

import osmia.vm.maps
from osmia.errors import KernelError
from osmia.object.uapi import MapType
from osmia.vm.engine import Vm
from osmia.vm.jit.machine import EXPORTED
from osmia.vm.native import NATIVE

#: An exception in a generator that is being closed goes nowhere, as a signal's does.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
KINDS = [MapType.HASH, MapType.LRU_HASH, MapType.ARRAY, MapType.LPM_TRIE]
OPERATIONS: dict[str, Callable[[Any], object]] = {
    "update": lambda m: m.update(key_of(m, 2), value_of(m, 22)),
    "insert": lambda m: m.update(key_of(m, 3), value_of(m, 33)),
    "look up": lambda m: m.get(key_of(m, 1)),
    "delete": lambda m: m.delete(key_of(m, 1)),
    "take": lambda m: m.pop(key_of(m, 1)),
    "next key": lambda m: m.next_key(m.encode_key(key_of(m, 1))),
}


def key_of(table: Any, number: int) -> Any:
    return f"10.0.0.{number}/32" if table.type is MapType.LPM_TRIE else number


def value_of(table: Any, number: int) -> Any:
    return [number] * table.cpus if table.cpus else number


class Signals(BaseException):
    """What the handler raises."""


class At:
    """Calls `handler` where the function of that number begins; counts them."""

    def __init__(self, place: int, handler: Callable[[], object]) -> None:
        self.place, self.handler, self.count = place, handler, 0

    def __call__(self, frame: FrameType, event: str, argument: object) -> Any:
        if "osmia/vm" not in frame.f_code.co_filename:
            return None
        self.count += 1
        if self.count == self.place:
            sys.settrace(None)
            self.handler()
        return None

    def run(self, work: Callable[[], object]) -> None:
        before = sys.gettrace()
        sys.settrace(self)
        try:
            work()
        finally:
            sys.settrace(before)


@pytest.fixture(params=[False, pytest.param(None, marks=pytest.mark.slow)], ids=["python", "jit"])
def vm(request: pytest.FixtureRequest) -> Iterator[Vm]:
    with Vm(memory=1 << 25, cpus=2, jit=request.param) as machine:
        if request.param is None:
            machine.need_jit()
        yield machine


def filled(vm: Vm, kind: MapType) -> Any:
    trie = kind is MapType.LPM_TRIE
    table: Any = vm.create_map(
        kind, key_size=8 if trie else 4, value_size=8, max_entries=4, flags=1 if trie else 0
    )
    for number in (1, 2):
        table.update(key_of(table, number), value_of(table, number))
    return table


def usable(table: Any) -> None:
    """In another thread: a lock that stays taken is seen as such."""

    def use() -> None:
        table.update(key_of(table, 2), value_of(table, 5))
        done.append(table[key_of(table, 2)] == value_of(table, 5))

    done: list[bool] = []
    thread = threading.Thread(target=use, daemon=True)
    thread.start()
    thread.join(20)
    assert done == [True]


def places(vm: Vm, kind: MapType, name: str) -> int:
    counting = At(0, lambda: None)
    table = filled(vm, kind)
    at_most(counting, lambda: OPERATIONS[name](table))
    table.close()
    return counting.count


def at_most(at: At, work: Callable[[], object]) -> None:
    try:
        at.run(work)
    except NotImplementedError:
        pytest.skip("no such operation")
    except OSError:
        pass  # arrays delete nothing


@pytest.mark.parametrize("name", OPERATIONS)
@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_an_exception_anywhere_leaves_a_map_as_before_or_as_after(
    vm: Vm, kind: MapType, name: str
) -> None:
    def stop() -> None:
        raise Signals

    total = places(vm, kind, name)
    for place in range(1, total + 1, max(1, total // 60)):
        table = filled(vm, kind)
        before = dict(table)
        with suppress(Signals):
            at_most(At(place, stop), lambda table=table: OPERATIONS[name](table))  # type: ignore[misc]
        after = dict(table)
        reference = filled(vm, kind)
        at_most(At(0, stop), lambda reference=reference: OPERATIONS[name](reference))  # type: ignore[misc]
        assert after in (before, dict(reference)), place
        usable(table)
        table.close()
        reference.close()


@pytest.mark.parametrize("name", OPERATIONS)
@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_a_handler_that_uses_the_map_does_what_it_says_anywhere(
    vm: Vm, kind: MapType, name: str
) -> None:
    compiled = vm.jit_in_use is not None
    total = places(vm, kind, name)
    for place in range(1, total + 1, max(1, total // 60)):
        table = filled(vm, kind)
        wanted = filled(vm, kind)
        busy: list[int | None] = []

        def change(table: Any = table, busy: list[int | None] = busy) -> None:
            try:
                table.update(key_of(table, 0), value_of(table, 9))
            except KernelError as error:  # in the middle of an operation in Python
                busy.append(error.errno)

        handler = At(place, change)
        at_most(handler, lambda table=table: OPERATIONS[name](table))  # type: ignore[misc]
        if handler.count < place:
            break  # the first time there was more to do
        at_most(At(0, change), lambda wanted=wanted: OPERATIONS[name](wanted))  # type: ignore[misc]
        if not busy:
            wanted.update(key_of(wanted, 0), value_of(wanted, 9))
        assert busy in ([], [errno.EBUSY]), place
        assert not (busy and compiled)
        assert dict(table) == dict(wanted), place
        usable(table)
        table.close()
        wanted.close()


def takes_a_lock(name: str) -> bool:
    called = [each for each in NATIVE[name].__code__.co_names if each in NATIVE and each != name]
    return name == "lock" or any(takes_a_lock(each) for each in called)


def test_what_maps_call_under_a_lock_is_compiled_where_programs_are() -> None:
    """In Python it would hold the lock while a handler, in compiled code, waits for it."""
    maps = Path(osmia.vm.maps.__file__).parent
    source = "".join(each.read_text() for each in maps.glob("*.py"))
    names = set(re.findall(r'(?:natives\.call|self\._call)\(\s*"(\w+)"', source))
    assert {"map_update", "map_extract", "lpm_after"} <= names
    assert {name for name in names if takes_a_lock(name)} <= EXPORTED
