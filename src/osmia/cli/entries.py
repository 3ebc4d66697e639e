"""Entries of maps as tables and as bpftool's JSON: typed where there is BTF, else hexadecimal."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from functools import cached_property
from typing import TYPE_CHECKING, Any

from osmia.cli.formats import Formats, says_more
from osmia.cli.json_values import typed
from osmia.cli.output import Output, hex_list
from osmia.cli.typed_text import print_entries, typed_text
from osmia.engine.maps import KeyedMap, MapOfMaps, ReferenceMap
from osmia.values import Codec

if TYPE_CHECKING:
    from osmia.cli.map_json import TypesOf


class Entries:
    """What the entries of a map are: keys and values as the kernel's bytes, shown both ways."""

    def __init__(self, source: KeyedMap, formats: Formats | None = None) -> None:
        self.map = source
        info = source.info
        typed_key = info.btf_id and info.btf_key_type_id
        typed_value = info.btf_vmlinux_value_type_id or (info.btf_id and info.btf_value_type_id)
        #: None where the bytes mean nothing that is known.
        self.key_codec = source.key_codec if typed_key else None
        self.value_codec = source.value_codec if typed_value else None
        if isinstance(source, ReferenceMap):
            self.value_codec = source.value_codec  # an id, whatever BTF says
        formats = formats or Formats()
        #: The same with what they mean, or are asked to: what people see and give.
        self.shown_key, self.shown_value = formats.map_types(
            source, source.name, self.key_codec, self.value_codec
        )
        formats.check(f"map {source.name!r}")
        #: Whether JSON shows what they mean beside the values.
        self.says_more = says_more(self.shown_key, self.shown_value)

    @cached_property
    def types(self) -> tuple[TypesOf, TypesOf]:
        """What writes typed keys and values as bpftool's JSON has them."""
        from osmia.cli.map_json import types_of  # much of types, which tables do without

        return types_of(self.map, self.key_codec, self.value_codec)

    def describe(self, key: bytes, value: bytes) -> dict[str, Any]:
        """One entry as JSON has it: the bytes, typed values under "formatted", as bpftool has them,
        and under "shown" what these mean, if anything."""
        entry = self._entry(key, value, hex_list, hex_list)
        if isinstance(self.map, MapOfMaps):
            entry["inner_map_id"] = int.from_bytes(value, sys.byteorder)
        if self.key_codec or self.value_codec:
            entry["formatted"] = self._entry(key, value, *(each.writer for each in self.types))
        if self.says_more:
            entry["shown"] = self._typed(key, value, self.shown_key, self.shown_value)
        return entry

    def print(self, output: Output, key: bytes, value: bytes) -> None:
        """A table of one entry."""
        entries = [self._decoded(key, value)]
        cpus = bool(self.map.cpus)
        print_entries(output, self.shown_key, self.shown_value, entries, per_cpu=cpus)

    def key_text(self, key: bytes) -> str:
        """A key, typed or in hexadecimal."""
        return typed_text(self.shown_key, _value(self.shown_key, key))

    def _decoded(self, key: bytes, value: bytes) -> tuple[Any, Any]:
        codec = self.shown_value
        if self.map.cpus:
            return _value(self.shown_key, key), [
                _value(codec, part) for part in self._by_cpu(value)
            ]
        return _value(self.shown_key, key), _value(codec, value)

    def _typed(
        self, key: bytes, value: bytes, key_codec: Codec | None, value_codec: Codec | None
    ) -> dict[str, Any]:
        return self._entry(key, value, _decoder(key_codec), _decoder(value_codec))

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


def _decoder(codec: Codec | None) -> Callable[[bytes], Any]:
    return hex_list if codec is None else lambda data: typed(codec, codec.decode(data), data)


def _value(codec: Codec | None, data: bytes) -> Any:
    return data if codec is None else codec.decode(data)
