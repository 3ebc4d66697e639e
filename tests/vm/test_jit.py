"""The compiler's surroundings: threads that share a program, code kept on disk."""

from __future__ import annotations

import subprocess
import sys
import threading
from pathlib import Path

import pytest

from osmia.isa import assemble
from osmia.object.uapi import MapType
from osmia.vm.engine import Vm
from osmia.vm.jit import cache, compiler


def test_threads_run_one_program_at_once() -> None:
    rounds, threads = 200_000, 4
    with Vm(memory=1 << 25, cpus=threads) as vm:
        counters = vm.create_map(MapType.ARRAY, value_size=8, max_entries=1)
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
