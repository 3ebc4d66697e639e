"""The bookkeeping of a linked object: which input each thing comes from."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import count

from osmia.object.model import Object
from osmia.object.parts import Part
from osmia.passes.linking.liveness import Place
from osmia.passes.linking.placement import Placement


def parts_of(
    objects: Sequence[Object],
    placements: Sequence[Placement],
    unneeded: frozenset[Place],
    lost: frozenset[Place],
) -> dict[str, Part]:
    """A part for each input by its name, and the parts that inputs have which were linked before.

    `lost` are functions that are another's now. A name that is taken gets a number: "lib#2".
    """
    found: dict[str, Part] = {}
    inner: list[tuple[str, Part]] = []
    for number, (obj, placement) in enumerate(zip(objects, placements, strict=True)):
        gone = {place.key for place in unneeded - lost if place.input == number}
        variables = (key for each in obj.data_sections.values() for key in each.variables)
        own = Part(
            _moved({key: key for key in obj.functions}, placement.functions, gone),
            _moved({key: key for key in variables}, placement.variables),
            _moved({key: key for key in obj.maps}, placement.maps),
        )
        found[_unused(part_name(obj), found)] = own
        for name, part in obj.parts.items():
            functions = _moved(part.functions, placement.functions, gone)
            moved = _moved(part.variables, placement.variables), _moved(part.maps, placement.maps)
            inner.append((name, Part(functions, *moved)))
    for name, part in inner:
        found[_unused(name, found)] = part
    return found


def part_name(obj: Object) -> str:
    """What an input is called: its file up to the first dot, or the object's name."""
    return obj.path.rpartition("/")[2].partition(".")[0] or obj.name


def _moved(
    keys: Mapping[str, str], renamed: Mapping[str, str], gone: Iterable[str] = ()
) -> dict[str, str]:
    return {own: renamed.get(key, key) for own, key in keys.items() if key not in gone}


def _unused(name: str, taken: Mapping[str, Part]) -> str:
    if name not in taken:
        return name
    return next(key for number in count(2) if (key := f"{name}#{number}") not in taken)
