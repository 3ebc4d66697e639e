"""Where the bytes of a value are: in registers, in memory, known to the compiler, or nowhere."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

from osmia.named_tuples import NamedTuple


class InRegister(NamedTuple):
    """Bytes of a register, the lowest `skip` not among them."""

    register: int
    size: int
    skip: int = 0


class InMemory(NamedTuple):
    """Bytes at an address."""

    address: int
    size: int


class Computed(NamedTuple):
    """A value that is nowhere: the compiler knows it."""

    data: bytes
    size: int


class Missing(NamedTuple):
    """Bytes of which nothing is known, and why."""

    reason: str
    size: int


Piece: TypeAlias = InRegister | InMemory | Computed | Missing

OPTIMISED_OUT = "optimised out"


def sliced(pieces: Sequence[Piece], first: int, size: int) -> list[Piece]:
    """The pieces of `size` bytes from byte `first` on."""
    found: list[Piece] = []
    at, end = 0, first + size
    for piece in pieces:
        low, high = max(first, at), min(end, at + piece.size)
        if low < high:
            skip, length = low - at, high - low
            match piece:
                case InRegister(register, _, before):
                    found.append(InRegister(register, length, before + skip))
                case InMemory(address, _):
                    found.append(InMemory(address + skip, length))
                case Computed(data, _):
                    found.append(Computed(data[skip : skip + length], length))
                case Missing(reason, _):
                    found.append(Missing(reason, length))
        at += piece.size
    return found
