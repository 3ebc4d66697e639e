"""What DWARF says of an object's functions: scopes, what was inlined into them, variables.

Files are not trusted: entries, depths and sizes are bounded, and entries are read in order.
"""

from __future__ import annotations

from collections.abc import Iterator
from enum import Enum
from functools import cached_property
from typing import Any

from osmia.debugger.dwarf.entries import DebugEntries
from osmia.errors import ObjectFormatError
from osmia.formats.elf_symbols import SymbolTable, read_symbols
from osmia.named_tuples import NamedTuple
from osmia.records import dataclass, field

MOST_ENTRIES = 1 << 20
MOST_DEPTH = 128
_MOST_UNITS = 1 << 12
_MOST_ABBREVIATION_BYTES = 1 << 26  # of all units together: each reads its own table

_SCOPES = ("DW_TAG_inlined_subroutine", "DW_TAG_lexical_block")
_VARIABLES = ("DW_TAG_formal_parameter", "DW_TAG_variable")


class ScopeKind(Enum):
    """What a scope is."""

    FUNCTION = "function"
    INLINED = "inlined"
    BLOCK = "block"


class SourcePlace(NamedTuple):
    """A line of a source file; "" and 0 where none is told."""

    file: str = ""
    line: int = 0


@dataclass(frozen=True, slots=True, eq=False)
class VariableEntry:
    """A local variable or an argument. `entry` is the one that says where it is, `declaration`
    the one with its type: those differ where the function was inlined."""

    name: str
    is_argument: bool
    line: int
    entry: Any
    declaration: Any


@dataclass(slots=True, eq=False)
class Scope:
    """A function with code, one inlined into it, or a block. `ranges` are addresses, `call` is
    where an inlined function was called; `scopes` are those in it, in order."""

    kind: ScopeKind
    name: str
    ranges: tuple[tuple[int, int], ...]
    declared: SourcePlace
    call: SourcePlace
    entry: Any
    variables: list[VariableEntry] = field(default_factory=list)
    scopes: list[Scope] = field(default_factory=list)

    def holds(self, address: int) -> bool:
        """Whether code at an address is in it."""
        return any(low <= address < high for low, high in self.ranges)


class FunctionScope(NamedTuple):
    """A function of the file: its key there, its scope, the address of its first instruction."""

    key: str
    scope: Scope
    start: int
    code: bytes


