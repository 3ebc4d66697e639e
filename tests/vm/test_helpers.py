"""Helpers: mocks, callbacks, checksums, text, and what interpreted and compiled programs see."""

from __future__ import annotations

import errno
import mmap
from typing import Any

import pytest

from osmia.errors import NotSupportedError
from osmia.events.user_ring_buffer import RingFullError
from osmia.isa import assemble
from osmia.object.uapi import MapType, ProgramType
from osmia.vm.engine import Vm
from osmia.vm.errors import BudgetExceededError, ProgramFault

ASK_TIME = "call bpf_ktime_get_ns\nexit"


def load(vm: Vm, text: str, **options: Any) -> Any:
    return vm.load_program(assemble(text), **options)


def test_a_python_callable_replaces_a_helper_and_goes_again(vm: Vm, executor: Any) -> None:
    program = load(vm, ASK_TIME)
    real = program.run(executor=executor).retval
    vm.helpers["ktime_get_ns"] = lambda: 42
    assert program.run(executor=executor).retval == 42
    vm.helpers["bpf_ktime_get_ns"] = lambda: -1
    assert program.run(executor=executor).retval == 2**64 - 1
    del vm.helpers["ktime_get_ns"]
    assert program.run(executor=executor).retval > real > 10**9


def test_a_mock_that_raises_ends_the_run_with_its_exception(vm: Vm, executor: Any) -> None:
    def broken() -> int:
        raise RuntimeError("no clock")

    vm.helpers["ktime_get_ns"] = broken
    with pytest.raises(ProgramFault, match="no clock") as fault:
        load(vm, ASK_TIME).run(executor=executor)
    assert isinstance(fault.value.__cause__, RuntimeError)


def test_a_helper_that_nobody_answers_is_a_fault_of_who_calls_it(vm: Vm, executor: Any) -> None:
    text = "r0 = 5\nif r1 == 0 goto over\nr3 = 0\nr4 = 0\nr5 = 0\ncall bpf_fib_lookup\nover: exit"
    program = load(vm, text)
    assert program.run(b"", executor=executor).retval == 5
    with pytest.raises(ProgramFault, match="the vm has no helper bpf_fib_lookup"):
        program.run(bytes(8), executor=executor)
    vm.helpers["fib_lookup"] = lambda: 9
    assert program.run(bytes(8), executor=executor).retval == 9


def test_strict_helpers_have_such_programs_refused_at_load() -> None:
    with Vm(memory=1 << 23, cpus=1, strict_helpers=True) as vm:
        with pytest.raises(NotSupportedError, match="bpf_fib_lookup"):
            load(vm, "call bpf_fib_lookup\nexit")
        vm.helpers["fib_lookup"] = lambda: 9
        program = load(vm, "call bpf_fib_lookup\nexit")
        assert program.run(b"", strict=False).retval == 9


def test_bpf_loop_calls_back_until_it_is_told_to_stop(vm: Vm, executor: Any) -> None:
    text = """
        *(u64 *)(r10 -8) = 0
        r1 = {count}
        r2 = subprog[add]
        r3 = r10
        r3 += -8
        r4 = 0
        call bpf_loop
        r1 = *(u64 *)(r10 -8)
        r1 <<= 32
        r0 |= r1
        exit
        add: r3 = *(u64 *)(r2 +0)
        r3 += r1
        *(u64 *)(r2 +0) = r3
        r0 = 0
        if r1 < 9 goto go_on
        r0 = 1
        go_on: exit
    """
    few = load(vm, text.format(count=5)).run(executor=executor).retval
    assert (few >> 32, few & 0xFFFFFFFF) == (0 + 1 + 2 + 3 + 4, 5)
    many = load(vm, text.format(count=100)).run(executor=executor).retval
    assert (many >> 32, many & 0xFFFFFFFF) == (45, 10)


