"""`Map`: what all kinds of maps have in common, from creation to close."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from types import TracebackType
from typing import TYPE_CHECKING, Any, ClassVar, Self, TypedDict, Unpack

from osmia.errors import CodecError
from osmia.kernel.maps.info import MapInfo, read_info, round_up
from osmia.kernel.sys import pins, syscall
from osmia.kernel.sys.fd import FileDescriptor
from osmia.object.uapi import MapType
from osmia.values import Codec, plain_codec

if TYPE_CHECKING:
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


class Map:
    """A map in the kernel. Owns its descriptor: close it, or use it in a `with` block.

    `Map.create`, `Map.from_id` and `Map.from_pin` give the subclass for the map's type.
    `name` is the whole name where the creator told it; the kernel keeps 15 characters.
    `key_codec` and `value_codec` turn bytes into Python values; where they are not given
    values are plain integers (1, 2, 4, 8 bytes) or byte strings. None: the map has no keys.

    Constructed from a descriptor, `fd` belongs to the map unless the constructor raises
    (CodecError, for a codec of another size).

    Two maps are equal when they are the same object; to compare contents, compare
    `dict(map)`.
    """

    _classes: ClassVar[dict[int, type[Map]]] = {}

    def __init_subclass__(cls, types: tuple[MapType, ...] = (), **keywords: Any) -> None:
        super().__init_subclass__(**keywords)
        cls._classes.update(dict.fromkeys(types, cls))

    def __init__(
        self,
        fd: FileDescriptor,
        info: MapInfo,
        name: str = "",
        key_codec: Codec | None = None,
        value_codec: Codec | None = None,
    ) -> None:
        self.name = name or info.name
        self.id = info.id
        self.type = info.type
        self.flags = info.flags
        self.key_size = info.key_size
        self.value_size = info.value_size
        self.max_entries = info.max_entries
        self.key_codec = self._fitting(key_codec, info.key_size, "key")
        self.value_codec = self._fitting(value_codec, info.value_size, "value")
        self._fd = fd
        fd.what = f"map {self.name!r}"

    @staticmethod
    def class_for(map_type: int) -> type[Map]:
        """The class that handles a map type; the plainest one for types unknown here."""
        return Map._classes.get(map_type, Map)

    @classmethod
    def create(cls, map_type: MapType, **options: Unpack[CreateOptions]) -> Map:
        """Create a map; see `osmia.kernel.maps.opening.create_map` for the options."""
        from osmia.kernel.maps.opening import create_map  # it imports this module

        return create_map(map_type, **options)

    @classmethod
    def from_id(cls, identifier: int, **options: Unpack[OpenOptions]) -> Map:
        """Open a map by its id; see `osmia.kernel.maps.opening.map_from_id`."""
        from osmia.kernel.maps.opening import map_from_id

        return map_from_id(identifier, **options)

    @classmethod
    def from_pin(cls, path: str | os.PathLike[str], **options: Unpack[OpenOptions]) -> Map:
        """Open a pinned map; see `osmia.kernel.maps.opening.map_from_pin`."""
        from osmia.kernel.maps.opening import map_from_pin

        return map_from_pin(path, **options)

    @property
    def info(self) -> MapInfo:
        """The map's facts, read now."""
        return read_info(self.fileno())

    @property
    def slot_size(self) -> int:
        """Bytes that one value takes in an array that can be mapped into memory."""
        return round_up(self.value_size, 8)

    def fileno(self) -> int:
        """The descriptor's number; the map keeps owning it. ClosedError when closed."""
        return self._fd.fileno()

    @property
    def closed(self) -> bool:
        """Whether the map was closed here; the kernel's may live on."""
        return self._fd.closed

    def close(self) -> None:
        """Let go of the map; the kernel frees it when nobody else holds it."""
        self._fd.close()

    def freeze(self) -> None:
        """No more writes through bpf(2), for ever; programs still may write. Since 5.2.

        KernelError EBUSY while the map is mapped writable or somebody writes to it.
        """
        syscall.map_freeze(self.fileno(), what=f"freeze map {self.name!r}")

    def pin(self, path: str | os.PathLike[str]) -> None:
        """Pin the map to a path in a bpffs; missing directories are made, mode 0700."""
        pins.pin(self.fileno(), path, what=f"map {self.name!r}")

    def unpin(self, path: str | os.PathLike[str]) -> None:
        """Remove a pin."""
        pins.unpin(path)

    def __enter__(self) -> Self:
        self.fileno()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        kind = self.type.name if isinstance(self.type, MapType) else f"type {self.type}"
        key = f"{self.key_codec.type_name} → " if self.key_codec else ""
        value = self.value_codec.type_name if self.value_codec else f"{self.value_size} bytes"
        state = "closed" if self.closed else f"id {self.id}"
        return f"<map {self.name!r}: {kind}, {key}{value}, {state}>"

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
