"""Cases about globals, calls, packets and refusals."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from osmia.errors import VerifierError
from osmia.selftest.runner import Case, Skip, Workbench

if TYPE_CHECKING:
    from osmia.toolchain.compiler import Compiler

_SOURCE = "basics.bpf.c"
_PACKET = bytes(64)
_IPV4 = bytes(12) + b"\x08\x00" + bytes(50)
_XDP_DROP, _XDP_PASS, _XDP_TX = 1, 2, 3
_BOTH = ("kernel", "vm")


def _globals(bench: Workbench) -> None:
    obj = bench.compile(_SOURCE, "globals")
    obj.data["step"] = 2
    obj.data["greeting"] = "Hallo"
    with obj.load(engine=bench.engine) as bpf:
        result = bpf.programs["globals"].run(_PACKET)
        bench.equal(result.retval, ord("H"), "a constant set before load")
        bench.equal(bpf.data["total"], 42, "a variable that the program changed")
        bench.equal(bpf.data["hot"], 14, "a variable in a section of its own")
        bench.equal(list(bpf.data["table"]), [1, 2, 3, -4], "an array of signed numbers")
        bpf.data["total"] = 1000
        bpf.programs["globals"].run(_PACKET)
        bench.equal(bpf.data["total"], 1002, "a variable that was assigned while loaded")


def _calls(bench: Workbench) -> None:
    bpf = bench.load(_SOURCE, "calls")
    result = bpf.programs["calls"].run(_PACKET)
    bench.equal(result.retval, 64 * 2 + 3, "what subprograms, static and global, computed")


def _callbacks(bench: Workbench) -> None:
    bpf = bench.load(_SOURCE, "callbacks")
    bench.equal(bpf.programs["callbacks"].run(_PACKET).retval, 45, "the sum of a bpf_loop")


def _packets(bench: Workbench) -> None:
    packets = bench.load(_SOURCE, "packets").programs["packets"]
    bench.equal(packets.run(_PACKET).retval, _XDP_PASS, "the verdict on a packet of no protocol")
    result = packets.run(_IPV4)
    bench.equal(result.retval, _XDP_TX, "the verdict on an IPv4 packet")
    bench.equal(bytes(result.data), b"\xff" + _IPV4[1:], "the packet as the program left it")


def _repeated(bench: Workbench) -> None:
    obj = bench.compile(_SOURCE, "globals")
    with obj.load(engine=bench.engine) as bpf:
        result = bpf.programs["globals"].run(_PACKET, repeat=1000)
        bench.equal(bpf.data["runs"], 1000, "how often the program ran")
        bench.true(result.duration_ns >= 0, "a run takes time")


def _jump_tables(bench: Workbench) -> None:
    obj = bench.compile("jumps.bpf.c", cpu="v4", compiler=_new_compiler())
    bench.equal(len(obj.jump_tables), 2, "the number of jump tables")
    with obj.load(engine=bench.engine) as bpf:
        for size, verdict in ((64, 12), (65, 1), (70, 36), (77, 3), (79, 99)):
            result = bpf.programs["jumps"].run(bytes(size))
            bench.equal(result.retval, verdict, f"what was computed for {size} bytes")


def _new_compiler() -> Compiler:
    """One that makes jump tables: the default one, or the wheel's."""
    from osmia.errors import CompileError
    from osmia.toolchain.compiler import find_compiler

    for which in (None, "zig"):
        with suppress(CompileError):
            compiler = find_compiler(which)
            if compiler.major >= 22:
                return compiler
    raise Skip("jump tables need clang 22 or newer")


def _refusal(bench: Workbench) -> None:
    obj = bench.compile(_SOURCE, "refused")
    error = bench.raises(VerifierError, lambda: bench.keep(obj.load(engine=bench.engine)))
    bench.true("basics.bpf.c:" in str(error), "the refusal names the source line")
    assert isinstance(error, VerifierError)
    bench.true(error.log, "the whole log is kept")


CASES = (
    Case("globals", "constants before load, variables before and after", _globals, _BOTH),
    Case("calls", "static and global subprograms", _calls, _BOTH),
    Case("callbacks", "a function whose address is taken (5.17)", _callbacks, _BOTH),
    Case("packets", "XDP on packets, verdicts and changes", _packets, _BOTH),
    Case("repeated-runs", "a test run of 1000 rounds", _repeated, _BOTH),
    Case(
        "jump-tables", "a switch and a computed goto as indirect jumps (6.19)", _jump_tables, _BOTH
    ),
    Case("refusal", "a program that the verifier refuses, with its source line", _refusal),
)
