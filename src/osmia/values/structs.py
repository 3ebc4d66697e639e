"""`StructCodec`: structs and unions, whole or from their parts."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

from osmia.errors import CodecError
from osmia.values.arrays import ArrayCodec, BytesCodec
from osmia.values.base import RAW_BYTES, Buffer, ByteOrder, Codec, Decode, meant
from osmia.values.fields import Field
from osmia.values.names import unknown_name
from osmia.values.scalars import IntCodec
from osmia.values.struct_value import Struct, StructClass

if TYPE_CHECKING:
    import numpy


class StructCodec(Codec):
    """A struct or union: a `Struct` of its own class, which `type` is.

    Encodes such a value, any mapping of field names (what is not named is zero, as in
    C), or a sequence with a value for every field.
    """

    def __init__(
        self, fields: Sequence[Field], size: int, type_name: str, byteorder: ByteOrder
    ) -> None:
        super().__init__(size, type_name, byteorder)
        self.fields = tuple(fields)
        self.by_name = {field.name: field for field in fields}
        self.flexible = next((field for field in fields if field.flexible), None)
        self.exact = False
        self.weight = 1 + sum(field.codec.weight for field in fields)

    @cached_property
    def _class(self) -> StructClass:
        return StructClass(self)

    @cached_property
    def fixed(self) -> StructCodec:
        """The same without a tail: a flexible array is always empty."""
        if self.flexible is None:
            return self
        fields = [field._replace(flexible=False) for field in self.fields]
        return StructCodec(fields, self.size, self.type_name, self.byteorder)

    @property
    def type(self) -> type[Struct]:
        """The class of the values. Calling it makes one: `Flow(saddr=1)`."""
        return self._class.type

    @cached_property
    def _signature(self) -> tuple[object, ...]:
        return tuple(field.signature for field in self.fields)

    def _compile_decoder(self) -> Decode:
        return self._class.compile_decoder()

    def encode(self, value: Any) -> bytes:
        """The bytes of a value, a mapping, a sequence or just these bytes. Raises CodecError.

        A struct with a flexible array has the bytes of its tail too.
        """
        if isinstance(value, Struct):
            made = self._class
            return made.bytes_of(value) if type(value) is made.type else self._encode_struct(value)
        if isinstance(value, RAW_BYTES):
            return self._exact_bytes(value)
        try:
            return self._encode(value)
        except CodecError as error:
            return meant(self, value, error)

    def _encode_struct(self, value: Struct) -> bytes:
        codec = value._codec
        # The same layout from other BTF, such as the kernel's copy of this type: its
        # bytes carry padding and overlapping members, its fields may not.
        alike = isinstance(codec, StructCodec) and codec._signature == self._signature
        if alike and codec.size == self.size:
            return codec.bytes_of(value)
        return self._encode(dict(value))

    def _encode(self, value: Any) -> bytes:
        buffer = bytearray(self.size)
        self._fill(buffer, self._named(value))
        return bytes(buffer)

    def _named(self, value: Any) -> Mapping[Any, Any]:
        if isinstance(value, Mapping):
            return value
        if "fd" in self.by_name and hasattr(value, "fileno"):
            return {"fd": value}  # a program in struct bpf_devmap_val, by itself
        if isinstance(value, str) or not isinstance(value, Sequence):
            raise self._refuse(value)
        if len(value) != len(self.fields):
            problem = f"{self.type_name} has {len(self.fields)} fields, not {len(value)}"
            raise CodecError(problem)
        if self.overlapping:
            raise CodecError(f"{self.type_name} has members that overlap; name the one to set")
        return dict(zip(self.by_name, value, strict=True))

    @cached_property
    def _integers(self) -> dict[str, tuple[Callable[..., None], int]]:
        """The quick way for what most fields are; it says nothing useful when it fails."""
        return {
            field.name: (field.codec.packer.pack_into, field.offset)
            for field in self.fields
            if field.bits is None and isinstance(field.codec, IntCodec)
        }

    @cached_property
    def overlapping(self) -> bool:
        """Whether some members share bits, as those of a union do."""
        end = 0
        for start, stop in sorted(map(_bit_span, self.fields)):
            if start < end:
                return True
            end = max(end, stop)
        return False

    def _fill(self, buffer: bytearray, values: Mapping[Any, Any]) -> None:
        for name, value in values.items():
            if quick := self._integers.get(name):
                try:
                    quick[0](buffer, quick[1], value)
                    continue
                except struct.error:
                    if name == "fd" and hasattr(value, "fileno"):
                        quick[0](buffer, quick[1], value.fileno())
                        continue
            field = self.by_name.get(name)
            if field is None:
                raise CodecError(unknown_name(self.type_name, name, self.by_name))
            if field.flexible:
                self._write_tail(field, buffer, value)
            else:
                field.write(buffer, value)

    def construct(self, args: tuple[Any, ...], fields: Mapping[str, Any]) -> Struct:
        """What `type(...)` makes: positions as in C, names as in C."""
        if len(args) > len(self.fields):
            raise CodecError(f"{self.type_name} has {len(self.fields)} fields, not {len(args)}")
        named = dict(zip(self.by_name, args, strict=False))
        if repeated := named.keys() & fields.keys():
            raise CodecError(f"given twice: {', '.join(sorted(repeated))}")
        made: Struct = self.decode(self._encode(named | self._field_names(fields)))
        return made

    def replace(self, value: Struct, changes: Mapping[str, Any]) -> Struct:
        """A copy of `value` with some fields changed."""
        buffer = bytearray(self.bytes_of(value))
        self._fill(buffer, self._field_names(changes))
        made: Struct = self.decode(bytes(buffer))
        return made

    def _field_names(self, arguments: Mapping[str, Any]) -> dict[str, Any]:
        """Keyword arguments may say `from_` where the field is `from`."""
        return {
            name[:-1] if name not in self.by_name and name[:-1] in self.by_name else name: value
            for name, value in arguments.items()
        }

    def bytes_of(self, value: Struct) -> bytes:
        """The bytes of a value of `type`, padding included."""
        return self._class.bytes_of(value)

    def read_tail(self, field: Field, raw: bytes) -> Any:
        """The flexible array's elements: as many as there are bytes for.

        There are none in a struct of just its own size, whose last bytes may be padding.
        """
        tail = field.codec
        assert isinstance(tail, ArrayCodec | BytesCodec)
        count = 0
        if len(raw) > self.size and tail.element_size:
            count = (len(raw) - field.offset) // tail.element_size
        return tail.resized(count).decode(raw, field.offset)

    def _write_tail(self, field: Field, buffer: bytearray, value: Any) -> None:
        try:
            encoded = _encode_tail(field.codec, value)
        except CodecError as error:
            raise CodecError(error.message, path=f".{field.name}{error.path}") from None
        # A tail shorter than the padding at the struct's end leaves its size alone.
        buffer[field.offset :] = encoded.ljust(self.size - field.offset, b"\0")

    def _exact_bytes(self, value: bytes | bytearray | memoryview) -> bytes:
        data = bytes(value)
        if self.flexible is not None and len(data) >= self.size:
            return data
        return super()._exact_bytes(data)

    def iter_decode(self, buffer: Buffer) -> Iterator[Struct]:
        """The values that lie one after the other in `buffer`; flexible arrays are empty."""
        if self.flexible is not None:
            return self.fixed.iter_decode(buffer)
        return super().iter_decode(buffer)

    def dtype(self) -> numpy.dtype[Any]:
        """A structured type with the same bytes; bitfields as storage units.

        See `osmia.values.columns`, and `column` for the values of one field.
        """
        from osmia.values.columns import struct_dtype

        return struct_dtype(self)

    def column(self, array: numpy.ndarray[Any, Any], name: str) -> numpy.ndarray[Any, Any]:
        """One field of an array of `dtype()`: a view, or for a bitfield its values.

        Raises KeyError for an unknown name.
        """
        from osmia.values.columns import column

        return column(self, array, name)

    def initialiser(self, value: Any) -> str:
        if not isinstance(value, Struct):
            value = self.decode(self.encode(value))
        parts = [f".{field.name} = {_initialise(field, value)}" for field in self.fields]
        return "{" + ", ".join(parts) + "}"


def _encode_tail(tail: Codec, value: Any) -> bytes:
    """The bytes of a flexible array: as many elements as `value` has."""
    assert isinstance(tail, ArrayCodec | BytesCodec)
    if isinstance(value, RAW_BYTES):
        if len(bytes(value)) % tail.element_size:
            raise CodecError(f"{len(value)} bytes are no whole number of elements")
        return bytes(value)
    if isinstance(value, str):
        size = len(value.encode("utf-8", "surrogatepass"))
        return tail.resized(size).encode(value)
    if not isinstance(value, Iterable):
        raise CodecError(f"{type(value).__name__} is no value for a flexible array")
    elements = list(value)
    return tail.resized(len(elements)).encode(elements)


def _initialise(field: Field, value: Struct) -> str:
    return field.codec.initialiser(value[field.name])


def _bit_span(field: Field) -> tuple[int, int]:
    if field.bits is None:
        return 8 * field.offset, 8 * (field.offset + field.codec.size)
    bits = field.bits
    # From the front in either byte order.
    skipped = bits.shift
    if field.codec.byteorder == "big":
        skipped = 8 * bits.size - bits.shift - bits.width
    start = 8 * bits.offset + skipped
    return start, start + bits.width
