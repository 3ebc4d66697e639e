"""Maps that keep one value per possible CPU under each key."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from osmia.engine.maps.keyed import KeyedMap
from osmia.errors import CodecError
from osmia.object.uapi import MapType
from osmia.values import Codec


class PerCpuMap(
    KeyedMap,
    types=(MapType.PERCPU_HASH, MapType.LRU_PERCPU_HASH, MapType.PERCPU_CGROUP_STORAGE),
):
    """Values are lists indexed by CPU, `cpus` long: one value per *possible* CPU of the kernel,
    one per virtual CPU of a vm."""

    def decode_values(self, data: bytes) -> Iterator[list[Any]]:
        """The lists in undecoded bytes of several, one after the other."""
        return self._one_by_one(data)

    def _decoder(self, codec: Codec | None) -> Callable[[bytes], Any]:
        if codec is None:
            return super()._decoder(codec)
        decode, size = codec.decode, codec.size
        starts = range(0, self.entry_value_size, self.slot_size)

        def decode_all(data: bytes) -> list[Any]:
            return [decode(data[start : start + size]) for start in starts]

        return decode_all

    def _encoder(self, codec: Codec | None, role: str) -> Callable[[Any], bytes]:
        if codec is None or role != "value":
            return super()._encoder(codec, role)
        encode, padding = codec.encode, bytes(self.slot_size - codec.size)

        def encode_all(values: Any) -> bytes:
            if isinstance(values, bytes) and len(values) == self.entry_value_size:
                return values
            if isinstance(values, (str, bytes)) or not hasattr(values, "__len__"):
                raise CodecError(f"a list of {self.cpus} values is needed, one per possible CPU")
            if len(values) != self.cpus:
                raise CodecError(f"{len(values)} values given for {self.cpus} possible CPUs")
            return b"".join(encode(value) + padding for value in values)

        return encode_all
