"""Function signatures as text that can be compared: what calls between programs agree on."""

from __future__ import annotations

from osmia.btf import BTF, Enum, Enum64, Func, FuncProto, Int, Ptr, Struct, Union

_DEPTH = 8


def signature(btf: BTF | None, type_id: int) -> str:
    """The signature of a FUNC or FUNC_PROTO, "" where nothing is known: "int(struct a *, u32)".

    Integers count by size and sign, structs behind pointers by name, as the kernel compares.
    """
    if btf is None or not type_id:
        return ""
    kind = btf.type(type_id)
    if isinstance(kind, Func):
        kind = btf.type(kind.type_id)
    if not isinstance(kind, FuncProto):
        return ""
    arguments = ", ".join(_spelled(btf, p.type_id, 0) for p in kind.parameters)
    return f"{_spelled(btf, kind.return_type, 0)}({arguments})"


def _spelled(btf: BTF, type_id: int, depth: int) -> str:
    resolved = btf.resolve(type_id)
    if not resolved or depth > _DEPTH:
        return "void"
    kind = btf.type(resolved)
    match kind:
        case Int():
            return f"{'s' if kind.signed else 'u'}{8 * kind.size}"
        case Enum() | Enum64():
            return f"u{8 * kind.size}"
        case Ptr():
            return f"{_spelled(btf, kind.target, depth + 1)} *"
        case Struct() | Union():
            return f"{type(kind).__name__.lower()} {kind.name}"
        case FuncProto():
            return "function"
    return f"{type(kind).__name__.lower()} {getattr(kind, 'name', '')}"
