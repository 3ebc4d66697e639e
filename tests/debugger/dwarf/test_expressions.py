"""DWARF expressions, each operation against what the standard says of it."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from osmia.debugger.dwarf.expressions import evaluate
from osmia.debugger.dwarf.pieces import Computed, InMemory, InRegister, Missing, Piece, sliced
from osmia.errors import ObjectFormatError


class Around:
    """Registers r0 to r10, of which r4 holds nothing; memory in which each byte is its address."""

    registers: Sequence[int | None] = (0, 1, 2, 300, None, 5, 6, 7, 8, (1 << 64) - 4, 1000)

    def frame_address(self, offset: int) -> int:
        return 1000 - 64 + offset

    def read(self, address: int, size: int) -> bytes:
        return bytes((address + number) & 0xFF for number in range(size))

    def data_address(self, address: int) -> int:
        if address == 99:
            raise KeyError("it is gone")
        return 0x1_0000 + address

    def indexed_address(self, index: int) -> int:
        return 16 * index

    def base_type(self, offset: int) -> tuple[int, bool]:
        return {1: (4, True), 2: (4, False), 3: (8, True), 4: (1, True)}[offset]


def at(*code: int, size: int = 4) -> list[object]:
    return list(evaluate(bytes(code), size, Around()))


def value(*code: int) -> int:
    (piece,) = at(*code, 0x9F, size=8)
    assert isinstance(piece, Computed)
    return int.from_bytes(piece.data, "little", signed=True)


def test_a_register_is_a_place() -> None:
    assert at(0x53) == [InRegister(3, 4)]
    assert at(0x90, 3, size=2) == [InRegister(3, 2)]


def test_a_register_that_holds_nothing_or_is_none_of_bpf_s_is_missing() -> None:
    assert at(0x54) == [Missing("r4 holds nothing", 4)]
    assert at(0x6F) == [Missing("its place is register 31, which BPF does not have", 4)]
    assert at(0x74, 0) == [Missing("r4 holds nothing", 4)]


def test_addresses_are_in_memory() -> None:
    assert at(0x91, 8) == [InMemory(944, 4)]
    assert at(0x7A, 8) == [InMemory(944, 4)]
    assert at(0x73, 0x7F) == [InMemory(299, 4)]
    assert at(0x92, 3, 4) == [InMemory(304, 4)]
    assert at(0x03, 5, 0, 0, 0, 0, 0, 0, 0) == [InMemory(0x1_0005, 4)]
    assert at(0xA1, 2) == [InMemory(0x1_0020, 4)]
    assert at(0x03, 99, 0, 0, 0, 0, 0, 0, 0) == [Missing("it is gone", 4)]


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ((0x30 + 17,), 17),
        ((0x08, 0xFF), 255),
        ((0x09, 0xFF), -1),
        ((0x0A, 1, 2), 0x201),
        ((0x0B, 0, 0x80), -0x8000),
        ((0x0C, 1, 0, 0, 0x80), 0x8000_0001),
        ((0x0D, 0xFE, 0xFF, 0xFF, 0xFF), -2),
        ((0x0E, *[0xFF] * 8), -1),
        ((0x10, 0x80, 1), 128),
        ((0x11, 0x7E), -2),
        ((0x3A, 0x12, 0x1E), 100),  # dup, mul
        ((0x31, 0x32, 0x13), 1),  # drop
        ((0x31, 0x32, 0x14, 0x1C, 0x1C), 0),  # over: 1 - (2 - 1)
        ((0x37, 0x32, 0x15, 1, 0x1C), -5),  # pick: 2 - 7
        ((0x37, 0x32, 0x16, 0x1C), -5),  # swap
        ((0x31, 0x32, 0x33, 0x17, 0x1C, 0x1C), 4),  # rot: 3 - (1 - 2)
        ((0x11, 0x7D, 0x19), 3),  # abs
        ((0x3C, 0x3A, 0x1A), 8),  # and
        ((0x11, 0x79, 0x32, 0x1B), -3),  # div
        ((0x37, 0x34, 0x1D), 3),  # mod
        ((0x35, 0x1F), -5),  # neg
        ((0x30, 0x20), -1),  # not
        ((0x3C, 0x32, 0x21), 14),  # or
        ((0x35, 0x23, 0x80, 1), 133),  # plus_uconst
        ((0x31, 0x34, 0x24), 16),  # shl
        ((0x11, 0x7C, 0x08, 62, 0x25), 3),  # shr
        ((0x11, 0x7C, 0x31, 0x26), -2),  # shra
        ((0x36, 0x33, 0x27), 5),  # xor
        ((0x11, 0x7F, 0x31, 0x2D), 1),  # lt, with sign
        ((0x31, 0x31, 0x29), 1),
        ((0x08, 64, 0x06), 0x4746_4544_4342_4140),  # deref
        ((0x08, 64, 0x94, 2), 0x4140),
        ((0x79, 0, 0xA8, 2, 0xA8, 3), 0xFFFF_FFFC),  # r9 as u32, as s64
        ((0x79, 0, 0xA8, 1, 0xA8, 3), -4),  # r9 as s32, as s64
        ((0xA2, 3), 48),
        ((0x96, 0x31), 1),
    ],
)
def test_values_are_computed(code: tuple[int, ...], expected: int) -> None:
    assert value(*code) == expected


def test_pieces_come_in_order_and_those_without_a_place_are_missing() -> None:
    code = (0x53, 0x93, 2, 0x93, 1, 0x91, 0, 0x93, 4, 0x32, 0x9F, 0x93, 1)
    assert at(*code, size=10) == [
        InRegister(3, 2),
        Missing("optimised out", 1),
        InMemory(936, 4),
        Computed(b"\x02", 1),
        Missing("optimised out", 2),
    ]


def test_pieces_end_with_the_value() -> None:
    assert at(0x53, 0x93, 8, 0x51, 0x93, 8, size=4) == [InRegister(3, 4)]


def test_a_piece_that_cannot_be_told_leaves_the_others() -> None:
    found = at(0xA3, 1, 0x51, 0x9F, 0x93, 2, 0x53, 0x93, 2)
    assert isinstance(found[0], Missing)
    assert "its value when the function began" in found[0].reason
    assert found[1] == InRegister(3, 2)


def test_implicit_values_and_pointers_to_what_is_nowhere() -> None:
    assert at(0x9E, 4, 1, 2, 3, 4) == [Computed(b"\1\2\3\4", 4)]
    assert at(0xA0, 0, 0, 0, 0, 0) == [Missing("optimised out", 4)]
    assert at() == [Missing("optimised out", 4)]


def test_unknown_operations_are_said_and_quotients_by_zero() -> None:
    assert at(0xE0) == [Missing("its place is told by DWARF operation 0xe0", 4)]
    assert at(0x31, 0x30, 0x1B, 0x9F) == [Missing("its value is a quotient by zero", 4)]


@pytest.mark.parametrize(
    "code",
    [(0x0A, 1), (0x22,), (0x31, 0x22), (0x15, 9), (0x10, *[0x80] * 12), (0x9E, 9, 1), (0x17,)],
)
def test_what_is_no_expression_is_one_error(code: tuple[int, ...]) -> None:
    with pytest.raises(ObjectFormatError):
        at(*code)


def test_an_expression_without_end_and_a_value_too_large_are_refused() -> None:
    with pytest.raises(ObjectFormatError, match="too long"):
        at(*[0x96] * 5000)
    assert at(0x53, size=1 << 30) == [Missing(f"a value of {1 << 30} bytes", 1 << 30)]


def test_a_part_of_a_value_is_where_that_part_is() -> None:
    pieces: list[Piece] = [
        InRegister(3, 4),
        InMemory(100, 8),
        Computed(b"abcd", 4),
        Missing("gone", 4),
    ]
    assert sliced(pieces, 2, 4) == [InRegister(3, 2, 2), InMemory(100, 2)]
    assert sliced(pieces, 8, 2) == [InMemory(104, 2)]
    assert sliced(pieces, 13, 5) == [Computed(b"bcd", 3), Missing("gone", 2)]
