"""Where `gotox` instructions may go: by the jump tables that the code around them reads."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping
from typing import cast

from osmia.errors import ObjectFormatError
from osmia.isa import Instruction, walk
from osmia.isa import opcodes as op
from osmia.isa.cfg import flow_of
from osmia.isa.constants import known_values
from osmia.isa.lattice import ANY, Pointer, Value, atoms
from osmia.isa.packing import ByteOrder
from osmia.object.jump_tables import ENTRY_SIZE, JumpTable
from osmia.object.model import Function, Object, RelocationKind
from osmia.records import dataclass

ROUNDS = 8
"""A jump that is only reached through others is found a round later; beyond, jumps may go to
every table's targets."""
MOST_EDGES = 1 << 17
"""Jumps of a function times their targets: beyond, no table is told from another."""


def jump_targets(obj: Object, function: Function) -> dict[int, tuple[int, ...]]:
    """For the slot of each `gotox` of a function the slots it may go to, ascending.

    They are those of the tables whose entries the jump's register may hold, on any way through
    the function, the stack included; where that cannot be seen (an entry was computed with), or
    nothing leads to the jump, those of all tables that the function names. A jump in a function
    that names none is left out.
    """
    if op.JA_X not in function.code[0::8]:
        return {}
    named = {
        relocation.offset // op.SLOT_SIZE: obj.jump_tables[relocation.target]
        for relocation in function.relocations
        if relocation.kind is RelocationKind.JUMP_TABLE and relocation.target in obj.jump_tables
    }
    tables = {table.name: table for table in named.values()}
    everything = _targets(tables.values())
    if not everything:
        return {}
    order = cast("ByteOrder", obj.byteorder)
    instructions = dict(walk(function.code, order))
    jumps = [slot for slot, insn in instructions.items() if insn.opcode == op.JA_X]
    if len(tables) == 1 or len(jumps) * len(everything) > MOST_EDGES:
        return dict.fromkeys(jumps, everything)
    search = _Search(function, instructions, order, tables, everything)
    try:
        found = search.tables_of(jumps)
    except ObjectFormatError:  # some jump goes nowhere: who loads the code will say so
        return dict.fromkeys(jumps, everything)
    return {slot: search.targets(found.get(slot)) for slot in jumps}


def placed_targets(obj: Object, functions: Iterable[tuple[int, str]]) -> dict[int, tuple[int, ...]]:
    """The `jump_targets` of functions in one piece of code, given where each begins (slots)."""
    placed: dict[int, tuple[int, ...]] = {}
    for start, name in functions:
        found = jump_targets(obj, obj.functions[name])
        # Jumps share their targets: each tuple is moved once.
        shared = {id(targets): targets for targets in found.values()}
        moved = {key: tuple(start + target for target in shared[key]) for key in shared}
        for slot, targets in found.items():
            placed[start + slot] = moved[id(targets)]
    return placed


def _targets(tables: Iterable[JumpTable]) -> tuple[int, ...]:
    return tuple(sorted({target for table in tables for target in table.targets}))


class _Search:
    """Which tables' entries the jumps of one function hold.

    A table is the token of its address, and `_Entry` that of what is loaded from it. Which jumps
    are reached depends on where jumps go: it begins with none that goes anywhere.
    """

    def __init__(
        self,
        function: Function,
        instructions: Mapping[int, Instruction],
        byteorder: ByteOrder,
        tables: Mapping[str, JumpTable],
        everything: tuple[int, ...],
    ) -> None:
        self.instructions = instructions
        self.byteorder = byteorder
        self.tables = tables
        self.known: dict[frozenset[str] | None, tuple[int, ...]] = {None: everything}
        self.tokens: dict[int, Value] = {}
        for relocation in function.relocations:
            value: Value = ANY
            if relocation.kind is RelocationKind.JUMP_TABLE and relocation.target in tables:
                value = Pointer(_Table(relocation.target), relocation.addend)
            self.tokens[relocation.offset // op.SLOT_SIZE] = value
        self.unsettled = frozenset(r.offset // op.SLOT_SIZE for r in function.core_relocations)

    def targets(self, names: frozenset[str] | None) -> tuple[int, ...]:
        """Where the entries of some tables lead; of all where they are not known."""
        if names not in self.known:
            self.known[names] = _targets(self.tables[name] for name in names or ())
        return self.known[names]

    def tables_of(self, jumps: Iterable[int]) -> Mapping[int, frozenset[str] | None]:
        """The tables by jump; None for all. A jump that nothing leads to is not there."""
        found: dict[int, frozenset[str] | None] = {}
        for _ in range(ROUNDS):
            reached = self.followed(
                {slot: self.targets(found[slot]) if slot in found else () for slot in jumps}
            )
            if reached == found:
                return found
            found = reached
        return dict.fromkeys(jumps)

    def followed(self, edges: Mapping[int, tuple[int, ...]]) -> dict[int, frozenset[str] | None]:
        """What each jump holds that is reached when jumps go where `edges` says."""
        flow = flow_of(self.instructions, subprograms=False, jump_tables=edges)
        known = known_values(
            flow,
            byteorder=self.byteorder,
            tokens=self.tokens,
            memory=_entry,
            unsettled=self.unsettled,
        )
        found = {}
        for block in flow.blocks:
            for slot, insn, state in known.walk(block):
                if insn.opcode == op.JA_X:
                    known_here = insn.dst < len(state.registers)
                    found[slot] = _names(state.registers[insn.dst] if known_here else ANY)
        return found


@dataclass(frozen=True, slots=True)
class _Table:
    """The token of a table's address."""

    name: str


@dataclass(frozen=True, slots=True)
class _Entry:
    """The token of any entry of a table."""

    name: str


def _entry(token: Hashable, offset: int | None, size: int) -> Value | None:
    if isinstance(token, _Table) and size == ENTRY_SIZE:
        return Pointer(_Entry(token.name))
    return None


def _names(value: Value) -> frozenset[str] | None:
    """The tables of which a value is an entry; None when it may be something else."""
    names = set()
    for atom in atoms(value) or (0,):
        if not (isinstance(atom, Pointer) and isinstance(atom.token, _Entry) and atom.offset == 0):
            return None
        names.add(atom.token.name)
    return frozenset(names)
