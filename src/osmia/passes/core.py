"""CO-RE: make code that was compiled against one kernel's types fit another's.

Every record says which instruction depends on what (a field's offset, a type's size, an
enumerator's value, …). The answer in the kernel's types is written into the instruction;
where there is none the instruction is replaced by an impossible call, which the verifier
refuses only if it can be reached. Values, poison and errors are libbpf's, so that the
program, and its tag, are the same.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence

from osmia.btf import BTF, Int, IntEncoding, Kind
from osmia.btf.core.match import Candidates
from osmia.btf.core.records import CORE_KINDS, described, match_record, parse_record
from osmia.btf.core.spec import (
    FieldShape,
    Spec,
    element_of,
    enumerator_value,
    load_size_of,
    shape_of,
)
from osmia.errors import NotSupportedError, ObjectFormatError, RelocationError
from osmia.object.model import CoreKind, CoreRelocation, Function, Object, Unresolved
from osmia.object.uapi import ProgramType
from osmia.passes.poison import POISON, poison
from osmia.passes.target import Target
from osmia.records import dataclass, replace


@dataclass(frozen=True, slots=True)
class Answer:
    """What one relocation comes to: `expected` is what the compiler wrote, None if unchecked.

    Sizes in bytes are those of the loads that the relocation may have to change; `resizable`
    says that a load of the one size may become one of the other.
    """

    value: int
    expected: int | None
    poisoned: bool = False
    old_size: int = 0
    new_size: int = 0
    resizable: bool = True


def relocate_core(obj: Object, target: Target) -> Object:
    """`obj` with all CO-RE records applied. RelocationError names program and source line."""
    if obj.btf is None:
        raise ObjectFormatError("CO-RE records without BTF", file=obj.path)
    relocator = Relocator(obj, target)
    result = obj.copy()
    left_out = {
        program.function
        for program in obj.programs.values()
        if not program.autoload and program.type is not ProgramType.STRUCT_OPS
    }
    for name, function in obj.functions.items():
        if function.core_relocations and name not in left_out:
            result.functions[name] = relocator.relocate(function)
    return result


class Relocator:
    """Answers the records of one object; equal records are answered once.

    The candidates of a type are narrowed as records are answered: those that lacked what an
    earlier record found in others are out for the later ones, as in libbpf.
    """

    def __init__(self, obj: Object, target: Target) -> None:
        assert obj.btf is not None
        self.obj = obj
        self.btf: BTF = obj.btf
        self.target = target
        self.answers: dict[tuple[int, int, str], Answer] = {}
        self._candidates: Candidates | None = None
        self._of_type: dict[int, list[tuple[BTF, int]]] = {}

    def relocate(self, function: Function) -> Function:
        """`function` with its records applied."""
        code = bytearray(function.code)
        unresolved: list[Unresolved] = []
        for record in function.core_relocations:
            if record.offset % 8 or record.offset + 8 > len(code):
                raise self._error(function, record, "the record lies outside the code")
            key = (record.type_id, record.kind, record.access)
            try:
                answer = self.answers.get(key)
                if answer is None:
                    answer = self.answers[key] = self.answer(record)
                poisoned = patch(code, record.offset, answer, self.obj.byteorder)
                if poisoned:
                    words = self._missing(record, answer)
                    unresolved += [Unresolved(at, words) for at in poisoned]
            except (RelocationError, ObjectFormatError) as error:
                raise self._error(function, record, str(error)) from None
        if unresolved:
            unresolved = sorted((*function.unresolved, *unresolved))
        return replace(
            function,
            code=bytes(code),
            core_relocations=(),
            unresolved=tuple(unresolved) or function.unresolved,
        )

    def _missing(self, record: CoreRelocation, answer: Answer) -> str:
        """Why the record's instruction cannot be, in words."""
        what = described(self.btf, CoreKind(record.kind), record.type_id, record.access)
        if answer.poisoned:
            return f"CO-RE: the kernel's types have no {what}"
        return f"CO-RE: {what} has another type in the kernel's types, which this load cannot take"

    def answer(self, record: CoreRelocation) -> Answer:
        """What the record comes to on the target."""
        if record.kind not in CORE_KINDS:
            raise RelocationError(f"CO-RE kind {record.kind} is not known")
        kind = CoreKind(record.kind)
        local = parse_record(self.btf, kind, record.type_id, record.access)
        if kind is CoreKind.TYPE_ID_LOCAL:
            return Answer(record.type_id, expected=None)
        name = self.btf.name_of(record.type_id)
        if not name:
            raise RelocationError(f"CO-RE: type {record.type_id} has no name to look for")
        matching: list[tuple[BTF, int]] = []
        found: Answer | None = None
        place: Spec | None = None
        for btf, type_id in self._candidates_of(record.type_id, name):
            spec = match_record(kind, local, btf, type_id)
            if spec is None:
                continue
            matching.append((btf, type_id))
            answer = calculate(kind, local, spec)
            if found is None or place is None:
                found, place = answer, spec
            elif spec.bit_offset != place.bit_offset or not _agree(answer, found):
                raise RelocationError(
                    f"{name!r} is ambiguous: {_describe(place)} and {_describe(spec)} differ"
                )
        if found is None:
            return calculate(kind, local, None)
        self._of_type[record.type_id] = matching
        return found

    def _candidates_of(self, type_id: int, name: str) -> list[tuple[BTF, int]]:
        if type_id not in self._of_type:
            kind = self.btf.kind_of(type_id)
            self._of_type[type_id] = self.candidates.find(name, kind)
        return self._of_type[type_id]

    @property
    def candidates(self) -> Candidates:
        """The target's types by name."""
        if self._candidates is None:
            types = self.target.core_btf
            if types is None:
                raise NotSupportedError(
                    f"{self.obj.name} needs CO-RE, and the kernel has no BTF; give one to load"
                    " against",
                    since="5.2",
                )
            self._candidates = Candidates(types, lambda: self.target.core_modules)
        return self._candidates

    def _error(self, function: Function, record: CoreRelocation, message: str) -> RelocationError:
        slot = record.offset // 8
        lines = [line for line in self.obj.source_lines(function.name) if line.slot <= slot]
        where = f" ({lines[-1].file}:{lines[-1].line}: {lines[-1].text})" if lines else ""
        return RelocationError(f"function {function.name!r}, instruction {slot}{where}: {message}")


