"""The list of maps, and all about one: what `osmia map list` prints."""

from __future__ import annotations

from collections.abc import Sequence

from osmia.cli.listings import Description, show, told_program
from osmia.cli.output import Output, enum_name
from osmia.cli.targets import map_infos, only_target
from osmia.engine.maps.info import MapInfo
from osmia.kernel.inventory.full_names import map_name
from osmia.kernel.programs.info import known_program_type
from osmia.object.uapi import MapType

_COLUMNS = {
    "id": "id",
    "type": "type",
    "name": "name",
    "key": "bytes_key",
    "value": "bytes_value",
    "entries": "max_entries",
    "flags": "flags",
    "memory": "bytes_memlock",
    "held by": "pids",
}
#: What a narrow terminal does without.
_OPTIONAL = ("memory", "flags", "key", "value", "entries")


def list_maps(output: Output, words: Sequence[str], pins: bool) -> None:
    """All maps; with words, all about those that these name. `pins`: look for them for JSON,
    too."""
    infos = map_infos(only_target(words) if words else None)
    things = list(map(describe, infos))
    if not output.json:
        things = [each | {"name": each.pop("full_name", each["name"])} for each in things]
    if words:
        things = [each | _slots(info) for each, info in zip(things, infos, strict=True)]
    show(output, "map", things, _COLUMNS, only=bool(words), pins=pins, optional=_OPTIONAL)


def _slots(info: MapInfo) -> Description:
    """What a prog array holds."""
    if info.type != MapType.PROG_ARRAY:
        return {}
    from osmia.kernel.inventory.references import programs_in

    held = [(key, number, told_program(number)["name"]) for key, number in programs_in(info)]
    return {"programs": [{"key": key, "id": number, "name": name} for key, number, name in held]}


def describe(info: MapInfo) -> Description:
    """A map as bpftool's JSON has it; and its whole name."""
    described: Description = {
        "id": info.id,
        "type": enum_name(info.type),
        "name": info.name,
        "flags": int(info.flags),
        "bytes_key": info.key_size,
        "bytes_value": info.value_size,
        "max_entries": info.max_entries,
        "bytes_memlock": info.memlock,
        "frozen": int(info.frozen),
    }
    owner, name = info.owner_prog_type, map_name(info)
    optional = {
        "full_name": name if name != info.name else "",
        "map_extra": info.map_extra,
        "ifindex": info.ifindex,
        "btf_id": info.btf_id,
        "owner_prog_type": enum_name(known_program_type(owner)) if owner else "",
        "owner_jited": info.owner_jited,
    }
    return described | {name: value for name, value in optional.items() if value}
