"""Events as rows of a table: fields by dotted name, of the events of one map or of several."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Any

from osmia.records import dataclass
from osmia.values import BytesCodec, Codec, IntCodec, StringCodec, Struct, StructCodec

#: What a record of unknown type is; a CPU's number; a map's name.
_BYTES = BytesCodec(0, "u8[]", "little")
_CPU = IntCodec(4, False, "__u32", "little")
_TEXT = StringCodec(0, "char[]", "little")


@dataclass(frozen=True)
class Column:
    """A column: its name, the type of its values, and where they are in the event."""

    name: str
    codec: Codec
    path: tuple[str, ...]


class EventColumns:
    """The columns for the events of these maps, and each event's row.

    Of one map the columns are the fields, with a `cpu` before them for perf buffers, or a `record`
    of bytes where the type is not known. Of several maps the columns have the map's name before
    theirs, and the first one tells the map. `codecs` are the types by map.
    """

    def __init__(self, codecs: Mapping[str, Codec | None], per_cpu: Collection[str]) -> None:
        several = len(codecs) > 1
        self.columns: list[Column] = [Column("map", _TEXT, ("map",))] if several else []
        self._parts: dict[str, tuple[int, int, list[tuple[str, ...]], Codec | None, bool]] = {}
        self._several = several
        for name, codec in codecs.items():
            leaves = [] if codec is None else list(_leaves(codec, ()))
            fields = list(leaves)
            if codec is None or not leaves:
                fields = [(("record" if codec is None else "value",), codec or _BYTES)]
            if name in per_cpu:
                fields.insert(0, (("cpu",), _CPU))
            start = len(self.columns)
            prefix = f"{name}." if several else ""
            self.columns += [Column(prefix + ".".join(path), each, path) for path, each in fields]
            paths = [path for path, _ in leaves]
            self._parts[name] = start, len(fields), paths, codec, name in per_cpu

    def row(self, name: str, event: Any) -> list[Any] | None:
        """An event of a map as a row, None in the columns of other maps. None for a record that is
        not of the type: of another size."""
        start, width, paths, codec, per_cpu = self._parts[name]
        cpu = event[0] if per_cpu else None
        value = event[1] if per_cpu else event
        if paths and not isinstance(value, Struct):
            return None
        if codec is not None and isinstance(value, bytes) and not isinstance(codec, BytesCodec):
            return None
        cells = [_at(value, path) for path in paths] if paths else [value]
        if per_cpu:
            cells.insert(0, cpu)
        if not self._several:
            return cells
        after = len(self.columns) - start - width
        return [name, *[None] * (start - 1), *cells, *[None] * after]


def _leaves(codec: Codec, path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], Codec]]:
    if not isinstance(codec, StructCodec):
        if path:
            yield path, codec
        return
    for field in codec.fields:
        yield from _leaves(field.codec, (*path, field.name))


def _at(value: Any, path: tuple[str, ...]) -> Any:
    for name in path:
        value = value[name]
    return value
