"""The types of all inputs as one BTF: what is declared once, data sections made anew."""

from __future__ import annotations

import sys
from array import array
from collections.abc import Collection, Iterator, Sequence
from typing import Any

from osmia.btf import BTF, DataSec, Kind, Var, VarLinkage, merge
from osmia.btf.additions import Additions
from osmia.btf.patch import SectionLayout, corrected
from osmia.errors import ObjectFormatError
from osmia.named_tuples import NamedTuple
from osmia.object.model import Function, Map, Object
from osmia.passes.linking.liveness import Place
from osmia.passes.linking.placement import Placement
from osmia.passes.linking.symbols import Symbols, What, variable_id, where
from osmia.passes.retyped import retyped_map
from osmia.records import dataclass, field, replace

#: Sections that all objects have alike: one's is everybody's.
TEXTS = ("license", "version")
MAPS_SECTION = ".maps"
_POINTER_SIZE = 8


class _Entry(NamedTuple):
    """Of a data section: where a variable lies."""

    offset: int
    type_id: int
    size: int


@dataclass(slots=True)
class _Section:
    entries: list[_Entry] = field(default_factory=list)
    known: set[int] = field(default_factory=set)
    size: int = 0


class _Texts(dict[int, int]):
    """The new offsets of an input's strings by the old ones, each made when it is asked for."""

    def __init__(self, btf: BTF, strings: _Strings) -> None:
        super().__init__({0: 0})
        self._btf = btf
        self._strings = strings

    def __missing__(self, offset: int) -> int:
        found = self[offset] = self._strings[self._btf.string(offset)]
        return found


class _Strings(dict[str, int]):
    """The offsets of strings that are added, each when it is asked for."""

    def __init__(self, added: Additions) -> None:
        super().__init__()
        self._added = added

    def __missing__(self, text: str) -> int:
        found = self[text] = self._added.add_string(text)
        return found


