"""Probes for kinds of BTF: the smallest BTF that has the kind."""

from __future__ import annotations

import os
import struct

from osmia.kernel.sys import syscall
from osmia.kernel.sys.token import current_token

# enum values of include/uapi/linux/btf.h
_INT, _FUNC, _FUNC_PROTO, _VAR, _DATASEC = 1, 12, 13, 14, 15
_FLOAT, _DECL_TAG, _TYPE_TAG, _ENUM64 = 16, 17, 18, 19
_STATIC, _GLOBAL = 0, 1
#: The string section: every name is "x" (offset 1), which is valid for all that need one.
_NAME = 1
_STRINGS = b"\0x\0?x\0"
_QUESTION = 3


def _type(kind: int, size_or_type: int, *rest: int, count: int = 0, name: int = _NAME) -> bytes:
    words = (name, kind << 24 | count, size_or_type, *(word & 0xFFFF_FFFF for word in rest))
    return struct.pack(f"={len(words)}I", *words)


def _btf(*types: bytes) -> bytes:
    body = b"".join(types)
    header = struct.pack("=HBBIIIII", 0xEB9F, 1, 0, 24, 0, len(body), len(body), len(_STRINGS))
    return header + body + _STRINGS


_INTEGER = _type(_INT, 4, 32)
_PROTOTYPE = _type(_FUNC_PROTO, 0, name=0)
_VARIABLE = _type(_VAR, 1, _STATIC)

#: One integer: type 1 of everything here.
INTEGER = _btf(_INTEGER)

#: A function without arguments that returns the integer: type 3.
FUNCTION = _btf(_INTEGER, _type(_FUNC_PROTO, 1, name=0), _type(_FUNC, 2, count=_STATIC))

#: BTF that has the kind, by its name.
BTF_KINDS = {
    "func": _btf(_INTEGER, _PROTOTYPE, _type(_FUNC, 2, count=_STATIC)),
    "global func": _btf(_INTEGER, _PROTOTYPE, _type(_FUNC, 2, count=_GLOBAL)),
    "var, datasec": _btf(_INTEGER, _VARIABLE, _type(_DATASEC, 4, 2, 0, 4, count=1)),
    "?datasec": _btf(_INTEGER, _VARIABLE, _type(_DATASEC, 4, 2, 0, 4, count=1, name=_QUESTION)),
    "float": _btf(_type(_FLOAT, 4)),
    "decl_tag": _btf(_INTEGER, _VARIABLE, _type(_DECL_TAG, 2, -1)),
    "type_tag": _btf(_INTEGER, _type(_TYPE_TAG, 1)),
    "enum64": _btf(_type(_ENUM64, 8, _NAME, 0, 0, count=1)),
}


def loads(data: bytes) -> bool:
    """Whether the kernel accepts the BTF."""
    result, _needed = syscall.btf_load(data, len(data), token_fd=current_token())
    if result < 0:
        return False
    os.close(result)
    return True
