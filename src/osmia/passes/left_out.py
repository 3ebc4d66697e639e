"""Maps that are not to be made: what refers to one becomes an impossible call.

The verifier refuses it only where it can be reached. Its number is libbpf's, so that the
program, and its tag, are the same.
"""

from __future__ import annotations

from collections.abc import Container, Mapping

from osmia.object.model import Function, Object, Relocation, RelocationKind, Unresolved
from osmia.passes.poison import POISONED_MAP, poison
from osmia.records import replace


def left_out(obj: Object, given: Container[str] = ()) -> dict[str, int]:
    """The numbers, by name, of the maps that `autocreate` leaves out and nobody gives."""
    return {
        name: number
        for number, (name, definition) in enumerate(obj.maps.items())
        if not definition.autocreate and name not in given
    }


def leave_out_maps(obj: Object, given: Container[str] = ()) -> Object:
    """`obj` without relocations that name maps which are left out."""
    numbers = left_out(obj, given)
    functions = {
        name: _poisoned(function, numbers, obj.byteorder)
        for name, function in obj.functions.items()
    }
    return obj.copy(functions=functions)


def _poisoned(function: Function, numbers: Mapping[str, int], byteorder: str) -> Function:
    gone = [each for each in function.relocations if _names(each, numbers)]
    if not gone:
        return function
    code = bytearray(function.code)
    unresolved = list(function.unresolved)
    for each in gone:
        what = f"map {each.target!r} is used here, and autocreate is off"
        for at in (each.offset, each.offset + 8):
            poison(code, at, POISONED_MAP + numbers[each.target], byteorder)
            unresolved.append(Unresolved(at, what))
    return replace(
        function,
        code=bytes(code),
        relocations=tuple(each for each in function.relocations if not _names(each, numbers)),
        unresolved=tuple(sorted(unresolved)),
    )


def _names(relocation: Relocation, numbers: Mapping[str, int]) -> bool:
    return relocation.kind is RelocationKind.MAP and relocation.target in numbers
