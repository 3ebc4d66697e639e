"""Which definition of a name counts, what is contagious, and what is an error."""

from __future__ import annotations

from itertools import permutations

import pytest

import osmia
from osmia.errors import LinkError
from osmia.object.model import ExternKind, Linkage, RelocationKind

from .sources import compiled, linked, several, value

WEAK = "__weak __noinline int f(int x) {{ return x + {}; }}\n"
STRONG = "__noinline int f(int x) {{ return x + {}; }}\n"
EXTERN = "extern int f(int x);\n"
USE = 'SEC("xdp") int p(struct xdp_md *ctx) { return f(1); }\n'


@pytest.mark.parametrize("order", [*permutations(range(3))])
def test_a_strong_definition_wins_wherever_it_stands(order: tuple[int, ...]) -> None:
    sources = [EXTERN + USE, WEAK.format(10), STRONG.format(20)]
    assert value(linked(*(sources[number] for number in order))) == 21


def test_of_weak_definitions_the_first_wins() -> None:
    assert value(linked(WEAK.format(10), WEAK.format(20), EXTERN + USE)) == 11
    assert value(linked(WEAK.format(20), WEAK.format(10), EXTERN + USE)) == 21


def test_a_weak_definition_is_replaced_in_its_own_object_too() -> None:
    assert value(linked(WEAK.format(10) + USE, STRONG.format(20))) == 21


def test_two_strong_definitions_are_an_error_that_names_both() -> None:
    with pytest.raises(LinkError) as caught:
        linked(STRONG.format(1), STRONG.format(2))
    (problem,) = caught.value.problems
    assert problem.splitlines() == [
        "'f' is defined in a.bpf.o (.text) and b.bpf.o (.text)",
        "    a.bpf.o: int f(int x);",
        "    b.bpf.o: int f(int x);",
    ]


def test_a_hidden_definition_is_shown_as_hidden() -> None:
    hidden = "HIDDEN int f(int x) { return x; } HIDDEN int n = 1;"
    with pytest.raises(LinkError) as caught:
        linked(hidden, STRONG.format(2) + "int n = 2;")
    lines = [line.strip() for problem in caught.value.problems for line in problem.splitlines()]
    assert "a.bpf.o: __hidden int f(int x);" in lines
    assert "a.bpf.o: __hidden int n;" in lines


def test_strong_and_hidden_are_contagious_also_from_declarations() -> None:
    obj = linked(
        WEAK.format(1) + "__weak int shown = 1; int hid = 2;",
        "extern int f(int x) HIDDEN; extern int shown; extern int hid HIDDEN;" + USE.replace(
            "f(1)", "f(1) + shown + hid"
        ),
    )  # fmt: skip
    function = obj.functions["f"]
    assert (function.weak, function.hidden) == (False, True)
    data = obj.data_sections[".data"].variables
    assert (data["shown"].weak, data["shown"].hidden) == (False, False)
    assert (data["hid"].weak, data["hid"].hidden) == (False, True)
    again = osmia.open(obj.to_bytes())
    assert again.functions["f"].hidden and again.data_sections[".data"].variables["hid"].hidden


def test_a_weak_definition_with_weak_declarations_stays_weak() -> None:
    obj = linked(WEAK.format(1), "extern int f(int x) __weak;\n" + USE)
    assert obj.functions["f"].weak and not obj.functions["f"].hidden


def test_static_ones_of_one_name_stay_apart() -> None:
    text = """
static volatile int counter = {0};
static __noinline int f(int x) {{ return x + {0} + bpf_get_prandom_u32() * 0; }}
SEC("xdp") int p{0}(struct xdp_md *ctx) {{ return f(counter); }}
"""
    obj = linked(text.format(1), text.format(2), STRONG.format(100) + USE)
    assert [value(obj, name) for name in ("p1", "p2", "p")] == [2, 4, 101]
    assert [f.linkage for f in obj.functions.values() if f.name == "f"].count(Linkage.STATIC) == 2
    assert obj.find_function("b.bpf.c:f") == "b.bpf.c:f"
    assert obj.data["a.bpf.c:counter"] == 1