def test_every_entry_of_a_map_is_visited_once(vm: Vm, executor: Any) -> None:
    for kind in (MapType.HASH, MapType.ARRAY):
        table: Any = vm.create_map(kind, key_size=4, value_size=8, max_entries=8)
        for key in range(8):
            table[key] = 10**key
        program = load(
            vm,
            f"""
            *(u64 *)(r10 -8) = 0
            r1 = map[fd:{table.id}]
            r2 = subprog[add]
            r3 = r10
            r3 += -8
            r4 = 0
            call bpf_for_each_map_elem
            r0 = *(u64 *)(r10 -8)
            exit
            add: r5 = *(u32 *)(r2 +0)
            r3 = *(u64 *)(r3 +0)
            r5 += 1
            r3 *= r5
            r5 = *(u64 *)(r4 +0)
            r5 += r3
            *(u64 *)(r4 +0) = r5
            r0 = 0
            exit
            """,
        )
        expected = sum((key + 1) * 10**key for key in range(8))
        assert program.run(executor=executor).retval == expected


def test_an_endless_loop_ends_with_its_budget(vm: Vm, executor: Any) -> None:
    program = load(vm, "r0 = 0\nagain: r0 += 1\ngoto again")
    with pytest.raises(BudgetExceededError):
        program.run(executor=executor, budget=10_000)


def test_a_program_prints_to_the_vm(vm: Vm, executor: Any) -> None:
    text = b"%d is %x\0"
    stack = int.from_bytes(text[:8], "little")
    program = load(
        vm,
        f"*(u64 *)(r10 -8) = 0\nr1 = {stack:#x} ll\n*(u64 *)(r10 -16) = r1\nr1 = r10\nr1 += -16\n"
        "r2 = 9\nr3 = -5\nr4 = 255\ncall bpf_trace_printk\nexit",
    )
    assert program.run(executor=executor).retval == len("-5 is ff")
    assert vm.trace[-1] == "-5 is ff"


@pytest.mark.parametrize("kind", [MapType.CGROUP_STORAGE, MapType.PERCPU_CGROUP_STORAGE])
def test_a_control_group_has_a_value_that_stays(vm: Vm, executor: Any, kind: MapType) -> None:
    storage: Any = vm.create_map(kind, key_size=16, value_size=8, max_entries=0)
    count = load(
        vm,
        f"r1 = map[fd:{storage.id}]\nr2 = 0\ncall bpf_get_local_storage\n"
        "r1 = *(u64 *)(r0 +0)\nr1 += 5\n*(u64 *)(r0 +0) = r1\nr0 = r1\nexit",
        type=ProgramType.CGROUP_SKB,
    )
    frame = bytes(12) + b"\x88\xb5"
    assert [count.run(frame, executor=executor).retval for _ in range(3)] == [5, 10, 15]
    assert len(storage) == 1


def test_records_sent_to_programs_are_taken_once_and_in_order(vm: Vm, executor: Any) -> None:
    """Until the callback says that it is enough; what was discarded does not count."""
    ring: Any = vm.create_map(
        MapType.USER_RINGBUF, key_size=0, value_size=0, max_entries=mmap.PAGESIZE
    )
    program = load(
        vm,
        f"""
        *(u64 *)(r10 -8) = 0
        r1 = map[fd:{ring.id}]
        r2 = subprog[take]
        r3 = r10
        r3 += -8
        r4 = 0
        call bpf_user_ringbuf_drain
        r1 = *(u64 *)(r10 -8)
        r1 <<= 32
        r0 |= r1
        exit
        take: r6 = r2
        r2 = 0
        r3 = 4
        call bpf_dynptr_data
        if r0 == 0 goto enough
        r0 = *(u32 *)(r0 +0)
        *(u64 *)(r6 +0) = r0
        if r0 == 99 goto enough
        r0 = 0
        exit
        enough: r0 = 1
        exit
        """,
    )

    def drain() -> tuple[int, int]:
        retval = program.run(executor=executor).retval
        return retval & 0xFFFF_FFFF, retval >> 32

    assert drain() == (0, 0)
    for value in (3, 99, 5):
        ring.send(value.to_bytes(4, "little"))
    ring.reserve(4).discard()
    ring.send((7).to_bytes(4, "little"))
    assert drain() == (2, 99)
    assert drain() == (2, 7)
    assert ring.records.pending == 0
    for value in range(300):  # many times around
        ring.send((value + 100).to_bytes(4, "little") + bytes(value % 50))
        assert drain() == (1, value + 100)
    with pytest.raises(RingFullError):
        for _ in range(4096):
            ring.send(bytes(64))


