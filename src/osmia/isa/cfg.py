"""Control flow: the basic blocks of code, where each goes on, and what can be reached.

Calls do not end a block: the caller goes on behind them. The subprograms that a block
calls, or whose address it takes, are listed beside its successors.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from itertools import pairwise

from osmia.arguments import names_wrong_arguments
from osmia.errors import ObjectFormatError
from osmia.isa import opcodes as op
from osmia.isa.instruction import Instruction
from osmia.isa.packing import Buffer, ByteOrder, walk
from osmia.records import dataclass


@dataclass(frozen=True, slots=True)
class BasicBlock:
    """Instructions that always run one after the other. All numbers are slots, from 0.

    `start` is the first slot, `end` the one behind the last. `successors` are the starts
    of the blocks that may follow, the one that falls through first. `calls` are the
    entries of the subprograms that it calls or takes the address of. `runs_off_end` says
    that it may go on behind the end of the code: no valid program does, but a function
    that ends in a call that never returns looks like that. `goes_anywhere` says that it ends
    in a `gotox` whose targets nobody told: any instruction may follow. Code with such
    a jump has a block for each instruction, and the jump no successors.
    """

    start: int
    end: int
    successors: tuple[int, ...]
    calls: tuple[int, ...] = ()
    runs_off_end: bool = False
    goes_anywhere: bool = False


@dataclass(frozen=True, eq=False)
class ControlFlow:
    """The control flow of some code; all numbers are slots, from 0.

    `instructions` maps the first slot of each instruction to it, in order. `blocks` are
    in order and cover the code. `entries` are the slots where execution may begin: those
    given, and the subprograms that the code calls.
    """

    instructions: Mapping[int, Instruction]
    blocks: tuple[BasicBlock, ...]
    entries: tuple[int, ...]
    roots: tuple[int, ...]

    @cached_property
    def _starts(self) -> list[int]:
        return [block.start for block in self.blocks]

    def block_at(self, slot: int) -> BasicBlock:
        """The block that `slot` lies in. Raises ValueError for a slot outside the code."""
        index = bisect_right(self._starts, slot) - 1
        if index < 0 or slot >= self.blocks[index].end:
            raise ValueError(f"slot {slot} is outside the code")
        return self.blocks[index]

    def blocks_in(self, start: int, end: int) -> Sequence[BasicBlock]:
        """The blocks that begin at `start` or later, and before `end`."""
        starts = self._starts
        return self.blocks[bisect_left(starts, start) : bisect_left(starts, end)]

    @cached_property
    def predecessors(self) -> Mapping[int, tuple[int, ...]]:
        """For each block's start, the starts of the blocks that may go on to it."""
        found: dict[int, list[int]] = {block.start: [] for block in self.blocks}
        for block in self.blocks:
            for successor in block.successors:
                found[successor].append(block.start)
        return {start: tuple(blocks) for start, blocks in found.items()}

    @cached_property
    def reachable(self) -> frozenset[int]:
        """The starts of the blocks that can be reached from the roots, through calls too."""
        return self._reach(self.roots, through_calls=True)

    def is_reachable(self, slot: int) -> bool:
        """Whether the instruction at `slot` can be reached from the roots."""
        return self.block_at(slot).start in self.reachable

    def function(self, entry: int) -> frozenset[int]:
        """The starts of the blocks of the function that begins at `entry`, without its callees."""
        return self._reach((entry,), through_calls=False)

    def block_instructions(self, block: BasicBlock) -> Iterator[tuple[int, Instruction]]:
        """The instructions of `block`, each with its slot."""
        slot = block.start
        while slot < block.end:
            insn = self.instructions[slot]
            yield slot, insn
            slot += insn.slots

    def _reach(self, entries: Iterable[int], *, through_calls: bool) -> frozenset[int]:
        reached: set[int] = set()
        pending = list(entries)
        while pending:
            block = self.block_at(pending.pop())
            if block.start in reached:
                continue
            if block.goes_anywhere:
                return frozenset(self._starts)
            reached.add(block.start)
            pending += block.successors
            if through_calls:
                pending += block.calls
        return frozenset(reached)


@names_wrong_arguments
def control_flow(
    code: Buffer,
    byteorder: ByteOrder = "little",
    *,
    roots: Sequence[int] = (0,),
    subprograms: bool = True,
    jump_tables: Mapping[int, Sequence[int]] | None = None,
) -> ControlFlow:
    """The basic blocks of `code` and how they follow each other.

    `roots` are the slots where execution begins from outside. `subprograms=False` is for
    code before relocation, whose calls and subprogram addresses do not hold distances
    yet: they are then ignored. `jump_tables` gives, for the slot of each `gotox`, the
    slots it may go to; one that it does not know is taken to go anywhere.

    Raises ObjectFormatError, with the byte offset of the instruction, for a jump or call
    to where no instruction starts, and for code that is not whole slots.
    """
    return flow_of(
        dict(walk(code, byteorder)), roots=roots, subprograms=subprograms, jump_tables=jump_tables
    )


