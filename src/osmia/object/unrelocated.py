"""Code without what its relocations will put there: the same, however a compiler left it."""

from __future__ import annotations

import struct

from osmia.object.model import Function, RelocationKind

#: The immediate of a call that a relocation against a function's symbol resolves.
_CALL = -1


def unrelocated_code(function: Function, byteorder: str) -> bytes:
    """The code with the immediates that ELF relocations against symbols count on.

    Addends of addresses stand in the instructions; calls, maps and functions have a fixed
    value. All of these are overwritten at load.
    """
    code = bytearray(function.code)
    imm = struct.Struct("<I" if byteorder == "little" else ">I")
    for relocation in function.relocations:
        match relocation.kind:
            case RelocationKind.CALL | RelocationKind.EXTERN_CALL:
                value = _CALL
            case RelocationKind.DATA | RelocationKind.EXTERN | RelocationKind.JUMP_TABLE:
                value = relocation.addend
            case RelocationKind.FUNCTION | RelocationKind.MAP:
                value = 0
            case _:
                continue
        imm.pack_into(code, relocation.offset + 4, value & 0xFFFF_FFFF)
    return bytes(code)
