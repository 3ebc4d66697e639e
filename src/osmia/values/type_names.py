"""What C calls a type, for messages: "struct flow", "__be32", "char[16]", "struct task *"."""

from __future__ import annotations

from osmia import btf as types
from osmia.btf import BTF

#: Names are for people: deeper than this nobody reads on.
_MAX_DEPTH = 16


def type_name(btf: BTF, type_id: int, depth: int = 0) -> str:
    """The name of a type in C's words; typedefs keep theirs, qualifiers are left out."""
    if depth > _MAX_DEPTH:
        return "…"
    match btf.type(type_id):
        case types.Void():
            return "void"
        case types.Ptr(target=target):
            if btf.kind_of(target) is types.Kind.FUNC_PROTO:
                return "function *"
            inner = type_name(btf, target, depth + 1)
            return f"{inner}*" if inner.endswith("*") else f"{inner} *"
        case types.Array(element=element, count=count):
            inner = type_name(btf, element, depth + 1)
            base, bracket, rest = inner.partition("[")
            return f"{base}[{count}]{bracket}{rest}"
        case types.Struct(name=name) | types.Fwd(name=name, is_union=False):
            return f"struct {_printable(name)}".strip()
        case types.Union(name=name) | types.Fwd(name=name):
            return f"union {_printable(name)}".strip()
        case types.Enum(name=name) | types.Enum64(name=name):
            return f"enum {_printable(name)}".strip()
        case types.Const() | types.Volatile() | types.Restrict() | types.TypeTag() as modifier:
            return type_name(btf, modifier.target, depth + 1)
        case types.Var(type_id=inner_id):
            return type_name(btf, inner_id, depth + 1)
        case other:
            return _printable(other.name) or other.kind.name.lower()


def _printable(name: str) -> str:
    """Names are untrusted: no line ends, no surrogates that cannot be written."""
    return name if name.isprintable() else ascii(name)[1:-1]
