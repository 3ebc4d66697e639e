"""What the front end for iproute2's dialect reads, and what it refuses."""

from __future__ import annotations

import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import osmia
from osmia.errors import LegacyObjectWarning, ObjectFormatError
from osmia.formats.elf_writer import write_object
from osmia.object import Linkage, MapType, Pinning, ProgramType, RelocationKind
from osmia.passes.attachment import find_program
from osmia.passes.convert import convert
from osmia.toolchain import compile  # noqa: A004

PASS = "r0 = 0\nexit"
TAIL_CALL = "r2 = 0x0 ll\nr3 = 1\ncall bpf_tail_call\nr0 = 0\nexit"
HASH, ARRAY, PROG_ARRAY, ARRAY_OF_MAPS, HASH_OF_MAPS = 1, 2, 3, 12, 13


@pytest.fixture(scope="module")
def compiled() -> osmia.Object:
    source = """
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
struct bpf_elf_map {
    __u32 type, size_key, size_value, max_elem, flags, id, pinning, inner_id, inner_idx;
};
struct bpf_elf_map jump SEC("maps") = {
    .type = BPF_MAP_TYPE_PROG_ARRAY, .size_key = 4, .size_value = 4, .max_elem = 8, .id = 7,
};
struct bpf_elf_map count SEC("maps") = {
    .type = BPF_MAP_TYPE_HASH, .size_key = 8, .size_value = 8, .max_elem = 8, .pinning = 2,
};
struct flow { __u32 from, to; };
struct ____btf_map_count { struct flow key; __u64 value; };
struct ____btf_map_count __attribute__((section(".maps.count"), used)) ____btf_map_count = {};
static __noinline int account(struct __sk_buff *skb) {
    struct flow flow = {};
    __u64 *value = bpf_map_lookup_elem(&count, &flow);
    if (value) *value += skb->len;
    return 0;
}
SEC("from-container") int entry(struct __sk_buff *skb) {
    bpf_tail_call(skb, &jump, 3);
    return account(skb);
}
SEC("7/3") int third(struct __sk_buff *skb) { return account(skb) + 1; }
SEC("0x7/010") int eighth(struct __sk_buff *skb) { return 2; }
char _license[] SEC("license") = "GPL";
"""
    with pytest.raises(ObjectFormatError, match="out of range"):
        osmia.compile(source)
    return osmia.compile(source.replace("0x7/010", "0x7/07"))


def test_the_dialect_is_recognised_by_its_section(compiled: osmia.Object) -> None:
    assert compiled.dialect == "iproute2"
    assert compiled.license == "GPL"
    assert list(compiled.maps) == ["jump", "count"]


def test_maps_have_all_that_the_struct_says(compiled: osmia.Object) -> None:
    jump, count = compiled.maps["jump"], compiled.maps["count"]
    assert (jump.type, jump.max_entries, jump.attributes) == (MapType.PROG_ARRAY, 8, {"id": 7})
    assert (count.type, count.key_size, count.value_size) == (MapType.HASH, 8, 8)
    assert count.pinning == Pinning.GLOBAL


def test_annotations_tell_types_with_the_btf_of_todays_compilers(compiled: osmia.Object) -> None:
    count = compiled.maps["count"]
    assert compiled.btf is not None
    assert compiled.btf.name_of(count.key_type_id) == "flow"
    assert compiled.btf.name_of(count.value_type_id) == "__u64"


def test_sections_with_an_id_and_a_key_become_slots(compiled: osmia.Object) -> None:
    assert compiled.maps["jump"].slots == ((3, "third"), (7, "eighth"))


def test_programs_without_a_type_are_told_one_when_opened(legacy: Any) -> None:
    data = legacy(programs={"from-netdev": PASS}, maps={}).to_bytes()
    untold = osmia.open(data, dialect="iproute2").programs["f_from_netdev"]
    told = osmia.open(data, dialect="iproute2", program_type=ProgramType.XDP)
    assert untold.type is ProgramType.UNSPEC
    assert told.programs["f_from_netdev"].type is ProgramType.XDP


