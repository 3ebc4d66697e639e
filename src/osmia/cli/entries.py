"""Map entries as tables and as bpftool's JSON: typed where there is BTF, else hexadecimal."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator
from functools import cached_property
from typing import TYPE_CHECKING, Any

from osmia.cli.output import Output, hex_list
from osmia.cli.typed_text import print_entries, typed_text
from osmia.engine.maps import KeyedMap, MapOfMaps, ReferenceMap
from osmia.values import Codec

if TYPE_CHECKING:
    from osmia.cli.bpftool_values import Writer

Pair = tuple[bytes, bytes]


class Entries:
    """The entries of a map. Keys and values are taken as the kernel's bytes and shown both ways."""

    def __init__(self, source: KeyedMap) -> None:
        self.map = source
        info = source.info
        typed_key = info.btf_id and info.btf_key_type_id
        typed_value = info.btf_vmlinux_value_type_id or (info.btf_id and info.btf_value_type_id)
        #: None where the bytes mean nothing that is known.
        self.key_codec = source.key_codec if typed_key else None
        self.value_codec = source.value_codec if typed_value else None
        if isinstance(source, ReferenceMap):
            self.value_codec = source.value_codec  # an id, whatever BTF says

    def __iter__(self) -> Iterator[Pair]:
        key_size, value_size = self.map.key_size, self.map.entry_value_size
        for keys, values in ((bytes(k), bytes(v)) for k, v in self.map.raw.read()):
            for index in range(len(keys) // key_size):
                key = keys[index * key_size : (index + 1) * key_size]
                yield key, values[index * value_size : (index + 1) * value_size]

    def described(self) -> Iterator[dict[str, Any]]:
        """All entries as JSON has them."""
        return (self.describe(key, value) for key, value in self)

    @cached_property
    def writers(self) -> tuple[Writer, Writer]:
        """What writes typed keys and values as bpftool's JSON has them."""
        from osmia.cli.map_json import writers  # of types, which tables do without

        return writers(self.map, self.key_codec, self.value_codec)

    def describe(self, key: bytes, value: bytes) -> dict[str, Any]:
        """One entry as JSON has it: the bytes, and typed values under "formatted"."""
        entry = self._entry(key, value, hex_list, hex_list)
        if isinstance(self.map, MapOfMaps):
            entry["inner_map_id"] = int.from_bytes(value, sys.byteorder)
        if self.key_codec is None and self.value_codec is None:
            return entry
        return {**entry, "formatted": self._entry(key, value, *self.writers)}

    def print(self, output: Output, pairs: Iterable[Pair] | None = None) -> None:
        """A table of all entries, or of `pairs`."""
        print_entries(
            output,
            self.key_codec,
            self.value_codec,
            (self._decoded(*pair) for pair in (self if pairs is None else pairs)),
            per_cpu=bool(self.map.cpus),
        )

    def key_text(self, key: bytes) -> str:
        """A key, typed or in hexadecimal."""
        return typed_text(self.key_codec, _value(self.key_codec, key))

    def _decoded(self, key: bytes, value: bytes) -> tuple[Any, Any]:
        codec = self.value_codec
        if self.map.cpus:
            return _value(self.key_codec, key), [
                _value(codec, part) for part in self._by_cpu(value)
            ]
        return _value(self.key_codec, key), _value(codec, value)

    def _entry(
        self,
        key: bytes,
        value: bytes,
        show_key: Callable[[bytes], Any],
        show_value: Callable[[bytes], Any],
    ) -> dict[str, Any]:
        if not self.map.cpus:
            return {"key": show_key(key), "value": show_value(value)}
        values = [
            {"cpu": cpu, "value": show_value(part)} for cpu, part in enumerate(self._by_cpu(value))
        ]
        return {"key": show_key(key), "values": values}

    def _by_cpu(self, value: bytes) -> Iterator[bytes]:
        for cpu in range(self.map.cpus):
            start = cpu * self.map.slot_size
            yield value[start : start + self.map.value_size]


def _value(codec: Codec | None, data: bytes) -> Any:
    return data if codec is None else codec.decode(data)
