"""Functions' signatures in the words of bpftool: "int count(struct xdp_md * ctx)"."""

from __future__ import annotations

from osmia.btf import types
from osmia.btf.reader import BTF
from osmia.errors import ObjectFormatError

_MAX_DEPTH = 64


def function_signature(btf: BTF, type_id: int) -> str:
    """A function, or the type of one, as bpftool writes it: "int count(struct xdp_md * ctx)"."""
    return _type_words(btf, type_id).rstrip()


def _type_words(btf: BTF, type_id: int, depth: int = 0) -> str:
    """A type with a blank behind it, but for arrays and functions."""
    if depth > _MAX_DEPTH:
        raise ObjectFormatError("types are nested too deeply", file=btf.name or None)
    match btf.type(type_id):
        case types.Void():
            return "void "
        case types.Struct(name=name) | types.Fwd(name=name, is_union=False):
            return f"struct {name} "
        case types.Union(name=name) | types.Fwd(name=name):
            return f"union {name} "
        case types.Enum(name=name) | types.Enum64(name=name):
            return f"enum {name} "
        case types.Array(element=element, count=count):
            return f"{_type_words(btf, element, depth + 1)}[{count}]"
        case types.Ptr(target=target):
            return f"{_type_words(btf, target, depth + 1)}* "
        case types.Const() | types.Volatile() | types.Restrict() as qualifier:
            inner = _type_words(btf, qualifier.target, depth + 1)
            return f"{qualifier.kind.name.lower()} {inner}"
        case types.Func(name=name, type_id=prototype):
            return _function_words(btf, btf.type(prototype), name, depth)
        case types.FuncProto() as prototype:
            return _function_words(btf, prototype, "", depth)
        case found:
            return f"{found.name} "


def _function_words(btf: BTF, prototype: types.Type, name: str, depth: int) -> str:
    if not isinstance(prototype, types.FuncProto):
        return f"{name}("
    parameters = []
    for each in prototype.parameters:
        words = _type_words(btf, each.type_id, depth + 1) if each.type_id else "..."
        parameters.append(words + each.name if each.name else words.removesuffix(" "))
    returned = _type_words(btf, prototype.return_type, depth + 1)
    return f"{returned}{name}({', '.join(parameters)})"
