"""What is known in the code of an Object: all its functions as one piece, calls followed.

Where a program looks at a map, a key or a setting in read-only data, this says which one it
is, as the verifier would know it. Passes over tail calls and dead code stand on it.
"""

from __future__ import annotations

import struct
from bisect import bisect_right
from collections.abc import Collection, Hashable, Iterator
from functools import cached_property
from typing import cast

from osmia.isa import opcodes as op
from osmia.isa.cfg import BasicBlock, ControlFlow, control_flow
from osmia.isa.constants import KnownValues, known_values
from osmia.isa.instruction import Instruction
from osmia.isa.lattice import ANY, Pointer, Value
from osmia.isa.packing import ByteOrder
from osmia.isa.state import State
from osmia.named_tuples import NamedTuple
from osmia.object.jump_targets import placed_targets
from osmia.object.model import DataKind, DataSection, Function, Linkage, Object, RelocationKind
from osmia.records import dataclass

#: Sections whose contents no program changes, once they are resolved.
_CONSTANT = (DataKind.RODATA, DataKind.KCONFIG)
_CALLS = (RelocationKind.CALL, RelocationKind.FUNCTION)


class MapAddress(NamedTuple):
    """The token of a pointer to a map, by its name."""

    map: str


class DataAddress(NamedTuple):
    """The token of an address in a data section, by its name."""

    section: str


@dataclass(frozen=True, eq=False)
class KnownCode:
    """The code of an Object in one row, and what is known in it. Slots are those of the row
    unless they are said to be a function's own."""

    object: Object
    known: KnownValues
    starts: tuple[int, ...]
    names: tuple[str, ...]

    @property
    def flow(self) -> ControlFlow:
        """The blocks of the row."""
        return self.known.flow

    def place(self, slot: int) -> tuple[str, int]:
        """The function that a slot lies in, and the slot in it."""
        index = bisect_right(self.starts, slot) - 1
        return self.names[index], slot - self.starts[index]

    def start(self, function: str) -> int:
        """The slot at which a function begins. KeyError when there is none."""
        return self._start_of[function]

    @cached_property
    def _start_of(self) -> dict[str, int]:
        return dict(zip(self.names, self.starts, strict=True))

    def begins(self, slot: int) -> bool:
        """Whether a function begins at a slot."""
        return self.starts[bisect_right(self.starts, slot) - 1] == slot

    def enter(self, functions: Collection[str]) -> set[int]:
        """Functions are entered from outside, too: the starts of the blocks of which something
        else is known now. They are programs', or others that `known_code` takes for roots."""
        return self.known.enter(sorted(self.start(name) for name in functions))

    def runs(self, slot: int) -> bool:
        """Whether the block that a slot lies in can be reached."""
        return self.flow.block_at(slot).start in self.known.entering

    def walk(self) -> Iterator[tuple[BasicBlock, int, Instruction, State]]:
        """All instructions that may run, with what is known before them. The state is one
        object that changes from one to the next."""
        for block in self.flow.blocks:
            for slot, insn, state in self.known.walk(block):
                yield block, slot, insn, state


def known_code(
    obj: Object, *, roots: Collection[str] | None = None, variable: Collection[str] = ()
) -> KnownCode:
    """What is known in the code of `obj`.

    `roots` are the functions that are entered from outside (others may be later, see
    `KnownCode.enter`); without it the programs, what they name, and all global functions,
    which the verifier takes with any arguments. `variable`
    names sections whose contents may be others at run time: read-only ones are taken for what
    they are in `obj` otherwise, where neither externs nor pointers are in them.

    Raises ObjectFormatError for code that jumps or calls where no instruction starts.
    """
    starts: dict[str, int] = {}
    at = 0
    for key, function in obj.functions.items():
        starts[key] = at
        at += function.instruction_count
    code = bytearray().join(function.code for function in obj.functions.values())
    tokens: dict[int, Value] = {}
    unsettled: set[int] = set()
    for key, function in obj.functions.items():
        _settle(code, function, starts, starts[key], obj.byteorder, tokens)
        unsettled.update(
            starts[key] + record.offset // op.SLOT_SIZE for record in function.core_relocations
        )
    possible = _roots(obj)
    entered = possible if roots is None else roots
    order = cast("ByteOrder", obj.byteorder)
    flow = control_flow(
        code,
        order,
        roots=sorted({starts[key] for key in possible.union(entered) if key in starts}),
        jump_tables=placed_targets(obj, [(start, key) for key, start in starts.items()]),
    )
    known = known_values(
        flow,
        byteorder=order,
        tokens=tokens,
        memory=_Constants(obj, variable).load,
        unsettled=unsettled,
        roots=sorted({starts[key] for key in entered if key in starts}),
    )
    return KnownCode(obj, known, tuple(starts.values()), tuple(starts))


def _settle(
    code: bytearray,
    function: Function,
    starts: dict[str, int],
    start: int,
    byteorder: str,
    tokens: dict[int, Value],
) -> None:
    """Write where a function's calls go, and note what its addresses stand for."""
    little = byteorder == "little"
    word = struct.Struct("<i" if little else ">i")
    for record in function.relocations:
        slot = start + record.offset // op.SLOT_SIZE
        at = slot * op.SLOT_SIZE
        value: Value = ANY
        if record.kind is RelocationKind.MAP:
            value = Pointer(MapAddress(record.target))
        elif record.kind is RelocationKind.DATA:
            value = Pointer(DataAddress(record.target), record.addend)
        inside = record.kind in _CALLS and record.target in starts
        if code[at] == op.CALL:
            source = int(op.CallKind.SUBPROGRAM if inside else op.CallKind.KFUNC)
        elif inside:
            source = int(op.LoadKind.FUNCTION)
        else:
            source = 0
            tokens[slot] = value
        distance = starts[record.target] - slot - 1 if inside else 0
        word.pack_into(code, at + 4, distance)
        if inside or code[at] == op.CALL:
            low = code[at + 1] & (0x0F if little else 0xF0)
            code[at + 1] = low | (source << 4 if little else source)


def _roots(obj: Object) -> set[str]:
    """The functions that are entered with arguments that nobody knows."""
    found = {program.function for program in obj.programs.values()}
    found |= {p.exception_callback for p in obj.programs.values() if p.exception_callback}
    found |= {key for key, each in obj.functions.items() if each.linkage is Linkage.GLOBAL}
    for section in obj.data_sections.values():
        found |= {r.target for r in section.relocations if r.kind is RelocationKind.FUNCTION}
    return found & obj.functions.keys()


class _Constants:
    """Read-only data, as far as it is known."""

    def __init__(self, obj: Object, variable: Collection[str]) -> None:
        self.byteorder = cast("ByteOrder", obj.byteorder)
        self.sections: dict[str, DataSection] = {
            name: section
            for name, section in obj.data_sections.items()
            if section.kind in _CONSTANT and name not in variable
        }

    def load(self, token: Hashable, offset: int | None, size: int) -> Value | None:
        """What a load gives, None where that is not known."""
        if not isinstance(token, DataAddress) or offset is None:
            return None
        section = self.sections.get(token.section)
        if section is None or not 0 <= offset <= len(section.contents) - size:
            return None
        if any(
            r.offset < offset + size and offset < r.offset + r.size for r in section.relocations
        ):
            return None
        return int.from_bytes(section.contents[offset : offset + size], self.byteorder)
