"""Maps: the kernel's rules and errno values, from Python and from programs."""

from __future__ import annotations

import errno
import mmap
from collections.abc import Callable
from typing import Any

import pytest

from osmia.errors import (
    ClosedError,
    CodecError,
    EmptyMapError,
    KernelError,
    KeyExistsError,
    MapFullError,
    MissingKeyError,
    NotSupportedError,
)
from osmia.isa import assemble
from osmia.object.uapi import MapFlag, MapType
from osmia.values import plain_codec
from osmia.vm.engine import Vm
from osmia.vm.layout import MAP_BUCKETS, MAP_SPARE


def test_a_hash_behaves_as_a_dict_with_bounds(any_vm: Vm) -> None:
    table: Any = any_vm.create_map(MapType.HASH, key_size=4, value_size=8, max_entries=3)
    for key in range(3):
        table[key] = key * 10
    with pytest.raises(MapFullError):
        table[3] = 30
    with pytest.raises(KeyExistsError):
        table.update(1, 5, 1)
    with pytest.raises(MissingKeyError):
        table.update(9, 5, 2)
    with pytest.raises(KeyError):
        del table[9]
    table[1] = 11  # a full map still takes updates
    del table[0]
    table[7] = 70
    assert dict(table) == {1: 11, 2: 20, 7: 70}
    assert len(table) == 3


def test_many_entries_come_and_go(any_vm: Vm) -> None:
    table: Any = any_vm.create_map(MapType.HASH, key_size=4, value_size=4, max_entries=64)
    model: dict[int, int] = {}
    for step in range(600):
        key = step * 7919 % 97
        if step % 3 == 2:
            assert (table.get(key) is not None) == (model.pop(key, None) is not None)
            table.delete_many([key])
        elif len(model) < 64 or key in model:
            table[key] = model[key] = step
    assert dict(table) == model


def test_arrays_have_all_their_indices(any_vm: Vm) -> None:
    array: Any = any_vm.create_map(MapType.ARRAY, value_size=8, max_entries=4)
    array[3] = 5
    assert dict(array) == {0: 0, 1: 0, 2: 0, 3: 5}
    with pytest.raises(KernelError, match="indices end at 3"):
        array[4] = 1
    with pytest.raises(KernelError, match="EINVAL"):
        del array[0]
    assert 4 not in array


def test_a_trie_finds_the_longest_prefix(any_vm: Vm) -> None:
    trie: Any = any_vm.create_map(
        MapType.LPM_TRIE, key_size=8, value_size=4, max_entries=8, flags=MapFlag.NO_PREALLOC
    )
    for number, network in enumerate(("0.0.0.0/0", "10.0.0.0/8", "10.1.0.0/16", "10.1.2.3")):
        trie[network] = number
    assert [trie[a] for a in ("9.9.9.9", "10.9.9.9", "10.1.9.9", "10.1.2.3")] == [0, 1, 2, 3]
    del trie["10.1.0.0/16"]
    assert trie["10.1.9.9"] == 1
    with pytest.raises(KeyError):
        del trie["10.1.0.0/16"]
    assert len(trie) == 3


def test_a_trie_agrees_with_a_search_of_all_prefixes(any_vm: Vm) -> None:
    import ipaddress
    from random import Random

    random = Random(5)
    trie: Any = any_vm.create_map(
        MapType.LPM_TRIE, key_size=8, value_size=4, max_entries=64, flags=MapFlag.NO_PREALLOC
    )
    model: dict[Any, int] = {}
    for step in range(150):
        address = random.getrandbits(32) & 0xFF0700F1 | 0x0A000000
        network = ipaddress.ip_network((address, random.randrange(33)), strict=False)
        if step % 4 == 3 and model:
            gone = random.choice(sorted(model))
            del trie[gone], model[gone]
        elif len(model) < 64:
            trie[network] = model[network] = step
        probe = ipaddress.ip_address(random.getrandbits(32) & 0xFF0700F1 | 0x0A000000)
        found = max((n for n in model if probe in n), key=lambda n: n.prefixlen, default=None)
        assert trie.get(str(probe)) == (model[found] if found is not None else None)


