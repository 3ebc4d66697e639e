"""The structures of the Arrow C data interface, prepared to be copied by `exports`.

https://arrow.apache.org/docs/format/CDataInterface.html. A prepared one has no `release`; its
`private_data` is the Python object that owns what it points to.
"""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from typing import Any

_NULLABLE = 2  # ARROW_FLAG_NULLABLE


class _ArrowSchema(ctypes.Structure):
    _fields_ = (
        ("format", ctypes.c_char_p),
        ("name", ctypes.c_char_p),
        ("metadata", ctypes.c_char_p),
        ("flags", ctypes.c_int64),
        ("n_children", ctypes.c_int64),
        ("children", ctypes.c_void_p),
        ("dictionary", ctypes.c_void_p),
        ("release", ctypes.c_void_p),
        ("private_data", ctypes.c_void_p),
    )


class _ArrowArray(ctypes.Structure):
    _fields_ = (
        ("length", ctypes.c_int64),
        ("null_count", ctypes.c_int64),
        ("offset", ctypes.c_int64),
        ("n_buffers", ctypes.c_int64),
        ("n_children", ctypes.c_int64),
        ("buffers", ctypes.c_void_p),
        ("children", ctypes.c_void_p),
        ("dictionary", ctypes.c_void_p),
        ("release", ctypes.c_void_p),
        ("private_data", ctypes.c_void_p),
    )


class Schema:
    """A prepared ArrowSchema at `address`: a type of Arrow's by its format, and a name."""

    def __init__(
        self,
        format_: str,
        name: str = "",
        *,
        nullable: bool = False,
        children: Sequence[Schema] = (),
        dictionary: Schema | None = None,
    ) -> None:
        self.format = format_
        self.name = name
        self.children = children
        # Names come from files, and must be UTF-8.
        self._strings = format_.encode(), name.encode("utf-8", "backslashreplace")
        pointers = _pointers([each.address for each in children])
        self._inner = children, pointers, dictionary
        self._structure = _ArrowSchema(
            format=self._strings[0],
            name=self._strings[1],
            flags=_NULLABLE if nullable else 0,
            n_children=len(children),
            children=ctypes.addressof(pointers),
            dictionary=dictionary.address if dictionary else None,
            private_data=id(self._strings),
        )
        self.address: int = ctypes.addressof(self._structure)


class Array:
    """A prepared ArrowArray at `address`. `buffers` are numpy arrays, or None for one that is
    left out; copies keep them."""

    def __init__(
        self,
        length: int,
        buffers: Sequence[Any] = (),
        *,
        nulls: int = 0,
        children: Sequence[Array] = (),
        dictionary: Array | None = None,
    ) -> None:
        starts = _pointers([0 if each is None else each.ctypes.data for each in buffers])
        self._owned = starts, tuple(buffers)
        pointers = _pointers([each.address for each in children])
        self._inner = children, pointers, dictionary
        self._structure = _ArrowArray(
            length=length,
            null_count=nulls,
            n_buffers=len(buffers),
            n_children=len(children),
            buffers=ctypes.addressof(starts),
            children=ctypes.addressof(pointers),
            dictionary=dictionary.address if dictionary else None,
            private_data=id(self._owned),
        )
        self.address: int = ctypes.addressof(self._structure)


def _pointers(addresses: list[int]) -> ctypes.Array[ctypes.c_void_p]:
    return (ctypes.c_void_p * max(len(addresses), 1))(*addresses)
