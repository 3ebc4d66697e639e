"""Events as log records: who sent them, when, what they say."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from enum import IntEnum
from functools import partial
from typing import Any, TypeAlias

from osmia.metrics.settings import EventLog
from osmia.named_tuples import NamedTuple
from osmia.values import ArrayCodec, Codec, EnumMember, StructCodec
from osmia.values.fields import Field

#: An integer of OTLP has 64 bits and a sign.
_LARGEST = (1 << 63) - 1
#: A member: its dotted name, where it is, and what makes of it what it means.
_Leaf: TypeAlias = tuple[str, tuple[str, ...], Callable[[Any], Any] | None]


class Record(NamedTuple):
    """A log record: of a host ("": this one) and a map; `time` in ns since 1970, 0 where the event
    does not say it; `observed` when it was read."""

    host: str
    map: str
    time: int
    observed: int
    name: str
    severity: str
    body: str
    attributes: Mapping[str, Any]


class Records:
    """Makes the records of one map's events."""

    def __init__(self, log: EventLog) -> None:
        self._log = log
        self._name = log.name or f"bpf.{log.map}"
        self._parts = log.parts() if log.body else None
        self._kept = None if log.attributes is None else frozenset(log.attributes)

    def record(self, members: Mapping[str, Any], at: int = 0, host: str = "") -> Record:
        """The record of an event, whose members are by dotted name, of a moment in ns since 1970;
        0: it does not say when."""
        told = {name: _told(value) for name, value in members.items()}
        body = self._body(told)
        kept = self._kept
        attributes = {
            name: value
            for name, value in told.items()
            if (name in kept if kept is not None else name != self._log.time)
        }
        log = self._log
        now = time.time_ns()
        return Record(host, log.map, at, now, self._name, log.severity, body, attributes)

    def raw(self, content: bytes, host: str = "") -> Record:
        """The record of an event whose type is not known, or is another."""
        return self.record({"data": content}, host=host)

    def _body(self, told: Mapping[str, Any]) -> str:
        if self._parts is None:
            return " ".join(f"{name}={_text(value)}" for name, value in told.items())
        return "".join(
            text + (_text(told.get(member, "?")) if member else "") for text, member in self._parts
        )


class Members:
    """Takes decoded events of a type apart: their members by dotted name, as Python has what they
    mean. What a member means is found out once."""

    def __init__(self, codec: Codec) -> None:
        self._single = None if isinstance(codec, StructCodec) else codec
        self._leaves = [] if self._single is not None else list(_leaves(codec, (), None))

    def of(self, event: Any) -> dict[str, Any]:
        """The members of an event."""
        if self._single is not None:
            return {"value": event}
        found = {}
        for name, path, convert in self._leaves:
            value = event
            for each in path:
                value = value[each]
            found[name] = value if convert is None else convert(value)
        return found


def _leaves(codec: Codec, path: tuple[str, ...], field: Field | None) -> Iterator[_Leaf]:
    from osmia.values.meaning import meaning
    from osmia.values.readable import python_value

    name = path[-1] if path else ""
    plain = field is not None and field.bits is not None
    kind = None if plain else meaning(codec, name)
    if isinstance(codec, StructCodec) and (field is None or kind is None):
        for each in codec.fields:
            yield from _leaves(each.codec, (*path, each.name), each)
        return
    convert = None
    if not plain and (kind is not None or isinstance(codec, ArrayCodec)):
        convert = partial(_converted, python_value, codec, name, kind)
    yield ".".join(path), path, convert


def _converted(python_value: Any, codec: Codec, name: str, kind: Any, value: Any) -> Any:
    return python_value(codec, value, name, kind)


def _told(value: Any) -> Any:
    """A value as OTLP has it: truth values, integers, floats, text, bytes, and lists of them."""
    match value:
        case EnumMember() | IntEnum():
            return str(value.name or int(value))
        case bool() | float() | bytes():
            return value
        case int():
            return int(value) if -_LARGEST <= value <= _LARGEST else str(value)
        case str():
            return value.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
        case dict():
            return {str(name): _told(each) for name, each in value.items()}
        case list() | tuple():
            return [_told(each) for each in value]
    return str(value)


def _text(value: Any) -> str:
    """A value within a line; text with blanks in quotes."""
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, bool):
        return str(value).lower()
    text = str(value)
    return text if text.isprintable() and " " not in text and text else repr(text)
