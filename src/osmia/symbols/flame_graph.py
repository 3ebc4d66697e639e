"""Flame graphs: a box for each function, on those that called it, as wide as its value.

One file that needs no other: an SVG picture whose script, in a browser, zooms to the box that is
clicked and marks what is searched for; or that picture in an HTML page. All text is escaped.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING

from osmia.records import dataclass, field
from osmia.symbols.stack_profile import outermost_first

if TYPE_CHECKING:
    from osmia.symbols.frames import Frame
    from osmia.symbols.stack_profile import StackProfile

_WIDTH = 1200
_MARGIN = 10
_HEAD, _FOOT, _ROW = 44, 30, 18
#: Narrower boxes are left out, in units of the picture.
_NARROWEST = 0.2
#: A letter's width; the script has it too.
_LETTER = 6.7
_DEEPEST = 1000

#: Colours by where a function is: hue, how far it varies, saturation, lightness, in CSS's units.
_COLOURS = {
    "process": (220, 12, 12, 78),
    "kernel": (32, 12, 85, 66),
    "bpf": (205, 14, 60, 68),
    "jit": (125, 20, 42, 66),
    "inlined": (52, 8, 75, 74),
    "user": (8, 16, 80, 70),
}


@dataclass
class Box:
    """A function in the place of its callers; `start` and `value` in the profile's unit."""

    label: str
    kind: str
    depth: int = 0
    start: int = 0
    value: int = 0
    inside: dict[tuple[str, str], Box] = field(default_factory=dict)


def layout(profile: StackProfile) -> Box:
    """The boxes: one in which all is, those of outermost functions in that, in order of their
    names, and so on."""
    root = Box("all", "process")
    for sample in profile.samples:
        box = root
        box.value += sample.value
        for depth, frame in enumerate(outermost_first(sample), 1):
            if depth > _DEEPEST:
                break
            key = (frame.label, kind_of(frame))
            if key not in box.inside:
                box.inside[key] = Box(*key, depth)
            box = box.inside[key]
            box.value += sample.value
    for box in walk(root):
        start = box.start
        for _, each in sorted(box.inside.items()):
            each.start = start
            start += each.value
    return root


def walk(root: Box) -> Iterator[Box]:
    """A box and all in it, callers first."""
    waiting = [root]
    while waiting:
        box = waiting.pop()
        yield box
        waiting += [each for _, each in sorted(box.inside.items(), reverse=True)]


def kind_of(frame: Frame) -> str:
    """Which of the picture's colours a function has."""
    if frame.inlined:
        return "inlined"
    match frame.module:
        case "process" | "bpf":
            return frame.module
        case "[jit]":
            return "jit"
        case module:
            return "user" if not module or module[0] in "/[" else "kernel"


def svg(profile: StackProfile) -> str:
    """The picture."""
    root = layout(profile)
    scale = (_WIDTH - 2 * _MARGIN) / max(1, root.value)
    boxes = [each for each in walk(root) if each is root or each.value * scale >= _NARROWEST]
    height = _HEAD + _FOOT + _ROW * (1 + max(each.depth for each in boxes))
    drawn = "\n".join(_box(each, root, scale, height) for each in boxes)
    notes = "; ".join(profile.notes)
    return f"""<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}"\
 width="{_WIDTH}" height="{height}" class="flame" data-total="{root.value}">
<style>{_resource("flame_graph.css")}</style>
<rect class="ground" width="100%" height="100%"/>
<text class="title" x="{_WIDTH / 2}" y="24">{_text(profile.title)}</text>
<text class="button" id="reset" x="{_MARGIN}" y="24">Reset zoom</text>
<text class="button" id="search" x="{_WIDTH - _MARGIN}" y="24">Search</text>
<text class="foot" id="found" x="{_WIDTH - _MARGIN}" y="{height - 10}"></text>
<text class="foot" id="details" x="{_MARGIN}" y="{height - 10}">{_text(notes)}</text>
<g id="boxes">
{drawn}
</g>
<script>//<![CDATA[
{_resource("flame_graph.js")}
//]]></script>
</svg>
"""


def html_page(profile: StackProfile) -> str:
    """The picture in a page."""
    return f"""<!DOCTYPE html>
<html lang="en">
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none';\
 style-src 'unsafe-inline'; script-src 'unsafe-inline'">
<title>{_text(profile.title)}</title>
<style>body {{ margin: 0; }} svg {{ display: block; width: 100%; height: auto; }}</style>
{svg(profile)}</html>
"""


def _box(box: Box, root: Box, scale: float, height: int) -> str:
    x, width = _MARGIN + box.start * scale, box.value * scale
    y = height - _FOOT - _ROW * (box.depth + 1)
    share = f"{box.value / root.value:.2%}" if root.value else "0%"
    label = _text(box.label)
    title = f"{label} ({box.value:,}, {share})"
    return (
        f'<g data-s="{box.start}" data-v="{box.value}"><title>{title}</title>'
        f'<rect x="{x:.2f}" y="{y}" width="{width:.2f}" height="{_ROW - 1}"'
        f' fill="{_colour(box)}"/>'
        f'<text x="{x + 3:.2f}" y="{y + 13}">{_text(_shortened(box.label, width))}</text></g>'
    )


def _shortened(label: str, width: float) -> str:
    """As much of a label as fits into a box."""
    letters = int((width - 6) / _LETTER)
    if letters < 3:
        return ""
    return label if len(label) <= letters else label[: letters - 1] + "…"


def _colour(box: Box) -> str:
    hue, spread, saturation, lightness = _COLOURS[box.kind]
    number = zlib.crc32(box.label.encode("utf-8", "replace"))
    return f"hsl({hue + number % spread}, {saturation}%, {lightness - number // spread % 7}%)"


def _text(text: str) -> str:
    """Text of anybody's as the text of an element."""
    plain = "".join(each if each.isprintable() else "?" for each in text)
    return escape(plain)


def _resource(name: str) -> str:
    return Path(__file__).with_name(name).read_text(encoding="utf-8").strip()
