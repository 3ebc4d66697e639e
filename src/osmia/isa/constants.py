"""Known values: what registers and stack hold before each instruction, on every path.

A forward dataflow over the blocks of a `ControlFlow`. What is known where paths meet is what
all of them know (`osmia.isa.lattice`); a jump that known values rule out is no path. A block
that is visited again and again, as loops make it, soon knows nothing of what still changes.

What is kept is a state for each block; those inside of a block follow from it by `walk`.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator, Mapping
from heapq import heappop, heappush
from typing import Final

from osmia.arguments import names_wrong_arguments
from osmia.isa import opcodes as op
from osmia.isa.cfg import BasicBlock, ControlFlow, subprogram_of
from osmia.isa.effects import Effects, Memory
from osmia.isa.instruction import Instruction
from osmia.isa.lattice import ANY, Value, is_frame
from osmia.isa.packing import ByteOrder
from osmia.isa.state import State
from osmia.records import dataclass

PATIENCE: Final = 20
"""So often a block is visited before it is widened: a loop may count through a set."""
HURRY: Final = 8
"""How often all code may be visited, on average, before every block is widened at once."""
MOST_CELLS: Final = 1 << 19
"""Stack cells that are kept for all blocks together; beyond, a block's stack is not known."""

_JUMPS_OF_NO_KIND = frozenset((op.JA, op.JA32, op.JA_X, op.MAY_GOTO))
_MAY_CALL = frozenset((int(op.CALL), int(op.LD_IMM64)))


@dataclass(frozen=True, eq=False)
class KnownValues:
    """What is known in some code: made by `known_values`."""

    flow: ControlFlow
    effects: Effects
    entering: Mapping[int, State]
    """The state at the start of each block that may run, by its slot. Not to be changed."""
    ways: Mapping[int, tuple[bool, ...]]
    """Of each conditional jump that may run whether it is taken, or not, or may be both: by
    the slot of its block's start."""
    _search: _Search

    def enter(self, roots: Iterable[int]) -> set[int]:
        """Begin at further blocks, too: all that is known is then what holds with them.

        Gives the starts of the blocks of which less may be known than before, or that did
        not run before.
        """
        return self._search.run(roots)

    def walk(self, block: BasicBlock) -> Iterator[tuple[int, Instruction, State]]:
        """The instructions of a block, each with its slot and what is known before it; none of
        a block that never runs. The state is one object that changes from one to the next."""
        entering = self.entering.get(block.start)
        if entering is None:
            return
        state = entering.copy()
        for slot, insn in self.flow.block_instructions(block):
            yield slot, insn, state
            self.effects.apply(state, slot, insn)

    def before(self, slot: int) -> State | None:
        """What is known before the instruction at `slot`; None when it never runs.

        It starts from the block's beginning: for all instructions use `walk`.
        """
        for at, _, state in self.walk(self.flow.block_at(slot)):
            if at == slot:
                return state.copy()
        return None

    def calls(self, helper: int) -> Iterator[tuple[int, State]]:
        """Each call of a helper that may run: its slot, and what is known before it."""
        for block in self.flow.blocks:
            for slot, insn, state in self.walk(block):
                if insn.imm == helper and insn.is_helper_call:
                    yield slot, state.copy()


@names_wrong_arguments
def known_values(
    flow: ControlFlow,
    *,
    byteorder: ByteOrder = "little",
    tokens: Mapping[int, Value] | None = None,
    memory: Memory | None = None,
    unsettled: Container[int] = (),
    verified: bool = True,
    roots: Iterable[int] | None = None,
) -> KnownValues:
    """What is known in the code of `flow`.

    `tokens` says what the ld_imm64 at a slot stands for: a number, a `Pointer` into whatever
    the caller means by its token, or `ANY`. One that is not there is its number if it is plain
    (`LoadKind.VALUE`), else unknown. `memory(token, offset, size)` gives what a load there
    gives, if that never changes; see `Memory`. `unsettled` are the slots of instructions whose
    immediates or offsets may still change, as those of CO-RE records before they are resolved.

    At the roots of the flow, and in functions whose address is taken, the arguments are unknown;
    in other functions they are what all calls pass, a pointer into the caller's frame being
    unknown too. What a call returns is unknown. `verified=False` is for code that may do what
    no verifier accepts (see `osmia.isa.effects`). `roots` are the blocks to begin at if not
    at all roots of the flow; others may be entered later (`KnownValues.enter`).
    """
    effects = Effects(tokens or {}, memory, byteorder, unsettled)
    search = _Search(flow, effects, escaped=not verified)
    search.run(flow.roots if roots is None else roots)
    return KnownValues(flow, effects, search.entering, search.ways, search)


