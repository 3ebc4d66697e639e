"""Columns of a table: what each holds, as numpy has it and as Arrow has it.

Arrow's formats: https://arrow.apache.org/docs/format/CDataInterface.html. Elements of array
columns are in fixed-size lists, one in the other where there are several dimensions.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar

from osmia.numpy_extra import numpy as np
from osmia.values.arrow.structures import Array as ArrowArray
from osmia.values.arrow.structures import Schema

Array = np.ndarray[Any, Any]

#: Formats by numpy's kind and size in bytes.
_PRIMITIVES = dict(
    zip(
        ["i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "f2", "f4", "f8"],
        "csilCSILefg",
        strict=True,
    )
)


class Column(ABC):
    """Values of one kind. `shape` begins with the number of rows; further numbers are those of
    arrays under each."""

    nullable: ClassVar[bool] = False

    def __init__(self, shape: Sequence[int]) -> None:
        self.shape = tuple(shape)

    @abstractmethod
    def numpy(self) -> Array:
        """The values, in the column's shape."""

    def pandas(self, pandas: Any) -> Any:
        """What a DataFrame is made of: rows of array columns are lists."""
        values = self.numpy()
        if values.ndim == 1:
            return values
        rows = np.empty(len(values), object)
        rows[:] = [row.tolist() for row in values]
        return rows

    def schema(self, name: str) -> Schema:
        """The column's type in Arrow."""
        schema = self._leaf_schema(name if len(self.shape) == 1 else "item")
        for level in range(len(self.shape) - 1, 0, -1):
            outer = name if level == 1 else "item"
            schema = Schema(f"+w:{self.shape[level]}", outer, children=[schema])
        return schema

    def arrow(self) -> ArrowArray:
        """The column's values in Arrow."""
        made = self._leaf_array(math.prod(self.shape))
        for level in range(len(self.shape) - 1, 0, -1):
            made = ArrowArray(math.prod(self.shape[:level]), [None], children=[made])
        return made

    @abstractmethod
    def _leaf_schema(self, name: str) -> Schema: ...

    @abstractmethod
    def _leaf_array(self, length: int) -> ArrowArray: ...


class Numbers(Column):
    """Integers and floating-point numbers of 1, 2, 4 or 8 bytes: a contiguous array in this
    machine's byte order."""

    def __init__(self, values: Array) -> None:
        super().__init__(values.shape)
        self.values = values

    def numpy(self) -> Array:
        return self.values

    def _leaf_schema(self, name: str) -> Schema:
        return Schema(_PRIMITIVES[f"{self.values.dtype.kind}{self.values.dtype.itemsize}"], name)

    def _leaf_array(self, length: int) -> ArrowArray:
        return ArrowArray(length, [None, self.values])


class Truths(Column):
    """Truth values."""

    def __init__(self, values: Array) -> None:
        super().__init__(values.shape)
        self.values = values

    def numpy(self) -> Array:
        return self.values

    def _leaf_schema(self, name: str) -> Schema:
        return Schema("b", name)

    def _leaf_array(self, length: int) -> ArrowArray:
        return ArrowArray(length, [None, np.packbits(self.values, bitorder="little")])


class Times(Column):
    """Moments in UTC, in ns since 1970; where `known` is False there is none."""

    nullable = True

    def __init__(self, ns: Array, known: Array) -> None:
        super().__init__(ns.shape)
        self.ns = ns
        self.known = known

    def numpy(self) -> Array:
        values = self.ns.view("datetime64[ns]").copy()
        values[~self.known] = np.datetime64("NaT")
        return values

    def pandas(self, pandas: Any) -> Any:
        if len(self.shape) == 1:
            return pandas.Series(self.numpy()).dt.tz_localize("UTC")
        rows = np.empty(len(self.ns), object)
        for index, row in enumerate(self.numpy().reshape(len(rows), -1)):
            rows[index] = list(pandas.DatetimeIndex(row, tz="UTC"))
        return rows

    def _leaf_schema(self, name: str) -> Schema:
        return Schema("tsn:UTC", name, nullable=True)

    def _leaf_array(self, length: int) -> ArrowArray:
        nulls = int(length - np.count_nonzero(self.known))
        known = np.packbits(self.known, bitorder="little") if nulls else None
        return ArrowArray(length, [known, self.ns], nulls=nulls)


