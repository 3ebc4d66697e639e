"""Code that nobody needs after linking: gone, or kept when asked for."""

from __future__ import annotations

import pytest

import osmia

from .sources import linked, several, value

LOSER = """
static __noinline int only_of_loser(int x) { return x + bpf_get_prandom_u32(); }
static __noinline int of_both(int x) { return x * 7 + bpf_get_prandom_u32(); }
__weak __noinline int f(int x) { return only_of_loser(x) + of_both(x); }
SEC("xdp") int q(struct xdp_md *ctx) { return of_both(1); }
"""
WINNER = "__noinline int f(int x) { return x + 2; }\n"
UNUSED = "static __noinline __attribute__((used)) int unused(int x) { return x; }\n"


def test_losers_and_what_only_they_used_are_gone() -> None:
    obj = linked(LOSER + UNUSED, WINNER)
    assert {*obj.functions} == {"f", "of_both", "q", "unused"}
    assert obj.functions["f"].code == several("", WINNER)[1].functions["f"].code
    assert obj.btf is not None and not obj.btf.find("only_of_loser")


def test_all_unused_static_functions_are_gone_when_asked_for() -> None:
    obj = linked(LOSER + UNUSED, WINNER, gc=True)
    assert {*obj.functions} == {"f", "of_both", "q"}


def test_nothing_is_gone_when_asked_for() -> None:
    obj = linked(LOSER + UNUSED, WINNER, gc=False)
    names = sorted(each.name for each in obj.functions.values())
    assert names == ["f", "f", "of_both", "only_of_loser", "q", "unused"]
    again = osmia.open(obj.to_bytes())
    assert again.digest == obj.digest
    use = 'extern int f(int x); SEC("xdp") int p(struct xdp_md *ctx) { return f(1); }'
    assert value(osmia.link([again, *several(use)])) == 3


@pytest.mark.parametrize("gc", [None, True, False])
def test_a_weak_program_that_lost_is_no_program_any_more(gc: bool | None) -> None:
    weak = '__weak SEC("xdp") int p(struct xdp_md *ctx) { return 1; }'
    strong = 'SEC("xdp.frags") int p(struct xdp_md *ctx) { return 2; }'
    obj = linked(weak, strong, gc=gc)
    assert [(each.name, each.section) for each in obj.programs.values()] == [("p", "xdp.frags")]
    assert [*obj.functions] == ["p"]


def test_functions_whose_address_is_in_data_stay() -> None:
    obj = linked(
        "static __noinline int pointed(int x) { return x; }\n"
        "int (*pointer)(int) = pointed;\n"
        '__weak __noinline int f(int x) { return x; }\n'
        'SEC("xdp") int p(struct xdp_md *ctx) { return pointer != 0; }',
        WINNER,
        gc=True,
    )  # fmt: skip
    assert "pointed" in obj.functions


def test_the_bytes_of_variables_that_lost_mean_the_winners() -> None:
    obj = linked(
        "int before = 1; __weak int x[2] = {2, 3}; int *to = &x[1];"
        'SEC("xdp") int p(struct xdp_md *ctx) { return x[0] + before + (to != 0) * 0; }',
        "long first = 4; int x[2] = {20, 30};",
    )
    data = obj.data_sections[".data"]
    assert [*data.variables] == ["before", "to", "first", "x"]
    (pointer,) = data.relocations
    assert pointer.addend == data.variables["x"].offset + 4
    assert value(obj) == 21


def test_pointers_of_variables_that_lost_are_nobody_s() -> None:
    obj = linked(
        "extern int nowhere; __weak int *to = &nowhere;"
        'SEC("xdp") int p(struct xdp_md *ctx) { return to != 0; }',
        "int here; int *to = &here;",
    )
    (pointer,) = obj.data_sections[".data"].relocations
    assert pointer.target == ".bss" and not obj.externs
