"""BPF-to-BPF calls as code of the caller.

A callee's frame comes below its caller's, and calls of one function share that place, so that
the stack grows by the deepest of them. r6 to r9 are saved where the callee writes them and the
caller needs them. Source lines and all other records come along; functions whose address is
taken stay what they are.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Final, cast

from osmia.errors import EditError, RewriteError
from osmia.isa import Instruction
from osmia.isa import opcodes as op
from osmia.isa.cfg import ControlFlow, control_flow
from osmia.isa.liveness import live_registers, registers, registers_written
from osmia.isa.packing import ByteOrder, decode_one
from osmia.isa.state import FRAME_SIZE
from osmia.object.editing import FunctionEditor
from osmia.object.frames import frame_sizes
from osmia.object.jump_targets import jump_targets
from osmia.object.known_code import known_code
from osmia.object.model import Function, Object, Relocation, RelocationKind
from osmia.passes.inlined_body import inlined_body, written_registers
from osmia.passes.tail_call_sites import has_tail_calls, tail_calling
from osmia.records import dataclass, replace

_SAVED: Final = 0b1111 << 6
"""r6 to r9, which a call keeps."""
_LOAD = int(op.Class.LDX | op.Size.DW | op.Mode.MEM)
_STORE = int(op.Class.STX | op.Size.DW | op.Mode.MEM)
_MOVE = int(op.Class.ALU64 | op.AluOp.MOV)


@dataclass(frozen=True, slots=True)
class Call:
    """A call of one function of the object by another: at which slot of the caller's."""

    caller: str
    slot: int
    callee: str


