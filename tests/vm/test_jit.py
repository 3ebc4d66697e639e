"""The compiler's surroundings: threads that share a program, code kept on disk."""

from __future__ import annotations

import subprocess
import sys
import threading
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from osmia.errors import NotSupportedError
from osmia.isa import assemble
from osmia.object.uapi import MapType
from osmia.vm.engine import Vm
from osmia.vm.errors import BudgetExceededError
from osmia.vm.jit import cache, compiler, identity, near
from osmia.vm.jit.module import module_text


def test_threads_run_one_program_at_once() -> None:
    rounds, threads = 200_000, 4
    with Vm(memory=1 << 25, cpus=threads) as vm:
        counters: Any = vm.create_map(MapType.ARRAY, value_size=8, max_entries=1)
        program = vm.load_program(
            assemble(
                f"r1 = map[fd:{counters.id}][0]+0\nr2 = {rounds}\nr3 = 1\n"
                "again: lock *(u64 *)(r1 +0) += r3\nr2 += -1\nif r2 != 0 goto again\n"
                "r0 = 5\nexit"
            )
        )
        results: list[int] = []
        workers = [
            threading.Thread(
                target=lambda: results.extend(
                    program.run(b"", executor="jit").retval for _ in range(5)
                )
            )
            for _ in range(threads)
        ]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
        assert results == [5] * (5 * threads)
        assert counters[0] == rounds * threads * 5