def test_lru_maps_keep_what_programs_use(vm: Vm, executor: Any) -> None:
    """Lookups from Python leave no mark unless they are asked to; a program's do."""
    table: Any = vm.create_map(MapType.LRU_HASH, key_size=4, value_size=4, max_entries=3)
    look_up_0 = vm.load_program(
        assemble(
            f"*(u32 *)(r10 -4) = 0\nr2 = r10\nr2 += -4\nr1 = map[fd:{table.id}]\n"
            "call bpf_map_lookup_elem\nr0 = 0\nexit"
        )
    )
    for key in range(3):
        table[key] = key
    assert table[0] == 0
    table[3] = 3
    assert sorted(table) == [1, 2, 3]  # 0 was the oldest: reading it changed nothing
    table[0] = 0
    assert sorted(table) == [0, 2, 3]
    look_up_0.run(executor=executor)
    table[4] = 4
    table[5] = 5
    assert 0 in table
    table.lookup(4, mark=True)
    table[6] = 6
    table[7] = 7
    assert 4 in table


def test_queues_stacks_and_filters(any_vm: Vm) -> None:
    queue: Any = any_vm.create_map(MapType.QUEUE, key_size=0, value_size=4, max_entries=2)
    stack: Any = any_vm.create_map(MapType.STACK, key_size=0, value_size=4, max_entries=2)
    for held in (queue, stack):
        held.push(1)
        held.push(2)
        with pytest.raises(MapFullError):
            held.push(3)
    queue.push(3, replace_oldest=True)
    assert list(queue.drain()) == [2, 3]
    assert list(stack.drain()) == [2, 1]
    with pytest.raises(EmptyMapError):
        stack.peek()
    bloom: Any = any_vm.create_map(MapType.BLOOM_FILTER, key_size=0, value_size=8, max_entries=100)
    for value in range(0, 200, 2):
        bloom.add(value)
    assert all(value in bloom for value in range(0, 200, 2))
    assert sum(value in bloom for value in range(1, 2000, 2)) < 100


def test_what_is_taken_leaves_the_map(any_vm: Vm) -> None:
    table: Any = any_vm.create_map(MapType.HASH, value_size=4, max_entries=8)
    table.update({1: 10, 2: 20})
    assert sorted(table.take_all()) == [(1, 10), (2, 20)]
    assert not table
    table[3] = 30
    assert table.to_numpy(take=True).tolist() == [(3, 30)]
    assert not table
    array: Any = any_vm.create_map(MapType.ARRAY, value_size=4, max_entries=2)
    array[1] = 10
    with pytest.raises(KernelError):
        array.take_all()
    assert array[1] == 10


def test_per_cpu_values_are_lists(any_vm: Vm) -> None:
    array: Any = any_vm.create_map(MapType.PERCPU_ARRAY, value_size=4, max_entries=2)
    table: Any = any_vm.create_map(MapType.PERCPU_HASH, value_size=4, max_entries=2)
    array[1] = [1, 2]
    table[5] = [3, 4]
    assert (array[0], array[1], table[5]) == ([0, 0], [1, 2], [3, 4])
    assert table.to_numpy()["value"].tolist() == [[3, 4]]


def test_maps_in_maps_take_only_what_the_template_says(vm: Vm, executor: Any) -> None:
    outer: Any = vm.create_map(MapType.ARRAY_OF_MAPS, max_entries=2)
    inner: Any = vm.create_map(MapType.ARRAY, value_size=8, max_entries=1)
    inner[0] = 42
    outer[1] = inner
    with pytest.raises(KernelError, match="EINVAL"):
        outer[0] = vm.create_map(MapType.HASH, value_size=8, max_entries=1)
    program = vm.load_program(
        assemble(
            f"*(u32 *)(r10 -4) = 1\n*(u32 *)(r10 -8) = 0\nr2 = r10\nr2 += -4\n"
            f"r1 = map[fd:{outer.id}]\ncall bpf_map_lookup_elem\nif r0 == 0 goto out\n"
            "r1 = r0\nr2 = r10\nr2 += -8\ncall bpf_map_lookup_elem\nif r0 == 0 goto out\n"
            "r0 = *(u64 *)(r0 +0)\nout: exit"
        )
    )
    assert program.run(executor=executor).retval == 42
    assert (outer.open(1).id, list(outer)) == (inner.id, [1])


