"""The names that objects share: who defines each, and whether all who declare it agree.

The rules are those of ELF and of libbpf's linker. Of several definitions one may be strong,
and it wins; of weak ones the first does. A declaration (`extern`) is for whichever definition
wins, wherever it comes from. Whoever says hidden or strong, says it for all. Unlike
libbpf's, nothing here depends on the order of the objects but which weak definition is first.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from enum import Enum
from itertools import chain

from osmia.btf import BTF, DataSec, Func, Kind
from osmia.errors import LinkError
from osmia.object.map_agreement import is_static_map
from osmia.object.model import Extern, ExternKind, Linkage, Object
from osmia.passes.linking.agreement import Declaration, difference, shown
from osmia.records import dataclass, field

ARENA_SECTION = ".addr_space.1"


class What(Enum):
    """What a definition defines."""

    FUNCTION = "function"
    VARIABLE = "variable"
    MAP = "map"
    OTHER = "variable that no loader reads"


@dataclass(frozen=True, slots=True)
class Definition:
    """A definition that other objects can see: in which input, and under which key there."""

    input: int
    what: What
    key: str
    section: str
    weak: bool
    hidden: bool


@dataclass(slots=True)
class Symbol:
    """A name, and what the inputs say of it, in their order."""

    name: str
    definitions: list[Definition] = field(default_factory=list)
    externs: list[tuple[int, Extern]] = field(default_factory=list)
    winner: Definition | None = None  # the definition that counts: the strong one, else the first

    @property
    def losers(self) -> list[Definition]:
        """The other definitions."""
        winner = self.winner
        return [each for each in self.definitions if each is not winner]

    @property
    def weak(self) -> bool:
        """Whether all say so."""
        return all(each.weak for each in self._sayings())

    @property
    def hidden(self) -> bool:
        """Whether anybody says so."""
        return any(each.hidden for each in self._sayings())

    def _sayings(self) -> Iterator[Definition | Extern]:
        return chain(self.definitions, (extern for _, extern in self.externs))

    @property
    def extern(self) -> tuple[int, Extern]:
        """What is left of the declarations where nobody defines the name: the first one that
        says where to look, and its input."""
        told = (each for each in self.externs if each[1].kind is not ExternKind.OBJECT)
        return next(told, self.externs[0])


Symbols = dict[str, Symbol]


def where(obj: Object) -> str:
    """What an object is called in messages."""
    return obj.path or obj.name


def collect_symbols(objects: Sequence[Object]) -> Symbols:
    """All names that others can see or that are looked for."""
    symbols: Symbols = {}

    def define(name: str, definition: Definition) -> None:
        symbol = symbols.get(name)
        if symbol is None:
            symbol = symbols[name] = Symbol(name)
        symbol.definitions.append(definition)
        if symbol.winner is None or (symbol.winner.weak and not definition.weak):
            symbol.winner = definition

    for number, obj in enumerate(objects):
        for name, found in _definitions(number, obj):
            define(name, found)
        for extern in obj.externs.values():
            symbols.setdefault(extern.name, Symbol(extern.name)).externs.append((number, extern))
    return symbols


def _definitions(number: int, obj: Object) -> Iterator[tuple[str, Definition]]:
    for key, each in obj.functions.items():
        if each.linkage is not Linkage.STATIC:
            yield (
                each.name,
                Definition(number, What.FUNCTION, key, each.section, each.weak, each.hidden),
            )
    for section in obj.data_sections.values():
        for key, variable in section.variables.items():
            if variable.linkage is not Linkage.STATIC:
                yield (
                    variable.name,
                    Definition(
                        number, What.VARIABLE, key, section.name, variable.weak, variable.hidden
                    ),
                )
    for key, definition in obj.maps.items():
        if not is_static_map(obj, definition):
            yield (
                key,
                Definition(number, What.MAP, key, ".maps", definition.weak, definition.hidden),
            )
    for other in obj.other_sections.values():
        for symbol in other.symbols:
            if not symbol.static:
                yield (
                    symbol.name,
                    Definition(
                        number, What.OTHER, symbol.name, other.name, symbol.weak, symbol.hidden
                    ),
                )


def check_symbols(
    objects: Sequence[Object], symbols: Symbols, needed: Collection[str] = ()
) -> None:
    """Raise a LinkError that lists every name that two define, about which objects disagree,
    or that nobody defines though it is `needed`."""
    problems: list[str] = []
    for symbol in symbols.values():
        if len(symbol.definitions) > 1 or symbol.externs:
            problems += _Check(objects, symbol).problems(symbol.name in needed)
    if problems:
        names = ", ".join(where(each) for each in objects[:8])
        more = f" and {len(objects) - 8} more" if len(objects) > 8 else ""
        raise LinkError(f"cannot link {names}{more}", problems)


class _Check:
    """What is wrong with one name."""

    def __init__(self, objects: Sequence[Object], symbol: Symbol) -> None:
        self.objects = objects
        self.symbol = symbol

    def problems(self, needed: bool) -> Iterator[str]:
        symbol = self.symbol
        strong = [each for each in symbol.definitions if not each.weak]
        if len(strong) > 1:
            places = " and ".join(self._place(each) for each in strong)
            told = shown(map(self._of_definition, strong))
            yield f"{symbol.name!r} is defined in {places}{told}"
            return
        winner = symbol.winner
        of_objects = all(each.kind is ExternKind.OBJECT for _, each in symbol.externs)
        if winner is None and needed and of_objects and not symbol.weak:
            told = shown([self._of_extern(*each) for each in symbol.externs])
            yield f"{symbol.name!r} is not defined anywhere{told}"
        yield from self._disagreements(winner)

    def _place(self, definition: Definition) -> str:
        return f"{where(self.objects[definition.input])} ({definition.section})"

    def _disagreements(self, winner: Definition | None) -> Iterator[str]:
        externs = [self._of_extern(*each) for each in self.symbol.externs]
        if winner is None:
            first, *others = externs
        else:
            first = self._of_definition(winner)
            others = [*map(self._of_definition, self.symbol.losers), *externs]
            if winner.what is What.OTHER and externs:
                yield (
                    f"{self.symbol.name!r} is in {self._place(winner)}, which no program can read"
                )
                return
        for other in others:
            found = difference(first, other)
            if found is not None:
                yield f"{self.symbol.name!r}: {found}{shown([first, other])}"

    def _of_definition(self, definition: Definition) -> Declaration:
        obj = self.objects[definition.input]
        place, key = where(obj), definition.key
        match definition.what:
            case What.FUNCTION:
                function = obj.functions[key]
                return Declaration(place, obj.btf, function.btf_id, "function")
            case What.MAP:
                found = obj.maps[key]
                return Declaration(place, obj.btf, found.btf_id, "map", map=found)
            case What.VARIABLE:
                section = obj.data_sections[definition.section]
                variable = section.variables[key]
                declared = variable_id(obj.btf, section.btf_id, variable.name, variable.offset)
                arena = section.name == ARENA_SECTION
                return Declaration(
                    place, obj.btf, declared, "variable", variable.type_id, arena=arena
                )
        return Declaration(place, None, 0, "variable")

    def _of_extern(self, number: int, extern: Extern) -> Declaration:
        obj = self.objects[number]
        declared = obj.btf.type(extern.btf_id) if obj.btf is not None else None
        what = "function" if isinstance(declared, Func) else "variable"
        return Declaration(
            where(obj),
            obj.btf,
            extern.btf_id,
            what if extern.map is None else "map",
            extern.type_id,
            map=extern.map,
            kind=extern.kind,
            arena=obj.btf is not None and _is_in_arena(obj.btf, extern.btf_id),
        )


def variable_id(btf: BTF | None, section_id: int, name: str, offset: int) -> int:
    """The VAR of a variable, by its place in its section; 0 without one."""
    section = btf.type(section_id) if btf is not None else None
    for entry in section.entries if isinstance(section, DataSec) else ():
        if btf is not None and entry.offset == offset and btf.name_of(entry.type_id) == name:
            return entry.type_id
    return 0


def _is_in_arena(btf: BTF, variable: int) -> bool:
    section = btf.type(btf.find(ARENA_SECTION, Kind.DATASEC))
    entries = section.entries if isinstance(section, DataSec) else ()
    return any(entry.type_id == variable for entry in entries)
