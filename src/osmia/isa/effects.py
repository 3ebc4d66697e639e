"""What each instruction does to what is known before it.

Of code that a verifier accepts this holds: a store through a pointer to something else never
reaches the frame, a helper touches what its arguments point to and what lies behind that,
and nobody but a callee that gets a pointer into the frame changes it. Where pointers into
the frame may be anywhere (`State.escaped`), as in code that nobody verified, every store and
every call may change it.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Hashable, Mapping
from functools import cache

from osmia.isa import opcodes as op
from osmia.isa.alu import M32, M64, arithmetic, byte_swap, signed
from osmia.isa.forms import STORES, Form, form_of
from osmia.isa.instruction import Instruction
from osmia.isa.lattice import (
    ANY,
    FRAME,
    Pointer,
    Value,
    atoms,
    cut,
    each,
    is_frame,
    join,
    moved,
    operate,
    refine,
)
from osmia.isa.liveness import registers_read, registers_written
from osmia.isa.packing import ByteOrder
from osmia.isa.state import State, sign_extended, unknown
from osmia.records import dataclass, field

Memory = Callable[[Hashable, int | None, int], Value | None]
"""What a load gives: of which token, at which offset (None: any) and of how many bytes. None
where the memory may change or is not known."""

_ARGUMENTS = range(1, 6)

# Plain numbers: looking into the enumerations costs as much as the effects themselves.
_BYTES = {int(size): size.bytes for size in op.Size}
_X = int(op.Source.X)
_ALU64 = int(op.Class.ALU64)
_CLEARING = frozenset((int(op.AluOp.XOR), int(op.AluOp.SUB)))


@dataclass(frozen=True, eq=False)
class Effects:
    """The effects of the instructions of some code; see `osmia.isa.constants.known_values`."""

    tokens: Mapping[int, Value] = field(default_factory=dict)
    memory: Memory | None = None
    byteorder: ByteOrder = "little"
    unsettled: Container[int] = ()
    _effects: dict[int, _Effect] = field(default_factory=dict)

    def apply(self, state: State, slot: int, insn: Instruction) -> None:
        """Change what is known before an instruction to what is known behind it.

        Of a conditional jump either way; see `take`.
        """
        effect = self._effects.get(slot)
        if effect is None:
            form = form_of(insn)
            effect = _unsettled if slot in self.unsettled and form else _EFFECTS[form]
            self._effects[slot] = effect
        effect(self, state, slot, insn)

    def take(self, state: State, slot: int, insn: Instruction, taken: bool) -> bool:
        """Add what is known when a conditional jump is taken, or is not; False when that
        cannot be. The jump's own effect comes first."""
        if self._effects[slot] is not _nothing:
            return True
        registers = state.registers
        a, b = registers[insn.dst], _operand(registers, insn)
        operands = refine(insn.opcode, a, b, taken)
        if operands is None:
            return False
        state.set(insn.dst, operands[0], a)
        if insn.opcode & _X:
            state.set(insn.src, operands[1], b)
        return True

    def loaded(self, state: State, address: Value, size: int) -> Value:
        """What a load from an address gives."""
        if type(address) is Pointer and address.token is FRAME.token:
            return state.load(address, size, self.byteorder)
        found: Value | None = None
        for atom in atoms(address) or ():
            value: Value | None = None
            if isinstance(atom, Pointer):
                if atom.token is FRAME.token:
                    value = state.load(atom, size, self.byteorder)
                elif self.memory is not None:
                    value = self.memory(atom.token, atom.offset, size)
            if value is None:
                return unknown(size)
            found = value if found is None else join(found, value)
        return unknown(size) if found is None else cut(found, 8 * size)


_Effect = Callable[[Effects, State, int, Instruction], None]


def _operand(registers: list[Value], i: Instruction) -> Value:
    return registers[i.src] if i.opcode & _X else i.imm & M64


def _nothing(effects: Effects, state: State, slot: int, i: Instruction) -> None:
    pass


def _anything(effects: Effects, state: State, slot: int, i: Instruction) -> None:
    state.forget()


