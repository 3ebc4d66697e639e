"""The linked Object, put together from its inputs."""

from __future__ import annotations

import hashlib
import warnings
from collections import defaultdict
from collections.abc import Iterator, Sequence

from osmia.errors import LegacyObjectWarning, LinkError
from osmia.object.jump_tables import JumpTable
from osmia.object.model import (
    DataSection,
    Extern,
    Function,
    Linkage,
    Map,
    Object,
    Pinning,
    Program,
    Relocation,
    RelocationKind,
    Variable,
)
from osmia.object.other_sections import OtherSection
from osmia.passes.linking.liveness import Place, needed_names, unneeded_functions
from osmia.passes.linking.parts import parts_of
from osmia.passes.linking.placement import by_section, place_all
from osmia.passes.linking.references import References
from osmia.passes.linking.symbols import (
    Symbol,
    Symbols,
    What,
    check_symbols,
    collect_symbols,
    where,
)
from osmia.passes.linking.types import MAPS_SECTION, Types, left_out
from osmia.records import replace


def link_objects(
    objects: Sequence[Object],
    *,
    gc: bool | None = None,
    allow_undefined: bool = False,
    name: str = "",
) -> Object:
    """The Object that all of `objects` are together; they stay as they were.

    What stands under one name is one thing, by the rules of `symbols`. `gc` says which code is
    left out: None that of weak functions that lost, with the static ones that only they used;
    True all static functions that nobody uses; False none. With `allow_undefined` externs that
    nobody defines stay, to be linked or loaded later. `name` is the result's, else that of the
    first. Objects of iproute2's dialect are converted to libbpf's before.

    Raises LinkError, which lists all that is wrong: names that two define or that nobody does,
    declarations that disagree, other licenses or versions, a mixed byte order.
    """
    inputs = list(map(_in_one_dialect, objects))
    _check_objects(inputs)
    symbols = collect_symbols(inputs)
    unneeded = unneeded_functions(inputs, symbols, gc)
    check_symbols(
        inputs, symbols, () if allow_undefined else needed_names(inputs, symbols, unneeded)
    )
    return _Joiner(inputs, symbols, unneeded).join(name)


def _in_one_dialect(obj: Object) -> Object:
    if obj.dialect == "libbpf":
        return obj
    from osmia.passes.convert import convert

    converted = convert(obj)
    if converted.problems:
        raise LinkError(f"{where(obj)} cannot be said in libbpf's dialect", converted.problems)
    for note in converted.notes:
        warnings.warn(f"{where(obj)}: {note}", LegacyObjectWarning, stacklevel=5)
    return converted.object


def _check_objects(objects: Sequence[Object]) -> None:
    if not objects:
        raise LinkError("there are no objects to link")
    _check_alike("byte order", objects, [each.byteorder for each in objects])
    _check_alike("license", objects, [each.license for each in objects])
    _check_alike("version", objects, [each.kernel_version for each in objects])


def _check_alike(what: str, objects: Sequence[Object], values: Sequence[str | int]) -> None:
    """One value for all that have one."""
    told = [(value, obj) for value, obj in zip(values, objects, strict=True) if value]
    for value, obj in told[1:]:
        if value != told[0][0]:
            raise LinkError(
                f"{where(told[0][1])} has the {what} {told[0][0]!r}, {where(obj)} {value!r}"
            )


