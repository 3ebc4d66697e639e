"""What an engine cannot do is NotSupportedError with a reason, and nothing else."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import osmia
from osmia.errors import ClosedError, NotSupportedError
from osmia.object.uapi import MapFlag, MapType
from osmia.vm.engine import Vm

from .conftest import Bench, MakeMap


@pytest.fixture
def in_vm() -> Any:
    with Vm(memory=1 << 25, cpus=2) as machine:
        yield machine


@pytest.mark.parametrize(
    "use",
    [
        lambda held: held.fileno(),
        lambda held: held.pin("/sys/fs/bpf/somewhere"),
        lambda held: held.unpin("/sys/fs/bpf/somewhere"),
    ],
    ids=["fileno", "pin", "unpin"],
)
def test_a_vm_has_no_descriptors_and_no_pins(in_vm: Vm, use: Callable[[Any], object]) -> None:
    held = in_vm.create_map(MapType.HASH, name="flows")
    with pytest.raises(NotSupportedError, match="'flows': HASH maps of the vm have no"):
        use(held)
    held.close()
    with pytest.raises(ClosedError):
        use(held)


def test_a_vm_has_no_perf_events(in_vm: Vm) -> None:
    events: Any = in_vm.create_map(MapType.PERF_EVENT_ARRAY)
    with Path("/dev/null").open() as file, pytest.raises(NotSupportedError, match="perf events"):
        events[0] = file


@pytest.mark.kernel
def test_lookups_from_outside_never_count_as_a_use_in_the_kernel() -> None:
    options: dict[str, Any] = {"key_size": 4, "value_size": 4, "max_entries": 4}
    with osmia.Map.create(MapType.LRU_HASH, **options) as held:
        table: Any = held
        table[1] = 1
        assert table.lookup(1) == 1
        with pytest.raises(NotSupportedError, match="never count as a use"):
            table.lookup(1, mark=True)


@pytest.mark.kernel
def test_the_kernel_does_not_tell_how_long_a_queue_is() -> None:
    with osmia.Map.create(MapType.QUEUE, value_size=4, max_entries=4) as queue:
        with pytest.raises(NotSupportedError, match="count"):
            len(queue)
        assert not queue


def test_only_mmapable_arrays_have_memory(make_map: MakeMap) -> None:
    with pytest.raises(NotSupportedError, match="BPF_F_MMAPABLE"):
        make_map(MapType.ARRAY).memory()


def test_maps_of_all_engines_are_maps(bench: Bench) -> None:
    held = bench.create(MapType.ARRAY, key_size=4, value_size=4, max_entries=1)
    assert isinstance(held, osmia.Map)
    assert type(held) is osmia.Map.class_for(MapType.ARRAY)


def test_errors_of_all_engines_are_the_same_classes(make_map: MakeMap) -> None:
    table = make_map(MapType.HASH, max_entries=1)
    table[1] = 1
    with pytest.raises(osmia.KeyExistsError):
        table.update(1, 2, osmia.ElementFlag.NOEXIST)
    with pytest.raises(osmia.MapFullError):
        table[2] = 2
    with pytest.raises(osmia.MissingKeyError):
        table[2]
    queue = make_map(MapType.QUEUE, key_size=0, value_size=4)
    with pytest.raises(osmia.EmptyMapError):
        queue.pop()


def test_a_view_of_memory_keeps_a_map_from_being_frozen(make_map: MakeMap) -> None:
    numbers = make_map(MapType.ARRAY, flags=MapFlag.MMAPABLE)
    part = numbers.memory()[:8]
    with pytest.raises(osmia.KernelError, match="EBUSY"):
        numbers.freeze()
    del part
    numbers.freeze()
    assert numbers.info.frozen
