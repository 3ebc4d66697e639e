"""A whole map, printed while it is read: only some thousand entries at a time are in memory."""

from __future__ import annotations

import json
import struct
import sys
from collections.abc import Callable, Iterator
from itertools import chain, cycle
from typing import TYPE_CHECKING, Any, TypeAlias

from osmia.cli import formatters
from osmia.cli.entries import Entries
from osmia.cli.listings import told_program
from osmia.cli.notation import Json, Text, dumps
from osmia.cli.output import Output
from osmia.cli.typed_text import headings
from osmia.engine.maps import KeyedMap, MapOfMaps
from osmia.object import MapType
from osmia.values import Codec

if TYPE_CHECKING:
    from osmia.cli.map_json import TypesOf

#: Entries that are written at a time, and how many bytes of keys and values they may have.
_BLOCK_ENTRIES, _BLOCK_BYTES = 2048, 256 << 10

#: A byte in bpftool's JSON, where its digits are in that, and its width in a table ("1f ").
_JSON_BYTE, _FIRST_DIGIT, _HEX_BYTE = b'"0x00",', 3, 3

#: Of packed keys and values: what to print.
_Rows: TypeAlias = Callable[[bytes, bytes], list[Any]]


def dump(entries: Entries, output: Output) -> None:
    """Print all entries as they are read: one JSON array, or a table."""
    if output.json:
        _print_json(entries, pretty=output.pretty)
        return
    info = entries.map
    columns = [
        *headings(entries.shown_key, "key"),
        *(["cpu"] if info.cpus else []),
        *headings(entries.shown_value, "value"),
    ]
    rows = _table_rows(entries)
    if info.type == MapType.PROG_ARRAY:
        columns, rows = [*columns, "program"], _named(rows)
    output.blocks(columns, (rows(*block) for block in _blocks(info)))