def test_tail_called_programs_have_the_type_of_their_caller(legacy: Any, words: Any) -> None:
    obj = osmia.open(
        legacy(
            maps={"jump": words(PROG_ARRAY, 4, 4, 4, id=5)},
            programs={"action": TAIL_CALL, "5/1": PASS},
            references={"action": {0: "jump"}},
        ).to_bytes()
    )
    assert {program.type for program in obj.programs.values()} == {ProgramType.SCHED_ACT}


def test_subprograms_in_text_are_found_without_symbols_and_relocations(
    legacy: Any, words: Any
) -> None:
    """The entry calls `.text`, whose first function calls the second without a relocation."""
    obj = osmia.open(
        legacy(
            maps={"numbers": words()},
            programs={
                ".text": "call inner\nexit\ninner: r0 = 7\nexit",
                "classifier": "call pc-1\nexit",
            },
            references={"classifier": {0: ".text"}},
        ).to_bytes()
    )
    entry = obj.functions["f_classifier"]
    assert [(r.kind, r.target) for r in entry.relocations] == [(RelocationKind.CALL, "text")]
    assert [r.target for r in obj.functions["text"].relocations] == ["text_2"]
    assert list(obj.callees("f_classifier")) == ["text", "text_2"]


def test_sections_without_any_function_symbol_are_programs(legacy: Any, words: Any) -> None:
    with pytest.warns(LegacyObjectWarning, match="no prog array has id 1"):
        obj = osmia.open(
            legacy(
                maps={"numbers": words()},
                programs={"1/2": PASS, "from-lxc": PASS},
                functions=False,
            ).to_bytes()
        )
    assert list(obj.programs) == ["prog_1_2", "from_lxc"]
    assert not obj.programs["prog_1_2"].autoload
    assert obj.functions["from_lxc"].linkage is Linkage.GLOBAL


def test_static_maps_are_maps_as_global_ones_are() -> None:
    source = """
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
struct bpf_map_def { unsigned type, key_size, value_size, max_entries, map_flags; };
struct bpf_map_def SEC("maps") one = { BPF_MAP_TYPE_ARRAY, 4, 8, 1, 0 };
static struct bpf_map_def SEC("maps") two = { BPF_MAP_TYPE_ARRAY, 4, 8, 2, 0 };
SEC("xdp") int p(struct xdp_md *c) {
    __u32 key = 1;
    return bpf_map_lookup_elem(&one, &key) ? 1 : bpf_map_lookup_elem(&two, &key) ? 3 : 2;
}
char LICENSE[] SEC("license") = "GPL";
"""
    obj = osmia.compile(source)
    assert {name: each.max_entries for name, each in obj.maps.items()} == {"one": 1, "two": 2}
    assert [r.target for r in obj.functions["p"].relocations] == ["one", "two"]
    with obj.load("vm") as bpf:
        assert bpf.programs["p"].run(bytes(64)).retval == 3
    alone = osmia.compile(
        source.replace("bpf_map_lookup_elem(&one, &key) ? 1 :", "").replace(
            'struct bpf_map_def SEC("maps") one = { BPF_MAP_TYPE_ARRAY, 4, 8, 1, 0 };\nstatic',
            "static",
        )
    )
    assert [*alone.maps] == ["two"]


def test_code_behind_the_first_function_of_a_section_is_said_to_be_unreachable() -> None:
    source = """
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
struct { int a[9]; } m SEC("maps") = { { 2, 4, 4, 1 } };
SEC("classifier") int first(void *c) { return 0; }
SEC("classifier") int second(void *c) { return 1; }
"""
    with pytest.warns(LegacyObjectWarning, match="'second' is never reached"):
        obj = osmia.compile(source)
    assert list(obj.programs) == ["first", "second"], "libbpf loaded both, before 1.0"
    assert find_program(obj, ProgramType.SCHED_CLS).name == "first", "as tc"
    assert obj.programs["second"].autoload
    with pytest.warns(LegacyObjectWarning, match="'second' is never reached"):
        obj = osmia.compile(source.replace("classifier", "from-netdev"))
    assert not obj.programs["second"].autoload, "nobody tells its type, and tc would not load it"


