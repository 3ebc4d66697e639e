"""Externs that somebody answers: the functions of an engine, or what is loaded already.

Whoever knows names is a `Resolver`; what it answers is symbolic, a `Binding`. Only an
engine turns that into numbers.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple, Protocol

from osmia.errors import RelocationError
from osmia.object.model import Extern, Function, Object, Relocation, RelocationKind

_EXTERNS = (RelocationKind.EXTERN, RelocationKind.EXTERN_CALL)


class Binding(NamedTuple):
    """How relocations that name an extern go on: as one of another kind, target and addend.

    `call` is the kind for calls, `load` that for ld_imm64; None: there is no such use of it.
    """

    target: str
    addend: int = 0
    call: RelocationKind | None = None
    load: RelocationKind | None = None


class Resolver(Protocol):
    """Somebody who may know what an extern is."""

    def resolve(self, extern: Extern, obj: Object) -> Binding | None:
        """What `extern` of `obj` is; None leaves it to the next one.

        RelocationError for a name that is known and does not fit the declaration.
        """


def bind_externs(obj: Object, resolvers: Sequence[Resolver]) -> Object:
    """`obj` with each extern bound that one of `resolvers` knows: the first of them decides.

    The others stay externs.
    """
    bindings: dict[str, Binding] = {}
    for extern in obj.externs.values():
        found = _first(resolvers, extern, obj)
        if found is not None:
            bindings[extern.name] = found
    if not bindings:
        return obj
    return obj.copy(
        functions={name: bound(each, bindings) for name, each in obj.functions.items()},
        externs={name: each for name, each in obj.externs.items() if name not in bindings},
    )


def _first(resolvers: Iterable[Resolver], extern: Extern, obj: Object) -> Binding | None:
    for resolver in resolvers:
        found = resolver.resolve(extern, obj)
        if found is not None:
            return found
    return None


def bound(function: Function, bindings: Mapping[str, Binding]) -> Function:
    """`function` with its relocations of externs as `bindings` have them, by name."""
    if not any(r.kind in _EXTERNS and r.target in bindings for r in function.relocations):
        return function
    relocations = tuple(
        _bound(relocation, bindings[relocation.target], function)
        if relocation.kind in _EXTERNS and relocation.target in bindings
        else relocation
        for relocation in function.relocations
    )
    return replace(function, relocations=relocations)


def _bound(relocation: Relocation, binding: Binding, function: Function) -> Relocation:
    called = relocation.kind is RelocationKind.EXTERN_CALL
    kind = binding.call if called else binding.load
    if kind is None:
        use = "calls" if called else "takes the address of"
        raise RelocationError(
            f"function {function.name!r} {use} {relocation.target!r}, which is no"
            f" {'function' if called else 'variable'}"
        )
    return Relocation(relocation.offset, kind, binding.target, binding.addend)
