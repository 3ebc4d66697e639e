"""Sockets by number: maps that programs fill, redirects to them, flags of a connection."""

from __future__ import annotations

import struct
from typing import Any

import pytest

from osmia.errors import NotSupportedError
from osmia.isa import assemble
from osmia.object.uapi import MapType, ProgramType
from osmia.vm.engine import Vm
from osmia.vm.errors import ProgramFault
from osmia.vm.helpers import tracing

EINVAL, ENOENT, E2BIG, EEXIST = (2**32 - n for n in (22, 2, 7, 17))
OPS, MSG, SKB = ProgramType.SOCK_OPS, ProgramType.SK_MSG, ProgramType.SK_SKB


def ops(full: int = 1, key: int = 0, flags: int = 0) -> bytes:
    """A struct bpf_sock_ops: its reply fields carry what the programs here are given."""
    return struct.pack("<IQ", 0, key | flags << 32).ljust(72, b"\0") + struct.pack("<I52x", full)


def update(vm: Vm, held: Any, helper: str) -> Any:
    text = f"""
        r2 = *(u32 *)(r1 +4)
        *(u32 *)(r10 -4) = r2
        r4 = *(u32 *)(r1 +8)
        r2 = map[fd:{held.id}]
        r3 = r10
        r3 += -4
        call bpf_{helper}
        exit
    """
    return vm.load_program(assemble(text), type=OPS)


@pytest.mark.parametrize(
    ("kind", "helper"),
    [(MapType.SOCKMAP, "sock_map_update"), (MapType.SOCKHASH, "sock_hash_update")],
)
def test_a_connection_is_stored_by_its_cookie(
    vm: Vm, executor: Any, kind: MapType, helper: str
) -> None:
    held: Any = vm.create_map(kind, value_size=8, max_entries=4)
    program = update(vm, held, helper)

    def run(key: int, flags: int = 0) -> int:
        return int(program.run(ctx=ops(key=key, flags=flags), executor=executor).retval)

    assert [run(3), run(3, 1), run(2, 2), run(2, 3)] == [0, EEXIST, ENOENT, EINVAL]
    vm.helpers["get_socket_cookie"] = lambda ctx: 12
    assert run(1) == 0
    assert dict(held.items()) == {3: 1, 1: 12}
    if kind is MapType.SOCKMAP:
        assert run(4) == E2BIG


def test_a_map_of_another_type_is_none_of_sockets(vm: Vm, executor: Any) -> None:
    program = update(vm, vm.create_map(MapType.SOCKHASH, value_size=8), "sock_map_update")
    with pytest.raises(ProgramFault, match="no map of sockets"):
        program.run(ctx=ops(), executor=executor)


def redirect(vm: Vm, held: Any, helper: str, kind: ProgramType) -> Any:
    key = "r3 = 2" if helper.endswith("map") else "*(u32 *)(r10 -4) = 2\nr3 = r10\nr3 += -4"
    text = f"r4 = 1\nr2 = map[fd:{held.id}]\n{key}\ncall bpf_{helper}\nexit"
    return vm.load_program(assemble(text), type=kind)


@pytest.mark.parametrize(
    ("kind", "helper", "program_type"),
    [
        (MapType.SOCKMAP, "sk_redirect_map", SKB),
        (MapType.SOCKMAP, "msg_redirect_map", MSG),
        (MapType.SOCKHASH, "sk_redirect_hash", SKB),
        (MapType.SOCKHASH, "msg_redirect_hash", MSG),
    ],
)
def test_where_data_would_go_is_in_the_result(
    vm: Vm, executor: Any, kind: MapType, helper: str, program_type: ProgramType
) -> None:
    held: Any = vm.create_map(kind, value_size=8, max_entries=4)
    program = redirect(vm, held, helper, program_type)
    missing = program.run(ctx=bytes(192), executor=executor)
    assert (missing.retval, missing.redirect) == (0, None)  # SK_DROP
    held[2] = 55
    found = program.run(ctx=bytes(192), executor=executor)
    assert (found.retval, found.redirect) == (1, (55, held.id, 1))


def test_the_socket_of_a_group_is_chosen(vm: Vm, executor: Any) -> None:
    held: Any = vm.create_map(MapType.REUSEPORT_SOCKARRAY, value_size=8, max_entries=4)
    text = f"""
        *(u32 *)(r10 -4) = 2
        r2 = map[fd:{held.id}]
        r3 = r10
        r3 += -4
        r4 = 0
        call bpf_sk_select_reuseport
        exit
    """
    program = vm.load_program(assemble(text), type=ProgramType.SK_REUSEPORT)
    assert program.run(ctx=bytes(64), executor=executor).retval == ENOENT
    held[2] = 6
    found = program.run(ctx=bytes(64), executor=executor)
    assert (found.retval, found.redirect) == (0, (6, held.id, 0))


def test_flags_of_a_connection_are_in_its_context(vm: Vm, executor: Any) -> None:
    program = vm.load_program(
        assemble("r2 = 0x107\ncall bpf_sock_ops_cb_flags_set\nexit"), type=OPS
    )
    found = program.run(ctx=ops(), executor=executor)
    assert found.retval == 0x100
    assert struct.unpack_from("<I", found.ctx_data, 84) == (7,)
    assert program.run(ctx=ops(full=0), executor=executor).retval == EINVAL


def test_helpers_of_other_types_are_refused(vm: Vm) -> None:
    for name in ("sock_map_update", "sock_ops_cb_flags_set", "msg_redirect_map"):
        with pytest.raises(NotSupportedError, match=f"XDP programs cannot call bpf_{name}"):
            vm.load_program(assemble(f"call bpf_{name}\nexit"), type=ProgramType.XDP)


def test_programs_look_up_and_delete_sockets(vm: Vm, executor: Any) -> None:
    held: Any = vm.create_map(MapType.SOCKMAP, value_size=8, max_entries=4)
    text = (
        f"*(u32 *)(r10 -4) = 1\nr1 = map[fd:{held.id}]\nr2 = r10\nr2 += -4\n"
        "call bpf_map_lookup_elem\nif r0 == 0 goto none\n"
        f"r1 = map[fd:{held.id}]\nr2 = r10\nr2 += -4\n"
        "call bpf_map_delete_elem\nexit\nnone: r0 = 1\nexit"
    )
    program = vm.load_program(assemble(text))
    held[1] = 1 << 40
    assert [program.run(executor=executor).retval for _ in range(2)] == [0, 1]
    assert list(held) == []


@pytest.mark.parametrize("machine", ["x86_64", "aarch64", "riscv64"])
def test_a_probe_overrides_the_result_in_its_registers(
    vm: Vm, executor: Any, machine: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tracing, "machine", lambda: machine)
    text = "r2 = -12\ncall bpf_override_return\nr0 = 0\nexit"
    program = vm.load_program(assemble(text), type=ProgramType.KPROBE)
    if machine == "riscv64":
        with pytest.raises(ProgramFault, match="riscv64 is unknown"):
            program.run(ctx=bytes(168), executor=executor)
        return
    registers = program.run(ctx=bytes(168), executor=executor).ctx_data
    place = 80 if machine == "x86_64" else 0
    assert struct.unpack_from("<q", registers, place) == (-12,)
