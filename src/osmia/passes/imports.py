"""Externs that other objects define: found by name, checked by type, bound to what is there.

A `Provider` is an object whose maps and data somebody holds: one that is loaded, a published
library, what the kernel has; or a file, of which nobody does. `Imports` is the resolver
that asks them. What it binds stays the provider's: the Object gets a data section or a map by
another name, and `maps` and `sections` tell the engine which live map stands for each.
Functions join the Object (`copying`), or are bound in a way that the engine has.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Literal, NamedTuple, Protocol

from osmia.btf import BTF, Func
from osmia.btf.agreement import declarations, disagreement, function_disagreement
from osmia.btf.c.format import declaration
from osmia.errors import LinkError, NotSupportedError
from osmia.object.map_agreement import map_disagreement
from osmia.object.model import (
    DataKind,
    DataSection,
    Extern,
    ExternKind,
    Linkage,
    Map,
    Object,
    Pinning,
    RelocationKind,
    Variable,
)
from osmia.passes.binding import Binding
from osmia.passes.copying import copy_function
from osmia.passes.verifier_rules import check_callable

_OFFERED = (DataKind.DATA, DataKind.RODATA, DataKind.BSS)


class Provider(Protocol):
    """An object that others link against.

    `object` is what it says, with CO-RE records and types: its functions as they are before
    anything of a machine is in them. `maps` are those that hold its maps and data, by name and by
    section.

    One may tell more: `where(found)` in words where a definition is now, `engine_functions` what
    its functions call by name that only its engine knows, `no_code` why its functions have no
    code; and it may take `used_by(user, what)`, which is called for each thing that a loaded
    object uses.
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
            return id(self.provider), self.key
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


#: A way to bind functions: "copy", or one of an engine's own.
Way = Callable[[Found, Extern, Object], Binding]


def find(provider: Provider, name: str) -> Found | None:
    """What a provider defines under a name that others can see; None if there is nothing."""
    obj = provider.object
    definition = obj.maps.get(name)
    if definition is not None and not definition.hidden:
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


class Imports:
    """A Resolver that asks providers: all of `providers` for what is extern and no kernel's, and
    for names in `decided` the one that is given there.

    A name that several define is refused, unless all but one are weak. `maps` and `sections`
    are filled while an Object is linked: live maps by their names in it, and `functions`, which
    providers have from their engine. So is `used`: what of each provider, in words.
    """

    def __init__(
        self,
        providers: Sequence[Provider],
        decided: Mapping[str, Provider],
        ways: Mapping[str, Way],
        bind: str = "copy",
    ) -> None:
        self.providers = providers
        self.decided = decided
        self.bind = {"copy": self._copy, **ways}[bind]
        self.maps: dict[str, Any] = {}
        self.sections: dict[str, Any] = {}
        self.functions: dict[str, Any] = {}
        self.used: list[tuple[Provider, str]] = []
        self._places: list[_Place] = []

    def resolve(self, extern: Extern, obj: Object) -> Binding | None:
        """See `Resolver`. LinkError for collisions and for declarations that disagree."""
        found = self._find(extern, obj)
        if found is None:
            return None
        if found.provider.object.byteorder != obj.byteorder:
            raise LinkError(f"{found.provider.name} is of the other byte order than {obj.name}")
        check_agreement(extern, obj, found)
        self.used.append((found.provider, found.told))
        match found.kind:
            case "map":
                return Binding(
                    extern.name,
                    load=RelocationKind.MAP,
                    join=lambda into: self._join_map(into, extern, found),
                )
            case "variable":
                place = self._place(found.provider)
                return Binding(
                    place.key_of(found.key),
                    found.offset,
                    load=RelocationKind.DATA,
                    join=lambda into: place.join_variable(into, extern, found),
                )
        check_callable(obj, extern.name, found.provider.object, found.key, found.provider.name)
        return self.bind(found, extern, obj)

    def note_users(self, user: object) -> None:
        """Let the providers know that `user`, which is loaded, has what was bound."""
        for provider, what in self.used:
            note = getattr(provider, "used_by", None)
            if note is not None:
                note(user, what)

    def _find(self, extern: Extern, obj: Object) -> Found | None:
        chosen = self.decided.get(extern.name)
        if chosen is not None and extern.kind is not ExternKind.KCONFIG:
            found = find(chosen, extern.name)
            if found is None:
                raise LinkError(f"{chosen.name} defines no {extern.name!r} that others can see")
            return found
        if extern.kind is not ExternKind.OBJECT:
            return None
        every = [find(provider, extern.name) for provider in self.providers]
        found_by = {each.identity: each for each in every if each is not None}
        # Who has the code of a function is asked before who can only tell that it is there.
        known = [e for e in found_by.values() if not _lacks_code(e)] or [*found_by.values()]
        candidates = [each for each in known if not each.weak] or known
        if len(candidates) > 1:
            raise LinkError(
                f"{obj.path or obj.name}: {extern.name!r} is defined by {len(candidates)}; say by"
                f" whom with imports={{{extern.name!r}: …}}",
                [each.described() for each in candidates],
            )
        return candidates[0] if candidates else None

    def _place(self, provider: Provider) -> _Place:
        for known in self._places:
            if known.provider is provider:
                return known
        labels = {known.label for known in self._places}
        label, number = provider.name, 1
        while label in labels:
            number += 1
            label = f"{provider.name}#{number}"
        made = _Place(self, provider, label)
        self._places.append(made)
        return made

    def _join_map(self, obj: Object, extern: Extern, found: Found) -> Object:
        assert extern.map is not None
        self.maps[extern.name] = live_map(found.provider, found.key, extern.name)
        definition = replace(extern.map, btf_id=extern.btf_id, hidden=True, pinning=Pinning.NONE)
        return obj.copy(maps={**obj.maps, extern.name: definition})

    def _copy(self, found: Found, extern: Extern, obj: Object) -> Binding:
        place = self._place(found.provider)
        kinds = RelocationKind.CALL, RelocationKind.FUNCTION
        if found.key in place.copied:
            return Binding(place.copied[found.key], call=kinds[0], load=kinds[1])
        source = found.provider.object
        if _lacks_code(found):
            why = getattr(found.provider, "no_code", "")
            raise NotSupportedError(f"{found.described()} cannot be copied: {why}")
        key = place.key_of(extern.name) if extern.name in obj.functions else extern.name
        return Binding(
            key,
            call=kinds[0],
            load=kinds[1],
            join=lambda into: copy_function(into, source, {found.key: key}, extern, place),
        )


