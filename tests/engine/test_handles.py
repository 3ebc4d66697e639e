"""Programs and dispatchers of another vm or engine, and closed ones, are refused."""

from __future__ import annotations

import errno
from collections.abc import Callable, Iterator
from typing import Any

import pytest

import osmia

Load = Callable[..., Any]
CALLER = """
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
extern int other(struct xdp_md *ctx) __ksym;
SEC("xdp") int caller(struct xdp_md *ctx) { return other(ctx); }
"""
REPLACEMENT = """
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
char LICENSE[] SEC("license") = "GPL";
SEC("freplace/part") int instead(struct xdp_md *ctx) { return 7; }
"""


@pytest.fixture(scope="module")
def caller() -> osmia.Object:
    return osmia.compile(CALLER)


@pytest.fixture
def vm() -> Iterator[osmia.Vm]:
    with osmia.Vm() as machine:
        yield machine


@pytest.fixture
def elsewhere(obj: osmia.Object) -> Iterator[osmia.LoadedObject]:
    """The suite's object in a vm of its own."""
    with obj.load("vm") as bpf:
        yield bpf


def test_a_program_of_the_same_vm_stands_for_an_extern(
    obj: osmia.Object, caller: osmia.Object, vm: osmia.Vm
) -> None:
    with (
        obj.load("vm", vm=vm) as bpf,
        caller.load("vm", vm=vm, programs={"other": bpf.programs["ingress"]}) as calling,
    ):
        assert calling.programs["caller"].run(bytes(60)).retval == 2


def test_a_program_of_another_vm_stands_for_nothing(
    caller: osmia.Object, vm: osmia.Vm, elsewhere: osmia.LoadedObject
) -> None:
    foreign = elsewhere.programs["ingress"]
    with pytest.raises(osmia.RelocationError, match=r"'other' .*, which is in another vm"):
        caller.load("vm", vm=vm, programs={"other": foreign})  # type: ignore[call-overload]
    assert vm.programs == []


def test_a_dispatcher_of_another_vm_stands_for_nothing(
    caller: osmia.Object, vm: osmia.Vm, obj: osmia.Object
) -> None:
    with obj.load("vm") as bpf:
        foreign = bpf.vm.dispatcher(bpf.programs["ingress"])
        with pytest.raises(osmia.RelocationError, match="which is in another vm"):
            caller.load("vm", vm=vm, programs={"other": foreign})


def test_what_is_closed_stands_for_nothing(
    caller: osmia.Object, vm: osmia.Vm, obj: osmia.Object
) -> None:
    with obj.load("vm", vm=vm) as bpf:
        program = bpf.programs["ingress"]
        dispatcher = vm.dispatcher(program)
    with pytest.raises(osmia.ClosedError, match="'ingress', which is closed"):
        caller.load("vm", vm=vm, programs={"other": program})
    vm.forget_programs()
    with pytest.raises(osmia.ClosedError, match="which is closed"):
        caller.load("vm", vm=vm, programs={"other": dispatcher})


def test_what_is_no_program_stands_for_nothing(caller: osmia.Object) -> None:
    with pytest.raises(osmia.RelocationError, match="'prog', which is neither a program nor"):
        caller.load("vm", programs={"other": "prog"})  # type: ignore[call-overload]


def test_dispatchers_take_programs_of_their_vm_only(
    vm: osmia.Vm, obj: osmia.Object, elsewhere: osmia.LoadedObject
) -> None:
    foreign = elsewhere.programs["ingress"]
    with obj.load("vm", vm=vm) as bpf:
        dispatcher = vm.dispatcher(bpf.programs["ingress"])
        with pytest.raises(osmia.KernelError, match="of another vm") as caught:
            dispatcher.update(foreign)  # type: ignore[arg-type]
        assert caught.value.errno == errno.EINVAL
        with pytest.raises(osmia.KernelError, match="of another vm"):
            vm.dispatcher(foreign)  # type: ignore[arg-type]
        with pytest.raises(osmia.KernelError, match="'ingress' is attached, not 'ingress'"):
            dispatcher.update(bpf.programs["ingress"], expected=foreign)  # type: ignore[arg-type]
        with pytest.raises(osmia.KernelError, match="it is in no vm"):
            dispatcher.update("ingress")  # type: ignore[arg-type]


def test_what_a_dispatcher_has_runs_on_when_the_reference_is_closed(
    vm: osmia.Vm, obj: osmia.Object
) -> None:
    with obj.load("vm", vm=vm) as bpf:
        program = bpf.programs["ingress"]
        dispatcher = vm.dispatcher(program)
        program.close()
        with pytest.raises(osmia.ClosedError):
            program.run(bytes(60))
        assert dispatcher.run(bytes(60)).retval == 2
        assert list(dispatcher.run_batch([bytes(60)])) == [2]
        with pytest.raises(osmia.ClosedError):
            dispatcher.update(program)


