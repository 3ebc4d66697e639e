"""Values as JSON can say them, in bpftool's shape: RFC 8259 has no Infinity, no half characters."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from enum import IntEnum, IntFlag
from typing import Any

from osmia.values import ArrayCodec, Codec, EnumMember, StringCodec, Struct, StructCodec
from osmia.values.meant import MeantCodec
from osmia.values.scalars import WideIntCodec
from osmia.values.struct_value import StructType

#: More bits are text: most readers of JSON would round the number.
_NUMBER_BITS = 64
_WIDEST_BITS = 128


def plain(value: Any) -> Any:
    """A value as JSON can say it: structs are objects, enumerators names, bytes numbers.

    Floats that are no numbers are the texts "NaN", "Infinity" and "-Infinity" (as protobuf's
    JSON has them); integers of more than 64 bits are hexadecimal text, and bytes within text
    that are no UTF-8 are escaped (`\\xc3`).
    """
    match value:
        case None | bool():
            return value
        case str():
            return _unicode(value)
        case float():
            return value if math.isfinite(value) else _not_finite(value)
        case EnumMember():
            return _unicode(value.name) if value.name else int(value)
        case IntFlag():
            return int(value)
        case IntEnum():
            return value.name.lower()
        case int():
            fits = -(1 << _NUMBER_BITS - 1) <= value < 1 << _NUMBER_BITS
            return int(value) if fits else hex(value % (1 << _WIDEST_BITS))
        case bytes() | bytearray():
            return list(value)
        case Struct():
            return _struct(value)
        case Mapping():
            return {str(plain(key)): plain(each) for key, each in value.items()}
        case _ if isinstance(value, Iterable):
            return [plain(each) for each in value]
    return _unicode(str(value))


def typed(codec: Codec | None, value: Any, raw: bytes | None = None) -> Any:
    """A value of a type that is known, as JSON: `plain`, and two things more, as bpftool has them.

    Text that is not printable is the array of its `char`s as numbers, from the bytes `raw` where
    they are known (a value of type str ends at the first NUL); __int128 is hexadecimal text,
    whatever its value.
    """
    match codec:
        case MeantCodec(kind="plain"):
            return typed(codec.inner, value, raw)
        case MeantCodec() if not isinstance(value, bytes) or len(value) == codec.size:
            return plain(codec.json(value))
        case StringCodec() if isinstance(value, str) and not value.isprintable():
            return _characters(codec, value, raw)
        case WideIntCodec() if isinstance(value, int) and 8 * codec.size > _NUMBER_BITS:
            return hex(value % (1 << 8 * codec.size))
        case ArrayCodec() if isinstance(value, list | tuple):
            element = codec.element
            if raw is None:
                return [typed(element, each) for each in value]
            starts = range(0, len(value) * element.size, element.size or 1)
            parts = (raw[start : start + element.size] for start in starts)
            return [typed(element, *each) for each in zip(value, parts, strict=True)]
        case StructCodec() if isinstance(value, Struct):
            return _struct(value, codec)
    return plain(value)


def _struct(value: Struct, codec: StructType | None = None) -> dict[str, Any]:
    raw = bytes(value)
    return {
        _unicode(name): typed(codec, value[name], raw[offset : offset + (codec.size or len(raw))])
        for name, codec, offset, *_ in (codec or value._codec).fields
    }


def _characters(codec: StringCodec, value: str, raw: bytes | None) -> list[int]:
    data = value.encode("utf-8", "surrogateescape").ljust(codec.size, b"\0")
    return list(memoryview(raw or data).cast("b"))


def _unicode(text: str) -> str:
    if text.isprintable():  # surrogates are not
        return text
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def _not_finite(value: float) -> str:
    if math.isnan(value):
        return "NaN"
    return "Infinity" if value > 0 else "-Infinity"
