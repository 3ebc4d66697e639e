"""Objects that others link against, and what they define: found by name, checked by type."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, Protocol

from osmia.btf import BTF, Func
from osmia.btf.agreement import declarations, disagreement, function_disagreement
from osmia.btf.c.format import declaration
from osmia.errors import LinkError
from osmia.named_tuples import NamedTuple
from osmia.object.map_agreement import is_static_map, map_disagreement
from osmia.object.model import DataKind, Extern, Linkage, Object

_OFFERED = (DataKind.DATA, DataKind.RODATA, DataKind.BSS)


class Provider(Protocol):
    """An object that others link against.

    `object` is what it says, with CO-RE records and types: its functions as they are before
    anything of a machine is in them. `maps` are those that hold its maps and data, by name and by
    section.

    One may tell more: `where(found)` in words where a definition is now, `engine_functions` what
    its functions call by name that only its engine knows, `no_code` why its functions have no
    code, `identity` what is equal for another one that has the same; and it may take
    `used_by(user, what)`, which is called for each thing that a loaded object uses.
    """

    @property
    def name(self) -> str:
        """What messages call it."""

    @property
    def object(self) -> Object:
        """What it says."""

    @property
    def maps(self) -> Mapping[str, Any]:
        """Who holds its maps and data sections; empty for a file."""


class Found(NamedTuple):
    """A definition that a provider has. `key` is that of the map or function, or of the data
    section that a variable is in, at `offset`; `type_id` the variable's type or the FUNC."""

    provider: Provider
    kind: Literal["map", "variable", "function"]
    name: str
    key: str
    weak: bool
    type_id: int
    offset: int = 0

    @property
    def identity(self) -> tuple[object, ...]:
        """Equal for two ways to the same thing."""
        if self.kind == "function":
            return getattr(self.provider, "identity", id(self.provider)), self.key
        live = self.provider.maps.get(self.key)
        return (live.id if live is not None else id(self.provider.object), self.offset)

    @property
    def told(self) -> str:
        """What it is, in words: "map 'flows'"."""
        return f"{self.kind} {self.name!r}"

    def declared(self) -> str:
        """In C."""
        btf = self.provider.object.btf
        if self.kind == "map" or btf is None or not self.type_id:
            return f"{self.kind} {self.name}"
        return declaration(btf, self.type_id, self.name)

    def described(self) -> str:
        """For who must choose: the object, what it is, and where it is now."""
        told = getattr(self.provider, "where", None)
        live = self.provider.maps.get(self.key) if self.kind != "function" else None
        where = told(self) if told else f"map {live.id}" if live is not None else ""
        return f"{self.provider.name}: {self.declared()}{f' ({where})' if where else ''}"


def find(provider: Provider, name: str) -> Found | None:
    """What a provider defines under a name that others can see; None if there is nothing."""
    obj = provider.object
    definition = obj.maps.get(name)
    if definition and not definition.hidden and not is_static_map(obj, definition):
        return Found(provider, "map", name, name, definition.weak, 0)
    for section in obj.data_sections.values():
        variable = section.variables.get(name)
        if variable is not None and _is_visible(variable) and section.kind in _OFFERED:
            place = section.name, variable.weak, variable.type_id, variable.offset
            return Found(provider, "variable", name, *place)
    function = obj.functions.get(name)
    if function is not None and _is_visible(function):
        return Found(provider, "function", name, name, function.weak, function.btf_id)
    return None


def _is_visible(each: Any) -> bool:
    return each.linkage is Linkage.GLOBAL and not each.hidden


def lacks_code(found: Found) -> bool:
    """Whether it is a function that a provider knows of and has no code of: see `no_code`."""
    return found.kind == "function" and bool(getattr(found.provider, "no_code", ""))


def engine_functions(provider: Provider) -> Mapping[str, Any]:
    """What the functions of a provider call by name that only its engine knows."""
    known: Mapping[str, Any] = getattr(provider, "engine_functions", {})
    return known


def live_map(provider: Provider, key: str, name: str) -> Any:
    """Who holds a map or data section of a provider. LinkError where nobody does."""
    live = provider.maps.get(key)
    if live is None:
        raise LinkError(
            f"{name!r} is what {provider.name} defines and nobody holds: load it, and import what"
            " that gives, or join both files with osmia.link"
        )
    return live


def check_agreement(extern: Extern, obj: Object, found: Found) -> None:
    """LinkError, with both declarations, where a definition is not as declared."""
    mine, other = obj.btf, found.provider.object.btf
    if mine is None or other is None:
        raise LinkError(
            f"{extern.name!r} cannot be compared with what {found.provider.name} defines: one of"
            " them has no types (compile with -g)"
        )
    why = _disagreement(extern, mine, found, other)
    if why is None:
        return
    here, there = obj.path or obj.name, found.provider.name
    sides = [(here, mine, extern.btf_id or extern.type_id)]
    if found.type_id:
        sides.append((there, other, _declared(found, other)))
    # Of a map the declaration is a struct without a name: what differs says more.
    problems = declarations(sides) if extern.map is None else ()
    raise LinkError(f"{extern.name!r} is not in {there} as {here} declares it: {why}", problems)


def _declared(found: Found, btf: BTF) -> int:
    """What tells most of a definition: of a variable the VAR, which has its name."""
    from osmia.passes.linking.symbols import variable_id

    if found.kind != "variable":
        return found.type_id
    section = found.provider.object.data_sections[found.key]
    return variable_id(btf, section.btf_id, found.name, found.offset) or found.type_id


def _disagreement(extern: Extern, mine: BTF, found: Found, other: BTF) -> str | None:
    declared = "map" if extern.map is not None else "variable"
    if isinstance(mine.type(extern.btf_id), Func):
        declared = "function"
    if declared != found.kind:
        return f"a {declared} here, a {found.kind} there"
    if extern.map is not None:
        defined = found.provider.object.maps[found.key]
        return map_disagreement(extern.map, mine, defined, other)
    if found.kind == "function":
        return function_disagreement(mine, extern.type_id, other, found.type_id)
    return disagreement(mine, extern.type_id, other, found.type_id)
