"""Code with its source lines and the names of what it uses: an object's functions as text."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Literal, cast

from osmia.btf import declaration
from osmia.isa import Instruction, disassemble, walk
from osmia.isa.opcodes import JA_X, SLOT_SIZE
from osmia.object.jump_tables import ENTRY_SIZE
from osmia.object.jump_targets import jump_targets
from osmia.object.model import DataSection, Function, Object, RelocationKind, SourceLine
from osmia.records import dataclass

#: As many targets of an indirect jump are listed behind it.
MOST_TARGETS = 32

Symbol = Callable[[int, Instruction], str | None]


@dataclass(frozen=True, slots=True)
class ListedInstruction:
    """One instruction: its slot, its text, its packed bytes.

    `function` is the declaration of the function that begins here, `line` the source line
    that does; else "" and None.
    """

    slot: int
    text: str
    code: bytes
    function: str
    line: SourceLine | None


def list_code(
    code: bytes,
    byteorder: Literal["little", "big"],
    *,
    functions: Mapping[int, str],
    lines: Mapping[int, SourceLine],
    symbol: Symbol,
) -> Iterator[ListedInstruction]:
    """Each instruction of `code`; functions (declarations) and lines by slot."""
    ends = [*[slot for slot, _ in walk(code, byteorder)][1:], len(code) // 8]
    texts = disassemble(code, byteorder, symbol=symbol)
    for (slot, text), end in zip(texts, ends, strict=True):
        packed = code[slot * 8 : end * 8]
        yield ListedInstruction(slot, text, packed, functions.get(slot, ""), lines.get(slot))


def list_function(obj: Object, name: str) -> Iterator[ListedInstruction]:
    """The code of one of the object's functions, as the file has it.

    Where the loader will write numbers the listing has names: of maps, variables,
    functions, externs. Raises KeyError when there is no such function.
    """
    function = obj.functions[name]
    declared = function.name
    if obj.btf is not None and function.btf_id:
        declared = declaration(obj.btf, function.btf_id, "")
    return list_code(
        function.code,
        cast("Literal['little', 'big']", obj.byteorder),
        functions={0: declared},
        lines={line.slot: line for line in obj.source_lines(name)},
        symbol=_Names(obj, function).of,
    )


class _Names:
    """What relocations name, by the instruction's offset."""

    def __init__(self, obj: Object, function: Function) -> None:
        self._obj = obj
        self._at = {relocation.offset: relocation for relocation in function.relocations}
        self._jumps = jump_targets(obj, function) if obj.jump_tables else {}

    def of(self, offset: int, insn: Instruction) -> str | None:
        if insn.opcode == JA_X:
            return _listed(self._jumps.get(offset // SLOT_SIZE, ()))
        relocation = self._at.get(offset)
        if relocation is None:
            return None
        target, addend = relocation.target, relocation.addend
        match relocation.kind:
            case RelocationKind.MAP:
                return f"map[{target}]"
            case RelocationKind.DATA:
                return f"&{_variable_at(self._obj.data_sections[target], addend)}"
            case RelocationKind.JUMP_TABLE:
                entry = f"[{addend // ENTRY_SIZE}]" if addend else ""
                return f"jump_table[{target}]{entry}"
            case RelocationKind.CALL | RelocationKind.EXTERN_CALL | RelocationKind.KERNEL_FUNCTION:
                return target
        return f"&{target}"


def _listed(targets: Sequence[int]) -> str | None:
    """Where a jump may go, as text; None where nothing is known."""
    shown = ", ".join(str(target) for target in targets[:MOST_TARGETS])
    more = f", … ({len(targets)} in all)" if len(targets) > MOST_TARGETS else ""
    return f"{shown}{more}" if shown else None


def _variable_at(section: DataSection, offset: int) -> str:
    """The variable that `offset` lies in, and how far: "ports+4"; else the section's name."""
    key = section.variable_at(offset)
    if key is None:
        return f"{section.name}+{offset}"
    inside = offset - section.variables[key].offset
    return f"{key}+{inside}" if inside else key
