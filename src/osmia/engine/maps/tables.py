"""Whole maps as tables: keys and values side by side."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypedDict

from osmia.engine.maps.arrays import NOTHING, Array, entries
from osmia.object.uapi import MapFlag, MapType
from osmia.values import ArrayCodec, Codec, plain_codec
from osmia.values.meaning import trie_key_meaning
from osmia.values.table import Part, PerCpu, Table
from osmia.values.table import table as table_of
from osmia.values.wall_time import TimeColumns

if TYPE_CHECKING:
    from osmia.engine.maps.keyed import KeyedMap


class TableOptions(TypedDict, total=False):
    """The keywords of `KeyedMap.to_arrow` and its like."""

    times: TimeColumns
    per_cpu: PerCpu
    take: bool


def table(source: KeyedMap, *, times: TimeColumns, per_cpu: PerCpu, take: bool) -> Table:
    """All entries of a map; with `take` they leave it."""
    if take:  # nothing is taken for what is refused
        table_of(0, _parts(source, NOTHING, NOTHING), times=times, per_cpu=per_cpu)
    rows, keys, values = entries(source, take=take)
    return table_of(rows, _parts(source, keys, values), times=times, per_cpu=per_cpu)


def _parts(source: KeyedMap, keys: Array, values: Array) -> list[Part]:
    parts = []
    if source.key_codec is not None:
        is_trie = source.type == MapType.LPM_TRIE
        kind = trie_key_meaning(source.key_codec, source.key_size) if is_trie else None
        parts.append(Part(source.key_codec, keys, "key", kind=kind))
    if source.value_codec is not None:
        codec, size = _value_codec(source, source.value_codec), source.entry_value_size
        slot = size // source.cpus if source.cpus else 0
        parts.append(Part(codec, values, "value", size, source.cpus, slot))
    return parts


def _value_codec(source: KeyedMap, codec: Codec) -> Codec:
    if source.type != MapType.STACK_TRACE or MapFlag.STACK_BUILD_ID in source.flags:
        return codec
    count = source.value_size // 8
    return ArrayCodec(plain_codec(8, codec.byteorder), count, f"u64[{count}]", codec.byteorder)
