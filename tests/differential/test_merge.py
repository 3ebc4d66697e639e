"""Merging types leaves no more of them than libbpf's deduplication, and no two equal ones."""

import ctypes
import random
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path

import pytest

import osmia
from osmia.btf import BTF, BTFBuilder, deduplicate, merge

from .conftest import CORPUS
from .peers import libbpf_path

pytestmark = pytest.mark.slow

#: Programs that include vmlinux.h, each with another part of the kernel's types.
KERNELS = sorted(
    path.name.removesuffix(".bpf.c")
    for path in CORPUS.glob("*.bpf.c")
    if '#include "vmlinux.h"' in path.read_text()
)


@cache
def _library() -> ctypes.CDLL:
    library = ctypes.CDLL(libbpf_path())
    pointer, size = ctypes.c_void_p, ctypes.c_uint32
    for name, result, arguments in (
        ("btf__new", pointer, [ctypes.c_char_p, size]),
        ("btf__new_empty", pointer, []),
        ("btf__add_btf", ctypes.c_int, [pointer, pointer]),
        ("btf__dedup", ctypes.c_int, [pointer, pointer]),
        ("btf__raw_data", pointer, [pointer, pointer]),
        ("btf__free", None, [pointer]),
    ):
        function = getattr(library, name)
        function.restype, function.argtypes = result, arguments
    return library


def by_libbpf(inputs: Sequence[BTF]) -> BTF:
    """All types of the inputs, deduplicated by libbpf."""
    library = _library()
    whole = library.btf__new_empty()
    for btf in inputs:
        data = _without_sections(btf).to_bytes()
        part = library.btf__new(data, len(data))
        assert library.btf__add_btf(whole, part) > 0
        library.btf__free(part)
    assert library.btf__dedup(whole, None) == 0
    size = ctypes.c_uint32()
    made = library.btf__raw_data(whole, ctypes.byref(size))
    data = ctypes.string_at(made, size.value)
    library.btf__free(whole)
    return BTF(data)


def _without_sections(btf: BTF) -> BTF:
    """As a linker hands types to libbpf: it makes data sections itself."""
    builder = BTFBuilder()
    ids = {0: 0}
    kept = [i for i in btf if btf.kind_of(i).name != "DATASEC"]
    ids |= {old: new for new, old in enumerate(kept, 1)}
    for type_id in kept:
        builder.add(btf.type(type_id), ids)
    return builder.build()


@pytest.fixture(scope="module")
def kernel_types(corpus_object: Callable[[str], Path]) -> list[BTF]:
    """The types of the objects of `KERNELS`."""
    found = [osmia.open(corpus_object(name)).btf for name in KERNELS]
    return [btf for btf in found if btf is not None]


def test_objects_with_vmlinux_h_have_no_more_types_than_with_libbpf(
    kernel_types: list[BTF],
) -> None:
    ours, theirs = merge(kernel_types).btf, by_libbpf(kernel_types)
    assert len(ours) <= len(theirs)
    assert len(deduplicate(ours).builder) == len(ours)


@pytest.mark.parametrize("seed", range(6))
def test_so_do_some_of_them(kernel_types: list[BTF], seed: int) -> None:
    some = random.Random(seed).sample(kernel_types, 2 + seed)
    ours = merge(some).btf
    assert len(ours) <= len(by_libbpf(some))
    assert merge(some[::-1]).btf.to_bytes() == ours.to_bytes()


def test_one_object_is_as_small_as_with_libbpf(kernel_types: list[BTF]) -> None:
    for btf in kernel_types:
        assert len(merge([btf]).btf) <= len(by_libbpf([btf]))
