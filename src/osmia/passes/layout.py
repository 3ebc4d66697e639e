"""Lay out a program: its code with the subprograms it needs behind it, calls resolved.

The order is libbpf's, so that the kernel computes the same tag: a function is appended
where its first reference is met, and its own references are followed before the next
instruction of the function that referred to it.
"""

from __future__ import annotations

import struct
from array import array
from collections.abc import Iterable
from itertools import repeat
from sys import byteorder as native_byteorder

from osmia.errors import RelocationError
from osmia.object.model import Object, Program, Relocation, RelocationKind, Unresolved
from osmia.object.uapi import MAX_INSTRUCTIONS
from osmia.records import dataclass, field

SLOT = 8
_IMM = {"little": struct.Struct("<i"), "big": struct.Struct(">i")}
# Named here: asking an enumeration for a member takes as long as ten of what is done with it.
_CALL = RelocationKind.CALL
_REFERENCES = (_CALL, RelocationKind.FUNCTION)
NO_LINE = bytes(16)
"""A line record that names no file: where one function has none, the kernel takes none of all."""


@dataclass(slots=True)
class ProgramLayout:
    """A program as one piece of code. Offsets in bytes where not said otherwise.

    `relocations` are those that an engine has to resolve, `unresolved` the calls that cannot
    be; `functions` tells at which slot each function starts; `function_info` and `line_info`
    are what BPF_PROG_LOAD takes, empty where any function lacks its part.
    """

    name: str
    code: bytearray = field(default_factory=bytearray)
    relocations: list[Relocation] = field(default_factory=list)
    unresolved: list[Unresolved] = field(default_factory=list)
    functions: list[tuple[int, str]] = field(default_factory=list)
    function_info: bytes = b""
    line_info: bytes = b""


def lay_out(obj: Object, program: str, extra: Iterable[str] = ()) -> ProgramLayout:
    """The layout of `obj.programs[program]`; `extra` functions are appended last.

    Raises RelocationError for a function that is missing or code that grows too large.
    """
    layout = ProgramLayout(program)
    starts: dict[str, int] = {}
    calls: list[Relocation] = []
    _append(obj, layout, starts, calls, obj.programs[program].function)
    for name in extra:
        _append(obj, layout, starts, calls, name)
    _resolve_calls(layout, starts, calls, _IMM[obj.byteorder])
    _collect_info(obj, layout)
    return layout


def lay_out_program(obj: Object, program: Program) -> ProgramLayout:
    """`lay_out` with what the program's definition says."""
    callback = program.exception_callback
    return lay_out(obj, program.name, [callback] if callback else [])


def _append(
    obj: Object,
    layout: ProgramLayout,
    starts: dict[str, int],
    calls: list[Relocation],
    first: str,
) -> None:
    """Append `first` and all that it refers to, depth first, without recursion in Python;
    to `calls` all references to functions."""
    if first in starts:
        return
    pending = [iter(_place(obj, layout, starts, first))]
    while pending:
        for relocation in pending[-1]:
            calls.append(relocation)
            if relocation.target not in starts:
                pending.append(iter(_place(obj, layout, starts, relocation.target)))
                break
        else:
            pending.pop()


def _place(
    obj: Object, layout: ProgramLayout, starts: dict[str, int], name: str
) -> list[Relocation]:
    """Put one function at the end; what it refers to, in code order."""
    function = obj.functions.get(name)
    if function is None:
        raise RelocationError(f"program {layout.name!r} needs function {name!r}, not defined here")
    start = len(layout.code)
    if (start + len(function.code)) // SLOT > MAX_INSTRUCTIONS:
        raise RelocationError(
            f"program {layout.name!r} has more than {MAX_INSTRUCTIONS} instructions"
        )
    starts[name] = start
    layout.functions.append((start // SLOT, name))
    layout.code += function.code
    for offset, what in function.unresolved:
        layout.unresolved.append(Unresolved(offset + start, what))
    references: list[Relocation] = []
    for relocation in function.relocations:
        if start:
            offset, kind, target, addend, _ = relocation
            relocation = Relocation(offset + start, kind, target, addend)
        (references if relocation.kind in _REFERENCES else layout.relocations).append(relocation)
    return references


def _resolve_calls(
    layout: ProgramLayout, starts: dict[str, int], calls: list[Relocation], imm: struct.Struct
) -> None:
    """Write the distance to each function that is called or whose address is taken."""
    for offset, kind, target, *_ in calls:
        imm.pack_into(layout.code, offset + 4, (starts[target] - offset) // SLOT - 1)
        source = 1 if kind is _CALL else 4
        registers = layout.code[offset + 1]
        layout.code[offset + 1] = (
            registers & 0x0F | source << 4 if imm.format[0] == "<" else registers & 0xF0 | source
        )
        if kind is not _CALL:
            imm.pack_into(layout.code, offset + SLOT + 4, 0)


def _collect_info(obj: Object, layout: ProgramLayout) -> None:
    slots = [slot for slot, _ in layout.functions]
    functions = [obj.functions[name] for _, name in layout.functions]
    ids, lines = [each.btf_id for each in functions], [each.line_info for each in functions]
    order = "<II" if obj.byteorder == "little" else ">II"
    if obj.btf is None or not all(ids):
        return
    layout.function_info = b"".join(map(struct.Struct(order).pack, slots, ids))
    if all(lines):
        layout.line_info = b"".join(map(_shifted, lines, slots, repeat(obj.byteorder)))


def _shifted(records: bytes, slots: int, byteorder: str) -> bytes:
    """bpf_line_info records with `slots` added to their instruction offsets (field 0 of 4)."""
    if not slots:
        return records
    words = array("I", records)
    if byteorder != native_byteorder:
        words.byteswap()
    words[0::4] = array("I", [slot + slots for slot in words[0::4]])
    if byteorder != native_byteorder:
        words.byteswap()
    return words.tobytes()
