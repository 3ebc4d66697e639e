"""`Struct`: the value of a C struct or union, and the class that each type gets.

A value is immutable and owns its bytes, so it can be kept, compared and used as a key.
Scalars are unpacked together when a value is made and lie in slots; everything that costs
more (text, arrays, nested structs, bitfields, what overlaps) is decoded when it is read,
from the bytes, which are then kept. A type of nothing but packed scalars keeps no bytes.
"""

from __future__ import annotations

import operator
import struct
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, ClassVar, NoReturn, Protocol, Self

from osmia.errors import CodecError
from osmia.values.arrays import StringCodec
from osmia.values.base import Buffer, Decode
from osmia.values.enums import EnumCodec
from osmia.values.fields import Bits, Field
from osmia.values.names import attribute_names, unknown_name
from osmia.values.scalars import BoolCodec, ScalarCodec

_Reader = Callable[[Any], Any]


class StructType(Protocol):
    """What a value needs of its type, which is a `StructCodec`."""

    type_name: str
    size: int

    @property
    def order(self) -> str:
        """The `struct` module's character for the byte order."""

    @property
    def fields(self) -> tuple[Field, ...]:
        """The members, in order."""

    @property
    def flexible(self) -> Field | None:
        """The last member, where it is an array without a size."""

    def construct(self, args: tuple[Any, ...], fields: Mapping[str, Any]) -> Struct:
        """A value of positions and names."""

    def replace(self, value: Struct, changes: Mapping[str, Any]) -> Any:
        """A copy with some fields changed."""

    def bytes_of(self, value: Struct) -> bytes:
        """The bytes of a value."""

    def read_tail(self, field: Field, raw: bytes) -> Any:
        """The elements of a flexible array."""

    def initialiser(self, value: Any) -> str:
        """A value as C would initialise it."""

    def too_short(self, buffer: Buffer, offset: int) -> CodecError:
        """What to raise where bytes are missing."""


class Struct:
    """A struct or union as a Python value: `flow.saddr`, `flow["saddr"]`, `dict(flow)`.

    It prints as C would initialise it, but for members that mean something: an address in a
    `__be32` is an `int` as in C, and printed as 10.0.0.1 (`osmia.values.meaning`).

    It is a read-only mapping of field names to values, in the order of declaration;
    members of anonymous structs and unions count as its own. Equal to any mapping with
    equal items. Padding, and what follows the NUL in text, is kept by `bytes(value)` and
    does not count for equality.

    A field whose name is a Python keyword or one of the methods below is read as
    `value["from"]`, or as `value.from_`.
    """

    __slots__ = ()

    _codec: ClassVar[StructType]
    _readers: ClassVar[dict[str, _Reader]]

    if TYPE_CHECKING:

        def __init__(self, *args: Any, **fields: Any) -> None: ...

        def __getattr__(self, name: str) -> Any: ...

    def keys(self) -> list[str]:
        """The names of the fields."""
        return list(self._readers)

    def values(self) -> list[Any]:
        """The values of the fields."""
        return [read(self) for read in self._readers.values()]

    def items(self) -> list[tuple[str, Any]]:
        """Names and values of the fields."""
        return [(name, read(self)) for name, read in self._readers.items()]

    def get(self, name: str, default: Any = None) -> Any:
        """The value of a field, or `default` where there is no such field."""
        reader = self._readers.get(name) if isinstance(name, str) else None
        return default if reader is None else reader(self)

    def to_dict(self, *, meaning: bool = False) -> dict[str, Any]:
        """Plain dictionaries and lists all the way down; byte arrays stay `bytes`.

        With `meaning` members are what `osmia.values.meaning` says of their type and name:
        addresses of `ipaddress`, ports and other numbers of network order as numbers, MAC
        addresses and text as `str`.
        """
        if meaning:
            from osmia.values.readable import meant_members

            return meant_members(self._codec, self)
        return {name: _plain(value) for name, value in self.items()}

    def replace(self, **changes: Any) -> Self:
        """A copy with some fields changed; all other bytes stay. Raises CodecError."""
        changed: Self = self._codec.replace(self, changes)
        return changed

    __replace__ = replace

    def __copy__(self) -> Struct:
        return self

    def __deepcopy__(self, memo: object) -> Struct:
        return self

    def __reduce__(self) -> NoReturn:
        name = self._codec.type_name
        raise TypeError(f"{name} exists in this process only; pickle value.to_dict() instead")

    def __getitem__(self, name: str) -> Any:
        try:
            reader = self._readers[name]
        except (KeyError, TypeError):
            message = unknown_name(self._codec.type_name, name, self._readers)
            raise KeyError(message) from None
        return reader(self)

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and name in self._readers

    def __iter__(self) -> Iterator[str]:
        return iter(self._readers)

    def __len__(self) -> int:
        return len(self._readers)

    def __bool__(self) -> bool:
        return True

    def __bytes__(self) -> bytes:
        return self._codec.bytes_of(self)

    def __eq__(self, other: object) -> bool:
        if self.__class__ is other.__class__:
            return self.values() == other.values()
        if isinstance(other, Mapping):
            return dict(self) == dict(other)
        return NotImplemented

    def __hash__(self) -> int:
        return hash(tuple(self.values()))

    def __repr__(self) -> str:
        from osmia.values.readable import readable

        codec: Any = self._codec
        return readable(codec, self)