@pytest.mark.kernel
def test_all_functions_of_a_section_are_loaded_where_it_tells_their_type() -> None:
    source = """
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
struct { int a[5]; } m SEC("maps") = { { 2, 4, 4, 1 } };
static __noinline int called(int x) { return x; }
SEC("xdp") int first(struct xdp_md *c) { return called(c->data_end - c->data); }
SEC("xdp") int second(void *c) { return 4; }
char _license[] SEC("license") = "GPL";
"""
    with pytest.warns(LegacyObjectWarning, match="'second'"):
        obj = osmia.compile(source)
    with obj.load() as bpf:
        assert [p.run(bytes(64)).retval for p in bpf.programs.values()] == [64, 4]
    converted = osmia.open(write_object(convert(obj).object))
    assert list(converted.programs) == ["first", "second"]


BOTH = """
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
struct bpf_map_def { unsigned type, key_size, value_size, max_entries, map_flags; };
struct bpf_map_def SEC("maps") one = { BPF_MAP_TYPE_ARRAY, 4, 8, 1, 0 };
struct { __uint(type, BPF_MAP_TYPE_ARRAY); __uint(max_entries, 8); __type(key, int);
         __type(value, long); } NAME SEC(".maps");
int last(void *c);
struct { __uint(type, BPF_MAP_TYPE_PROG_ARRAY); __uint(max_entries, 2); __type(key, __u32);
         __array(values, int (void *));
} calls SEC(".maps") = { .values = { [1] = (void *)&last } };
SEC("xdp") int p(void *c) {
    int k = 0;
    if (!bpf_map_lookup_elem(&NAME, &k) || !bpf_map_lookup_elem(&one, &k)) return 1;
    bpf_tail_call(c, &calls, 1);
    return 2;
}
SEC("xdp/last") int last(void *c) { return 3; }
char L[] SEC("license") = "GPL";
"""


def test_maps_of_both_ways_are_read_side_by_side() -> None:
    obj = osmia.compile(BOTH, defines={"NAME": "state"})
    assert {name: each.max_entries for name, each in obj.maps.items()} == {
        "one": 1,
        "state": 8,
        "calls": 2,
    }
    assert obj.maps["calls"].slots == ((1, "last"),)
    obj.programs["last"] = replace(obj.programs["last"], type=ProgramType.XDP)
    with obj.load("vm") as bpf:
        assert bpf.programs["p"].run(bytes(64)).retval == 3


def test_definitions_of_gobpf_are_refused_by_name() -> None:
    source = """
struct bpf_map_def { unsigned type, key_size, value_size, max_entries, map_flags, pinning;
                     char namespace[256]; };
struct bpf_map_def one __attribute__((section(WHERE), used)) = { 2, 4, 8, 1 };
char _license[] __attribute__((section("license"), used)) = "GPL";
"""
    with pytest.raises(ObjectFormatError, match="section 'maps/one' holds a map as gobpf"):
        osmia.compile(source, defines={"WHERE": '"maps/one"'})
    with pytest.raises(ObjectFormatError, match=r"280 bytes for each of 1 maps: .* gobpf"):
        osmia.compile(source, defines={"WHERE": '"maps"'})


@pytest.mark.parametrize("count", [4, 5, 6, 7, 8, 9])
def test_entries_of_fewer_words_end_in_zeros(legacy: Any, words: Any, count: int) -> None:
    obj = osmia.open(legacy(maps={"a": words(HASH, 4, 8, 5), "b": words()}, words=count).to_bytes())
    assert (obj.maps["a"].max_entries, obj.maps["a"].flags) == (5, 0)


