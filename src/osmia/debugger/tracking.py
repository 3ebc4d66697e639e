"""Which registers hold pointers: followed through moves, sums, calls and the stack.

A number can be any address by chance, so what a register points to is only said of one whose value
was made from a pointer: the context and what is loaded from it, the frame pointer, what an
instruction loads of maps and functions, and what a helper gives that returns one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from osmia.isa import opcodes as op
from osmia.isa.alu import M64
from osmia.isa.forms import Form
from osmia.isa.helper_functions import HELPERS
from osmia.vm import layout
from osmia.vm.maps.body import MapBody

if TYPE_CHECKING:
    from osmia.debugger.machine import Machine
    from osmia.isa.instruction import Instruction
    from osmia.vm.code import Code
    from osmia.vm.interpreter import Frame

_WORD = 8
_SUMS = frozenset({op.AluOp.ADD, op.AluOp.SUB})
_FETCHES = frozenset({Form.ATOMIC_FETCH, Form.EXCHANGE})
#: Forms that write no register, or whose calls say themselves what they leave.
_OTHERS = frozenset(
    {
        *(Form.ATOMIC, Form.NOSPEC, Form.CALL, Form.CALL_REGISTER, Form.EXIT),
        *(Form.BRANCH, Form.GOTO, Form.GOTO_LONG, Form.GOTO_REGISTER, Form.MAY_GOTO),
    }
)
_POINTED = frozenset({"data", "data_end", "data_meta"})
_FRAME = 1 << op.FRAME_POINTER
_CLOBBERED = 0b111111

_NUMBER, _POINTER, _COPY, _SUM, _LOAD, _STORE, _PACKET = range(7)

Rule = tuple[int, int, int]
"""What an instruction does to pointers: which of the above, a register that it writes, one that it
reads (-1: a number)."""


def _rule(i: Instruction, form: Form) -> Rule | None:
    """The rule of an instruction; None for one that changes nothing here."""
    if form in _OTHERS:
        return None
    source = i.src if i.uses_source_register else -1
    wide = i.class_ is op.Class.ALU64
    match form:
        case Form.ALU if i.operation in _SUMS and wide:
            return None if source < 0 else (_SUM, i.dst, source)
        case Form.MOVE:
            return (_COPY, i.dst, source) if wide and source >= 0 else (_NUMBER, i.dst, 0)
        case Form.LOAD_IMM64:
            return (_NUMBER if i.src == op.LoadKind.VALUE else _POINTER), i.dst, 0
        case Form.LOAD | Form.LOAD_ACQUIRE:
            return _LOAD, i.dst, i.src
        case Form.STORE | Form.STORE_RELEASE:
            return _STORE, i.dst, i.src
        case Form.STORE_IMMEDIATE:
            return _STORE, i.dst, -1
        case Form.LOAD_ABSOLUTE | Form.LOAD_INDIRECT:
            return _PACKET, 0, 0
        case Form.COMPARE_EXCHANGE:
            return _NUMBER, 0, 0
    return _NUMBER, i.src if form in _FETCHES else i.dst, 0


def _rules(code: Code) -> list[Rule | None]:
    """The rules of a program, by slot."""
    found = zip(code.instructions, code.forms, strict=True)
    return [None if i is None or form is None else _rule(i, form) for i, form in found]


class Tracking:
    """The pointers of one run: `masks` has a bit for each register of each active frame, `spilled`
    the addresses in memory where registers with pointers were stored."""

    def __init__(self, machine: Machine) -> None:
        self._machine = machine
        self.masks: list[int] = []
        self.spilled: set[int] = set()
        self._rules: dict[int, list[Rule | None]] = {}

    def has(self, index: int, register: int) -> bool:
        """Whether a register of a frame, from the outermost at 0, holds a pointer."""
        return bool(self.masks[index] >> register & 1)

    def set(self, index: int, register: int, pointer: bool) -> None:
        """Say that it does, or does not."""
        bit = 1 << register
        self.masks[index] = self.masks[index] | bit if pointer else self.masks[index] & ~bit

    def leads(self, value: int | None) -> bool:
        """Whether a value, were it a pointer, would lead anywhere."""
        machine = self._machine
        if value is None or value < layout.FIRST_ADDRESS:
            return False
        if value >= layout.MAP_HANDLE:
            return value < layout.LABEL_HANDLE
        block = machine.cpu.block
        if block <= value < block + layout.CPU_BLOCK:
            return True
        return machine.execution.areas.owner(value) is not None

    def enter(self, depth: int, passed: int, arguments: tuple[int | None, ...]) -> None:
        """A frame begins, the one at `depth`: with the pointers of who calls, where `passed` has
        these, else with arguments that lead anywhere."""
        if passed < 0:
            passed = 0
            for register, value in enumerate(arguments, 1):
                passed |= self.leads(value) << register
        self.masks[depth - 1 :] = [passed | _FRAME]

    def called(self, i: Instruction, value: int) -> None:
        """A helper returned a value into r0."""
        index = len(self._machine.frames) - 1
        known = HELPERS.get(i.imm) if i.src == op.CallKind.HELPER else None
        gives = known is None or known.returns.endswith("*") or known.name.endswith("_task")
        self.masks[index] = self.masks[index] & ~_CLOBBERED | (gives and self.leads(value))

    def follow(self, frame: Frame) -> None:
        """A frame's instruction is about to run."""
        rules = self._rules.get(id(frame.code))
        if rules is None:
            rules = self._rules[id(frame.code)] = _rules(frame.code)
        rule = rules[frame.slot]
        if rule is None:
            return
        kind, written, source = rule
        index = len(self._machine.frames) - 1
        mask = self.masks[index]
        if kind == _STORE:
            self._stored(frame, source >= 0 and bool(mask >> source & 1))
            return
        if kind == _PACKET:
            self.masks[index] = mask & ~_CLOBBERED
            return
        if kind == _SUM:
            pointer = (mask >> written ^ mask >> source) & 1
        elif kind == _COPY:
            pointer = mask >> source & 1
        elif kind == _LOAD:
            pointer = self._loaded(frame)
        else:
            pointer = kind
        self.masks[index] = mask & ~(1 << written) | pointer << written

    def _address(self, frame: Frame, register: int, offset: int) -> int:
        base = frame.registers[register]
        return 0 if base is None else base + offset & M64

    def _loaded(self, frame: Frame) -> bool:
        i = frame.code.instructions[frame.slot]
        assert i is not None
        machine, size = self._machine, i.size.bytes
        address = self._address(frame, i.src, i.offset)
        context = machine.cpu.context
        if address in self.spilled:
            return size == _WORD
        if context <= address < context + layout.CPU_CONTEXT_SIZE:
            return self._of_context(address - context, size)
        if size != _WORD or not layout.FIRST_ADDRESS <= address <= machine.memory.size - size:
            return False
        owner = machine.execution.areas.owner(address)
        structure = owner is not None and not isinstance(owner, MapBody)
        return structure and self.leads(machine.memory.load(address, size))

    def _of_context(self, offset: int, size: int) -> bool:
        machine = self._machine
        fields = machine.context_fields
        if fields:
            return any(each.offset == offset and name in _POINTED for name, each in fields.items())
        return size == _WORD and self.leads(machine.memory.load(machine.cpu.context + offset, size))

    def _stored(self, frame: Frame, pointer: bool) -> None:
        if not pointer and not self.spilled:
            return
        i = frame.code.instructions[frame.slot]
        assert i is not None
        address = self._address(frame, i.dst, i.offset)
        if pointer and i.size.bytes == _WORD:
            self.spilled.add(address)
        else:
            self.spilled.difference_update(range(address - _WORD + 1, address + i.size.bytes))
