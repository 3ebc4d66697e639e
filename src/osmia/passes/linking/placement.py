"""Where each part of the inputs goes on: under which key, at which offset of its section."""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Collection, Iterator, Sequence

from osmia.errors import LinkError
from osmia.named_tuples import NamedTuple
from osmia.object.keys import Named, distinct_keys
from osmia.object.map_agreement import is_static_map
from osmia.object.model import DataSection, Linkage, Object
from osmia.passes.linking.liveness import Place
from osmia.passes.linking.symbols import Symbols, What, where
from osmia.records import dataclass, field

#: Bytes of data that an object may have, as when it is read (`formats.elf_symbols`).
MAX_CONTENTS = 1 << 28


class Lost(NamedTuple):
    """The bytes of a variable that lost, and where those of the winner are in the output."""

    start: int
    end: int
    section: str
    winner: int


@dataclass(slots=True)
class Placement:
    """Where the parts of one input go. Keys that stay as they are, are in no dictionary.

    `demoted` are functions that lost and stay nevertheless, as static ones: nothing refers to
    them, what did means the winner. `bases` are the offsets of its data sections within those
    of the output, and `other_bases` of those that nobody reads; `lost` are its variables that
    lost, by section and in order.
    """

    functions: dict[str, str] = field(default_factory=dict)
    demoted: dict[str, str] = field(default_factory=dict)
    variables: dict[str, str] = field(default_factory=dict)
    maps: dict[str, str] = field(default_factory=dict)
    jump_tables: dict[str, str] = field(default_factory=dict)
    bases: dict[str, int] = field(default_factory=dict)
    other_bases: dict[str, int] = field(default_factory=dict)
    lost: dict[str, list[Lost]] = field(default_factory=dict)

    def moved(self, section: str, offset: int) -> tuple[str, int]:
        """Where an address of this input's data is in the output."""
        lost = self.lost.get(section)
        if lost:
            number = bisect_right(lost, offset, key=_start) - 1
            if number >= 0 and offset < lost[number].end:
                found = lost[number]
                return found.section, found.winner + offset - found.start
        return section, offset + self.bases.get(section, 0)

    def own(self, function: str) -> str:
        """The key that a function of this input has now, by the one that it had."""
        return self.demoted.get(function) or self.functions.get(function, function)

    def of_slot(self, obj: Object, name: str) -> str:
        """What a map's slot names, a map or a function of this input, `obj`."""
        return (self.maps if name in obj.maps else self.functions).get(name, name)

    def is_lost(self, section: str, offset: int) -> bool:
        """Whether these bytes are a variable's that lost."""
        return any(each.start <= offset < each.end for each in self.lost.get(section, ()))


def _start(lost: Lost) -> int:
    return lost.start


def place_all(
    objects: Sequence[Object], symbols: Symbols, unneeded: frozenset[Place]
) -> list[Placement]:
    """The placement of every input."""
    placements = [Placement() for _ in objects]
    _place_data(objects, placements)
    _place_functions(objects, symbols, unneeded, placements)
    _place_variables(objects, symbols, placements)
    _place_maps(objects, placements)
    _place_tables(objects, unneeded, placements)
    _place_losers(objects, symbols, placements)
    return placements


def _place_data(objects: Sequence[Object], placements: Sequence[Placement]) -> None:
    ends: dict[str, tuple[int, int]] = {}
    other_ends: dict[str, tuple[int, int]] = {}
    for obj, placement in zip(objects, placements, strict=True):
        for name, data in obj.data_sections.items():
            placement.bases[name] = _appended(ends, name, len(data.contents), data.alignment)
        for name, other in obj.other_sections.items():
            size = len(other.contents)
            placement.other_bases[name] = _appended(other_ends, name, size, other.alignment)
        total = sum(end for end, _ in (*ends.values(), *other_ends.values()))
        if total > MAX_CONTENTS:
            raise LinkError(
                f"with {where(obj)} there are {total} bytes of data; an object may have"
                f" {MAX_CONTENTS}"
            )


