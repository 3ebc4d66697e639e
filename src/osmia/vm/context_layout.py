"""The layout of a context: its fields, and which of them programs may read and write.

Field layouts: include/uapi/linux/bpf.h.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cached_property

from osmia.records import dataclass, field

# The name that type checkers know; `typing` is dear.
TYPE_CHECKING = False

if TYPE_CHECKING:
    from typing import Any

    from osmia.btf import BTF
    from osmia.values import Codec


@dataclass(frozen=True, slots=True)
class Field:
    """A field of a context: where it is, and how many bytes at a time programs may read and
    write of it (none: not at all), at multiples of that size."""

    offset: int
    size: int
    reads: tuple[int, ...] = ()
    writes: tuple[int, ...] = ()

    def covers(self, offset: int, size: int) -> bool:
        """Whether an access lies in this field."""
        return self.offset <= offset and offset + size <= self.offset + self.size


@dataclass(frozen=True)
class Layout:
    """A context's struct. `fields` is keyed by name; names of the data pointers are fixed."""

    name: str
    size: int
    fields: Mapping[str, Field] = field(default_factory=dict)
    packet: bool = False
    l2: bool = True  # whether the packet starts with its Ethernet header
    direct: bool = True  # whether data and data_end may be used
    changes: bool = True  # whether the packet may be written to

    @cached_property
    def declared(self) -> tuple[BTF, int]:
        """The struct with the types of include/uapi/linux/bpf.h: types, and its id in them."""
        from osmia.btf import BTFBuilder

        builder = BTFBuilder()
        kinds = {n: builder.add_int(f"__u{8 * n}", n) for n in (1, 4, 8)}
        members = []
        for field_name, place in self.fields.items():
            kind = kinds.get(place.size) or builder.add_array(kinds[4], kinds[4], place.size // 4)
            members.append((field_name, kind, 8 * place.offset))
        type_id = builder.add_struct(self.name, self.size, members)
        return builder.build(), type_id

    @cached_property
    def codec(self) -> Codec:
        """The struct's codec."""
        from osmia.values import codec

        return codec(*self.declared)

    def __getstate__(self) -> dict[str, Any]:
        """Results of runs, which know their context's layout, go to other processes."""
        return {name: value for name, value in vars(self).items() if name not in _MADE}

    def encode(self, values: Mapping[str, Any]) -> bytearray:
        """The struct's bytes for values by field name; CodecError for what does not fit."""
        data = bytearray(self.size)
        for name, value in values.items():
            place = self.fields.get(name)
            if place is None or type(value) is not int or value >> 8 * place.size:
                return bytearray(self.codec.encode(values))
            data[place.offset : place.offset + place.size] = value.to_bytes(place.size, "little")
        return data

    def decode(self, data: bytes) -> Any:
        """The struct's fields from its bytes, as the kernel engine gives them."""
        return self.codec.decode(data)


_PARTS = (1, 2, 4)
_MADE = ("codec", "declared")


def fields_of(text: str) -> Iterator[tuple[str, Field]]:
    """Fields from "name:size[flag]" words: readable in parts, or (w) only in whole words of 4
    bytes; those of 8 bytes, only whole. A name of _ is a hole."""
    offset = 0
    for word in text.split():
        name, _, rest = word.partition(":")
        size = int(rest.removesuffix("w"))
        if name != "_":
            narrow = (4,) if rest.endswith("w") else _PARTS
            yield name, Field(offset, size, (8,) if size == 8 else narrow)
        offset += size
