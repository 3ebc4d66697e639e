"""Where a static probe's arguments are: the notes' text, as registers, memory and constants.

An argument is SIZE@OPERAND: its bytes (negative when it is signed) and an operand in the
syntax of the machine's assembler, as the compiler wrote it down. Registers become offsets
in bytes into struct pt_regs (arch/x86/include/asm/ptrace.h), on arm64 struct user_pt_regs.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from osmia.enums import IntEnum
from osmia.errors import NotSupportedError
from osmia.records import dataclass

EM_X86_64, EM_AARCH64 = 62, 183

#: BPF_USDT_MAX_ARG_CNT of <bpf/usdt.bpf.h>
MAX_ARGUMENTS = 12


class ArgumentKind(IntEnum):
    """enum __bpf_usdt_arg_type of <bpf/usdt.bpf.h>."""

    CONSTANT = 0
    REGISTER = 1
    MEMORY = 2  # at register + value
    INDEXED = 3  # at register + (index << scale) + value


@dataclass(frozen=True, slots=True)
class Argument:
    """One argument. `size` in bytes; `register` and `index` are offsets into pt_regs.

    `value` is the constant, or what is added to the register; `scale` a shift in bits.
    """

    size: int
    signed: bool
    kind: ArgumentKind
    value: int = 0
    register: int = 0
    index: int = 0
    scale: int = 0


# Twelve arguments never take so many bytes; a bound for texts from anywhere.
_MAX_TEXT = 2048

#: Turns a symbol into its address relative to the probe's.
Distance = Callable[[str], int]

_ARGUMENT = re.compile(r"\s*(-?)([1248])@(.*?)(?=\s+-?\d+f?@|$)")


def parse_arguments(text: str, machine: int, distance: Distance) -> tuple[Argument, ...]:
    """The arguments that a probe's note describes; `machine` is the file's e_machine.

    `distance` resolves operands relative to the instruction pointer. NotSupportedError for
    operands that cannot be read by BPF programs (vector registers, say) and for machines
    other than x86-64 and arm64.
    """
    parse = _DIALECTS.get(machine)
    if parse is None:
        raise NotSupportedError(f"arguments of static probes on ELF machine {machine}")
    text = text.strip()
    if len(text) > _MAX_TEXT:
        raise NotSupportedError(f"{len(text)} bytes of static probe arguments")
    arguments = []
    position = 0
    while position < len(text):
        found = _ARGUMENT.match(text, position)
        argument = found and parse(found[3], int(found[2]), bool(found[1]), distance)
        if found is None or argument is None:
            operand = found[0] if found else text[position:]
            raise NotSupportedError(f"the static probe argument {operand.strip()!r}")
        arguments.append(argument)
        position = found.end()
    if len(arguments) > MAX_ARGUMENTS:
        raise NotSupportedError(f"a static probe with {len(arguments)} arguments")
    return tuple(arguments)


def _x86_registers() -> dict[str, int]:
    order = "r15 r14 r13 r12 bp bx r11 r10 r9 r8 ax cx dx si di orig_ax ip cs flags sp"
    offsets = {name: 8 * index for index, name in enumerate(order.split())}
    names: dict[str, int] = {}
    for letter in "abcd":
        offset = offsets[f"{letter}x"]
        names |= dict.fromkeys((f"r{letter}x", f"e{letter}x", f"{letter}x", f"{letter}l"), offset)
    for name in ("si", "di", "bp", "sp", "ip"):
        names |= dict.fromkeys((f"r{name}", f"e{name}", name, f"{name}l"), offsets[name])
    for number in range(8, 16):
        name = f"r{number}"
        names |= dict.fromkeys((name, f"{name}d", f"{name}w", f"{name}b"), offsets[name])
    return names


_X86_REGISTERS = _x86_registers()
_NUMBER = r"[+-]?(?:0x[0-9a-fA-F]+|0|[1-9][0-9]*)"
_X86_CONSTANT = re.compile(rf"\$({_NUMBER})")
_X86_REGISTER = re.compile(r"%(\w+)")
_X86_MEMORY = re.compile(
    rf"({_NUMBER})?\(\s*%(\w+)\s*(?:,\s*%(\w+)\s*(?:,\s*([1248])\s*)?)?\)", re.ASCII
)
#: A symbol's name, and a number before or behind it: gcc writes 24+name, and name+24.
_X86_SYMBOL = re.compile(rf"(?:({_NUMBER})\+)?([A-Za-z_.$][\w.$]*)({_NUMBER})?\(%[re]ip\)")


def _x86(operand: str, size: int, signed: bool, distance: Distance) -> Argument | None:
    if found := _X86_CONSTANT.fullmatch(operand):
        return Argument(size, signed, ArgumentKind.CONSTANT, int(found[1], 0))
    if found := _X86_REGISTER.fullmatch(operand):
        register = _X86_REGISTERS.get(found[1])
        if register is None:
            return None
        return Argument(size, signed, ArgumentKind.REGISTER, register=register)
    if found := _X86_SYMBOL.fullmatch(operand):
        value = distance(found[2]) + int(found[1] or "0", 0) + int(found[3] or "0", 0)
        register = _X86_REGISTERS["rip"]
        return Argument(size, signed, ArgumentKind.MEMORY, value, register)
    if found := _X86_MEMORY.fullmatch(operand):
        return _x86_memory(found, size, signed)
    return None


def _x86_memory(found: re.Match[str], size: int, signed: bool) -> Argument | None:
    displacement, base, index, scale = found.groups()
    register = _X86_REGISTERS.get(base)
    value = int(displacement or "0", 0)
    if register is None:
        return None
    if index is None:
        return Argument(size, signed, ArgumentKind.MEMORY, value, register)
    indexed = _X86_REGISTERS.get(index)
    if indexed is None:
        return None
    shift = int(scale or "1").bit_length() - 1
    return Argument(size, signed, ArgumentKind.INDEXED, value, register, indexed, shift)


_ARM_REGISTERS = {
    **{f"{letter}{number}": 8 * number for letter in "xw" for number in range(31)},
    "sp": 8 * 31,
}
_ARM_CONSTANT = re.compile(_NUMBER)
_ARM_MEMORY = re.compile(rf"\[\s*(\w+)\s*(?:,\s*#?({_NUMBER})\s*)?\]")


def _arm64(operand: str, size: int, signed: bool, distance: Distance) -> Argument | None:
    if _ARM_CONSTANT.fullmatch(operand):
        return Argument(size, signed, ArgumentKind.CONSTANT, int(operand, 0))
    if operand in ("xzr", "wzr"):
        return Argument(size, signed, ArgumentKind.CONSTANT, 0)
    if operand in _ARM_REGISTERS:
        register = _ARM_REGISTERS[operand]
        return Argument(size, signed, ArgumentKind.REGISTER, register=register)
    if found := _ARM_MEMORY.fullmatch(operand):
        base = _ARM_REGISTERS.get(found[1])
        if base is not None:
            return Argument(size, signed, ArgumentKind.MEMORY, int(found[2] or "0", 0), base)
    return None


_DIALECTS = {EM_X86_64: _x86, EM_AARCH64: _arm64}