# By registration, not by inheritance: the mixin methods of Mapping are slower, and
# `case {"saddr": address}` needs no more than this.
Mapping.register(Struct)


#: Names that no field takes as an attribute.
RESERVED = frozenset(dir(Struct)) | {"_codec", "_readers"}


def _plain(value: Any) -> Any:
    if isinstance(value, Struct):
        return value.to_dict()
    if isinstance(value, tuple):
        return [_plain(each) for each in value]
    return value


def _refuse_assignment(self: Struct, name: str, value: object = None) -> NoReturn:
    raise AttributeError(
        f"a value of {self._codec.type_name} is a copy and cannot be changed; "
        f"use value.replace({name}=...) and store the result"
    )


def _construct(cls: type[Struct], *args: Any, **fields: Any) -> Struct:
    made: Struct = cls._codec.construct(args, fields)
    return made


def eager_fields(fields: tuple[Field, ...]) -> tuple[Field, ...]:
    """The scalars that one `struct` format can unpack: none overlaps another."""
    candidates = [
        field for field in fields if field.bits is None and isinstance(field.codec, ScalarCodec)
    ]
    chosen = []
    end = 0
    for field in sorted(candidates, key=lambda field: field.offset):
        if field.offset >= end:
            chosen.append(field)
            end = field.offset + field.codec.size
    return tuple(chosen)


