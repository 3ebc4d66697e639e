"""From a program's layout to the code that BPF_PROG_LOAD takes: names become numbers."""

from __future__ import annotations

import struct
import sys
from collections.abc import Mapping

from osmia.errors import NotSupportedError, RelocationError
from osmia.named_tuples import NamedTuple
from osmia.object.model import Relocation, RelocationKind
from osmia.passes.layout import ProgramLayout
from osmia.passes.target import Target

# Source registers that give ld_imm64 and call their meaning (include/uapi/linux/bpf.h).
PSEUDO_MAP_FD = 1
PSEUDO_MAP_VALUE = 2
PSEUDO_BTF_ID = 3
PSEUDO_KFUNC_CALL = 2

VMLINUX = "vmlinux"
# Named here: asking an enumeration for a member takes as long as ten of what is done with it.
_MAP = RelocationKind.MAP


class Numbers(NamedTuple):
    """What names stand for in this process: descriptors of maps, of modules' BTF and of the
    program's jump tables; addresses of the kernel's symbols.

    `fd_array` collects descriptors of the modules whose functions are called, for
    BPF_PROG_LOAD; its index 0 stays free, as an instruction's offset of 0 means vmlinux.
    """

    maps: Mapping[str, int]
    data: Mapping[str, int]
    modules: Mapping[str, int] = {}
    jump_tables: Mapping[str, int] = {}
    symbols: Mapping[str, int] = {}


def resolve(layout: ProgramLayout, numbers: Numbers, byteorder: str) -> tuple[bytes, list[int]]:
    """The final code and the fd_array. RelocationError for a name without a number."""
    if byteorder != sys.byteorder:
        raise NotSupportedError(
            f"program {layout.name!r} is for {byteorder}-endian machines; this one is not"
        )
    code = bytearray(layout.code)
    fd_array: list[int] = []
    for relocation in layout.relocations:
        kind = relocation.kind
        if kind is _MAP:
            write_load(code, relocation, PSEUDO_MAP_FD, _number(numbers.maps, layout, relocation))
            continue
        match kind:
            case RelocationKind.DATA:
                fd = _number(numbers.data, layout, relocation)
                write_load(code, relocation, PSEUDO_MAP_VALUE, fd, relocation.addend)
            case RelocationKind.JUMP_TABLE:
                fd = _number(numbers.jump_tables, layout, relocation)
                write_load(code, relocation, PSEUDO_MAP_VALUE, fd, relocation.addend)
            case RelocationKind.KERNEL_VARIABLE:
                module = _module(numbers, layout, relocation)
                write_load(code, relocation, PSEUDO_BTF_ID, relocation.addend, module)
            case RelocationKind.KERNEL_SYMBOL:
                address = _number(numbers.symbols, layout, relocation)
                write_load(code, relocation, 0, address & 0xFFFFFFFF, address >> 32)
            case RelocationKind.KERNEL_FUNCTION:
                module = _module(numbers, layout, relocation)
                write_call(code, relocation, _array_index(fd_array, module))
            case _:
                raise RelocationError(
                    f"program {layout.name!r}: {relocation.target!r} is not resolved"
                )
    return bytes(code), fd_array


def symbols_of(layout: ProgramLayout, target: Target) -> Mapping[str, int]:
    """The kernel's symbols where the program names any: reading them all takes its time."""
    kinds = [each.kind for each in layout.relocations]
    return target.symbols if RelocationKind.KERNEL_SYMBOL in kinds else {}


def _number(names: Mapping[str, int], layout: ProgramLayout, relocation: Relocation) -> int:
    try:
        return names[relocation.target]
    except KeyError:
        raise RelocationError(
            f"program {layout.name!r} uses {relocation.target!r}, which does not exist"
        ) from None


def _module(numbers: Numbers, layout: ProgramLayout, relocation: Relocation) -> int:
    if relocation.target == VMLINUX:
        return 0
    return _number(numbers.modules, layout, relocation)


def _array_index(fd_array: list[int], module: int) -> int:
    if not module:
        return 0
    if not fd_array:
        fd_array.append(0)
    if module not in fd_array:
        fd_array.append(module)
    return fd_array.index(module)


def write_load(
    code: bytearray, relocation: Relocation, source: int, low: int, high: int | None = None
) -> None:
    """Make an ld_imm64 one of the kind that `source` says, with its two immediates."""
    at = relocation.offset
    code[at + 1] = _registers(code[at + 1], source)
    struct.pack_into("=I", code, at + 4, low)
    if high is not None:
        struct.pack_into("=I", code, at + 12, high & 0xFFFFFFFF)


def write_call(code: bytearray, relocation: Relocation, index: int) -> None:
    """Make a call one of a kernel function: the relocation's addend is its type id."""
    at = relocation.offset
    code[at + 1] = _registers(code[at + 1], PSEUDO_KFUNC_CALL)
    struct.pack_into("=hi", code, at + 2, index, relocation.addend)


def _registers(registers: int, source: int) -> int:
    """The register byte with another source register."""
    if sys.byteorder == "little":
        return registers & 0x0F | source << 4
    return registers & 0xF0 | source
