"""A global function of loaded programs is replaced by one of another object, while they run.

Each program has a stub of its own, and for each the function is loaded as an extension program
(freplace, since 5.6), for that program's descriptor and the stub's BTF id. The extensions have the
maps and data of the object that the function is from.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from typing import Any

from osmia.btf import BTF, Func, FuncProto, Int, Kind, Ptr, Struct
from osmia.btf.agreement import declarations
from osmia.engine.importing import exchange, find_in
from osmia.engine.link import Link
from osmia.errors import LinkError, NotSupportedError
from osmia.kernel.links.tracing import attach_freplace
from osmia.kernel.load.loaded import KernelObject
from osmia.kernel.load.present import providers
from osmia.kernel.programs.info import ProgramInfo
from osmia.kernel.programs.program import KernelProgram
from osmia.object.model import Extern, Object, Program
from osmia.object.uapi import ProgramType
from osmia.passes.parts import Part
from osmia.passes.providers import Found, check_agreement
from osmia.passes.verifier_rules import check_callable


class Replacement:
    """The stubs of one extern in the programs of an object, and what stands for them now."""

    def __init__(
        self,
        extern: Extern,
        obj: Object,
        programs: Sequence[KernelProgram],
        load_part: Callable[[Part, KernelProgram], KernelObject],
    ) -> None:
        self.extern = extern
        self._obj = obj  # which declares it
        self._programs = programs
        self._load_part = load_part
        self._held = ExitStack()
        self._found: Found | None = None
        self._attached: list[tuple[KernelProgram, KernelProgram]] = []  # extension, its target
        self._links: list[Link] = []

    def rebind(self, source: Any, user: KernelObject) -> None:
        """`put` what a provider, as `imports=` takes it, defines under the extern's name."""
        name, before = self.extern.name, self._found
        with ExitStack() as opened:
            found = find_in(
                source,
                name,
                "kernel",
                kernel=lambda: opened.enter_context(providers(self._obj, replacing=True)),
            )
            provider = found.provider
            check_agreement(self.extern, self._obj, found)
            check_callable(self._obj, name, provider.object, found.key, provider.name)
            check_replaceable(self.extern, self._obj, found)
            self.put(found)
        exchange(user, before, found)

    def put(self, found: Found) -> None:
        """Let a function stand for the extern in all programs, in place of the one before.

        It is loaded first: what the verifier refuses changes nothing. Between the old one and
        the new one the stubs answer, for microseconds; the kernel has no other way.
        """
        with ExitStack() as made:
            attached = [(self._extension(found, target, made), target) for target in self._programs]
            before, self._attached = self._attached, attached
            self._detach()
            try:
                self._attach()
            except BaseException:
                self._detach()
                self._attached = before
                self._attach()
                raise
            old, self._held, self._found = self._held, made.pop_all(), found
        old.close()

    @property
    def extensions(self) -> list[KernelProgram]:
        """The extension programs that are attached now."""
        return [extension for extension, _ in self._attached]

    def _extension(self, found: Found, target: KernelProgram, made: ExitStack) -> KernelProgram:
        """The function as a program that can stand in for the stub of `target`."""
        existing: ProgramInfo | None = getattr(found.provider, "program", None)
        if existing is not None:
            return made.enter_context(KernelProgram.from_id(existing.id))
        part = Part.of(found, _extension(self.extern.name))
        try:
            return made.enter_context(self._load_part(part, target)).programs[found.key]
        except NotSupportedError as error:
            raise NotSupportedError(
                f'{found.name!r} cannot be bound with bind="replace", which needs extension'
                f' programs (freplace) and BPF trampolines: {error}; bind="copy" needs none',
                since=error.since,
            ) from None

    def _attach(self) -> None:
        for extension, target in self._attached:
            self._links.append(attach_freplace(extension, target, self.extern.name))

    def _detach(self) -> None:
        while self._links:
            self._links.pop().close()

    def close(self) -> None:
        """Leave the stubs to themselves."""
        self._detach()
        self._attached = []
        self._held.close()


def _extension(name: str) -> Program:
    """The kind of program that takes the place of the function `name`."""
    return Program(name, name, f"freplace/{name}", ProgramType.EXT, attach_to=name)


def check_replaceable(extern: Extern, obj: Object, found: Found) -> None:
    """LinkError where the kernel would not put a function in the place of one that is declared
    so: it is stricter than linkers (kernel/bpf/btf.c, btf_check_func_type_match)."""
    mine, other = obj.btf, found.provider.object.btf
    assert mine is not None and other is not None
    wrong = next(_differences(mine, extern.type_id, other, found.type_id), None)
    if wrong is not None:
        here, there = obj.path or obj.name, found.provider.name
        raise LinkError(
            f"{extern.name!r} cannot be replaced by that of {there}: {wrong}",
            declarations([(here, mine, extern.btf_id), (there, other, found.type_id)]),
        )


def _differences(mine: BTF, declared: int, other: BTF, defined: int) -> Iterator[str]:
    one, two = _prototype(mine, declared), _prototype(other, defined)
    if mine.kind_of(mine.resolve(one.return_type)) != other.kind_of(other.resolve(two.return_type)):
        yield "they return types of different kinds"
    for number, (a, b) in enumerate(zip(one.parameters, two.parameters, strict=True), 1):
        first, second = (x.resolve(p.type_id) for x, p in ((mine, a), (other, b)))
        kinds = mine.kind_of(first), other.kind_of(second)
        if kinds[0] != kinds[1]:
            yield f"parameter {number} is of different kinds"
        if kinds[0] == Kind.PTR:
            pointed = mine.type(first), other.type(second)
            yield from _pointers(number, mine, pointed[0], other, pointed[1])
        elif isinstance(mine.type(first), Int) and mine.size_of(first) != other.size_of(second):
            yield f"parameter {number} has different sizes"


def _pointers(number: int, mine: BTF, one: object, other: BTF, two: object) -> Iterator[str]:
    assert isinstance(one, Ptr) and isinstance(two, Ptr)
    structs = mine.type(mine.resolve(one.target)), other.type(other.resolve(two.target))
    if not all(isinstance(each, Struct) for each in structs):
        yield f"parameter {number} is a pointer to something that is no struct"
    elif structs[0].name != structs[1].name:
        yield f"parameter {number} points to different structs"


def _prototype(btf: BTF, type_id: int) -> FuncProto:
    found = btf.type(type_id)
    if isinstance(found, Func):
        found = btf.type(found.type_id)
    assert isinstance(found, FuncProto)
    return found
