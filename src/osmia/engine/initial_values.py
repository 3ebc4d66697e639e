"""What a load stores into the maps it has: one rule for all engines."""

from __future__ import annotations

import warnings
from collections.abc import Container, Iterator

from osmia.errors import OsmiaWarning, RelocationError
from osmia.object.model import Map, Object
from osmia.object.uapi import MapType

#: Bytes of a key that is an index.
INDEX_SIZE = 4


def initial_values(
    obj: Object, held: Container[str], made: Container[str]
) -> Iterator[tuple[Map, int, str]]:
    """Each (map, index, name of a map or program) to be stored. As libbpf has it: inner maps go
    into maps that this load made, what others use keeps what it holds; prog arrays get the
    load's programs in any case.

    `held` are the maps that the load has, by name, `made` those of them that are new. An
    OsmiaWarning names programs of prog arrays that are not loaded; RelocationError for slots
    that nothing can be stored at.
    """
    for definition in obj.maps.values():
        if not definition.slots or definition.name not in held:
            continue
        is_prog_array = definition.type is MapType.PROG_ARRAY
        if is_prog_array or definition.name in made:
            _check_key(definition)
            fits = _is_loaded if is_prog_array else _is_held
            for index, target in definition.slots:
                if fits(obj, held, definition, target):
                    yield definition, index, target


def _check_key(definition: Map) -> None:
    """What is stored at an index needs keys that are indices."""
    if definition.key_size != INDEX_SIZE:
        raise RelocationError(
            f"map {definition.name!r} has keys of {definition.key_size} bytes; initial values"
            f" are for maps with keys of {INDEX_SIZE}"
        )


def _is_held(obj: Object, held: Container[str], definition: Map, target: str) -> bool:
    if target not in held:
        raise RelocationError(f"map {definition.name!r}: its value {target!r} is no map")
    return True


def _is_loaded(obj: Object, held: Container[str], definition: Map, target: str) -> bool:
    program = obj.programs.get(target)
    if program is None:
        raise RelocationError(f"map {definition.name!r}: its value {target!r} is no program")
    if not program.autoload:
        warnings.warn(
            f"{obj.path or obj.name}: prog array {definition.name!r} is for {target!r}, which is"
            " not loaded (autoload is off); its slot stays as it is",
            OsmiaWarning,
            stacklevel=5,
        )
    return program.autoload
