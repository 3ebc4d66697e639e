"""Which functions nobody needs when objects are joined, and so leave no code behind."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from osmia.named_tuples import NamedTuple
from osmia.object.model import Linkage, Object, Relocation, RelocationKind
from osmia.passes.linking.symbols import Symbols, What

_OF_FUNCTIONS = (RelocationKind.CALL, RelocationKind.FUNCTION)
_OF_EXTERNS = (RelocationKind.EXTERN, RelocationKind.EXTERN_CALL)


class Place(NamedTuple):
    """A function of an input, by its key there."""

    input: int
    key: str


def unneeded_functions(
    objects: Sequence[Object], symbols: Symbols, gc: bool | None
) -> frozenset[Place]:
    """The functions that the linked object is to be without.

    None for `gc`: weak definitions that lost, and the static functions that only they used.
    True: all static functions that nobody uses, too. False: of those that lost programs alone.
    """
    return _Liveness(objects, symbols).unneeded(gc)


def needed_names(
    objects: Sequence[Object], symbols: Symbols, unneeded: frozenset[Place]
) -> set[str]:
    """The externs that what stays refers to."""
    lost = set(_lost_bytes(objects, symbols))
    names = set()
    for number, obj in enumerate(objects):
        for key, function in obj.functions.items():
            if Place(number, key) not in unneeded:
                names |= {each.target for each in function.relocations if each.kind in _OF_EXTERNS}
        for section in obj.data_sections.values():
            names |= {
                each.target
                for each in section.relocations
                if each.kind in _OF_EXTERNS and (number, section.name, each.offset) not in lost
            }
        for definition in obj.maps.values():
            names |= {name for _, name in definition.slots if name in obj.externs}
    return names


def _lost_bytes(objects: Sequence[Object], symbols: Symbols) -> Iterator[tuple[int, str, int]]:
    """Where variables that lost have pointers: input, section, offset."""
    for symbol in symbols.values():
        for each in symbol.losers if len(symbol.definitions) > 1 else ():
            if each.what is What.VARIABLE:
                section = objects[each.input].data_sections[each.section]
                variable = section.variables[each.key]
                for pointer in section.relocations:
                    if variable.offset <= pointer.offset < variable.offset + variable.size:
                        yield each.input, section.name, pointer.offset


class _Liveness:
    def __init__(self, objects: Sequence[Object], symbols: Symbols) -> None:
        self.objects = objects
        self.symbols = symbols
        self.losers = {
            Place(each.input, each.key)
            for symbol in symbols.values()
            if len(symbol.definitions) > 1
            for each in symbol.losers
            if each.what is What.FUNCTION
        }

    def unneeded(self, gc: bool | None) -> frozenset[Place]:
        programs = {
            place
            for place in self.losers
            if any(p.function == place.key for p in self.objects[place.input].programs.values())
        }
        if gc is False:
            return frozenset(programs)
        if not gc and not self.losers:
            return frozenset()
        candidates = set(self._statics()) if gc else self._reached(self.losers, kept=False)
        needed = self._reached(self._roots(candidates | self.losers))
        return frozenset((candidates - needed) | self.losers)

    def _statics(self) -> Iterator[Place]:
        for number, obj in enumerate(self.objects):
            for key, function in obj.functions.items():
                if function.linkage is Linkage.STATIC:
                    yield Place(number, key)

    def _roots(self, candidates: set[Place]) -> Iterator[Place]:
        """What stays for its own sake: all but the candidates, and those whose address is in
        data or in a map."""
        for number, obj in enumerate(self.objects):
            for key in obj.functions:
                if Place(number, key) not in candidates:
                    yield Place(number, key)
            for section in obj.data_sections.values():
                yield from self._targets(number, section.relocations)
            for definition in obj.maps.values():
                for _, name in definition.slots:
                    if name in obj.functions:
                        yield self._winning(number, name)

    def _reached(self, start: Iterable[Place], *, kept: bool = True) -> set[Place]:
        """All that `start` and what they use use: of the linked object, or (not `kept`) of the
        inputs as they were, static ones alone."""
        seen: set[Place] = set()
        pending = [*start]
        while pending:
            place = pending.pop()
            if place in seen:
                continue
            seen.add(place)
            function = self.objects[place.input].functions[place.key]
            for target in self._targets(place.input, function.relocations):
                used = self.objects[target.input].functions[target.key]
                if kept or used.linkage is Linkage.STATIC:
                    pending.append(target)
        return seen

    def _targets(self, number: int, relocations: Iterable[Relocation]) -> Iterator[Place]:
        functions = self.objects[number].functions
        for each in relocations:
            if each.kind in _OF_FUNCTIONS and each.target in functions:
                yield self._winning(number, each.target)
            elif each.kind in _OF_EXTERNS:
                symbol = self.symbols.get(each.target)
                winner = symbol.winner if symbol is not None else None
                if winner is not None and winner.what is What.FUNCTION:
                    yield Place(winner.input, winner.key)

    def _winning(self, number: int, key: str) -> Place:
        """The function that a reference to one of an input means after all."""
        place = Place(number, key)
        if place in self.losers:
            winner = self.symbols[self.objects[number].functions[key].name].winner
            assert winner is not None
            return Place(winner.input, winner.key)
        return place
