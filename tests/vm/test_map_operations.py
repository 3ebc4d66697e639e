"""Operations on maps, from Python and from programs, with good and bad flags and keys: each
gives on a vm what it gives in the kernel."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any

import pytest

import osmia
from osmia.engine.raw_map import RawMap

pytestmark = pytest.mark.kernel

SOURCE = r"""
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
char L[] SEC("license") = "GPL";
struct locked { struct bpf_spin_lock lock; __u32 n; };
struct prefix { __u32 bits; __u8 data[4]; };
struct { __u8 bytes[8]; } key;
struct { __u32 first, second; } value;
__u64 flags; int operation; long ret; __u32 found;
#define MAP(NAME, TYPE, KEY, VALUE, FLAGS) struct { __uint(type, BPF_MAP_TYPE_##TYPE); \
	__type(key, KEY); __type(value, VALUE); __uint(max_entries, 6); __uint(map_flags, FLAGS); \
} NAME SEC(".maps"); \
SEC("tc") int on_##NAME(struct __sk_buff *skb) \
{ \
	KEY k; VALUE v = {}, *place; \
	__builtin_memcpy(&k, &key, sizeof(k)); \
	__builtin_memcpy(&v, &value, sizeof(v)); \
	switch (operation) { \
	case 0: ret = bpf_map_update_elem(&NAME, &k, &v, flags); break; \
	case 1: ret = bpf_map_delete_elem(&NAME, &k); break; \
	default: \
		place = bpf_map_lookup_elem(&NAME, &k); \
		ret = !!place; \
		if (place) \
			found = *(__u32 *)((char *)place + sizeof(VALUE) - 4); \
	} \
	return 0; \
}
#define VALUES(NAME, TYPE) struct { __uint(type, BPF_MAP_TYPE_##TYPE); \
	__type(value, __u32); __uint(max_entries, 2); } NAME SEC(".maps"); \