def _unsettled(effects: Effects, state: State, slot: int, i: Instruction) -> None:
    """An instruction whose numbers are not final."""
    form = form_of(i)
    if form in (Form.CALL, Form.CALL_REGISTER):
        _call_unknown(state)
        return
    read = [state.registers[n] for n in range(len(state.registers)) if registers_read(i) >> n & 1]
    if form in STORES:
        if i.opcode & op.CLASS_MASK == op.Class.STX and is_frame(state.registers[i.src]):
            state.escaped = True
        if state.escaped or is_frame(state.registers[i.dst]):
            state.forget_stack()
    for register in range(len(state.registers)):
        if registers_written(i) >> register & 1:
            state.set(register, ANY, *read)


def _alu(effects: Effects, state: State, slot: int, i: Instruction) -> None:
    registers = state.registers
    a = registers[i.dst]
    b = registers[i.src] if i.opcode & _X else i.imm & M64
    if type(a) is int and type(b) is int:
        registers[i.dst] = arithmetic(i.opcode, i.offset, a, b)
    elif i.opcode & _X and i.dst == i.src and i.opcode & op.OPERATION_MASK in _CLEARING:
        registers[i.dst] = 0
    else:
        state.set(i.dst, operate(i.opcode, i.offset, a, b), a, b)


def _move(effects: Effects, state: State, slot: int, i: Instruction) -> None:
    value = _operand(state.registers, i)
    wide = i.opcode & op.CLASS_MASK == _ALU64
    if not wide:
        state.set(i.dst, cut(value, 32), value)
    else:
        state.registers[i.dst] = value


def _move_sign_extended(effects: Effects, state: State, slot: int, i: Instruction) -> None:
    value = state.registers[i.src]
    bits = 64 if i.opcode & op.CLASS_MASK == _ALU64 else 32
    mask = M64 if bits == 64 else M32
    state.set(i.dst, each(lambda n: signed(n, i.offset) & mask, value, bits), value)


def _negate(effects: Effects, state: State, slot: int, i: Instruction) -> None:
    value = state.registers[i.dst]
    bits = 64 if i.opcode & op.CLASS_MASK == _ALU64 else 32
    state.set(i.dst, each(lambda n: arithmetic(i.opcode, 0, n, 0), value, bits), value)


def _swap(effects: Effects, state: State, slot: int, i: Instruction) -> None:
    value = state.registers[i.dst]
    order = effects.byteorder
    state.set(i.dst, each(lambda n: byte_swap(i.opcode, i.imm, n, order), value, i.imm), value)


def _other_move(effects: Effects, state: State, slot: int, i: Instruction) -> None:
    state.set(i.dst, ANY, state.registers[i.src])


def _load_imm64(effects: Effects, state: State, slot: int, i: Instruction) -> None:
    plain = i.imm64 if i.src == op.LoadKind.VALUE else ANY
    state.registers[i.dst] = effects.tokens.get(slot, plain)


def _load(effects: Effects, state: State, slot: int, i: Instruction) -> None:
    address = moved(state.registers[i.src], i.offset)
    state.set(i.dst, effects.loaded(state, address, _BYTES[i.opcode & op.SIZE_MASK]))


def _load_sign_extended(effects: Effects, state: State, slot: int, i: Instruction) -> None:
    address = moved(state.registers[i.src], i.offset)
    size = _BYTES[i.opcode & op.SIZE_MASK]
    state.set(i.dst, sign_extended(effects.loaded(state, address, size), size))


def _store(effects: Effects, state: State, slot: int, i: Instruction) -> None:
    address = moved(state.registers[i.dst], i.offset)
    state.store(address, _BYTES[i.opcode & op.SIZE_MASK], state.registers[i.src], effects.byteorder)


def _store_immediate(effects: Effects, state: State, slot: int, i: Instruction) -> None:
    address = moved(state.registers[i.dst], i.offset)
    state.store(address, _BYTES[i.opcode & op.SIZE_MASK], i.imm & M64, effects.byteorder)


def _atomic(effects: Effects, state: State, slot: int, i: Instruction) -> None:
    value, size = state.registers[i.src], _BYTES[i.opcode & op.SIZE_MASK]
    address = moved(state.registers[i.dst], i.offset)
    if is_frame(value):
        state.escaped = True
    if isinstance(address, Pointer) and address.offset is not None and address.offset % size:
        address = Pointer(address.token, None)  # an engine may round it down
    state.store(address, size, ANY, effects.byteorder)
    if i.imm == op.AtomicOp.CMPXCHG:
        state.set(0, unknown(size))
    elif i.imm & op.FETCH:
        state.set(i.src, unknown(size))


