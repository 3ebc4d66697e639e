"""A part of a loaded object: the maps, variables and programs of one input of a linked object."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from osmia.arguments import names_wrong_arguments
from osmia.object.parts import Part
from osmia.values.names import PartsByName, unknown_name
from osmia.values.variables import Variables

if TYPE_CHECKING:
    from osmia.engine.loaded import LoadedObject
    from osmia.engine.program import Program


class LoadedPart:
    """What `LoadedObject.part` gives: `.programs`, `.maps` and `.data` of one input of a linked
    object, by the names that they have there, statics too. They are the loaded object's own, and
    are closed with it."""

    def __init__(self, owner: LoadedObject, name: str, part: Part) -> None:
        self.name = name
        self.object = owner.object
        title = f"part {name!r} of object {owner.name!r}"
        programs = _present(part.functions, owner.programs)
        self.programs: Mapping[str, Program] = PartsByName(title, "program", programs)
        self.maps: Mapping[str, Any] = PartsByName(title, "map", _present(part.maps, owner.maps))
        slots = {
            own: owner.data.slot(key) for own, key in part.variables.items() if key in owner.data
        }
        self.data = Variables(slots)

    def __repr__(self) -> str:
        counts = f"{len(self.programs)} programs, {len(self.maps)} maps"
        return f"<LoadedPart {self.name!r}: {counts}, {len(self.data)} variables>"


def _present(keys: Mapping[str, str], things: Mapping[str, Any]) -> dict[str, Any]:
    return {own: things[key] for own, key in keys.items() if key in things}


@names_wrong_arguments
def part_of(owner: LoadedObject, name: str) -> LoadedPart:
    """The part of that name. An object that was not linked has one, with its own name."""
    obj = owner.object
    part = obj.parts.get(name)
    if part is None and not obj.parts and name == obj.name:
        variables = {key: key for each in obj.data_sections.values() for key in each.variables}
        functions = {key: key for key in obj.functions}
        part = Part(functions, variables, {key: key for key in obj.maps})
    if part is None:
        known = [*obj.parts] or [obj.name]
        raise KeyError(unknown_name(f"object {obj.name!r}", name, known, kind="part "))
    return LoadedPart(owner, name, part)
