"""The userspace engine against the kernel and native C, one run, one machine: a table.

    python bench/bench_vm.py

Numbers are ns a run: the best of several rounds. The kernel's include the cost of a test
run (see "empty"). Native code is compiled from the same C source by the system's compiler,
or the ziglang wheel's.
"""

from __future__ import annotations

import ctypes
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import osmia
from osmia.isa import assemble
from osmia.vm.batch import Batch
from osmia.vm.engine import Vm

HERE = Path(__file__).parent / "vm"
LARGE = bytes(12) + b"\x08\x00" + bytes.fromhex("4500001c00000000") + bytes(1492)
SMALL = (
    bytes(12)
    + bytes.fromhex("0800 45000032 00000000 40110000 0a000001 0a000002 12340050 00220000")
    + bytes(22)
)
#: name: (packet, repetitions compiled, repetitions interpreted)
WORK = {
    "empty": (SMALL, 1_000_000, 200),
    "alu": (LARGE, 2_000, 1),
    "sum": (LARGE, 200_000, 1),
    "parser": (SMALL, 1_000_000, 100),
    "primes": (LARGE, 5_000, 0),
    "multiply": (LARGE, 20_000, 0),
    "lookup_update": (SMALL, 200_000, 50),
    "direct": (SMALL, 200_000, 20),
    "indirect": (SMALL, 200_000, 20),
}


def best(measure: Callable[[], float], rounds: int = 7) -> float:
    return min(measure() for _ in range(rounds))


def native_library() -> ctypes.CDLL:
    compiler = [shutil.which("gcc") or ""]
    if not compiler[0]:
        compiler = [sys.executable, "-m", "ziglang", "cc"]
    target = Path(tempfile.mkdtemp()) / "native.so"
    flags = ["-O2", "-march=native", "-shared", "-fPIC", "-I", str(HERE)]
    subprocess.run([*compiler, *flags, str(HERE / "native.c"), "-o", str(target)], check=True)
    return ctypes.CDLL(str(target))


def native(library: ctypes.CDLL, name: str, packet: bytes, times: int) -> float | None:
    function: Any = getattr(library, name, None)
    if function is None:
        return None
    function.argtypes = (ctypes.c_char_p, ctypes.c_uint64, ctypes.c_uint64)

    def measure() -> float:
        begin = time.perf_counter_ns()
        function(packet, len(packet), times)
        return (time.perf_counter_ns() - begin) / times

    return best(measure)


def loaded_times(loaded: Any, **options: Any) -> dict[str, float]:
    """ns a run of each program of a loaded object."""
    loaded.maps["chain"][0] = loaded.programs["direct"]
    found = {}
    for name, (packet, times, few) in WORK.items():
        repeat = times if options.get("executor", "jit") == "jit" else few
        if not repeat:
            continue
        if name == "indirect":
            loaded.maps["chain"][0] = loaded.programs["indirect"]
        run = partial(loaded.programs[name].run, packet, repeat=repeat, **options)
        found[name] = min(run().duration_ns for _ in range(5))
    return found


COLD = """
import time
begin = time.perf_counter()
import osmia
from osmia.isa import assemble
from osmia.object.uapi import ProgramType
from osmia.vm.engine import Vm
program = Vm().load_program(assemble("r0 = 2; exit".replace("; ", chr(10))), type=ProgramType.XDP)
imported = time.perf_counter()
program.run(bytes(64), executor="{executor}", strict=False)
print(imported - begin, time.perf_counter() - imported)
"""
ALU_INSTRUCTIONS = 140_000


def cold(executor: str) -> tuple[float, float]:
    """Seconds that a new process takes to load a small program, and then for its first run."""
    command = [sys.executable, "-c", COLD.format(executor=executor)]
    rounds = [subprocess.run(command, capture_output=True, check=True).stdout for _ in range(5)]
    loaded, ran = zip(*(map(float, line.split()) for line in rounds), strict=True)
    return min(loaded), min(ran)


def around_a_run(program: Any, times: int = 2000) -> float:
    """µs that one call of `run` takes."""

    def measure() -> float:
        begin = time.perf_counter()
        for _ in range(times):
            program.run(SMALL, executor="jit")
        return (time.perf_counter() - begin) / times

    return best(measure) * 1e6


