"""What bpftool's JSON has of maps: writers of their types, and entries that cannot be read."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

from osmia.btf import BTF, kernel_btf
from osmia.cli.bpftool_values import Writer, Writers, is_regular
from osmia.cli.json_values import typed
from osmia.cli.output import hex_list
from osmia.engine.maps import KeyedMap, Map, ReferenceMap
from osmia.kernel.sys.btf_objects import try_btf_from_id
from osmia.named_tuples import NamedTuple
from osmia.object import MapType
from osmia.values import Codec

#: Maps of which the kernel tells the keys, but mostly no values: each key's error is told.
_UNREADABLE = frozenset(
    {
        MapType.PERF_EVENT_ARRAY,
        MapType.CGROUP_ARRAY,
        MapType.SOCKMAP,
        MapType.SOCKHASH,
        MapType.REUSEPORT_SOCKARRAY,
        MapType.XSKMAP,
        MapType.DEVMAP,
        MapType.CPUMAP,
        MapType.SK_STORAGE,
        MapType.INODE_STORAGE,
        MapType.TASK_STORAGE,
        MapType.CGRP_STORAGE,
    }
)


class TypesOf(NamedTuple):
    """What keys or values of a map are: their codec and the type behind it, where both are known,
    and what writes one of them."""

    codec: Codec | None
    types: BTF | None
    type_id: int
    writer: Writer

    @property
    def is_regular(self) -> bool:
        """Whether `bpftool_notation` writes such values, too."""
        return self.types is None or is_regular(self.types, self.type_id)


def types_of(source: Map, key: Codec | None, value: Codec | None) -> tuple[TypesOf, TypesOf]:
    """Of keys and values, given their codecs; bytes that have none are written in hexadecimal."""
    info = source.info
    own = try_btf_from_id(info.btf_id) if info.btf_id else None
    if isinstance(source, ReferenceMap):  # ids, whatever BTF says
        return _types(own, info.btf_key_type_id, key), _types(None, 0, value)
    if not info.btf_vmlinux_value_type_id:
        of_value = _types(own, info.btf_value_type_id, value)
    else:
        kernel = try_btf_from_id(info.btf_vmlinux_id) if info.btf_vmlinux_id else kernel_btf()
        of_value = _types(kernel, info.btf_vmlinux_value_type_id, value)
    return _types(own, info.btf_key_type_id, key), of_value


def _types(types: BTF | None, type_id: int, codec: Codec | None) -> TypesOf:
    if types is None or codec is None or not type_id:
        return TypesOf(codec, None, 0, _decoder(codec))
    return TypesOf(codec, types, type_id, Writers(types).of(type_id))


def _decoder(codec: Codec | None) -> Writer:
    return hex_list if codec is None else lambda data: typed(codec, codec.decode(data), data)


def is_readable(found: Map) -> bool:
    """Whether it is a map whose entries can be looked up."""
    return isinstance(found, KeyedMap) and found.type not in _UNREADABLE


def told_entries(found: Map) -> Iterator[dict[str, Any]]:
    """The entries of a map that is not: what can be read, and each other key's error."""
    key = found.raw.next_key(None)
    while isinstance(key, bytes):
        value = found.raw.lookup(key)
        shown = hex_list(value) if isinstance(value, bytes) else {"error": os.strerror(value)}
        yield {"key": hex_list(key), "value": shown}
        key = found.raw.next_key(key)


def told_value(source: Map, value: bytes, codec: Codec | None) -> dict[str, Any]:
    """A value of a map without keys."""
    told: dict[str, Any] = {"key": [], "value": hex_list(value)}
    if source.info.btf_value_type_id:
        told["formatted"] = {"value": types_of(source, None, codec)[1].writer(value)}
    return told