def _agree(first: Answer, second: Answer) -> bool:
    same = (first.value - second.value) & _DOUBLE_WORD == 0
    return same and first.poisoned == second.poisoned


def _describe(spec: Spec) -> str:
    path = ".".join(step.name for step in spec.steps if step.name)
    return f"type {spec.root} of {spec.btf.name}" + (f" ({path})" if path else "")


def calculate(kind: CoreKind, local: Spec, target: Spec | None) -> Answer:
    """The answer for one candidate; None means that the target has none."""
    match kind:
        case CoreKind.FIELD_EXISTS | CoreKind.TYPE_EXISTS | CoreKind.TYPE_MATCHES:
            return Answer(int(target is not None), expected=1)
        case CoreKind.ENUMVAL_EXISTS:
            return Answer(int(target is not None), expected=1)
        case CoreKind.TYPE_ID_TARGET:
            return Answer(target.root if target is not None else 0, expected=None)
        case CoreKind.TYPE_SIZE:
            size = target.btf.size_of(target.root) if target is not None else 0
            return Answer(size, expected=local.btf.size_of(local.root))
        case CoreKind.ENUMVAL_VALUE:
            # Of 32 bits or 64, values are signed 64-bit numbers to libbpf.
            expected = enumerator_value(local, signed=True)
            if target is None:
                return Answer(0, expected, poisoned=True)
            return Answer(enumerator_value(target, signed=True), expected)
    return _field_answer(kind, local, target)


def _field_answer(kind: CoreKind, local: Spec, target: Spec | None) -> Answer:
    expected, old_size, old_type, checked = _field_value(kind, local)
    check = expected if checked else None
    if target is None:
        return Answer(0, check, poisoned=True)
    value, new_size, new_type, _ = _field_value(kind, target)
    resizable = old_size == new_size or _resizable(local.btf, old_type, target.btf, new_type)
    return Answer(value, check, False, old_size, new_size, resizable)


def _field_value(kind: CoreKind, spec: Spec) -> tuple[int, int, int, bool]:
    """(value, size of a load, type loaded, whether the compiler's value can be checked)."""
    element = element_of(spec)
    if element is not None:
        if kind is CoreKind.FIELD_BYTE_OFFSET:
            return spec.bit_offset // 8, load_size_of(spec.btf, element), element, True
        if kind is CoreKind.FIELD_BYTE_SIZE:
            return spec.btf.size_of(element), 0, 0, True
        raise RelocationError(f"CO-RE {kind.name.lower()} of an array element is not possible")
    shape = shape_of(spec)
    checked = not shape.bitfield
    match kind:
        case CoreKind.FIELD_BYTE_OFFSET:
            if shape.bitfield:
                return shape.byte_offset, 0, 0, checked
            return shape.byte_offset, shape.load_size, shape.type_id, checked
        case CoreKind.FIELD_BYTE_SIZE:
            return shape.byte_size, 0, 0, checked
        case CoreKind.FIELD_SIGNED:
            return int(shape.signed), 0, 0, True
        case CoreKind.FIELD_LSHIFT_U64:
            return _left_shift(shape, spec.btf.byteorder), 0, 0, checked
    return 64 - shape.bit_size, 0, 0, True


def _left_shift(shape: FieldShape, byteorder: str) -> int:
    inside = shape.bit_offset - shape.byte_offset * 8
    if byteorder == "little":
        return 64 - (inside + shape.bit_size)
    return (8 - shape.byte_size) * 8 + inside


