"""A program's functions in a row: their order, calls, and the tables that go with the code."""

from __future__ import annotations

import struct

import pytest

from osmia.btf import BTFBuilder
from osmia.errors import RelocationError
from osmia.isa import assemble, disassemble
from osmia.object.model import (
    Function,
    Object,
    Program,
    Relocation,
    RelocationKind,
    Unresolved,
)
from osmia.object.uapi import ProgramType
from osmia.passes import layout
from osmia.passes.layout import lay_out, lay_out_program

CALL, ADDRESS, MAP = RelocationKind.CALL, RelocationKind.FUNCTION, RelocationKind.MAP


def function(name: str, text: str, *relocations: tuple[int, RelocationKind, str]) -> Function:
    """Relocations by slot; each function has a line at its first slot, and an id of its own."""
    return Function(
        name,
        "xdp",
        assemble(text),
        tuple(Relocation(8 * slot, kind, target) for slot, kind, target in relocations),
        unresolved=(Unresolved(0, f"lost in {name}"),),
        line_info=struct.pack("<4I", 0, 1, 1, ord(name) << 10),
        btf_id=ord(name),
    )


def made_of(*functions: Function, byteorder: str = "little") -> Object:
    return Object(
        "object",
        byteorder=byteorder,
        functions={each.name: each for each in functions},
        programs={"p": Program("p", functions[0].name, "xdp", ProgramType.XDP)},
        btf=BTFBuilder().build(),
    )


def test_functions_follow_where_they_are_first_referred_to_depth_first() -> None:
    """The order is libbpf's: tags depend on it."""
    obj = made_of(
        function("a", "call 0\ncall 0\nexit", (0, CALL, "b"), (1, CALL, "c")),
        function("c", "exit"),
        function("d", "call 0\nexit", (0, CALL, "b")),
        function("b", "call 0\nexit", (0, CALL, "d")),
        function("e", "exit"),
    )
    assert lay_out(obj, "p").functions == [(0, "a"), (3, "b"), (5, "d"), (7, "c")]


def test_calls_and_addresses_are_distances() -> None:
    obj = made_of(
        function("a", "r1 = 5 ll\ncall 0\nexit", (0, ADDRESS, "b"), (2, CALL, "c")),
        function("b", "exit"),
        function("c", "call 0\nexit", (0, CALL, "b")),
    )
    laid_out = lay_out(obj, "p")
    assert laid_out.relocations == []
    code = bytes(laid_out.code)
    assert code[:16] == struct.pack("<BBhiBBhi", 0x18, 0x41, 0, 3, 0, 0, 0, 0)
    assert [line for _, line in disassemble(code[16:])] == [
        "call pc+2",
        "exit",
        "exit",
        "call pc-2",
        "exit",
    ]


def test_registers_are_in_the_other_half_of_big_endian_code() -> None:
    first = Function("a", "xdp", assemble("call 0\nexit", "big"), (Relocation(0, CALL, "b"),))
    obj = made_of(first, Function("b", "xdp", assemble("exit", "big")), byteorder="big")
    assert bytes(lay_out(obj, "p").code[:8]) == struct.pack(">BBhi", 0x85, 0x01, 0, 1)


def test_what_belongs_to_instructions_moves_with_them() -> None:
    obj = made_of(
        function("a", "call 0\nexit", (0, CALL, "b")),
        function("b", "r0 = 0\nr1 = 0 ll\nexit", (1, MAP, "counts")),
    )
    laid_out = lay_out(obj, "p")
    assert laid_out.relocations == [Relocation(24, MAP, "counts")]
    assert laid_out.unresolved == [Unresolved(0, "lost in a"), Unresolved(16, "lost in b")]
    assert laid_out.function_info == struct.pack("<4I", 0, ord("a"), 2, ord("b"))
    assert laid_out.line_info == struct.pack(
        "<8I", 0, 1, 1, ord("a") << 10, 2, 1, 1, ord("b") << 10
    )
    assert obj.functions["b"].relocations == (Relocation(8, MAP, "counts"),)


def test_there_are_no_records_where_one_function_lacks_them() -> None:
    bare = Function("b", "xdp", assemble("exit"))
    obj = made_of(function("a", "call 0\nexit", (0, CALL, "b")), bare)
    laid_out = lay_out(obj, "p")
    assert (laid_out.function_info, laid_out.line_info) == (b"", b"")


def test_an_exception_callback_comes_last() -> None:
    obj = made_of(
        function("a", "call 0\nexit", (0, CALL, "b")), function("c", "exit"), function("b", "exit")
    )
    program = Program("p", "a", "xdp", ProgramType.XDP, exception_callback="c")
    assert [name for _, name in lay_out_program(obj, program).functions] == ["a", "b", "c"]
    assert [name for _, name in lay_out(obj, "p").functions] == ["a", "b"]


def test_a_function_that_is_not_there_is_an_error() -> None:
    obj = made_of(function("a", "call 0\nexit", (0, CALL, "b")))
    with pytest.raises(RelocationError, match="program 'p' needs function 'b'"):
        lay_out(obj, "p")


def test_code_does_not_grow_without_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(layout, "MAX_INSTRUCTIONS", 3)
    obj = made_of(function("a", "call 0\nexit", (0, CALL, "b")), function("b", "exit"))
    assert len(lay_out(obj, "p").code) == 24
    obj = made_of(function("a", "call 0\nexit", (0, CALL, "b")), function("b", "r0 = 0\nexit"))
    with pytest.raises(RelocationError, match="more than 3 instructions"):
        lay_out(obj, "p")
