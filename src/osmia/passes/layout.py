"""Lay out a program: its code with the subprograms it needs behind it, calls resolved.

The order is libbpf's, so that the kernel computes the same tag: a function is appended
where its first reference is met, and its own references are followed before the next
instruction of the function that referred to it.
"""

from __future__ import annotations

import struct
from array import array
from collections.abc import Iterable
from sys import byteorder as native_byteorder

from osmia.errors import RelocationError
from osmia.object.model import Object, Program, Relocation, RelocationKind, Unresolved
from osmia.object.uapi import MAX_INSTRUCTIONS
from osmia.records import dataclass, field

SLOT = 8
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
    imm = struct.Struct("<i" if obj.byteorder == "little" else ">i")
    _append(obj, layout, starts, obj.programs[program].function)
    for name in extra:
        _append(obj, layout, starts, name)
    _resolve_calls(layout, starts, imm)
    _collect_info(obj, layout)
    return layout


def lay_out_program(obj: Object, program: Program) -> ProgramLayout:
    """`lay_out` with what the program's definition says."""
    callback = program.exception_callback
    return lay_out(obj, program.name, [callback] if callback else [])


def _append(obj: Object, layout: ProgramLayout, starts: dict[str, int], first: str) -> None:
    """Append `first` and all that it refers to, depth first, without recursion in Python."""
    if first in starts:
        return
    pending = [iter(_place(obj, layout, starts, first))]
    while pending:
        for relocation in pending[-1]:
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
    references = []
    for relocation in function.relocations:
        if relocation.kind in (RelocationKind.CALL, RelocationKind.FUNCTION):
            references.append(relocation)
        layout.relocations.append(
            Relocation(
                relocation.offset + start, relocation.kind, relocation.target, relocation.addend
            )
        )
    return references


def _resolve_calls(layout: ProgramLayout, starts: dict[str, int], imm: struct.Struct) -> None:
    """Write the distance to each function that is called or whose address is taken."""
    rest = []
    for relocation in layout.relocations:
        if relocation.kind not in (RelocationKind.CALL, RelocationKind.FUNCTION):
            rest.append(relocation)
            continue
        distance = (starts[relocation.target] - relocation.offset) // SLOT - 1
        imm.pack_into(layout.code, relocation.offset + 4, distance)
        source = 1 if relocation.kind is RelocationKind.CALL else 4
        registers = layout.code[relocation.offset + 1]
        layout.code[relocation.offset + 1] = (
            registers & 0x0F | source << 4 if imm.format[0] == "<" else registers & 0xF0 | source
        )
        if relocation.kind is RelocationKind.FUNCTION:
            imm.pack_into(layout.code, relocation.offset + SLOT + 4, 0)
    layout.relocations = rest


def _collect_info(obj: Object, layout: ProgramLayout) -> None:
    functions = [(slot, obj.functions[name]) for slot, name in layout.functions]
    order = "<" if obj.byteorder == "little" else ">"
    if obj.btf is None or not all(function.btf_id for _, function in functions):
        return
    layout.function_info = b"".join(
        struct.pack(f"{order}II", slot, function.btf_id) for slot, function in functions
    )
    if all(function.line_info for _, function in functions):
        layout.line_info = b"".join(
            _shifted(function.line_info, slot, obj.byteorder) for slot, function in functions
        )


def _shifted(records: bytes, slots: int, byteorder: str) -> bytes:
    """bpf_line_info records with `slots` added to their instruction offsets (field 0 of 4)."""
    if not slots:
        return records
    words = array("I", records)
    if byteorder != native_byteorder:
        words.byteswap()
    for position in range(0, len(words), 4):
        words[position] += slots
    if byteorder != native_byteorder:
        words.byteswap()
    return words.tobytes()
