"""A function of a provider as a program of its own: an object with what it needs, no more."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Self

from osmia.object.model import DataSection, Extern, Object, Program, RelocationKind
from osmia.object.uapi import ProgramType
from osmia.passes.binding import Binding
from osmia.passes.providers import Found, engine_functions, live_map
from osmia.records import dataclass, replace

_EXTERNS = (RelocationKind.EXTERN, RelocationKind.EXTERN_CALL)


@dataclass(frozen=True, slots=True)
class Part:
    """`object` has one program, whose maps and data sections are all live: see `Imports`."""

    object: Object
    maps: Mapping[str, Any]
    sections: Mapping[str, Any]
    functions: Mapping[str, Any]

    @classmethod
    def of(cls, found: Found, like: Program | None) -> Self:
        """The function that was found, as a program of the same kind as `like`."""
        provider, key = found.provider, found.key
        source = provider.object
        names = [key, *source.callees(key)]
        functions = {name: source.functions[name] for name in names}
        used = [each for function in functions.values() for each in function.relocations]
        maps = {each.target for each in used if each.kind is RelocationKind.MAP}
        sections = {each.target for each in used if each.kind is RelocationKind.DATA}
        externs = {each.target for each in used if each.kind in _EXTERNS}
        kind = like.type if like is not None else ProgramType.SOCKET_FILTER
        program = replace(
            like or Program(key, key, "", kind),
            name=key,
            function=key,
            autoload=True,
            auto_attach=False,
            exception_callback="",
        )
        made = source.copy(
            functions=functions,
            programs={key: program},
            maps={name: replace(source.maps[name], slots=()) for name in maps},
            data_sections={name: _emptied(source.data_sections[name]) for name in sections},
            externs={name: each for name, each in source.externs.items() if name in externs},
            other_sections={},
        )
        return cls(
            made,
            {name: live_map(provider, name, name) for name in maps},
            {name: live_map(provider, name, name) for name in sections},
            engine_functions(provider),
        )

    def resolve(self, extern: Extern, obj: Object) -> Binding | None:
        """It has all that its object has: the rest is the target's."""
        return None


def _emptied(section: DataSection) -> DataSection:
    """A section that somebody holds: what was in it is of no use."""
    made = section.copy()
    made.variables, made.relocations = {}, ()
    return made