class Dwarf(DebugEntries):
    """The debug information of one relocatable BPF object, from the file's bytes.

    `functions` has what it says of functions by the keys that the opened Object has.
    Raises MissingPackageError without pyelftools, ObjectFormatError for what cannot be right.
    """

    def __init__(self, data: bytes, name: str = "") -> None:
        super().__init__(data, name)
        self._left = MOST_ENTRIES
        self.functions: dict[str, FunctionScope] = {}
        with self.damage():
            if self.sections.contents.get(".debug_info"):
                self._read(read_symbols(self.elf))

    def scopes_at(self, function: FunctionScope, slot: int) -> list[Scope]:
        """The scopes that an instruction is in, the function's own first."""
        address = function.start + 8 * slot
        chain, inner = [function.scope], function.scope.scopes
        while True:
            scope = next((each for each in inner if each.holds(address)), None)
            if scope is None:
                return chain
            chain.append(scope)
            inner = scope.scopes

    def all_scopes(self, function: str) -> Iterator[Scope]:
        """The function's scope and all in it."""
        pending = [self.functions[function].scope]
        while pending:
            scope = pending.pop()
            yield scope
            pending += scope.scopes

    def data_place(self, address: int) -> tuple[str, int] | None:
        """The name of the section that an address is in, and the offset there."""
        place = self.sections.place(address)
        return None if place is None else (self.elf.sections[place[0]].name, place[1])

    # Reading.

    def _spend(self) -> None:
        self._left -= 1
        if self._left < 0:
            raise ObjectFormatError(
                f"its debug information has more than {MOST_ENTRIES} entries", file=self.name
            )

    def _read(self, table: SymbolTable) -> None:
        places = {
            self.sections.address(index, place.start): (
                place.key,
                bytes(code.section.data[place.start : place.end]),
            )
            for index, code in table.code.items()
            for place in code.ranges
        }
        tables: set[int] = set()
        for number, unit in enumerate(self.info.iter_CUs()):
            if number >= _MOST_UNITS:
                raise ObjectFormatError(
                    f"its debug information has more than {_MOST_UNITS} units", file=self.name
                )
            tables.add(unit["debug_abbrev_offset"])
            if len(tables) * len(self.sections.contents[".debug_abbrev"]) > (
                _MOST_ABBREVIATION_BYTES
            ):
                raise ObjectFormatError("too many tables of abbreviations", file=self.name)
            for scope in self._read_unit(unit):
                start = min(low for low, _ in scope.ranges)
                if start in places:
                    key, code = places[start]
                    self.functions.setdefault(key, FunctionScope(key, scope, start, code))

    def _read_unit(self, unit: Any) -> Iterator[Scope]:
        """The functions of a unit that have code."""
        offset, end = unit.get_top_DIE().offset, unit.cu_offset + unit.size
        open_scopes: list[Scope | None] = []
        while offset < end:
            self._spend()
            entry = unit.get_DIE_from_refaddr(offset)
            offset += entry.size
            if entry.is_null():
                if len(open_scopes) <= 1:
                    return
                open_scopes.pop()
                continue
            within = open_scopes[-1] if open_scopes else None
            scope = None
            if entry.tag == "DW_TAG_subprogram" or (within is not None and entry.tag in _SCOPES):
                scope = self._scope(entry)
                if scope is not None and scope.kind is ScopeKind.FUNCTION:
                    yield scope
                elif scope is not None and within is not None:
                    within.scopes.append(scope)
            elif within is not None and entry.tag in _VARIABLES:
                self._add_variable(within, entry)
            if entry.has_children:
                if len(open_scopes) >= MOST_DEPTH:
                    raise ObjectFormatError("its scopes are nested too deeply", file=self.name)
                open_scopes.append(scope)

    def _scope(self, entry: Any) -> Scope | None:
        """The scope of an entry that has code."""
        ranges = tuple(self._ranges(entry))
        if not ranges:
            return None
        kind = {
            "DW_TAG_subprogram": ScopeKind.FUNCTION,
            "DW_TAG_inlined_subroutine": ScopeKind.INLINED,
        }.get(entry.tag, ScopeKind.BLOCK)
        origin = self.origin(entry)
        call = SourcePlace()
        if kind is ScopeKind.INLINED:
            file = self.file(entry.cu, self.attribute(entry, "call_file"))
            call = SourcePlace(file, self.number(entry, "call_line"))
        file = self.file(origin.cu, self.attribute(origin, "decl_file"))
        declared = SourcePlace(file, self.number(origin, "decl_line"))
        return Scope(kind, self.text(origin), ranges, declared, call, entry)

    def _add_variable(self, scope: Scope, entry: Any) -> None:
        origin = self.origin(entry)
        name = self.text(origin)
        if name:
            is_argument = entry.tag == "DW_TAG_formal_parameter"
            line = self.number(origin, "decl_line")
            scope.variables.append(VariableEntry(name, is_argument, line, entry, origin))

    def _ranges(self, entry: Any) -> Iterator[tuple[int, int]]:
        low, high = entry.attributes.get("DW_AT_low_pc"), entry.attributes.get("DW_AT_high_pc")
        if low is not None and high is not None:
            relative = not high.form.startswith("DW_FORM_addr")
            end = low.value + high.value if relative else high.value
            if low.value < end and self.sections.place(low.value) is not None:
                yield low.value, end
        elif (ranges := self.attribute(entry, "ranges")) is not None:
            base = self.unit_base(entry.cu)
            for each in self._range_lists.get_range_list_at_offset(ranges, entry.cu):
                if hasattr(each, "base_address"):
                    base = each.base_address
                    continue
                shift = 0 if each.is_absolute else base
                if each.begin_offset < each.end_offset:
                    yield each.begin_offset + shift, each.end_offset + shift

    @cached_property
    def _range_lists(self) -> Any:
        return self.info.range_lists()
