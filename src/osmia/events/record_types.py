"""Which type the records of a ring or perf buffer have, where the map does not tell it."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from osmia.btf import Kind
from osmia.object.model import Object
from osmia.values import Codec, codec

if TYPE_CHECKING:
    import numpy

#: Perf buffers pad samples to multiples of 8, header included: up to so many bytes more.
_PADDING = 7


class PresumedCodec:
    """Decodes records of the size that the type has; others stay bytes.

    For types that were guessed, and for buffers with records of several types.
    """

    def __init__(self, presumed: Codec) -> None:
        self.codec = presumed
        self.size = presumed.size

    @property
    def decode(self) -> Callable[[bytes], Any]:
        """Turns a record into its value, or gives it back."""
        decode, size = self.codec.decode, self.size

        def decode_fitting(record: bytes) -> Any:
            return decode(record[:size]) if size <= len(record) <= size + _PADDING else record

        return decode_fitting

    def dtype(self) -> numpy.dtype[Any]:
        """The numpy type of the records that fit."""
        return self.codec.dtype()


def presumed_record_codec(obj: Object, map_name: str) -> PresumedCodec | None:
    """A codec for the records of a buffer whose map names no type, by what sources name them.

    That is the struct with the map's name (without a plural's s), else the only one called
    `event`, `event_…`, `…_event` or `…_event_t`. None when there is no such struct, or more
    than one.
    """
    if obj.btf is None:
        return None
    names = {obj.btf.name_of(i): i for i in obj.btf if obj.btf.kind_of(i) == Kind.STRUCT}
    singular = map_name.removesuffix("s")
    found = [i for name, i in names.items() if name in (map_name, singular)]
    if not found:
        pattern = re.compile(r"event|event_.+|.+_event(_t)?")
        found = [i for name, i in names.items() if pattern.fullmatch(name)]
    return PresumedCodec(codec(obj.btf, found[0])) if len(found) == 1 else None
