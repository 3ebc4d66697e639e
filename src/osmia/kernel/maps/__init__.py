"""Maps in the kernel: every type, with typed keys and values.

>>> with Map.create(MapType.HASH, key_size=4, value_size=8, max_entries=1024) as counts:
...     counts[7] = 1
...     counts.get(8, 0)
"""

from osmia.kernel.maps.base import Map
from osmia.kernel.maps.descriptors import DescriptorMap, LocalStorage, MapOfMaps, ProgramArray
from osmia.kernel.maps.errors import (
    EmptyMapError,
    KeyExistsError,
    MapFullError,
    MissingKeyError,
)
from osmia.kernel.maps.indexed import ArenaMap, ArrayMap, PerCpuArrayMap, StackTraceMap
from osmia.kernel.maps.info import MapInfo
from osmia.kernel.maps.keyed import KeyedMap
from osmia.kernel.maps.lpm_trie import LpmTrie
from osmia.kernel.maps.opening import MapTypes, create_map, map_from_id, map_from_pin
from osmia.kernel.maps.per_cpu import PerCpuMap
from osmia.kernel.maps.queues import BloomFilter, QueueMap
from osmia.kernel.maps.streams import EventMap, PerfEventArray, RingBufferMap
from osmia.kernel.maps.user_ring import UserRingBufferMap
from osmia.kernel.sys.cpus import online_cpus, possible_cpus
from osmia.kernel.sys.syscall import ElementFlag

__all__ = [
    "ArenaMap",
    "ArrayMap",
    "BloomFilter",
    "DescriptorMap",
    "ElementFlag",
    "EmptyMapError",
    "EventMap",
    "KeyExistsError",
    "KeyedMap",
    "LocalStorage",
    "LpmTrie",
    "Map",
    "MapFullError",
    "MapInfo",
    "MapOfMaps",
    "MapTypes",
    "MissingKeyError",
    "PerCpuArrayMap",
    "PerCpuMap",
    "PerfEventArray",
    "ProgramArray",
    "QueueMap",
    "RingBufferMap",
    "StackTraceMap",
    "UserRingBufferMap",
    "create_map",
    "map_from_id",
    "map_from_pin",
    "online_cpus",
    "possible_cpus",
]