def test_poison_is_a_fault_where_somebody_comes_by(vm: Vm, executor: Any) -> None:
    """What relocations without an answer leave does no harm in dead code."""
    guarded = load(vm, "r0 = 1\nif r0 == 1 goto out\ncall 195896080\nout: exit")
    assert guarded.run(executor=executor).retval == 1
    with pytest.raises(ProgramFault, match="not there"):
        load(vm, "call 195896080\nexit").run(executor=executor)


def test_a_subprogram_may_return_nothing(vm: Vm) -> None:
    assert load(vm, "call nothing\nr0 = 3\nexit\nnothing: exit").run().retval == 3
    with pytest.raises(ProgramFault, match="r0 is read before"):
        load(vm, "call nothing\nexit\nnothing: exit").run()


def packet() -> bytes:
    header = bytes.fromhex("4500003200000000401100000a0000010a000002")[:20]
    return bytes(12) + b"\x08\x00" + header + bytes(40)


@pytest.mark.parametrize(
    ("helper", "delta", "result", "size"),
    [
        ("xdp_adjust_head", 14, 0, 60),
        ("xdp_adjust_head", -32, 0, 106),
        ("xdp_adjust_head", -300, -22, 74),
        ("xdp_adjust_head", 70, -22, 74),
        ("xdp_adjust_tail", -10, 0, 64),
        ("xdp_adjust_tail", 100, 0, 174),
        ("xdp_adjust_tail", 5000, -22, 74),
        ("xdp_adjust_tail", -70, -22, 74),
        ("xdp_adjust_meta", -8, 0, 82),
        ("xdp_adjust_meta", -6, -13, 74),
        ("xdp_adjust_meta", 4, -22, 74),
        ("xdp_adjust_head", -216, 0, 290),
        ("xdp_adjust_head", -217, -22, 74),
    ],
)
@pytest.mark.kernel
def test_xdp_packets_grow_and_shrink_as_in_the_kernel(
    vm: Vm, executor: Any, helper: str, delta: int, result: int, size: int
) -> None:
    from osmia.kernel.programs.program import KernelProgram

    code = assemble(f"r2 = {delta}\ncall bpf_{helper}\nexit")
    found = vm.load_program(code, type=ProgramType.XDP).run(packet(), executor=executor)
    assert (found.retval, len(found.data)) == (result & 0xFFFFFFFF, size)
    with KernelProgram.load(ProgramType.XDP, code, license="GPL") as program:
        real = program.run(packet())
    assert (real.retval, real.data) == (found.retval, found.data)


@pytest.mark.kernel
@pytest.mark.parametrize(
    "template",
    [
        "%#x",
        "%.3d",
        "%hd",
        "%zu",
        "%hhd",
        "%lc",
        "%ls",
        "%q",
        "%d%",
        "%5d",
        "%-5d|",
        "%05d",
        "%+d",
        "%li",
        "%lld",
        "%llX",
        "%lu",
        "%c",
        "%5c",
        "%i",
        "%px",
        "%pK",
        "%pI5",
        "%lp",
        "%%",
    ],
)
def test_formats_are_those_of_the_kernel(vm: Vm, executor: Any, template: str) -> None:
    from osmia.kernel.programs.program import KernelProgram

    word = int.from_bytes(template.encode().ljust(8, b"\0"), "little")
    code = assemble(
        f"r1 = {word} ll\n*(u64 *)(r10 - 8) = r1\nr1 = r10\nr1 += -8\nr2 = 8\nr3 = 5\n"
        "call bpf_trace_printk\nexit"
    )
    found = vm.load_program(code, type=ProgramType.XDP).run(packet(), executor=executor)
    with KernelProgram.load(ProgramType.XDP, code, license="GPL") as program:
        real = program.run(packet())
    if "%p" in template and real.retval < 1 << 31:  # the kernel prints no addresses
        assert found.retval < 1 << 31
    else:
        assert found.retval == real.retval


