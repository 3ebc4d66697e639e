"""What parts of an expression are: numbers, things in memory or registers, pointers, maps.

An operand's type is known at once, its value is read when somebody asks: what is behind `&&` and
`?` may be nothing that can be read.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from osmia.debugger.dwarf.c_types import CType
from osmia.debugger.dwarf.pieces import Computed, InMemory
from osmia.debugger.errors import DebuggerError
from osmia.debugger.expressions.integers import Integer, wrapped
from osmia.debugger.expressions.types import PointerType, basic_type, integer_of
from osmia.debugger.frames import NoValue
from osmia.debugger.values import UnknownValueError, Variable
from osmia.errors import OsmiaError, ReadOnlyError

if TYPE_CHECKING:
    from osmia.debugger.contents import Contents
    from osmia.debugger.frames import Frame


class Memory:
    """A session's memory as variables want it; `why` says why nothing there may be changed."""

    registers: Sequence[int | None] = ()

    def __init__(self, session: Contents, why: str = "") -> None:
        self._session = session
        self._why = why

    def read(self, address: int, size: int) -> bytes:
        return self._session.memory(address, size)

    def write(self, address: int, data: bytes) -> None:
        if self._why:
            raise ReadOnlyError(self._why)
        self._session.write(address, data)

    def write_register(self, register: int, value: int) -> None:
        raise DebuggerError("there is no register here")


class Operand:
    """A part of an expression. `text` is what it is called in errors; `is_typed` says that it is
    best shown as the `variable` that it is."""

    is_typed = False

    def __init__(self, text: str) -> None:
        self.text = text

    @property
    def integer(self) -> Integer | None:
        """Its type, if it is a number."""
        return None

    @property
    def points(self) -> bool:
        """Whether it is a pointer, or an array, which is one in arithmetic."""
        return False

    @property
    def target(self) -> CType | None:
        """What a pointer points to; None for void and what nobody tells."""
        return None

    @property
    def kind(self) -> CType:
        """Its C type. DebuggerError for what has none."""
        raise DebuggerError(f"{self.text} is nothing that C has a type for")

    def variable(self) -> Variable:
        """The C variable that it is, or that holds it. DebuggerError for what is none."""
        raise DebuggerError(f"{self.text} is no variable")

    def number(self) -> int:
        """A number's value, a pointer's address. DebuggerError for anything else."""
        raise DebuggerError(f"{self.text} is no number")

    def truth(self) -> bool:
        """Whether a condition that it is holds."""
        return self.number() != 0

    def python(self) -> Any:
        """The value as Python has it."""
        return self.number()

    def assign(self, value: Any) -> None:
        """Give it another value. DebuggerError for what has no place, OsmiaError for what its
        type does not take."""
        raise DebuggerError(f"nothing can be assigned to {self.text}")


class Number(Operand):
    """A value of an integer type that is in no place."""

    def __init__(self, text: str, kind: Integer, get: Callable[[], int]) -> None:
        super().__init__(text)
        self._kind = kind
        self._get = get

    @property
    def integer(self) -> Integer:
        return self._kind

    @property
    def kind(self) -> CType:
        kind = self._kind
        sign = "s" if kind.signed else "u"
        return basic_type("bool" if kind.boolean else f"{sign}{8 * kind.size}")

    def number(self) -> int:
        return self._get()


class Address(Operand):
    """A pointer that is in no place: what `&` and casts make. `target` None is void."""

    def __init__(
        self, text: str, target: CType | None, get: Callable[[], int], memory: Memory
    ) -> None:
        super().__init__(text)
        self._target = target
        self._get = get
        self._memory = memory

    @property
    def points(self) -> bool:
        return True

    @property
    def target(self) -> CType | None:
        return self._target

    @property
    def kind(self) -> CType:
        return PointerType(self._target)

    def number(self) -> int:
        return wrapped(self._get(), Integer(8, False))

    is_typed = True

    def variable(self) -> Variable:
        """A variable that holds it."""
        data = self.number().to_bytes(8, "little")
        return Variable(self.text, self.kind, [Computed(data, 8)], self._memory)

    def python(self) -> Any:
        from osmia.debugger.local_variables import PointerValue

        return PointerValue(self.variable())


