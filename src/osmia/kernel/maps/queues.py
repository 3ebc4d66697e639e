"""Maps without keys: queues, stacks and Bloom filters."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from typing import Any

from osmia.errors import CodecError, KernelError
from osmia.kernel.maps.base import Map
from osmia.kernel.maps.errors import EmptyMapError, MapFullError
from osmia.kernel.sys import syscall
from osmia.kernel.sys.syscall import Command, ElementFlag
from osmia.object.uapi import MapType


class _ValueMap(Map):
    """Values that are put in and taken out whole, by no key."""

    def _put(self, value: Any, flags: int, verb: str) -> None:
        error = self._operate(Command.MAP_UPDATE_ELEM, bytearray(self._encoded(value)), flags)
        if error:
            raise self._error(Command.MAP_UPDATE_ELEM, error, verb)

    def _encoded(self, value: Any) -> bytes:
        try:
            return self._encoder(self.value_codec, "value")(value)
        except CodecError as error:
            raise self._codec_error("value", error) from None

    def _operate(self, command: Command, value: bytearray, flags: int = 0) -> int:
        """One command on a value; 0 or the errno."""
        return -min(syscall.map_element(command, self.fileno(), value=value, flags=flags), 0)

    def _error(self, command: Command, error: int, verb: str) -> KernelError:
        if error == errno.ENOENT:
            return EmptyMapError(error, f"{verb} map {self.name!r}", hint="it is empty")
        if error == errno.E2BIG:
            hint = f"it is full at {self.max_entries} entries"
            return MapFullError(error, f"{verb} map {self.name!r}", hint=hint)
        return syscall.error_of(command, error, f"{verb} map {self.name!r}")


class QueueMap(_ValueMap, types=(MapType.QUEUE, MapType.STACK)):
    """A queue (first in, first out) or a stack (last in, first out); since 4.20."""

    def push(self, value: Any, *, replace_oldest: bool = False) -> None:
        """Add a value. A full map is a MapFullError, or gives up its oldest value."""
        self._put(value, ElementFlag.EXIST if replace_oldest else ElementFlag.ANY, "push to")

    def pop(self) -> Any:
        """Take the next value out; EmptyMapError (a LookupError) when there is none."""
        return self._next(Command.MAP_LOOKUP_AND_DELETE_ELEM, "pop from")

    def peek(self) -> Any:
        """The next value, which stays; EmptyMapError when there is none."""
        return self._next(Command.MAP_LOOKUP_ELEM, "peek into")

    def drain(self) -> Iterator[Any]:
        """Take values out until there is none left."""
        while True:
            try:
                value = self.pop()
            except EmptyMapError:
                return
            yield value

    def _next(self, command: Command, verb: str) -> Any:
        value = bytearray(self.value_size)
        if error := self._operate(command, value):
            raise self._error(command, error, verb)
        data = bytes(value)
        return data if self.value_codec is None else self.value_codec.decode(data)


class BloomFilter(_ValueMap, types=(MapType.BLOOM_FILTER,)):
    """A Bloom filter (since 5.16): `value in map` may be wrong when True, never when False."""

    def add(self, value: Any) -> None:
        """Add a value; nothing can be taken out again."""
        self._put(value, ElementFlag.ANY, "add to")

    def __contains__(self, value: object) -> bool:
        error = self._operate(Command.MAP_LOOKUP_ELEM, bytearray(self._encoded(value)))
        if error not in (0, errno.ENOENT):
            raise self._error(Command.MAP_LOOKUP_ELEM, error, "look into")
        return not error
