"""A tail-call graph as a picture: one SVG that stands alone.

Programs are boxes in columns, entries at the left, each as far right as the longest way to it;
solid lines are direct jumps, dashed ones go through the map at run time. What no entry
reaches is grey.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from itertools import pairwise
from typing import Final, TypeAlias

from osmia.passes.call_paths import FRAMES
from osmia.passes.tail_call_graph import GraphSite, ProgramNode, TailCallGraph
from osmia.records import dataclass

_WIDTH, _HEIGHT, _GAP, _COLUMN, _MARGIN = 208, 64, 26, 132, 28
_PASSING: Final = 8
_TITLE: Final = 44
_LETTER: Final = 7.3
_SWEEPS: Final = 8
_STYLE = """
text { font: 12px ui-monospace, "SF Mono", Menlo, Consolas, monospace; fill: #24292f }
.title { font: 600 15px system-ui, sans-serif }
.legend, .small { font-size: 11px; fill: #57606a }
.name { font-weight: 600; font-size: 13px }
rect.box { fill: #ffffff; stroke: #8c959f; stroke-width: 1.2; rx: 8 }
rect.entry { fill: #ddf4ff; stroke: #0969da }
g.grey text, text.grey { fill: #8c959f }
g.grey rect.box { fill: #f6f8fa; stroke: #d0d7de; stroke-dasharray: 3 3 }
rect.stack { fill: #d8dee4; rx: 2 } rect.used { fill: #2da44e; rx: 2 }
rect.much { fill: #bf8700 } rect.full { fill: #cf222e }
path.edge { fill: none; stroke: #1a7f37; stroke-width: 1.6 }
path.indirect { stroke: #bc4c00; stroke-dasharray: 6 4 }
path.grey { stroke: #afb8c1 }
text.key { font-size: 11px; fill: #57606a; paint-order: stroke; stroke: #fff; stroke-width: 4 }
@media (prefers-color-scheme: dark) {
  rect.paper { fill: #0d1117 } text { fill: #e6edf3 }
  .legend, .small, text.key { fill: #9198a1 } text.key { stroke: #0d1117 }
  rect.box { fill: #161b22; stroke: #6e7681 } rect.entry { fill: #12283f; stroke: #4493f8 }
  g.grey rect.box { fill: #0d1117; stroke: #30363d } rect.stack { fill: #30363d }
  path.edge { stroke: #3fb950 } path.indirect { stroke: #db6d28 } path.grey { stroke: #484f58 }
}
"""


@dataclass(frozen=True, slots=True)
class _Bend:
    """Where a line passes a column between those that it connects."""

    source: str
    target: str
    column: int


_Item: TypeAlias = str | _Bend
"""What has a place in a column: a program, or a line that passes."""


@dataclass(frozen=True, slots=True)
class _Place:
    x: int
    y: int


def tail_call_picture(graph: TailCallGraph, title: str) -> str:
    """The picture as SVG text."""
    reachable = graph.reachable
    columns = _columns(graph)
    places = _places(columns)
    width = 2 * _MARGIN + len(columns) * (_WIDTH + _COLUMN) - _COLUMN
    height = 2 * _MARGIN + _TITLE + max(map(_tall, columns), default=0) + 34
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {max(width, 520)} {height}"'
        f' width="{max(width, 520)}" height="{height}" role="img">',
        f"<title>{_text(title)}</title>",
        f"<style>{_STYLE}</style>",
        "<defs>",
        *(_arrow(name, colour) for name, colour in _ARROWS.items()),
        "</defs>",
        '<rect class="paper" width="100%" height="100%" fill="#ffffff"/>',
        f'<text class="title" x="{_MARGIN}" y="{_MARGIN + 8}">{_text(title)}</text>',
        f'<text class="legend" x="{_MARGIN}" y="{_MARGIN + 27}">{_text(_summary(graph))}</text>',
    ]
    for (source, target), sites in graph.edges.items():
        bends = (_Bend(source, target, number) for number in range(len(columns)))
        way = [places[source], *(places[each] for each in bends if each in places), places[target]]
        lines += _edge(way, target, sites, grey=source not in reachable)
    for name, node in graph.programs.items():
        lines += _box(node, places[name], grey=name not in reachable)
    lines += _legend(height)
    lines.append("</svg>")
    return "\n".join(lines) + "\n"


_ARROWS = {"direct": "#1a7f37", "indirect": "#bc4c00", "grey": "#afb8c1"}


def _arrow(name: str, colour: str) -> str:
    return (
        f'<marker id="{name}" viewBox="0 0 10 10" refX="9" refY="5" markerWidth="7"'
        f' markerHeight="7" orient="auto-start-reverse"><path d="M0 0 10 5 0 10z"'
        f' fill="{colour}"/></marker>'
    )


def _summary(graph: TailCallGraph) -> str:
    direct = sum(not site.indirect for site in graph.sites)
    chain = max(0, len(graph.longest_chain) - 1)
    cycles = len(graph.cycles)
    parts = [
        f"{len(graph.programs)} programs",
        f"{len(graph.sites)} tail calls, {direct} direct",
        f"longest chain {chain}",
    ]
    if cycles:
        parts.append(f"{cycles} cycle{'s' if cycles > 1 else ''}: the limit of 33 can bite")
    return " · ".join(parts)


def _columns(graph: TailCallGraph) -> list[list[_Item]]:
    """Programs by column, and the lines that pass it, ordered so that few lines cross."""
    after: dict[str, list[str]] = {}
    around = {name: group for group in graph.cycles for name in group}
    for source, target in graph.edges:
        after.setdefault(source, []).append(target)
    depth = _depths(graph, after, around)
    columns: list[list[_Item]] = [[] for _ in range(max(depth.values(), default=0) + 1)]
    beside: dict[_Item, list[_Item]] = {}
    for name in graph.programs:
        columns[depth[name]].append(name)
    for source, target in graph.edges:
        way: list[_Item] = [source]
        for number in range(depth[source] + 1, depth[target]):
            bend = _Bend(source, target, number)
            columns[number].append(bend)
            way.append(bend)
        for one, other in pairwise([*way, target]):
            beside.setdefault(one, []).append(other)
            beside.setdefault(other, []).append(one)
    for _ in range(_SWEEPS):
        for column in columns:
            at = {item: row / len(each) for each in columns for row, item in enumerate(each)}
            middle = {item: _middle(item, beside, at) for item in column}
            column.sort(key=middle.__getitem__)
    return columns


def _middle(
    item: _Item, beside: Mapping[_Item, Sequence[_Item]], at: Mapping[_Item, float]
) -> float:
    others = [at[each] for each in beside.get(item, ())]
    return sum(others) / len(others) if others else at[item]


def _depths(
    graph: TailCallGraph, after: Mapping[str, Sequence[str]], around: Mapping[str, tuple[str, ...]]
) -> dict[str, int]:
    """How far from an entry each program is, by the longest way that is no way round."""
    depth = dict.fromkeys(graph.programs, 0)
    order = {name: at for at, name in enumerate(graph.programs)}
    for _ in range(len(graph.programs)):
        changed = False
        for source, targets in after.items():
            for target in targets:
                same = target in around.get(source, ())
                if same and order[target] <= order[source]:
                    continue
                if depth[target] <= depth[source] < len(graph.programs):
                    depth[target] = depth[source] + 1
                    changed = True
        if not changed:
            break
    return depth


def _tall(column: Sequence[_Item]) -> int:
    """How high a column is."""
    return sum(_room(item) for item in column) - _GAP


def _room(item: _Item) -> int:
    return (_PASSING if isinstance(item, _Bend) else _HEIGHT) + _GAP


def _places(columns: Sequence[Sequence[_Item]]) -> dict[_Item, _Place]:
    tallest = max(map(_tall, columns), default=0)
    found: dict[_Item, _Place] = {}
    for number, column in enumerate(columns):
        y = _MARGIN + _TITLE + (tallest - _tall(column)) // 2
        for item in column:
            found[item] = _Place(_MARGIN + number * (_WIDTH + _COLUMN), y)
            y += _room(item)
    return found


def _edge(way: Sequence[_Place], name: str, sites: Sequence[GraphSite], *, grey: bool) -> list[str]:
    """A line to the program `name`, with the keys that lead there."""
    source, *between, target = way
    indirect = all(site.indirect for site in sites)
    x1, y1 = source.x + _WIDTH, source.y + _HEIGHT // 2
    x2, y2 = target.x, target.y + _HEIGHT // 2
    if x2 > x1:
        path = f"M{x1} {y1}"
        x, y = x1, y1
        for place in between:
            into = place.y + _PASSING // 2
            path += f"{_curve(x, y, place.x, into)}H{place.x + _WIDTH}"
            x, y = place.x + _WIDTH, into
        path += _curve(x, y, x2, y2)
        first = between[0].y + _PASSING // 2 if between else y2
        at = x1 + _COLUMN / 2, (y1 + first) / 2
    else:  # back: below the boxes
        low = max(y1, y2) + _HEIGHT // 2 + _GAP // 2
        path = f"M{x1} {y1}C{x1 + 60} {low + 20} {x2 - 60} {low + 20} {x2} {y2}"
        at = (x1 + x2) / 2, low + 8
    kind = "grey" if grey else "indirect" if indirect else "direct"
    keys = sorted({key for site in sites for key, held in site.targets.items() if held == name})
    shown = ", ".join(map(str, keys[:4])) + (", …" if len(keys) > 4 else "")
    why = "; ".join(dict.fromkeys(f"{site.maps}, {site.keys}" for site in sites))
    return [
        f'<g><title>{_text(why)}</title><path class="edge {kind}" d="{path}"'
        f' marker-end="url(#{kind})"/>',
        f'<text class="key" x="{at[0]:.0f}" y="{at[1] - 4:.0f}"'
        f' text-anchor="middle">{_text(shown)}</text></g>',
    ]


def _curve(x1: int, y1: int, x2: int, y2: int) -> str:
    bend = (x2 - x1) // 2
    return f"C{x1 + bend} {y1} {x2 - bend} {y2} {x2} {y2}"


def _box(node: ProgramNode, place: _Place, *, grey: bool) -> list[str]:
    kind = "box entry" if node.entry else "box"
    what = " ".join(part for part in (node.object, node.section) if part)
    fill = min(1.0, node.stack / 512)
    level = "used" if fill <= 0.5 else "used much" if fill <= 0.9 else "used full"
    lines = [
        f'<g class="{"grey" if grey else ""}"><title>{_text(f"{node.name}: {what}")}</title>',
        f'<rect class="{kind}" x="{place.x}" y="{place.y}" width="{_WIDTH}" height="{_HEIGHT}"/>',
        f'<text class="name" x="{place.x + 12}" y="{place.y + 21}">{_cut(node.name, 180)}</text>',
    ]
    if node.object:
        counts = f"{node.instructions} insns · {node.stack} B · {node.frames}/{FRAMES} frames"
        bar = place.y + _HEIGHT - 9
        lines += [
            f'<text class="small" x="{place.x + 12}" y="{place.y + 36}">{_cut(what, 186)}</text>',
            f'<text class="small" x="{place.x + 12}" y="{place.y + 50}">{_text(counts)}</text>',
            f'<rect class="stack" x="{place.x + 12}" y="{bar}" width="{_WIDTH - 24}" height="3"/>',
            f'<rect class="{level}" x="{place.x + 12}" y="{bar}"'
            f' width="{fill * (_WIDTH - 24):.0f}" height="3"/>',
        ]
    return [*lines, "</g>"]


def _legend(height: int) -> list[str]:
    y = height - 20
    samples = (("direct", "direct jump"), ("indirect", "through the map"), ("grey", "never run"))
    lines = []
    for number, (kind, text) in enumerate(samples):
        x = _MARGIN + 160 * number
        lines += [
            f'<path class="edge {kind}" d="M{x} {y}h34" marker-end="url(#{kind})"/>',
            f'<text class="legend" x="{x + 42}" y="{y + 4}">{text}</text>',
        ]
    return lines


def _cut(text: str, width: int) -> str:
    letters = int(width / _LETTER)
    return _text(text if len(text) <= letters else text[: letters - 1] + "…")


def _text(text: str) -> str:
    """Untrusted text in XML."""
    return escape("".join(each if each.isprintable() else "?" for each in text))


def tail_call_page(graph: TailCallGraph, title: str) -> str:
    """The picture as an HTML page of its own, with the sites in a table below."""
    rows = "".join(
        f"<tr><td>{_text(site.program)}<td>{_text(site.maps)}<td>{_text(site.keys)}"
        f"<td>{_text(', '.join(dict.fromkeys(site.targets.values())) or 'nothing')}"
        f"<td>{_text((site.indirect and 'indirect: ' + site.indirect) or 'direct')}"
        f"<td>{_text(f'{site.line.file}:{site.line.line}' if site.line else '')}"
        for site in graph.sites
    )
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{_text(title)}</title>'
        f"<style>{_PAGE_STYLE}</style>{tail_call_picture(graph, title)}"
        "<table><tr><th>program<th>map<th>key<th>reaches<th>jump<th>source</tr>"
        f"{rows}</table></html>\n"
    )


_PAGE_STYLE = """
body { margin: 24px; font: 13px system-ui, sans-serif; color-scheme: light dark }
svg { max-width: 100%; height: auto } table { border-collapse: collapse; margin-top: 20px }
th, td { text-align: left; padding: 4px 14px 4px 0; border-bottom: 1px solid #8884 }
"""
