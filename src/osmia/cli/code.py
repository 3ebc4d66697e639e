"""Listed instructions as text and as bpftool's JSON."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from osmia.cli.output import Output, hex_bytes, hex_list, printable

if TYPE_CHECKING:
    from osmia.formats.listing import ListedInstruction


def print_code(
    output: Output,
    instructions: Iterable[ListedInstruction],
    *,
    opcodes: bool = False,
    places: bool = False,
) -> None:
    """Print code below its source lines; `places`: with their files and numbers."""
    last = None
    for each in instructions:
        if each.function:
            output.line(printable(f"{each.function}:"), "bold")
        if each.line is not None and (each.line.file, each.line.line) != last:
            last = each.line.file, each.line.line
            place = f" [{each.line.file}:{each.line.line}]" if places else ""
            output.line(printable(f"; {each.line.text.expandtabs()}{place}"), "dim")
        output.line(f"{each.slot:4}: ({each.code[0]:02x}) {printable(each.text)}")
        if opcodes:
            output.line(f"      {hex_bytes(each.code)}", "dim")


def described_code(
    instructions: Iterable[ListedInstruction], *, opcodes: bool = False, byteorder: str = "little"
) -> list[dict[str, Any]]:
    """Code as JSON has it."""
    return [_described(each, byteorder if opcodes else "") for each in instructions]


def _described(each: ListedInstruction, opcodes: str) -> dict[str, Any]:
    described: dict[str, Any] = {}
    if each.function:
        described["proto"] = each.function
    if each.line is not None:
        described["src"] = each.line.text
        described["file"] = each.line.file
        described["line_num"] = each.line.line
        described["line_col"] = each.line.column
    described |= {"pc": each.slot, "disasm": f"({each.code[0]:02x}) {each.text}"}
    return described | ({"opcodes": _opcodes(each.code, opcodes)} if opcodes else {})


def _opcodes(code: bytes, byteorder: str) -> dict[str, Any]:
    """An instruction's parts; both immediates of a long one, and what is between them."""
    registers = [code[1] >> 4, code[1] & 0xF]
    source, destination = registers if byteorder == "little" else reversed(registers)
    return {
        "code": f"{code[0]:#04x}",
        "src_reg": hex(source),
        "dst_reg": hex(destination),
        "off": hex_list(code[2:4]),
        "imm": hex_list(code[4:]),
    }