def _blocks(source: KeyedMap) -> Iterator[tuple[bytes, bytes]]:
    """Packed keys and values of some entries at a time."""
    size, value_size = source.key_size, source.entry_value_size
    most = max(1, min(_BLOCK_ENTRIES, _BLOCK_BYTES // (size + value_size)))
    keys, values = bytearray(), bytearray()
    for some_keys, some_values in chain(source.raw.read(), [(b"", b"")]):
        keys += some_keys
        values += some_values
        # One at a time come those of maps without batches.
        if some_keys and len(keys) < most * size:
            continue
        for at in range(0, len(keys) // size, most):
            end = at + most
            yield (
                bytes(keys[at * size : end * size]),
                bytes(values[at * value_size : end * value_size]),
            )
        keys.clear()
        values.clear()


def _print_json(entries: Entries, *, pretty: bool) -> None:
    rows = _json_rows(entries)
    opening, between, closing = ("[\n    ", ",\n    ", "\n]") if pretty else ("[", ",", "]")
    before = opening
    for block in _blocks(entries.map):
        written = rows(*block)
        sys.stdout.write(before + between.join(map(_indented, written) if pretty else written))
        before = between
    sys.stdout.write(f"{closing if before is between else '[]'}\n")


def _indented(text: str) -> str:
    return json.dumps(json.loads(text), indent=4).replace("\n", "\n    ")


def _json_rows(entries: Entries) -> _Rows:
    """What writes entries as `Entries.describe` says them."""
    source, keys_text = entries.map, _json_bytes(entries.map.key_size)
    slot = source.slot_size if source.cpus else source.value_size
    values_text = _json_bytes(source.value_size, slot)
    members = [_json_entries(source.cpus, keys_text, values_text)]
    if isinstance(source, MapOfMaps):
        members.append(_inner_maps)
    shown = []
    if entries.key_codec is not None or entries.value_codec is not None:
        key, value = entries.types
        as_bpftool = _json_of(key, source.key_size), _json_of(value, source.value_size, slot)
        shown.append(("formatted", *as_bpftool))
    if entries.says_more:
        meant = _json_typed(entries.shown_key, source.key_size)
        shown.append(("shown", meant, _json_typed(entries.shown_value, slot)))
    for name, typed_keys, typed_values in shown:
        texts = typed_keys or keys_text, typed_values or values_text
        members.append(_json_entries(source.cpus, *texts, f',"{name}":', "}"))

    def rows(keys: bytes, values: bytes) -> list[str]:
        written = [each(keys, values) for each in members]
        return [f"{''.join(row)}}}" for row in zip(*written, strict=True)]

    return rows


def _inner_maps(_keys: bytes, values: bytes) -> list[str]:
    return [f',"inner_map_id":{number}' for (number,) in struct.iter_unpack("=I", values)]


def _json_of(kind: TypesOf, size: int, stride: int = 0) -> formatters.Texts | None:
    """What writes values as bpftool's JSON has them, one by one where their type asks for it."""
    if kind.codec is None:
        return None
    if kind.types is None:
        return _json_typed(kind.codec, stride or size)
    from osmia.cli.bpftool_notation import BpftoolJson  # tables do without

    if kind.is_regular and kind.codec.weight <= formatters.HEAVIEST:
        return formatters.texts(kind.codec, BpftoolJson(), stride or size)

    def write(data: Any) -> list[str]:
        starts = range(0, len(data), stride or size)
        return [dumps(kind.writer(bytes(data[at : at + size]))) for at in starts]

    return write


def _json_entries(
    cpus: int,
    keys_text: formatters.Texts,
    values_text: formatters.Texts,
    opening: str = "",
    closing: str = "",
) -> _Rows:
    """What writes entries as objects that begin after `opening` and lack their last brace, which
    `closing` may be."""

    def one(keys: bytes, values: bytes) -> list[str]:
        both = zip(keys_text(keys), values_text(values), strict=True)
        return [f'{opening}{{"key":{key},"value":{value}{closing}' for key, value in both]

    def each_cpu(keys: bytes, values: bytes) -> list[str]:
        numbered = zip(cycle(range(cpus)), values_text(values), strict=False)
        parts = iter([f'{{"cpu":{cpu},"value":{value}}}' for cpu, value in numbered])
        grouped = zip(keys_text(keys), *[parts] * cpus, strict=True)
        start = f'{opening}{{"key":'
        return [f'{start}{key},"values":[{",".join(each)}]{closing}' for key, *each in grouped]

    return each_cpu if cpus else one


def _json_typed(codec: Codec | None, stride: int) -> formatters.Texts | None:
    return None if codec is None else formatters.texts(codec, Json(), stride)


def _json_bytes(size: int, stride: int = 0) -> formatters.Texts:
    """What writes values as bpftool does: ["0x0a","0xff"]."""
    step, length = len(_JSON_BYTE) * (stride or size), len(_JSON_BYTE) * size - 1

    def write(data: Any) -> list[str]:
        # All bytes at once: the digits are put between what is the same for every byte.
        digits = data.hex().encode()
        written = bytearray(_JSON_BYTE * len(data))
        written[_FIRST_DIGIT :: len(_JSON_BYTE)] = digits[::2]
        written[_FIRST_DIGIT + 1 :: len(_JSON_BYTE)] = digits[1::2]
        text = written.decode()
        return [f"[{text[at : at + length]}]" for at in range(0, len(text), step)]

    return write


def _table_rows(entries: Entries) -> _Rows:
    """What makes the rows of a table; each CPU's value has one."""
    source = entries.map
    slot = source.slot_size if source.cpus else source.value_size
    keys_cells = _cells(entries.shown_key, source.key_size, source.key_size)
    values_cells = _cells(entries.shown_value, source.value_size, slot)
    if not source.cpus:

        def one(keys: bytes, values: bytes) -> list[Any]:
            return list(map(tuple.__add__, keys_cells(keys), values_cells(values)))

        return one
    numbers = [(cpu,) for cpu in range(source.cpus)]
    blank = ("",) * len(headings(entries.shown_key, "key"))

    def each_cpu(keys: bytes, values: bytes) -> list[Any]:
        named = chain.from_iterable((key, *[blank] * (source.cpus - 1)) for key in keys_cells(keys))
        numbered = zip(named, cycle(numbers), values_cells(values), strict=False)
        return [key + cpu + value for key, cpu, value in numbered]

    return each_cpu


def _named(rows: _Rows) -> _Rows:
    """The rows of a prog array, with the names of its programs."""

    def named(keys: bytes, values: bytes) -> list[Any]:
        return [(*row, told_program(int(row[-1]))["name"] or "") for row in rows(keys, values)]

    return named


def _cells(codec: Codec | None, size: int, stride: int) -> formatters.Cells:
    if codec is not None:
        return formatters.cells(codec, Text(), stride)
    step, length = _HEX_BYTE * stride, _HEX_BYTE * size - 1

    def write(data: Any) -> list[tuple[Any, ...]]:
        text = data.hex(" ")
        return [(text[at : at + length],) for at in range(0, len(data) * _HEX_BYTE, step)]

    return write
