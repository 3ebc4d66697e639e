"""What the verifier will demand of a function that comes from another object.

It verifies a global function apart from its callers: it must return an integer or nothing,
take at most five arguments, and the context that it takes must be that of each program that
calls it (kernel/bpf/btf.c, btf_prepare_func_args). Told here, the error names the objects; the
verifier names registers.
"""

from __future__ import annotations

from collections.abc import Iterator

from osmia.btf import BTF, Enum, Enum64, Func, FuncProto, Int, Ptr, Struct, Union
from osmia.btf.c.format import declaration, format_type
from osmia.errors import LinkError, RelocationError
from osmia.object.model import Object, Program, RelocationKind
from osmia.passes.context_arguments import CONTEXT_STRUCTS, context_struct

_MAX_ARGUMENTS = 5
_EXTERNS = (RelocationKind.EXTERN, RelocationKind.EXTERN_CALL)


def check_callable(obj: Object, extern: str, source: Object, key: str, provider: str) -> None:
    """LinkError unless programs of `obj` that use `extern` may call the function `key` of
    `source`, which `provider` names."""
    btf = source.btf
    function = btf.type(source.functions[key].btf_id) if btf is not None else None
    if btf is None or not isinstance(function, Func):
        raise LinkError(f"{extern!r} of {provider} has no types: nothing can be checked")
    prototype = btf.type(function.type_id)
    assert isinstance(prototype, FuncProto)
    what = f"{provider} has {declaration(btf, function.id, extern)!r}"
    returned = btf.type(btf.resolve(prototype.return_type))
    if returned.id and not isinstance(returned, Int | Enum | Enum64):
        raise LinkError(
            f"{what}: it returns {format_type(btf, prototype.return_type)!r}, and the verifier"
            " takes integers only from functions that are verified on their own"
        )
    if len(prototype.parameters) > _MAX_ARGUMENTS:
        count = len(prototype.parameters)
        raise LinkError(f"{what}: functions take {_MAX_ARGUMENTS} arguments, not {count}")
    for parameter in prototype.parameters:
        found = btf.type(btf.resolve(parameter.type_id))
        if isinstance(found, Struct | Union):
            raise LinkError(f"{what}: {parameter.name!r} is a {found.kind.name.lower()} by value")
    for context in _contexts(btf, prototype):
        for program in programs_using(obj, extern):
            wanted = context_struct(program.type)
            if wanted is not None and wanted != context:
                raise LinkError(
                    f"{what}: it takes the context of other programs; that of {program.name!r}"
                    f" ({program.type.name.lower()}) is struct {wanted}"
                )


def _contexts(btf: BTF, prototype: FuncProto) -> Iterator[str]:
    """The structs among the parameters that are contexts of programs."""
    for parameter in prototype.parameters:
        pointer = btf.type(btf.resolve(parameter.type_id))
        if isinstance(pointer, Ptr):
            name = btf.name_of(btf.resolve(pointer.target))
            if name in CONTEXT_STRUCTS:
                yield name


def programs_using(obj: Object, extern: str) -> Iterator[Program]:
    """The programs that will be loaded and refer to an extern, themselves or in what they call."""
    for program in obj.programs.values():
        if not program.autoload:
            continue
        try:
            names = [program.function, *obj.callees(program.function)]
        except KeyError as missing:
            what = f"program {program.name!r} needs function {missing}, not defined here"
            raise RelocationError(what) from None
        relocations = (each for name in names for each in obj.functions[name].relocations)
        if any(each.kind in _EXTERNS and each.target == extern for each in relocations):
            yield program