@pytest.mark.kernel
def test_a_record_larger_than_the_ring_finds_no_room_as_in_the_kernel(
    vm: Vm, executor: Any
) -> None:
    from osmia.engine.maps import Map
    from osmia.kernel.programs.program import KernelProgram

    text = (
        "r1 = map[fd:{ring}]\nr2 = map[fd:{value}][0]+0\nr3 = {size}\nr4 = 0\n"
        "call bpf_ringbuf_output\nexit"
    )
    ring: Any = vm.create_map(MapType.RINGBUF, key_size=0, value_size=0, max_entries=mmap.PAGESIZE)
    value: Any = vm.create_map(MapType.ARRAY, value_size=16384)
    with (
        Map.create(MapType.RINGBUF, key_size=0, value_size=0, max_entries=mmap.PAGESIZE) as theirs,
        Map.create(MapType.ARRAY, key_size=4, value_size=16384, max_entries=1) as their_value,
    ):
        for size in (4000, 4096, 8192):
            code = assemble(text.format(ring=ring.id, value=value.id, size=size))
            found = vm.load_program(code, type=ProgramType.XDP).run(packet(), executor=executor)
            numbers = {"ring": theirs.fileno(), "value": their_value.fileno()}
            code = assemble(text.format(size=size, **numbers))
            with KernelProgram.load(ProgramType.XDP, code, license="GPL") as program:
                assert program.run(packet()).retval == found.retval


@pytest.mark.parametrize(("size", "result"), [(65516, 0), (65517, -errno.E2BIG)])
def test_a_perf_event_is_no_larger_than_a_record(
    vm: Vm, executor: Any, size: int, result: int
) -> None:
    events: Any = vm.create_map(MapType.PERF_EVENT_ARRAY, max_entries=2)
    value: Any = vm.create_map(MapType.ARRAY, value_size=1 << 17)
    code = assemble(
        f"r2 = map[fd:{events.id}]\nr3 = 0xffffffff ll\nr4 = map[fd:{value.id}][0]+0\n"
        f"r5 = {size}\ncall bpf_perf_event_output\nexit"
    )
    program = vm.load_program(code, type=ProgramType.XDP)
    events.poll(0)
    assert program.run(packet(), executor=executor).retval == result & 0xFFFFFFFF
    assert [len(data) for _, data in events.read()] == [size] * (not result)


def test_perf_events_that_nobody_reads_are_lost_by_their_bytes(
    vm: Vm, monkeypatch: pytest.MonkeyPatch
) -> None:
    events: Any = vm.create_map(MapType.PERF_EVENT_ARRAY, max_entries=2)
    events.poll(0)
    queue = events.raw.queue
    monkeypatch.setattr(queue, "LIMIT_BYTES", 100)
    assert [queue.put(0, bytes(40)) for _ in range(3)] == [0, 0, -errno.ENOSPC]
    assert events.lost == 1
    assert len(events.read()) == 2
    assert queue.put(0, bytes(100)) == 0


def test_helpers_are_replaced_by_any_way_of_a_mapping(vm: Vm, executor: Any) -> None:
    program = load(vm, ASK_TIME)
    vm.helpers.update(bpf_ktime_get_ns=lambda: 42)
    assert program.run(executor=executor).retval == 42
    vm.helpers.pop("ktime_get_ns")
    assert program.run(executor=executor).retval != 42
    assert "bpf_ktime_get_ns" not in vm.helpers
