"""One instruction as a value: the five fields of RFC 9669 and what they say."""

from __future__ import annotations

from osmia.isa import opcodes as op
from osmia.records import dataclass


@dataclass(frozen=True, slots=True, init=False)
class Instruction:
    """One instruction of one slot, or two in the case of ld_imm64.

    `opcode` is 0 to 255, `dst` and `src` are register numbers (0 to 15, as the four-bit
    fields allow; the ISA names 0 to 10), `offset` is signed 16 bits, `imm` signed 32 bits.
    `imm_high` is the second slot's immediate, signed 32 bits, of ld_imm64 and 0 elsewhere.

    Nothing is checked here: `osmia.isa.encode` refuses fields that do not fit, and
    `osmia.isa.form_of` says whether the ISA knows the combination.
    """

    opcode: int
    dst: int = 0
    src: int = 0
    offset: int = 0
    imm: int = 0
    imm_high: int = 0

    def __init__(
        self,
        opcode: int,
        dst: int = 0,
        src: int = 0,
        offset: int = 0,
        imm: int = 0,
        imm_high: int = 0,
    ) -> None:
        # The generated method of a frozen class goes through object.__setattr__, which
        # makes decoding 1.6 times slower than the slots' own setters.
        _set_opcode(self, opcode)
        _set_dst(self, dst)
        _set_src(self, src)
        _set_offset(self, offset)
        _set_imm(self, imm)
        _set_imm_high(self, imm_high)

    @property
    def slots(self) -> int:
        """How many 8-byte slots it takes: 2 for ld_imm64, else 1."""
        return 2 if self.opcode == op.LD_IMM64 else 1

    @property
    def class_(self) -> op.Class:
        """The instruction class."""
        return op.Class(self.opcode & op.CLASS_MASK)

    @property
    def size(self) -> op.Size:
        """The width of the access, of a load or store."""
        return op.Size(self.opcode & op.SIZE_MASK)

    @property
    def operation(self) -> int:
        """The operation bits, of arithmetic and jumps: compare with `AluOp` or `JmpOp`."""
        return self.opcode & op.OPERATION_MASK

    @property
    def uses_source_register(self) -> bool:
        """Whether the second operand, of arithmetic and jumps, is `src` and not `imm`."""
        return bool(self.opcode & op.Source.X)

    @property
    def is_load_imm64(self) -> bool:
        """Whether it is a complete ld_imm64 of two slots."""
        return self.slots == 2

    @property
    def imm64(self) -> int:
        """The 64-bit immediate of ld_imm64, unsigned."""
        return (self.imm_high & 0xFFFFFFFF) << 32 | self.imm & 0xFFFFFFFF

    @property
    def is_call(self) -> bool:
        """Whether it calls anything: a helper, a subprogram, a kfunc, a register (`callx`)."""
        return self.opcode in (op.CALL, op.CALL_X)

    @property
    def is_helper_call(self) -> bool:
        """Whether it calls the helper whose id is `imm`."""
        return self.opcode == op.CALL and self.src == op.CallKind.HELPER

    @property
    def is_subprogram_call(self) -> bool:
        """Whether it calls the subprogram `imm` slots behind the next slot."""
        return self.opcode == op.CALL and self.src == op.CallKind.SUBPROGRAM

    @property
    def is_kfunc_call(self) -> bool:
        """Whether it calls the kernel function whose BTF type id is `imm`."""
        return self.opcode == op.CALL and self.src == op.CallKind.KFUNC

    @property
    def is_exit(self) -> bool:
        """Whether it returns from the program or subprogram."""
        return self.opcode == op.EXIT

    @property
    def is_jump(self) -> bool:
        """Whether it may go elsewhere in the same function; calls and exit are not jumps."""
        return self.opcode in _JUMP_OPCODES

    @property
    def is_conditional(self) -> bool:
        """Whether it is a jump that may also go on with the next slot; may_goto is one."""
        return self.is_jump and self.opcode not in (op.JA, op.JA32, op.JA_X)

    @property
    def jump_offset(self) -> int | None:
        """How many slots behind the next slot a jump goes; None of all else and of `gotox`."""
        if not self.is_jump or self.opcode == op.JA_X:
            return None
        return self.imm if self.opcode == op.JA32 else self.offset


_set_opcode = Instruction.__dict__["opcode"].__set__
_set_dst = Instruction.__dict__["dst"].__set__
_set_src = Instruction.__dict__["src"].__set__
_set_offset = Instruction.__dict__["offset"].__set__
_set_imm = Instruction.__dict__["imm"].__set__
_set_imm_high = Instruction.__dict__["imm_high"].__set__


@dataclass(frozen=True, slots=True, init=False)
class LoneSlot(Instruction):
    """A slot with the opcode of ld_imm64 that the right second slot does not follow.

    No valid program has one. `osmia.isa.decode` gives it so that any bytes survive
    decoding and encoding; the slot after it is decoded by itself.
    """

    @property
    def slots(self) -> int:
        """Always 1."""
        return 1


def _jump_opcodes() -> frozenset[int]:
    conditions = set(op.JmpOp) - {op.JmpOp.JA, op.JmpOp.CALL, op.JmpOp.EXIT, op.JmpOp.JCOND}
    compares = {
        class_ | condition | source
        for class_ in (op.Class.JMP, op.Class.JMP32)
        for condition in conditions
        for source in op.Source
    }
    return frozenset(compares | {op.JA, op.JA32, op.JA_X, op.MAY_GOTO})


_JUMP_OPCODES = _jump_opcodes()