def test_a_value_found_before_an_update_stays_what_it_was(vm: Vm, executor: Any) -> None:
    table: Any = vm.create_map(MapType.HASH, value_size=8, max_entries=4)
    table[1] = 10
    program = vm.load_program(
        assemble(
            f"*(u32 *)(r10 -4) = 1\n*(u64 *)(r10 -16) = 20\nr2 = r10\nr2 += -4\n"
            f"r1 = map[fd:{table.id}]\ncall bpf_map_lookup_elem\nr6 = r0\n"
            f"r1 = map[fd:{table.id}]\nr2 = r10\nr2 += -4\nr3 = r10\nr3 += -16\nr4 = 0\n"
            "call bpf_map_update_elem\nr0 = *(u64 *)(r6 +0)\nexit"
        )
    )
    assert program.run(executor=executor, strict=False).retval == 10
    assert table[1] == 20


def test_ring_buffer_records_arrive_in_order_and_never_overrun(vm: Vm, executor: Any) -> None:
    ring: Any = vm.create_map(MapType.RINGBUF, key_size=0, value_size=0, max_entries=mmap.PAGESIZE)
    send = vm.load_program(
        assemble(
            f"r6 = *(u64 *)(r1 +0)\nr1 = map[fd:{ring.id}]\nr2 = 24\nr3 = 0\n"
            "call bpf_ringbuf_reserve\nif r0 == 0 goto out\n*(u64 *)(r0 +0) = r6\n"
            "*(u64 *)(r0 +8) = 0\n*(u64 *)(r0 +16) = 0\nr1 = r0\nr2 = 0\n"
            "call bpf_ringbuf_submit\nr0 = 1\nout: exit"
        )
    )
    sent = taken = 0
    for _ in range(4):
        while send.run(sent.to_bytes(8, "little"), executor=executor).retval:
            sent += 1
        for event in ring.read():
            assert int.from_bytes(event[:8], "little") == taken
            taken += 1
    assert sent == taken > 4 * 100


@pytest.mark.parametrize(
    ("options", "number"),
    [
        ({"type": MapType.HASH, "max_entries": 0}, errno.EINVAL),
        ({"type": MapType.ARRAY, "key_size": 8}, errno.EINVAL),
        ({"type": MapType.HASH, "key_size": 0}, errno.EINVAL),
        ({"type": MapType.QUEUE, "key_size": 4}, errno.EINVAL),
        ({"type": MapType.LPM_TRIE, "key_size": 8}, errno.EINVAL),
        ({"type": MapType.RINGBUF, "key_size": 0, "value_size": 0, "max_entries": 100}, 22),
        ({"type": MapType.PROG_ARRAY, "value_size": 8}, errno.EINVAL),
        ({"type": MapType.HASH, "key_size": 1 << 20}, errno.E2BIG),
        ({"type": MapType.ARRAY, "value_size": 1 << 20, "max_entries": 1 << 20}, errno.ENOMEM),
    ],
)
def test_impossible_maps_are_refused_as_a_kernel_does(
    vm: Vm, options: dict[str, Any], number: int
) -> None:
    with pytest.raises(KernelError) as refusal:
        vm.create_map(**options)
    assert refusal.value.errno == number
    assert not vm.maps


def test_a_type_that_the_vm_lacks_is_named(vm: Vm) -> None:
    with pytest.raises(NotSupportedError, match="INSN_ARRAY"):
        vm.create_map(MapType.INSN_ARRAY)


@pytest.mark.parametrize("use", [lambda m: m[1], lambda m: m.update(1, 2), lambda m: m.delete(1)])
def test_a_closed_map_says_so(use: Callable[[Any], object]) -> None:
    """Also where another map has its memory by then."""
    with Vm(jit=False) as vm:
        table: Any = vm.create_map(MapType.HASH, key_size=4, value_size=4, max_entries=4)
        table.close()
        other: Any = vm.create_map(MapType.HASH, key_size=4, value_size=4, max_entries=4)
        with pytest.raises(ClosedError):
            use(table)
    with pytest.raises(ClosedError):
        use(other)


