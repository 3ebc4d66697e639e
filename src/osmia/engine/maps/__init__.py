"""The typed face of maps, written once for all engines: every type, with typed keys and values.

>>> with Map.create(MapType.HASH, key_size=4, value_size=8, max_entries=1024) as counts:
...     counts[7] = 1
...     counts.get(8, 0)
"""

from __future__ import annotations

from osmia.on_demand import on_demand

# The name that type checkers know; `typing` is dear.
TYPE_CHECKING = False

if TYPE_CHECKING:
    from osmia.engine.maps.base import Map
    from osmia.engine.maps.devices import DeviceMap
    from osmia.engine.maps.indexed import (
        ArenaMap,
        ArrayMap,
        InstructionArrayMap,
        PerCpuArrayMap,
        StackTraceMap,
    )
    from osmia.engine.maps.info import MapInfo
    from osmia.engine.maps.keyed import KeyedMap
    from osmia.engine.maps.lpm_trie import LpmTrie
    from osmia.engine.maps.per_cpu import PerCpuMap
    from osmia.engine.maps.queues import BloomFilter, QueueMap
    from osmia.engine.maps.references import LocalStorage, MapOfMaps, ProgramArray, ReferenceMap
    from osmia.engine.maps.streams import EventMap, PerfEventArray, RingBufferMap
    from osmia.engine.maps.user_ring import UserRingBufferMap

__all__ = [
    "ArenaMap",
    "ArrayMap",
    "BloomFilter",
    "DeviceMap",
    "EventMap",
    "InstructionArrayMap",
    "KeyedMap",
    "LocalStorage",
    "LpmTrie",
    "Map",
    "MapInfo",
    "MapOfMaps",
    "PerCpuArrayMap",
    "PerCpuMap",
    "PerfEventArray",
    "ProgramArray",
    "QueueMap",
    "ReferenceMap",
    "RingBufferMap",
    "StackTraceMap",
    "UserRingBufferMap",
]

if not TYPE_CHECKING:  # or every name would be one, to type checkers
    __getattr__ = on_demand(
        __name__,
        {
            ".base": "Map",
            ".devices": "DeviceMap",
            ".indexed": "ArenaMap ArrayMap InstructionArrayMap PerCpuArrayMap StackTraceMap",
            ".info": "MapInfo",
            ".keyed": "KeyedMap",
            ".lpm_trie": "LpmTrie",
            ".per_cpu": "PerCpuMap",
            ".queues": "BloomFilter QueueMap",
            ".references": "LocalStorage MapOfMaps ProgramArray ReferenceMap",
            ".streams": "EventMap PerfEventArray RingBufferMap",
            ".user_ring": "UserRingBufferMap",
        },
    )
