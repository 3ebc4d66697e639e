"""Functions of other objects that are called where they are: `load(imports=…, bind="call")`."""

from __future__ import annotations

import warnings
from typing import Any

import pytest

import osmia
from osmia.errors import LinkError, OsmiaWarning
from osmia.object.model import Object
from osmia.vm.engine import Vm

PACKET = bytes(64)
HEAD = """
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
"""
LIBRARY = """
int calls;
__noinline int bump(int x) { calls += x; return calls; }
__noinline int first_byte(struct xdp_md *ctx) {
    unsigned char *data = (void *)(long)ctx->data;
    calls++;
    return data + 1 > (unsigned char *)(long)ctx->data_end ? -1 : *data;
}
SEC("xdp") int verdict(struct xdp_md *ctx) { return bump(1); }
"""
USER = """
extern int bump(int x);
extern int first_byte(struct xdp_md *ctx);
extern int verdict(struct xdp_md *ctx);
SEC("xdp") int user(struct xdp_md *ctx) {
    return bump(10) + 1000 * first_byte(ctx) + 100000 * verdict(ctx);
}
"""
OTHER = """
SEC("xdp") int verdict(struct xdp_md *ctx) { return 7; }
"""


@pytest.fixture(scope="module")
def objects() -> dict[str, Object]:
    sources = {"library": LIBRARY, "user": USER, "other": OTHER}
    return {
        name: osmia.compile(HEAD + each, name=f"{name}.bpf.c") for name, each in sources.items()
    }


def test_functions_and_programs_are_called_where_they_are(
    vm: Vm, objects: dict[str, Object], executor: Any
) -> None:
    lib = objects["library"].load("vm", vm=vm)
    user = objects["user"].load("vm", vm=vm, imports=[lib], bind="call")
    packet = b"\3" + bytes(63)
    run = user.programs["user"].run(packet, executor=executor)
    assert run.retval == 10 + 3000 + 1200000
    assert lib.data["calls"] == 12
    assert "bump" not in user.object.functions
    assert not user.maps and not user.section_maps


def test_programs_may_stand_beside_objects(
    vm: Vm, objects: dict[str, Object], executor: Any
) -> None:
    lib, other = (objects[name].load("vm", vm=vm) for name in ("library", "other"))
    place = vm.dispatcher(other.programs["verdict"])
    user = objects["user"].load("vm", vm=vm, imports=[lib, {"verdict": place}], bind="copy")
    assert user.programs["user"].run(PACKET, executor=executor).retval == 10 + 700000
    place.update(lib.programs["verdict"])
    assert user.programs["user"].run(PACKET, executor=executor).retval == 21 + 2200000 + 100000


def test_what_an_object_calls_comes_along_when_it_is_copied(
    vm: Vm, objects: dict[str, Object], executor: Any
) -> None:
    lib = objects["library"].load("vm", vm=vm)
    between = osmia.compile(
        HEAD + "extern int bump(int x); __noinline int twice(int x) { return bump(x) + bump(x); }",
        name="between.bpf.c",
    ).load("vm", vm=vm, imports=[lib], bind="call")
    user = osmia.compile(
        HEAD + 'extern int twice(int x); SEC("xdp") int user(void *ctx) { return twice(3); }',
        name="user.bpf.c",
    ).load("vm", vm=vm, imports=[between])
    assert user.programs["user"].run(PACKET, executor=executor).retval == 3 + 6
    assert lib.data["calls"] == 6


def test_what_was_made_for_callers_goes_with_them(vm: Vm, objects: dict[str, Object]) -> None:
    lib = objects["library"].load("vm", vm=vm)
    with objects["user"].load("vm", vm=vm, imports=[lib], bind="call") as user:
        assert len(vm.programs) == 4
        with pytest.warns(OsmiaWarning, match="'user' has its function 'bump'"):
            lib.close()
        assert user.programs["user"].run(PACKET).retval == 10 + 1200000
    assert not vm.programs and not vm.lifetimes.maps and not vm.dispatchers