class _Joiner:
    """Makes the parts of the output from those of the inputs, kind by kind."""

    def __init__(
        self, objects: Sequence[Object], symbols: Symbols, unneeded: frozenset[Place]
    ) -> None:
        self.objects = objects
        self.symbols = symbols
        self.unneeded = unneeded
        self.placements = place_all(objects, symbols, unneeded)
        self.types = Types(objects, self.placements, left_out(objects, symbols, unneeded))
        self.references = [
            References(number, objects, symbols, self.placements) for number in range(len(objects))
        ]
        self.winners: dict[tuple[int, What, str], Symbol] = {}
        self.losers: set[tuple[int, What, str]] = set()
        for symbol in symbols.values():
            winner = symbol.winner
            if winner is not None and (symbol.externs or len(symbol.definitions) > 1):
                self.winners[winner.input, winner.what, winner.key] = symbol
                self.losers |= {(e.input, e.what, e.key) for e in symbol.losers}

    def join(self, name: str) -> Object:
        """The linked object."""
        objects = self.objects
        made = Object(
            name=name or objects[0].name,
            byteorder=objects[0].byteorder,
            license=next((each.license for each in objects if each.license), ""),
            kernel_version=next((e.kernel_version for e in objects if e.kernel_version), 0),
            functions=dict(self._functions()),
            programs=self._programs(),
            maps=dict(self._maps()),
            data_sections=self._data_sections(),
            externs=self._externs(),
            jump_tables=dict(self._jump_tables()),
            other_sections=self._other_sections(),
        )
        used = set(_used_externs(made))
        for name in made.externs.keys() - used:
            del made.externs[name]
        if any(each.btf is not None for each in objects):
            made.btf = self.types.build(_hidden_functions(made), _hidden_variables(made))
        lost = {Place(number, key) for number, what, key in self.losers if what is What.FUNCTION}
        made.parts = parts_of(objects, self.placements, self.unneeded, frozenset(lost))
        if any(each.pinning == Pinning.OBJECT for each in made.maps.values()):
            digests = "".join(each.pin_digest for each in objects)
            made.pin_digest = hashlib.sha1(digests.encode(), usedforsecurity=False).hexdigest()
        return made

    def _functions(self) -> Iterator[tuple[str, Function]]:
        for places in by_section(self.objects, self.unneeded).values():
            number = 0  # of the CO-RE record in its section
            for place in places:
                function = self.objects[place.input].functions[place.key]
                key, made = self._function(place, function)
                core = made.core_relocations
                if core:
                    core = tuple([each._replace(number=n) for n, each in enumerate(core, number)])
                    number += len(core)
                    made = replace(made, core_relocations=core)
                yield key, made

    def _function(self, place: Place, function: Function) -> tuple[str, Function]:
        placement, references = self.placements[place.input], self.references[place.input]
        made = self.types.of_function(
            place.input,
            function,
            code=references.in_code(function),
            relocations=tuple([references.moved(each) for each in function.relocations]),
        )
        demoted = placement.demoted.get(place.key)
        if demoted is not None:
            return demoted, replace(made, linkage=Linkage.STATIC, weak=False, hidden=False)
        symbol = self.winners.get((place.input, What.FUNCTION, place.key))
        if symbol is not None:
            made = replace(made, weak=symbol.weak, hidden=symbol.hidden)
        return placement.functions.get(place.key, place.key), made

    def _programs(self) -> dict[str, Program]:
        found: dict[str, Program] = {}
        entries: list[dict[str, list[Program]]] = []
        for obj in self.objects:
            own: dict[str, list[Program]] = defaultdict(list)
            for program in obj.programs.values():
                own[program.function].append(program)
            entries.append(own)
        for places in by_section(self.objects, self.unneeded).values():
            for place in places:
                for program in entries[place.input].get(place.key, ()):
                    made = self._program(place.input, program)
                    if made.name in found:
                        raise LinkError(f"there are two programs {made.name!r}")
                    found[made.name] = made
        return found

    def _program(self, number: int, program: Program) -> Program:
        keys = self.placements[number].functions
        function = keys.get(program.function, program.function)
        callback = keys.get(program.exception_callback, program.exception_callback)
        name = function if program.name == program.function else program.name
        return replace(program, name=name, function=function, exception_callback=callback)

    def _maps(self) -> Iterator[tuple[str, Map]]:
        for number, obj in enumerate(self.objects):
            placement, references = self.placements[number], self.references[number]
            for key, definition in obj.maps.items():
                if (number, What.MAP, key) in self.losers:
                    continue
                made = self.types.of_map(number, definition)
                slots = tuple([(i, references.of_slot(definition, n)) for i, n in made.slots])
                name = placement.maps.get(key, key)
                made = replace(made, name=name, slots=slots)
                symbol = self.winners.get((number, What.MAP, key))
                if symbol is not None:
                    made = replace(made, weak=symbol.weak, hidden=symbol.hidden)
                yield name, made

    def _data_sections(self) -> dict[str, DataSection]:
        found: dict[str, DataSection] = {}
        for number, obj in enumerate(self.objects):
            placement = self.placements[number]
            for name, part in obj.data_sections.items():
                section = found.get(name)
                if section is None:
                    type_id = self.types.sections.get(name, 0)
                    section = DataSection(name, part.kind, bytearray(), {}, type_id, (), 1)
                    found[name] = section
                base = placement.bases[name]
                section.contents += bytes(base - len(section.contents)) + part.contents
                section.alignment = max(section.alignment, part.alignment)
                section.variables.update(self._variables(number, part, base))
                section.relocations += self._pointers(number, part, base)
        return found

    def _variables(
        self, number: int, part: DataSection, base: int
    ) -> Iterator[tuple[str, Variable]]:
        placement, ids = self.placements[number], self.types.ids[number]
        for key, variable in part.variables.items():
            if (number, What.VARIABLE, key) in self.losers:
                continue
            made = replace(variable, offset=variable.offset + base, type_id=ids[variable.type_id])
            symbol = self.winners.get((number, What.VARIABLE, key))
            if symbol is not None:
                made = replace(made, weak=symbol.weak, hidden=symbol.hidden)
            yield placement.variables.get(key, key), made

    def _pointers(self, number: int, part: DataSection, base: int) -> tuple[Relocation, ...]:
        placement, references = self.placements[number], self.references[number]
        return tuple(
            [
                references.moved(each)._replace(offset=each.offset + base)
                for each in part.relocations
                if not placement.is_lost(part.name, each.offset)
            ]
        )

    def _externs(self) -> dict[str, Extern]:
        found = {}
        for name, symbol in self.symbols.items():
            if symbol.winner is None:
                number, extern = symbol.extern
                ids = self.types.ids[number]
                definition = self.types.of_map(number, extern.map) if extern.map else None
                found[name] = replace(
                    extern,
                    type_id=ids[extern.type_id],
                    btf_id=ids[extern.btf_id],
                    map=definition,
                    weak=symbol.weak,
                    hidden=symbol.hidden,
                )
        return found

    def _jump_tables(self) -> Iterator[tuple[str, JumpTable]]:
        for number, obj in enumerate(self.objects):
            placement = self.placements[number]
            for name, table in obj.jump_tables.items():
                if Place(number, table.function) not in self.unneeded:
                    key = placement.jump_tables.get(name, name)
                    yield key, replace(table, name=key, function=placement.own(table.function))

    def _other_sections(self) -> dict[str, OtherSection]:
        found: dict[str, OtherSection] = {}
        for number, obj in enumerate(self.objects):
            for name, part in obj.other_sections.items():
                base = self.placements[number].other_bases[name]
                symbols = tuple(
                    [
                        each._replace(offset=each.offset + base)
                        for each in part.symbols
                        if (number, What.OTHER, each.name) not in self.losers
                    ]
                )
                before = found.get(name)
                if before is None:
                    found[name] = replace(part, symbols=symbols)
                    continue
                padding = bytes(base - len(before.contents))
                found[name] = replace(
                    before,
                    contents=before.contents + padding + part.contents,
                    symbols=before.symbols + symbols,
                    writable=before.writable or part.writable,
                    alignment=max(before.alignment, part.alignment),
                )
        return found


def _used_externs(obj: Object) -> Iterator[str]:
    """What code or data name: what only lost code did is nobody's business."""
    kinds = (RelocationKind.EXTERN, RelocationKind.EXTERN_CALL)
    for relocations in (
        *(each.relocations for each in obj.functions.values()),
        *(each.relocations for each in obj.data_sections.values()),
    ):
        for each in relocations:
            if each.kind in kinds:
                yield each.target
    for definition in obj.maps.values():
        yield from (name for _, name in definition.slots)


def _hidden_functions(obj: Object) -> list[int]:
    """Hidden subprograms are verified as static ones."""
    return [
        function.btf_id
        for key, function in obj.functions.items()
        if function.hidden and function.btf_id and key not in obj.programs
    ]


def _hidden_variables(obj: Object) -> dict[str, frozenset[str]]:
    """By section: the kernel is told that they are static."""
    found: dict[str, set[str]] = defaultdict(set)
    for section in obj.data_sections.values():
        found[section.name] |= {e.name for e in section.variables.values() if e.hidden}
    found[MAPS_SECTION] |= {each.name for each in obj.maps.values() if each.hidden}
    return {name: frozenset(names) for name, names in found.items() if names}
