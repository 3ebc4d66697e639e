"""Externs that a resolver knows: the first that answers decides, the others stay externs."""

from __future__ import annotations

import pytest

from osmia.errors import RelocationError
from osmia.object.model import Extern, ExternKind, Object, Relocation, RelocationKind
from osmia.passes import prepare
from osmia.passes.binding import Binding, bind_externs
from osmia.passes.target import Target

from .machines import Asking, kernel_types

FUNCTION, ADDRESS = RelocationKind.ENGINE_FUNCTION, RelocationKind.ENGINE_ADDRESS


class Knowing:
    """A resolver that has some functions, and remembers what it was asked."""

    def __init__(self, number: int, *names: str) -> None:
        self.number = number
        self.names = names
        self.asked: list[str] = []

    def resolve(self, extern: Extern, obj: Object) -> Binding | None:
        assert extern is obj.externs[extern.name]
        self.asked.append(extern.name)
        if extern.name not in self.names:
            return None
        return Binding(extern.name, self.number, call=FUNCTION, load=ADDRESS)


def calling() -> Object:
    a = Asking()
    a.call("bpf_count", a.pointer).call("mine", a.number)
    return a.address("mine", ExternKind.KSYM, a.number).line("exit").object()


def test_the_first_resolver_that_knows_a_name_decides() -> None:
    first, second = Knowing(1, "mine"), Knowing(2, "mine", "bpf_count")
    result = bind_externs(calling(), [first, second])
    assert result.functions["p"].relocations == (
        Relocation(0, FUNCTION, "bpf_count", 2),
        Relocation(8, FUNCTION, "mine", 1),
        Relocation(16, ADDRESS, "mine", 1),
    )
    assert result.externs == {}
    assert (first.asked, second.asked) == (["bpf_count", "mine"], ["bpf_count"])


def test_what_no_resolver_knows_stays_for_the_target() -> None:
    obj = calling()
    bound = bind_externs(obj, [Knowing(1, "mine")])
    assert list(bound.externs) == ["bpf_count"]
    assert bound.functions["p"].relocations[0] == obj.functions["p"].relocations[0]
    types = kernel_types()
    ready = prepare(obj, Target(btf=types), [Knowing(1, "mine")]).object
    assert ready.functions["p"].relocations[0] == Relocation(
        0, RelocationKind.KERNEL_FUNCTION, "vmlinux", types.find("bpf_count")
    )


def test_nobody_who_knows_leaves_the_object_as_it_is() -> None:
    obj = calling()
    assert bind_externs(obj, [Knowing(1)]) is obj
    with pytest.raises(RelocationError, match="unresolved externs: 'mine'"):
        prepare(obj, Target(btf=kernel_types(), symbols={}), [Knowing(1)])


class Data:
    """A resolver that has `mine` as a variable, and `bpf_count` as a function to call only."""

    def resolve(self, extern: Extern, obj: Object) -> Binding | None:
        if extern.name == "mine":
            return Binding(".data", 8, load=RelocationKind.DATA)
        return Binding("bpf_count", call=FUNCTION)


def test_a_use_that_there_cannot_be_is_an_error() -> None:
    with pytest.raises(RelocationError, match="function 'p' calls 'mine', which is no function"):
        bind_externs(calling(), [Data()])
    a = Asking()
    obj = a.address("bpf_count", ExternKind.KSYM, a.number).object()
    with pytest.raises(RelocationError, match="takes the address of 'bpf_count', which is no"):
        bind_externs(obj, [Data()])