@names_wrong_arguments
def flow_of(
    instructions: Mapping[int, Instruction],
    *,
    roots: Sequence[int] = (0,),
    subprograms: bool = True,
    jump_tables: Mapping[int, Sequence[int]] | None = None,
) -> ControlFlow:
    """The same of decoded instructions by their slots, in order and without gaps: all of some
    code, or one function of it by itself."""
    begin = min(instructions, default=0)
    last = max(instructions, default=0)
    if instructions and not isinstance(instructions[last], Instruction):
        raise TypeError(f"instructions={instructions!r:.80}: those of slots are needed")
    end = last + instructions[last].slots if instructions else 0
    scan = _Scan(instructions, begin, end, jump_tables or {}, subprograms)
    first = tuple(scan.check(root, root) for root in roots) if instructions else ()
    called = scan.called()
    entries = tuple(sorted(called.union(first)))
    return ControlFlow(instructions, scan.blocks(entries), entries, first)


def subprogram_of(slot: int, insn: Instruction) -> int | None:
    """The entry of the subprogram that an instruction at `slot` calls or takes the address of."""
    is_address = insn.opcode == op.LD_IMM64 and insn.src == op.LoadKind.FUNCTION
    if (is_address and insn.is_load_imm64) or insn.is_subprogram_call:
        return slot + 1 + insn.imm
    return None


@dataclass(frozen=True, slots=True)
class _Scan:
    """The code while its blocks are being found."""

    instructions: Mapping[int, Instruction]
    begin: int
    end: int
    jump_tables: Mapping[int, Sequence[int]]
    subprograms: bool

    def check(self, target: int, slot: int) -> int:
        """`target`, when an instruction starts there; `slot` is who goes there."""
        if target not in self.instructions:
            raise ObjectFormatError(
                f"goes to slot {target}, where no instruction starts", offset=slot * op.SLOT_SIZE
            )
        return target

    def called(self) -> set[int]:
        """The subprograms that the code calls or takes the addresses of."""
        if not self.subprograms:
            return set()
        return {
            self.check(target, slot)
            for slot, insn in self.instructions.items()
            if (target := subprogram_of(slot, insn)) is not None
        }

    def jumps(self, slot: int, insn: Instruction) -> tuple[int, ...]:
        """Where an instruction may jump to, falling through not counted."""
        if insn.opcode == op.JA_X:
            targets = dict.fromkeys(self.jump_tables.get(slot, ()))
            return tuple(self.check(target, slot) for target in targets)
        distance = insn.jump_offset
        return () if distance is None else (self.check(slot + 1 + distance, slot),)

    def goes_anywhere(self, slot: int) -> bool:
        """Whether an instruction is an indirect jump of which nothing is known."""
        insn = self.instructions[slot]
        return insn.opcode == op.JA_X and slot not in self.jump_tables

    def blocks(self, entries: Iterable[int]) -> tuple[BasicBlock, ...]:
        jumps: dict[int, tuple[int, ...]] = {}
        leaders = {self.begin, self.end, *entries}
        anywhere = False
        for slot, insn in self.instructions.items():
            if insn.is_jump:
                jumps[slot] = self.jumps(slot, insn)
                leaders.update(jumps[slot])
                leaders.add(slot + 1)
                anywhere = anywhere or self.goes_anywhere(slot)
            elif insn.is_exit:
                leaders.add(slot + 1)
        if anywhere:
            leaders.update(self.instructions)
        return tuple(self._block(start, end, jumps) for start, end in pairwise(sorted(leaders)))

    def _block(self, start: int, end: int, jumps: Mapping[int, tuple[int, ...]]) -> BasicBlock:
        calls: dict[int, None] = {}
        slot = last = start
        while slot < end:
            insn = self.instructions[slot]
            called = subprogram_of(slot, insn) if self.subprograms else None
            if called is not None:
                calls[called] = None
            last = slot
            slot += insn.slots
        insn = self.instructions[last]
        falls_through = not insn.is_exit and (not insn.is_jump or insn.is_conditional)
        runs_off_end = falls_through and end == self.end
        following = (end,) if falls_through and not runs_off_end else ()
        successors = dict.fromkeys(following + jumps.get(last, ()))
        return BasicBlock(
            start, end, tuple(successors), tuple(calls), runs_off_end, self.goes_anywhere(last)
        )