class Located(Operand):
    """What is in a place: a variable, a member, what a pointer points to. `variable` is found when
    somebody asks; `bits` are those of a bitfield."""

    is_typed = True

    def __init__(
        self, text: str, kind: CType, variable: Callable[[], Variable], bits: int = 0
    ) -> None:
        super().__init__(text)
        self._kind = kind
        self._find = variable
        self.bits = bits

    def variable(self) -> Variable:
        return self._find()

    @property
    def kind(self) -> CType:
        return self._kind

    @property
    def integer(self) -> Integer | None:
        found = integer_of(self._kind)
        return found._replace(bits=self.bits) if found is not None and self.bits else found

    @property
    def points(self) -> bool:
        return self._kind.is_pointer or self._kind.is_array

    @property
    def target(self) -> CType | None:
        if self._kind.is_array:
            return self._kind.element(0).type
        return self._kind.target()

    def address(self) -> int:
        """Where it is. DebuggerError for what is not in memory."""
        variable = self.variable()
        if variable.missing:
            raise DebuggerError(f"{self.text}: {variable.missing}")
        if variable.address is None:
            raise DebuggerError(f"{self.text} is not in memory: it has no address")
        return variable.address

    def number(self) -> int:
        if self._kind.is_array:
            return self.address()
        integer = self.integer
        if integer is None and not self._kind.is_pointer:
            raise DebuggerError(f"{self.text} is a {self._kind.name}, no number")
        try:
            raw = self.variable().raw
        except UnknownValueError as error:
            raise DebuggerError(f"{self.text}: {error}") from None
        found = int.from_bytes(raw, self._kind.btf.byteorder)
        return found if integer is None else wrapped(found, integer)

    def python(self) -> Any:
        from osmia.debugger.local_variables import value_of

        return value_of(self.variable())

    def assign(self, value: Any) -> None:
        if isinstance(value, NoValue):
            raise DebuggerError(f"what is assigned to {self.text}: {value}")
        self.variable().assign(value)


class Register(Number):
    """A register of a frame; its value is an unsigned number of 64 bits."""

    def __init__(self, name: str, frame: Frame) -> None:
        super().__init__(name, Integer(8, False), self._read)
        self._frame = frame

    def _read(self) -> int:
        value = self._frame.registers[self.text].value
        if value is None:
            raise DebuggerError(f"{self.text} is not written yet")
        return value

    @property
    def points_to(self) -> str:
        """The name of the type that it points to the start of; "" where none is known."""
        pointer = self._frame.registers[self.text].pointer
        return pointer.type if pointer is not None and not pointer.offset else ""

    def assign(self, value: Any) -> None:
        self._frame.registers[self.text] = value


class Plain(Operand):
    """What has no C type: a map, bytes, text, the values of each CPU."""

    def __init__(self, text: str, get: Callable[[], Any]) -> None:
        super().__init__(text)
        self._get = get

    @property
    def integer(self) -> Integer | None:
        value = self.python()
        if not isinstance(value, int):
            return None
        return Integer(8, value < 1 << 63)

    def number(self) -> int:
        value = self.python()
        if isinstance(value, int):
            return int(value)
        if isinstance(value, NoValue):
            raise DebuggerError(f"{self.text}: {value.reason}")
        return super().number()

    def truth(self) -> bool:
        return bool(self.python())

    def python(self) -> Any:
        return self._get()

    def at(self, index: Any) -> Plain:
        """An element."""
        value = self.python()
        try:
            found = value[index]
        except (KeyError, IndexError, TypeError, OsmiaError) as error:
            raise DebuggerError(f"{self.text} has no element {index!r}: {error}") from None
        return Plain(f"{self.text}[{index}]", lambda: found)

    def named(self, name: str) -> Plain:
        """A member."""
        value = self.python()
        try:
            found = value[name] if isinstance(value, Mapping) else getattr(value, name)
        except (AttributeError, KeyError):
            raise DebuggerError(f"{self.text} has no member {name!r}") from None
        return Plain(f"{self.text}.{name}", lambda: found)


class Assigned(Plain):
    """A name whose value Python keeps and takes: a variable that no memory of the program has."""

    def __init__(self, text: str, get: Callable[[], Any], put: Callable[[Any], None]) -> None:
        super().__init__(text, get)
        self._put = put

    def assign(self, value: Any) -> None:
        self._put(value)


def in_memory(text: str, kind: CType, find: Callable[[], int], memory: Memory) -> Located:
    """What is at an address."""
    return Located(text, kind, lambda: Variable(text, kind, [InMemory(find(), kind.size)], memory))