@pytest.fixture
def fresh(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    tmp_path.chmod(0o700)
    monkeypatch.setenv("OSMIA_CACHE", str(tmp_path))
    return tmp_path


def run_once() -> int:
    with Vm(memory=1 << 23, cpus=1) as vm:
        program = vm.load_program(assemble("r0 = 0x1234567\nr0 *= r2\nexit"))
        return program.run(bytes(3), executor="jit").retval


def test_the_second_time_nothing_is_compiled(fresh: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = run_once()
    entries = list((fresh / "jit").iterdir())
    assert entries

    def compile_fresh(*_: object) -> bytes:
        raise AssertionError("compiled again")

    monkeypatch.setattr(compiler, "compile_fresh", compile_fresh)
    assert run_once() == first == 3 * 0x1234567


def test_another_process_uses_what_is_there(fresh: Path) -> None:
    run_once()
    before = {path.name: path.stat().st_mtime_ns for path in (fresh / "jit").iterdir()}
    program = assemble("r0 = 0x1234567\nr0 *= r2\nexit").hex()
    command = [sys.executable, "-m", "osmia.vm.conformance", "000000", "--executor", "jit"]
    done = subprocess.run(command, input=program, capture_output=True, text=True, timeout=60)
    assert int(done.stdout, 16) == 3 * 0x1234567
    after = {path.name: path.stat().st_mtime_ns for path in (fresh / "jit").iterdir()}
    assert after == before


def test_damaged_entries_are_compiled_again(fresh: Path) -> None:
    run_once()
    for path in (fresh / "jit").iterdir():
        path.write_bytes(b"\0" * 100)
        assert cache.read(path.name) is None
    assert run_once() == 3 * 0x1234567


def test_a_directory_that_others_may_write_to_is_not_used(fresh: Path) -> None:
    (fresh / "jit").mkdir(mode=0o700)
    (fresh / "jit").chmod(0o777)
    run_once()
    assert not list((fresh / "jit").iterdir())


def test_what_a_program_is_made_of_lies_close_together() -> None:
    """Also with a vm's gigabytes between the gaps that are left: distances have 32 bits."""
    sizes = (900_000, 4096, 12_288, 4096)
    with Vm(cpus=1), ExitStack() as undo:
        with near.room_for(sum(sizes)):
            places = [near._map(size) for size in sizes]
            for place, size in zip(places, sizes, strict=True):
                undo.callback(near._unmap, place, size)
        assert all(places)
        assert max(places) - min(places) < 1 << 24


def test_nothing_of_the_room_stays_mapped() -> None:
    def mappings() -> int:
        return len(Path("/proc/self/maps").read_text().splitlines())

    with near.room_for(1 << 20):
        pass
    before = mappings()
    for _ in range(20):
        with near.room_for(1 << 20):
            pass
    assert mappings() < before + 10


BESIDE_A_LARGE_VM = """
import ctypes
from osmia.vm.engine import Vm
from osmia.vm.jit import compiler, near

code = compiler.compile_fresh(compiler.host(), '''
module asm ".text"
module asm ".space 4194304"
@table = internal constant [4 x i64] [i64 5, i64 6, i64 77, i64 8]
define i64 @pick(i64 %i) {
  %place = getelementptr [4 x i64], ptr @table, i64 0, i64 %i
  %value = load i64, ptr %place
  ret i64 %value
}
''', 1)
room = near._map(1 << 23)
near._fill_gaps_above(room, 1 << 23, [])
with Vm(memory=1 << 32, cpus=1):
    near._unmap(room + (1 << 22), 1 << 16)
    loaded = compiler.LoadedCode(code)
    print(ctypes.CFUNCTYPE(ctypes.c_uint64, ctypes.c_uint64)(loaded.address("pick"))(2))
"""


def test_code_and_its_constants_are_loaded_beside_a_large_vm() -> None:
    """Above the vm only the constants have room. In a process of its own: LLVM aborts where
    they are too far away."""
    run = subprocess.run([sys.executable, "-c", BESIDE_A_LARGE_VM], capture_output=True, text=True)
    assert (run.stdout, run.stderr) == ("77\n", "")


def text_of(vm: Vm, program: str) -> str:
    loaded = vm.load_program(assemble(program))
    return module_text(vm.need_jit().context(None, loaded.code), loaded.code)


def test_a_known_map_brings_only_its_own_operations(vm: Vm) -> None:
    table: Any = vm.create_map(MapType.HASH, key_size=8, value_size=8, max_entries=4)
    key = "*(u64 *)(r10 -8) = 1\nr2 = r10\nr2 += -8\n"
    lookup = f"{key}r1 = map[fd:{table.id}]\ncall bpf_map_lookup_elem\nr0 = 0\nexit"
    text = text_of(vm, lookup)
    assert "@hash_lookup" in text
    for other in ("@array_", "@lru_", "@lpm_", "@map_kind", "@map_at"):
        assert other not in text


def test_an_unknown_map_brings_none(vm: Vm) -> None:
    """Its operations are there already, compiled once."""
    lookup = "r2 = r10\nr2 += -8\ncall bpf_map_lookup_elem\nr0 = 0\nexit"
    assert "@hash_" not in text_of(vm, lookup)


def test_operations_on_an_unknown_map_work(vm: Vm, executor: Any) -> None:
    table: Any = vm.create_map(MapType.HASH, key_size=8, value_size=8, max_entries=4)
    table[7] = 35
    handle = f"r6 = map[fd:{table.id}]\n*(u64 *)(r10 -24) = r6\ncall bpf_ktime_get_ns\n"
    lookup = (
        f"{handle}*(u64 *)(r10 -8) = 7\nr1 = *(u64 *)(r10 -24)\nr2 = r10\nr2 += -8\n"
        "call bpf_map_lookup_elem\nif r0 == 0 goto none\nr0 = *(u64 *)(r0 +0)\nexit\n"
        "none: r0 = 1\nexit"
    )
    assert "@hash_" not in text_of(vm, lookup)
    assert vm.load_program(assemble(lookup)).run(executor=executor).retval == 35


LONG = "\n".join(
    f"r0 += {number}\nif r0 s> {number * 100} goto pc+1\nr0 ^= {number}" for number in range(1, 900)
)


def test_long_straight_code_computes_what_the_interpreter_does(vm: Vm) -> None:
    program = vm.load_program(assemble(f"r0 = r2\n{LONG}\nexit"))
    for size in (0, 1, 1000):
        results = {
            program.run(bytes(size), executor=executor).retval
            for executor in ("interpreter", "generated", "jit")
        }
        assert len(results) == 1


def test_long_straight_code_has_a_budget_too(vm: Vm, executor: Any) -> None:
    program = vm.load_program(assemble(f"r0 = r2\n{LONG}\nexit"))
    with pytest.raises(BudgetExceededError):
        program.run(executor=executor, budget=500)


def test_code_without_optimisations_computes_the_same(vm: Vm) -> None:
    vm.need_jit().level = 0
    program = vm.load_program(assemble(f"r0 = r2\n{LONG}\nexit"))
    expected = program.run(bytes(5), executor="interpreter").retval
    assert program.run(bytes(5), executor="jit").retval == expected


def test_interpreted_programs_take_the_locks_that_compiled_ones_take(vm: Vm) -> None:
    program = vm.load_program(assemble("call bpf_ktime_get_ns\nr0 = 0\nexit"))
    vm.need_jit().program(program)
    table: Any = vm.create_map(MapType.HASH, key_size=8, value_size=8, max_entries=4)
    text = (
        f"r1 = 1\n*(u64 *)(r10 - 8) = r1\nr1 = map[fd:{table.id}]\nr2 = r10\nr2 += -8\nr3 = r2\n"
        "r4 = 0\ncall bpf_map_update_elem\nexit"
    )
    assert vm.load_program(assemble(text)).run(executor="interpreter").retval == 0
    assert "helper_map_update_elem" in vm.natives._compiled


#: Ways to a tail call on which map and key go through the stack, a loop, or a branch.
KNOWN = {
    "stack": "*(u64 *)(r10 -8) = 2\n*(u64 *)(r10 -16) = r2\nr2 = 0\n"
    "r3 = *(u64 *)(r10 -8)\nr2 = *(u64 *)(r10 -16)\n",
    "loop": "r3 = 2\nr6 = r1\nagain: r6 += -1\nif r6 != 0 goto again\n",
    "branch": "r3 = *(u32 *)(r1 +0)\nif r3 == 2 goto call\nr0 = 1\nexit\ncall:\n",
    "dead branch": "r3 = 2\nif r3 == 2 goto call\nr3 = 1\ncall:\n",
}


@pytest.mark.parametrize("way", KNOWN)
def test_a_map_and_a_key_are_known_on_every_way_to_a_tail_call(vm: Vm, way: str) -> None:
    array: Any = vm.create_map(MapType.PROG_ARRAY, max_entries=4)
    text = f"r2 = map[fd:{array.id}]\n{KNOWN[way]}call bpf_tail_call\nr0 = 1\nexit"
    assert "take_tail_entry" not in text_of(vm, text)


def test_what_a_wild_store_may_change_is_not_known(vm: Vm) -> None:
    """Nobody verified it: a frame that is not private may be written through any number."""
    array: Any = vm.create_map(MapType.PROG_ARRAY, max_entries=4)
    text = f"""
        r2 = map[fd:{array.id}]
        r4 = r10
        r4 += -8
        *(u64 *)(r10 -8) = 2
        {{store}}
        r3 = *(u64 *)(r10 -8)
        call bpf_tail_call
        r0 = 1
        exit
    """
    assert "take_tail_entry" not in text_of(vm, text.format(store="r5 = 0"))
    assert "take_tail_entry" in text_of(vm, text.format(store="*(u64 *)(r1 +0) = 3"))


def test_retpolines_are_refused_where_there_are_none(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without saying so, arm64 would run without them."""
    monkeypatch.setattr(identity, "machine", lambda: "aarch64")
    with Vm(memory=1 << 25, cpus=1, retpoline=True) as vm:
        with pytest.raises(NotSupportedError, match="retpolines are for x86-64, this is aarch64"):
            vm.need_jit()
        assert vm.jit is None  # so that programs are interpreted
