"""fentry.multi, fexit.multi, fsession.multi: one link for a program on many kernel functions."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence

from osmia.arguments import names_wrong_arguments
from osmia.btf import BTF, FuncProto, Kind, kernel_btf
from osmia.errors import KernelError
from osmia.kernel.links.attachable import Attachable
from osmia.kernel.links.link import KernelLink
from osmia.kernel.links.symbols import SymbolNotFoundError, glob
from osmia.kernel.probes.features import needs, no_trampolines
from osmia.kernel.sys import syscall
from osmia.kernel.sys.attributes import LinkTracingMultiOptions
from osmia.kernel.sys.fd import FileDescriptor
from osmia.tracefs import tracefs

#: What a trampoline can hand on: at most so many arguments, and structs by value of at most
#: so many bytes (kernel/bpf/btf.c, btf_distill_func_proto).
_MAX_ARGUMENTS, _MAX_STRUCT = 12, 16
_SCALARS = (Kind.INT, Kind.PTR, Kind.ENUM, Kind.ENUM64)


@names_wrong_arguments
def attach_tracing_multi(
    program: Attachable,
    functions: str | Sequence[str],
    *,
    cookie: int = 0,
    cookies: Sequence[int] = (),
) -> KernelLink:
    """Attach to many functions of the kernel (not of its modules) at once; since 7.1.

    `functions` is a pattern with "*" and "?", matched against the functions that can be traced,
    or a list of names. `cookie` is one for all, `cookies` (with a list) one for each.

    SymbolNotFoundError where the kernel has none of the functions.
    """
    if cookies and (cookie or isinstance(functions, str) or len(cookies) != len(functions)):
        raise ValueError("give one cookie for all functions, or as many as there are names")
    types = kernel_btf()
    if isinstance(functions, str):
        ids = matching_ids(types, functions)
    else:
        ids = [_id_of(types, name) for name in functions]
    chosen = list(cookies) or [cookie] * len(ids)
    places = sorted(zip(ids, chosen, strict=True))
    id_array = (ctypes.c_uint32 * len(places))(*(each for each, _ in places))
    cookie_array = (ctypes.c_uint64 * len(places))(*(each for _, each in places))
    options = LinkTracingMultiOptions(
        ids=ctypes.addressof(id_array),
        cookies=ctypes.addressof(cookie_array) if any(chosen) else 0,
        cnt=len(places),
    )
    what = f"program {program.name!r} on {len(places)} kernel functions"
    try:
        with needs("7.1", "links of tracing programs with many functions"):
            fd = syscall.link_create(
                program.fileno(),
                attach_type=program.expected_attach_type or 0,
                options=options,
                what=f"attach {what}",
            )
    except KernelError as error:
        raise no_trampolines(error, "7.1") from None
    return KernelLink(FileDescriptor(fd), what)


def matching_ids(types: BTF, pattern: str) -> list[int]:
    """The type ids of the functions that match and can be traced, ascending."""
    matches = glob(pattern).fullmatch
    known = _known_to_ftrace()
    found = [
        type_id
        for type_id in types.ids_of_kind(Kind.FUNC)
        if matches(name := types.name_of(type_id))
        and (known is None or name in known)
        and _can_be_traced(types, type_id)
    ]
    if not found:
        raise SymbolNotFoundError(f"no kernel function that can be traced matches {pattern!r}")
    return found


def _id_of(types: BTF, name: str) -> int:
    found = types.find(name, Kind.FUNC)
    if not found:
        raise SymbolNotFoundError(f"the kernel has no function {name!r}")
    return found


def _can_be_traced(types: BTF, function: int) -> bool:
    prototype = types.type(types.type(function).type_id)  # type: ignore[union-attr]
    if not isinstance(prototype, FuncProto) or len(prototype.parameters) > _MAX_ARGUMENTS:
        return False
    result = prototype.return_type
    if result and types.kind_of(types.resolve(result)) not in (*_SCALARS, Kind.VOID):
        return False
    return all(_is_passed(types, parameter.type_id) for parameter in prototype.parameters)


def _is_passed(types: BTF, argument: int) -> bool:
    """Whether a trampoline can hand on an argument of this type; 0 stands for "…"."""
    if not argument:
        return False
    resolved = types.resolve(argument)
    kind = types.kind_of(resolved)
    if kind in (Kind.STRUCT, Kind.UNION):
        return 0 < types.size_of(resolved) <= _MAX_STRUCT
    return kind in _SCALARS


def _known_to_ftrace() -> set[str] | None:
    """The names in available_filter_functions, None where it cannot be read."""
    try:
        listed = (tracefs() / "available_filter_functions").read_bytes()
    except OSError:
        return None
    return {line.split(b" ", 1)[0].decode("utf-8", "replace") for line in listed.splitlines()}
