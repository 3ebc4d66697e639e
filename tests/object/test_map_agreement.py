"""Two definitions of one map: the same, or every difference in words."""

from __future__ import annotations

import pytest

import osmia
from osmia.object import Object
from osmia.object.map_agreement import map_disagreement

HEADERS = "#include <linux/bpf.h>\n#include <bpf/bpf_helpers.h>\n"
HASH = "__uint(type, BPF_MAP_TYPE_HASH); __uint(max_entries, 8);"
OF_MAPS = "__uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS); __uint(max_entries, 2); __type(key, int);"


def object_with(body: str) -> Object:
    return osmia.compile(f'{HEADERS}struct {{ {body} }} flows SEC(".maps");\n')


def between(mine: str, other: str) -> str | None:
    a, b = object_with(mine), object_with(other)
    return map_disagreement(a.maps["flows"], a.btf, b.maps["flows"], b.btf)


@pytest.mark.parametrize(
    ("mine", "other"),
    [
        (f"{HASH} __type(key, int); __type(value, long);",) * 2,
        (f"{HASH} __type(key, int); __type(value, long);",
         "__type(value, long); __type(key, unsigned); __uint(max_entries, 8);"
         "__uint(type, BPF_MAP_TYPE_HASH);"),
        (f"{OF_MAPS} __array(values, struct {{ {HASH} __type(key, int); __type(value, int); }});",)
        * 2,
    ],
    ids=["equal", "attributes in another order and a type of the same size", "maps in maps"],
)  # fmt: skip
def test_agree(mine: str, other: str) -> None:
    assert between(mine, other) is None


@pytest.mark.parametrize(
    ("mine", "other", "difference"),
    [
        (f"{HASH} __type(key, int); __type(value, long);",
         "__uint(type, BPF_MAP_TYPE_ARRAY); __uint(max_entries, 9); __type(key, int);"
         "__type(value, long);",
         "type: hash and array; max_entries: 8 and 9"),
        (f"{HASH} __type(key, int); __type(value, long);",
         f"{HASH} __type(key, int); __uint(value_size, 8);", "value type: one and none"),
        (f"{HASH} __type(key, int); __type(value, long);",
         f"{HASH} __type(key, int); __type(value, int *);",
         "value type: 'long' and 'int *' differ: an integer and a pointer"),
        (f"{HASH} __uint(key_size, 4); __uint(value_size, 4); __uint(map_flags, 1);",
         f"{HASH} __uint(key_size, 4); __uint(value_size, 4); __uint(pinning, 1);",
         "map_flags: 0x1 and 0x0; pinning: 0 and 1"),
        (f"{HASH} __uint(key_size, 4); __uint(value_size, 4); __uint(numa_node, 0);",
         f"{HASH} __uint(key_size, 4); __uint(value_size, 4);", "numa_node: 0 and none"),
        (f"{HASH} __uint(key_size, 4); __uint(value_size, 4); __uint(id, 3);",
         f"{HASH} __uint(key_size, 4); __uint(value_size, 4);", "id: 3 and none"),
        (f"{OF_MAPS} __array(values, struct {{ {HASH} __type(key, int); __type(value, int); }});",
         f"{OF_MAPS} __array(values, struct {{ {HASH} __type(key, int); __type(value, long); }});",
         "inner map's value_size: 4 and 8; inner map's value type: 'int' and 'long' differ: 4 bytes"
         " and 8"),
        (f"{OF_MAPS} __array(values, struct {{ {HASH} __type(key, int); __type(value, int); }});",
         f"{OF_MAPS} __uint(value_size, 4);", "template of inner maps: one and none"),
    ],
    ids=["type and entries", "no type", "types", "flags and pinning", "numa node", "attribute",
         "inner map", "no inner map"],
)  # fmt: skip
def test_disagree(mine: str, other: str, difference: str) -> None:
    assert between(mine, other) == difference
