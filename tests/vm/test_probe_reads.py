"""Reads of memory that may not be there, against the kernel."""

from __future__ import annotations

import ctypes
import itertools
from typing import Any

import pytest

import osmia

pytestmark = pytest.mark.kernel

SOURCE = r"""
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
char L[] SEC("license") = "GPL";
char out[24]; long ret; __u64 where; int size;
const char word[] = "word and more";
#define TRY(NAME) SEC("raw_tp") int NAME(void *c) { __u32 n = size; \
	__builtin_memset(out, 'Z', sizeof(out)); if (n > 24) return 1; \
	ret = bpf_##NAME(out, n, where ? (void *)where : (void *)word); return 0; }
TRY(probe_read_kernel) TRY(probe_read_kernel_str) TRY(probe_read_user) TRY(probe_read_user_str)
TRY(probe_read) TRY(probe_read_str)
"""
KERNEL = ("probe_read_kernel", "probe_read_kernel_str")
USER = ("probe_read_user", "probe_read_user_str")
EITHER = ("probe_read", "probe_read_str")
ELSEWHERE = (0x10, 0x1000, 1 << 46, 1 << 47, 1 << 63, (1 << 64) - 4096)
SIZES = (0, 1, 3, 5, 8, 14, 16, 24)


def seen(bpf: Any, program: str, where: int, size: int) -> tuple[int, bytes]:
    bpf.data["where"], bpf.data["size"] = where, size
    bpf.programs[program].run()
    return bpf.data["ret"], bytes(bpf.data["out"], "latin-1")


@pytest.mark.parametrize("program", KERNEL + USER + EITHER)
def test_reads_from_elsewhere_fail_and_leave_zeros_as_in_the_kernel(program: str) -> None:
    obj, wrong = osmia.compile(SOURCE), list[object]()
    with obj.load() as kernel, obj.load(engine="vm") as vm:
        for where, size in itertools.product(ELSEWHERE, SIZES):
            told = [seen(bpf, program, where, size) for bpf in (kernel, vm)]
            if told[0] != told[1]:
                wrong.append((hex(where), size, *told))
    assert not wrong


@pytest.mark.parametrize("program", KERNEL + EITHER)
def test_memory_of_programs_is_read_as_by_the_kernel(program: str) -> None:
    obj = osmia.compile(SOURCE)
    with obj.load() as kernel, obj.load(engine="vm") as vm:
        for size in SIZES[:6]:  # what follows the word is each engine's own
            assert seen(kernel, program, 0, size) == seen(vm, program, 0, size)


@pytest.mark.parametrize("program", USER + EITHER)
def test_memory_of_a_vm_is_user_space_too(program: str) -> None:
    """The kernel reads this process's memory, the vm its own."""
    obj = osmia.compile(SOURCE)
    text = ctypes.create_string_buffer(b"word and more", 64)
    with obj.load() as kernel, obj.load(engine="vm") as vm:
        for size in SIZES[:6]:
            theirs = seen(kernel, program, ctypes.addressof(text), size)
            assert seen(vm, program, 0, size) == theirs
        short = ctypes.create_string_buffer(b"word", 64)
        place: Any = vm.vm.create_map(osmia.MapType.ARRAY, value_size=64)
        place[0] = short.raw
        for size in SIZES:
            theirs = seen(kernel, program, ctypes.addressof(short), size)
            assert seen(vm, program, place.raw.values_address, size) == theirs
