"""Enumerations: integers that know their names."""

from __future__ import annotations

import operator
from collections.abc import Iterable
from types import MappingProxyType
from typing import Any, ClassVar

from osmia.errors import CodecError
from osmia.values.base import ByteOrder
from osmia.values.names import attribute_names, unknown_name
from osmia.values.scalars import IntCodec


class EnumMember(int):
    """A value of a C enum: an `int` that prints as its name.

    Every enum has a class of its own below this one, with the enumerators as
    attributes. A value without a name prints as its number.
    """

    __slots__ = ()

    #: Enumerators of the type, in order; several may have one value.
    members: ClassVar[MappingProxyType[str, int]] = MappingProxyType({})
    _names: ClassVar[dict[int, str]] = {}

    @property
    def name(self) -> str | None:
        """The first enumerator with this value; None when there is none."""
        return self._names.get(int(self))

    @property
    def value(self) -> int:
        """The number alone."""
        return int(self)

    def __repr__(self) -> str:
        return self.name or int.__repr__(self)

    __str__ = __repr__

    def __reduce__(self) -> tuple[type[int], tuple[int]]:
        # The class exists in this process only; elsewhere the number is what is left.
        return int, (int(self),)


#: Names that no enumerator takes as an attribute.
RESERVED_IN_ENUMS = frozenset(dir(EnumMember))


class _Members(dict[int, EnumMember]):
    """One object per named value; others are made when they are met, and not kept."""

    def __init__(self, enum: type[EnumMember]) -> None:
        super().__init__((value, enum(value)) for value in enum._names)
        self._enum = enum

    def __missing__(self, value: int) -> EnumMember:
        return self._enum(value)


class EnumCodec(IntCodec):
    """An enum of 1, 2, 4 or 8 bytes: an `EnumMember`. Names are accepted for values."""

    def __init__(
        self,
        values: Iterable[tuple[str, int]],
        size: int,
        signed: bool,
        type_name: str,
        byteorder: ByteOrder,
    ) -> None:
        super().__init__(size, signed, type_name, byteorder)
        self.type = _enum_class(dict(values), type_name)
        #: Value → member, for any number.
        self.by_value = _Members(self.type)

    def from_raw(self, raw: Any) -> EnumMember:
        return self.by_value[raw]

    def _encode(self, value: Any) -> bytes:
        return super()._encode(self.number(value))

    def number(self, value: Any) -> Any:
        """The number for an enumerator's name; anything else as it is."""
        if not isinstance(value, str):
            return value
        try:
            return self.type.members[value]
        except KeyError:
            raise CodecError(unknown_name(self.type_name, value, self.type.members)) from None

    def initialiser(self, value: Any) -> str:
        return str(self.by_value[operator.index(value)])


def _enum_class(members: dict[str, int], type_name: str) -> type[EnumMember]:
    names: dict[int, str] = {}
    for name, value in members.items():
        names.setdefault(value, name)
    tag = type_name.rpartition(" ")[2]
    namespace: dict[str, Any] = {
        "__slots__": (),
        "__doc__": type_name,
        "members": MappingProxyType(members),
        "_names": names,
    }
    enum = type(tag if tag.isidentifier() else "enum", (EnumMember,), namespace)
    # Enumerators are untrusted names: none may replace a method of int.
    for name, attribute in attribute_names(members, RESERVED_IN_ENUMS).items():
        setattr(enum, attribute, enum(members[name]))
    return enum
