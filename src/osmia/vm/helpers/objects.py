"""Objects that programs allocate, and pointers that maps hold (kptrs)."""

from __future__ import annotations

from typing import Any

import osmia.vm.helpers.graphs  # noqa: F401  # what objects are put into
from osmia.errors import KernelError
from osmia.records import dataclass
from osmia.vm.errors import ProgramFault
from osmia.vm.helpers.table import Argument, Invocation, helper, native_helper
from osmia.vm.native import load64, native, reachable, swap64

MOST = 1 << 16
"""Bytes of an object."""


@dataclass(slots=True, eq=False)
class Allocated:
    """An object, which programs may read and write; `references` are those to it."""

    address: int
    size: int
    what: str
    references: int = 1

    def forbids(self, address: int, size: int, write: bool) -> str | None:
        """See `osmia.vm.access.Owner`."""
        at = address - self.address
        if at + size > self.size:
            return f"an access of {size} bytes at {at} runs over {self.what}"
        return None


@helper("obj_new_impl", Argument.ANY, Argument.ANY, tells_program=True)
def obj_new_impl(call: Invocation, type_id: int, meta: int) -> int:
    """bpf_obj_new, since 6.2: zeroed; 0 where there is no room."""
    btf = (call.program().declared or (None, 0))[0]
    if btf is None or not 0 < type_id < len(btf):
        raise ProgramFault(f"bpf_obj_new of type {type_id}, which the object does not have")
    size = btf.size_of(type_id)
    if size > MOST:
        return 0
    try:
        address = call.vm.memory.region.allocate(size)
    except KernelError:
        return 0
    made = Allocated(address, size, f"struct {btf.name_of(type_id)}")
    call.vm.objects[address] = made
    call.vm.areas.add(address, max(size, 1), made)
    return address


def _object(call: Invocation, address: int) -> Any:
    found = call.vm.objects.get(address)
    if found is None:
        raise ProgramFault(f"{address:#x} is no object that was allocated, or not any more")
    return found


@helper("obj_drop_impl", Argument.ANY, Argument.ANY)
def obj_drop_impl(call: Invocation, address: int, meta: int) -> int:
    """bpf_obj_drop, since 6.2."""
    found = _object(call, address)
    found.references -= 1
    if not found.references:
        del call.vm.objects[address]
        call.vm.areas.remove(address)
        call.vm.memory.zero(address, found.size)
        call.vm.memory.region.free(address)
    return 0


@helper("refcount_acquire_impl", Argument.ANY, Argument.ANY)
def refcount_acquire_impl(call: Invocation, address: int, meta: int) -> int:
    """bpf_refcount_acquire, since 6.4."""
    _object(call, address).references += 1
    return address


@native
def helper_kptr_xchg(frame: int, place: int, value: int) -> int:
    """bpf_kptr_xchg, since 5.19: what was there."""
    at = reachable(frame, place, 8)
    if at == 0:
        return 0
    at = at & ~7
    old = load64(at)
    while swap64(at, old, value) != old:
        old = load64(at)
    return old


native_helper("kptr_xchg", Argument.ANY, Argument.ANY)


@helper("task_acquire", Argument.ANY)
@helper("cgroup_acquire", Argument.ANY)
def acquire(call: Invocation, address: int) -> int:
    """bpf_task_acquire, since 6.2, and its like: a test's structures are there anyway."""
    return address


@helper("task_release", Argument.ANY)
@helper("cgroup_release", Argument.ANY)
def release(call: Invocation, address: int) -> int:
    """bpf_task_release, since 6.2, and its like."""
    return 0


@helper("task_from_pid", Argument.ANY)
def task_from_pid(call: Invocation, pid: int) -> int:
    """bpf_task_from_pid, since 6.2: among those that the test lists."""
    wanted = pid & 0xFFFF_FFFF
    return next((int(each) for each in call.vm.lists.get("task", ()) if each.pid == wanted), 0)