def _resizable(local: BTF, old_type: int, target: BTF, new_type: int) -> bool:
    """Pointers (64 bits in BPF, 32 in some kernels) and unsigned integers zero-extend.

    A bitfield has type 0 here: no load of a known width can become one of it, or the reverse.
    """
    old, new = local.type(old_type), target.type(new_type)
    if old.kind == Kind.PTR and new.kind == Kind.PTR:
        return True
    return (
        isinstance(old, Int)
        and isinstance(new, Int)
        and old.encoding != IntEncoding.SIGNED
        and new.encoding != IntEncoding.SIGNED
    )


# Instruction classes and fields, RFC 9669.
_LD, _LDX, _ST, _STX, _ALU, _ALU64 = 0, 1, 2, 3, 4, 7
_LD_IMM64 = 0x18
_SOURCE_REGISTER = 0x08
_SIZE_BITS = {1: 0x10, 2: 0x08, 4: 0x00, 8: 0x18}
_SIZE_MASK = 0x18
_MAX_OFFSET = 0x7FFF
_WORD = 0xFFFF_FFFF
_DOUBLE_WORD = 0xFFFF_FFFF_FFFF_FFFF


def patch(code: bytearray, at: int, answer: Answer, byteorder: str) -> Sequence[int]:
    """Write an answer into the instruction at byte `at`. RelocationError where it cannot be.

    Gives the offsets of the impossible calls that stand there where there is none.
    """
    order = "<" if byteorder == "little" else ">"
    opcode = code[at]
    if answer.poisoned:
        return _poison(code, at, byteorder)
    match opcode & 7:
        case 4 | 7:
            _patch_alu(code, at, answer, order)
        case 1 | 2 | 3 if not answer.resizable:
            _check_offset(code, at, answer, order)
            return _poison(code, at, byteorder)
        case 1 | 2 | 3:
            _patch_memory(code, at, answer, order)
        case 0 if opcode == _LD_IMM64 and at + 16 <= len(code):
            _patch_load(code, at, answer, order)
        case _:
            raise RelocationError(f"CO-RE: opcode {opcode:#04x} cannot be relocated")
    return ()


def _poison(code: bytearray, at: int, byteorder: str) -> Sequence[int]:
    slots = [at, at + 8] if code[at] == _LD_IMM64 and at + 16 <= len(code) else [at]
    for slot in slots:
        poison(code, slot, POISON, byteorder)
    return slots


def _patch_alu(code: bytearray, at: int, answer: Answer, order: str) -> None:
    if code[at] & _SOURCE_REGISTER:
        raise RelocationError("CO-RE: the operand is a register, not a number")
    (found,) = struct.unpack_from(f"{order}i", code, at + 4)
    _check(answer, found)
    struct.pack_into(f"{order}I", code, at + 4, answer.value & _WORD)


def _check_offset(code: bytearray, at: int, answer: Answer, order: str) -> None:
    (found,) = struct.unpack_from(f"{order}h", code, at + 2)
    _check(answer, found)
    if not 0 <= answer.value <= _MAX_OFFSET:
        raise RelocationError(f"CO-RE: offset {answer.value} is too large for a load or store")


def _patch_memory(code: bytearray, at: int, answer: Answer, order: str) -> None:
    _check_offset(code, at, answer, order)
    struct.pack_into(f"{order}h", code, at + 2, answer.value)
    if answer.old_size != answer.new_size:
        if code[at] & _SIZE_MASK != _SIZE_BITS.get(answer.old_size):
            raise RelocationError(
                f"CO-RE: the load does not have the field's {answer.old_size} bytes"
            )
        if answer.new_size not in _SIZE_BITS:
            raise RelocationError(f"CO-RE: no load has {answer.new_size} bytes")
        code[at] = code[at] & ~_SIZE_MASK | _SIZE_BITS[answer.new_size]


def _patch_load(code: bytearray, at: int, answer: Answer, order: str) -> None:
    if code[at + 1] & (0xF0 if order == "<" else 0x0F) or any(code[at + 2 : at + 4]):
        raise RelocationError("CO-RE: the load is of no plain number")
    if any(code[at + 8 : at + 12]):
        raise RelocationError("CO-RE: the load is of no plain number")
    low, high = (struct.unpack_from(f"{order}I", code, at + place)[0] for place in (4, 12))
    value, found = answer.value, high << 32 | low
    if -(1 << 31) <= (answer.expected or 0) < 0 and found >> 31 == 1:
        # An unsigned enumerator of 32 bits with the highest one set; libbpf refuses it.
        value &= _WORD
        _check(answer, found - (1 << 32))
    else:
        _check(answer, found)
    struct.pack_into(f"{order}I", code, at + 4, value & _WORD)
    struct.pack_into(f"{order}I", code, at + 12, value >> 32 & _WORD)


def _check(answer: Answer, found: int) -> None:
    """The compiler's own value must stand where the record says."""
    if answer.expected is not None and (found - answer.expected) & _DOUBLE_WORD:
        raise RelocationError(
            f"CO-RE: the instruction has {found}, the object's types say {answer.expected}"
        )
