"""The numbers in a loaded object's maps and global variables, one by one, with what they are of."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Any

from osmia.arguments import names_wrong_arguments
from osmia.engine.loaded import LoadedObject
from osmia.errors import OsmiaError
from osmia.named_tuples import NamedTuple
from osmia.object import DataKind, MapType, Object
from osmia.summaries.keys import Key, MapKeys, value_text
from osmia.values import (
    ArrayCodec,
    BoolCodec,
    Codec,
    EnumCodec,
    FloatCodec,
    IntCodec,
    PointerCodec,
    Struct,
    StructCodec,
)

#: Entries of a map that are read: a table of millions is none that anybody reads as metrics.
MOST_ENTRIES = 10_000

#: Of larger arrays only what is not zero is told.
_SMALL_ARRAY = 256
_ARRAYS = (MapType.ARRAY, MapType.PERCPU_ARRAY)
#: The types of maps that hold numbers under keys.
COUNTED = (
    *_ARRAYS,
    MapType.HASH,
    MapType.LRU_HASH,
    MapType.PERCPU_HASH,
    MapType.LRU_PERCPU_HASH,
    MapType.LPM_TRIE,
    MapType.CGROUP_STORAGE,
    MapType.PERCPU_CGROUP_STORAGE,
)
#: What osmia and libbpf put into objects for themselves.
_INTERNAL = ("__bpf_", ".")


class Sample(NamedTuple):
    """A number: of the map or variable `source`, under a `key`, in the member `field` of the value
    (dotted; "" for the value itself), within arrays there the element with these indices."""

    source: str
    key: Key
    field: str
    indices: tuple[int, ...]
    value: float
    codec: Codec
    key_codecs: Mapping[str, Codec]
    """The types of the values in `key`, by name."""

    @property
    def name(self) -> str:
        """ "flows[10.0.0.1, 443].packets": how a person would write it."""
        of = (value_text(value, self.key_codecs.get(name), name) for name, value in self.key)
        key = ", ".join([*of, *map(str, self.indices)])
        return self.source + (f"[{key}]" if key else "") + (f".{self.field}" if self.field else "")


def is_internal(map_name: str) -> bool:
    """Whether a map is none of its author's: tables of libbpf's headers, data sections."""
    return map_name.startswith(_INTERNAL)


def variable_names(obj: Object, *, constants: bool = True) -> list[str]:
    """The keys of an object's own variables: none of the kernel's configuration, of struct_ops,
    and none within functions (format strings, mostly)."""
    hidden = (DataKind.KCONFIG, DataKind.STRUCT_OPS, *(() if constants else (DataKind.RODATA,)))
    return [
        key
        for section in obj.data_sections.values()
        for key, variable in section.variables.items()
        if section.kind not in hidden
        and "." not in variable.name
        and not is_internal(variable.name)
    ]


def map_samples(
    name: str, source: Any, *, most_entries: int = MOST_ENTRIES, keys: MapKeys | None = None
) -> Iterator[Sample]:
    """The numbers in a map of counters, of `most_entries` entries at most; those of per-CPU maps
    added up. None of maps of other things: programs, sockets, queues."""
    codec = source.value_codec
    if source.type not in COUNTED or codec is None or not _has_numbers(codec):
        return
    indexed = source.type in _ARRAYS
    sparse = indexed and source.max_entries > _SMALL_ARRAY
    entries = _present(source) if not sparse else _not_zero(source)
    keys = keys or MapKeys(source)
    codecs: dict[str, Codec] = {} if indexed else keys.codecs
    for key, value in islice(entries, most_entries):
        told: Key = (("index", key),) if indexed else keys.key(key)
        if indexed and source.max_entries == 1:
            told = ()
        parts = value if source.cpus else (value,)
        yield from _leaves(_Of(name, told, codecs), "", codec, parts)


def variable_samples(loaded: LoadedObject) -> Iterator[Sample]:
    """The numbers in global variables, but for constants; text and pointers are none."""
    present = set(loaded.data)
    for name in variable_names(loaded.object, constants=False):
        if name in present:
            yield from value_samples(name, loaded.data.slot(name).codec, loaded.data[name])


def value_samples(name: str, codec: Codec, value: Any) -> Iterator[Sample]:
    """The numbers in the value of a variable."""
    if _has_numbers(codec):
        yield from _leaves(_Of(name, (), {}), "", codec, (value,))


@names_wrong_arguments
def samples(loaded: LoadedObject, *, most_entries: int = MOST_ENTRIES) -> Iterator[Sample]:
    """All numbers in a loaded object's maps and variables, as they are now."""
    for name, source in loaded.maps.items():
        if hasattr(source, "items") and not is_internal(name):
            yield from map_samples(name, source, most_entries=most_entries)
    yield from variable_samples(loaded)


def number_fields(codec: Codec) -> dict[str, Codec]:
    """The numbers in a value of the type: dotted names and types; "" for the value itself."""
    if isinstance(codec, StructCodec):
        found: dict[str, Codec] = {}
        for each in codec.fields if _has_numbers(codec) else ():
            inner = number_fields(each.codec)
            found |= {f"{each.name}.{name}" if name else each.name: inner[name] for name in inner}
        return found
    if isinstance(codec, ArrayCodec):
        return number_fields(codec.element)
    return {"": codec} if _has_numbers(codec) else {}


class _Of(NamedTuple):
    """What numbers are of."""

    source: str
    key: Key
    codecs: Mapping[str, Codec]


def _leaves(
    of: _Of, field: str, codec: Codec, values: Any, at: tuple[int, ...] = ()
) -> Iterator[Sample]:
    """The numbers of a value; of several values, one a CPU, the sums."""
    if isinstance(codec, StructCodec):
        for each in codec.fields:
            inner = f"{field}.{each.name}" if field else each.name
            if _has_numbers(each.codec):
                members = [value[each.name] for value in values]
                yield from _leaves(of, inner, each.codec, members, at)
    elif isinstance(codec, ArrayCodec):
        sparse = codec.count > _SMALL_ARRAY
        for index, element in enumerate(zip(*values, strict=True)):
            if sparse and not any(map(is_set, element)):
                continue
            yield from _leaves(of, field, codec.element, element, (*at, index))
    elif _has_numbers(codec):
        yield Sample(of.source, of.key, field, at, sum(values), codec, of.codecs)


def _has_numbers(codec: Codec) -> bool:
    if isinstance(codec, StructCodec):
        # Locks, timers and the like are the kernel's.
        return not codec.type_name.startswith("struct bpf_") and any(
            _has_numbers(each.codec) for each in codec.fields
        )
    if isinstance(codec, ArrayCodec):
        return _has_numbers(codec.element)
    if isinstance(codec, IntCodec):
        # Addresses and ports, and what has names, are none.
        return not codec.network and not isinstance(codec, PointerCodec | EnumCodec)
    return isinstance(codec, BoolCodec | FloatCodec)


def _present(source: Any) -> Iterator[tuple[Any, Any]]:
    try:
        yield from source.items()
    except OsmiaError:
        return


def _not_zero(source: Any) -> Iterator[tuple[Any, Any]]:
    for key, value in _present(source):
        if any(map(is_set, value if source.cpus else (value,))):
            yield key, value


def is_set(value: Any) -> bool:
    """Whether a value has any bit that is not zero."""
    if isinstance(value, Struct):
        return any(bytes(value))
    return any(map(is_set, value)) if isinstance(value, list | tuple) else bool(value)