@pytest.mark.kernel
def test_the_kernel_attaches_to_its_own_programs_only(elsewhere: osmia.LoadedObject) -> None:
    obj = osmia.compile(REPLACEMENT)
    foreign = elsewhere.programs["ingress"]
    with pytest.raises(osmia.RelocationError, match="'ingress', which the kernel does not hold"):
        obj.load(attach_to={"instead": foreign})
    with pytest.raises(osmia.RelocationError, match="has no program 'insted'"):
        obj.load(attach_to={"insted": foreign})


@pytest.mark.kernel
def test_the_kernel_attaches_to_no_closed_program(obj: osmia.Object) -> None:
    with obj.load() as bpf:
        program = bpf.programs["ingress"]
    with pytest.raises(osmia.ClosedError, match="'ingress'"):
        osmia.compile(REPLACEMENT).load(attach_to={"instead": program})


@pytest.mark.kernel
def test_a_link_takes_no_program_of_a_vm(obj: osmia.Object, elsewhere: osmia.LoadedObject) -> None:
    with (
        obj.load() as bpf,
        bpf.programs["first"].attach() as link,
        pytest.raises(osmia.NotSupportedError, match="'first': it is in a vm"),
    ):
        link.update(elsewhere.programs["first"])


def test_options_of_a_new_vm_are_not_for_one_that_is_given(obj: osmia.Object, vm: osmia.Vm) -> None:
    with pytest.raises(ValueError, match="cpus= is for a new vm"):
        obj.load("vm", vm=vm, cpus=2)
    assert vm.programs == []


def test_what_is_no_vm_is_refused(obj: osmia.Object) -> None:
    with pytest.raises(TypeError, match=r"vm='mine': an osmia\.Vm is needed"):
        obj.load("vm", vm="mine")  # type: ignore[call-overload]


def test_a_hook_is_not_for_compiled_runs(obj: osmia.Object) -> None:
    with obj.load("vm") as bpf:
        ingress = bpf.programs["ingress"]
        with pytest.raises(ValueError, match="a hook is for interpreted runs"):
            ingress.run(bytes(60), hook=print, executor="jit")
        ingress.run(bytes(60), hook=print, executor="interpreter")


def test_a_program_that_is_opened_from_a_slot_is_the_callers_to_close(
    obj: osmia.Object, vm: osmia.Vm
) -> None:
    from osmia.object.uapi import MapType

    with obj.load("vm", vm=vm) as bpf:
        calls = vm.create_map(MapType.PROG_ARRAY, max_entries=2)
        calls[0] = bpf.programs["ingress"]  # type: ignore[index]
        with calls.open(0) as same:  # type: ignore[attr-defined]
            assert same.id == bpf.programs["ingress"].id
            assert same.run(bytes(60)).retval == 2
        assert same.closed and not bpf.programs["ingress"].closed
        calls.close()


@pytest.mark.parametrize("engine_name", [pytest.param("kernel", marks=pytest.mark.kernel), "vm"])
def test_a_program_that_is_opened_from_a_slot_stays_for_who_opened_it(
    load: Load, engine_name: str
) -> None:
    from osmia.object.uapi import MapType

    bpf = load()
    sizes: dict[str, Any] = {"key_size": 4, "value_size": 4, "max_entries": 2}
    create = osmia.Map.create if engine_name == "kernel" else bpf.vm.create_map
    with create(MapType.PROG_ARRAY, **sizes) as calls:
        calls[0] = bpf.programs["ingress"]
        bpf.programs["ingress"].close()
        with calls.open(0) as same:
            del calls[0]
            bpf.programs["add"].close()  # which looks at what is in use
            assert same.run(bytes(60)).retval == 2
        assert same.closed


def test_a_program_is_gone_with_the_last_that_has_it(obj: osmia.Object, vm: osmia.Vm) -> None:
    with obj.load("vm", vm=vm) as bpf:
        number = bpf.programs["ingress"].id
        first, second = vm.open_program(number), vm.open_program(number)
        bpf.close()
        first.close()
        first.close()
        assert second.run(bytes(60)).retval == 2
        second.close()
    assert vm.programs == []
    with pytest.raises(osmia.KernelError, match=f"open program {number} of this vm"):
        vm.open_program(number)


def test_forgotten_programs_are_gone_for_who_opened_them_too(
    obj: osmia.Object, vm: osmia.Vm
) -> None:
    with obj.load("vm", vm=vm) as bpf, vm.open_program(bpf.programs["ingress"].id) as same:
        vm.forget_programs()
        assert same.closed
        with pytest.raises(osmia.ClosedError):
            same.run(bytes(60))