def test_old_machines_and_byte_orders_are_read(legacy: Any, words: Any) -> None:
    file = legacy(maps={"a": words(HASH, 4, 8, 5)}, programs={"classifier": PASS})
    file.machine = 0
    file.byteorder = "big"
    obj = osmia.open(file.to_bytes())
    assert (obj.byteorder, obj.maps["a"].max_entries) == ("big", 5)


def test_28_bytes_are_id_and_pinning(legacy: Any) -> None:
    with pytest.warns(
        LegacyObjectWarning, match="28 bytes in section 'maps', read as struct bpf_elf"
    ):
        obj = osmia.open(legacy(maps={"a": (HASH, 4, 8, 5, 0, 3, 2)}, words=7).to_bytes())
    assert obj.maps["a"].attributes == {"id": 3}
    assert obj.maps["a"].pinning == Pinning.GLOBAL


def test_28_bytes_with_maps_in_maps_are_the_samples_index_and_node(legacy: Any) -> None:
    maps = {
        "inner": (HASH, 4, 8, 5, 0, 0, 0),
        "outer": (ARRAY_OF_MAPS, 4, 4, 2, 4, 0, 1),
    }
    with pytest.warns(LegacyObjectWarning, match="read as struct bpf_map_def of the kernel's samp"):
        obj = osmia.open(legacy(maps=maps, words=7).to_bytes())
    assert obj.maps["outer"].inner == obj.maps["inner"]
    assert (obj.maps["outer"].numa_node, obj.maps["outer"].pinning) == (1, 0)


def test_24_bytes_of_the_samples_name_the_template_by_its_place(legacy: Any) -> None:
    maps = {"first": (HASH, 4, 4, 1), "inner": (ARRAY, 4, 8, 3), "outer": (13, 4, 4, 2, 0, 1)}
    file = legacy(maps={k: (*v, 0, 0)[:6] for k, v in maps.items()}, words=6)
    with pytest.warns(LegacyObjectWarning, match="read as struct bpf_map_def of the kernel's samp"):
        inner = osmia.open(file.to_bytes()).maps["outer"].inner
    assert inner is not None
    assert inner.name == "inner"


def test_a_tenth_word_that_says_something_is_reported(legacy: Any, words: Any) -> None:
    file = legacy(maps={"a": (*words(HASH, 4, 8, 5, id=3), 99)}, words=10)
    with (
        pytest.warns(LegacyObjectWarning, match="map 'a': word 10 is 99"),
        pytest.warns(LegacyObjectWarning, match="40 bytes in section 'maps', read as struct"),
    ):
        assert osmia.open(file.to_bytes()).maps["a"].attributes == {"id": 3}


def test_with_btf_the_names_of_the_fields_count_not_their_places() -> None:
    source = """
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
struct other_map { __u32 max_entries, type, pinning, value_size, key_size, shard; };
struct other_map m SEC("maps") = { 9, BPF_MAP_TYPE_HASH, 2, 16, 4, 1 };
SEC("classifier") int first(void *c) { return 0; }
"""
    with pytest.warns(LegacyObjectWarning, match="shard is 1"):
        found = osmia.compile(source).maps["m"]
    assert (found.type, found.key_size, found.value_size) == (MapType.HASH, 4, 16)
    assert (found.max_entries, found.pinning) == (9, Pinning.GLOBAL)


def outer_and_inner(words: Any) -> dict[str, Any]:
    return {
        "outer": words(ARRAY_OF_MAPS, 4, 4, 8, inner_id=1),
        "other": words(HASH_OF_MAPS, 4, 9, 8, inner_id=1),
        "template": words(HASH, 4, 8, 4, id=1, inner_idx=-1),
        "zero": words(HASH, 4, 8, 4, id=1),
        "five": words(HASH, 4, 8, 99, id=1, inner_idx=5),
    }