class Types:
    """The merged types while the parts of the object are made: new ids and strings by old ones.

    Inputs are meant by their number. `build` gives the BTF, when all that refers to it is made.
    """

    def __init__(
        self,
        objects: Sequence[Object],
        placements: Sequence[Placement],
        left_out: Sequence[Collection[int]],
    ) -> None:
        self.objects = objects
        self.placements = placements
        inputs = [n for n, obj in enumerate(objects) if obj.btf is not None]
        merged = merge(
            [btf for obj in objects if (btf := obj.btf) is not None],
            [left_out[number] for number in inputs],
        )
        self.ids: list[Sequence[int]] = [(0,)] * len(objects)
        for number, ids in zip(inputs, merged.ids, strict=True):
            self.ids[number] = ids
        self._merged = merged.btf
        self._added = Additions(merged.btf)
        self._strings = _Strings(self._added)
        self._texts = [
            _Texts(obj.btf, self._strings) if obj.btf is not None else None for obj in objects
        ]
        self._swapped = merged.btf.byteorder != sys.byteorder
        self.sections: dict[str, int] = {}
        for name, section in self._sections().items():
            self.sections[name] = self._add_section(name, section)

    def _sections(self) -> dict[str, _Section]:
        found: dict[str, _Section] = {}
        for number, obj in enumerate(self.objects):
            if obj.btf is None:
                continue
            for type_id in obj.btf.ids_of_kind(Kind.DATASEC):
                datasec = obj.btf.type(type_id)
                assert isinstance(datasec, DataSec)
                if datasec.name in TEXTS and datasec.name in found:
                    continue
                section = found.setdefault(datasec.name, _Section())
                self._append(section, number, obj.btf, datasec)
        return {name: section for name, section in found.items() if section.entries}

    def _append(self, section: _Section, number: int, btf: BTF, datasec: DataSec) -> None:
        """An input's part of a section; maps have no order that anything depends on."""
        ids, placement = self.ids[number], self.placements[number]
        bases = placement.bases | placement.other_bases
        base = bases.get(datasec.name, 0)
        for entry in datasec.entries:
            if entry.type_id >= len(ids):
                raise self._no_type(number, f"section {datasec.name!r}", entry.type_id)
            new_id = ids[entry.type_id]
            if not new_id or new_id in section.known:
                continue
            section.known.add(new_id)
            declared = btf.type(entry.type_id)
            if not isinstance(declared, Var) or declared.linkage == VarLinkage.GLOBAL_EXTERN:
                offset = 0
            elif datasec.name == MAPS_SECTION:
                offset = -(-section.size // _POINTER_SIZE) * _POINTER_SIZE
                section.size = offset + entry.size
            else:
                offset = entry.offset + base
            section.entries.append(_Entry(offset, new_id, entry.size))
        if datasec.name != MAPS_SECTION:
            section.size = max(section.size, base + datasec.size)

    def _add_section(self, name: str, section: _Section) -> int:
        words = [word for e in sorted(section.entries) for word in (e.type_id, e.offset, e.size)]
        info = int(Kind.DATASEC) << 24 | len(section.entries)
        return self._added.add_type(self._added.add_string(name), info, section.size, *words)

    def of_function(self, number: int, function: Function, **changes: Any) -> Function:
        """A function of an input with its type and its source lines as they are now, and with
        other changes."""
        ids, texts = self.ids[number], self._texts[number]
        if texts is None:
            return replace(function, **changes)
        named = [function.btf_id, *[each.type_id for each in function.core_relocations]]
        if max(named) >= len(ids):
            raise self._no_type(number, f"function {function.name!r}", max(named))
        core = tuple(
            [each._replace(type_id=ids[each.type_id]) for each in function.core_relocations]
        )
        # What `.BTF.ext` names: an object that is saved has the types of one that is not.
        for text in (function.section, *(each.access for each in core)):
            self._strings[text]
        words = array("I", function.line_info)
        if self._swapped:
            words.byteswap()
        for column in (1, 2):  # the file's name and the line's text
            words[column::4] = array("I", map(texts.__getitem__, words[column::4]))
        if self._swapped:
            words.byteswap()
        return replace(
            function,
            btf_id=ids[function.btf_id],
            line_info=words.tobytes(),
            core_relocations=core,
            **changes,
        )

    def _no_type(self, number: int, what: str, type_id: int) -> ObjectFormatError:
        message = f"{what} names type {type_id}, which does not exist"
        return ObjectFormatError(message, file=where(self.objects[number]))

    def of_map(self, number: int, definition: Map) -> Map:
        """A map of an input with its types as they are now."""
        return retyped_map(definition, self.ids[number].__getitem__)

    def build(self, hidden_functions: Collection[int], hidden: dict[str, frozenset[str]]) -> BTF:
        """The BTF; hidden functions, and variables by their sections, are static for the kernel."""
        btf = BTF(self._added.append_to(bytearray(self._merged.to_bytes())))
        layouts = {}
        for name, names in hidden.items():
            section = btf.type(self.sections[name]) if name in self.sections else None
            if isinstance(section, DataSec):
                layouts[name] = SectionLayout(section.size, {}, names)
        if not layouts and not hidden_functions:
            return btf
        return corrected(btf, layouts, hidden_functions)


def left_out(
    objects: Sequence[Object], symbols: Symbols, unneeded: frozenset[Place]
) -> list[set[int]]:
    """The types of each input that the output is to be without: VARs and FUNCs that are defined
    now or declared by another, that lost or that nobody needs, and what only these need."""
    found: list[set[int]] = [set() for _ in objects]
    for symbol in symbols.values():
        kept = symbol.extern if symbol.winner is None else None
        for each in symbol.externs:
            if each is not kept:
                found[each[0]].add(each[1].btf_id)
        for loser in symbol.losers if len(symbol.definitions) > 1 else ():
            obj = objects[loser.input]
            if loser.what is What.MAP:
                found[loser.input].add(obj.maps[loser.key].btf_id)
            elif loser.what is What.VARIABLE:
                section = obj.data_sections[loser.section]
                variable = section.variables[loser.key]
                found[loser.input].add(
                    variable_id(obj.btf, section.btf_id, variable.name, variable.offset)
                )
    for number, ids in enumerate(_unneeded_types(objects, unneeded)):
        found[number] |= ids
    told: set[str] = set()
    for number, obj in enumerate(objects):
        for name, ids in _texts_of(obj):
            if name in told:
                found[number] |= ids
            told.add(name)
    for obj, ids in zip(objects, found, strict=True):
        if obj.btf is not None and ids:
            ids |= _their_prototypes(obj.btf, ids)
    return found


def _their_prototypes(btf: BTF, ids: Collection[int]) -> set[int]:
    """The types of functions that are left out, where nothing else refers to them."""
    functions = [each for each in ids if btf.kind_of(each) == Kind.FUNC]
    if not functions:
        return set()
    words, starts = btf.records()
    # Compilers refer to prototypes here alone; where a size stands it may look like one.
    references = [words[start + 2] for start in starts]
    prototypes = [btf.words(each)[2] for each in functions]
    return {each for each in prototypes if references.count(each) == prototypes.count(each)}


def _unneeded_types(objects: Sequence[Object], unneeded: frozenset[Place]) -> list[set[int]]:
    dropped: list[set[int]] = [set() for _ in objects]
    for number, key in unneeded:
        dropped[number].add(objects[number].functions[key].btf_id)
    for number, ids in enumerate(dropped):
        if ids:
            for key, function in objects[number].functions.items():
                if Place(number, key) not in unneeded:
                    ids.discard(function.btf_id)
    return dropped


def _texts_of(obj: Object) -> Iterator[tuple[str, set[int]]]:
    """The variables of sections that all objects have alike."""
    for name in TEXTS:
        btf = obj.btf
        section = btf.type(btf.find(name, Kind.DATASEC)) if btf is not None else None
        if isinstance(section, DataSec):
            yield name, {entry.type_id for entry in section.entries}
