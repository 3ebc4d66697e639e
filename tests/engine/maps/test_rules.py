"""Maps that no kernel makes: both engines refuse them and say which rule they break."""

from __future__ import annotations

from typing import Any

import pytest

import osmia
from osmia.engine.map_rules import broken_rule
from osmia.object.uapi import MapFlag
from osmia.object.uapi import MapType as T
from osmia.vm.engine import Vm

#: Type; key size, value size, max_entries, flags; words.
BROKEN: list[tuple[T, tuple[int, int, int, int], str]] = [
    (T.LPM_TRIE, (8, 4, 4, 0), "LPM_TRIE maps need BPF_F_NO_PREALLOC"),
    (T.LPM_TRIE, (4, 4, 4, MapFlag.NO_PREALLOC), "a prefix length and 1 to 256 bytes, not 4"),
    (T.RINGBUF, (0, 0, 1000, 0), "a power of two of at least a page (4,096), not 1,000"),
    (T.RINGBUF, (4, 0, 65536, 0), "RINGBUF maps have no keys: key_size is 0, not 4"),
    (T.USER_RINGBUF, (0, 8, 65536, 0), "USER_RINGBUF maps have no values: value_size is 0, not 8"),
    (T.HASH, (4, 4, 0, 0), "max_entries is 0"),
    (T.HASH, (0, 4, 1, 0), "key_size is 0"),
    (T.HASH, (4, 0, 1, 0), "value_size is 0"),
    (T.HASH, (4, 4, 1, MapFlag.RDONLY_PROG | MapFlag.WRONLY_PROG), "exclude each other"),
    (T.ARRAY, (8, 4, 1, 0), "keys of ARRAY maps have 4 bytes, not 8"),
    (T.STACK, (4, 4, 1, 0), "STACK maps have no keys: key_size is 0, not 4"),
    (T.BLOOM_FILTER, (4, 4, 1, 0), "BLOOM_FILTER maps have no keys"),
    (T.PERCPU_HASH, (4, 40000, 1, 0), "a value for each CPU has at most 32,768 bytes, not 40,000"),
    (T.PERCPU_ARRAY, (4, 40000, 1, 0), "a value for each CPU has at most 32,768 bytes"),
    (T.PROG_ARRAY, (8, 4, 1, 0), "keys of PROG_ARRAY maps have 4 bytes, not 8"),
    (T.PROG_ARRAY, (4, 8, 1, 0), "values of PROG_ARRAY maps have 4 bytes, not 8"),
    (T.DEVMAP, (4, 16, 1, 0), "values of DEVMAP maps have 4 or 8 bytes, not 16"),
]


def refused(create: Any, kind: T, sizes: tuple[int, int, int, int]) -> str:
    key, value, count, flags = sizes
    with pytest.raises(osmia.KernelError) as caught:
        create(kind, key_size=key, value_size=value, max_entries=count, flags=flags, name="m")
    return caught.value.hint


@pytest.mark.kernel
@pytest.mark.parametrize(("kind", "sizes", "words"), BROKEN)
def test_both_engines_refuse_it_in_the_same_words(
    kind: T, sizes: tuple[int, int, int, int], words: str
) -> None:
    hint = refused(osmia.Map.create, kind, sizes)
    assert words in hint
    with Vm() as vm:
        assert refused(vm.create_map, kind, sizes) == hint


@pytest.mark.kernel
def test_a_map_in_maps_needs_a_template() -> None:
    hint = refused(osmia.Map.create, T.HASH_OF_MAPS, (4, 4, 1, 0))
    assert hint == "a map in maps needs a template of its inner maps"


@pytest.mark.kernel
@pytest.mark.parametrize("engine", ["kernel", "vm"])
def test_a_prefix_that_is_longer_than_the_key_is_told(engine: str) -> None:
    with Vm() as vm:
        create: Any = osmia.Map.create if engine == "kernel" else vm.create_map
        sizes = {"key_size": 8, "value_size": 4, "max_entries": 4}
        with (
            create(T.LPM_TRIE, **sizes, flags=MapFlag.NO_PREALLOC, name="routes") as routes,
            pytest.raises(osmia.KernelError, match="a prefix of 33 bits; the keys have 32"),
        ):
            routes.update(b"\x21\0\0\0\x0a\0\0\0", 1)


def test_nothing_is_said_of_types_that_nobody_knows() -> None:
    assert broken_rule(4711, key_size=1) == ""
