"""Where jumps in packed code go, and the same jumps written anew when code has moved.

A jump has 16 bits for its distance. One that goes farther becomes a `gotol` (32 bits, -mcpu=v4,
since Linux 6.6), a conditional one the opposite condition over a `gotol`. What is long already
stays long: a compiler had its reason.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping, Sequence
from itertools import compress, groupby
from struct import Struct

from osmia.errors import NotSupportedError
from osmia.isa import opcodes as op
from osmia.isa.instruction import Instruction
from osmia.isa.packing import Buffer, ByteOrder

_SLOT = {"little": Struct("<BBhi"), "big": Struct(">BBhi")}
_OFFSET = {"little": Struct("<h"), "big": Struct(">h")}
_IMM = {"little": Struct("<i"), "big": Struct(">i")}
_SHORT = range(-(1 << 15), 1 << 15)

#: Opcodes of instructions that may go somewhere, as a table for bytes.translate.
_GOES = bytes(
    Instruction(opcode).jump_offset is not None or opcode in (op.CALL, op.LD_IMM64)
    for opcode in range(256)
)
#: The condition that holds when another does not.
_OPPOSITE = {
    op.JmpOp.JEQ: op.JmpOp.JNE,
    op.JmpOp.JGT: op.JmpOp.JLE,
    op.JmpOp.JGE: op.JmpOp.JLT,
    op.JmpOp.JSGT: op.JmpOp.JSLE,
    op.JmpOp.JSGE: op.JmpOp.JSLT,
}
_OPPOSITE |= {other: condition for condition, other in _OPPOSITE.items()}
_BY_IMMEDIATE = (op.JA32, op.CALL, op.LD_IMM64)


def second_slots(code: Buffer) -> bytearray:
    """For each slot of `code` 1 where it is the second one of an ld_imm64, else 0."""
    packed = bytes(code)
    marks = bytearray(len(packed) // op.SLOT_SIZE)
    slot = packed[:: op.SLOT_SIZE].find(op.LD_IMM64)
    opcodes = packed[:: op.SLOT_SIZE]
    while slot >= 0:
        start = op.SLOT_SIZE * (slot + 1)
        if packed[start : start + 4] == b"\0\0\0\0":
            marks[slot + 1] = 1
        slot = opcodes.find(op.LD_IMM64, slot + 1)
    return marks


def destinations(code: Buffer, byteorder: ByteOrder = "little") -> dict[int, int]:
    """By the slot of each jump, subprogram call and subprogram address the slot it goes to.

    In order. `gotox` is none of them. Nothing says that an instruction is where one goes.
    """
    packed = bytes(code)
    opcodes = packed[:: op.SLOT_SIZE]
    read = _SLOT[byteorder].unpack_from
    found = {}
    for slot in compress(range(len(opcodes)), opcodes.translate(_GOES)):
        opcode, registers, offset, imm = read(packed, op.SLOT_SIZE * slot)
        if opcode in (op.CALL, op.LD_IMM64):
            source = registers >> 4 if byteorder == "little" else registers & 15
            kind = op.CallKind.SUBPROGRAM if opcode == op.CALL else op.LoadKind.FUNCTION
            if source == kind:
                found[slot] = slot + 1 + imm
        else:
            found[slot] = slot + 1 + (imm if opcode == op.JA32 else offset)
    return found


def placed(slot: int, added: Sequence[int]) -> int:
    """Where a slot is once `place_jumps` has added some."""
    return slot + bisect_left(added, slot)


def place_jumps(
    code: Buffer,
    goes_to: Mapping[int, int],
    byteorder: ByteOrder = "little",
    *,
    long_jumps: bool = True,
) -> tuple[bytes, list[int]]:
    """`code` with jumps, calls and addresses that go to where `goes_to` says, slot by slot.

    Gives the code and, ascending, the slot of a conditional jump for each slot that was added
    behind it (`placed` says where others are then). Without `long_jumps` NotSupportedError is
    raised for a jump that would have to be long.
    """
    added = _added(code, goes_to)
    packed = bytearray(_with_room(code, added))
    long = frozenset(added)
    imm, offset = _IMM[byteorder], _OFFSET[byteorder]
    for slot, target in goes_to.items():
        at, to = (placed(slot, added), placed(target, added)) if added else (slot, target)
        start, distance = op.SLOT_SIZE * at, to - at - 1
        if slot in long:
            _write_long_condition(packed, at, to, byteorder)
        elif packed[start] in _BY_IMMEDIATE:
            imm.pack_into(packed, start + 4, distance)
            continue
        elif distance in _SHORT:
            offset.pack_into(packed, start + 2, distance)
            continue
        else:
            _SLOT[byteorder].pack_into(packed, start, op.JA32, 0, 0, distance)
        if not long_jumps:
            raise NotSupportedError(
                f"the jump at slot {at} of the new code goes {distance} slots, and 16 bits do"
                " not reach so far without gotol",
                since="6.6",
            )
    return bytes(packed), added


def _added(code: Buffer, goes_to: Mapping[int, int]) -> list[int]:
    """The slots that conditional jumps which go too far need, as `place_jumps` gives them.

    Each makes others go farther, and none ever goes less far: this ends.
    """
    added: list[int] = []
    if len(code) // op.SLOT_SIZE in _SHORT:
        return added
    near = [
        (slot, target, room)
        for slot, target in goes_to.items()
        if (room := _room(code[op.SLOT_SIZE * slot]))
    ]
    while True:
        far = {
            slot
            for slot, target, _ in near
            if placed(target, added) - placed(slot, added) - 1 not in _SHORT
        }
        if not far:
            return added
        added += [slot for slot, _, room in near if slot in far for _ in range(room)]
        added.sort()
        near = [each for each in near if each[0] not in far]


def _room(opcode: int) -> int:
    """How many more slots a jump takes when its distance does not fit."""
    if opcode in _BY_IMMEDIATE or opcode == op.JA:
        return 0
    return 1 if opcode & op.OPERATION_MASK in _OPPOSITE else 2


def _with_room(code: Buffer, added: Sequence[int]) -> bytes:
    view, begin = memoryview(code), 0
    pieces: list[Buffer] = []
    for slot, several in groupby(added):
        end = op.SLOT_SIZE * (slot + 1)
        pieces += [view[begin:end], bytes(op.SLOT_SIZE * len(list(several)))]
        begin = end
    return b"".join([*pieces, view[begin:]])


def _write_long_condition(code: bytearray, at: int, to: int, byteorder: ByteOrder) -> None:
    """`if … goto` as `if not … goto +1; gotol`; without an opposite `goto +1` is in between."""
    pack = _SLOT[byteorder].pack_into
    start = op.SLOT_SIZE * at
    opposite = _OPPOSITE.get(op.JmpOp(code[start] & op.OPERATION_MASK))
    _OFFSET[byteorder].pack_into(code, start + 2, 1)
    if opposite is None:
        at += 1
        pack(code, op.SLOT_SIZE * at, op.JA, 0, 1, 0)
    else:
        code[start] = code[start] & ~op.OPERATION_MASK | opposite
    at += 1
    pack(code, op.SLOT_SIZE * at, op.JA32, 0, 0, to - at - 1)
