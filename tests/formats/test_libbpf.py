"""Objects in libbpf's dialect, compiled on the spot, as the front end reads them."""

import pytest

import osmia
from osmia import toolchain
from osmia.object import DataKind, ExternKind, Linkage, MapType, RelocationKind

HEADERS = """
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
char _license[] SEC("license") = "GPL";
"""

COUNTER = (
    HEADERS
    + """
struct key { __u32 port; };
struct {
    __uint(type, BPF_MAP_TYPE_HASH);
    __uint(max_entries, 64);
    __uint(map_flags, BPF_F_NO_PREALLOC);
    __type(key, struct key);
    __type(value, __u64);
} counts SEC(".maps");

__u64 total;
const volatile __u32 rate = 3;
int limit = 5;
static int hidden_static SEC(".data.own") = 7;

static __noinline int bump(struct key *key) {
    __u64 *count = bpf_map_lookup_elem(&counts, key);
    if (count) __sync_fetch_and_add(count, 1);
    return limit + hidden_static;
}

__noinline int global(int x) { total += x; return x + rate; }

SEC("xdp") int entry(struct xdp_md *ctx) {
    struct key key = { ctx->rx_queue_index };
    return global(bump(&key)) > 3 ? XDP_PASS : XDP_DROP;
}

SEC("?tp/sched/sched_switch") int off(void *ctx) { return 0; }
"""
)


@pytest.fixture(scope="module")
def counter() -> osmia.Object:
    return osmia.compile(COUNTER, name="counter.bpf.c")


def test_programs_have_what_their_sections_say(counter: osmia.Object) -> None:
    assert list(counter.programs) == ["entry", "off"]
    assert counter.programs["entry"].autoload
    assert not counter.programs["off"].autoload
    assert counter.programs["off"].attach_to == "sched/sched_switch"
    assert counter.license == "GPL"
    assert counter.name == "counter"


def test_functions_are_cut_out_with_symbolic_relocations(counter: osmia.Object) -> None:
    entry = counter.functions["entry"]
    calls = [r.target for r in entry.relocations if r.kind is RelocationKind.CALL]
    assert calls == ["bump", "global"]
    assert counter.functions["bump"].linkage is Linkage.STATIC
    assert counter.functions["global"].linkage is Linkage.GLOBAL
    targets = {(r.kind, r.target) for r in counter.functions["bump"].relocations}
    assert (RelocationKind.MAP, "counts") in targets
    assert (RelocationKind.DATA, ".data") in targets
    assert (RelocationKind.DATA, ".data.own") in targets
    assert list(counter.callees("entry")) == ["bump", "global"]


def test_maps_have_their_attributes_and_types(counter: osmia.Object) -> None:
    counts = counter.maps["counts"]
    assert (counts.type, counts.key_size, counts.value_size) == (MapType.HASH, 4, 8)
    assert (counts.max_entries, counts.flags) == (64, 1)
    assert counter.btf is not None
    assert counter.btf.name_of(counts.key_type_id) == "key"


def test_global_variables_are_typed_and_settable(counter: osmia.Object) -> None:
    assert counter.data_sections[".rodata"].kind is DataKind.RODATA
    assert counter.data["rate"] == 3
    copy = counter.copy()
    copy.data["rate"] = 128
    assert (copy.data.rate, counter.data.rate) == (128, 3)
    with pytest.raises(KeyError, match="rat"):
        copy.data["rat"] = 1


def test_code_knows_its_source_lines(counter: osmia.Object) -> None:
    lines = counter.source_lines("entry")
    assert lines[0].slot == 0
    assert any("global(bump(&key))" in line.text for line in lines)


def test_externs_are_told_apart() -> None:
    obj = osmia.compile(
        HEADERS
        + """
extern unsigned CONFIG_HZ __kconfig;
extern int CONFIG_NOT_THERE __kconfig __weak;
extern const void bpf_prog_active __ksym;
extern void bpf_rcu_read_lock(void) __ksym;
SEC("raw_tp/sched_switch") int p(void *ctx) {
    bpf_rcu_read_lock();
    return CONFIG_HZ + CONFIG_NOT_THERE + (long)&bpf_prog_active;
}
"""
    )
    kinds = {extern.name: extern.kind for extern in obj.externs.values()}
    assert kinds == {
        "CONFIG_HZ": ExternKind.KCONFIG,
        "CONFIG_NOT_THERE": ExternKind.KCONFIG,
        "bpf_prog_active": ExternKind.KSYM,
        "bpf_rcu_read_lock": ExternKind.KFUNC,
    }
    assert obj.externs["CONFIG_NOT_THERE"].weak


