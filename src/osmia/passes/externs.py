"""Resolve externs against a kernel: configuration values, symbols, variables, functions.

Afterwards no relocation names an extern: configuration values are data, and symbols, typed
variables and kfuncs are names and type ids that an engine turns into numbers.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping

from osmia.btf import BTF, Func, Kind, Var
from osmia.btf.core.match import essential_name, types_are_compatible
from osmia.btf.patch import as_defined
from osmia.errors import RelocationError
from osmia.object.model import (
    Extern,
    ExternKind,
    Function,
    Object,
    Relocation,
    RelocationKind,
    Unresolved,
)
from osmia.passes.binding import Binding, bound
from osmia.passes.kconfig import SECTION, config_value, lay_out_config, layout_order
from osmia.passes.kernel_files import AMBIGUOUS
from osmia.passes.poison import POISONED_KFUNC, poison
from osmia.passes.target import Target, UnknownPartError
from osmia.records import replace

VMLINUX = "vmlinux"


def resolve_externs(obj: Object, target: Target) -> Object:
    """`obj` with every extern resolved. RelocationError names all strong ones that are not."""
    result = obj.copy()
    missing = _resolve_config(result, target)
    bindings: dict[str, Binding] = {}
    nowhere: dict[str, int] = {}
    undefined: list[int] = []
    for extern in obj.externs.values():
        try:
            found = _find(result, extern, target)
        except UnknownPartError as error:
            raise RelocationError(f"extern {extern.name!r}: {error}") from None
        if found is not None:
            bindings[extern.name] = found
        elif extern.weak:
            nowhere[extern.name] = 0
            if extern.kind is ExternKind.OBJECT:
                undefined.append(extern.btf_id)
        else:
            missing.append(extern.name)
    if missing:
        raise RelocationError(_missing_message(obj, missing))
    if nowhere:
        numbers = {name: number for number, name in enumerate(extern_order(obj))}
        nowhere = {name: numbers[name] for name in nowhere}
    for name, function in obj.functions.items():
        result.functions[name] = bound(_without(function, nowhere, obj.byteorder), bindings)
    for section in result.data_sections.values():
        section.relocations = tuple(
            _resolved_pointer(result, relocation) for relocation in section.relocations
        )
    result.externs.clear()
    if result.btf is not None and undefined:
        result.btf = as_defined(result.btf, undefined)
    return result


def resolve_config(obj: Object, target: Target) -> Object:
    """`obj` with configuration values as data; its other externs stay. Errors as
    `resolve_externs`."""
    others = {n: e for n, e in obj.externs.items() if e.kind is not ExternKind.KCONFIG}
    if len(others) == len(obj.externs):
        return obj
    config = {name: each for name, each in obj.externs.items() if name not in others}
    resolved = resolve_externs(obj.copy(externs=config), target)
    return resolved.copy(externs=others)


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
    others = any(obj.externs[name].kind is ExternKind.OBJECT for name in missing)
    hint = "; what other objects define is found by imports=, or joined by osmia.link"
    return f"{obj.path or obj.name}: unresolved externs: {names}{hint if others else ''}"


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


def _find(obj: Object, extern: Extern, target: Target) -> Binding | None:
    assert obj.btf is not None
    match extern.kind:
        case ExternKind.KCONFIG:
            offset = obj.data_sections[SECTION].variables[extern.name].offset
            return Binding(SECTION, offset, load=RelocationKind.DATA)
        case ExternKind.KSYM if obj.btf.kind_of(obj.btf.resolve(extern.type_id)) == Kind.VOID:
            name = essential_name(extern.name)
            address = target.symbols.get(name)
            if address == AMBIGUOUS:
                raise RelocationError(f"{extern.name!r} is several symbols of the kernel")
            return None if address is None else Binding(name, load=RelocationKind.KERNEL_SYMBOL)
        case ExternKind.KSYM:
            return _typed(obj.btf, extern, target, Kind.VAR)
        case ExternKind.KFUNC:
            return _typed(obj.btf, extern, target, Kind.FUNC)
    return None


def _typed(btf: BTF, extern: Extern, target: Target, kind: Kind) -> Binding | None:
    found = find_in_kernel(essential_name(extern.name), kind, target)
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
    return Binding(
        where,
        type_id,
        call=RelocationKind.KERNEL_FUNCTION if kind == Kind.FUNC else None,
        load=RelocationKind.KERNEL_VARIABLE,
    )


def find_in_kernel(name: str, kind: Kind, target: Target) -> tuple[str, BTF, int] | None:
    """Which types have a variable or function: the name of those, they, its number in them."""
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


def _without(function: Function, nowhere: Mapping[str, int], byteorder: str) -> Function:
    """`function` without the weak externs that are nowhere: addresses are 0, calls cannot be."""
    externs = (RelocationKind.EXTERN, RelocationKind.EXTERN_CALL)
    gone = [r for r in function.relocations if r.kind in externs and r.target in nowhere]
    if not gone:
        return function
    code = bytearray(function.code)
    unresolved = list(function.unresolved)
    zero = struct.pack("=I", 0)
    for relocation in gone:
        at = relocation.offset
        if relocation.kind is RelocationKind.EXTERN_CALL:
            poison(code, at, POISONED_KFUNC + nowhere[relocation.target], byteorder)
            what = f"the kernel has no function {relocation.target!r} that fits the declaration"
            unresolved.append(Unresolved(at, what))
        else:
            code[at + 4 : at + 8] = code[at + 12 : at + 16] = zero
    return replace(
        function,
        code=bytes(code),
        relocations=tuple(r for r in function.relocations if r not in gone),
        unresolved=tuple(sorted(unresolved)),
    )
