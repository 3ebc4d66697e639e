"""The kernel's copy of a program in words: its functions, source lines, what its calls call."""

from __future__ import annotations

import struct
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from osmia.btf import BTF, declaration
from osmia.btf.function_words import function_signature
from osmia.formats.listing import ListedInstruction, Symbol, list_code
from osmia.isa import Instruction, walk
from osmia.isa.opcodes import CallKind, LoadKind
from osmia.kernel.programs import info
from osmia.kernel.programs.program import KernelProgram
from osmia.object.model import SourceLine

#: What the offsets in helper calls count from, after the verifier.
_CALL_BASE = "__bpf_call_base"


def listing(program: KernelProgram, *, as_bpftool: bool = False) -> Iterator[ListedInstruction]:
    """The instructions after the verifier's rewriting, named as far as the kernel tells.

    Names of helpers come from /proc/kallsyms: who may not see addresses there gets numbers.
    `as_bpftool`: functions and calls of them in its words, "pc+3#bpf_prog_0a1b…_count".
    """
    code = program.xlated()
    btf = program.btf()
    functions = _functions(program, btf, function_signature if as_bpftool else _declaration)
    names = {slot: name for slot, (name, _) in functions.items()}
    symbol = _symbols(code, names)
    return list_code(
        code,
        sys.byteorder,
        functions={slot: declared for slot, (_, declared) in functions.items()},
        lines={line.slot: line for line in source_lines(program, btf)},
        symbol=_compiled(program, symbol) if as_bpftool else symbol,
    )


def source_lines(program: KernelProgram, btf: BTF | None = None) -> list[SourceLine]:
    """The source lines of `program.xlated()`, by slot; empty for programs without."""
    btf = btf or program.btf()
    records, size = info.line_records(program.fileno())
    if btf is None or not size:
        return []
    return [
        SourceLine(slot, btf.string(file), place >> 10, place & 0x3FF, btf.string(text).strip())
        for slot, file, text, place in _records(records, size, "=IIII")
    ]


def function_names(program: KernelProgram) -> dict[int, str]:
    """The names of its functions in full, by first slot; empty without BTF."""
    found = _functions(program, program.btf(), _declaration)
    return {slot: name for slot, (name, _) in found.items()}


def program_functions(program: KernelProgram, *, as_bpftool: bool = False) -> dict[int, str]:
    """The declarations of its functions, by first slot; empty without BTF."""
    declared = function_signature if as_bpftool else _declaration
    found = _functions(program, program.btf(), declared)
    return {slot: declaration for slot, (_, declaration) in found.items()}


def _declaration(btf: BTF, type_id: int) -> str:
    return declaration(btf, type_id, "")


def _functions(
    program: KernelProgram, btf: BTF | None, declared: Callable[[BTF, int], str]
) -> dict[int, tuple[str, str]]:
    """By first slot: name and declaration of each function."""
    records, size = info.function_records(program.fileno())
    if btf is None or not size:
        return {}
    return {
        slot: (btf.name_of(type_id), declared(btf, type_id))
        for slot, type_id in _records(records, size, "=II")
    }


def _records(data: bytes, size: int, layout: str) -> Iterator[tuple[int, ...]]:
    """The first fields of records that a newer kernel may have made longer."""
    for offset in range(0, len(data) - size + 1, size):
        yield struct.unpack_from(layout, data, offset)


def _symbols(code: bytes, functions: dict[int, str]) -> Symbol:
    """A callback for the disassembler."""
    distances = {
        insn.imm for _, insn in walk(code) if insn.is_call and insn.src != CallKind.SUBPROGRAM
    }
    helpers = _helpers(distances) if distances else {}

    def symbol(offset: int, insn: Instruction) -> str | None:
        if insn.is_load_imm64:
            return _map_name(insn)
        if insn.is_subprogram_call:
            # Compiled subprograms: imm is the subprogram's number, offset the distance.
            distance = insn.offset or insn.imm
            return functions.get(offset // 8 + 1 + distance, f"pc{distance:+d}")
        return helpers.get(insn.imm) if insn.is_call else None

    return symbol


def _compiled(program: KernelProgram, symbol: Symbol) -> Symbol:
    """Calls of subprograms by distance and the name that the kernel gave their machine code."""
    addresses = info.native_addresses(program.fileno())
    wanted = set(addresses)
    names = {address: name for address, name in _kernel_symbols() if address in wanted}

    def named(offset: int, insn: Instruction) -> str | None:
        if not insn.is_subprogram_call:
            return symbol(offset, insn)
        if not 0 <= insn.imm < len(addresses):
            return f"pc{insn.offset or insn.imm:+d}"
        address = addresses[insn.imm]
        return f"pc{insn.offset:+d}#{names.get(address, hex(address))}"

    return named


def _map_name(insn: Instruction) -> str | None:
    """Maps stand in the kernel's dumps by id, whatever the instruction says."""
    if insn.src == LoadKind.MAP_FD:
        return f"map[id:{insn.imm}]"
    if insn.src == LoadKind.MAP_VALUE:
        return f"map[id:{insn.imm}][0]+{insn.imm_high & 0xFFFF_FFFF}"
    return None


def _helpers(distances: set[int]) -> dict[int, str]:
    """The kernel functions at these distances from the call base."""
    base = _address_of(_CALL_BASE)
    if not base:
        return {}
    wanted = {(base + distance) & 0xFFFF_FFFF_FFFF_FFFF: distance for distance in distances}
    found: dict[int, str] = {}
    for address, name in _kernel_symbols():
        if address in wanted:
            found.setdefault(wanted[address], name)
    return found


def _address_of(symbol: str) -> int:
    return next((address for address, name in _kernel_symbols() if name == symbol), 0)


def kernel_names(addresses: Iterable[int]) -> dict[int, tuple[str, str | None]]:
    """The functions at these addresses of the kernel: each's name and module, if in one."""
    wanted = set(addresses)
    found: dict[int, tuple[str, str | None]] = {}
    with Path("/proc/kallsyms").open(encoding="ascii", errors="replace") as lines:
        for line in lines:
            address, _, name, *module = line.split()
            if int(address, 16) in wanted:
                found.setdefault(int(address, 16), (name, module[0][1:-1] if module else None))
    return found


def _kernel_symbols() -> Iterator[tuple[int, str]]:
    with Path("/proc/kallsyms").open(encoding="ascii", errors="replace") as lines:
        for line in lines:
            address, _, rest = line.split(None, 2)
            yield int(address, 16), rest.split(None, 1)[0]
