"""The graph of tail calls, what follows from it, and its picture."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from dataclasses import replace

from osmia.object import Object, Pinning
from osmia.passes.tail_call_graph import GraphSite, TailCallGraph, tail_call_graph
from osmia.passes.tail_call_picture import tail_call_page, tail_call_picture

from .assembled import assembled


def tail(*keys: object, then: str = "r0 = 0\nexit") -> str:
    """Tail calls with these keys: numbers, or `any`."""
    calls = "".join(
        "r1 = r6\nr2 = map:calls\n"
        + ("r3 = *(u32 *)(r6 +16)\n" if key == "any" else f"r3 = {key}\n")
        + "call bpf_tail_call\n"
        for key in keys
    )
    return f"r6 = r1\n{calls}{then}"


def chain(length: int) -> Object:
    programs = {f"p{n}": tail(n + 1) for n in range(length)}
    return assembled(programs, slots={n: f"p{n}" for n in range(1, length)})


def reached(graph: TailCallGraph, program: str) -> list[dict[int, str]]:
    return [dict(site.targets) for site in graph.sites if site.program == program]


def test_sites_reach_the_slots_that_their_keys_name() -> None:
    obj = assembled(
        {"p": tail(2, 5, "any"), "a": "r0 = 1\nexit", "b": "r0 = 2\nexit"}, slots={2: "a", 3: "b"}
    )
    graph = tail_call_graph([obj])
    assert reached(graph, "p") == [{2: "a"}, {}, {2: "a", 3: "b"}]
    assert [site.open_slots for site in graph.sites] == [False, True, True]
    assert [site.indirect for site in graph.sites] == ["", "", "the key is variable"]
    assert [name for name, node in graph.programs.items() if node.entry] == ["p"]
    assert graph.longest_chain in (("p", "a"), ("p", "b"))
    assert not graph.cycles
    assert not graph.limit_can_bite


def test_programs_that_nothing_reaches() -> None:
    obj = assembled({"p": tail(1), "a": tail(9), "b": tail(1)}, slots={1: "a", 2: "b"})
    graph = tail_call_graph([obj])
    assert graph.reachable == {"p", "a"}


def test_cycles_let_the_limit_bite() -> None:
    obj = assembled(
        {"p": tail(1), "a": tail(2), "b": tail(1, 3), "c": tail(3)},
        slots={1: "a", 2: "b", 3: "c"},
    )
    graph = tail_call_graph([obj])
    assert sorted(graph.cycles) == [("a", "b"), ("c",)]
    assert graph.limit_can_bite
    lonely = assembled({"p": tail(9), "a": tail(1)}, slots={1: "a"})
    assert tail_call_graph([lonely]).cycles == [("a",)]
    assert not tail_call_graph([lonely]).limit_can_bite  # nobody comes there


def test_a_chain_of_34_calls_is_one_too_many() -> None:
    for length, bites in ((34, False), (35, True)):
        graph = tail_call_graph([chain(length)])
        assert len(graph.longest_chain) == length
        assert graph.limit_can_bite is bites


def test_long_chains_need_no_recursion() -> None:
    programs = {f"p{n}": tail(n + 1) for n in range(40)}
    obj = assembled(programs, slots={n: f"p{n}" for n in range(1, 40)})
    many = obj.copy()
    many.maps["calls"] = replace(obj.maps["calls"], max_entries=4000)
    assert len(tail_call_graph([many]).longest_chain) == 40


def test_sites_in_subprograms_have_the_way_there_and_the_stack() -> None:
    obj = assembled(
        {"p": "*(u64 *)(r10 -40) = 1\ncall @one\nexit", "a": "r0 = 0\nexit"},
        {"one": "*(u64 *)(r10 -100) = 1\nr6 = r1\ncall @two\nexit", "two": tail(1)},
        slots={1: "a"},
    )
    (site,) = tail_call_graph([obj]).sites
    assert isinstance(site, GraphSite)
    assert (site.path, site.below) == (("p", "one", "two"), 48 + 112)
    node = tail_call_graph([obj]).programs["p"]
    assert (node.frames, node.stack) == (3, 48 + 112 + 16)


def test_objects_share_what_is_pinned_by_name() -> None:
    one = assembled({"p": tail(1)})
    other = assembled({"q": tail(2), "r": "r0 = 0\nexit"}, slots={1: "q", 2: "r"})
    assert reached(tail_call_graph([one, other]), "p") == [{}]
    for obj in (one, other):
        obj.maps["calls"] = replace(obj.maps["calls"], pinning=Pinning.BY_NAME)
    assert tail_call_graph([one, other]).longest_chain == ("p", "q", "r")


def test_programs_of_one_name_are_told_apart() -> None:
    one, other = assembled({"p": "r0 = 0\nexit"}), assembled({"p": "r0 = 1\nexit"})
    other.name = "second"
    assert list(tail_call_graph([one, other]).programs) == ["made:p", "second:p"]


def test_slots_that_somebody_tells_are_filled() -> None:
    graph = tail_call_graph([assembled({"p": tail(7)})], {"calls": {7: "running"}})
    assert reached(graph, "p") == [{7: "running"}]
    assert not graph.programs["running"].object


def test_the_picture_has_every_program_and_site() -> None:
    obj = assembled(
        {"<p&>": tail(1, "any"), "a": tail(2), "b": tail(2), "grey": "r0 = 0\nexit"},
        slots={1: "a", 2: "b"},
    )
    graph = tail_call_graph([obj])
    picture = tail_call_picture(graph, 'a "title" <b>')
    root = ElementTree.fromstring(picture)
    texts = {each.text for each in root.iter() if each.text}
    assert {"<p&>", "a", "b", "grey", 'a "title" <b>'} <= texts
    paths = [each.get("class", "") for each in root.iter("{http://www.w3.org/2000/svg}path")]
    assert len([each for each in paths if each.startswith("edge")]) == len(graph.edges) + 3
    assert "<script" not in picture
    assert picture in tail_call_page(graph, 'a "title" <b>')


def test_a_graph_without_programs_is_drawn() -> None:
    ElementTree.fromstring(tail_call_picture(tail_call_graph([assembled({})]), "nothing"))