def _appended(ends: dict[str, tuple[int, int]], name: str, size: int, alignment: int) -> int:
    """The offset for so many bytes behind what a section has, aligned as its strictest part."""
    end, strictest = ends.get(name, (0, 1))
    strictest = max(strictest, alignment)
    start = -(-end // strictest) * strictest
    ends[name] = start + size, strictest
    return start


def by_section(objects: Sequence[Object], unneeded: frozenset[Place]) -> dict[str, list[Place]]:
    """The functions that stay, in the order in which they are written: section by section."""
    sections: dict[str, list[Place]] = defaultdict(list)
    for number, obj in enumerate(objects):
        for key, function in obj.functions.items():
            place = Place(number, key)
            if place not in unneeded:
                sections[function.section].append(place)
    return sections


def _place_functions(
    objects: Sequence[Object],
    symbols: Symbols,
    unneeded: frozenset[Place],
    placements: Sequence[Placement],
) -> None:
    places = [place for own in by_section(objects, unneeded).values() for place in own]
    things, lost = [], set()
    for place in places:
        function = objects[place.input].functions[place.key]
        static = function.linkage is Linkage.STATIC
        if not static and _has_lost(symbols, place, function.name):
            lost.add(place)
        static = static or place in lost
        things.append(Named(function.name, function.file, function.section, static))
    for place, key in zip(places, _keys(things), strict=True):
        placement = placements[place.input]
        if place in lost:
            placement.demoted[place.key] = key
        elif place.key != key:
            placement.functions[place.key] = key


def _has_lost(symbols: Symbols, place: Place, name: str) -> bool:
    winner = symbols[name].winner
    return winner is not None and (winner.input, winner.key) != place


def _place_variables(
    objects: Sequence[Object], symbols: Symbols, placements: Sequence[Placement]
) -> None:
    places, things = [], []
    for section, name in _data_sections(objects):
        for number, data in section:
            for key, variable in data.variables.items():
                static = variable.linkage is Linkage.STATIC
                place = Place(number, key)
                if static or not _has_lost(symbols, place, variable.name):
                    places.append(place)
                    things.append(Named(variable.name, variable.file, name, static))
    undefined = {name for name, each in symbols.items() if each.winner is None}
    for place, key in zip(places, _keys(things, undefined), strict=True):
        if place.key != key:
            placements[place.input].variables[place.key] = key


def _data_sections(
    objects: Sequence[Object],
) -> Iterator[tuple[list[tuple[int, DataSection]], str]]:
    """The inputs' parts of each data section, with its name."""
    found: dict[str, list[tuple[int, DataSection]]] = defaultdict(list)
    for number, obj in enumerate(objects):
        for name, section in obj.data_sections.items():
            found[name].append((number, section))
    for name, parts in found.items():
        yield parts, name


def _keys(things: Sequence[Named], reserved: Collection[str] = ()) -> Sequence[str]:
    names = [each.name for each in things]
    if len({*names}) == len(names) and not any(name in reserved for name in names):
        return names
    return distinct_keys(things, reserved)


def _place_maps(objects: Sequence[Object], placements: Sequence[Placement]) -> None:
    """Static maps of one name are two: libbpf knows none, so the later one gets a number."""
    taken: set[str] = set()
    static = []
    for number, obj in enumerate(objects):
        for name, definition in obj.maps.items():
            if is_static_map(obj, definition):
                static.append(Place(number, name))
            else:
                taken.add(name)
    for place in static:
        name = _unused(place.key, taken)
        if name != place.key:
            placements[place.input].maps[place.key] = name


def _place_tables(
    objects: Sequence[Object], unneeded: frozenset[Place], placements: Sequence[Placement]
) -> None:
    taken: set[str] = set()
    for number, obj in enumerate(objects):
        for name, table in obj.jump_tables.items():
            if Place(number, table.function) not in unneeded:
                key = _unused(name, taken)
                if key != name:
                    placements[number].jump_tables[name] = key


def _unused(name: str, taken: set[str]) -> str:
    key, number = name, 0
    while key in taken:
        number += 1
        key = f"{name}.{number}"
    taken.add(key)
    return key


def _place_losers(
    objects: Sequence[Object], symbols: Symbols, placements: Sequence[Placement]
) -> None:
    for symbol in symbols.values():
        winner = symbol.winner
        if len(symbol.definitions) < 2 or winner is None or winner.what is not What.VARIABLE:
            continue
        best = objects[winner.input].data_sections[winner.section].variables[winner.key]
        offset = best.offset + placements[winner.input].bases[winner.section]
        for loser in symbol.losers:
            if loser.what is What.VARIABLE:
                variable = objects[loser.input].data_sections[loser.section].variables[loser.key]
                end = variable.offset + max(1, variable.size)
                lost = placements[loser.input].lost.setdefault(loser.section, [])
                lost.append(Lost(variable.offset, end, winner.section, offset))
    for placement in placements:
        for found in placement.lost.values():
            found.sort()