def test_a_failed_load_leaves_nothing(vm: Vm, objects: dict[str, Object]) -> None:
    lib = objects["library"].load("vm", vm=vm)
    before = list(vm.programs), dict(vm.lifetimes.maps), dict(vm.dispatchers)
    wrong = HEAD + (
        "extern int bump(int x); extern long calls;"
        'SEC("xdp") int user(struct xdp_md *ctx) { return bump(1) + calls; }'
    )
    with pytest.raises(LinkError, match="'calls' is not in library"):
        osmia.compile(wrong, name="wrong.bpf.c").load("vm", vm=vm, imports=[lib], bind="call")
    assert (list(vm.programs), dict(vm.lifetimes.maps), dict(vm.dispatchers)) == before
    assert not lib.users


def test_an_object_comes_into_the_vm_of_what_it_imports(objects: dict[str, Object]) -> None:
    lib = objects["library"].load("vm")
    user = objects["user"].load("vm", imports=[lib])
    assert user.vm is lib.vm
    with pytest.warns(OsmiaWarning, match="still used"):
        lib.close()
    assert user.programs["user"].run(PACKET).retval == 10 + 1200000
    user.close()
    assert user.vm.closed
    user.close()


def test_a_vm_ends_with_who_made_it_where_others_failed_to_come(
    objects: dict[str, Object],
) -> None:
    lib = objects["library"].load("vm")
    with pytest.raises(osmia.RelocationError):
        objects["user"].load(
            "vm", imports=[lib, {"verdict": lib.programs["verdict"]}], passes=[_no]
        )
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        lib.close()
    assert lib.vm.closed


def _no(obj: Object) -> Object:
    raise osmia.RelocationError("no")


def test_an_object_of_another_vm_is_refused(vm: Vm, objects: dict[str, Object]) -> None:
    with objects["library"].load("vm") as lib:
        with pytest.raises(LinkError, match="'library' is in another vm"):
            objects["user"].load("vm", vm=vm, imports=[lib])
        with objects["other"].load("vm") as other, pytest.raises(LinkError, match="another vm"):
            objects["user"].load("vm", imports=[lib, other])
        with pytest.raises(ValueError, match="is for a new vm"):
            objects["user"].load("vm", imports=[lib], cpus=1)


def test_what_is_called_can_be_exchanged(vm: Vm, objects: dict[str, Object], executor: Any) -> None:
    lib, other = (objects[name].load("vm", vm=vm) for name in ("library", "other"))
    user = objects["user"].load("vm", vm=vm, imports=[lib], bind="call")
    run = user.programs["user"].run
    assert run(PACKET, executor=executor).retval == 10 + 1200000
    user.rebind("verdict", other)
    assert run(PACKET, executor=executor).retval == 22 + 700000
    assert (list(lib.users), list(other.users)) == ([user], [user])
    user.rebind("verdict", lib.programs["verdict"])
    assert run(PACKET, executor=executor).retval == 33 + 3500000
    assert list(other.users) == []
    again = objects["library"].load("vm", vm=vm)
    user.rebind("bump", again)
    assert run(PACKET, executor=executor).retval == 10 + 3700000
    assert (lib.data["calls"], again.data["calls"]) == (37, 10)


def test_what_does_not_fit_changes_nothing(vm: Vm, objects: dict[str, Object]) -> None:
    lib, other = (objects[name].load("vm", vm=vm) for name in ("library", "other"))
    user = objects["user"].load("vm", vm=vm, imports=[lib], bind="call")
    wrong = osmia.compile(HEAD + "long x; __noinline int bump(long y) { return x += y; }")
    with pytest.raises(LinkError, match="'bump' is not in"):
        user.rebind("bump", wrong.load("vm", vm=vm))
    with pytest.raises(osmia.KernelError, match="signature"):
        user.rebind("bump", other.programs["verdict"])
    with pytest.raises(LinkError, match="other defines no 'bump'"):
        user.rebind("bump", other)
    with pytest.raises(LinkError, match="no extern 'calls' that could be bound anew"):
        user.rebind("calls", lib)
    assert user.programs["user"].run(PACKET).retval == 10 + 1200000
    user.close()
    with pytest.raises(osmia.ClosedError):
        user.rebind("bump", lib)


def test_a_file_cannot_be_called(vm: Vm, objects: dict[str, Object], tmp_path: Any) -> None:
    path = tmp_path / "library.bpf.o"
    objects["library"].save(path)
    with pytest.raises(LinkError, match=r"library\.bpf\.o is not loaded: 'bump'"):
        objects["user"].load("vm", vm=vm, imports=[path], bind="call")
