"""Programs that other objects' extern functions stand for: signatures, and what keeps whom."""

from __future__ import annotations

from typing import Any

import pytest

import osmia
from osmia.errors import RelocationError
from osmia.object.model import Object
from osmia.vm.dispatcher import Dispatcher
from osmia.vm.engine import Vm
from osmia.vm.programs import VmProgram

PACKET = bytes(64)
HEAD = "#include <linux/bpf.h>\n#include <bpf/bpf_helpers.h>\n"
POLICIES = """
SEC("xdp") int pass(struct xdp_md *ctx) { return 2; }
SEC("xdp") unsigned int large(struct xdp_md *ctx) { return 2; }
SEC("tc") int other(struct __sk_buff *ctx) { return 2; }
"""
INGRESS = """
extern int policy(struct xdp_md *ctx) __ksym;
SEC("xdp") int ingress(struct xdp_md *ctx) { return policy(ctx) + 10; }
"""
TWO = """
extern int policy(struct xdp_md *ctx) __ksym;
extern int second(struct xdp_md *ctx) __ksym;
SEC("xdp") int ingress(struct xdp_md *ctx) { return policy(ctx) + second(ctx); }
"""
DIFFERENT = [
    ("large", r"'policy' is declared as s32\(struct xdp_md \*\), .*'large' is u32\("),
    ("other", r"'policy' is declared as .*, program 'other' is s32\(struct __sk_buff \*\)"),
]


@pytest.fixture(scope="module")
def objects(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Object]:
    directory = tmp_path_factory.mktemp("objects")
    made = {}
    for name, source in {"policies": POLICIES, "ingress": INGRESS, "two": TWO}.items():
        path = directory / f"{name}.bpf.c"
        path.write_text(HEAD + source)
        made[name] = osmia.compile(path)
    return made


def untyped(obj: Object) -> Object:
    """The same object as from a compiler that wrote no BTF."""
    made = obj.copy()
    made.btf = None
    return made


def policies(vm: Vm, obj: Object) -> Any:
    return obj.load(engine="vm", vm=vm)


def ingress(vm: Vm, obj: Object, policy: VmProgram | Dispatcher) -> Any:
    return obj.load(engine="vm", vm=vm, programs={"policy": policy})


@pytest.fixture(params=["program", "dispatcher"])
def attached(request: pytest.FixtureRequest) -> Any:
    """What an extern can stand for: a program, or a dispatcher that has it."""
    return lambda vm, program: program if request.param == "program" else vm.dispatcher(program)


def test_a_function_of_the_declared_signature_is_linked(
    vm: Vm, objects: dict[str, Object], attached: Any, executor: Any
) -> None:
    program = policies(vm, objects["policies"]).programs["pass"]
    caller = ingress(vm, objects["ingress"], attached(vm, program)).programs["ingress"]
    assert caller.run(PACKET, executor=executor).retval == 12


@pytest.mark.parametrize("name,what", DIFFERENT, ids=["what it returns", "its argument"])
def test_another_signature_is_refused_with_both(
    vm: Vm, objects: dict[str, Object], attached: Any, name: str, what: str
) -> None:
    program = policies(vm, objects["policies"]).programs[name]
    given = attached(vm, program)
    programs, maps, handles = list(vm.programs), dict(vm.lifetimes.maps), dict(vm.dispatchers)
    with pytest.raises(RelocationError, match=what):
        ingress(vm, objects["ingress"], given)
    assert vm.programs == programs
    assert vm.lifetimes.maps == maps
    assert vm.dispatchers == handles
    assert not program.closed


def test_what_was_linked_before_a_refusal_is_let_go(vm: Vm, objects: dict[str, Object]) -> None:
    called = policies(vm, objects["policies"]).programs
    programs = list(vm.programs)
    given = {"policy": called["pass"], "second": called["large"]}
    with pytest.raises(RelocationError, match="'second' is declared"):
        objects["two"].load(engine="vm", vm=vm, programs=given)
    assert vm.programs == programs
    assert not vm.dispatchers


def test_a_dispatcher_is_judged_by_what_it_has_now(vm: Vm, objects: dict[str, Object]) -> None:
    loaded = policies(vm, objects["policies"])
    place = vm.dispatcher(loaded.programs["other"])
    with pytest.raises(RelocationError, match="program 'other'"):
        ingress(vm, objects["ingress"], place)
    place = vm.dispatcher(loaded.programs["pass"])
    assert ingress(vm, objects["ingress"], place).programs["ingress"].run(PACKET).retval == 12


@pytest.mark.parametrize("without", ["caller", "callee", "both"])
@pytest.mark.parametrize("name", ["pass", "other"])
def test_where_one_of_them_has_no_types_any_signature_is_taken(
    vm: Vm, objects: dict[str, Object], attached: Any, without: str, name: str
) -> None:
    called, calling = objects["policies"], objects["ingress"]
    if without in ("callee", "both"):
        called = untyped(called)
    if without in ("caller", "both"):
        calling = untyped(calling)
    program = policies(vm, called).programs[name]
    caller = ingress(vm, calling, attached(vm, program)).programs["ingress"]
    assert caller.run(PACKET).retval == 12


def test_a_linked_object_stays_until_who_calls_it_is_closed(
    vm: Vm, objects: dict[str, Object], executor: Any
) -> None:
    loaded = policies(vm, objects["policies"])
    callee = loaded.programs["pass"]
    callers = [ingress(vm, objects["ingress"], callee) for _ in range(2)]
    loaded.close()
    for caller in callers:
        assert callee in vm.programs
        assert caller.programs["ingress"].run(PACKET, executor=executor).retval == 12
        caller.close()
    assert not vm.programs and not vm.dispatchers and not vm.lifetimes.maps


def test_a_dispatcher_of_the_users_stays_with_its_program(
    vm: Vm, objects: dict[str, Object], executor: Any
) -> None:
    loaded = policies(vm, objects["policies"])
    place = vm.dispatcher(loaded.programs["pass"])
    caller = ingress(vm, objects["ingress"], place)
    loaded.close()
    caller.close()
    assert place.run(PACKET, executor=executor).retval == 2
    assert list(vm.dispatchers) == [place.handle]
    assert vm.programs == [place.program]
