"""Control flow as a picture: one SVG that stands alone, with a layout of its own.

Each function is a column of rows. A block stands below all that leads to it, but for loops; lines
that pass rows get room between their boxes. Loops go up at the right, dashed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from itertools import pairwise
from typing import Final, TypeAlias

from osmia.formats.flow_graph import FlowBlock, FlowFunction
from osmia.records import dataclass

_LETTER, _LINE, _PAD, _MARGIN = 6.7, 14, 8, 28
_GAP, _BETWEEN, _PASSING, _LANE = 26, 44, 10, 14
_HEAD: Final = 34
#: Characters of a line that are shown.
_LONGEST: Final = 96
_SWEEPS: Final = 8
_STYLE = """
text { font: 11px ui-monospace, "SF Mono", Menlo, Consolas, monospace; fill: #24292f }
text { white-space: pre }
.name { font-weight: 600; font-size: 13px } .source { fill: #57606a; font-style: italic }
rect.box { fill: #ffffff; stroke: #8c959f; rx: 5 } rect.entry { fill: #ddf4ff; stroke: #0969da }
path { fill: none; stroke-width: 1.4 } path.fall { stroke: #57606a } path.jump { stroke: #1a7f37 }
path.loop { stroke: #bc4c00; stroke-dasharray: 5 3 }
@media (prefers-color-scheme: dark) {
  rect.paper { fill: #0d1117 } text { fill: #e6edf3 } .source { fill: #9198a1 }
  rect.box { fill: #161b22; stroke: #6e7681 } rect.entry { fill: #12283f; stroke: #4493f8 }
  path.fall { stroke: #9198a1 } path.jump { stroke: #3fb950 } path.loop { stroke: #db6d28 }
}
"""
_ARROWS = {"fall": "#57606a", "jump": "#1a7f37", "loop": "#bc4c00"}


@dataclass(frozen=True, slots=True)
class _Bend:
    """Where the lines to a block pass a row above it: they join."""

    target: int
    row: int


_Item: TypeAlias = int | _Bend
"""What has a place in a row: a block by its start, or a line that passes."""


@dataclass(frozen=True, slots=True)
class Box:
    """Where something stands."""

    x: float
    y: float
    width: float
    height: float


def flow_picture(functions: Sequence[FlowFunction], title: str) -> str:
    """The picture as SVG text."""
    parts, y, width = [], float(_MARGIN), 0.0
    for function in functions:
        places = layout(function)
        loops = len(back_edges(function)[1])
        right = max(box.x + box.width for box in places.values())
        bottom = max(box.y + box.height for box in places.values())
        parts += [
            f'<g transform="translate({_MARGIN} {y:.0f})">',
            f'<text class="name" y="12">{_text(function.name)}</text>',
            *_edges(function, places, right),
            *(_drawn(each, places[each.start], entry=not at)
              for at, each in enumerate(function.blocks)),
            "</g>",
        ]  # fmt: skip
        y += bottom + _BETWEEN
        width = max(width, right + _LANE * (loops + 1), len(function.name) * 1.2 * _LETTER)
    size = f"{width + 2 * _MARGIN:.0f}", f"{y:.0f}"
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {size[0]} {size[1]}"'
            f' width="{size[0]}" height="{size[1]}" role="img">',
            f"<title>{_text(title)}</title><style>{_STYLE}</style><defs>",
            *(_arrow(*each) for each in _ARROWS.items()),
            '</defs><rect class="paper" width="100%" height="100%" fill="#ffffff"/>',
            *parts,
            "</svg>\n",
        ]
    )


def layout(function: FlowFunction) -> dict[_Item, Box]:
    """Where each block stands, and where lines pass the rows between."""
    sizes = {each.start: _size(each) for each in function.blocks}
    rows = _rows(function)
    widths = [sum(_wide(item, sizes) + _GAP for item in row) - _GAP for row in rows]
    places: dict[_Item, Box] = {}
    y = float(_HEAD)
    for row, width in zip(rows, widths, strict=True):
        x = (max(widths) - width) / 2
        tallest = max((sizes[item][1] for item in row if isinstance(item, int)), default=0.0)
        for item in row:
            wide = _wide(item, sizes)
            places[item] = Box(x, y, wide, sizes[item][1] if isinstance(item, int) else tallest)
            x += wide + _GAP
        y += tallest + _BETWEEN
    return places


def _rows(function: FlowFunction) -> list[list[_Item]]:
    """Blocks by row, and the lines that pass it, ordered so that few lines cross."""
    order, loops = back_edges(function)
    depth = {each.start: 0 for each in function.blocks}
    ways = [(each.start, target) for each in order for target in _next(each)]
    for start, target in ways:  # those before it have their place
        if (start, target) not in loops:
            depth[target] = max(depth[target], depth[start] + 1)
    rows: list[list[_Item]] = [[] for _ in range(max(depth.values()) + 1)]
    beside: dict[_Item, list[_Item]] = {}
    for start, row in depth.items():
        rows[row].append(start)
    for start, target in ways:
        way: list[_Item] = [start]
        if (start, target) in loops:
            continue
        for row in range(depth[start] + 1, depth[target]):
            bend = _Bend(target, row)
            if bend not in beside:
                rows[row].append(bend)
            way.append(bend)
        for one, other in pairwise([*way, target]):
            beside.setdefault(one, []).append(other)
            beside.setdefault(other, []).append(one)
    for _ in range(_SWEEPS):
        for items in rows:
            at = {item: n / len(each) for each in rows for n, item in enumerate(each)}
            middle = {item: _middle(item, beside, at) for item in items}
            items.sort(key=middle.__getitem__)
    return rows


def back_edges(function: FlowFunction) -> tuple[list[FlowBlock], set[tuple[int, int]]]:
    """The blocks so that each stands behind all that lead to it, but for the edges given beside,
    which make loops."""
    blocks = {each.start: each for each in function.blocks}
    loops: set[tuple[int, int]] = set()
    open_: set[int] = set()
    done: dict[int, FlowBlock] = {}
    for root in blocks:
        if root in done:
            continue
        path = [(root, iter(_next(blocks[root])))]
        open_.add(root)
        while path:
            start, rest = path[-1]
            target = next(rest, None)
            if target is None:
                path.pop()
                open_.discard(start)
                done[start] = blocks[start]
            elif target in open_:
                loops.add((start, target))
            elif target not in done:
                path.append((target, iter(_next(blocks[target]))))
                open_.add(target)
    return list(done.values())[::-1], loops


def _middle(
    item: _Item, beside: Mapping[_Item, Sequence[_Item]], at: Mapping[_Item, float]
) -> float:
    others = [at[each] for each in beside.get(item, ())]
    return sum(others) / len(others) if others else at[item]


def _next(block: FlowBlock) -> tuple[int, ...]:
    return block.jumps_to if block.falls_to is None else (block.falls_to, *block.jumps_to)


def _wide(item: _Item, sizes: Mapping[int, tuple[float, float]]) -> float:
    return sizes[item][0] if isinstance(item, int) else _PASSING


def _size(block: FlowBlock) -> tuple[float, float]:
    letters = max((min(len(line), _LONGEST) for line in block.lines), default=4)
    return letters * _LETTER + 2 * _PAD, len(block.lines) * _LINE + 2 * _PAD


def _edges(function: FlowFunction, places: Mapping[_Item, Box], right: float) -> list[str]:
    lines, lane = [], right
    _, loops = back_edges(function)
    bottoms: dict[float, float] = {}
    for place in places.values():
        bottoms[place.y] = max(bottoms.get(place.y, 0.0), place.y + place.height)
    for block in function.blocks:
        for target in _next(block):
            if (block.start, target) in loops:
                lane += _LANE
                lines.append(_loop(places[block.start], places[target], lane))
                continue
            bends = [
                place
                for item, place in places.items()
                if isinstance(item, _Bend)
                and item.target == target
                and place.y > places[block.start].y
            ]
            kind = "fall" if target == block.falls_to else "jump"
            source = places[block.start]
            lines.append(_down(source, bottoms[source.y], bends, places[target], kind))
    return lines


def _down(source: Box, y: float, bends: Sequence[Box], target: Box, kind: str) -> str:
    """A line from a box, whose row ends at `y`."""
    x = source.x + source.width / 2
    path = f"M{x:.1f} {source.y + source.height:.1f}V{y:.1f}"
    for bend in bends:
        middle = bend.x + bend.width / 2
        path += f"{_curve(x, y, middle, bend.y)}V{bend.y + bend.height:.1f}"
        x, y = middle, bend.y + bend.height
    path += _curve(x, y, target.x + target.width / 2, target.y)
    return f'<path class="{kind}" d="{path}" marker-end="url(#{kind})"/>'


def _loop(source: Box, target: Box, lane: float) -> str:
    x1, y1 = source.x + source.width, source.y + source.height - _PAD
    x2, y2 = target.x + target.width, target.y + _PAD
    path = f"M{x1:.1f} {y1:.1f}H{lane:.1f}V{y2:.1f}H{x2:.1f}"
    return f'<path class="loop" d="{path}" marker-end="url(#loop)"/>'


def _curve(x1: float, y1: float, x2: float, y2: float) -> str:
    bend = (y2 - y1) / 2
    return f"C{x1:.1f} {y1 + bend:.1f} {x2:.1f} {y2 - bend:.1f} {x2:.1f} {y2:.1f}"


def _drawn(block: FlowBlock, place: Box, *, entry: bool) -> str:
    lines = [
        f'<rect class="{"box entry" if entry else "box"}" x="{place.x:.1f}" y="{place.y:.1f}"'
        f' width="{place.width:.1f}" height="{place.height:.1f}"/>'
    ]
    for number, line in enumerate(block.lines):
        kind = ' class="source"' if line.startswith(";") else ""
        shown = line if len(line) <= _LONGEST else f"{line[: _LONGEST - 1]}…"
        y = place.y + _PAD + _LINE * number + 10
        lines.append(f'<text{kind} x="{place.x + _PAD:.1f}" y="{y:.1f}">{_text(shown)}</text>')
    return "\n".join(lines)


def _arrow(name: str, colour: str) -> str:
    return (
        f'<marker id="{name}" viewBox="0 0 10 10" refX="9" refY="5" markerWidth="7"'
        f' markerHeight="7" orient="auto"><path d="M0 0 10 5 0 10z" style="fill:{colour};'
        'stroke:none"/></marker>'
    )


def _text(text: str) -> str:
    """Untrusted text in XML."""
    return escape("".join(each if each.isprintable() else "?" for each in text))
