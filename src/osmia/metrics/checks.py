"""Whether an object has what views and logs are of, before anything is loaded."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeVar

from osmia.events.record_types import PresumedCodec, presumed_record_codec
from osmia.metrics.choice import View
from osmia.metrics.parts import Parts
from osmia.metrics.settings import EventLog
from osmia.named_tuples import NamedTuple
from osmia.object import MapType, Object
from osmia.summaries.keys import MapKeys
from osmia.summaries.readings import COUNTED, number_fields, variable_names
from osmia.values import ArrayCodec, Codec, IntCodec, StructCodec, codec
from osmia.values.meaning import meaning
from osmia.values.names import unknown_name

_BUFFERS = (MapType.RINGBUF, MapType.PERF_EVENT_ARRAY)
_Asked = TypeVar("_Asked")
_ARRAYS = (MapType.ARRAY, MapType.PERCPU_ARRAY)


class MapFacts(NamedTuple):
    """What is known of a map: as `osmia.engine.maps.Map` has it; `events` is its records' type."""

    type: int
    max_entries: int
    key_size: int
    key_codec: Codec | None
    value_codec: Codec | None
    events: Codec | None


class Facts(NamedTuple):
    """Maps, and the types of variables, by name."""

    maps: Mapping[str, MapFacts]
    variables: Mapping[str, Codec]
    object: Object | None


def facts_of(obj: Object) -> Facts:
    """Those of an object."""
    variables = {name: obj.data.slot(name).codec for name in variable_names(obj, constants=False)}
    return Facts({name: _map_facts(obj, name) for name in obj.maps}, variables, obj)


def facts_of_parts(parts: Parts) -> Facts:
    """Those of what is there; maps may have been told another type of events."""
    if parts.object is None:
        variables = {name: found for name, found, _ in parts.variables()}
        return Facts({name: _held(each) for name, each in parts.maps.items()}, variables, None)
    facts = facts_of(parts.object)
    maps = dict(facts.maps)
    for name, held in parts.maps.items():
        events = _plain(getattr(held, "event_codec", None))
        if events is not None:
            maps[name] = maps[name]._replace(events=events) if name in maps else _held(held)
    return facts._replace(maps=maps)


def _held(held: Any) -> MapFacts:
    events = _plain(getattr(held, "event_codec", None))
    return MapFacts(
        held.type, held.max_entries, held.key_size, held.key_codec, held.value_codec, events
    )


def _map_facts(obj: Object, name: str) -> MapFacts:
    found = obj.maps[name]
    key, value = (
        codec(obj.btf, type_id) if obj.btf is not None and type_id else None
        for type_id in (found.key_type_id, found.value_type_id)
    )
    events = None
    if found.type in _BUFFERS:
        events = value if found.type is MapType.RINGBUF else None
        events = events or _plain(presumed_record_codec(obj, name))
    return MapFacts(found.type, found.max_entries, found.key_size, key, value, events)


def _plain(found: Any) -> Codec | None:
    if isinstance(found, PresumedCodec):
        return found.codec
    return found if isinstance(found, Codec) else None


def check_view(view: View, facts: Facts) -> None:
    """ValueError where there is no such map or variable, no such member or label."""
    source = facts.maps.get(view.source)
    value = facts.variables.get(view.source) if source is None else source.value_codec
    if source is None and value is None:
        known = [*facts.maps, *facts.variables]
        raise ValueError(unknown_name("the object", view.source, known, kind="map or variable "))
    members = {} if value is None else number_fields(value)
    if not members or (source is not None and source.type not in COUNTED):
        raise ValueError(f"{view.source!r} has no numbers")
    if view.member and view.member not in members:
        of = f"the value of {view.source!r}"
        raise ValueError(f"member: {unknown_name(of, view.member, members)}")
    labels = _labels(source, value, view.member)
    for label in view.renamed or ():
        if label not in labels:
            there = f": {', '.join(labels)}" if labels else ", it has one entry"
            raise ValueError(f"labels: the key of {view.source!r} has no member {label!r}{there}")


def check_any(check: Callable[[_Asked, Facts], None], asked: _Asked, of: Iterable[Facts]) -> None:
    """The error of a check where it holds for none."""
    errors = []
    for facts in of:
        try:
            check(asked, facts)
        except ValueError as error:
            errors.append(error)
        else:
            return
    if errors:
        raise errors[0]


def _labels(source: MapFacts | None, value: Codec | None, member: str) -> list[str]:
    """What can be a label of a number."""
    found: list[str] = []
    if source is not None and source.type in _ARRAYS:
        found = ["index"] if source.max_entries != 1 else []
    elif source is not None:
        keys: Any = source
        found = list(MapKeys(keys).codecs)
    return [*found, *(["element"] if _has_elements(value, member) else [])]


def _has_elements(value: Codec | None, member: str) -> bool:
    """Whether a member, or without one any, is an array."""
    if isinstance(value, ArrayCodec):
        return True
    if not isinstance(value, StructCodec):
        return False
    name, _, rest = member.partition(".")
    return any(_has_elements(each.codec, rest) for each in value.fields if name in ("", each.name))


def check_log(log: EventLog, facts: Facts) -> None:
    """ValueError where there is no such buffer, or its records lack members."""
    source = facts.maps.get(log.map)
    if source is None:
        raise ValueError(unknown_name("the object", log.map, facts.maps, kind="map "))
    if source.type not in _BUFFERS:
        raise ValueError(f"map {log.map!r} is no ring or perf buffer")
    known = dict(member_types(record_codec(log, facts)))
    told = {"cpu", *known} if source.type == MapType.PERF_EVENT_ARRAY else known
    for member in sorted(log.members()):
        if member not in told:
            of = f"an event of {log.map!r}"
            raise ValueError(unknown_name(of, member, known, kind="member "))
    time = known.get(log.time)
    if log.time and not (isinstance(time, IntCodec) and time.size == 8):
        raise ValueError(f"time {log.time!r} is no integer of 8 bytes")


def check_apart(logs: Iterable[EventLog]) -> None:
    """ValueError where two logs are of one buffer, whose events each only one of them would get."""
    seen: set[str] = set()
    for log in logs:
        if log.map in seen:
            raise ValueError(f"map {log.map!r} has two logs")
        seen.add(log.map)


def record_codec(log: EventLog, facts: Facts) -> Codec | None:
    """The type of a buffer's records: the log's, the map's, or that which sources usually mean."""
    if not log.type:
        return facts.maps[log.map].events
    if facts.object is None:
        raise ValueError(f"type {log.type!r}: of what is pinned no types are known by name")
    try:
        return facts.object.codec(log.type)
    except KeyError as error:
        raise ValueError(f"type: {error.args[0]}") from None


def member_types(record: Codec | None) -> Mapping[str, Codec]:
    """The types of an event's members by dotted name."""
    return {} if record is None else dict(_members(record, ""))


def _members(record: Codec, name: str) -> Iterable[tuple[str, Codec]]:
    if not isinstance(record, StructCodec) or (name and meaning(record, name) is not None):
        return [(name or "value", record)]
    prefix = f"{name}." if name else ""
    return [leaf for each in record.fields for leaf in _members(each.codec, prefix + each.name)]
