"""Which registers new code may use at each instruction of an object's functions.

What calls read is followed through them: a subprogram takes what it needs on entry, a kfunc as
many arguments as its type has. A register that is taken to be needed may have no value all the
same, and the verifier lets nobody save it then: so what certainly has one is known, too.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from osmia.btf import BTF, Func, FuncProto
from osmia.isa import opcodes as op
from osmia.isa.cfg import ControlFlow
from osmia.isa.liveness import (
    ALL_REGISTERS,
    ARGUMENTS,
    CLOBBERED,
    Liveness,
    live_registers,
    registers_written,
)
from osmia.object.model import Linkage, Object, Relocation, RelocationKind

_RESULT, _CONTEXT = 1 << 0, 1 << 1
_FRAME = 1 << op.FRAME_POINTER
KfuncArguments = Callable[[Relocation], int | None]
"""How many arguments a kernel function takes that a relocation names, where that is known."""


def arguments(btf: BTF | None, function: int) -> int:
    """The registers of the arguments of a FUNC, as a mask; all five where it is not known."""
    count = argument_count(btf, function)
    return ARGUMENTS if count is None else (1 << min(count, 5) + 1) - 2


def argument_count(btf: BTF | None, function: int) -> int | None:
    """How many arguments a FUNC takes; None where it is none."""
    found = btf.type(function) if btf is not None and function else None
    prototype = btf.type(found.type_id) if btf is not None and isinstance(found, Func) else None
    return len(prototype.parameters) if isinstance(prototype, FuncProto) else None


class Registers:
    """What is known of all functions of `obj`, whose control flows are `flows`: `live` and `set`,
    by function, have masks by slot, of before each instruction."""

    def __init__(
        self, obj: Object, flows: Mapping[str, ControlFlow], kfunc_arguments: KfuncArguments
    ) -> None:
        self._obj = obj
        self._flows = flows
        self._calls = {key: list(_calls(obj, key)) for key in flows}
        self._callers: dict[str, set[str]] = {}
        for key, calls in self._calls.items():
            for _, callee in calls:
                self._callers.setdefault(callee, set()).add(key)
        self._kfuncs = {
            key: {
                record.offset // op.SLOT_SIZE: (1 << min(count, 5) + 1) - 2
                for record in obj.functions[key].relocations
                if record.kind is RelocationKind.KERNEL_FUNCTION
                and (count := kfunc_arguments(record)) is not None
            }
            for key in flows
        }
        self.live: dict[str, Mapping[int, int]] = {}
        self.set: dict[str, Mapping[int, int]] = {}
        self._find_live()
        self._find_set()

    def _find_live(self) -> None:
        """The smallest fixed point: what functions need on entry only grows."""
        entry = {key: self._declared(key) if self._is_global(key) else 0 for key in self._flows}
        pending = set(self._flows)
        while pending:
            key = pending.pop()
            reads = {slot: entry[callee] for slot, callee in self._calls[key]}
            known: Liveness = live_registers(self._flows[key], reads | self._kfuncs[key])
            self.live[key] = known.before
            needed = entry[key] | known.before.get(0, 0) & ARGUMENTS & self._declared(key)
            if needed != entry[key]:
                entry[key] = needed
                pending |= self._callers.get(key, set())

    def _find_set(self) -> None:
        """The largest fixed point: from all callers, what has a value in each of them."""
        entry = {key: self._set_from_outside(key) for key in self._flows}
        pending = set(self._flows)
        while pending:
            key = pending.pop()
            self.set[key] = before = _set_before(self._flows[key], entry[key] | _FRAME)
            for slot, callee in self._calls[key]:
                there = entry[callee] & (before.get(slot, ALL_REGISTERS) | ~ARGUMENTS)
                if there != entry[callee]:
                    entry[callee] = there
                    pending.add(callee)

    def _set_from_outside(self, key: str) -> int:
        """What has a value where somebody else enters a function: arguments alone."""
        if any(each.function == key for each in self._obj.programs.values()):
            return _CONTEXT
        return self._declared(key)

    def _declared(self, key: str) -> int:
        return arguments(self._obj.btf, self._obj.functions[key].btf_id)

    def _is_global(self, key: str) -> bool:
        function = self._obj.functions[key]
        return function.linkage is Linkage.GLOBAL and bool(function.btf_id)


def _calls(obj: Object, key: str) -> Iterator[tuple[int, str]]:
    for record in obj.functions[key].relocations:
        if record.kind is RelocationKind.CALL and record.target in obj.functions:
            yield record.offset // op.SLOT_SIZE, record.target


def _set_before(flow: ControlFlow, entry: int) -> dict[int, int]:
    """The registers that have a value before each instruction, on every way to it."""
    blind = any(block.goes_anywhere for block in flow.blocks)
    into = {block.start: _FRAME if blind else ALL_REGISTERS for block in flow.blocks}
    for root in flow.roots:
        into[root] = entry
    before: dict[int, int] = {}
    pending = dict.fromkeys(sorted(into, reverse=True))
    while pending:
        start, _ = pending.popitem()
        block = flow.block_at(start)
        known = into[start]
        for slot, insn in flow.block_instructions(block):
            before[slot] = known
            written = registers_written(insn)
            if written & CLOBBERED == CLOBBERED:  # nobody may read what a call leaves in r1 to r5
                called = insn.opcode in (op.CALL, op.CALL_X) and not insn.is_helper_call
                known = known & ~CLOBBERED | (0 if called else _RESULT)
            else:
                known |= written
        for successor in block.successors:
            if into[successor] & ~known:
                into[successor] &= known
                pending[successor] = None
    return before
