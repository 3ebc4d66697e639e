"""Which maps can be made: the vm says what the kernel says, type by type, flag by flag."""

from __future__ import annotations

import mmap
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import pytest

from osmia.engine.maps import Map
from osmia.errors import BpfPermissionError, KernelError
from osmia.object.uapi import MapFlag, MapType
from osmia.vm.engine import Vm
from osmia.vm.maps.build import STORAGE, is_known

pytestmark = pytest.mark.kernel

Sizes = tuple[int, int, int]  # of a key and a value, in bytes, and entries
SIZES: dict[MapType, Sizes] = {
    MapType.LPM_TRIE: (8, 4, 4),
    MapType.QUEUE: (0, 4, 4),
    MapType.STACK: (0, 4, 4),
    MapType.BLOOM_FILTER: (0, 4, 4),
    MapType.RINGBUF: (0, 0, mmap.PAGESIZE),
    MapType.USER_RINGBUF: (0, 0, mmap.PAGESIZE),
    MapType.STACK_TRACE: (4, 8, 1),
    MapType.ARENA: (0, 0, 4),
    MapType.CGROUP_STORAGE: (16, 4, 0),
    MapType.PERCPU_CGROUP_STORAGE: (16, 4, 0),
}
OUTER = (MapType.ARRAY_OF_MAPS, MapType.HASH_OF_MAPS)
#: Local storage asks the kernel for BTF, which this test has none of; the rest is compared.
KINDS = [kind for kind in MapType if is_known(kind) and kind not in STORAGE] + [
    MapType.CGROUP_STORAGE,
    MapType.PERCPU_CGROUP_STORAGE,
]
#: Flags of which the kernel means something else than of a flag that it does not know.
NOT_COMPARED = {
    MapFlag.TOKEN_FD: "asks for a token, whose descriptor is checked first",
    MapFlag.VTYPE_BTF_OBJ_FD: "asks for the BTF of a module, whose descriptor is checked first",
}
FLAGS = [flag for flag in MapFlag if flag not in NOT_COMPARED]
PAIRS = [
    MapFlag.RDONLY | MapFlag.WRONLY,
    MapFlag.RDONLY_PROG | MapFlag.WRONLY_PROG,
    MapFlag.RDONLY | MapFlag.RDONLY_PROG,
    MapFlag.NO_PREALLOC | MapFlag.ZERO_SEED,
    MapFlag.NO_PREALLOC | MapFlag.NO_COMMON_LRU,
    MapFlag.NUMA_NODE | MapFlag.RDONLY,
    MapFlag.MMAPABLE | MapFlag.INNER_MAP,
    MapFlag.MMAPABLE | MapFlag.RDONLY_PROG,
    MapFlag(0),
    MapFlag(1 << 30),
    MapFlag(1 << 30) | MapFlag.RDONLY,
]


@pytest.fixture
def creators(vm: Vm) -> Iterator[list[Callable[..., Map]]]:
    """How each engine makes a map; maps in maps have an array for a template."""
    sizes: dict[str, Any] = {"key_size": 4, "value_size": 4, "max_entries": 1}
    with Map.create(MapType.ARRAY, **sizes) as theirs, vm.create_map(MapType.ARRAY) as mine:

        def in_kernel(kind: MapType, **options: Any) -> Map:
            inner = theirs if kind in OUTER else None
            made: Map = Map.create(kind, inner=inner, **options)
            return made

        def in_vm(kind: MapType, **options: Any) -> Map:
            return vm.create_map(kind, inner=mine if kind in OUTER else None, **options)

        yield [in_kernel, in_vm]


def outcomes(creators: list[Callable[..., Map]], kind: MapType, **options: Any) -> list[int | None]:
    """0 or the errno that each engine has for a map."""
    found: list[int | None] = []
    for create in creators:
        try:
            create(kind, **options).close()
            found.append(0)
        except KernelError as error:
            found.append(error.errno)
    return found


#: Flags that maps of a type are nothing without.
NEEDED = {MapType.LPM_TRIE: MapFlag.NO_PREALLOC, MapType.ARENA: MapFlag.MMAPABLE}


