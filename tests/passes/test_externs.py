"""Externs against a machine: what each kind becomes, and what is missing."""

from __future__ import annotations

import pytest

from osmia.btf import BTF, BTFBuilder
from osmia.errors import RelocationError
from osmia.isa import assemble, disassemble
from osmia.object.model import ExternKind, Object, Relocation, RelocationKind, Unresolved
from osmia.passes.externs import extern_order, resolve_externs
from osmia.passes.poison import POISONED_KFUNC
from osmia.passes.target import Target

from .machines import Asking, asking_everything, kernel_types, module_types

KSYM, KCONFIG = ExternKind.KSYM, ExternKind.KCONFIG
TYPES = kernel_types()


def target(btf: BTF = TYPES, **modules: BTF) -> Target:
    return Target(btf=btf, modules=modules, symbols={"there": 1 << 40 | 5, "twice": -1}, config={})


def relocations(obj: Object) -> tuple[Relocation, ...]:
    return obj.functions["p"].relocations


def test_no_address_of_the_kernel_is_in_the_code() -> None:
    obj = Asking().address("there", KSYM, 0).line("exit").object()
    result = resolve_externs(obj, target())
    assert result.functions["p"].code == obj.functions["p"].code
    assert relocations(result) == (Relocation(0, RelocationKind.KERNEL_SYMBOL, "there"),)
    assert result.externs == {}


def test_a_name_may_have_a_flavour() -> None:
    obj = Asking().address("there___other", KSYM, 0).object()
    (relocation,) = relocations(resolve_externs(obj, target()))
    assert relocation.target == "there"


def test_a_symbol_that_is_several_is_refused() -> None:
    obj = Asking().address("twice", KSYM, 0, weak=True).object()
    with pytest.raises(RelocationError, match="'twice' is several symbols"):
        resolve_externs(obj, target())


def test_the_kernel_comes_before_modules_and_they_in_their_order() -> None:
    kernel = kernel_types()
    one, two = module_types(kernel, "one"), module_types(kernel, "two")
    a = Asking()
    obj = a.call("bpf_extra", a.number).address("a_variable", KSYM, a.number).object()
    for modules in ({"one": one, "two": two}, {"two": two, "one": one}):
        found = relocations(resolve_externs(obj, target(kernel, **modules)))
        assert found == (
            Relocation(0, RelocationKind.KERNEL_FUNCTION, next(iter(modules)), len(kernel) + 1),
            Relocation(8, RelocationKind.KERNEL_VARIABLE, "vmlinux", kernel.find("a_variable")),
        )


def test_all_strong_externs_that_are_nowhere_are_named_together() -> None:
    a = Asking()
    a.call("bpf_gone", a.number).address("gone", KSYM, 0).address("CONFIG_GONE", KCONFIG, a.number)
    a.address("weak", KSYM, 0, weak=True)
    with pytest.raises(RelocationError) as caught:
        resolve_externs(a.object(), target())
    message = str(caught.value)
    assert message.endswith(
        "unresolved externs: 'CONFIG_GONE' (kconfig), 'bpf_gone' (kfunc), 'gone' (ksym)"
    )


def test_a_weak_address_that_is_nowhere_is_zero_and_a_call_cannot_be() -> None:
    a = Asking().line("r6 = r1")
    a.address("gone", KSYM, 0, weak=True).address("gone_too", KSYM, a.number, weak=True)
    a.call("bpf_gone", a.number, weak=True).line("exit")
    result = resolve_externs(a.object(), target()).functions["p"]
    assert [line for _, line in disassemble(result.code)] == [
        "r6 = r1",
        "r1 = 0x0 ll",
        "r1 = 0x0 ll",
        f"call unknown#{POISONED_KFUNC + extern_order(a.object()).index('bpf_gone')}",
        "exit",
    ]
    assert result.relocations == ()
    assert result.unresolved == (
        Unresolved(40, "the kernel has no function 'bpf_gone' that fits the declaration"),
    )


def test_a_weak_address_is_zero_whatever_the_compiler_wrote_there() -> None:
    a = Asking().address("gone", KSYM, 0, weak=True)
    a.code = assemble("r1 = 0x1234567890 ll")
    result = resolve_externs(a.object(), target()).functions["p"]
    assert result.code == assemble("r1 = 0 ll")


def test_a_function_of_another_type_is_none_if_weak_and_an_error_else() -> None:
    for weak in (True, False):
        a = Asking()
        obj = a.call("bpf_count", a.number, weak=weak).line("exit").object()
        if weak:
            (unresolved,) = resolve_externs(obj, target()).functions["p"].unresolved
            assert "'bpf_count' that fits the declaration" in unresolved.what
            continue
        with pytest.raises(RelocationError, match="another type than vmlinux has"):
            resolve_externs(obj, target())


def test_a_variable_that_is_called_is_an_error() -> None:
    a = Asking()
    a.call("a_variable", a.number)
    a.externs["a_variable"] = a.externs["a_variable"].__class__("a_variable", KSYM, a.number)
    with pytest.raises(RelocationError, match="calls 'a_variable', which is no function"):
        resolve_externs(a.object(), target())


def test_a_kernel_without_the_types_has_no_functions() -> None:
    a = Asking()
    empty = BTFBuilder()
    empty.add_int("int", 4, 1)
    obj = a.call("bpf_count", a.pointer).object()
    with pytest.raises(RelocationError, match=r"'bpf_count' \(kfunc\)"):
        resolve_externs(obj, target(empty.build()))


def test_externs_are_numbered_configuration_first_then_by_name() -> None:
    assert extern_order(asking_everything()) == [
        "CONFIG_HZ",
        "LINUX_KERNEL_VERSION",
        "CONFIG_SMP",
        "LINUX_HAS_BPF_COOKIE",
        "LINUX_HAS_SYSCALL_WRAPPER",
        "a_variable",
        "bpf_count",
        "bpf_extra",
        "bpf_gone",
        "extra_variable",
        "jiffies_64",
        "no_such_symbol",
    ]