@pytest.mark.parametrize("own", ["", 'OF_A_HASH own SEC(".maps");'], ids=["alone", "beside own"])
def test_a_map_of_another_object_is_an_extern_with_its_definition(own: str) -> None:
    a_hash = """
#define OF_A_HASH struct { __uint(type, BPF_MAP_TYPE_HASH); __uint(max_entries, 16); \\
                           __type(key, int); __type(value, long); }
extern OF_A_HASH flows SEC(".maps");
"""
    use = """
SEC("xdp") int p(struct xdp_md *ctx) {
    int key = 3;
    return bpf_map_lookup_elem(&flows, &key) ? 1 : 2;
}
"""
    obj = osmia.compile(HEADERS + a_hash + own + use)
    extern = obj.externs["flows"]
    assert extern.kind is ExternKind.OBJECT and extern.map is not None
    assert (extern.map.type, extern.map.key_size, extern.map.value_size) == (MapType.HASH, 4, 8)
    assert extern.map.max_entries == 16
    assert list(obj.maps) == (["own"] if own else [])
    (used,) = obj.functions["p"].relocations
    assert (used.kind, used.target) == (RelocationKind.EXTERN, "flows")


def test_initialised_maps_know_their_slots() -> None:
    obj = osmia.compile(
        HEADERS
        + """
struct inner { __uint(type, BPF_MAP_TYPE_ARRAY); __uint(max_entries, 4);
               __type(key, __u32); __type(value, __u32); } one SEC(".maps"), two SEC(".maps");
struct { __uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS); __uint(max_entries, 4); __type(key, __u32);
         __array(values, struct inner); } outer SEC(".maps") = {
    .values = { [1] = &one, [3] = &two } };
SEC("xdp") int target(struct xdp_md *ctx) { return XDP_DROP; }
struct { __uint(type, BPF_MAP_TYPE_PROG_ARRAY); __uint(max_entries, 2); __uint(key_size, 4);
         __array(values, int (void *)); } jumps SEC(".maps") = {
    .values = { [1] = (void *)&target } };
SEC("xdp") int entry(struct xdp_md *ctx) {
    __u32 zero = 0;
    bpf_map_lookup_elem(&outer, &zero);
    bpf_tail_call(ctx, &jumps, 1);
    return XDP_PASS;
}
"""
    )
    assert obj.maps["outer"].slots == ((1, "one"), (3, "two"))
    assert obj.maps["outer"].inner is not None
    assert obj.maps["outer"].inner.max_entries == 4
    assert obj.maps["jumps"].slots == ((1, "target"),)


@pytest.mark.parametrize(
    ("attribute", "message"),
    [
        ("__uint(colour, 3);", "attribute 'colour' is not known"),
        ("__uint(key_size, 8); __type(key, __u32);", "contradicts"),
    ],
)
def test_wrong_map_attributes_are_named(attribute: str, message: str) -> None:
    source = HEADERS + f'struct {{ __uint(type, 1); {attribute} }} m SEC(".maps");'
    with pytest.raises(osmia.ObjectFormatError, match=message):
        osmia.compile(source)


def test_the_older_dialect_is_named() -> None:
    source = HEADERS + 'struct { int a[5]; } m SEC("maps"); SEC("xdp") int p(void *c) { return 0; }'
    with pytest.raises(osmia.ObjectFormatError, match="older dialect"):
        osmia.open(toolchain.compile(source).data, dialect="libbpf")


def test_a_file_that_is_no_elf_says_so() -> None:
    with pytest.raises(osmia.ObjectFormatError, match="not an ELF file"):
        osmia.open(b"#!/bin/sh\n" * 20)
