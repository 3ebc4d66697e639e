"""Where a load pins the maps of an object, and what is in prog arrays that are there."""

from __future__ import annotations

import os
from collections.abc import Iterator

from osmia.engine.maps.references import ProgramArray
from osmia.errors import KernelError
from osmia.kernel.load import tc_pins
from osmia.kernel.maps.opening import map_from_pin
from osmia.kernel.sys.pins import safe_name
from osmia.object.model import Map, Object, Pinning
from osmia.object.uapi import MapType


def pin_path(obj: Object, definition: Map, pin_root: str | os.PathLike[str]) -> str | None:
    """The place of a map's pin; None for one that is not pinned."""
    if definition.pin_path:
        return definition.pin_path
    if not definition.pinning:
        return None
    if definition.pinning == Pinning.BY_NAME:
        return os.path.join(pin_root, safe_name(definition.name))  # noqa: PTH118
    return os.fspath(tc_pins.pin_path(definition, obj.pin_digest))


def pinned_arrays(obj: Object, pin_root: str | os.PathLike[str]) -> Iterator[tuple[str, str]]:
    """The prog arrays of an object that are pinned already, so that a load would reuse them: the
    name and the place of each."""
    for definition in obj.maps.values():
        if definition.type is MapType.PROG_ARRAY and definition.autocreate:
            path = pin_path(obj, definition, pin_root)
            if path is not None and os.path.lexists(path):
                yield definition.name, path


def pinned_keys(obj: Object, pin_root: str | os.PathLike[str]) -> dict[str, list[int]]:
    """The slots that are filled in those, by name. What cannot be read is left to the load."""
    found = {}
    for name, path in pinned_arrays(obj, pin_root):
        try:
            with map_from_pin(path) as array:
                if isinstance(array, ProgramArray):
                    found[name] = [int(key) for key in array]
        except KernelError:
            continue
    return found
