"""Code that is put into a function, and labels: places in the old code and in the new."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, TypeAlias

from osmia.errors import EditError
from osmia.isa import Instruction, encode
from osmia.isa import opcodes as op
from osmia.isa.jumps import destinations, second_slots
from osmia.isa.packing import Buffer, ByteOrder
from osmia.object.editing.line_records import LineRecords
from osmia.object.model import Function, Relocation, RelocationKind
from osmia.records import dataclass, field, replace

#: What can be put in: assembly text, packed code, instructions, or a Function with its tables.
Code: TypeAlias = str | Buffer | Iterable[Instruction] | Function

#: What is called; every other kind of relocation is for an ld_imm64.
_CALLS = frozenset(kind for kind in RelocationKind if kind.name.endswith(("CALL", "_FUNCTION")))
#: Classes whose instructions CO-RE changes: an immediate of arithmetic, an offset of memory.
_CORE_CLASSES = (op.Class.LDX, op.Class.ST, op.Class.STX, op.Class.ALU, op.Class.ALU64)


@dataclass(frozen=True, slots=True)
class Label:
    """A place in a function that is edited: `slot` of its old code, or of code put into it.

    What jumps to a label of the old code goes to that instruction, or to the code put in front
    of it that takes its jumps.
    """

    owner: object = field(repr=False)
    slot: int


@dataclass(frozen=True, eq=False, slots=True)
class NewCode:
    """Code that was put in. `goes_to` has where its jumps go: a slot of it, or a label."""

    function: Function
    goes_to: Mapping[int, int | Label]
    names: Mapping[str, int]

    @property
    def slots(self) -> int:
        """Its length."""
        return self.function.instruction_count

    @property
    def end(self) -> Label:
        """What comes right behind it."""
        return Label(self, self.slots)

    def label(self, place: int | str = 0) -> Label:
        """The instruction at a slot of it, or at a label of its text."""
        slot = self.names.get(place, -1) if isinstance(place, str) else place
        second = second_slots(self.function.code)
        if not 0 <= slot <= self.slots or (slot < self.slots and second[slot]):
            raise EditError(f"no instruction of the new code is at {place!r}")
        return Label(self, slot)


def new_code(
    code: Code,
    byteorder: ByteOrder,
    *,
    labels: Mapping[str, Label],
    jumps: Mapping[int, Label],
    relocations: Iterable[Relocation],
) -> NewCode:
    """`code` with all that belongs to it, checked; see `FunctionEditor.insert_before`."""
    names: Mapping[str, int] = {}
    elsewhere: Mapping[int, Label] = {}
    if isinstance(code, str):
        code, names, elsewhere = _assembled(code, byteorder, labels)
    elif labels:
        raise EditError("names of labels are for assembly text; give jumps by slot")
    if isinstance(code, Function):
        function = code
    elif isinstance(code, bytes | bytearray | memoryview):
        function = Function("", "", bytes(code))
    else:
        function = Function("", "", encode(code, byteorder))
    more = tuple(relocations)
    if more:
        together = sorted((*function.relocations, *more), key=lambda record: record.offset)
        function = replace(function, relocations=tuple(together))
    if len(function.code) % op.SLOT_SIZE:
        raise EditError(f"new code of {len(function.code)} bytes is no whole number of slots")
    second = second_slots(function.code)
    _check_records(function, second, byteorder)
    return NewCode(function, _goes_to(function, second, byteorder, jumps, elsewhere), names)


def _assembled(
    text: str, byteorder: ByteOrder, labels: Mapping[str, Label]
) -> tuple[bytes, Mapping[str, int], Mapping[int, Label]]:
    """The code of a text, its own labels, and the label for each slot behind it that it names.

    A label from outside is assembled as one behind the text, with room for the text's own end.
    """
    from osmia.isa import parse_assembly

    stubs = "".join(f"\n{name}: exit" for name in labels)
    assembly = parse_assembly(f"{text}\nexit{stubs}")
    count = len(assembly.instructions) - len(labels) - 1
    code = encode(assembly.instructions[:count], byteorder)
    elsewhere = {assembly.labels[name]: label for name, label in labels.items()}
    own = {name: slot for name, slot in assembly.labels.items() if name not in labels}
    return code, own, elsewhere


def _goes_to(
    function: Function,
    second: bytearray,
    byteorder: ByteOrder,
    jumps: Mapping[int, Label],
    elsewhere: Mapping[int, Label],
) -> dict[int, int | Label]:
    found: dict[int, int | Label] = {}
    for slot, target in local_destinations(function, byteorder).items():
        label = jumps.get(slot) or elsewhere.get(target)
        inside = 0 <= target <= len(second) and not (target < len(second) and second[target])
        if label is None and not inside:
            raise EditError(
                f"slot {slot} of the new code goes to slot {target} of it, where no instruction"
                " starts; give a label"
            )
        found[slot] = target if label is None else label
    for slot in jumps:
        if slot not in found:
            raise EditError(f"slot {slot} of the new code is no jump")
    return found


def local_destinations(function: Function, byteorder: ByteOrder) -> dict[int, int]:
    """Where jumps, calls and addresses go by distance: not those that a relocation names."""
    named = {record.offset // op.SLOT_SIZE for record in function.relocations}
    found = destinations(function.code, byteorder)
    for slot in named & found.keys():
        del found[slot]
    return found


def tables(function: Function) -> dict[str, tuple[Any, ...]]:
    """The side tables of a function by field: records with an `offset` in bytes, sorted.

    Every field that is a tuple is one.
    """
    names = function.__match_args__
    return {name: value for name in names if isinstance(value := getattr(function, name), tuple)}


def _check_records(function: Function, second: bytearray, byteorder: ByteOrder) -> None:
    """EditError for a record at no instruction of the new code, or at one that has no place."""
    code = function.code
    for name, records in tables(function).items():
        for record in records:
            slot, rest = divmod(record.offset, op.SLOT_SIZE)
            if rest or not 0 <= slot < len(second) or second[slot]:
                raise EditError(
                    f"{name.replace('_', ' ')} of the new code: no instruction is at byte"
                    f" {record.offset}"
                )
    for slot in LineRecords(function.line_info, byteorder).slots:
        if slot >= len(second) or second[slot]:
            raise EditError(f"line records of the new code: no instruction is at slot {slot}")
    for relocation in function.relocations:
        slot = relocation.offset // op.SLOT_SIZE
        opcode = code[relocation.offset]
        load = opcode == op.LD_IMM64 and second[slot + 1 : slot + 2] == b"\1"
        call = relocation.kind in _CALLS
        if not (opcode == op.CALL if call else load):
            raise EditError(
                f"a relocation of {relocation.target!r} ({relocation.kind.value}) is for"
                f" {'a call' if call else 'an ld_imm64'}, and slot {slot} of the new code"
                f" has opcode {opcode:#04x}"
            )
    for record in function.core_relocations:
        opcode = code[record.offset]
        class_ = opcode & op.CLASS_MASK
        register = class_ in (op.Class.ALU, op.Class.ALU64) and opcode & op.Source.X
        if opcode != op.LD_IMM64 and (class_ not in _CORE_CLASSES or register):
            raise EditError(
                f"slot {record.offset // op.SLOT_SIZE} of the new code has opcode {opcode:#04x},"
                " which no CO-RE record can change"
            )