class _Search:
    """The way to the fixed point: blocks in the order of the code, as long as they change."""

    def __init__(self, flow: ControlFlow, effects: Effects, *, escaped: bool) -> None:
        self.flow = flow
        self.effects = effects
        self.escaped = escaped
        self.blocks = {block.start: block for block in flow.blocks}
        self.entering: dict[int, State] = {}
        self.ways: dict[int, tuple[bool, ...]] = {}
        self.visits: dict[int, int] = {}
        self.pending: list[int] = []
        self.queued: set[int] = set()
        self.cells = 0
        self.steps = HURRY * len(flow.instructions) + 100_000
        self.anywhere = False

    def run(self, roots: Iterable[int]) -> set[int]:
        """Find every state; the starts of the blocks that were visited."""
        for root in roots:
            self.reach(root, State(escaped=self.escaped))
        visited = set()
        while self.pending:
            start = heappop(self.pending)
            self.queued.discard(start)
            visited.add(start)
            self.visit(self.blocks[start])
        return visited

    def visit(self, block: BasicBlock) -> None:
        """Follow one block, and tell those behind it what is known at its end."""
        self.visits[block.start] = self.visits.get(block.start, 0) + 1
        state = self.entering[block.start].copy()
        apply = self.effects.apply
        instructions = self.flow.instructions
        at = slot = block.start
        insn = instructions[slot]
        while True:
            self.steps -= 1
            if block.calls and insn.opcode in _MAY_CALL:
                self.enter(slot, insn, state)
            apply(state, slot, insn)
            at, slot = slot, slot + insn.slots
            if slot >= block.end:
                break
            insn = instructions[slot]
        if block.goes_anywhere:
            self.reach_everything()
        elif insn.is_jump and insn.opcode not in _JUMPS_OF_NO_KIND:
            self.branch(block, state, at, insn)
        else:
            for successor in block.successors:
                self.reach(successor, state.copy())

    def branch(self, block: BasicBlock, state: State, slot: int, insn: Instruction) -> None:
        """Both ways of a conditional jump, as far as they can be."""
        target = slot + 1 + insn.offset
        found = []
        for successor, taken in ((slot + 1, False), (target, True)):
            there = state.copy()
            if self.effects.take(there, slot, insn, taken):
                found.append(taken)
                if taken or not block.runs_off_end:
                    self.reach(successor, there)
        self.ways[block.start] = tuple(found)

    def enter(self, slot: int, insn: Instruction, state: State) -> None:
        """Tell a subprogram what it is called with."""
        entry = subprogram_of(slot, insn)
        if entry is None or entry not in self.blocks:
            return
        there = State(escaped=self.escaped)
        if insn.is_call and slot not in self.effects.unsettled:
            for register in range(1, 6):
                value = state.registers[register]
                there.registers[register] = ANY if is_frame(value) else value
        self.reach(entry, there)

    def reach(self, start: int, state: State) -> None:
        """Note that a block may begin with a state, which then belongs to it."""
        known = self.entering.get(start)
        if known is None:
            self.entering[start] = known = state
            self.cells += len(known.stack)
        else:
            visits = self.visits.get(start, 0)
            before = len(known.stack)
            widen = visits > PATIENCE or self.steps < 0
            if not known.merge(state, widen=widen):
                return
            if visits > 2 * PATIENCE or self.steps < 0:
                known.forget()
            self.cells += len(known.stack) - before
        if self.cells > MOST_CELLS and known.stack:
            self.cells -= len(known.stack)
            known.forget_stack()
        if start not in self.queued:
            self.queued.add(start)
            heappush(self.pending, start)

    def reach_everything(self) -> None:
        """After a jump that may go anywhere: nothing is known of any block."""
        if self.anywhere:
            return
        self.anywhere = True
        for start in self.blocks:
            state = State()
            state.forget()
            self.reach(start, state)
