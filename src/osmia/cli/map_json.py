"""What bpftool's JSON has of maps: writers of their types, and entries that cannot be read."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

from osmia.btf import BTF, kernel_btf
from osmia.cli.bpftool_values import Writer, Writers
from osmia.cli.json_values import typed
from osmia.cli.output import hex_list
from osmia.engine.maps import KeyedMap, Map, ReferenceMap
from osmia.engine.maps.info import MapInfo
from osmia.kernel.sys.btf_objects import try_btf_from_id
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


def writers(source: Map, key: Codec | None, value: Codec | None) -> tuple[Writer, Writer]:
    """What writes keys and values, given their codecs; bytes that have none are hexadecimal."""
    info = source.info
    own = try_btf_from_id(info.btf_id) if info.btf_id else None
    return (
        _writer(own, info.btf_key_type_id, key),
        _decoder(value) if isinstance(source, ReferenceMap) else _of_value(info, own, value),
    )


def _of_value(info: MapInfo, own: BTF | None, codec: Codec | None) -> Writer:
    if not info.btf_vmlinux_value_type_id:
        return _writer(own, info.btf_value_type_id, codec)
    types = try_btf_from_id(info.btf_vmlinux_id) if info.btf_vmlinux_id else kernel_btf()
    return _writer(types, info.btf_vmlinux_value_type_id, codec)


def _writer(types: BTF | None, type_id: int, codec: Codec | None) -> Writer:
    """The writer of a type, where its codec says that it fits the map."""
    if types is None or codec is None:
        return _decoder(codec)
    return Writers(types).of(type_id)


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
        told["formatted"] = {"value": writers(source, None, codec)[1](value)}
    return told
