"""What is joined besides functions and variables: tables, slots, other dialects, lines, tags."""

from __future__ import annotations

import pytest

import osmia
from osmia.errors import LegacyObjectWarning, LinkError, ObjectFormatError
from osmia.object.model import Pinning, RelocationKind

from .sources import HEADERS, compiled, linked, several, value

LABELS = """
SEC("xdp") int p{0}(struct xdp_md *ctx) {{
    static const void *const labels[] = {{ &&one, &&two, &&three }};
    goto *labels[ctx->rx_queue_index % 3];
one: return {0} + 1;
two: return {0} + 2;
three: return {0} + 3;
}}
"""
LEGACY = """
struct bpf_elf_map { __u32 type, size_key, size_value, max_elem, flags, id, pinning, inner_id,
                     inner_idx; };
struct bpf_elf_map SEC("maps") counts = { .type = BPF_MAP_TYPE_ARRAY, .size_key = 4,
                                          .size_value = 8, .max_elem = 2 };
struct bpf_elf_map SEC("maps") jumps = { .type = BPF_MAP_TYPE_PROG_ARRAY, .size_key = 4,
                                         .size_value = 4, .max_elem = 4, .id = 5 };
SEC("classifier") int cls(struct __sk_buff *skb) {
    __u32 key = 1;
    bpf_tail_call(skb, &jumps, 2);
    return bpf_map_lookup_elem(&counts, &key) != 0;
}
SEC("5/2") int jumped(struct __sk_buff *skb) { return 7; }
"""


def test_jump_tables_of_one_name_stay_apart() -> None:
    objects = [compiled(name, LABELS.format(number), cpu="v4", compiler="zig")
               for name, number in (("a", 10), ("b", 20))]  # fmt: skip
    assert all(each.jump_tables for each in objects)
    obj = osmia.link(objects)
    assert len(obj.jump_tables) == 2
    assert {each.function for each in obj.jump_tables.values()} == {"p10", "p20"}
    again = osmia.open(obj.to_bytes())
    assert again.jump_tables == obj.jump_tables and again.digest == obj.digest
    assert [value(again, name) for name in ("p10", "p20")] == [11, 21]


def test_objects_of_iproute2_link_with_others_and_with_each_other() -> None:
    legacy = compiled("legacy", LEGACY)
    assert legacy.dialect == "iproute2"
    newer = compiled(
        "newer",
        'SEC("tc") int other(struct __sk_buff *skb) { return 3; }\n'
        "struct { __uint(type, BPF_MAP_TYPE_ARRAY); __uint(max_entries, 1); __type(key, int);"
        ' __type(value, int); } mine SEC(".maps");\n',
    )
    second = compiled("second", 'SEC("classifier") int more(struct __sk_buff *skb) { return 4; }')
    obj = osmia.link([newer, legacy, osmia.open(second.to_bytes(), dialect="iproute2")])
    assert obj.dialect == "libbpf" and {*obj.maps} == {"mine", "counts", "jumps"}
    assert obj.maps["jumps"].slots == ((2, "jumped"),)
    again = osmia.open(obj.to_bytes())
    assert {*again.programs} == {"other", "cls", "jumped", "more"}
    with again.load("vm") as bpf:
        assert bpf.programs["cls"].run(bytes(64)).retval == 7
        assert [*bpf.part("legacy").maps] == ["counts", "jumps"]


def test_what_libbpf_s_dialect_cannot_say_is_an_error() -> None:
    legacy = compiled("legacy", LEGACY.replace('SEC("classifier")', 'SEC("prog")'))
    with pytest.raises(LinkError, match=r"legacy\.bpf\.o cannot be said in libbpf's dialect"):
        osmia.link([legacy])


def test_a_pin_of_iproute2_s_is_one_by_name_with_a_warning() -> None:
    legacy = compiled("legacy", LEGACY.replace(".max_elem = 2 }", ".max_elem = 2, .pinning = 2 }"))
    with pytest.warns(LegacyObjectWarning, match=r"legacy\.bpf\.o: map 'counts' is pinned by name"):
        obj = osmia.link([legacy])
    assert obj.maps["counts"].pinning == Pinning.BY_NAME


