"""Every public operation of every type of map, on two engines side by side: the same values, the
same errors, the same map afterwards."""

from __future__ import annotations

import mmap
import socket
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest

from osmia.engine.maps import BloomFilter, EventMap, KeyedMap, Map, QueueMap, UserRingBufferMap
from osmia.errors import KernelError, OsmiaError
from osmia.kernel.probes import features
from osmia.object.uapi import ElementFlag, MapFlag, MapType, ProgramType
from osmia.values import Table

from .conftest import BENCHES, Bench

pytestmark = pytest.mark.kernel

SOCKETS = (MapType.SOCKMAP, MapType.SOCKHASH, MapType.REUSEPORT_SOCKARRAY)
LOOPBACK = socket.if_nametoindex("lo")


@dataclass
class Case:
    """A map of one engine, with what is stored in it under `key`, and what else there is."""

    held: Any
    key: Any
    value: Any
    other_key: Any
    other: Any
    wrong_key: Any = "no key"
    ids: dict[int, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Kind:
    """How a type of map is made and filled; values are given as numbers of things."""

    type: MapType
    key_size: int = 4
    value_size: int = 8
    entries: int = 8
    flags: int = 0
    key: Any = 1
    other_key: Any = 2
    value: Any = 10
    other: Any = 20

    def __str__(self) -> str:
        return self.type.name.lower()


_TRIE: dict[str, Any] = {"key_size": 8, "flags": MapFlag.NO_PREALLOC}
_VALUES: dict[str, Any] = {"key_size": 0, "value_size": 4, "key": None, "other_key": None}
KINDS = [
    Kind(MapType.HASH),
    Kind(MapType.HASH, value_size=12, value=b"a" * 12, other=b"b" * 12),
    Kind(MapType.LRU_HASH),
    Kind(MapType.PERCPU_HASH),
    Kind(MapType.LRU_PERCPU_HASH, value_size=4),
    Kind(MapType.ARRAY, flags=MapFlag.MMAPABLE),
    Kind(MapType.ARRAY, value_size=12, value=b"a" * 12, other=b"b" * 12),
    Kind(MapType.PERCPU_ARRAY),
    Kind(MapType.LPM_TRIE, key="10.0.0.0/8", other_key="10.1.0.0/16", **_TRIE),
    Kind(MapType.ARRAY_OF_MAPS, value_size=4),
    Kind(MapType.HASH_OF_MAPS, value_size=4),
    Kind(MapType.PROG_ARRAY, value_size=4),
    Kind(MapType.DEVMAP, value_size=4, value=LOOPBACK, other=LOOPBACK),
    Kind(MapType.DEVMAP_HASH, value_size=4, value=LOOPBACK, other=LOOPBACK),
    Kind(MapType.SOCKMAP),
    Kind(MapType.SOCKMAP, value_size=4),
    Kind(MapType.SOCKHASH),
    Kind(MapType.REUSEPORT_SOCKARRAY),
    Kind(MapType.CGROUP_ARRAY, value_size=4),
    Kind(MapType.STACK_TRACE, value_size=80, value=bytes(80), other=bytes(80)),
    Kind(MapType.QUEUE, **_VALUES),
    Kind(MapType.STACK, **_VALUES),
    Kind(MapType.BLOOM_FILTER, **_VALUES),
    Kind(MapType.RINGBUF, **{**_VALUES, "value_size": 0, "entries": mmap.PAGESIZE}),
    Kind(MapType.USER_RINGBUF, **{**_VALUES, "value_size": 0, "entries": mmap.PAGESIZE}),
    Kind(MapType.PERF_EVENT_ARRAY, value_size=4),
]


def case_of(bench: Bench, kind: Kind, *, filled: bool = True) -> Case:
    options: dict[str, Any] = {"key_size": kind.key_size, "value_size": kind.value_size}
    ids, value, other = {}, kind.value, kind.other
    if kind.type in (MapType.ARRAY_OF_MAPS, MapType.HASH_OF_MAPS):
        sizes = {"key_size": 4, "value_size": 8, "max_entries": 4}
        value, other = (bench.create(MapType.HASH, name="inner", **sizes) for _ in range(2))
        options["inner"] = value
        ids = {value.id: "first", other.id: "second"}
    elif kind.type is MapType.PROG_ARRAY:
        value, other = (bench.program(ProgramType.XDP) for _ in range(2))
    elif kind.type in SOCKETS:
        value, other = bench.socket(), bench.socket()
        ids = {bench.stored(value): "first", bench.stored(other): "second"}
    elif kind.type is MapType.CGROUP_ARRAY:
        value = other = bench.group()
        ids = {held_number(value): "the group"}
    held = bench.create(
        kind.type, max_entries=kind.entries, flags=kind.flags, name="example", **options
    )
    if held.cpus:
        value, other = ([n + cpu for cpu in range(held.cpus)] for n in (value, other))
    case = Case(held, kind.key, value, kind.other_key, other, ids=ids)
    if kind.type is MapType.PROG_ARRAY:
        for index, (thing, name) in enumerate(((value, "first"), (other, "second"))):
            case.held[index] = thing
            ids[case.held[index]] = name
            del case.held[index]
    if kind.type is MapType.STACK_TRACE:
        return case  # only programs store any
    if filled and isinstance(held, KeyedMap):
        case.held[case.key] = value
    elif filled and isinstance(held, QueueMap):
        held.push(value)
        held.push(other)
    elif filled and isinstance(held, BloomFilter):
        held.add(value)
    return case


Operation = Callable[[Case], Any]

#: What is done with each public member, by its name.
ANY_MAP: Mapping[str, list[Operation]] = {
    "info": [lambda c: (*c.held.info[1:8], c.held.info.frozen, c.held.info.is_per_cpu)],
    "freeze": [lambda c: c.held.freeze(), lambda c: (c.held.freeze(), c.held.freeze())],
    "close": [lambda c: (c.held.close(), c.held.close(), c.held.closed)],
    "closed": [lambda c: c.held.closed],
    "name": [lambda c: c.held.name],
    "type": [lambda c: (c.held.type, type(c.held).__name__)],
    "flags": [lambda c: c.held.flags],
    "max_entries": [lambda c: c.held.max_entries],
    "key_size": [lambda c: (c.held.key_size, c.held.value_size, c.held.slot_size)],
    "cpus": [lambda c: (c.held.cpus, c.held.entry_value_size)],
    "key_codec": [lambda c: (repr(c.held.key_codec), repr(c.held.value_codec))],
    "with": [lambda c: c.held.__enter__() is c.held],
}
KEYED: Mapping[str, list[Operation]] = {
    "__getitem__": [
        lambda c: c.held[c.key],
        lambda c: c.held[c.other_key],
        lambda c: c.held[c.wrong_key],
    ],
    "lookup": [
        lambda c: c.held.lookup(c.key),
        lambda c: c.held.lookup(c.other_key),
        lambda c: c.held.lookup(c.key, flags=ElementFlag.LOCK),
        lambda c: c.held.lookup(c.key, flags=8),
    ],
    "get": [
        lambda c: c.held.get(c.key),
        lambda c: c.held.get(c.other_key, "nothing"),
        lambda c: c.held.get(c.key, flags=ElementFlag.LOCK),
        lambda c: c.held.get(c.wrong_key),
    ],
    "__contains__": [lambda c: (c.key in c.held, c.other_key in c.held)],
    "__setitem__": [lambda c: c.held.__setitem__(c.other_key, c.other)],
    "update": [
        lambda c: c.held.update(c.key, c.other),
        lambda c: c.held.update(c.key, c.other, ElementFlag.NOEXIST),
        lambda c: c.held.update(c.other_key, c.other, ElementFlag.NOEXIST),
        lambda c: c.held.update(c.key, c.other, ElementFlag.EXIST),
        lambda c: c.held.update(c.other_key, c.other, ElementFlag.EXIST),
        lambda c: c.held.update(c.key, c.other, ElementFlag.LOCK),
        lambda c: c.held.update(c.key, c.other, 3),
        lambda c: c.held.update(c.key, c.other, 8),
        lambda c: c.held.update(c.key, "no value"),
        lambda c: c.held.update({c.other_key: c.other}),
    ],
    "update_many": [
        lambda c: c.held.update_many([(c.key, c.other), (c.other_key, c.other)]),
        lambda c: c.held.update_many([(c.other_key, c.other)], ElementFlag.NOEXIST),
    ],
    "update_arrays": [lambda c: _store_arrays(c)],
    "__delitem__": [
        lambda c: c.held.__delitem__(c.key),
        lambda c: c.held.__delitem__(c.other_key),
    ],
    "delete": [lambda c: c.held.delete(c.key)],
    "delete_many": [lambda c: c.held.delete_many([c.key, c.other_key])],
    "lookup_and_delete": [
        lambda c: c.held.lookup_and_delete(c.key),
        lambda c: c.held.lookup_and_delete(c.other_key),
        lambda c: c.held.lookup_and_delete(c.key, 8),
    ],
    "pop": [
        lambda c: c.held.pop(c.key),
        lambda c: c.held.pop(c.other_key, None),
        lambda c: c.held.pop(c.other_key),
    ],
    "popitem": [lambda c: c.held.popitem()],
    "setdefault": [
        lambda c: c.held.setdefault(c.key, c.other),
        lambda c: c.held.setdefault(c.other_key, c.other),
    ],
    "keys": [lambda c: list(c.held.keys()), lambda c: list(c.held)],
    "values": [lambda c: list(c.held.values())],
    "items": [lambda c: dict(c.held.items())],
    "__len__": [lambda c: len(c.held)],
    "__bool__": [lambda c: bool(c.held)],
    "next_key": [
        lambda c: c.held.next_key(None),
        lambda c: c.held.next_key(c.held.encode_key(c.key)),
        lambda c: c.held.next_key(c.held.encode_key(c.other_key)),
    ],
    "encode_key": [lambda c: c.held.encode_key(c.key)],
    "read_encoded": [lambda c: c.held.decode_values(_encoded(c) or b"")],
    "take_all": [lambda c: c.held.take_all()],
    "clear": [lambda c: c.held.clear()],
    "to_numpy": [lambda c: c.held.to_numpy(), lambda c: c.held.to_numpy(take=True)],
    "to_arrays": [lambda c: c.held.to_arrays(), lambda c: c.held.to_arrays(take=True)],
    "to_arrow": [lambda c: _rows(c.held.to_arrow()), lambda c: _rows(c.held.to_arrow(take=True))],
    "to_columns": [lambda c: sorted(c.held.to_columns(per_cpu="sum"))],
    "to_pandas": [lambda c: list(c.held.to_pandas().columns)],
    "memory": [lambda c: bytes(c.held.memory()), lambda c: bytes(c.held.memory(writable=False))],
    "networks": [lambda c: dict(c.held.networks())],
    "network_of": [lambda c: c.held.network_of(c.held.encode_key(c.key))],
    "encode_value": [lambda c: c.ids or c.held.encode_value(c.value)],
    "decode_values": [lambda c: c.ids or c.held.decode_values(c.held.encode_value(c.value))],
    "open": [lambda c: _opened(c), lambda c: c.held.open(c.other_key)],
}
QUEUES: Mapping[str, list[Operation]] = {
    "push": [
        lambda c: c.held.push(7),
        lambda c: [c.held.push(n) for n in range(20)],
        lambda c: [c.held.push(n, replace_oldest=True) for n in range(20)],
        lambda c: c.held.push("no value"),
    ],
    "pop": [lambda c: (c.held.pop(), c.held.pop(), c.held.pop())],
    "peek": [lambda c: (c.held.peek(), c.held.peek())],
    "drain": [lambda c: list(c.held.drain())],
    "__bool__": [lambda c: (bool(c.held), list(c.held.drain()), bool(c.held))],
}
BLOOM: Mapping[str, list[Operation]] = {
    "add": [lambda c: c.held.add(c.other), lambda c: c.held.add("no value")],
    "__contains__": [lambda c: c.value in c.held],
}
EVENTS: Mapping[str, list[Operation]] = {
    "read": [lambda c: c.held.read()],
    "poll": [lambda c: c.held.poll(0)],
    "drain": [lambda c: c.held.drain(print)],
    "iterate": [lambda c: list(c.held.iterate(0))],
    "event_codec": [lambda c: c.held.event_codec],
    "events": [lambda c: (c.held.events.closed, c.held.events.what)],
    "arrow_batches": [lambda c: c.held.arrow_batches()],
    "to_arrow": [lambda c: c.held.to_arrow()],
    "to_columns": [lambda c: c.held.to_columns()],
    "to_pandas": [lambda c: c.held.to_pandas()],
    "lost": [lambda c: c.held.lost],
    "pages": [lambda c: c.held.pages],
    "__delitem__": [lambda c: c.held.__delitem__(0)],
}
RECORDS: Mapping[str, list[Operation]] = {
    "send": [lambda c: (c.held.send(b"12345678"), c.held.records.pending)],
    "reserve": [lambda c: c.held.reserve(8).discard()],
    "record_codec": [lambda c: c.held.record_codec],
    "records": [lambda c: (c.held.records.size, c.held.records.free)],
}
#: Members that are no operations, or that one engine has alone.
ELSEWHERE = {
    "callers": "what loads share: test_tail_call_returns.py",
    "id": "a number of the engine's",
    "raw": "the engine's own",
    "value_size": "with the key's",
    "slot_size": "with the key's",
    "entry_value_size": "with cpus",
    "value_codec": "with the key's",
    "class_for": "of no map",
    "over": "of no map",
    "create": "of the kernel",
    "from_id": "of the kernel",
    "from_pin": "of the kernel",
    "fileno": "what the vm lacks: test_lacks.py",
    "pin": "what the vm lacks: test_lacks.py",
    "unpin": "what the vm lacks: test_lacks.py",
    "set_record_type": "of maps that the kernel opens: test_record_types.py",
    "to_numpy": "of events: test_streams.py",
}


#: Where the engines differ, and why.
DIFFERENT: dict[tuple[MapType, str], str] = {
    (kind, "update_arrays"): "what the kernel reads as ids it stores by descriptors; the vm has one"
    for kind in (MapType.ARRAY_OF_MAPS, MapType.HASH_OF_MAPS, MapType.PROG_ARRAY, *SOCKETS)
}
if features.kernel_is_older_than("6.18"):
    DIFFERENT[MapType.STACK_TRACE, "lookup_and_delete"] = "the kernel has it since 6.18"


def held_number(thing: Any) -> int:
    return int(thing.fileno() if hasattr(thing, "fileno") else thing)


def _opened(case: Case) -> str:
    opened = case.held.open(case.key)
    name: str = opened.name
    if opened is not case.value:  # another handle
        opened.close()
    return name


def _encoded(case: Case) -> bytes | None:
    found: bytes | None = case.held.read_encoded(case.held.encode_key(case.key))
    return found


def _rows(table: Table) -> list[tuple[Any, ...]]:
    columns = table.to_columns().values()
    return sorted(zip(*(column.tolist() for column in columns), strict=True), key=repr)


def _store_arrays(case: Case) -> None:
    keys, values = case.held.to_arrays()
    case.held.update_arrays(keys, values)


def operations_of(held: Map) -> dict[str, list[Operation]]:
    """The operations that a map's class has."""
    tables: list[Mapping[str, list[Operation]]] = [ANY_MAP]
    for kind, table in (
        (KeyedMap, KEYED),
        (QueueMap, QUEUES),
        (BloomFilter, BLOOM),
        (EventMap, EVENTS),
        (UserRingBufferMap, RECORDS),
    ):
        if isinstance(held, kind):
            tables.append(table)
    return {
        name: uses
        for table in tables
        for name, uses in table.items()
        if name == "with" or hasattr(held, name)
    }


def seen(value: Any, ids: dict[int, str]) -> Any:
    """A result as both engines can give it: ids by what they stand for, in no order."""
    if isinstance(value, np.ndarray):
        order = np.argsort(value, axis=0) if value.ndim == 1 and value.dtype.names is None else None
        rows = value[order] if order is not None else value
        return str(value.dtype), seen(rows.tolist(), ids)
    if isinstance(value, bool | str | bytes | None):
        return value
    if isinstance(value, int):
        return ids.get(value, value)
    if isinstance(value, Map):
        return "map", value.name
    if isinstance(value, Mapping):
        return {repr(seen(k, ids)): seen(v, ids) for k, v in value.items()}
    if isinstance(value, list | tuple | Iterator):
        return [seen(each, ids) for each in value]
    return repr(value)


def outcome(use: Operation, case: Case) -> Any:
    """What an operation gives, or the error's types and number, and what is in the map then."""
    try:
        result = seen(use(case), case.ids)
    except (OsmiaError, LookupError, AttributeError) as error:
        names = [kind.__name__ for kind in type(error).__mro__[:3]]
        result = ("raises", names, getattr(error, "errno", None))
    if case.held.closed or not isinstance(case.held, KeyedMap):
        return result
    try:
        return result, seen(dict(case.held.items()), case.ids)
    except KernelError as error:  # nobody is told what is in it
        return result, error.errno


@pytest.fixture
def benches() -> Iterator[list[Bench]]:
    with ExitStack() as stack:
        yield [make(stack) for make in BENCHES.values()]


@pytest.mark.parametrize("kind", KINDS, ids=str)
def test_operations_are_the_same_on_every_engine(benches: list[Bench], kind: Kind) -> None:
    operations = operations_of(case_of(benches[0], kind).held)
    differ = {}
    for name, uses in operations.items():
        if (kind.type, name) in DIFFERENT:
            continue
        for number, use in enumerate(uses):
            for filled in (True, False):
                found = [outcome(use, case_of(bench, kind, filled=filled)) for bench in benches]
                if any(other != found[0] for other in found):
                    differ[name, number, filled] = found
    assert not differ


@pytest.mark.parametrize("kind", KINDS, ids=str)
def test_closed_maps_refuse_the_same_on_every_engine(benches: list[Bench], kind: Kind) -> None:
    differ = {}
    for name, uses in operations_of(case_of(benches[0], kind).held).items():
        found = []
        for bench in benches:
            case = case_of(bench, kind)
            case.held.close()
            found.append(outcome(uses[0], case))
        if any(other != found[0] for other in found):
            differ[name] = found
    assert not differ


@pytest.mark.parametrize("kind", KINDS, ids=str)
def test_every_public_member_is_compared(benches: list[Bench], kind: Kind) -> None:
    cases = [case_of(bench, kind) for bench in benches]
    members = [{name for name in dir(case.held) if not name.startswith("_")} for case in cases]
    assert members[0] == members[1]
    assert members[0] <= {*operations_of(cases[0].held), *ELSEWHERE}
