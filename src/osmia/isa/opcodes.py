"""The numbers of the instruction set, named as in RFC 9669 and include/uapi/linux/bpf.h.

An opcode is one byte. Its low three bits are the `Class`. The other five say, for
arithmetic and jumps, the operation (high four bits) and the `Source` (bit 3); for loads
and stores, the `Mode` (high three bits) and the `Size` (bits 3 and 4).
"""

from __future__ import annotations

from osmia.enums import IntEnum

SLOT_SIZE = 8
"""Bytes of one instruction slot; ld_imm64 takes two slots."""

CLASS_MASK = 0x07
OPERATION_MASK = 0xF0
SIZE_MASK = 0x18


class Class(IntEnum):
    """The instruction class, opcode bits 0 to 2 (RFC 9669 section 3.1)."""

    LD = 0
    LDX = 1
    ST = 2
    STX = 3
    ALU = 4
    JMP = 5
    JMP32 = 6
    ALU64 = 7


class Source(IntEnum):
    """Where the second operand of arithmetic and jumps comes from, opcode bit 3."""

    K = 0x00
    X = 0x08


class Size(IntEnum):
    """The width of a memory access, opcode bits 3 and 4 (RFC 9669 section 5)."""

    W = 0x00
    H = 0x08
    B = 0x10
    DW = 0x18

    @property
    def bytes(self) -> int:
        """The width in bytes: 4, 2, 1 or 8."""
        return _SIZE_BYTES[self]


_SIZE_BYTES = {Size.W: 4, Size.H: 2, Size.B: 1, Size.DW: 8}


class Mode(IntEnum):
    """The kind of a load or store, opcode bits 5 to 7 (RFC 9669 section 5)."""

    IMM = 0x00
    ABS = 0x20
    IND = 0x40
    MEM = 0x60
    MEMSX = 0x80
    ATOMIC = 0xC0


class AluOp(IntEnum):
    """The operation of the classes ALU and ALU64, opcode bits 4 to 7 (RFC 9669 section 4.1)."""

    ADD = 0x00
    SUB = 0x10
    MUL = 0x20
    DIV = 0x30
    OR = 0x40
    AND = 0x50
    LSH = 0x60
    RSH = 0x70
    NEG = 0x80
    MOD = 0x90
    XOR = 0xA0
    MOV = 0xB0
    ARSH = 0xC0
    END = 0xD0


class JmpOp(IntEnum):
    """The operation of the classes JMP and JMP32, opcode bits 4 to 7 (RFC 9669 section 4.3).

    JCOND (may_goto) came with Linux 6.9.
    """

    JA = 0x00
    JEQ = 0x10
    JGT = 0x20
    JGE = 0x30
    JSET = 0x40
    JNE = 0x50
    JSGT = 0x60
    JSGE = 0x70
    CALL = 0x80
    EXIT = 0x90
    JLT = 0xA0
    JLE = 0xB0
    JSLT = 0xC0
    JSLE = 0xD0
    JCOND = 0xE0


FETCH = 0x01
"""The bit of an atomic operation's immediate that asks for the old value (RFC 9669 section 5.3)."""


class AtomicOp(IntEnum):
    """What an atomic store's immediate says (RFC 9669 section 5.3).

    ADD, OR, AND and XOR may be combined with `FETCH`. LOAD_ACQUIRE and STORE_RELEASE
    came with Linux 6.15.
    """

    ADD = 0x00
    OR = 0x40
    AND = 0x50
    XOR = 0xA0
    XCHG = 0xE1
    CMPXCHG = 0xF1
    LOAD_ACQUIRE = 0x100
    STORE_RELEASE = 0x110


class LoadKind(IntEnum):
    """What the 64-bit immediate of ld_imm64 is: its source register field (RFC 9669 section 5.4).

    In files, the two immediates are mostly 0 until a relocation fills them.
    """

    VALUE = 0
    MAP_FD = 1
    MAP_VALUE = 2
    BTF_ID = 3
    FUNCTION = 4
    MAP_INDEX = 5
    MAP_INDEX_VALUE = 6


class CallKind(IntEnum):
    """What the immediate of a call is: its source register field (RFC 9669 section 4.3.1).

    PROGRAM is osmia's own: the immediate is the handle of another loaded program. Only
    the userspace engine runs it; every kernel refuses it.
    """

    HELPER = 0
    SUBPROGRAM = 1
    KFUNC = 2
    PROGRAM = 5


class EndianTarget(IntEnum):
    """Where ALU END converts to: its source bit."""

    LE = Source.K
    BE = Source.X


SIGNED = 1
"""The offset field that makes DIV and MOD signed (RFC 9669 section 4.1)."""

ADDR_SPACE_CAST = 1
"""The offset field that makes a 64-bit register move an address space cast, since Linux 6.9."""

ADDR_PERCPU = -1
"""The offset field that makes a 64-bit register move a per-CPU address, in xlated code only."""

LD_IMM64 = Class.LD | Size.DW | Mode.IMM
JA = Class.JMP | JmpOp.JA
JA32 = Class.JMP32 | JmpOp.JA
JA_X = Class.JMP | JmpOp.JA | Source.X
"""An indirect jump through a register (`gotox`), since Linux 6.19."""
MAY_GOTO = Class.JMP | JmpOp.JCOND
CALL = Class.JMP | JmpOp.CALL
CALL_X = Class.JMP | JmpOp.CALL | Source.X
"""A call through a register (`callx`): compilers can emit it, every kernel refuses it."""
EXIT = Class.JMP | JmpOp.EXIT
NOSPEC = Class.ST | 0xC0
"""A speculation barrier that the verifier inserts: seen in xlated code only."""

FRAME_POINTER = 10
AUXILIARY_REGISTER = 11
"""The last register that has a name: the kernel's own scratch register in xlated code."""