def test_every_map_in_maps_that_names_the_id_gets_every_inner_map(legacy: Any, words: Any) -> None:
    obj = osmia.open(legacy(maps=outer_and_inner(words)).to_bytes())
    for name in ("outer", "other"):
        outer = obj.maps[name]
        assert outer.slots == ((0, "zero"), (5, "five"))
        assert outer.value_size == 4
        assert outer.inner is not None
        assert outer.inner.name == "template"


BAD_MAPS = {
    "no map has the id 9": lambda w: {"o": w(ARRAY_OF_MAPS, 4, 4, 8, inner_id=9)},
    "has no inner_id": lambda w: {"o": w(ARRAY_OF_MAPS, 4, 4, 8)},
    "is a prog_array": lambda w: {
        "o": w(ARRAY_OF_MAPS, 4, 4, 8, inner_id=9),
        "i": w(PROG_ARRAY, 4, 4, 8, id=9),
    },
    "slot 8 of 'i' is out of range, there are 8": lambda w: {
        "o": w(ARRAY_OF_MAPS, 4, 4, 8, inner_id=9),
        "i": w(id=9, inner_idx=8),
    },
    "'a' and 'b' are both for slot 2": lambda w: {
        "o": w(ARRAY_OF_MAPS, 4, 4, 8, inner_id=9),
        "a": w(id=9, inner_idx=2),
        "b": w(id=9, inner_idx=2),
    },
    "unlike the template 'a': value size 16, not 8; max entries 3, not 1": lambda w: {
        "o": w(ARRAY_OF_MAPS, 4, 4, 8, inner_id=9),
        "a": w(id=9, inner_idx=2),
        "b": w(ARRAY, 4, 16, 3, id=9, inner_idx=3),
    },
    "keys of 8 bytes": lambda w: {
        "o": w(HASH_OF_MAPS, 8, 4, 8, inner_id=9),
        "a": w(id=9, inner_idx=2),
    },
    "id 9 is given to 'a' and 'b'": lambda w: {"a": w(id=9), "b": w(HASH, id=9)},
    "id 9 is given to 'j' and 'k'": lambda w: {
        "j": w(PROG_ARRAY, 4, 4, 1, id=9),
        "k": w(PROG_ARRAY, 4, 4, 2, id=9),
    },
}


@pytest.mark.parametrize("message", BAD_MAPS)
def test_maps_that_contradict_each_other_are_refused(legacy: Any, words: Any, message: str) -> None:
    with pytest.raises(ObjectFormatError, match=message):
        osmia.open(legacy(maps=BAD_MAPS[message](words)).to_bytes())


def test_two_programs_for_one_slot_are_refused(legacy: Any, words: Any) -> None:
    file = legacy(
        maps={"jump": words(PROG_ARRAY, 4, 4, 4, id=5)},
        programs={"classifier": PASS, "5/1": PASS, "0x5/01": PASS},
    )
    with pytest.raises(ObjectFormatError, match=r"'f_5_1' and 'f_0x5_01' are both for slot 1"):
        osmia.open(file.to_bytes())


@pytest.mark.parametrize("section", ["5/4", "5/-1", "5/0xffffffff"])
def test_a_key_out_of_range_is_refused(legacy: Any, words: Any, section: str) -> None:
    file = legacy(
        maps={"jump": words(PROG_ARRAY, 4, 4, 4, id=5)},
        programs={"classifier": PASS, section: PASS},
    )
    with pytest.raises(ObjectFormatError, match="is out of range, prog array 'jump' has 4 slots"):
        osmia.open(file.to_bytes())


def test_a_truncated_entry_is_refused(legacy: Any, words: Any) -> None:
    file = legacy(maps={"a": words(), "b": words(), "c": words()})
    file.trailing = bytes(20)
    with pytest.raises(ObjectFormatError, match="128 bytes for 3 maps: an entry is truncated"):
        osmia.open(file.to_bytes())


