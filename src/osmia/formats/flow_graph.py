"""The control flow of listed code: its functions, their basic blocks, where each goes on.

`flow_graph` makes it, `dot` writes it for Graphviz; `flow_picture` draws it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Literal

from osmia.formats.listing import ListedInstruction
from osmia.isa import control_flow, walk
from osmia.records import dataclass

Byteorder = Literal["little", "big"]


@dataclass(frozen=True, slots=True)
class FlowBlock:
    """Instructions in a row, from slot `start` on, as lines of text, source lines among them.

    `falls_to` is the block behind, where execution can fall through; `jumps_to` are others.
    """

    start: int
    lines: tuple[str, ...]
    falls_to: int | None
    jumps_to: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class FlowFunction:
    """A function: its declaration, and its blocks in the code's order."""

    name: str
    blocks: tuple[FlowBlock, ...]


def flow_graph(
    instructions: Iterable[ListedInstruction], byteorder: Byteorder, *, places: bool = False
) -> list[FlowFunction]:
    """The functions of listed code; `places`: source lines with their files and numbers."""
    listed = list(instructions)
    code = b"".join(each.code for each in listed)
    declared = (each.slot for each in listed if each.function)
    entries = sorted({0, *declared, *_called(code, byteorder)})
    # The kernel's code has numbers of functions in calls, not distances.
    flow = control_flow(code, byteorder, roots=entries, subprograms=False)
    by_slot = {each.slot: each for each in listed}
    ends = [*entries[1:], len(code) // 8]
    functions = []
    for start, end in zip(entries, ends, strict=True):
        blocks = []
        for block in flow.blocks_in(start, end):
            inside = [by_slot[slot] for slot, _ in flow.block_instructions(block)]
            falls = block.end if block.end in block.successors else None
            blocks.append(
                FlowBlock(
                    block.start,
                    tuple(_lines(inside, places)),
                    falls,
                    tuple(each for each in block.successors if each != falls),
                )
            )
        functions.append(FlowFunction(by_slot[start].function or "program", tuple(blocks)))
    return functions


def _called(code: bytes, byteorder: Byteorder) -> Iterator[int]:
    """The slots of functions that are called; the kernel has the distance in the offset."""
    for slot, insn in walk(code, byteorder):
        if insn.is_subprogram_call:
            yield slot + 1 + (insn.offset or insn.imm)


def _lines(instructions: Sequence[ListedInstruction], places: bool) -> list[str]:
    lines, last = [], None
    for each in instructions:
        if each.line is not None and (each.line.file, each.line.line) != last:
            last = each.line.file, each.line.line
            place = f" [{each.line.file}:{each.line.line}]" if places else ""
            lines.append(f"; {each.line.text.expandtabs(4)}{place}")
        lines.append(f"{each.slot:4}: {each.text}")
    return lines


def dot(functions: Sequence[FlowFunction]) -> str:
    """The graph in Graphviz's language."""
    lines = ['digraph "control flow" {', "  node [shape=box, fontname=monospace, fontsize=10];"]
    for number, function in enumerate(functions):
        lines += [
            f"  subgraph cluster_{number} {{",
            f"    label={_quoted([function.name], end='')}; style=dashed; fontname=monospace;",
        ]
        for block in function.blocks:
            lines.append(f"    b{block.start} [label={_quoted(block.lines)}];")
        for block in function.blocks:
            if block.falls_to is not None:
                lines.append(f"    b{block.start} -> b{block.falls_to} [weight=10];")
            lines += [
                f"    b{block.start} -> b{target} [color={_colour(block, target)}];"
                for target in block.jumps_to
            ]
        lines.append("  }")
    return "\n".join([*lines, "}"]) + "\n"


def _colour(block: FlowBlock, target: int) -> str:
    """Back edges make loops."""
    return "firebrick" if target <= block.start else "forestgreen"


def _quoted(lines: Iterable[str], end: str = "\\l") -> str:
    """Untrusted lines in quotes, each to the left."""
    shown = ("".join(c if c.isprintable() else "?" for c in line) for line in lines)
    escaped = (line.replace("\\", "\\\\").replace('"', '\\"') for line in shown)
    return f'"{"".join(f"{line}{end}" for line in escaped)}"'
