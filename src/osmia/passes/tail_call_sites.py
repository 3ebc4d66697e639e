"""Where an Object's code makes tail calls, through which map, and with which keys."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from typing import Final

from osmia.isa.alu import M32
from osmia.isa.cfg import BasicBlock
from osmia.isa.lattice import Pointer, atoms
from osmia.isa.state import State
from osmia.object.known_code import KnownCode, MapAddress
from osmia.object.model import Object, SourceLine
from osmia.records import dataclass

TAIL_CALL: Final = 12
"""BPF_FUNC_tail_call."""
_MAP, _KEY = 2, 3


@dataclass(frozen=True, slots=True)
class TailCallSite:
    """One call of bpf_tail_call that can be reached.

    `function` is a key of `Object.functions`, `slot` the call's in it. `maps` are the names of
    the prog arrays that it may go through and `keys` the keys that it may have: None where
    that may be any. Keys are what the kernel takes of the register, 32 bits.
    """

    function: str
    slot: int
    maps: frozenset[str] | None
    keys: frozenset[int] | None

    @property
    def map(self) -> str | None:
        """The one map that it goes through, if there is but one."""
        return next(iter(self.maps)) if self.maps is not None and len(self.maps) == 1 else None

    @property
    def key(self) -> int | None:
        """The one key that it has, if there is but one."""
        return next(iter(self.keys)) if self.keys is not None and len(self.keys) == 1 else None


def tail_call_sites(
    code: KnownCode, blocks: Iterable[BasicBlock] | None = None
) -> list[TailCallSite]:
    """The tail calls of an Object in the order of its code; or those in some of its blocks."""
    found = []
    for block in tail_calling_blocks(code) if blocks is None else blocks:
        for slot, insn, state in code.known.walk(block):
            if insn.imm == TAIL_CALL and insn.is_helper_call:
                function, own = code.place(slot)
                found.append(TailCallSite(function, own, _maps(state), _keys(state)))
    return found


def tail_calling_blocks(code: KnownCode) -> Iterator[BasicBlock]:
    """The blocks that make tail calls if they run, in order."""
    last = None
    for slot, insn in code.flow.instructions.items():
        if insn.imm == TAIL_CALL and insn.is_helper_call:
            block = code.flow.block_at(slot)
            if block is not last:
                yield block
            last = block


def source_line(obj: Object, site: TailCallSite) -> SourceLine | None:
    """The line of a tail call, where the object tells lines."""
    found = None
    for line in obj.source_lines(site.function):
        if line.slot > site.slot:
            break
        found = line
    return found


def has_tail_calls(code: bytes, byteorder: str) -> bool:
    """Whether packed code calls bpf_tail_call, quickly."""
    call = b"\x85\x00\x00\x00" + TAIL_CALL.to_bytes(4, "little" if byteorder == "little" else "big")
    at = code.find(call)
    while at >= 0 and at % 8:
        at = code.find(call, at + 1)
    return at >= 0


def tail_calling(functions: Collection[str], calls: dict[str, set[str]]) -> set[str]:
    """All functions that make tail calls themselves (`functions`) or call one that does."""
    found = set(functions)
    callers: dict[str, set[str]] = {}
    for caller, called in calls.items():
        for each in called:
            callers.setdefault(each, set()).add(caller)
    pending = list(found)
    while pending:
        for caller in callers.get(pending.pop(), ()):
            if caller not in found:
                found.add(caller)
                pending.append(caller)
    return found


def _maps(state: State) -> frozenset[str] | None:
    names = set()
    for atom in atoms(state.registers[_MAP]) or ():
        if not (isinstance(atom, Pointer) and isinstance(atom.token, MapAddress)) or atom.offset:
            return None
        names.add(atom.token.map)
    return frozenset(names) or None


def _keys(state: State) -> frozenset[int] | None:
    numbers = state.numbers(_KEY)
    return None if numbers is None else frozenset(number & M32 for number in numbers)