def print_tiers(times: dict[str, dict[str, float]]) -> None:
    """What each executor makes of arithmetic, a checksum, a parser."""
    print(f"\n{'executor':<14}{'ALU loop, M/s':>15}{'checksum, ns':>15}{'parse, ns':>12}")
    for executor, found in times.items():
        rate = f"{ALU_INSTRUCTIONS / found['alu'] * 1e3:.1f}"
        print(f"{executor:<14}{rate:>15}{found['sum']:>15,.0f}{found['parser']:>12,.0f}")
    for executor in times:
        loaded, ran = cold(executor)
        print(f"cold process, {executor}: {loaded * 1e3:.0f} ms to load, then {ran * 1e3:.1f} ms")


def row(name: str, columns: list[float | None]) -> str:
    cells = (f"{cell:>12,.1f}" if cell is not None else f"{'-':>12}" for cell in columns)
    return f"{name:<16}" + "".join(cells)


def main() -> None:
    obj = osmia.compile(HERE / "programs.bpf.c")
    with obj.load(engine="vm") as loaded:
        interpreted = loaded_times(loaded, executor="interpreter", strict=False)
        generated = loaded_times(loaded, executor="generated")
        compiled = loaded_times(loaded, executor="jit")
        around = around_a_run(loaded.programs["empty"])
        batch = Batch([SMALL] * 10_000)
        rates = {name: batch_rate(loaded.programs[name], batch) for name in ("empty", "parser")}
        dispatcher = loaded.vm.dispatcher(loaded.programs["parser"])
        rates["parser through a dispatcher"] = batch_rate(dispatcher, batch)
    with obj.load(engine="vm", retpoline=True) as loaded:
        retpoline = loaded_times(loaded, executor="jit")["indirect"]
    try:
        with obj.load() as loaded:
            kernel = loaded_times(loaded)
    except osmia.OsmiaError as error:
        print(f"no kernel figures: {error}")
        kernel = {}
    library = native_library()
    print("ns a run          interpreter   generated         jit      kernel      native")
    for name, (packet, times, _) in WORK.items():
        plain = native(library, name, packet, times)
        python = [interpreted.get(name), generated.get(name)]
        print(row(name, [*python, compiled[name], kernel.get(name), plain]))
    print(f"indirect with retpoline: {retpoline:.1f}")
    for name in ("direct", "indirect"):
        print(f"one {name} tail call: {(compiled[name] - compiled['empty']) / 33:.2f} ns")
    print(f"one indirect tail call with retpoline: {(retpoline - compiled['empty']) / 33:.2f} ns")
    for name, rate in rates.items():
        print(f"batch, {name}: {rate / 1e6:.1f} M packets/s")
    print(f"around a run of a compiled program: {around:.1f} µs")
    print_tiers({"interpreter": interpreted, "generated": generated, "jit": compiled})
    print(f"compiling 4,000 instructions: {best(partial(compile_time, 4000), 5):.3f} s")


def batch_rate(program: Any, batch: Batch) -> float:
    program.run_batch(batch)

    def measure() -> float:
        begin = time.perf_counter()
        program.run_batch(batch, repeat=20)
        return time.perf_counter() - begin

    return len(batch) * 20 / best(measure, 5)


def compile_time(instructions: int) -> float:
    """Seconds to translate and compile a straight program with loads, stores and branches."""
    from osmia.vm.jit import compiler
    from osmia.vm.jit.module import module_text

    lines = ["r6 = r1", "r0 = 0"]
    for number in range((instructions - 4) // 6):
        lines += [
            f"r3 = *(u32 *)(r6 +{4 * (number % 64)})",
            f"r3 += {number}",
            "r0 ^= r3",
            f"*(u32 *)(r10 -{4 * (1 + number % 64)}) = r0",
            f"if r0 > {number} goto pc+1",
            "r0 += 7",
        ]
    code = assemble("\n".join([*lines, "exit"]))
    with Vm(memory=1 << 24, cpus=1) as vm:
        jit = vm.need_jit()
        program = vm.load_program(code)
        begin = time.perf_counter()
        context = jit.context(None)
        compiler.compile_fresh(compiler.host(), module_text(context, program.code), 2)
        return time.perf_counter() - begin


if __name__ == "__main__":
    main()