class StructClass:
    """Makes the class of one struct type, and the decoder that makes its values."""

    def __init__(self, codec: StructType) -> None:
        self.codec = codec
        self.eager = eager_fields(codec.fields)
        self.slots = [f"_slot{index}" for index in range(len(self.eager))]
        #: Whether the slots say everything, so that the bytes need not be kept.
        self.dense = (
            len(self.eager) == len(codec.fields)
            and all(field.codec.exact for field in self.eager)
            and sum(field.codec.size for field in self.eager) == codec.size
        )
        kept = [] if self.dense else ["_raw"]
        # Values are filled in as the mutable `builder` and then become the real class:
        # an assignment to a slot is ten times faster than a call of its descriptor.
        self.builder: type[Struct] = type("builder", (Struct,), {"__slots__": (*self.slots, *kept)})
        self.packer = struct.Struct(self._format())
        self.bytes_of = self._compile_bytes_of()
        self.type = self._make_type()

    def _format(self) -> str:
        parts, end = [self.codec.order], 0
        for field in self.eager:
            parts += [f"{field.offset - end}x", field.codec.code]
            end = field.offset + field.codec.size
        parts.append(f"{self.codec.size - end}x")
        return "".join(parts)

    def _make_type(self) -> type[Struct]:
        codec = self.codec
        slot_of = {field.name: slot for field, slot in zip(self.eager, self.slots, strict=True)}
        names = [field.name for field in codec.fields]
        attributes = attribute_names(names, RESERVED | set(self.builder.__slots__))
        namespace: dict[str, Any] = {
            "__slots__": (),
            "__doc__": f"{codec.type_name}, {codec.size} bytes",
            "__match_args__": tuple(attributes.values()),
            "__new__": _construct,
            "__setattr__": _refuse_assignment,
            "__delattr__": _refuse_assignment,
            "_codec": codec,
            "_readers": {},
        }
        for field in codec.fields:
            descriptor: Any
            if slot := slot_of.get(field.name):
                descriptor = getattr(self.builder, slot)
                reader: _Reader = operator.attrgetter(slot)
            else:
                reader = _lazy_reader(codec, field)
                descriptor = property(reader, doc=field.codec.type_name)
            namespace["_readers"][field.name] = reader
            if attribute := attributes.get(field.name):
                namespace[attribute] = descriptor
        tag = codec.type_name.rpartition(" ")[2]
        return type(tag if tag.isidentifier() else "struct", (self.builder,), namespace)

    def compile_decoder(self) -> Decode:
        """A function from bytes to a value.

        The source consists of numbered slots and of numbers: no name from BTF gets in.
        """
        size = self.codec.size
        lines = [
            "def decode(buffer, offset=0):",
            "    value = builder()",
        ]
        targets = "".join(f"value.{slot}, " for slot in self.slots)
        if self.dense:
            lines += [
                "    try:",
                f"        {targets}= unpack_from(buffer, offset)" if targets else "        pass",
                "    except error:",
                "        raise too_short(buffer, offset) from None",
            ]
        else:
            end = "" if self.codec.flexible else f"offset + {size}"
            lines += [
                f"    value._raw = raw = bytes(buffer[offset:{end}])",
                f"    if len(raw) < {size}: raise too_short(buffer, offset)",
            ]
            lines += [f"    {targets}= unpack_from(raw)"] if targets else []
        names: dict[str, Any] = {
            "builder": self.builder,
            "final": self.type,
            "unpack_from": self.packer.unpack_from,
            "error": struct.error,
            "too_short": self.codec.too_short,
        }
        for slot, field in zip(self.slots, self.eager, strict=True):
            if isinstance(field.codec, EnumCodec):
                names[f"enum{slot}"] = field.codec.by_value
                lines.append(f"    value.{slot} = enum{slot}[value.{slot}]")
        lines += ["    value.__class__ = final", "    return value"]
        exec("\n".join(lines), names)
        compiled: Decode = names["decode"]
        return compiled

    def _compile_bytes_of(self) -> Callable[[Any], bytes]:
        """A function from a value of the class to the bytes that it was made from."""
        if not self.dense:
            return operator.attrgetter("_raw")
        if not self.slots:
            return lambda value: b""
        pack, slots = self.packer.pack, operator.attrgetter(*self.slots)
        if len(self.slots) == 1:
            return lambda value: pack(slots(value))
        return lambda value: pack(*slots(value))


def _lazy_reader(codec: StructType, field: Field) -> _Reader:
    if field.bits is not None:
        return _bitfield_reader(field, field.bits)
    if field.flexible:
        return lambda value: codec.read_tail(field, value._raw)
    if isinstance(field.codec, StringCodec):
        return _text_reader(field)
    offset = field.offset
    inner = field.codec

    def read(value: Any) -> Any:
        return inner.decode(value._raw, offset)

    return read


def _text_reader(field: Field) -> _Reader:
    """As StringCodec decodes, with one copy less: most events have text."""
    start, stop = field.span

    def read(value: Any) -> str:
        raw = value._raw
        end = raw.find(0, start, stop)
        return str(raw[start : stop if end < 0 else end], "utf-8", "surrogateescape")

    return read


def _bitfield_reader(field: Field, bits: Bits) -> _Reader:
    start, end, order = bits.offset, bits.offset + bits.size, field.codec.byteorder
    # What Bits.extract says, in one expression: sk_buff's readers are nothing but this.
    shift, mask = bits.shift, bits.mask
    sign = 1 << bits.width - 1 if bits.signed else 0
    from_bytes = int.from_bytes

    def read(value: Any) -> int:
        return ((from_bytes(value._raw[start:end], order) >> shift & mask) ^ sign) - sign

    if isinstance(field.codec, EnumCodec):
        by_value = field.codec.by_value
        return lambda value: by_value[read(value)]
    if isinstance(field.codec, BoolCodec):
        return lambda value: bool(read(value))
    return read
