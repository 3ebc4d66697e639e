"""A function of one object joins another one: its code, what it calls, its types.

It is taken as it was before anything of a machine was in it, with its CO-RE records. Maps and
data that it refers to stay whose they are: a `Place` says what stands for them.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Protocol

from osmia.btf.agreement import declarations, disagreement
from osmia.errors import LinkError
from osmia.object.map_agreement import map_disagreement
from osmia.object.model import (
    Extern,
    ExternKind,
    Function,
    Object,
    Relocation,
    RelocationKind,
)
from osmia.object.sections import TEXT
from osmia.passes.copied_types import CopiedTypes
from osmia.passes.retyped import retyped_map
from osmia.records import replace

_SECTIONS = {
    ExternKind.KCONFIG: ".kconfig",
    ExternKind.KSYM: ".ksyms",
    ExternKind.KFUNC: ".ksyms",
}
_FUNCTIONS = (RelocationKind.CALL, RelocationKind.FUNCTION)
_ENGINES = (RelocationKind.ENGINE_FUNCTION, RelocationKind.ENGINE_ADDRESS)
_EXTERNS = (RelocationKind.EXTERN, RelocationKind.EXTERN_CALL)


class Place(Protocol):
    """Where what is copied comes from, and what stands for its maps and data. `copied` are the
    keys, in the Object, of its functions that are there already."""

    label: str
    copied: dict[str, str]

    def map(self, obj: Object, name: str) -> str:
        """The key in `obj`, to which it is added, of a map that stays its owner's."""

    def section(self, obj: Object, name: str) -> str:
        """The key in `obj`, to which it is added, of a data section that stays its owner's."""

    def engine_function(self, name: str) -> str:
        """What a function is called here that an engine has as `name` for the owner."""


def copy_function(
    obj: Object, source: Object, keys: Mapping[str, str], extern: Extern, place: Place
) -> Object:
    """`obj` with a function of `source` that `extern` declares, and its callees.

    `keys` has its key there and the one that it gets. Callees keep their keys where nobody has
    them, else the label of the place comes before.
    LinkError for what cannot come along.
    """
    copier = _Copier(obj, source, place)
    ((key, wanted),) = keys.items()
    copier.copy(key, wanted, extern)
    return copier.result


class _Copier:
    def __init__(self, obj: Object, source: Object, place: Place) -> None:
        self.result = obj.copy()
        self.source = source
        self.place = place
        assert obj.btf is not None and source.btf is not None  # or types had not been compared
        self.types = CopiedTypes(obj.btf, source.btf)
        self.keys = dict(place.copied)
        self.tables: dict[str, str] = {}

    def copy(self, key: str, wanted: str, extern: Extern) -> None:
        functions = [each for each in self._with_callees(key) if each not in self.keys]
        self.keys[key] = wanted
        taken = self.result.functions.keys() | self.result.externs.keys()
        for callee in functions[1:]:
            self.keys[callee] = self._free(callee, taken)
        self._copy_tables(functions)
        for old in functions:
            made = self._function(self.source.functions[old], extern if old == key else None)
            self.result.functions[self.keys[old]] = made
        self.result.btf = self.types.build()
        self.place.copied.update(self.keys)

    def _with_callees(self, key: str) -> list[str]:
        try:
            return [key, *self.source.callees(key)]
        except KeyError as missing:
            raise self._lacking("function", missing.args[0]) from None

    def _lacking(self, kind: str, name: str) -> LinkError:
        """The error for something that the source refers to and does not have."""
        return LinkError(
            f"{self.place.label} refers to the {kind} {name!r}, which it does not have"
        )

    def _free(self, wanted: str, taken: Mapping[str, object] | set[str]) -> str:
        """A key that nobody has yet."""
        key, number = wanted, 1
        used = set(self.keys.values())
        while key in taken or key in used:
            key = f"{self.place.label}:{wanted}" if number == 1 else f"{key}#{number}"
            number += 1
        return key

    def _copy_tables(self, functions: Collection[str]) -> None:
        """The jump tables of the functions."""
        for name, table in self.source.jump_tables.items():
            if table.function in functions:
                key = self._free(name, self.result.jump_tables)
                made = replace(table, name=key, function=self.keys[table.function])
                self.result.jump_tables[key], self.tables[name] = made, key

    def _function(self, function: Function, extern: Extern | None) -> Function:
        types = self.types
        return replace(
            function,
            section=TEXT,
            relocations=tuple(self._relocation(each) for each in function.relocations),
            core_relocations=tuple(
                each._replace(type_id=types.copy(each.type_id))
                for each in function.core_relocations
            ),
            line_info=types.lines(function.line_info),
            btf_id=types.copy_function(function.btf_id, extern.btf_id if extern else 0),
            weak=False,
            hidden=True,  # it is offered by whom it is from
        )

    def _relocation(self, relocation: Relocation) -> Relocation:
        target = relocation.target
        match relocation.kind:
            case kind if kind in _FUNCTIONS:
                return relocation._replace(target=self.keys[target])
            case RelocationKind.JUMP_TABLE:
                if target not in self.tables:
                    raise self._lacking("jump table", target)
                return relocation._replace(target=self.tables[target])
            case RelocationKind.MAP:
                if target not in self.source.maps:
                    raise self._lacking("map", target)
                return relocation._replace(target=self.place.map(self.result, target))
            case RelocationKind.DATA:
                if target not in self.source.data_sections:
                    raise self._lacking("section", target)
                return relocation._replace(target=self.place.section(self.result, target))
            case kind if kind in _ENGINES:
                return relocation._replace(target=self.place.engine_function(target))
            case kind if kind in _EXTERNS:
                if target not in self.source.externs:
                    raise self._lacking("extern", target)
                self._add_extern(self.source.externs[target])
        return relocation

    def _add_extern(self, extern: Extern) -> None:
        """What the kernel is to answer is asked once, for both objects."""
        assert self.source.btf is not None and self.result.btf is not None
        mine = self.result.externs.get(extern.name)
        if mine is None:
            section, declared = _SECTIONS.get(extern.kind), extern.btf_id
            types = self.types
            self.result.externs[extern.name] = replace(
                extern,
                btf_id=types.declare(section, declared) if section else types.copy(declared),
                type_id=types.copy(extern.type_id),
                map=retyped_map(extern.map, types.copy) if extern.map is not None else None,
            )
            return
        # The types of both are still in their own objects: nothing was built yet.
        other = self.source.btf, extern.type_id
        if mine.type_id >= len(self.result.btf):
            return  # one that was just added
        why = disagreement(self.result.btf, mine.type_id, *other)
        if mine.map is not None and extern.map is not None:
            why = map_disagreement(mine.map, self.result.btf, extern.map, self.source.btf)
        if mine.kind is not extern.kind:
            why = f"{mine.kind.value} here, {extern.kind.value} there"
        if why is not None:
            sides = [
                (self.result.path or self.result.name, self.result.btf, mine.btf_id),
                (self.place.label, self.source.btf, extern.btf_id),
            ]
            raise LinkError(
                f"both declare {extern.name!r} extern, and differently: {why}", declarations(sides)
            )
        if mine.weak and not extern.weak:
            self.result.externs[extern.name] = replace(mine, weak=False)