def _load_acquire(effects: Effects, state: State, slot: int, i: Instruction) -> None:
    size = _BYTES[i.opcode & op.SIZE_MASK]
    address = _whole(moved(state.registers[i.src], i.offset), size)
    state.set(i.dst, effects.loaded(state, address, size))


def _store_release(effects: Effects, state: State, slot: int, i: Instruction) -> None:
    address = moved(state.registers[i.dst], i.offset)
    if (
        isinstance(address, Pointer)
        and address.offset is not None
        and address.offset % _BYTES[i.opcode & op.SIZE_MASK]
    ):
        address = Pointer(address.token, None)
    state.store(address, _BYTES[i.opcode & op.SIZE_MASK], state.registers[i.src], effects.byteorder)


def _whole(address: Value, size: int) -> Value:
    """Where an atomic access goes; an engine may round an address that is not aligned."""
    if not isinstance(address, Pointer) or address.offset is None or not address.offset % size:
        return address
    return Pointer(address.token, None)


def _packet_load(effects: Effects, state: State, slot: int, i: Instruction) -> None:
    state.registers[:6] = [ANY] * 6


def _call(effects: Effects, state: State, slot: int, i: Instruction) -> None:
    reading = _reading(i.imm) if i.is_helper_call else None
    if reading is None or state.escaped:
        _call_unknown(state)
        return
    passed = [(state.registers[n], reads) for n, reads in zip(_ARGUMENTS, reading, strict=False)]
    frames = [(value, reads) for value, reads in passed if is_frame(value)]
    if frames and state.holds_frame_pointer():
        _call_unknown(state)
        return
    for value, reads in frames:
        if not reads:
            offsets = [a.offset for a in atoms(value) or () if isinstance(a, Pointer)]
            known = [offset for offset in offsets if offset is not None]
            state.forget_stack(min(known) if len(known) == len(offsets) else None)
    state.registers[:6] = [ANY] * 6


def _call_unknown(state: State) -> None:
    """A call of what may do with a pointer into the frame as it likes, and keep it there."""
    if any(is_frame(state.registers[n]) for n in _ARGUMENTS):
        state.escaped = True
    if state.escaped:
        state.forget_stack()
    state.registers[:6] = [ANY] * 6


@cache
def _reading(number: int) -> tuple[bool, ...] | None:
    """For each argument of a helper whether it only reads there; None for a helper that is
    not known, or calls back."""
    from osmia.isa.helper_functions import HELPERS  # a long table: only for who meets calls

    helper = HELPERS.get(number)
    if helper is None or any(name in ("", "callback_fn") for _, name in helper.arguments):
        return None
    return tuple(type_.startswith("const ") for type_, _ in helper.arguments)


_EFFECTS: Mapping[Form | None, _Effect] = {
    None: _anything,
    Form.ALU: _alu,
    Form.SIGNED_DIVISION: _alu,
    Form.MOVE: _move,
    Form.MOVE_SIGN_EXTENDED: _move_sign_extended,
    Form.NEGATE: _negate,
    Form.TO_ENDIAN: _swap,
    Form.BYTE_SWAP: _swap,
    Form.ADDR_SPACE_CAST: _other_move,
    Form.PERCPU_ADDRESS: _other_move,
    Form.LOAD_IMM64: _load_imm64,
    Form.LOAD_ABSOLUTE: _packet_load,
    Form.LOAD_INDIRECT: _packet_load,
    Form.LOAD: _load,
    Form.LOAD_SIGN_EXTENDED: _load_sign_extended,
    Form.STORE_IMMEDIATE: _store_immediate,
    Form.STORE: _store,
    Form.ATOMIC: _atomic,
    Form.ATOMIC_FETCH: _atomic,
    Form.EXCHANGE: _atomic,
    Form.COMPARE_EXCHANGE: _atomic,
    Form.LOAD_ACQUIRE: _load_acquire,
    Form.STORE_RELEASE: _store_release,
    Form.NOSPEC: _nothing,
    Form.BRANCH: _nothing,
    Form.GOTO: _nothing,
    Form.GOTO_LONG: _nothing,
    Form.GOTO_REGISTER: _nothing,
    Form.MAY_GOTO: _nothing,
    Form.CALL: _call,
    Form.CALL_REGISTER: lambda effects, state, slot, insn: _call_unknown(state),
    Form.EXIT: _nothing,
}
