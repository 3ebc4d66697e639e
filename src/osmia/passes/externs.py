"""Resolve externs against a kernel: configuration values, symbols, variables, functions.

Afterwards no relocation names an extern: configuration values are data, addresses are in
the code, and typed variables and kfuncs are type ids that an engine turns into numbers.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import replace

from osmia.btf import BTF, Func, Kind, Var
from osmia.btf.core.match import essential_name, types_are_compatible
from osmia.errors import RelocationError
from osmia.object.model import Extern, ExternKind, Function, Object, Relocation, RelocationKind
from osmia.passes.kconfig import SECTION, config_value, lay_out_config, layout_order
from osmia.passes.target import AMBIGUOUS, Target

VMLINUX = "vmlinux"
#: The immediate of a call that stands for an unresolved weak kfunc, plus the extern's number,
#: as libbpf writes it (so that tags agree).
POISONED_KFUNC = 2002000000
CALL = 0x85

#: How an extern's relocation continues: a relocation, an address to write, or None (poison).
Answer = Relocation | int | None


def resolve_externs(obj: Object, target: Target) -> Object:
    """`obj` with every extern resolved. RelocationError names all strong ones that are not."""
    result = obj.copy()
    missing = _resolve_config(result, target)
    answers: dict[str, Callable[[Relocation], Answer]] = {}
    for extern in obj.externs.values():
        if extern.kind is ExternKind.KCONFIG:
            variables = result.data_sections[SECTION].variables
            answers[extern.name] = _data_answer(variables[extern.name].offset)
            continue
        found = _find(obj, extern, target)
        if found is None and not extern.weak:
            missing.append(extern.name)
        answers[extern.name] = found or _unresolved
    if missing:
        raise RelocationError(_missing_message(obj, missing))
    numbers = {name: number for number, name in enumerate(extern_order(obj))}
    result.functions = {
        name: _apply(function, answers, numbers, obj.byteorder)
        for name, function in obj.functions.items()
    }
    for section in result.data_sections.values():
        section.relocations = tuple(
            _resolved_pointer(result, relocation) for relocation in section.relocations
        )
    result.externs = {}
    return result


def _resolved_pointer(obj: Object, relocation: Relocation) -> Relocation:
    """An address in data: those of configuration values become known, others stay."""
    extern = obj.externs.get(relocation.target)
    if relocation.kind is not RelocationKind.EXTERN or extern is None:
        return relocation
    if extern.kind is not ExternKind.KCONFIG:
        return relocation
    offset = obj.data_sections[SECTION].variables[extern.name].offset
    return relocation._replace(
        kind=RelocationKind.DATA, target=SECTION, addend=offset + relocation.addend
    )


def _missing_message(obj: Object, missing: list[str]) -> str:
    names = ", ".join(f"{name!r} ({obj.externs[name].kind.value})" for name in sorted(set(missing)))
    return f"{obj.path or obj.name}: unresolved externs: {names}"


def _resolve_config(result: Object, target: Target) -> list[str]:
    wanted = [e for e in result.externs.values() if e.kind is ExternKind.KCONFIG]
    if not wanted or result.btf is None:
        return []
    values = [config_value(result.btf, extern) for extern in wanted]
    section, missing = lay_out_config(values, target, result.byteorder)
    section.btf_id = result.btf.find(SECTION, Kind.DATASEC)
    result.data_sections[SECTION] = section
    return missing


def extern_order(obj: Object) -> list[str]:
    """Externs in libbpf's order, which numbers them.

    Configuration values come as they are laid out, then symbols by name.
    """
    config = [e for e in obj.externs.values() if e.kind is ExternKind.KCONFIG]
    symbols = sorted(e.name for e in obj.externs.values() if e.kind is not ExternKind.KCONFIG)
    if not config or obj.btf is None:
        return symbols
    ordered = layout_order([config_value(obj.btf, extern) for extern in config])
    return [value.extern.name for value in ordered] + symbols


def _data_answer(offset: int) -> Callable[[Relocation], Answer]:
    return lambda relocation: Relocation(relocation.offset, RelocationKind.DATA, SECTION, offset)


def _unresolved(relocation: Relocation) -> Answer:
    return None if relocation.kind is RelocationKind.EXTERN_CALL else 0


def _find(obj: Object, extern: Extern, target: Target) -> Callable[[Relocation], Answer] | None:
    assert obj.btf is not None
    match extern.kind:
        case ExternKind.KSYM if obj.btf.kind_of(obj.btf.resolve(extern.type_id)) == Kind.VOID:
            address = target.symbols.get(essential_name(extern.name))
            if address == AMBIGUOUS:
                raise RelocationError(f"{extern.name!r} is several symbols of the kernel")
            return None if address is None else lambda relocation: address
        case ExternKind.KSYM:
            return _typed(obj.btf, extern, target, Kind.VAR)
        case ExternKind.KFUNC:
            return _typed(obj.btf, extern, target, Kind.FUNC)
    return None


def _typed(
    btf: BTF, extern: Extern, target: Target, kind: Kind
) -> Callable[[Relocation], Answer] | None:
    found = _find_in_kernel(essential_name(extern.name), kind, target)
    if found is None:
        return None
    where, kernel_btf, type_id = found
    declared = kernel_btf.type(type_id)
    assert isinstance(declared, Var | Func)
    mine, other = btf.resolve(extern.type_id), kernel_btf.resolve(declared.type_id)
    if not types_are_compatible(btf, mine, kernel_btf, other):
        if extern.weak and kind == Kind.FUNC:
            return None
        raise RelocationError(
            f"extern {extern.name!r} is declared with another type than {where} has"
        )

    def answer(relocation: Relocation) -> Answer:
        called = relocation.kind is RelocationKind.EXTERN_CALL
        continued = RelocationKind.KERNEL_FUNCTION if called else RelocationKind.KERNEL_VARIABLE
        return Relocation(relocation.offset, continued, where, type_id)

    return answer


def _find_in_kernel(name: str, kind: Kind, target: Target) -> tuple[str, BTF, int] | None:
    if target.btf is None:
        return None
    type_id = target.btf.find(name, kind)
    if type_id:
        return VMLINUX, target.btf, type_id
    for module, btf in target.modules.items():
        type_id = next((i for i in btf.find_all(name, kind) if i >= btf.first_id), 0)
        if type_id:
            return module, btf, type_id
    return None


def _apply(
    function: Function,
    answers: dict[str, Callable[[Relocation], Answer]],
    numbers: dict[str, int],
    byteorder: str,
) -> Function:
    externs = (RelocationKind.EXTERN, RelocationKind.EXTERN_CALL)
    if not any(relocation.kind in externs for relocation in function.relocations):
        return function
    code = bytearray(function.code)
    imm = struct.Struct("<I" if byteorder == "little" else ">I")
    relocations = []
    for relocation in function.relocations:
        if relocation.kind not in externs:
            relocations.append(relocation)
            continue
        answer = answers[relocation.target](relocation)
        if isinstance(answer, Relocation):
            relocations.append(answer)
        elif answer is None:
            at = relocation.offset
            code[at : at + 4] = bytes([CALL, 0, 0, 0])
            imm.pack_into(code, at + 4, POISONED_KFUNC + numbers[relocation.target])
        else:
            imm.pack_into(code, relocation.offset + 4, answer & 0xFFFFFFFF)
            imm.pack_into(code, relocation.offset + 12, answer >> 32 & 0xFFFFFFFF)
    return replace(function, code=bytes(code), relocations=tuple(relocations))