def calls_of(obj: Object, function: str) -> Iterator[Call]:
    """The calls in a function's code, in order."""
    for record in obj.functions[function].relocations:
        if record.kind is RelocationKind.CALL and record.target in obj.functions:
            yield Call(function, record.offset // op.SLOT_SIZE, record.target)


def tail_calling_functions(obj: Object) -> set[str]:
    """The functions that make tail calls, or call one that does."""
    own = [k for k, each in obj.functions.items() if has_tail_calls(each.code, obj.byteorder)]
    if not own:
        return set()
    called = {key: {call.callee for call in calls_of(obj, key)} for key in obj.functions}
    return tail_calling(own, called)


def is_last(obj: Object, call: Call) -> bool:
    """Whether all that a caller does after a call is to return what it gave: then it makes no
    difference whether a tail call in there replaces the callee or the caller, too."""
    code = obj.functions[call.caller].code
    order = cast("ByteOrder", obj.byteorder)
    slot = call.slot + 1
    for _ in range(len(code) // op.SLOT_SIZE):
        if not 0 <= slot < len(code) // op.SLOT_SIZE:
            return False
        insn = decode_one(code, slot * op.SLOT_SIZE, order)
        if insn.is_exit:
            return True
        if not insn.is_jump or insn.is_conditional or insn.jump_offset is None:
            return False
        slot += 1 + insn.jump_offset
    return False


def inline(obj: Object, wanted: Callable[[Call], bool]) -> Object:
    """`obj` with the calls that are `wanted` replaced by what they call.

    RewriteError, with the path of calls, where that recurs, would take more than the 512 bytes
    of stack that there are, or more instructions than any kernel takes.
    """
    chosen = {key: [c for c in calls_of(obj, key) if wanted(c)] for key in obj.functions}
    order = _callees_first(chosen)
    if not order:
        return obj
    return _Inliner(obj, chosen).run(order)


def _callees_first(chosen: dict[str, list[Call]]) -> list[str]:
    """The functions that calls are inlined in, each behind those that it calls."""
    order: list[str] = []
    done: set[str] = set()
    for first in chosen:
        path: list[str] = []
        pending = [(first, iter(chosen[first]))] if first not in done else []
        while pending:
            key, calls = pending[-1]
            if not path or path[-1] != key:
                path.append(key)
            for call in calls:
                if call.callee in path:
                    circle = [*path[path.index(call.callee) :], call.callee]
                    raise RewriteError(f"recursion cannot be inlined: {' -> '.join(circle)}")
                if call.callee not in done:
                    pending.append((call.callee, iter(chosen[call.callee])))
                    break
            else:
                pending.pop()
                path.pop()
                done.add(key)
                if chosen[key]:
                    order.append(key)
    return order


class _Inliner:
    """One pass over an object: functions that are done have their callees in them."""

    def __init__(self, obj: Object, chosen: dict[str, list[Call]]) -> None:
        self.obj = obj
        self.chosen = chosen
        self.order = cast("ByteOrder", obj.byteorder)
        self.frames = frame_sizes(known_code(obj, roots=obj.functions.keys()))
        self.deepest: dict[str, list[str]] = {}  # the calls that take most of the stack

    def run(self, order: Iterable[str]) -> Object:
        for key in order:
            try:
                self._fill(key, self.chosen[key])
            except EditError as error:
                raise RewriteError(f"calls of {key!r} cannot be inlined: {error}") from None
        return self.obj

    def _fill(self, key: str, calls: Sequence[Call]) -> None:
        """Inline the calls in one function."""
        function = self.obj.functions[key]
        flow = control_flow(
            function.code,
            self.order,
            subprograms=False,
            jump_tables=jump_targets(self.obj, function),
        )
        live = live_registers(flow).after
        editor = FunctionEditor(self.obj, key)
        own, total, needed = self.frames[key], self.frames[key], 0
        for call in calls:
            written = written_registers(self.obj, call.callee)
            saved = registers(written & live.get(call.slot, _SAVED) & _SAVED)
            needed |= sum(1 << register for register in saved if not _is_set(flow, call, register))
            below = own + 8 * len(saved)
            depth = below + self.frames[call.callee]
            if depth > total:
                total = depth
                self.deepest[key] = [call.callee, *self.deepest.get(call.callee, ())]
            self._put(editor, call, own, saved)
        self._check_stack(key, total)
        if needed:
            zeros = [Instruction(_MOVE, register) for register in registers(needed)]
            editor.insert_before(editor.label(0), zeros, takes_jumps=False)
        self.obj, _ = editor.apply()
        self.frames[key] = total

    def _put(self, editor: FunctionEditor, call: Call, own: int, saved: Sequence[int]) -> None:
        """Put a callee's code where it is called."""
        body = inlined_body(self.obj, call.callee, own + 8 * len(saved))
        function, tables = _with_own_tables(body, call)
        at = editor.label(call.slot)
        places = [(register, -own - 8 * n) for n, register in enumerate(saved, 1)]
        if places:
            frame = op.FRAME_POINTER
            stores = [Instruction(_STORE, frame, reg, offset) for reg, offset in places]
            loads = [Instruction(_LOAD, reg, frame, offset) for reg, offset in places]
            editor.insert_before(at, stores)
            editor.insert_before(editor.label(call.slot + 1), loads, takes_jumps=False)
        made = editor.replace(at, at, function)
        for name, targets in tables.items():
            editor.jump_table(name, [made.label(slot) for slot in targets])

    def _check_stack(self, key: str, total: int) -> None:
        if total > FRAME_SIZE:
            path = " -> ".join([key, *self.deepest.get(key, ())])
            raise RewriteError(
                f"{path}: inlined, these take {total} bytes of stack; there are {FRAME_SIZE}"
            )


def _is_set(flow: ControlFlow, call: Call, register: int) -> bool:
    """Whether a register has a value on every way to a call: the verifier lets nobody save one
    that has none."""
    writes = {
        block.start: [
            slot
            for slot, insn in flow.block_instructions(block)
            if registers_written(insn) >> register & 1
        ]
        for block in flow.blocks
    }
    here = flow.block_at(call.slot)
    if any(slot < call.slot for slot in writes[here.start]):
        return True
    pending, seen = [here.start], {here.start}
    while pending:
        start = pending.pop()
        if start in flow.roots:
            return False
        for before in flow.predecessors[start]:
            if before not in seen and not writes[before]:
                seen.add(before)
                pending.append(before)
    return True


def _with_own_tables(body: Object, call: Call) -> tuple[Function, dict[str, tuple[int, ...]]]:
    """A callee's code with jump tables of its own, of other names for each copy."""
    function = body.functions[call.callee]
    names = {
        name: f"{name}.{call.caller}.{call.slot}"
        for name, table in body.jump_tables.items()
        if table.function == call.callee
    }
    if not names:
        return function, {}
    tables = {new: tuple(body.jump_tables[old].targets) for old, new in names.items()}
    return _renamed(function, names), tables


def _renamed(function: Function, names: dict[str, str]) -> Function:
    def own(record: Relocation) -> Relocation:
        if record.kind is RelocationKind.JUMP_TABLE and record.target in names:
            return record._replace(target=names[record.target])
        return record

    return replace(function, relocations=tuple(map(own, function.relocations)))