@pytest.mark.parametrize(("count", "size"), [(3, 12), (11, 44)])
def test_entries_too_short_or_too_long_are_refused(
    legacy: Any, words: Any, count: int, size: int
) -> None:
    file = legacy(maps={"a": words()[:count], "b": words()[:count]}, words=count)
    with pytest.raises(ObjectFormatError, match=f"{size} bytes for each of 2 maps"):
        osmia.open(file.to_bytes())


def test_a_section_with_bytes_and_no_symbols_is_refused(legacy: Any) -> None:
    file = legacy(trailing=bytes(36))
    with pytest.raises(ObjectFormatError, match="36 bytes and no symbol"):
        osmia.open(file.to_bytes())


REMARKS = {
    "inner_id has no effect": lambda w: {"a": w(inner_id=3)},
    "inner_idx 3, but no map in maps names its id 0": lambda w: {"a": w(inner_idx=3)},
    "inner_idx 3, but no map in maps names its id 4": lambda w: {"a": w(id=4, inner_idx=3)},
    "65 maps; tc takes 64": lambda w: {f"m{n}": w() for n in range(65)},
}


@pytest.mark.parametrize("message", REMARKS)
def test_what_tc_passes_over_in_silence_is_a_warning(legacy: Any, words: Any, message: str) -> None:
    with pytest.warns(LegacyObjectWarning, match=message):
        osmia.open(legacy(maps=REMARKS[message](words)).to_bytes())


def test_an_unknown_id_of_a_section_is_a_warning_with_its_name(legacy: Any, words: Any) -> None:
    file = legacy(
        maps={"jump": words(PROG_ARRAY, 4, 4, 4, id=5)}, programs={"classifier": PASS, "6/0": PASS}
    )
    with pytest.warns(LegacyObjectWarning, match=r"section '6/0' is not loaded: no prog array"):
        assert not osmia.open(file.to_bytes()).programs["f_6_0"].autoload


def test_an_unknown_dialect_is_named() -> None:
    with pytest.raises(ValueError, match="'libbpf', 'iproute2', not 'tc'"):
        osmia.open(b"", dialect="tc")


def test_libbpfs_dialect_refuses_what_it_does_not_have(legacy: Any, words: Any) -> None:
    with pytest.raises(ObjectFormatError, match="older dialect"):
        osmia.open(legacy(maps={"a": words()}).to_bytes(), dialect="libbpf")


def test_strict_btf_lists_everything_that_is_missing(
    legacy: Any, words: Any, tmp_path: Path
) -> None:
    source = """
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
struct { int a[9]; } m SEC("maps") = { { 2, 4, 4, 1 } }, n SEC("maps") = { { 1, 4, 4, 1 } };
SEC("classifier") int first(void *c) { return 0; }
"""
    with pytest.raises(ObjectFormatError, match="the object has no BTF"):
        osmia.open(legacy(maps={"a": words()}).to_bytes(), strict_btf=True)
    path = tmp_path / "strict.o"
    path.write_bytes(compile(source).data)
    with pytest.raises(
        ObjectFormatError, match="map 'm' has no key type and no value type; map 'n'"
    ):
        osmia.open(path, strict_btf=True)


def test_hostile_bytes_end_in_format_errors_only(legacy: Any, words: Any) -> None:
    """Every byte of the file's first kilobyte changed, in two ways."""
    data = legacy(
        maps=outer_and_inner(words) | {"jump": words(PROG_ARRAY, 4, 4, 4, id=5)},
        programs={".text": "r0 = 1\nexit", "classifier": "call pc-1\nexit", "5/1": PASS},
        references={"classifier": {0: ".text"}},
    ).to_bytes()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", LegacyObjectWarning)
        for position in range(min(len(data), 1024)):
            for changed in (0, 0xFF):
                mutant = bytearray(data)
                mutant[position] = changed
                try:
                    osmia.open(bytes(mutant), dialect="iproute2")
                except ObjectFormatError:
                    continue
