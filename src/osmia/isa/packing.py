"""Instructions from and to packed code: 8 bytes a slot, either byte order."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from struct import Struct
from struct import error as struct_error

from osmia.arguments import explained, names_wrong_arguments
from osmia.errors import AssemblerError, ObjectFormatError
from osmia.isa.instruction import Instruction, LoneSlot
from osmia.isa.opcodes import LD_IMM64, SLOT_SIZE
from osmia.on_demand import on_demand

# The name that type checkers know; `typing` is dear.
TYPE_CHECKING = False

if TYPE_CHECKING:
    from typing import TypeAlias

    from osmia.isa.byte_order import ByteOrder as ByteOrder
else:
    __getattr__ = on_demand(__name__, {"osmia.isa.byte_order": "ByteOrder"})

Buffer: TypeAlias = bytes | bytearray | memoryview

# RFC 9669 section 3: the register fields share a byte, dst in the low half of it in
# little-endian code and in the high half in big-endian code.
_SLOT = {"little": Struct("<BBhi"), "big": Struct(">BBhi")}


def walk(code: Buffer, byteorder: ByteOrder = "little") -> Iterator[tuple[int, Instruction]]:
    """Each instruction of `code` with the slot (8 bytes each, from 0) it starts at.

    Any bytes decode: what the ISA does not know is an `Instruction` all the same, see
    `osmia.isa.form_of`. Raises ObjectFormatError when `code` is not whole slots.
    """
    try:
        _check_whole_slots(code)
        little = byteorder == "little"
        slots = _SLOT[byteorder].iter_unpack(code)
    except Exception as error:
        raise explained(error, walk, code=code, byteorder=byteorder) from None
    slot = 0
    for opcode, registers, offset, imm in slots:
        dst, src = registers & 15, registers >> 4
        if not little:
            dst, src = src, dst
        if opcode == LD_IMM64:
            imm_high = _second_immediate(code, slot + 1, byteorder)
            if imm_high is None:
                yield slot, LoneSlot(opcode, dst, src, offset, imm)
            else:
                next(slots)
                yield slot, Instruction(opcode, dst, src, offset, imm, imm_high)
                slot += 1
        else:
            yield slot, Instruction(opcode, dst, src, offset, imm)
        slot += 1


def decode(code: Buffer, byteorder: ByteOrder = "little") -> list[Instruction]:
    """The instructions of `code`, in order; an ld_imm64 is one instruction of two slots.

    `encode` of the result gives `code` back, whatever its bytes are. Raises
    ObjectFormatError when `code` is not whole slots of 8 bytes.
    """
    return [instruction for _, instruction in walk(code, byteorder)]


@names_wrong_arguments
def decode_one(code: Buffer, offset: int, byteorder: ByteOrder = "little") -> Instruction:
    """The instruction at byte `offset` of `code`.

    Raises ObjectFormatError when `offset` is not that of a whole slot inside `code`.
    """
    if offset % SLOT_SIZE or not 0 <= offset <= len(code) - SLOT_SIZE:
        raise ObjectFormatError("no instruction starts here", offset=offset)
    length = 2 * SLOT_SIZE if len(code) - offset >= 2 * SLOT_SIZE else SLOT_SIZE
    _, instruction = next(walk(memoryview(code)[offset : offset + length], byteorder))
    return instruction


@names_wrong_arguments
def encode(instructions: Iterable[Instruction], byteorder: ByteOrder = "little") -> bytes:
    """The packed code of `instructions`.

    Raises AssemblerError for a field that does not fit its place: a register above 15,
    an offset outside signed 16 bits, an immediate outside signed 32 bits.
    """
    pack = _SLOT[byteorder].pack
    little = byteorder == "little"
    packed: list[bytes] = []
    for index, insn in enumerate(instructions):
        if not isinstance(insn, Instruction):
            raise TypeError(f"instruction {index} is none: {insn!r:.80}")
        dst, src = (insn.dst, insn.src) if little else (insn.src, insn.dst)
        try:
            if not (0 <= dst <= 15 and 0 <= src <= 15):
                raise struct_error("a register number is 0 to 15")
            packed.append(pack(insn.opcode, src << 4 | dst, insn.offset, insn.imm))
            if insn.slots == 2:
                packed.append(pack(0, 0, 0, insn.imm_high))
            elif insn.imm_high:
                raise struct_error("only ld_imm64 has a second immediate")
        except struct_error as error:
            raise AssemblerError(
                f"instruction {index}, {insn}, cannot be packed: {error}"
            ) from None
    return b"".join(packed)


def _check_whole_slots(code: Buffer) -> None:
    excess = len(code) % SLOT_SIZE
    if excess:
        raise ObjectFormatError(
            f"code of {len(code)} bytes is not a whole number of {SLOT_SIZE}-byte instructions",
            offset=len(code) - excess,
        )


def _second_immediate(code: Buffer, slot: int, byteorder: ByteOrder) -> int | None:
    """The immediate of the second slot of an ld_imm64, None when there is no such slot."""
    start = slot * SLOT_SIZE
    if start >= len(code):
        return None
    opcode, registers, offset, imm = _SLOT[byteorder].unpack_from(code, start)
    return None if opcode or registers or offset else int(imm)
