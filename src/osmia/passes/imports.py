"""Externs that other objects define: found by name, checked by type, bound to what is there.

A `Provider` is an object whose maps and data somebody holds: one that is loaded, a published
library, what the kernel has; or a file, of which nobody does. `Imports` is the resolver
that asks them. What it binds stays the provider's: the Object gets a data section or a map by
another name, and `maps` and `sections` tell the engine which live map stands for each.
Functions join the Object (`copying`), or are bound in a way that the engine has.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from osmia.errors import LinkError, NotSupportedError
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
from osmia.passes.copied_types import CopiedTypes
from osmia.passes.copying import copy_function
from osmia.passes.providers import (
    Found,
    Provider,
    check_agreement,
    engine_functions,
    find,
    lacks_code,
    live_map,
)
from osmia.passes.verifier_rules import check_callable
from osmia.records import replace

#: A way to bind functions: "copy", or one of an engine's own.
Way = Callable[[Found, Extern, Object], Binding]


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
        known = [e for e in found_by.values() if not lacks_code(e)] or [*found_by.values()]
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
        if lacks_code(found):
            why = getattr(found.provider, "no_code", "")
            raise NotSupportedError(f"{found.described()} cannot be copied: {why}")
        key = place.key_of(extern.name) if extern.name in obj.functions else extern.name
        return Binding(
            key,
            call=kinds[0],
            load=kinds[1],
            join=lambda into: copy_function(into, source, {found.key: key}, extern, place),
        )


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
        type_id = self._type_of(result, extern, owned)
        variable = Variable(
            extern.name, found.offset, owned.size, type_id, Linkage.EXTERN, hidden=True
        )
        section.variables[extern.name] = variable
        return result

    def _type_of(self, obj: Object, extern: Extern, owned: Variable) -> int:
        """The type in `obj` of a variable: as declared, but for arrays that are declared of
        another length, which are as long as they are."""
        btf, source = obj.btf, self.provider.object.btf
        assert btf is not None and source is not None  # or they had not been compared
        if btf.size_of(extern.type_id) == owned.size:
            return extern.type_id
        types = CopiedTypes(btf, source)
        type_id = types.copy(owned.type_id)
        obj.btf = types.build()
        return type_id


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
