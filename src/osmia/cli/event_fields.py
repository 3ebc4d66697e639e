"""Fields of events, as options name them: `pid`, `key.saddr`, `pid,comm`, `events=size`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import click

from osmia.records import dataclass
from osmia.values import Codec, Struct, StructCodec
from osmia.values.names import unknown_name


@dataclass(frozen=True)
class EventFields:
    """Fields of one map's events: dotted names and types."""

    names: tuple[str, ...]
    codecs: tuple[Codec, ...]

    def read(self, event: Any) -> tuple[Any, ...] | None:
        """The values, fit to be counted; None for an event that is not of the type."""
        found = []
        for name in self.names:
            value = event
            for part in name.split(".") if name else ():
                if not isinstance(value, Struct):
                    return None
                value = value[part]
            found.append(_countable(value))
        return tuple(found)


def find_fields(option: str, text: str, codecs: Mapping[str, Codec]) -> dict[str, EventFields]:
    """The fields that `text` names ("[MAP=]FIELD[,FIELD…]") in the events of all maps that have
    them. UsageError where none has."""
    only, equals, names = text.rpartition("=")
    if equals and only not in codecs:
        raise click.UsageError(f"{option} {text}: there are no events of a map {only!r}")
    wanted = names.split(",")
    found: dict[str, EventFields] = {}
    for name, codec in codecs.items():
        if only in ("", name):
            parts = ("",) if names == name else wanted
            types = [_type_of(codec, each) for each in parts]
            if None not in types:
                found[name] = EventFields(tuple(parts), tuple(each for each in types if each))
    if not found:
        raise click.UsageError(f"{option} {text}: {_why_none(wanted, only, codecs)}")
    return found


def field_names(codec: Codec) -> list[str]:
    """The dotted names of all fields of a type, those of structs within too."""
    if not isinstance(codec, StructCodec):
        return []
    names = []
    for field in codec.fields:
        names += [field.name, *(f"{field.name}.{each}" for each in field_names(field.codec))]
    return names


def _type_of(codec: Codec, name: str) -> Codec | None:
    for part in name.split(".") if name else ():
        field = codec.by_name.get(part) if isinstance(codec, StructCodec) else None
        if field is None:
            return None
        codec = field.codec
    return codec


def _why_none(wanted: list[str], only: str, codecs: Mapping[str, Codec]) -> str:
    if not codecs:
        return "there are no events whose type is known (--event names it)"
    known = [
        name for each in ([codecs[only]] if only else codecs.values()) for name in field_names(each)
    ]
    missing = next((each for each in wanted if each not in known), None)
    if missing is None:
        return "no event has all of these fields"
    return unknown_name("the object", missing, known, kind="map and no event field ")


def _countable(value: Any) -> Any:
    return tuple(map(_countable, value)) if isinstance(value, list | tuple) else value
