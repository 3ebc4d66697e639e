"""Types with their meaning put in: what the command shows and takes.

`meant_codec(codec)` has the same bytes and the same decoded values. Members that mean something
are `MeantCodec`s in it, which write themselves in their notation and take it. A number that is
taken for one in network order is the number (443), where a Python value for C's variable is as
the bytes lie: the command line knows no htons.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cached_property
from typing import TYPE_CHECKING, Any, Protocol

from osmia.errors import CodecError
from osmia.values.arrays import ArrayCodec, BytesCodec, StringCodec
from osmia.values.base import Codec, Decode
from osmia.values.fields import Field
from osmia.values.structs import StructCodec

if TYPE_CHECKING:
    import numpy

    from osmia.values.meaning import Kind


class Asked(Protocol):
    """Meanings that somebody asked for."""

    def kind_of(self, path: str, codec: Codec) -> Kind | None:
        """What the member of a dotted path is to be; None: what it means by itself."""


class MeantCodec(Codec):
    """Values of `inner`, which mean `kind`: the same bytes and Python values, another notation."""

    def __init__(self, inner: Codec, kind: Kind) -> None:
        super().__init__(inner.size, inner.type_name, inner.byteorder)
        self.inner = inner
        self.kind = kind
        self.exact, self.weight = inner.exact, inner.weight

    @cached_property
    def _write(self) -> Callable[[Any], str]:
        from osmia.values.readable import writer

        return writer(self.kind, self.inner)

    def _compile_decoder(self) -> Decode:
        if self.kind == "hex" and isinstance(self.inner, StringCodec):  # what follows the NUL, too
            return BytesCodec(self.size, self.type_name, self.byteorder).decode
        return self.inner.decode

    def _encode(self, value: Any) -> bytes:
        from osmia.values.readable import NAMES, parse

        match self.kind:
            case "plain":
                return self.inner.encode(value)
            case "text" if isinstance(value, str):
                return StringCodec(self.size, self.type_name, self.byteorder).encode(value)
            case "port" | "be" if isinstance(value, int):
                return parse(self.kind, self.inner, str(int(value)))
            case "ipv4" if isinstance(value, int) and value:
                raise CodecError(
                    f"{value} for {self.type_name}: write {NAMES['ipv4']}, or the bytes"
                )
        if isinstance(value, str):
            return parse(self.kind, self.inner, value)
        return self.inner.encode(value)

    def dtype(self) -> numpy.dtype[Any]:
        return self.inner.dtype()

    def initialiser(self, value: Any) -> str:
        """`value` in the notation of its kind."""
        return self._write(value)

    @cached_property
    def text_of_bytes(self) -> Callable[[bytes], str]:
        """The notation of a value by its bytes: for many values, one after the other."""
        from osmia.values.readable import writer_of_bytes

        return writer_of_bytes(self.kind, self.inner)

    @property
    def json_is_quoted_text(self) -> bool:
        """Whether `json` gives what `text_of_bytes` does, without characters to escape."""
        return self.kind not in ("plain", "port", "be", "text", "ktime")

    def json(self, value: Any) -> Any:
        """`value` as JSON has it: numbers of network order and nanoseconds are numbers, all else is
        text in its notation. For "plain" it is the command's to say."""
        from osmia.values.readable import python_value

        match self.kind:
            case "port" | "be" | "text" | "ktime":
                return python_value(self.inner, value, kind=self.kind)
        return self._write(value)


def meant_codec(codec: Codec, name: str = "", asked: Asked | None = None, path: str = "") -> Codec:
    """The type with what its members mean under their names, or as was asked for `path`s, which
    begin with that of the whole. `codec` itself where nothing means anything."""
    from osmia.values.meaning import meaning

    kind = (asked and asked.kind_of(path, codec)) or meaning(codec, name)
    if kind == "text" and isinstance(codec, StringCodec):
        return codec  # is what it means
    if kind is not None:
        return MeantCodec(codec, kind)
    if isinstance(codec, ArrayCodec):
        return _meant_array(codec, name, asked, path)
    if not isinstance(codec, StructCodec):
        return codec
    fields = [_meant_field(field, asked, f"{path}.{field.name}") for field in codec.fields]
    if all(new is old for new, old in zip(fields, codec.fields, strict=True)):
        return codec
    return StructCodec(fields, codec.size, codec.type_name, codec.byteorder)


def _meant_array(codec: ArrayCodec, name: str, asked: Asked | None, path: str) -> Codec:
    element = meant_codec(codec.element, name, asked, path)
    if element is codec.element:
        return codec
    return ArrayCodec(element, codec.count, codec.type_name, codec.byteorder)


def meanings(codec: Codec) -> Iterator[Kind]:
    """What was put into a type."""
    match codec:
        case MeantCodec():
            yield codec.kind
        case ArrayCodec():
            yield from meanings(codec.element)
        case StructCodec():
            for field in codec.fields:
                yield from meanings(field.codec)


def _meant_field(field: Field, asked: Asked | None, path: str) -> Field:
    if field.bits is not None:
        return field
    made = field.codec
    if not field.flexible:
        made = meant_codec(made, field.name, asked, path)
    elif isinstance(made, ArrayCodec):  # whose length is the value's to say
        made = _meant_array(made, field.name, asked, path)
    return field if made is field.codec else field._replace(codec=made)