SEC("tc") int on_##NAME(struct __sk_buff *skb) \
{ \
	__u32 v = value.first; \
	switch (operation) { \
	case 0: ret = bpf_map_push_elem(&NAME, &v, flags); break; \
	case 1: ret = bpf_map_peek_elem(&NAME, &v); break; \
	default: ret = bpf_map_pop_elem(&NAME, &v); \
	} \
	found = v; \
	return 0; \
}
MAP(array, ARRAY, __u32, __u32, 0)
MAP(array_with_lock, ARRAY, __u32, struct locked, 0)
MAP(hash, HASH, __u32, __u32, 0)
MAP(hash_with_lock, HASH, __u32, struct locked, 0)
MAP(unallocated, HASH, __u32, __u32, BPF_F_NO_PREALLOC)
MAP(unallocated_with_lock, HASH, __u32, struct locked, BPF_F_NO_PREALLOC)
MAP(array_by_cpu, PERCPU_ARRAY, __u32, __u32, 0)
MAP(hash_by_cpu, PERCPU_HASH, __u32, __u32, 0)
MAP(trie, LPM_TRIE, struct prefix, __u32, BPF_F_NO_PREALLOC)
VALUES(queue, QUEUE)
VALUES(stack, STACK)
"""
MAPS = "array array_with_lock hash hash_with_lock unallocated unallocated_with_lock array_by_cpu"
MAPS += " hash_by_cpu trie queue stack"
FLAGS = (0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 16, 64, 1 << 20, 1 << 31, 1 << 32, 1 << 63)

Both = tuple[Any, Any]


@pytest.fixture(scope="module")
def obj() -> osmia.Object:
    return osmia.compile(SOURCE)


@pytest.fixture
def both(obj: osmia.Object) -> Iterator[Both]:
    with obj.load() as kernel, obj.load(engine="vm") as vm:
        yield kernel, vm


def some_key(name: str, choose: random.Random) -> bytes:
    if name == "trie":
        bits = choose.choice([0, 1, 2, 8, 9, 16, 17, 31, 32, 33])
        return bits.to_bytes(4, "little") + bytes(choose.choices([0, 0x10, 0x80, 0xFF], k=4))
    return choose.randrange(8).to_bytes(4, "little")


def entries(raw: RawMap) -> list[tuple[bytes, bytes]]:
    found = []
    for keys, values in raw.read():
        names, contents = bytes(keys), bytes(values)
        for at in range(len(names) // raw.key_size):
            name = names[at * raw.key_size :][: raw.key_size]
            found.append((name, contents[at * raw.entry_value_size :][: raw.entry_value_size]))
    return found


def plain(result: Any) -> Any:
    return bytes(result) if isinstance(result, memoryview) else result


@pytest.mark.parametrize("name", MAPS.split())
@pytest.mark.parametrize("executor", ["interpreter", "generated", "jit"])
def test_programs_get_what_the_kernel_gives(both: Both, name: str, executor: str) -> None:
    choose, wrong, program = random.Random(name), [], f"on_{name}"
    for number in range(200):
        key, flags = some_key(name, choose).ljust(8, b"\0"), choose.choice(FLAGS)
        operation = choose.randrange(3)
        told = []
        for bpf in both:
            bpf.data["key"] = {"bytes": list(key)}
            bpf.data["flags"], bpf.data["operation"] = flags, operation
            bpf.data["value"] = {"first": 0 if "lock" in name else number, "second": number}
            bpf.data["found"] = 0
            options = {} if bpf is both[0] else {"executor": executor}
            bpf.programs[program].run(bytes(64), **options)
            # Of values by CPU, the kernel's test runs are where they are.
            told.append((bpf.data["ret"], "by_cpu" in name or bpf.data["found"]))
        if told[0] != told[1]:
            wrong.append((operation, key, hex(flags), *told))
    assert not wrong


@pytest.mark.parametrize("name", MAPS.split()[:-2])
def test_python_gets_what_the_kernel_gives(both: Both, name: str) -> None:
    choose, wrong = random.Random(name), []
    raws = [bpf.maps[name].raw for bpf in both]
    for number in range(400):
        key, flags = some_key(name, choose), choose.choice((0, 0, *FLAGS[:12]))
        operation = choose.choice(["lookup", "lookup_with", "update", "update", "delete", "take"])
        told = []
        for raw in raws:
            one = bytes(raw.value_size - 4) + number.to_bytes(4, "little")
            value = one.ljust(8, b"\0") * raw.cpus if raw.cpus else one
            match operation:
                case "update":
                    arguments: tuple[Any, ...] = key, value, flags
                case "lookup_with" | "take":
                    arguments = key, flags
                case _:
                    arguments = (key,)
            result = plain(getattr(raw, operation)(*arguments))
            told.append(result[:16] if isinstance(result, bytes) else result)
        if told[0] != told[1]:
            wrong.append((operation, key, flags, *told))
    assert not wrong


def test_a_trie_has_the_kernels_keys_in_the_kernels_order(both: Both) -> None:
    """Of an entry that is stored again the key has the bits that are given now."""
    choose = random.Random(1)
    raws = [bpf.maps["trie"].raw for bpf in both]
    for number in range(1000):
        key = some_key("trie", choose)
        if choose.random() < 0.6:
            results = [raw.update(key, number.to_bytes(4, "little")) for raw in raws]
        else:
            results = [raw.delete(key) for raw in raws]
        assert results[0] == results[1]
        found = [entries(raw) for raw in raws]
        assert found[0] == found[1]
        key = some_key("trie", choose)
        following = [plain(raw.next_key(key)) for raw in raws]
        assert following[0] == following[1]


OLD_VALUES = r"""
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
char L[] SEC("license") = "GPL";
struct prefix { __u32 bits; __u8 data[4]; };
#define MAP(NAME, TYPE, KEY, FLAGS) struct { __uint(type, BPF_MAP_TYPE_##TYPE); \
	__type(key, KEY); __type(value, __u32); __uint(max_entries, 2); \
	__uint(map_flags, FLAGS); } NAME SEC(".maps"); \
SEC("tc") int on_##NAME(struct __sk_buff *skb) \
{ \
	KEY k = {}; __u32 one = 1, two = 2, *old, *new; \
	bpf_map_update_elem(&NAME, &k, &one, 0); \
	if (!(old = bpf_map_lookup_elem(&NAME, &k))) return 100; \
	bpf_map_update_elem(&NAME, &k, &two, 0); \
	if (!(new = bpf_map_lookup_elem(&NAME, &k))) return 100; \
	return *new * 10 + *old; \
}
MAP(array, ARRAY, __u32, 0)
MAP(hash, HASH, __u32, 0)
MAP(lru, LRU_HASH, __u32, 0)
MAP(by_cpu, PERCPU_HASH, __u32, 0)
MAP(trie, LPM_TRIE, struct prefix, BPF_F_NO_PREALLOC)
"""


@pytest.mark.parametrize("executor", ["interpreter", "generated", "jit"])
def test_whoever_holds_a_value_sees_updates_as_in_the_kernel(executor: Any) -> None:
    """Where it is replaced as a whole, the old one stays as it was: a fault in strict mode."""
    obj = osmia.compile(OLD_VALUES)
    with obj.load() as kernel, obj.load(engine="vm") as vm:
        for name, program in vm.programs.items():
            theirs = kernel.programs[name].run(bytes(64)).retval
            mine = program.run(bytes(64), executor=executor, strict=False).retval
            assert (name, mine) == (name, theirs)
