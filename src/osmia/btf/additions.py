"""Types and strings put behind those of a BTF, whose own ids and offsets stay as they are."""

from __future__ import annotations

import struct

from osmia.btf.layout import struct_order
from osmia.btf.reader import BTF
from osmia.btf.types import Int, Kind

_SIGNED_32 = 1 << 24 | 32  # encoding and bits


class Additions:
    """What is to be appended to `btf`; nothing is, until somebody needs it.

    `next_id` is the id that the next type will have.
    """

    def __init__(self, btf: BTF) -> None:
        self._btf = btf
        self._order = struct_order(btf.byteorder)
        self.next_id = len(btf)
        self._types = bytearray()
        self._strings = bytearray()
        self._integer = 0

    def add_string(self, text: str) -> int:
        """The offset of a new string."""
        offset = self._btf.string_size + len(self._strings)
        self._strings += text.encode("utf-8", "surrogateescape") + b"\0"
        return offset

    def add_type(self, *words: int) -> int:
        """The id of a new type, given as the words of its record."""
        self._types += struct.pack(f"{self._order}{len(words)}I", *words)
        self.next_id += 1
        return self.next_id - 1

    def integer(self) -> int:
        """An integer of 32 bits: the first that is there, else a new one."""
        if not self._integer:
            self._integer = self._find_integer() or self.add_type(
                self.add_string("int"), int(Kind.INT) << 24, 4, _SIGNED_32
            )
        return self._integer

    def _find_integer(self) -> int:
        for type_id in self._btf.ids_of_kind(Kind.INT):
            found = self._btf.type(type_id)
            if isinstance(found, Int) and found.bits == 32:
                return type_id
        return 0

    def append_to(self, data: bytearray) -> bytes:
        """`data` (the BTF's bytes, perhaps changed) with the additions."""
        if not self._types and not self._strings:
            return bytes(data)
        size, types_at, types_size, strings_at, strings_size = struct.unpack_from(
            f"{self._order}5I", data, 4
        )
        types_at, strings_at = size + types_at, size + strings_at
        types = data[types_at : types_at + types_size] + self._types
        strings = data[strings_at : strings_at + strings_size] + self._strings
        header = (size, 0, len(types), len(types), len(strings))
        struct.pack_into(f"{self._order}5I", data, 4, *header)
        return bytes(data[:size] + types + strings)
