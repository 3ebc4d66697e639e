"""The machine code that the kernel made of a program: function by function, disassembled.

Disassembling takes the package capstone, of osmia[disassembly].
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping
from typing import Any

from osmia.errors import MissingPackageError, NotSupportedError
from osmia.kernel.inventory.code_listing import (
    kernel_names,
    program_functions,
    source_lines,
)
from osmia.kernel.programs import info
from osmia.kernel.programs.program import KernelProgram
from osmia.named_tuples import NamedTuple
from osmia.object.model import SourceLine


class MachineFunction(NamedTuple):
    """A compiled function: its declaration ("" without BTF), the kernel's name for its code, where
    it lies, its bytes, and the source lines by address."""

    declaration: str
    symbol: str
    address: int
    code: bytes
    lines: Mapping[int, SourceLine]


class MachineInstruction(NamedTuple):
    """One instruction: `operation` and `operands` in the assembler's words (AT&T's on x86),
    `target` the name of the function that it calls or jumps to, where that is another one."""

    address: int
    code: bytes
    operation: str
    operands: str
    target: str = ""


def machine_functions(program: KernelProgram) -> list[MachineFunction]:
    """The functions of a program's machine code, the entry first; [] where it is interpreted."""
    fd, code = program.fileno(), program.jited()
    addresses, lengths = info.native_addresses(fd), info.native_lengths(fd)
    declared = list(program_functions(program).values()) or [""] * len(addresses)
    symbols = kernel_names(addresses)
    lines = dict(zip(info.native_line_addresses(fd), source_lines(program), strict=False))
    functions, start = [], 0
    for declaration, address, length in zip(declared, addresses, lengths, strict=False):
        part = code[start : start + length]
        inside = {at: line for at, line in lines.items() if address <= at < address + length}
        symbol = symbols.get(address, ("", None))[0]
        functions.append(MachineFunction(declaration, symbol, address, part, inside))
        start += length
    return functions


def disassembled(function: MachineFunction, machine: str = "") -> Iterator[MachineInstruction]:
    """The instructions of a function, of this machine or of `machine` ("x86_64", "aarch64").

    What is no instruction is `.byte`. MissingPackageError without capstone, NotSupportedError for
    a machine that is neither.
    """
    reader = _reader(machine or os.uname().machine)
    found = list(reader.disasm(function.code, function.address))
    end = function.address + len(function.code)
    outside = {
        number
        for each in found
        if (number := _place(each)) and not function.address <= number < end
    }
    names = kernel_names(outside) if outside else {}
    for each in found:
        name, _ = names.get(_place(each), ("", None))
        yield MachineInstruction(
            each.address, bytes(each.bytes), each.mnemonic.strip(), each.op_str, name
        )


def _reader(machine: str) -> Any:
    try:
        import capstone
    except ImportError as error:
        raise MissingPackageError("capstone", extra="disassembly") from error
    if machine == "x86_64":
        reader = capstone.Cs(capstone.CS_ARCH_X86, capstone.CS_MODE_64)
        reader.syntax = capstone.CS_OPT_SYNTAX_ATT
    elif machine == "aarch64":
        mode = capstone.CS_MODE_ARM if sys.byteorder == "little" else capstone.CS_MODE_BIG_ENDIAN
        reader = capstone.Cs(capstone.CS_ARCH_ARM64, mode)
    else:
        raise NotSupportedError(f"machine code of {machine} is not disassembled; -o FILE writes it")
    reader.skipdata = True
    return reader


def _place(instruction: Any) -> int:
    """The address that a call or jump names; 0 for other instructions."""
    text = instruction.op_str.removeprefix("#")
    branch = instruction.mnemonic.startswith(("call", "j", "b"))
    return int(text, 16) if branch and text.startswith("0x") and " " not in text else 0
