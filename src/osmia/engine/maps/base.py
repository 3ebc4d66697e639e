"""`Map`: what all kinds of maps have in common, on every engine."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Callable

from osmia.arguments import names_wrong_arguments
from osmia.closing import ClosedByWith
from osmia.engine.raw_map import RawMap
from osmia.errors import CodecError
from osmia.object.uapi import MapType
from osmia.values import Codec, plain_codec

# The name that type checkers know; `typing` is dear, and so are classes that only they read.
TYPE_CHECKING = False

if TYPE_CHECKING:
    from typing import Any, ClassVar, Literal, Self, TypedDict, Unpack, overload

    from osmia.engine.maps.indexed import ArrayMap, PerCpuArrayMap
    from osmia.engine.maps.info import MapInfo
    from osmia.engine.maps.keyed import KeyedMap
    from osmia.engine.maps.lpm_trie import LpmTrie
    from osmia.engine.maps.per_cpu import PerCpuMap
    from osmia.engine.maps.queues import BloomFilter, QueueMap
    from osmia.engine.maps.references import MapOfMaps, ProgramArray
    from osmia.engine.maps.streams import RingBufferMap
    from osmia.engine.maps.user_ring import UserRingBufferMap
    from osmia.kernel.maps.opening import MapTypes

    class OpenOptions(TypedDict, total=False):
        """The keywords of `Map.from_id` and `Map.from_pin`."""

        name: str
        key_codec: Codec | None
        value_codec: Codec | None
        flags: int

    class CreateOptions(OpenOptions, total=False):
        """The keywords of `Map.create`."""

        key_size: int | None
        value_size: int | None
        max_entries: int
        types: MapTypes | None
        inner: Map | None
        numa_node: int | None
        map_extra: int
        ifindex: int
        token_fd: int
        excl_prog_hash: bytes


#: The module whose class handles a type, imported when a map of that type is met.
_HOMES: dict[int, str] = {
    MapType[name]: module
    for module, names in {
        "devices": "DEVMAP DEVMAP_HASH CPUMAP",
        "indexed": "ARRAY INSN_ARRAY PERCPU_ARRAY STACK_TRACE ARENA",
        "keyed": "HASH LRU_HASH CGROUP_STORAGE STRUCT_OPS",
        "lpm_trie": "LPM_TRIE",
        "per_cpu": "PERCPU_HASH LRU_PERCPU_HASH PERCPU_CGROUP_STORAGE",
        "queues": "QUEUE STACK BLOOM_FILTER",
        "references": (
            "ARRAY_OF_MAPS CGROUP_ARRAY CGRP_STORAGE HASH_OF_MAPS INODE_STORAGE PROG_ARRAY "
            "REUSEPORT_SOCKARRAY SK_STORAGE SOCKHASH SOCKMAP TASK_STORAGE XSKMAP"
        ),
        "streams": "RINGBUF PERF_EVENT_ARRAY",
        "user_ring": "USER_RINGBUF",
    }.items()
    for name in names.split()
}


class Map(ClosedByWith):
    """A map with typed keys and values. Close it, or use it in a `with` block.

    `Map.create`, `Map.from_id` and `Map.from_pin` make and open maps in the kernel, and give
    the subclass for the map's type; `Vm.create_map` makes one in a vm; objects that are
    loaded have theirs. `raw` is the map by its bytes, the engine's own.
    `key_codec` and `value_codec` turn bytes into Python values; where they are not given
    values are plain integers (1, 2, 4, 8 bytes) or byte strings. None: the map has no keys.

    Constructed from a RawMap, that belongs to the map unless the constructor raises
    (CodecError, for a codec of another size).

    Two maps are equal when they are the same object; to compare contents, compare
    `dict(map)`.
    """

    _classes: ClassVar[dict[int, type[Map]]] = {}

    def __init_subclass__(cls, types: tuple[MapType, ...] = (), **keywords: Any) -> None:
        super().__init_subclass__(**keywords)
        cls._classes.update(dict.fromkeys(types, cls))

    @names_wrong_arguments
    def __init__(
        self, raw: RawMap, key_codec: Codec | None = None, value_codec: Codec | None = None
    ) -> None:
        self.raw = raw
        self.name = raw.name
        self.id = raw.id
        self.type = raw.type
        self.flags = raw.flags
        self.key_size = raw.key_size
        self.value_size = raw.value_size
        self.max_entries = raw.max_entries
        self.cpus = raw.cpus
        """How many values there are under each key, one a CPU; 0: just one."""
        self.entry_value_size = raw.entry_value_size
        """Bytes of all values under one key: each CPU's padded to 8."""
        self.key_codec = self._fitting(key_codec, raw.key_size, "key")
        self.value_codec = self._fitting(value_codec, raw.value_size, "value")

    @staticmethod
    @names_wrong_arguments
    def class_for(map_type: int) -> type[Map]:
        """The class that handles a map type; the plainest one for types unknown here."""
        if map_type not in Map._classes and map_type in _HOMES:
            importlib.import_module(f"osmia.engine.maps.{_HOMES[map_type]}")
        return Map._classes.get(map_type, Map)

    @staticmethod
    def over(raw: RawMap, key_codec: Codec | None = None, value_codec: Codec | None = None) -> Map:
        """The typed map of the class for its type, which owns `raw` from now on; closed when
        that fails."""
        try:
            return Map.class_for(raw.type)(raw, key_codec, value_codec)
        except BaseException:
            raw.close()
            raise

    if TYPE_CHECKING:

        @overload
        @classmethod
        def create(
            cls, map_type: Literal[MapType.ARRAY], **options: Unpack[CreateOptions]
        ) -> ArrayMap: ...
        @overload
        @classmethod
        def create(
            cls,
            map_type: Literal[MapType.HASH, MapType.LRU_HASH],
            **options: Unpack[CreateOptions],
        ) -> KeyedMap: ...
        @overload
        @classmethod
        def create(
            cls, map_type: Literal[MapType.PERCPU_ARRAY], **options: Unpack[CreateOptions]
        ) -> PerCpuArrayMap: ...
        @overload
        @classmethod
        def create(
            cls,
            map_type: Literal[MapType.PERCPU_HASH, MapType.LRU_PERCPU_HASH],
            **options: Unpack[CreateOptions],
        ) -> PerCpuMap: ...
        @overload
        @classmethod
        def create(
            cls, map_type: Literal[MapType.LPM_TRIE], **options: Unpack[CreateOptions]
        ) -> LpmTrie: ...
        @overload
        @classmethod
        def create(
            cls, map_type: Literal[MapType.QUEUE, MapType.STACK], **options: Unpack[CreateOptions]
        ) -> QueueMap: ...
        @overload
        @classmethod
        def create(
            cls, map_type: Literal[MapType.BLOOM_FILTER], **options: Unpack[CreateOptions]
        ) -> BloomFilter: ...
        @overload
        @classmethod
        def create(
            cls, map_type: Literal[MapType.PROG_ARRAY], **options: Unpack[CreateOptions]
        ) -> ProgramArray: ...
        @overload
        @classmethod
        def create(
            cls,
            map_type: Literal[MapType.ARRAY_OF_MAPS, MapType.HASH_OF_MAPS],
            **options: Unpack[CreateOptions],
        ) -> MapOfMaps: ...
        @overload
        @classmethod
        def create(
            cls, map_type: Literal[MapType.RINGBUF], **options: Unpack[CreateOptions]
        ) -> RingBufferMap: ...
        @overload
        @classmethod
        def create(
            cls, map_type: Literal[MapType.USER_RINGBUF], **options: Unpack[CreateOptions]
        ) -> UserRingBufferMap: ...
        @overload
        @classmethod
        def create(cls, map_type: MapType, **options: Unpack[CreateOptions]) -> Any: ...

    @classmethod
    def create(cls, map_type: MapType, **options: Unpack[CreateOptions]) -> Any:
        """Create a map in the kernel; see `osmia.kernel.maps.opening.create_map`. Type checkers
        know the class of the commoner types."""
        return _kernel().create_map(map_type, **options)

    @classmethod
    def from_id(cls, identifier: int, **options: Unpack[OpenOptions]) -> Any:
        """Open a map of the kernel by id; see `osmia.kernel.maps.opening.map_from_id`. Which class
        it is of only the kernel knows."""
        return _kernel().map_from_id(identifier, **options)

    @classmethod
    def from_pin(cls, path: str | os.PathLike[str], **options: Unpack[OpenOptions]) -> Any:
        """Open a pinned map; see `osmia.kernel.maps.opening.map_from_pin`."""
        return _kernel().map_from_pin(path, **options)

    @property
    def info(self) -> MapInfo:
        """The map's facts, read now."""
        return self.raw.info

    @property
    def slot_size(self) -> int:
        """Bytes that one value takes in an array that can be mapped into memory."""
        return -(-self.value_size // 8) * 8

    def fileno(self) -> int:
        """The descriptor's number; the map keeps owning it. ClosedError when closed,
        NotSupportedError where maps have none."""
        return self.raw.fileno()

    @property
    def closed(self) -> bool:
        """Whether the map was closed here; the engine's may live on."""
        return self.raw.closed

    def close(self) -> None:
        """Let go of the map; the engine frees it when nobody else holds it."""
        self.raw.close()

    def freeze(self) -> None:
        """No more updates from outside of programs, for ever; those still may write. Since 5.2.

        KernelError EBUSY while the map is mapped writable or somebody writes to it.
        """
        self.raw.freeze()

    @names_wrong_arguments
    def pin(self, path: str | os.PathLike[str]) -> None:
        """Pin the map to a path in a bpffs; missing directories are made, mode 0700."""
        self.raw.pin(path)

    @names_wrong_arguments
    def unpin(self, path: str | os.PathLike[str]) -> None:
        """Remove a pin."""
        self.raw.unpin(path)

    def __enter__(self) -> Self:
        self.raw.check_open()
        return self

    def __repr__(self) -> str:
        key = f"{self.key_codec.type_name} → " if self.key_codec else ""
        value = self.value_codec.type_name if self.value_codec else f"{self.value_size} bytes"
        return self._described(f"{key}{value}")

    def _described(self, contents: str) -> str:
        """A repr: the map and what is in it."""
        kind = self.type.name if isinstance(self.type, MapType) else f"type {self.type}"
        state = "closed" if self.closed else f"id {self.id}"
        engine = "" if self.raw.engine == "kernel" else f", {self.raw.engine}"
        return f"<map {self.name!r}: {kind}, {contents}, {state}{engine}>"

    def _fitting(self, codec: Codec | None, size: int, role: str) -> Codec | None:
        if codec is None:
            return plain_codec(size, sys.byteorder) if size else None
        if codec.size != size:
            raise CodecError(
                f"map {self.name!r} has {role}s of {size} bytes; {codec.type_name} has {codec.size}"
            )
        return codec

    def _encoder(self, codec: Codec | None, role: str) -> Callable[[Any], bytes]:
        """The codec's encode; where there is no codec, a function that says so."""
        if codec is not None:
            return codec.encode

        def refuse(value: Any) -> bytes:
            raise CodecError(f"the map has no {role}s")

        return refuse

    def _codec_error(self, role: str, error: CodecError) -> CodecError:
        """The same error with the map's name and the role (key, value) in front."""
        return CodecError(f"map {self.name!r}, {role}: {error}")


def _kernel() -> Any:
    """The engine that maps are made and opened in by class methods: it stands above this."""
    return importlib.import_module("osmia.kernel.maps.opening")
