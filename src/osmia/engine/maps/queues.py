"""Maps without keys: queues, stacks and Bloom filters."""

from __future__ import annotations

import errno
from collections.abc import Callable, Iterator
from typing import Any

from osmia.engine.maps.base import Map
from osmia.engine.maps.errors import Operation, element_error
from osmia.errors import CodecError, EmptyMapError
from osmia.object.uapi import ElementFlag, MapType


class _ValueMap(Map):
    """Values that are put in and taken out whole, by no key."""

    def _put(self, value: Any, flags: int, operation: Operation) -> None:
        if error := self.raw.push(self._encoded(value), flags):
            raise element_error(self.raw, operation, error)

    def _encoded(self, value: Any) -> bytes:
        try:
            return self._encoder(self.value_codec, "value")(value)
        except CodecError as error:
            raise self._codec_error("value", error) from None


class QueueMap(_ValueMap, types=(MapType.QUEUE, MapType.STACK)):
    """A queue (first in, first out) or a stack (last in, first out); since 4.20."""

    def push(self, value: Any, *, replace_oldest: bool = False) -> None:
        """Add a value. A full map is a MapFullError, or gives up its oldest value."""
        flags = ElementFlag.EXIST if replace_oldest else ElementFlag.ANY
        self._put(value, flags, Operation.PUSH)

    def pop(self) -> Any:
        """Take the next value out; EmptyMapError (a LookupError) when there is none."""
        return self._next(self.raw.pop, Operation.POP)

    def peek(self) -> Any:
        """The next value, which stays; EmptyMapError when there is none."""
        return self._next(self.raw.peek, Operation.PEEK)

    def drain(self) -> Iterator[Any]:
        """Take values out until there is none left."""
        while True:
            try:
                value = self.pop()
            except EmptyMapError:
                return
            yield value

    def __len__(self) -> int:
        """How many values wait; NotSupportedError in the kernel, which does not tell."""
        return self.raw.count()

    def __bool__(self) -> bool:
        """Whether there is a value to take."""
        found = self.raw.peek()
        if isinstance(found, int) and found != errno.ENOENT:
            raise element_error(self.raw, Operation.PEEK, found)
        return not isinstance(found, int)

    def _next(self, get: Callable[[], bytes | int], operation: Operation) -> Any:
        data = get()
        if isinstance(data, int):
            raise element_error(self.raw, operation, data)
        return data if self.value_codec is None else self.value_codec.decode(data)


class BloomFilter(_ValueMap, types=(MapType.BLOOM_FILTER,)):
    """A Bloom filter (since 5.16): `value in map` may be wrong when True, never when False."""

    def add(self, value: Any) -> None:
        """Add a value; nothing can be taken out again."""
        self._put(value, ElementFlag.ANY, Operation.ADD)

    def __contains__(self, value: object) -> bool:
        error = self.raw.has(self._encoded(value))
        if error not in (0, errno.ENOENT):
            raise element_error(self.raw, Operation.HAS, error)
        return not error