def test_all_that_nobody_defines_is_one_error() -> None:
    of_hash = "__uint(type, BPF_MAP_TYPE_HASH); __type(key, int); __type(value, int);"
    with pytest.raises(LinkError) as caught:
        linked(
            "extern int x; extern int f(int); extern int g(void) __weak;\n"
            + USE.replace("f(1)", "f(x) + (g ? g() : 0)"),
            f'extern struct {{ {of_hash} }} m SEC(".maps");\n'
            + USE.replace("p(", "q(").replace("f(1)", "bpf_map_delete_elem(&m, ctx)"),
        )
    assert [each.split()[0] for each in caught.value.problems] == ["'x'", "'f'", "'m'"]
    assert "a.bpf.o: extern int f(int);" in str(caught.value)


def test_undefined_externs_stay_when_allowed_and_are_bound_later() -> None:
    half = linked(EXTERN + "extern int x;\n" + USE.replace("f(1)", "f(x)"), "int other;",
                  allow_undefined=True)  # fmt: skip
    assert {(e.name, e.kind) for e in half.externs.values()} == {
        ("f", ExternKind.OBJECT),
        ("x", ExternKind.OBJECT),
    }
    again = osmia.open(half.to_bytes())
    assert again.externs == half.externs
    whole = osmia.link([again, compiled("c", STRONG.format(3) + "int x = 4;")])
    assert not whole.externs and value(whole) == 7


def test_what_only_lost_code_needs_is_not_needed() -> None:
    obj = linked(
        "extern int nowhere(int);\n__weak __noinline int f(int x) { return nowhere(x); }\n" + USE,
        STRONG.format(1),
    )
    assert not obj.externs and sorted(obj.functions) == ["f", "p"]


def test_weak_externs_need_no_definition() -> None:
    obj = linked("extern int g(void) __weak;\n" + USE.replace("f(1)", "g ? g() : 7"), "int x;")
    assert obj.externs["g"].weak


@pytest.mark.parametrize(
    ("mine", "other", "words"),
    [
        ("int x;", "extern long x;", "'int' and 'long' differ: 4 bytes and 8"),
        ("int x;", "extern int x(void);", "a variable and a function have one name"),
        ("int f(int a) { return a; }", "extern int f(int, int);", "1 parameters and 2"),
        ("int f(int a) { return a; }", "extern long f(int);", "the return value: 'int' and 'long'"),
        ("struct s { int a; }; struct s x;", "struct s { int b; }; extern struct s x;",
         "member 1 is 'a' and 'b'"),
        ("__weak int x;", "int x[2];", "'int [2]' and 'int' differ"),
    ],
)  # fmt: skip
def test_declarations_that_disagree_are_shown_as_c(mine: str, other: str, words: str) -> None:
    use = 'SEC("xdp") int p(struct xdp_md *ctx) { return *(volatile char *)&%s; }'
    name = "f" if " f(" in mine else "x"
    with pytest.raises(LinkError) as caught:
        linked(mine, other + (use % name if "extern" in other else ""))
    (problem,) = caught.value.problems
    assert words in problem
    assert "a.bpf.o: " in problem and "b.bpf.o: " in problem


def test_maps_have_to_agree_in_all_they_say() -> None:
    of = ('{} struct {{ __uint(type, BPF_MAP_TYPE_ARRAY); __uint(max_entries, {});'
          ' __type(key, int); __type(value, {}); }} m {} SEC(".maps");\n')  # fmt: skip
    use = 'SEC("xdp") int p(struct xdp_md *ctx) { return bpf_map_delete_elem(&m, ctx); }'
    good = linked(of.format("", 4, "int", ""), of.format("extern", 4, "unsigned", "") + use)
    assert list(good.maps) == ["m"] and not good.externs
    for text in (of.format("extern", 5, "long", "") + use, of.format("", 5, "long", "__weak")):
        with pytest.raises(LinkError, match="value_size: 4 and 8; max_entries: 4 and 5") as caught:
            linked(of.format("", 4, "int", ""), text)
        assert (
            "a.bpf.o: struct { __uint(type, BPF_MAP_TYPE_ARRAY); __uint(max_entries, 4);"
            ' __type(key, int); __type(value, int); } m SEC(".maps");'
        ) in str(caught.value)


