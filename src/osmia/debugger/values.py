"""`Variable`: a variable of a frame, a member of one, or what a pointer points to.

What it holds is read when somebody asks, so that it is what the program has now; parts of it may
be known and others not.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Protocol

from osmia.debugger.dwarf.c_types import CType, MemberPlace
from osmia.debugger.dwarf.pieces import Computed, InMemory, InRegister, Missing, Piece, sliced
from osmia.errors import OsmiaError, ReadOnlyError
from osmia.values import Codec

_MOST_TEXT = 240
_SUMMARISED = 1 << 12  # bytes of a value that is told in one line
_MOST_IN_LINE = 24  # members


class FrameAccess(Protocol):
    """A frame's registers and the program's memory, to read and to change."""

    @property
    def registers(self) -> Sequence[int | None]:
        """r0 to r10; None for one that holds nothing."""

    def read(self, address: int, size: int) -> bytes:
        """Bytes of memory. Raises an OsmiaError where nothing is."""

    def write(self, address: int, data: bytes) -> None:
        """Change memory. Raises an OsmiaError where nothing is."""

    def write_register(self, register: int, value: int) -> None:
        """Change a register."""


class UnknownValueError(OsmiaError, LookupError):
    """A value that is not known here; the message is the reason: "optimised out"."""


class Variable:
    """A name, a C type and where its bytes are: `pieces`, in order.

    `is_argument` tells arguments from locals; `line` is that of the declaration, 0 if not told.
    """

    def __init__(
        self,
        name: str,
        type: CType,  # noqa: A002
        pieces: Sequence[Piece],
        frame: FrameAccess,
        *,
        is_argument: bool = False,
        line: int = 0,
        bit_offset: int = 0,
        bits: int = 0,
    ) -> None:
        self.name = name
        self.type = type
        self.pieces = tuple(pieces)
        self.is_argument = is_argument
        self.line = line
        self._frame = frame
        self._bit_offset = bit_offset
        self._bits = bits

    def __repr__(self) -> str:
        return f"<Variable {self.type.name} {self.name} = {self.text}>"

    @property
    def address(self) -> int | None:
        """The address of its first byte; None where not all of it is in memory, in one piece."""
        expected = None
        for piece in self.pieces:
            if not isinstance(piece, InMemory) or piece.address != (expected or piece.address):
                return None
            expected = piece.address + piece.size
        first = self.pieces[0] if self.pieces and not self._bits else None
        return first.address if isinstance(first, InMemory) else None

    @property
    def missing(self) -> str:
        """Why its value, or a part of it, is not known; "" where all of it is."""
        try:
            self._read()
        except UnknownValueError as error:
            return str(error)
        return ""

    @property
    def raw(self) -> bytes:
        """Its bytes; of a bitfield the number in its type's size. UnknownValueError."""
        data = self._read()
        if not self._bits:
            return data
        order = self.type.btf.byteorder
        number = int.from_bytes(data, order)
        shift = self._bit_offset
        if order == "big":
            shift = 8 * len(data) - self._bits - shift
        number = number >> shift & ((1 << self._bits) - 1)
        if getattr(self.type.codec, "signed", False) and number >> (self._bits - 1):
            number -= 1 << self._bits
        size = self.type.size
        return (number & ((1 << 8 * size) - 1)).to_bytes(size, order)

    @property
    def value(self) -> Any:
        """As `osmia.values` decodes its type. UnknownValueError where any of it is not known."""
        return self.type.codec.decode(self.raw)

    @property
    def text(self) -> str:
        """The value as C would initialise it, or why it is not known, in one short line."""
        return shortened(self._text(0))

    def _text(self, depth: int) -> str:
        kind = self.type
        if kind.is_composite and (self.missing or kind.size > _SUMMARISED) and depth < 4:
            missing = self.missing
            if missing and all(isinstance(piece, Missing) for piece in self.pieces):
                return f"<{missing}>"
            inner = []
            for number, member in enumerate(self.members(0, _MOST_IN_LINE + 1)):
                if number == _MOST_IN_LINE:
                    inner.append("…")
                    break
                name = "" if member.name.startswith("[") else f".{member.name} = "
                inner.append(name + member._text(depth + 1))
            return "{" + ", ".join(inner) + "}"
        try:
            codec = kind.codec
            return codec.initialiser(codec.decode(self.raw))
        except OsmiaError as error:
            return f"<{error}>"

    @property
    def count(self) -> int:
        """How many members, or elements, it has; a pointer to something known has one."""
        if self.type.count:
            return self.type.count
        if self.type.is_pointer:
            return int(self._pointed() is not None)
        return sum(1 for _ in self.type.members())

    def members(self, start: int = 0, count: int | None = None) -> Iterator[Variable]:
        """Its members or elements; of a pointer what it points to, members of a struct at once."""
        if self.type.is_pointer:
            pointed = self._pointed()
            if pointed is None:
                return
            if pointed.type.is_composite and not pointed.type.count:
                yield from pointed.members(start, count)
            elif not start:
                yield pointed
            return
        if self.type.count:
            end = self.type.count if count is None else min(self.type.count, start + count)
            for index in range(start, end):
                yield self._member(self.type.element(index))
            return
        for number, place in enumerate(self.type.members()):
            if number >= start and (count is None or number < start + count):
                yield self._member(place)

    def member(self, name: str) -> Variable:
        """A member by name, of a struct, a union or what a pointer points to; "[3]" is an
        element. KeyError if there is none."""
        if name.startswith("[") and name.endswith("]"):
            return self._element(int(name[1:-1], 0))
        for each in self.members():
            if each.name == name:
                return each
        raise KeyError(f"{self.type.name} has no member {name!r}")

    def pointed(self) -> Variable:
        """What a pointer points to. KeyError where that is not told."""
        found = self._pointed()
        if found is None:
            raise KeyError(f"{self.name} ({self.type.name}) points to nothing that is known")
        return found

    def assign(self, value: Any) -> None:
        """Give it another value: what its type takes, or text as a person writes it.

        CodecError for what does not fit, ReadOnlyError where it has no place of its own.
        """
        data = encoded(self.type.codec, value)
        if self._bits:
            data = self._with_bits(int.from_bytes(data, self.type.btf.byteorder))
        for piece in self.pieces:
            if isinstance(piece, Computed):
                why = "the compiler computed it: it has no place that could be changed"
                raise ReadOnlyError(f"{self.name}: {why}")
            if isinstance(piece, Missing):
                raise ReadOnlyError(f"{self.name}: {piece.reason}")
        signed = bool(getattr(self.type.codec, "signed", False))
        at = 0
        for piece in self.pieces:
            part = data[at : at + piece.size]
            at += piece.size
            if isinstance(piece, InMemory):
                self._frame.write(piece.address, part)
            elif isinstance(piece, InRegister):
                self._write_register(piece, part, signed)

    def _write_register(self, piece: InRegister, part: bytes, signed: bool) -> None:
        order = self.type.btf.byteorder
        if not piece.skip and piece.size == self.type.size and piece.size <= 8:
            # As compilers keep it: a small number fills the 32 bits, the upper half is zero.
            number = int.from_bytes(part, order, signed=signed)
            mask = (1 << 32) - 1 if piece.size <= 4 else (1 << 64) - 1
            self._frame.write_register(piece.register, number & mask)
            return
        old = self._frame.registers[piece.register] or 0
        data = bytearray(old.to_bytes(8, "little"))
        data[piece.skip : piece.skip + len(part)] = part
        self._frame.write_register(piece.register, int.from_bytes(data, "little"))

    def _with_bits(self, number: int) -> bytes:
        order, data = self.type.btf.byteorder, self._read()
        shift = self._bit_offset
        if order == "big":
            shift = 8 * len(data) - self._bits - shift
        mask = (1 << self._bits) - 1
        whole = int.from_bytes(data, order) & ~(mask << shift) | (number & mask) << shift
        return whole.to_bytes(len(data), order)

    def _element(self, index: int) -> Variable:
        if self.type.is_pointer:
            pointed = self.pointed()
            address = pointed.address
            if address is None:
                raise KeyError(f"{self.name} has no elements")
            pieces = [InMemory(address + index * pointed.type.size, pointed.type.size)]
            return Variable(f"[{index}]", pointed.type, pieces, self._frame)
        if not 0 <= index < self.type.count:
            raise KeyError(f"{self.name} ({self.type.name}) has no element {index}")
        return self._member(self.type.element(index))

    def _member(self, place: MemberPlace) -> Variable:
        first, shift = divmod(place.bit_offset, 8)
        size = place.type.size
        if place.bits:
            size = -(-(shift + place.bits) // 8)
        return Variable(
            place.name,
            place.type,
            sliced(self.pieces, first, size),
            self._frame,
            bit_offset=shift,
            bits=place.bits,
        )

    def _pointed(self) -> Variable | None:
        target = self.type.target()
        if target is None or not target.size:
            return None
        try:
            address = int(self.value)
        except OsmiaError:
            return None
        return Variable(f"*{self.name}", target, [InMemory(address, target.size)], self._frame)

    def _read(self) -> bytes:
        return b"".join(map(self._read_piece, self.pieces))

    def _read_piece(self, piece: Piece) -> bytes:
        match piece:
            case InRegister(register, size, skip):
                value = self._frame.registers[register]
                if value is None:
                    raise UnknownValueError(f"r{register} holds nothing")
                data = (value & (1 << 64) - 1).to_bytes(8, "little")[skip : skip + size]
                if len(data) != size:
                    raise UnknownValueError("it is larger than the register that it is in")
                return data if self.type.btf.byteorder == "little" else data[::-1]
            case InMemory(address, size):
                try:
                    return self._frame.read(address, size)
                except OsmiaError as error:
                    raise UnknownValueError(f"{address:#x} cannot be read: {error}") from None
            case Computed(data, _):
                return data
            case Missing(reason, _):
                raise UnknownValueError(reason)


def encoded(codec: Codec, value: Any) -> bytes:
    """The bytes of a value; text may be a number, a truth value, an enumerator or what the type
    means. CodecError."""
    if isinstance(value, str):
        for read in _NOTATIONS:
            try:
                return codec.encode(read(value.strip()))
            except (ValueError, KeyError):
                continue
        return codec.encode(value)
    return codec.encode(value)


_TRUTH = {"true": True, "false": False}
_NOTATIONS: Sequence[Callable[[str], Any]] = (
    lambda text: int(text, 0),
    lambda text: _TRUTH[text],
    float,
)


def shortened(text: str) -> str:
    """Text of one line that is not too long for one."""
    text = " ".join(text.split("\n"))
    return text if len(text) <= _MOST_TEXT else f"{text[:_MOST_TEXT]}…"
