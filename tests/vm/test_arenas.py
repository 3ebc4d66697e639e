"""Arenas: memory that programs and the test share, by pages, with pointers and variables in it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

import osmia
from osmia.errors import KernelError
from osmia.object.uapi import MapFlag, MapType
from osmia.vm.engine import Vm
from osmia.vm.errors import ProgramFault

PAGE = 4096
PROGRAMS = r"""
#define BPF_NO_KFUNC_PROTOTYPES
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>

char LICENSE[] SEC("license") = "GPL";

#define __arena __attribute__((address_space(1)))

struct {
	__uint(type, BPF_MAP_TYPE_ARENA);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 10);
} arena SEC(".maps");

extern void __arena *bpf_arena_alloc_pages(void *map, void __arena *address, __u32 pages, int node,
						__u64 flags) __ksym __weak;
extern void bpf_arena_free_pages(void *map, void __arena *address, __u32 pages) __ksym __weak;

struct item {
	struct item __arena *next;
	__u64 value;
};

struct item __arena *head, __arena *page;
__u64 __arena counter SEC(".addr_space.1") = 5;
struct item __arena first SEC(".addr_space.1") = { .value = 7 };
__u64 sum, pages = 1;
__u64 where;

SEC("syscall") int grow(void *ctx)
{
	struct item __arena *item = bpf_arena_alloc_pages(&arena, NULL, pages, -1, 0);

	if (!item)
		return 1;
	item->value = counter++;
	item->next = head;
	head = item;
	return 0;
}

SEC("syscall") int adds(void *ctx)
{
	struct item __arena *item = head;

	sum = first.value;
	for (int i = 0; i < 100 && item; i++) {
		sum += item->value;
		item = item->next;
	}
	__sync_fetch_and_add(&counter, 100);
	return 0;
}

SEC("syscall") int frees(void *ctx)
{
	struct item __arena *item = head;

	if (!item)
		return 1;
	head = item->next;
	bpf_arena_free_pages(&arena, item, 1);
	return 0;
}

SEC("syscall") int careless(void *ctx)
{
	struct item __arena *item = bpf_arena_alloc_pages(&arena, NULL, 1, -1, 0);

	if (!item)
		return 1;
	bpf_arena_free_pages(&arena, item, 1);
	sum = *(volatile __u64 __arena *)&item->value;
	return 0;
}

SEC("syscall") int at(void *ctx)
{
	struct item __arena *item = bpf_arena_alloc_pages(&arena, (void __arena *)where, pages, -1, 0);

	return !item;
}
"""


@pytest.fixture(scope="module")
def compiled() -> osmia.Object:
    return osmia.compile(PROGRAMS, cpu="v4")


@pytest.fixture
def bpf(compiled: osmia.Object) -> Iterator[Any]:
    with compiled.load(engine="vm", memory=1 << 25) as loaded:
        yield loaded


def run(bpf: Any, program: str, executor: str) -> int:
    return int(bpf.programs[program].run(executor=executor).retval)


def test_programs_build_lists_in_pages(bpf: Any, executor: str) -> None:
    assert [run(bpf, "grow", executor) for _ in range(3)] == [0, 0, 0]
    assert run(bpf, "adds", executor) == 0
    assert bpf.data["sum"] == 7 + 5 + 6 + 7
    assert bpf.data["counter"] == 108
    bpf.data["counter"] = 1
    run(bpf, "grow", executor)
    assert bpf.data["counter"] == 2


def test_the_test_sees_the_same_memory(bpf: Any, executor: str) -> None:
    arena = bpf.maps["arena"]
    run(bpf, "grow", executor)
    with arena.memory() as memory:
        at = bpf.data["head"] - arena.address
        assert at % PAGE == 0 and 0 < at < len(memory)
        assert int.from_bytes(memory[at + 8 : at + 16], "little") == 5
        memory[at + 8 : at + 16] = (50).to_bytes(8, "little")
    run(bpf, "adds", executor)
    assert bpf.data["sum"] == 57


def test_there_are_so_many_pages(bpf: Any, executor: str) -> None:
    grown = [run(bpf, "grow", executor) for _ in range(10)]
    assert grown == [0] * 9 + [1]  # variables have a page too
    assert [run(bpf, name, executor) for name in ("frees", "grow", "grow")] == [0, 0, 1]
    bpf.data["pages"] = 1 << 31
    assert run(bpf, "grow", executor) == 1


def test_pages_can_be_had_at_an_address(bpf: Any, executor: str) -> None:
    start = bpf.maps["arena"].address
    results = []
    for number, pages in ((5, 2), (6, 1), (8, 2), (7, 1), (8, 3), (0, 1)):
        bpf.data["where"], bpf.data["pages"] = start + PAGE * number, pages
        results.append(run(bpf, "at", executor))
    assert results == [0, 1, 0, 0, 1, 1]
    bpf.data["where"] = start + 7
    assert run(bpf, "at", executor) == 1


def test_a_page_that_is_not_allocated_may_not_be_used(bpf: Any) -> None:
    with pytest.raises(ProgramFault, match="a page of an arena that is not allocated"):
        run(bpf, "careless", "interpreter")


@pytest.mark.parametrize(
    "wrong",
    [
        {"flags": MapFlag(0)},
        {"key_size": 4},
        {"map_extra": 5},
        {"max_entries": 1 << 21},
    ],
)
def test_wrong_arenas_are_refused(vm: Vm, wrong: dict[str, Any]) -> None:
    right: dict[str, Any] = {"key_size": 0, "value_size": 0, "flags": MapFlag.MMAPABLE}
    vm.create_map(MapType.ARENA, **right, max_entries=2)
    with pytest.raises(KernelError):
        vm.create_map(MapType.ARENA, **right | wrong)


@pytest.mark.kernel
def test_the_kernel_does_the_same(compiled: osmia.Object) -> None:
    seen = []
    for engine in ("kernel", "vm"):
        with compiled.load(engine=engine) as loaded:
            names = ["grow"] * 3 + ["adds", "frees", "adds"] + ["grow"] * 9
            results = [loaded.programs[name].run().retval for name in names]
            seen.append((results, loaded.data["sum"], loaded.data["counter"]))
    assert seen[0] == seen[1]