@pytest.mark.kernel
@pytest.mark.parametrize("length", [0, 8, 32, 33, 1 << 31])
def test_a_prefix_longer_than_the_key_covers_nothing(any_vm: Vm, length: int) -> None:
    from osmia.engine.maps import Map

    options: dict[str, Any] = {"key_size": 8, "value_size": 4, "max_entries": 4}
    options["flags"] = int(MapFlag.NO_PREALLOC)
    theirs: Any
    mine: Any = any_vm.create_map(MapType.LPM_TRIE, **options)
    with Map.create(MapType.LPM_TRIE, **options) as theirs:
        for trie in (mine, theirs):
            trie[b"\x08\0\0\0\x0a\0\0\0"] = 5
        key = length.to_bytes(4, "little") + bytes([10, 0, 0, 1])
        assert mine.get(key) == theirs.get(key)


@pytest.mark.kernel
@pytest.mark.parametrize(
    ("map_type", "size"),
    [
        (MapType.ARRAY, 8 << 20),
        (MapType.HASH, 8 << 20),
        (MapType.QUEUE, 8 << 20),
        (MapType.LPM_TRIE, 8 << 20),
        (MapType.PERCPU_ARRAY, 1 << 15),
        (MapType.PERCPU_ARRAY, (1 << 15) + 1),
        (MapType.PERCPU_HASH, (1 << 15) + 1),
        (MapType.ARRAY, 1 << 31),
    ],
)
def test_values_are_as_large_as_in_the_kernel(vm: Vm, map_type: MapType, size: int) -> None:
    from osmia.engine.maps import Map

    key_size = {MapType.QUEUE: 0, MapType.LPM_TRIE: 8}.get(map_type, 4)
    flags = int(MapFlag.NO_PREALLOC) if map_type is MapType.LPM_TRIE else 0
    found: list[int | None] = []
    for create in (vm.create_map, Map.create):
        try:
            create(map_type, key_size=key_size, value_size=size, max_entries=1, flags=flags).close()
            found.append(0)
        except KernelError as error:
            found.append(error.errno)
    assert found[0] == found[1]


def test_a_replaced_entry_is_put_first_in_its_chain(any_vm: Vm) -> None:
    """So whoever goes along the chain meanwhile comes by the old one, or by both: a node that
    leaves the middle of a chain never leads to another one's place."""
    table: Any = any_vm.create_map(MapType.HASH, key_size=4, value_size=4, max_entries=1)
    memory, bucket = any_vm.memory, any_vm.memory.load64(table.raw.header + MAP_BUCKETS)
    spare = any_vm.memory.load64(table.raw.header + MAP_SPARE)
    table[1] = 1
    first, waiting = memory.load32(bucket), memory.load32(spare)
    table[1] = 2
    assert (memory.load32(bucket), memory.load32(spare)) == (waiting, first)
    assert dict(table) == {1: 2}


def test_a_map_that_is_refused_for_its_codec_leaves_nothing(vm: Vm) -> None:
    before = list(vm.memory.control._free), list(vm.memory.region._free)
    with pytest.raises(CodecError):
        vm.create_map(MapType.HASH, key_size=4, value_size=4, key_codec=plain_codec(8))
    assert (vm.memory.control._free, vm.memory.region._free) == before


def test_taking_all_passes_over_what_went_meanwhile(
    vm: Vm, monkeypatch: pytest.MonkeyPatch
) -> None:
    table: Any = vm.create_map(MapType.HASH, key_size=4, value_size=4, max_entries=4)
    table.update({1: 10, 2: 20, 3: 30})
    take = table.raw.take

    def racing(key: bytes) -> Any:
        if key[0] == 1:
            del table[2]
        if key[0] == 3:
            del table[3]
        return take(key)

    monkeypatch.setattr(table.raw, "take", racing)
    assert sorted(table.take_all()) == [(1, 10)]
    assert not len(table)