def _lacks_code(found: Found) -> bool:
    return found.kind == "function" and bool(getattr(found.provider, "no_code", ""))


class _Place:
    """What stands for a provider's maps and data in an Object: see `copying.Place`."""

    def __init__(self, imports: Imports, provider: Provider, label: str) -> None:
        self.imports = imports
        self.provider = provider
        self.label = label
        self.copied: dict[str, str] = {}

    def key_of(self, name: str) -> str:
        """The key in the Object of a section or map of the provider's."""
        return f"{self.label}:{name}"

    def map(self, obj: Object, name: str) -> str:
        """See `copying.Place`. The map has no types there: whoever reads it asks its owner."""
        key = self.key_of(name)
        if key not in self.imports.maps:
            self.imports.maps[key] = live_map(self.provider, name, name)
            self.imports.used.append((self.provider, f"map {name!r}"))
        obj.maps[key] = _untyped(self.provider.object.maps[name], key)
        return key

    def section(self, obj: Object, name: str) -> str:
        """See `copying.Place`. Constants of a file, which nobody holds, are copied."""
        key = self.key_of(name)
        if key in obj.data_sections:
            return key
        self.imports.used.append((self.provider, f"section {name!r}"))
        return self._add_section(obj, name, key)

    def _add_section(self, obj: Object, name: str, key: str) -> str:
        owned = self.provider.object.data_sections[name]
        live = self.provider.maps.get(name)
        if live is None and owned.kind is DataKind.RODATA and not owned.relocations:
            made = replace(owned.copy(), name=key, variables={}, btf_id=0)
            obj.data_sections[key] = made
            return key
        self.imports.sections[key] = live_map(self.provider, name, name)
        contents = bytearray(len(owned.contents))
        obj.data_sections[key] = DataSection(key, owned.kind, contents, alignment=owned.alignment)
        return key

    def engine_function(self, name: str) -> str:
        """See `copying.Place`."""
        theirs = engine_functions(self.provider).get(name)
        if theirs is None:
            return name
        key = self.key_of(name)
        self.imports.functions[key] = theirs
        return key

    def join_variable(self, obj: Object, extern: Extern, found: Found) -> Object:
        """`obj` with the section, and in it the variable as `extern` declares it."""
        result = obj.copy()
        key = self.key_of(found.key)
        if key not in result.data_sections:
            self._add_section(result, found.key, key)
        section = result.data_sections[key]
        owned = self.provider.object.data_sections[found.key].variables[found.name]
        variable = Variable(
            extern.name, found.offset, owned.size, extern.type_id, Linkage.EXTERN, hidden=True
        )
        section.variables[extern.name] = variable
        return result


def _untyped(definition: Map, name: str) -> Map:
    """What of a map an object that has no types of it says."""
    return replace(
        definition,
        name=name,
        key_type_id=0,
        value_type_id=0,
        pinning=Pinning.NONE,
        pin_path="",
        slots=(),
        btf_id=0,
        weak=False,
        hidden=True,
        autocreate=True,
        exclusive_to="",
    )


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
        sides.append((there, other, found.type_id))
    # Of a map the declaration is a struct without a name: what differs says more.
    problems = declarations(sides) if extern.map is None else ()
    raise LinkError(f"{extern.name!r} is not in {there} as {here} declares it: {why}", problems)


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
