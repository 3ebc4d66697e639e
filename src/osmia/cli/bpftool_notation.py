"""JSON of values with bpftool's words for text, bytes and enumerators, for `formatters`."""

from __future__ import annotations

from typing import Any

from osmia.cli.bpftool_values import text_in
from osmia.cli.notation import FromBytes, Json, Remembered, dumps
from osmia.values import BytesCodec, Codec, EnumCodec, StringCodec


class BpftoolJson(Json):
    """What `bpftool_values` writes, of types that are regular."""

    def number(self, codec: Codec) -> tuple[str, Any] | None:
        if type(codec) is EnumCodec:
            return "rule[{}]", _Enumerators(codec, self)
        return super().number(codec)

    def of_bytes(self, codec: Codec, *, outermost: bool = False) -> FromBytes:
        if type(codec) is StringCodec and not codec.by_name:
            return Remembered(lambda data: _text(codec, data)).__getitem__
        if isinstance(codec, BytesCodec):
            return lambda data: _numbers(codec, data)
        return super().of_bytes(codec, outermost=outermost)


class _Enumerators(dict[int, str]):
    """Names by value; other values, also those of unsigned types, as signed numbers."""

    def __init__(self, codec: EnumCodec, notation: Json) -> None:
        super().__init__()
        self._sign = 1 << 8 * codec.size - 1
        wide = 1 << (63 if codec.size == 8 else 31)
        for value, name in codec.type._names.items():
            if name and self._signed(value) == (value + wide) % (2 * wide) - wide:
                self[value] = notation.enumerator(name)

    def _signed(self, value: int) -> int:
        return (value + self._sign) % (2 * self._sign) - self._sign

    def __missing__(self, value: int) -> str:
        return str(self._signed(value))


def _text(codec: StringCodec, data: bytes) -> str:
    text = text_in(data)
    return _numbers(codec, data) if text is None else dumps(text)


def _numbers(codec: BytesCodec, data: bytes) -> str:
    numbers = memoryview(data).cast("b" if codec.signed else "B")
    return str(numbers.tolist()).replace(" ", "")
