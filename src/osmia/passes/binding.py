"""Externs that somebody answers: the functions of an engine, or what is loaded already.

Whoever knows names is a `Resolver`; what it answers is symbolic, a `Binding`. Only an
engine turns that into numbers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Protocol

from osmia.errors import RelocationError
from osmia.named_tuples import NamedTuple
from osmia.object.model import (
    DataSection,
    Extern,
    ExternKind,
    Function,
    Object,
    Relocation,
    RelocationKind,
)
from osmia.records import replace

_EXTERNS = (RelocationKind.EXTERN, RelocationKind.EXTERN_CALL)


class Binding(NamedTuple):
    """How relocations that name an extern go on: as one of another kind, target and addend.

    `call` is the kind for calls, `load` that for ld_imm64; None: there is no such use of it.
    `join` gives the Object with what the target is, where that is not in it yet.
    """

    target: str
    addend: int = 0
    call: RelocationKind | None = None
    load: RelocationKind | None = None
    join: Callable[[Object], Object] | None = None


class Resolver(Protocol):
    """Somebody who may know what an extern is."""

    def resolve(self, extern: Extern, obj: Object) -> Binding | None:
        """What `extern` of `obj` is; None leaves it to the next one.

        RelocationError, LinkError for a name that is known and does not fit the declaration.
        """


def bind_externs(obj: Object, resolvers: Sequence[Resolver]) -> Object:
    """`obj` with each extern bound that one of `resolvers` knows: the first of them decides.

    The others stay externs. What comes into the object with a binding may have externs of its
    own: they are bound in the same way.
    """
    result = obj
    asked: set[str] = set()
    bindings: dict[str, Binding] = {}
    while waiting := [each for name, each in result.externs.items() if name not in asked]:
        for extern in waiting:
            asked.add(extern.name)
            found = _first(resolvers, extern, result)
            if found is not None:
                bindings[extern.name] = found
                if found.join is not None:
                    result = found.join(result)
    return _with_bindings(result, bindings) if bindings else obj


def _with_bindings(obj: Object, bindings: Mapping[str, Binding]) -> Object:
    externs = {name: each for name, each in obj.externs.items() if name not in bindings}
    result = obj.copy(
        functions={name: bound(each, bindings) for name, each in obj.functions.items()},
        externs=externs,
    )
    for section in result.data_sections.values():
        section.relocations = _bound_pointers(section, bindings)
    if result.btf is not None:
        from osmia.btf.patch import as_defined  # most loads bind nothing

        gone = [each for name, each in obj.externs.items() if name in bindings]
        ids = [each.btf_id for each in gone if each.kind is ExternKind.OBJECT and each.btf_id]
        result.btf = as_defined(result.btf, ids)
    return result


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
    # An address within a variable (`&counts[2]`) is one: what is added to it stays added.
    addend = relocation.addend if kind is RelocationKind.DATA else 0
    return Relocation(relocation.offset, kind, binding.target, binding.addend + addend)


def _bound_pointers(
    section: DataSection, bindings: Mapping[str, Binding]
) -> tuple[Relocation, ...]:
    """The addresses in data, those of externs that have one now as that."""
    if not any(r.kind in _EXTERNS and r.target in bindings for r in section.relocations):
        return section.relocations
    return tuple(
        each._replace(kind=found.load, target=found.target, addend=found.addend + each.addend)
        if each.kind in _EXTERNS and (found := bindings.get(each.target)) and found.load
        else each
        for each in section.relocations
    )
