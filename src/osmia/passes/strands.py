"""Where to count so that all counts of a function are known: as few places as sums allow.

Code that always runs as often as other code is one *strand* with it: a block, what it goes straight
on to, the way of a jump that alone leads somewhere. A strand that several others lead to, or that
divides into several, is their sum. What is left is counted: the arms between, and the ways from
where code divides to where it meets. Only sums, no differences: a count that got lost where two
CPUs met never makes another one 0.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from osmia.isa.cfg import BasicBlock, ControlFlow
from osmia.isa.forms import Form, form_of
from osmia.isa.instruction import Instruction
from osmia.records import dataclass, field

Way = tuple[int, int]
"""A jump's slot, and the slot that it goes on at."""
TAIL_CALL = 12
"""The number of bpf_tail_call."""
_LEGACY_LOADS = (Form.LOAD_ABSOLUTE, Form.LOAD_INDIRECT)
_Node = int
_Edge = tuple[int, int]


@dataclass(slots=True)
class Strand:
    """Code that runs equally often: `pieces` (first slot, slot behind the last) and `ways`.
    `parts` are the numbers of the strands that it is the sum of; of none: it is counted."""

    pieces: list[tuple[int, int]] = field(default_factory=list)
    ways: list[Way] = field(default_factory=list)
    parts: tuple[int, ...] = ()


def jump_ways(flow: ControlFlow) -> list[Way]:
    """The ways of all jumps that have several, in order; the one that falls through first."""
    found: list[Way] = []
    for block in flow.blocks:
        if len(block.successors) > 1:
            *_, (slot, _) = flow.block_instructions(block)
            found += ((slot, target) for target in block.successors)
    return found


def strands(flow: ControlFlow, *, throws: bool) -> list[Strand]:
    """The strands of a function; those that are sums come behind what they are sums of.

    `throws`: any call may end the program (bpf_throw).
    """
    return _Strands(flow, throws=throws).made()


def may_end(insn: Instruction, *, throws: bool) -> bool:
    """Whether what follows an instruction in its block may be left undone."""
    form = form_of(insn)
    if form is Form.CALL:
        return throws or (insn.is_helper_call and insn.imm == TAIL_CALL)
    return form in _LEGACY_LOADS or (throws and form is Form.CALL_REGISTER)


class _Strands:
    """Nodes are pieces of blocks by their first slots, edges go from a block's last slot."""

    def __init__(self, flow: ControlFlow, *, throws: bool) -> None:
        self.pieces: dict[_Node, int] = {}
        self.into: dict[_Node, list[_Edge]] = {}
        self.out: dict[_Node, list[_Edge]] = {}
        self.roots: set[_Node] = set(flow.roots)
        self.joined: dict[object, object] = {}
        blind = any(block.goes_anywhere for block in flow.blocks)
        for block in flow.blocks:
            self._add(flow, block, throws=throws)
            if blind:
                self.roots.add(block.start)
        for edges in self.out.values():
            for edge in edges:
                self.into.setdefault(edge[1], []).append(edge)
        self.roots |= self.pieces.keys() - self.into.keys()

    def _add(self, flow: ControlFlow, block: BasicBlock, *, throws: bool) -> None:
        start = last = block.start
        for slot, insn in flow.block_instructions(block):
            last, behind = slot, slot + insn.slots
            if may_end(insn, throws=throws) and behind < block.end:
                self.pieces[start] = behind
                self.roots.add(behind)
                start = behind
        self.pieces[start] = block.end
        if not may_end(flow.instructions[last], throws=throws):
            self.out[start] = [(last, target) for target in block.successors]
        else:
            self.roots.update(block.successors)

    def made(self) -> list[Strand]:
        for node, edges in self.out.items():
            if len(edges) == 1:
                self._join(node, edges[0])
        for node, edges in self.into.items():
            if len(edges) == 1 and node not in self.roots:
                self._join(node, edges[0])
        groups: dict[object, Strand] = {}
        for node, end in self.pieces.items():
            groups.setdefault(self._find(node), Strand()).pieces.append((node, end))
        for edges in self.out.values():
            for edge in edges:
                strand = groups.setdefault(self._find(edge), Strand())
                if len(edges) > 1:
                    strand.ways.append(edge)
        return _in_order(groups, {key: self._parts(strand) for key, strand in groups.items()})

    def _parts(self, strand: Strand) -> tuple[object, ...]:
        """The strands, by key, that one is the sum of, if it is."""
        for node, _ in strand.pieces:
            edges = self.out.get(node, ())
            if len(edges) > 1:
                return tuple(map(self._find, edges))
        for node, _ in strand.pieces:
            edges = self.into.get(node, ())
            if len(edges) > 1 and node not in self.roots:
                return tuple(map(self._find, edges))
        return ()

    def _find(self, one: object) -> object:
        while (up := self.joined.get(one, one)) != one:
            self.joined[one] = one = self.joined.get(up, up)
        return one

    def _join(self, one: object, other: object) -> None:
        self.joined[self._find(one)] = self._find(other)


def _in_order(groups: dict[object, Strand], parts: dict[object, Sequence[object]]) -> list[Strand]:
    """The strands with their parts by number, each behind its parts. One that would be a part of
    itself, in a circle that nothing leaves, is counted."""
    order: dict[object, int] = {}
    for first in groups:
        path = {first: None} if first not in order else {}
        while path:
            key = next(reversed(path))
            missing = [part for part in parts[key] if part not in order]
            if any(part in path for part in missing):
                parts[key], missing = (), []
            if missing:
                path[missing[0]] = None
            else:
                order[key] = len(order)
                del path[key]
    for key, strand in groups.items():
        strand.parts = tuple(order[part] for part in parts[key])
    return [groups[key] for key in order]


def counts_of(made: Iterable[Strand], counted: Sequence[int]) -> list[int]:
    """How often each strand ran: `counted` are the counts of those that are no sums, in order."""
    found: list[int] = []
    rest = iter(counted)
    for strand in made:
        parts = strand.parts
        found.append(sum(found[part] for part in parts) if parts else next(rest))
    return found