def shape(kind: MapType) -> dict[str, int]:
    key_size, value_size, entries = SIZES.get(kind, (4, 4, 4))
    return {"key_size": key_size, "value_size": value_size, "max_entries": entries}


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_each_flag_of_each_type_is_taken_or_refused_as_by_the_kernel(
    creators: list[Callable[..., Map]], kind: MapType
) -> None:
    differ = {}
    for flags in (*FLAGS, *PAIRS):
        with_it = flags | NEEDED.get(kind, MapFlag(0))
        for wanted in {flags, with_it}:
            theirs, mine = outcomes(creators, kind, flags=int(wanted), **shape(kind))
            if theirs != mine:
                differ[wanted] = (theirs, mine)
    assert not differ


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_sizes_are_taken_or_refused_as_by_the_kernel(
    creators: list[Callable[..., Map]], kind: MapType
) -> None:
    flags = int(NEEDED.get(kind, 0))
    good = shape(kind)
    differ = {}
    for field, values in (
        ("key_size", (0, 1, 3, 4, 8, 16, 20, 260, 261, 512, 513)),
        ("value_size", (0, 1, 4, 8, 12, 16, 3584, 3585)),
        ("max_entries", (0, 1, 3, 4096, 5000, 8192, mmap.PAGESIZE, 2 * mmap.PAGESIZE)),
        ("map_extra", (0, 1, 15, 16)),
    ):
        for value in values:
            if not _is_compared(kind, field, value):
                continue
            options = {**good, field: value, "flags": flags}
            theirs, mine = outcomes(creators, kind, **options)
            if theirs != mine:
                differ[field, value] = (theirs, mine)
    assert not differ


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_the_kernel_has_the_same_maps_in_maps(
    creators: list[Callable[..., Map]], vm: Vm, kind: MapType
) -> None:
    flags = int(NEEDED.get(kind, 0))
    if kind in (MapType.CGROUP_STORAGE, MapType.PERCPU_CGROUP_STORAGE):
        pytest.skip("the vm makes them with entries, which the kernel does not have")
    outer = MapType.HASH_OF_MAPS
    make: list[Callable[..., Any]] = [Map.create, vm.create_map]
    found = []
    for create, create_outer in zip(creators, make, strict=True):
        with create(kind, flags=flags, **shape(kind)) as inner:
            found += outcomes([create_outer], outer, inner=inner, **shape(outer))
    theirs, mine = found
    assert theirs == mine


def _is_compared(kind: MapType, field: str, value: int) -> bool:
    """Some the vm takes on purpose where the kernel does not."""
    if kind in (MapType.CGROUP_STORAGE, MapType.PERCPU_CGROUP_STORAGE):
        # Any number is a control group, and `create_map` has an entry unless told otherwise.
        # Its value is made in room of the CPU's own.
        return (field == "value_size" and value <= 3584) or (field == "max_entries" and not value)
    if kind is MapType.ARENA and field == "max_entries" and value > 4096:
        return False  # more than the whole vm has here
    if field == "key_size" and value > 512 and kind is not MapType.LPM_TRIE:
        return False  # keys are on the stack where a program goes through a map
    if kind is MapType.PERF_EVENT_ARRAY and field == "max_entries" and not value:
        return False  # `create_map` makes one for each CPU on both engines
    if kind is MapType.CPUMAP and field == "max_entries":
        return value <= 4  # how many CPUs the kernel was built for
    # The region of the vm that the tests have is small.
    return not (field == "max_entries" and value > 4096 and kind not in SIZES)


def test_flags_of_access_are_those_of_the_handle(creators: list[Callable[..., Map]]) -> None:
    for create in creators:
        made = create(
            MapType.HASH, flags=int(MapFlag.RDONLY | MapFlag.NO_PREALLOC), **shape(MapType.HASH)
        )
        with made:
            assert made.info.flags == MapFlag.NO_PREALLOC


@pytest.mark.parametrize(
    ("flag", "words"), [(MapFlag.RDONLY, "read-only"), (MapFlag.WRONLY, "write-only")]
)
def test_a_handle_without_access_refuses_it(
    creators: list[Callable[..., Map]], flag: MapFlag, words: str
) -> None:
    reads: list[Callable[[Any], object]] = [
        lambda held: held[1],
        lambda held: held.get(1),
        lambda held: 1 in held,
        lambda held: list(held),
        lambda held: held.next_key(None),
        lambda held: len(held),
        lambda held: held.to_arrays(),
    ]
    writes: list[Callable[[Any], object]] = [
        lambda held: held.update(1, 1),
        lambda held: held.delete(1),
        lambda held: held.update_many({1: 1}),
        lambda held: held.delete_many([1]),
    ]
    both: list[Callable[[Any], object]] = [
        lambda held: held.pop(1),
        lambda held: held.lookup_and_delete(1),
        lambda held: held.take_all(),
        lambda held: held.clear(),
    ]
    refused, taken = (writes, reads) if flag is MapFlag.RDONLY else (reads, writes)
    for create in creators:
        with create(MapType.HASH, flags=int(flag), **shape(MapType.HASH)) as held:
            for use in (*refused, *both):
                with pytest.raises(BpfPermissionError, match=words):
                    use(held)
            for use in taken:
                with suppress(KeyError):
                    use(held)