class Texts(Column):
    """Text: UTF-8, one after the other in `data`; `offsets` says where each begins, and the end."""

    def __init__(self, shape: Sequence[int], data: Array, offsets: Array) -> None:
        super().__init__(shape)
        self.data = data
        self.offsets = offsets

    @classmethod
    def of(cls, shape: Sequence[int], texts: Sequence[str]) -> Texts:
        """Of Python's text."""
        encoded = [text.encode() for text in texts]
        data = np.frombuffer(b"".join(encoded) or b"\0", np.uint8)
        return cls(shape, data, text_offsets([len(text) for text in encoded]))

    def numpy(self) -> Array:
        whole, offsets = self.data.tobytes(), self.offsets.tolist()
        made = np.empty(len(offsets) - 1, object)
        starts, ends = offsets[:-1], offsets[1:]
        made[:] = [str(whole[s:e], "utf-8") for s, e in zip(starts, ends, strict=True)]
        return made.reshape(self.shape)

    def _leaf_schema(self, name: str) -> Schema:
        return Schema("u" if self.offsets.dtype == np.int32 else "U", name)

    def _leaf_array(self, length: int) -> ArrowArray:
        return ArrowArray(length, [None, self.offsets, self.data])


class Names(Column):
    """Names of an enum's values: indices into `names`."""

    def __init__(self, codes: Array, names: Sequence[str]) -> None:
        super().__init__(codes.shape)
        self.codes = codes
        self.names = names

    def numpy(self) -> Array:
        names = np.empty(max(len(self.names), 1), object)
        names[: len(self.names)] = self.names
        made: Array = names[self.codes]
        return made

    def pandas(self, pandas: Any) -> Any:
        if len(self.shape) > 1:
            return super().pandas(pandas)
        return pandas.Categorical.from_codes(self.codes, list(self.names))

    def _leaf_schema(self, name: str) -> Schema:
        return Schema("i", name, dictionary=Schema("u"))

    def _leaf_array(self, length: int) -> ArrowArray:
        names = Texts.of([len(self.names)], self.names)
        return ArrowArray(length, [None, self.codes], dictionary=names.arrow())


class Binary(Column):
    """Bytes, as many in each: the last dimension of `values`."""

    def __init__(self, values: Array) -> None:
        super().__init__(values.shape[:-1])
        self.values = values

    @property
    def size(self) -> int:
        """Bytes of one."""
        return int(self.values.shape[-1])

    def numpy(self) -> Array:
        whole, size = self.values.tobytes(), self.size
        made = np.empty(math.prod(self.shape), object)
        made[:] = [self._value(whole[at : at + size]) for at in range(0, len(whole), size)]
        return made.reshape(self.shape)

    def _value(self, data: bytes) -> Any:
        return data

    def _leaf_schema(self, name: str) -> Schema:
        return Schema(f"w:{self.size}", name)

    def _leaf_array(self, length: int) -> ArrowArray:
        return ArrowArray(length, [None, self.values])


class WideIntegers(Binary):
    """Integers of other sizes than 1, 2, 4 and 8 bytes: Python's; their bytes in Arrow, which
    has no such numbers."""

    def __init__(self, values: Array, byteorder: Any, signed: bool) -> None:
        super().__init__(values)
        self._byteorder = byteorder
        self._signed = signed

    def _value(self, data: bytes) -> int:
        return int.from_bytes(data, self._byteorder, signed=self._signed)


def text_offsets(lengths: Any) -> Array:
    """Where texts of these lengths begin, and where the last ends: of 32 bits where that does."""
    offsets = np.zeros(len(lengths) + 1, np.int64)
    np.cumsum(lengths, out=offsets[1:])
    return offsets.astype(np.int32) if offsets[-1] < 1 << 31 else offsets
