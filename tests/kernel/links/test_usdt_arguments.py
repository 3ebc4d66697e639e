"""Arguments of static probes, in the operand syntax of two machines."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from osmia.errors import NotSupportedError
from osmia.kernel.links.usdt_arguments import (
    EM_AARCH64,
    EM_X86_64,
    Argument,
    ArgumentKind,
    parse_arguments,
)

SYMBOLS = {"counter": 0x2000, "flags.0": -16}
CONSTANT, REGISTER, MEMORY, INDEXED = ArgumentKind

AX, DX, SI, BP, R9, IP, SP = 80, 96, 104, 32, 64, 128, 152


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("-4@$-9", Argument(4, True, CONSTANT, -9)),
        ("8@$0x10", Argument(8, False, CONSTANT, 16)),
        ("-4@%eax", Argument(4, True, REGISTER, register=AX)),
        ("1@%sil", Argument(1, False, REGISTER, register=SI)),
        ("2@%r9w", Argument(2, False, REGISTER, register=R9)),
        ("8@(%rdx)", Argument(8, False, MEMORY, 0, DX)),
        ("-4@-1204(%rbp)", Argument(4, True, MEMORY, -1204, BP)),
        ("8@-8(%rsp)", Argument(8, False, MEMORY, -8, SP)),
        ("8@(%rdx,%rax,8)", Argument(8, False, INDEXED, 0, DX, AX, 3)),
        ("4@16(%rdx,%rax)", Argument(4, False, INDEXED, 16, DX, AX, 0)),
        ("4@counter(%rip)", Argument(4, False, MEMORY, 0x2000, IP)),
        ("4@counter+4(%rip)", Argument(4, False, MEMORY, 0x2004, IP)),
        ("4@4+counter(%rip)", Argument(4, False, MEMORY, 0x2004, IP)),
        ("4@-4+counter(%rip)", Argument(4, False, MEMORY, 0x1FFC, IP)),
        ("1@flags.0-1(%rip)", Argument(1, False, MEMORY, -17, IP)),
    ],
)
def test_operands_of_x86(text: str, expected: Argument) -> None:
    assert parse_arguments(text, EM_X86_64, SYMBOLS.__getitem__) == (expected,)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("-4@-9", Argument(4, True, CONSTANT, -9)),
        ("8@x19", Argument(8, False, REGISTER, register=152)),
        ("-4@w0", Argument(4, True, REGISTER, register=0)),
        ("4@wzr", Argument(4, False, CONSTANT, 0)),
        ("8@sp", Argument(8, False, REGISTER, register=248)),
        ("8@[x3]", Argument(8, False, MEMORY, 0, 24)),
        ("-4@[sp, 28]", Argument(4, True, MEMORY, 28, 248)),
        ("-4@[x29,-12]", Argument(4, True, MEMORY, -12, 232)),
    ],
)
def test_operands_of_arm64(text: str, expected: Argument) -> None:
    assert parse_arguments(text, EM_AARCH64, SYMBOLS.__getitem__) == (expected,)


def test_several_arguments_with_spaces_inside() -> None:
    parsed = parse_arguments(" -4@[sp, 28] 8@[x0, 8]  1@5 ", EM_AARCH64, SYMBOLS.__getitem__)
    assert [argument.size for argument in parsed] == [4, 8, 1]
    assert [argument.value for argument in parsed] == [28, 8, 5]


def test_no_arguments() -> None:
    assert parse_arguments("", EM_X86_64, SYMBOLS.__getitem__) == ()
    assert parse_arguments("  ", EM_X86_64, SYMBOLS.__getitem__) == ()


@pytest.mark.parametrize(
    "text",
    [
        "8f@%xmm0",
        "8@%xmm0",
        "3@%eax",
        "%eax",
        "8@",
        "8@(%nope)",
        "4@%gs:(%rax)",
        "1@%ah",
        "8@$010",
        "junk",
    ],
)
def test_what_programs_cannot_read_is_named(text: str) -> None:
    with pytest.raises(NotSupportedError, match="argument"):
        parse_arguments(text, EM_X86_64, SYMBOLS.__getitem__)


def test_too_many_arguments_and_other_machines_are_refused() -> None:
    with pytest.raises(NotSupportedError, match="13 arguments"):
        parse_arguments("1@$1 " * 13, EM_X86_64, SYMBOLS.__getitem__)
    with pytest.raises(NotSupportedError, match="machine 8"):
        parse_arguments("", 8, SYMBOLS.__getitem__)
    with pytest.raises(NotSupportedError, match="100000 bytes"):
        parse_arguments("8@" + "x" * 99_998, EM_X86_64, SYMBOLS.__getitem__)


@given(st.text(alphabet="-+@$%()[],.0123456789xraefbpsi ", max_size=60))
def test_any_text_is_parsed_or_refused(text: str) -> None:
    for machine in (EM_X86_64, EM_AARCH64):
        with suppress(NotSupportedError):
            parse_arguments(text, machine, lambda name: 0)