def test_static_maps_of_one_name_are_two() -> None:
    text = """
static struct {{ __uint(type, BPF_MAP_TYPE_ARRAY); __uint(max_entries, {0}); __type(key, int);
                 __type(value, int); }} m SEC(".maps");
SEC("xdp") int p{0}(struct xdp_md *ctx) {{
    int key = {0} - 1;
    return bpf_map_lookup_elem(&m, &key) != 0;
}}
"""
    obj = linked(text.format(4), text.format(8))
    assert {name: each.max_entries for name, each in obj.maps.items()} == {"m": 4, "m.1": 8}
    again = osmia.open(obj.to_bytes())
    assert {name: each.max_entries for name, each in again.maps.items()} == {"m": 4, "m.1": 8}
    assert [value(again, name) for name in ("p4", "p8")] == [1, 1]
    with again.load("vm") as bpf:
        assert bpf.part("b").maps["m"] is bpf.maps["m.1"]


def test_slots_name_what_another_object_defines_of_the_right_kind() -> None:
    array = """
int target(struct xdp_md *ctx);
struct { __uint(type, BPF_MAP_TYPE_PROG_ARRAY); __uint(max_entries, 2); __uint(key_size, 4);
    __array(values, int (void *)); } jumps SEC(".maps") = { .values = { [1] = (void *)&target } };
SEC("xdp") int p(struct xdp_md *ctx) { bpf_tail_call(ctx, &jumps, 1); return 1; }
"""
    assert value(linked(array, 'SEC("xdp") int target(struct xdp_md *ctx) { return 9; }')) == 9
    half = linked(array, allow_undefined=True)
    assert half.maps["jumps"].slots == ((1, "target"),) and "target" in half.externs
    with pytest.raises(LinkError, match="'target' is not defined anywhere"):
        linked(array)
    with pytest.raises(LinkError, match=r"'jumps' .* to hold 'target', which is a function in b"):
        linked(array, "int target(struct xdp_md *ctx) { return 9; }")


def test_source_lines_and_keys_are_the_inputs_own() -> None:
    objects = several(
        'SEC("xdp") int p(struct xdp_md *ctx) { return 1; }',
        '\n\nSEC("xdp") int q(struct xdp_md *ctx) { return 2; }',
    )
    obj = osmia.open(osmia.link(objects).to_bytes())
    for each, name in zip(objects, "pq", strict=True):
        assert obj.source_lines(name) == each.source_lines(name)
    lines = {line.line for name in "pq" for line in obj.source_lines(name)}
    assert lines == {HEADERS.count("\n") + 1, HEADERS.count("\n") + 3}


def test_a_variable_that_no_program_can_read_is_no_definition_for_one() -> None:
    with pytest.raises(LinkError, match=r"'x' is in b\.bpf\.o \(\.run_config\), which no program"):
        linked('extern int x; SEC("xdp") int p(struct xdp_md *ctx) { return x; }',
               'int x SEC(".run_config") = 1;')  # fmt: skip
    obj = linked('int x SEC(".run_config") = 1; __weak int z SEC(".run_config") = 7;',
                 'long y SEC(".run_config") = 2; int z SEC(".run_config") = 8;')  # fmt: skip
    other = osmia.open(obj.to_bytes()).other_sections[".run_config"]
    assert {each.name: other.contents[each.offset] for each in other.symbols} == {
        "x": 1,
        "y": 2,
        "z": 8,
    }


def test_the_address_of_another_object_s_function_is_one() -> None:
    obj = linked(
        "extern long each(__u32 index, void *context) HIDDEN;\n"
        'SEC("xdp") int p(struct xdp_md *ctx) {'
        " long sum = 0; bpf_loop(4, each, &sum, 0); return sum; }",
        "long each(__u32 index, void *context) { *(long *)context += index; return 0; }",
    )
    kinds = [each.kind for each in obj.functions["p"].relocations]
    assert kinds == [RelocationKind.FUNCTION]
    again = osmia.open(obj.to_bytes())
    assert again.digest == obj.digest and value(again) == 6


def test_one_object_is_what_it_was_but_for_its_order() -> None:
    one = compiled(
        "a", 'static volatile int x = 3; SEC("xdp") int p(struct xdp_md *c) { return x; }'
    )
    obj = osmia.link([one])
    assert [*obj.functions] == [*one.functions] and obj.parts.keys() == {"a"}
    assert value(obj) == value(one) == 3


def test_linking_takes_objects_and_paths_and_nothing_else(tmp_path: object) -> None:
    with pytest.raises(TypeError, match="a list"):
        osmia.link("one.bpf.o")
    with pytest.raises(FileNotFoundError):
        osmia.link(["nowhere.bpf.o"])
    with pytest.raises(ObjectFormatError):
        osmia.link([__file__])