@pytest.mark.parametrize("definition_first", [True, False])
def test_a_map_that_is_declared_as_a_variable_has_to_agree_too(definition_first: bool) -> None:
    of = ('{} struct {{ __uint(type, BPF_MAP_TYPE_ARRAY); __uint(max_entries, {});'
          ' __type(key, int); __type(value, int); }} m {};\n')  # fmt: skip
    use = 'SEC("xdp") int p(struct xdp_md *ctx) { return bpf_map_delete_elem(&m, ctx); }'
    order = 1 if definition_first else -1
    defined = of.format("", 4, 'SEC(".maps")')
    good = linked(*[defined, of.format("extern", 4, "") + use][::order])
    assert [*good.maps] == ["m"] and not good.externs
    with pytest.raises(LinkError, match="max_entries: 4 and 5"):
        linked(*[defined, of.format("extern", 5, "") + use][::order])


def test_a_map_s_strong_definition_wins_and_names_stay() -> None:
    of = ('struct {{ __uint(type, BPF_MAP_TYPE_ARRAY); __uint(max_entries, 4);'
          ' __type(key, int); __type(value, int); }} {} SEC(".maps");\n')  # fmt: skip
    obj = linked(of.format("m __weak") + of.format("other"), of.format("m"), of.format("m __weak"))
    assert list(obj.maps) == ["other", "m"] and not obj.maps["m"].weak
    assert obj.btf is not None and len(obj.btf.find_all("m")) == 1


def test_variables_of_the_kernel_and_of_objects_do_not_mix() -> None:
    use = 'SEC("xdp") int p{0}(struct xdp_md *ctx) {{ return CONFIG_X; }}\n'
    with pytest.raises(LinkError, match="a kconfig and a ksym have one name"):
        linked("extern int CONFIG_X __kconfig;" + use.format(1),
               "extern int CONFIG_X __ksym;" + use.format(2))  # fmt: skip


def test_in_the_arena_or_not_has_to_agree() -> None:
    arena = "__attribute__((address_space(1)))"
    use = 'SEC("xdp") int p(struct xdp_md *ctx) { return x; }'
    with pytest.raises(LinkError, match=r"only in a\.bpf\.o it is in the arena"):
        linked(f'int {arena} x SEC(".addr_space.1") = 1;', "extern int x;" + use)
    obj = linked(f'long {arena} y SEC(".addr_space.1"); int {arena} x SEC(".addr_space.1") = 1;',
                 f"extern int {arena} x;" + use)  # fmt: skip
    (loaded,) = obj.functions["p"].relocations
    place = obj.data_sections[".addr_space.1"].variables["x"].offset
    assert loaded[1:4] == (RelocationKind.DATA, ".addr_space.1", place)
    assert osmia.open(obj.to_bytes()).functions["p"].relocations == (loaded,)


def test_objects_have_to_be_alike() -> None:
    gpl, mit = (f'char _license[] SEC("license") = "{text}";' for text in ("GPL", "MIT"))
    assert linked(gpl, "int x;", gpl).license == "GPL"
    with pytest.raises(LinkError, match=r"a\.bpf\.o has the license 'GPL', c\.bpf\.o 'MIT'"):
        linked(gpl, "int x;", mit)
    version = '__u32 _version SEC("version") = {};'
    assert linked("int x;", version.format(7)).kernel_version == 7
    with pytest.raises(LinkError, match=r"has the version 7, b\.bpf\.o 8"):
        linked(version.format(7), version.format(8))
    big = compiled("b", "int x;", target="bpfeb")
    with pytest.raises(LinkError, match=r"has the byte order 'little', b\.bpf\.o 'big'"):
        osmia.link([*several("int y;"), big])
    with pytest.raises(LinkError, match="no objects"):
        osmia.link([])


def test_the_other_byte_order_links_as_well() -> None:
    objects = [compiled("a", EXTERN + "extern int x;" + USE, target="bpfeb"),
               compiled("b", STRONG.format(3) + "int x = 5;", target="bpfeb")]  # fmt: skip
    obj = osmia.link(objects)
    again = osmia.open(obj.to_bytes())
    assert again.byteorder == "big" and again.digest == obj.digest
    assert again.data["x"] == 5
    assert [line.text for line in again.source_lines("f")] == [
        line.text for line in objects[1].source_lines("f")
    ]


def test_inputs_stay_as_they_are() -> None:
    objects = several(WEAK.format(1) + USE, STRONG.format(2) + "int x = 3;")
    before = [each.digest for each in objects]
    osmia.link(objects)
    assert [each.digest for each in objects] == before
