"""What the names of expressions mean in a frame."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from osmia.debugger.dwarf.c_types import CType
from osmia.debugger.dwarf.pieces import Computed
from osmia.debugger.entries import entry_address, store_entry
from osmia.debugger.errors import DebuggerError
from osmia.debugger.expressions.integers import INT
from osmia.debugger.expressions.operands import (
    Assigned,
    Located,
    Memory,
    Number,
    Operand,
    Plain,
    Register,
    in_memory,
)
from osmia.debugger.expressions.types import array_of_bytes, basic_type
from osmia.debugger.frames import NAMES, Frame, NoValue
from osmia.debugger.values import Variable, encoded
from osmia.engine.maps import Map
from osmia.errors import OsmiaError
from osmia.object.uapi import MapType

if TYPE_CHECKING:
    from osmia.debugger.contents import Contents

_OF_BYTES = (MapType.HASH, MapType.LRU_HASH, MapType.ARRAY, MapType.LPM_TRIE)
CONSTANTS = {"NULL": 0, "true": 1, "false": 0}
OF_THE_RUN = ("ctx", "packet")
"""What a run has under these names, where no local variable of such a name has a value."""


class Scope:
    """The names that mean something where an expression is evaluated, in the order in which they
    are looked for: registers, local variables (`variables`, or all that the frame has), `ctx` and
    `packet`, global variables, maps, constants, enumerators."""

    def __init__(
        self,
        session: Contents,
        frame: Frame | None,
        variables: Mapping[str, Variable] | None = None,
    ) -> None:
        self.session = session
        self.types = session.types
        self.memory = Memory(session)
        self._frame = frame
        self._given = variables

    def find(self, name: str) -> Operand | None:
        """What a name means; None for nothing."""
        name = name.removeprefix("$")
        if name in NAMES and self._frame is not None:
            return Register(name, self._frame)
        return self._local(name) or self._of_the_run(name) or self._of_the_object(name)

    def _of_the_object(self, name: str) -> Operand | None:
        session = self.session
        if name in session.data:
            return self._global(name)
        if name in session.maps:
            held = session.maps[name]
            return MapOperand(name, held, self)
        if name in CONSTANTS:
            return Number(name, INT, lambda: CONSTANTS[name])
        known = self.types.enumerators.get(name)
        return None if known is None else Number(name, known[1], lambda: known[0])

    def names(self) -> Iterator[str]:
        """All of them but constants and enumerators."""
        if self._frame is not None:
            yield from NAMES
            yield from self._variables
        yield from (*OF_THE_RUN, *self.session.data, *self.session.maps)

    @property
    def _variables(self) -> Mapping[str, Any]:
        if self._given is not None:
            return self._given
        found: Mapping[str, Any] = self._frame.locals if self._frame is not None else {}
        return getattr(found, "variables", found)

    def _local(self, name: str) -> Operand | None:
        known = self._variables
        if name not in known:
            return None
        held = known[name]
        if not isinstance(held, Variable):
            return (
                None
                if name in OF_THE_RUN and isinstance(held, NoValue)
                else Plain(name, lambda: held)
            )
        if name in OF_THE_RUN and held.missing:
            return None
        return Located(name, held.type, lambda: held)

    def _of_the_run(self, name: str) -> Operand | None:
        session = self.session
        if name == "packet":
            return _Whole(name, array_of_bytes(len(session.packet)), self)
        if name == "ctx":
            return _Whole(name, session.context_type or array_of_bytes(len(session.ctx)), self)
        return None

    def _global(self, name: str) -> Operand:
        """A global variable: where it is, with the type that BTF gives."""
        session = self.session
        slot = session.data.slot(name)

        def put(value: Any) -> None:
            session.check_still()
            session.data[name] = value

        place = self._place(name)
        if place is None:
            return Assigned(name, lambda: session.data[name], put)
        why = "" if slot.writable else f"{name} cannot be assigned: {slot.why}"
        return in_memory(name, place[0], lambda: place[1], Memory(session, why))

    def _place(self, name: str) -> tuple[CType, int] | None:
        """The type and the address of a global variable; None where one of these is not known."""
        loaded = self.session.loaded
        if loaded is None or loaded.object.btf is None:
            return None
        for section in loaded.object.data_sections.values():
            variable, held = section.variables.get(name), loaded.section_maps.get(section.name)
            if variable is not None and held is not None and variable.type_id:
                address = int(held.raw.values_address) + variable.offset
                return CType(loaded.object.btf, variable.type_id), address
        return None


class _Whole(Located):
    """The packet or the context: in memory, and as a whole what the session has and takes."""

    def __init__(self, name: str, kind: CType, scope: Scope) -> None:
        place = in_memory(name, kind, self._start, scope.memory)
        super().__init__(name, kind, place.variable)
        self._session = scope.session
        self.is_typed = not kind.is_array

    def _start(self) -> int:
        return self._session.places[self.text]

    @property
    def points(self) -> bool:
        return True

    @property
    def target(self) -> CType | None:
        return super().target if self.kind.is_array else self.kind

    def number(self) -> int:
        return self._start()

    def python(self) -> Any:
        return getattr(self._session, self.text)

    def assign(self, value: Any) -> None:
        setattr(self._session, self.text, value)


class MapOperand(Plain):
    """A map, to be indexed by its keys."""

    def __init__(self, text: str, held: Any, scope: Scope) -> None:
        super().__init__(text, lambda: held)
        self._held = held
        self._scope = scope

    def truth(self) -> bool:
        return True

    def at(self, index: Any) -> Any:
        """An entry: `Entry`, or the map that is one."""
        text = f"{self.text}[{index}]"
        kind = self._value_type()
        if kind is not None:
            return Entry(text, self._held, index, kind, self._scope)
        inner = super().at(index)
        found = inner.python()
        return MapOperand(text, found, self._scope) if isinstance(found, Map) else inner

    def _value_type(self) -> CType | None:
        """The type of its values; None for those that are no bytes: maps, programs, sockets."""
        codec = getattr(self._held, "value_codec", None)
        body = getattr(self._held.raw, "body", None)
        if codec is None or body is None or body.type not in _OF_BYTES:
            return None
        loaded, name = self._scope.session.loaded, self._held.name
        definition = loaded.object.maps.get(name) if loaded is not None else None
        if definition is not None and definition.value_type_id and loaded is not None:
            btf = loaded.object.btf
            if btf is not None and body is loaded.maps[name].raw.body:
                return CType(btf, definition.value_type_id)
        size = codec.size
        return basic_type(f"u{8 * size}") if size in (1, 2, 4, 8) else array_of_bytes(size)


class Entry(Located):
    """An entry of a map, which may not be there."""

    def __init__(self, text: str, held: Any, key: Any, kind: CType, scope: Scope) -> None:
        super().__init__(text, kind, self._found)
        self._held = held
        self._key = key
        self._scope = scope

    def _found(self) -> Variable:
        address = entry_address(self._held, self._key)
        if address is not None:
            return in_memory(self.text, self.kind, lambda: address, self._scope.memory).variable()
        try:
            data = encoded(self._held.value_codec, self._held[self._key])
        except (KeyError, OsmiaError) as error:
            if isinstance(error, KeyError):
                raise DebuggerError(f"there is no {self.text}") from None
            raise
        return Variable(self.text, self.kind, [Computed(data, len(data))], self._scope.memory)

    def assign(self, value: Any) -> None:
        self._scope.session.check_still()
        store_entry(self._held, self._scope.session, self._key, value)
