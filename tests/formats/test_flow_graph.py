"""Control flow of listed code: blocks and edges, Graphviz's text, and a picture."""

from __future__ import annotations

import re
from xml.etree import ElementTree

import pytest

from osmia.formats.flow_graph import FlowFunction, dot, flow_graph
from osmia.formats.flow_picture import Box, back_edges, flow_picture, layout
from osmia.formats.listing import ListedInstruction, list_code
from osmia.isa import assemble
from osmia.object.model import SourceLine

SOURCE = """
    r6 = 3
    again:
    if r6 == 0 goto out
    r6 += -1
    if r6 > 7 goto out
    call below
    goto again
    out:
    r0 = 0
    exit
    below:
    r0 = 1
    exit
"""


@pytest.fixture
def listed() -> list[ListedInstruction]:
    lines = {
        0: SourceLine(0, "loop.c", 3, 1, 'int left = 3; /* "quoted" <b> */'),
        6: SourceLine(6, "loop.c", 9, 1, "return 0;"),
    }
    functions = {0: "int f(void *ctx)", 8: "int below(void)"}
    code = assemble(SOURCE)
    return list(list_code(code, "little", functions=functions, lines=lines, symbol=lambda *_: None))


@pytest.fixture
def graph(listed: list[ListedInstruction]) -> list[FlowFunction]:
    return flow_graph(listed, "little")


def test_functions_have_their_blocks_and_where_these_go_on(graph: list[FlowFunction]) -> None:
    assert [each.name for each in graph] == ["int f(void *ctx)", "int below(void)"]
    ways = {each.start: (each.falls_to, each.jumps_to) for each in graph[0].blocks}
    assert ways == {0: (1, ()), 1: (2, (6,)), 2: (4, (6,)), 4: (None, (1,)), 6: (None, ())}


def test_source_lines_stand_above_their_instructions(
    graph: list[FlowFunction], listed: list[ListedInstruction]
) -> None:
    assert graph[0].blocks[0].lines[0].startswith("; int left = 3;")
    with_places = flow_graph(listed, "little", places=True)
    assert with_places[0].blocks[-1].lines[0] == "; return 0; [loop.c:9]"


def test_called_functions_are_found_without_types(listed: list[ListedInstruction]) -> None:
    bare = [ListedInstruction(each.slot, each.text, each.code, "", None) for each in listed]
    assert [each.blocks[0].start for each in flow_graph(bare, "little")] == [0, 8]


def test_graphviz_text_has_every_block_and_edge(graph: list[FlowFunction]) -> None:
    text = dot(graph)
    assert set(re.findall(r"^    b(\d+) \[", text, re.MULTILINE)) == {"0", "1", "2", "4", "6", "8"}
    edges = set(re.findall(r"b(\d+) -> b(\d+)", text))
    assert edges == {("0", "1"), ("1", "2"), ("1", "6"), ("2", "4"), ("2", "6"), ("4", "1")}
    assert '\\"quoted\\"' in text


def test_loops_are_told_from_jumps_to_what_stands_above() -> None:
    # Block 3 is above 1 in the order of running, though behind it in the code.
    code = assemble("r0 = 0\ngoto far\nnear: r0 = 1\nexit\nfar: r0 = 2\ngoto near")
    found = list_code(code, "little", functions={}, lines={}, symbol=lambda *_: None)
    (function,) = flow_graph(found, "little")
    order, loops = back_edges(function)
    assert [each.start for each in order] == [0, 4, 2]
    assert loops == set()


def test_the_loop_is_found(graph: list[FlowFunction]) -> None:
    assert back_edges(graph[0])[1] == {(4, 1)}


def test_blocks_stand_below_what_leads_to_them_and_apart(graph: list[FlowFunction]) -> None:
    places = layout(graph[0])
    blocks = {item: box for item, box in places.items() if isinstance(item, int)}
    assert blocks[1].y > blocks[0].y and blocks[6].y > blocks[2].y
    boxes = list(places.values())
    for index, one in enumerate(boxes):
        assert not any(_overlap(one, other) for other in boxes[index + 1 :])


def test_the_picture_is_xml_with_a_box_a_block_and_a_line_an_edge(
    graph: list[FlowFunction],
) -> None:
    picture = flow_picture(graph, "f & <others>")
    root = ElementTree.fromstring(picture)
    name = "{http://www.w3.org/2000/svg}"
    boxes = [each for each in root.iter(f"{name}rect") if "box" in each.get("class", "")]
    assert len(boxes) == 6
    lines = [each.get("class") for each in root.iter(f"{name}path") if each.get("class")]
    assert sorted(map(str, lines)) == ["fall", "fall", "fall", "jump", "jump", "loop"]
    texts = "".join(str(each.text) for each in root.iter(f"{name}text"))
    assert 'int left = 3; /* "quoted" <b> */' in texts
    assert root.findtext(f"{name}title") == "f & <others>"


def _overlap(one: Box, other: Box) -> bool:
    beside = one.x + one.width <= other.x or other.x + other.width <= one.x
    above = one.y + one.height <= other.y or other.y + other.height <= one.y
    return not (beside or above)
