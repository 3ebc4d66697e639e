"""`osmia map load`: entries as `map dump -j` printed them are stored again."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from typing import IO, Any

from osmia.cli.json_elements import NotJson, elements
from osmia.cli.targets import Target, open_map, open_program
from osmia.engine.maps import KeyedMap
from osmia.engine.maps.errors import Operation, element_error
from osmia.errors import CodecError, NotSupportedError, OsmiaError
from osmia.object import MapType

#: Entries that are stored by one system call.
_BATCH = 4096

#: Values are numbers of things that are opened by them: an id is read, a descriptor is stored.
_OPENED: Mapping[int, Callable[[Target], Any]] = {
    MapType.ARRAY_OF_MAPS: open_map,
    MapType.HASH_OF_MAPS: open_map,
    MapType.PROG_ARRAY: open_program,
}
#: What their values say opens nothing.
_NEVER = frozenset(
    {
        MapType.CGROUP_ARRAY,
        MapType.PERF_EVENT_ARRAY,
        MapType.REUSEPORT_SOCKARRAY,
        MapType.SOCKHASH,
        MapType.SOCKMAP,
        MapType.XSKMAP,
    }
)
#: An index or a queue's size, then a program: struct bpf_devmap_val, bpf_cpumap_val.
_WITH_PROGRAM = frozenset({MapType.DEVMAP, MapType.DEVMAP_HASH, MapType.CPUMAP})
_PROGRAM_AT, _WITH_PROGRAM_SIZE = 4, 8


def restore(target: KeyedMap, stream: IO[str], name: str, flags: int = 0) -> int:
    """Store the entries that a stream has as JSON; how many there were.

    OsmiaError for the first that cannot be stored: it says which of the file `name` that is, and
    how many before it are in the map; none behind it is. Entries whose value bpftool could not
    read are left out.
    """
    if target.type in _NEVER:
        problem = f"map {target.name!r}: no dump says what its values stand for"
        raise NotSupportedError(problem)
    restoring = _Restoring(target, name, flags)
    number = 0
    try:
        for number, element in enumerate(elements(stream), 1):
            restoring.add(number, element)
    except (NotJson, UnicodeDecodeError) as error:
        restoring.finish()
        number = error.number if isinstance(error, NotJson) else number + 1
        raise restoring.failed(number, error) from None
    restoring.finish()
    return restoring.stored


class _Restoring:
    """One file on its way into a map."""

    def __init__(self, target: KeyedMap, name: str, flags: int) -> None:
        self.stored = 0
        self._map, self._name, self._flags = target, name, flags
        by_reference = target.type in _OPENED or target.type in _WITH_PROGRAM
        self._most = 1 if by_reference else _BATCH
        self._batch: list[tuple[int, bytes, bytes]] = []

    def add(self, number: int, element: Any) -> None:
        """Store an entry, which is the file's `number`th; at once or with those behind it."""
        with ExitStack() as held:
            try:
                key, value = self._key(element), self._value(element, held)
            except (OsmiaError, ValueError) as error:
                self.finish()
                raise self.failed(number, error) from None
            if value is not None:
                self._batch.append((number, key, value))
            if len(self._batch) >= self._most:
                self.finish()

    def finish(self) -> None:
        """Store what waits for more."""
        batch, self._batch = self._batch, []
        if not batch:
            return
        numbers, keys, values = zip(*batch, strict=True)
        done, error = self._map.raw.update_many(b"".join(keys), b"".join(values), self._flags)
        self.stored += done
        if error:
            codec, key = self._map.key_codec, keys[done]
            shown = key if codec is None else codec.decode(key)
            refused = element_error(self._map.raw, Operation.UPDATE, error, shown)
            raise self.failed(numbers[done], refused)

    def failed(self, number: int, error: Exception) -> OsmiaError:
        """The error for an entry, with what is stored."""
        before = f"{self.stored:,} before it {'is' if self.stored == 1 else 'are'} stored"
        return OsmiaError(f"{self._name}: entry {number:,}: {error} ({before}, none behind it)")

    def _key(self, element: Any) -> bytes:
        if not isinstance(element, dict) or "key" not in element:
            raise CodecError("it is no object with a key and a value")
        data = _bytes(element["key"])
        if data is None:
            return self._map.encode_key(element["key"])
        if len(data) != self._map.key_size:
            raise CodecError(f"keys have {self._map.key_size} bytes, not {len(data)}")
        return data

    def _value(self, element: dict[str, Any], held: ExitStack) -> bytes | None:
        if self._map.cpus:
            return self._each_cpu(element)
        if "value" not in element:
            raise CodecError("it has no value")
        value = element["value"]
        if isinstance(value, dict) and value.keys() == {"error"}:
            return None
        data = _bytes(value)
        if data is None:
            if self._map.type in _OPENED:
                data = int(value).to_bytes(self._map.value_size, sys.byteorder)
            else:
                return self._map.encode_value(value)
        if len(data) != self._map.value_size:
            problem = f"values have {self._map.value_size} bytes, not {len(data)}"
            raise CodecError(problem)
        return self._referred(data, held)

    def _referred(self, data: bytes, held: ExitStack) -> bytes:
        """The value with the descriptors of what its ids mean."""
        if opens := _OPENED.get(self._map.type):
            return self._map.raw.reference(held.enter_context(opens(_by_id(data))))
        if self._map.type in _WITH_PROGRAM and len(data) == _WITH_PROGRAM_SIZE:
            first, program = data[:_PROGRAM_AT], data[_PROGRAM_AT:]
            if any(program):
                number = held.enter_context(open_program(_by_id(program))).fileno()
                return first + number.to_bytes(len(program), sys.byteorder)
        return data

    def _each_cpu(self, element: dict[str, Any]) -> bytes:
        parts = element.get("values")
        if not isinstance(parts, list) or not all(isinstance(part, dict) for part in parts):
            raise CodecError("it has no values of CPUs")
        cpus = [part.get("cpu") for part in parts]
        if cpus != list(range(self._map.cpus)):
            problem = f"it has values of {len(cpus)} CPUs, and here {self._map.cpus} are possible"
            raise CodecError(problem)
        values = [part.get("value") for part in parts]
        return self._map.encode_value([_bytes(each) or each for each in values])


def _by_id(data: bytes) -> Target:
    return Target("id", str(int.from_bytes(data, sys.byteorder)))


def _bytes(value: Any) -> bytes | None:
    """The bytes that a list of "0x0a" means; None for anything else."""
    if not isinstance(value, list) or not value:
        return None
    try:
        text = "".join(value)
        data = bytes.fromhex(text.replace("0x", ""))
    except (TypeError, ValueError):
        return None
    return data if len(data) == len(value) and len(text) == 4 * len(value) else None
