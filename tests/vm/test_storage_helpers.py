"""Local storage by helpers, and what programs ask about tasks and control groups."""

from __future__ import annotations

import os
import threading
from typing import Any

import pytest

from osmia.isa import assemble
from osmia.object.uapi import MapFlag, MapType, ProgramType
from osmia.vm.engine import Vm
from osmia.vm.errors import ProgramFault

EINVAL, ENOENT, E2BIG, EAGAIN = (2**64 - n for n in (22, 2, 7, 11))
OWNERS = {
    "sk": MapType.SK_STORAGE,
    "inode": MapType.INODE_STORAGE,
    "task": MapType.TASK_STORAGE,
    "cgrp": MapType.CGRP_STORAGE,
}
#: r1, r2: the owner, the flags; adds 1 to the value, which is made of the number 41.
COUNT = """
    r6 = *(u64 *)(r1 +0)
    r4 = *(u64 *)(r1 +8)
    r2 = r6
    r1 = map[fd:{map}]
    *(u64 *)(r10 -8) = 41
    r3 = r10
    r3 += -8
    call bpf_{owner}_storage_get
    if r0 == 0 goto none
    r1 = *(u64 *)(r0 +0)
    r1 += 1
    *(u64 *)(r0 +0) = r1
    r0 = r1
    none: exit
"""
REMOVE = "r2 = *(u64 *)(r1 +0)\nr1 = map[fd:{map}]\ncall bpf_{owner}_storage_delete\nexit"


def storage(vm: Vm, kind: MapType) -> Any:
    return vm.create_map(kind, value_size=8, max_entries=0, flags=int(MapFlag.NO_PREALLOC))


def words(*numbers: int) -> bytes:
    return b"".join(n.to_bytes(8, "little") for n in numbers)


@pytest.mark.parametrize("owner", OWNERS)
def test_a_value_is_made_for_an_owner_and_goes_again(vm: Vm, executor: Any, owner: str) -> None:
    values = storage(vm, OWNERS[owner])
    names = {"map": values.id, "owner": owner}
    count = vm.load_program(assemble(COUNT.format(**names)))
    remove = vm.load_program(assemble(REMOVE.format(**names)))

    def run(program: Any, *given: int) -> int:
        return int(program.run(words(*given), executor=executor).retval)

    assert run(count, 7, 0) == 0
    assert [run(count, 7, 1), run(count, 7, 0), run(count, 8, 1)] == [42, 43, 42]
    assert dict(values.items()) == {7: 43, 8: 42}
    assert run(count, 7, 2) == 0  # no such flag
    assert run(count, 0, 1) == 0  # no owner
    assert [run(remove, 7), run(remove, 7), run(remove, 0)] == [0, ENOENT, EINVAL]
    values[9] = 100
    assert run(count, 9, 0) == 101


def test_a_value_without_a_first_one_is_zeros(vm: Vm, executor: Any) -> None:
    values = storage(vm, MapType.SK_STORAGE)
    text = COUNT.replace("r3 = r10", "r3 = 0").replace("r3 += -8", "")
    program = vm.load_program(assemble(text.format(map=values.id, owner="sk")))
    for owner in (5, 6, 5):
        program.run(words(owner, 1), executor=executor)
    assert dict(values.items()) == {5: 2, 6: 1}


def test_the_first_value_is_read_whole(vm: Vm) -> None:
    values: Any = vm.create_map(
        MapType.SK_STORAGE, value_size=64, max_entries=0, flags=int(MapFlag.NO_PREALLOC)
    )
    program = vm.load_program(assemble(COUNT.format(map=values.id, owner="sk")))
    with pytest.raises(ProgramFault, match="argument r3"):
        program.run(words(5, 1), executor="interpreter")


def test_the_running_task_owns_what_its_thread_is_numbered(vm: Vm, executor: Any) -> None:
    values = storage(vm, MapType.TASK_STORAGE)
    for helper in ("get_current_task", "get_current_task_btf"):
        text = f"call bpf_{helper}\nr2 = r0\nr1 = map[fd:{values.id}]\nr3 = 0\nr4 = 1\n"
        program = vm.load_program(assemble(text + "call bpf_task_storage_get\nexit"))
        assert program.run(executor=executor).retval
    assert list(values) == [threading.get_native_id()]


def test_groups_in_a_map_are_the_root_or_others(vm: Vm, executor: Any) -> None:
    groups: Any = vm.create_map(MapType.CGROUP_ARRAY, max_entries=4)
    groups[0], groups[1] = 1, 77
    text = f"r2 = *(u64 *)(r1 +0)\nr1 = map[fd:{groups.id}]\ncall {{}}\nexit"
    program = vm.load_program(assemble(text.format("bpf_current_task_under_cgroup")))
    found = [program.run(words(n), executor=executor).retval for n in range(5)]
    assert found == [1, 0, EAGAIN, EAGAIN, E2BIG]
    text = f"r2 = map[fd:{groups.id}]\nr3 = 0\ncall bpf_skb_under_cgroup\nexit"
    skb = vm.load_program(assemble(text), type=ProgramType.SCHED_CLS)
    assert skb.run(bytes(64), executor=executor).retval == 1


@pytest.mark.kernel
@pytest.mark.parametrize("level", [0, 1, -1])
def test_ancestors_of_a_packets_group_are_those_of_the_kernels_test_run(level: int) -> None:
    from .everywhere import everywhere

    text = (
        "r6 = {given}\nr7 = {found}\nr8 = r1\nr2 = *(u64 *)(r6 +0)\n"
        "call bpf_skb_ancestor_cgroup_id\n*(u64 *)(r7 +0) = r0\nr1 = r8\n"
        "call bpf_skb_cgroup_id\n*(u64 *)(r7 +8) = r0\nr1 = r8\n"
        "call bpf_get_socket_uid\n*(u64 *)(r7 +16) = r0\nr0 = 0\nexit"
    )
    with everywhere(text, ProgramType.SCHED_CLS) as both:
        both.agree(bytes(64), given=(level,))


@pytest.mark.kernel
def test_a_process_is_seen_in_its_own_namespace_alone() -> None:
    from .everywhere import everywhere

    text = (
        "r6 = {given}\nr7 = {found}\nr1 = *(u64 *)(r6 +0)\nr2 = *(u64 *)(r6 +8)\n"
        "r3 = r7\nr4 = *(u64 *)(r6 +16)\nif r4 > 16 goto out\nif r4 == 0 goto out\n"
        "call bpf_get_ns_current_pid_tgid\n*(u64 *)(r7 +16) = r0\nout: r0 = 0\nexit"
    )
    own = os.stat("/proc/self/ns/pid")  # noqa: PTH116
    with everywhere(text, ProgramType.SCHED_CLS) as both:
        for given in (
            (own.st_dev, own.st_ino, 8),
            (own.st_dev, own.st_ino + 1, 8),
            (own.st_dev + 1, own.st_ino, 8),
            (own.st_dev, own.st_ino, 4),
            (own.st_dev, own.st_ino, 16),
        ):
            outcome = both.agree(bytes(64), given=given)
        assert outcome.found[:16] == bytes(16)
