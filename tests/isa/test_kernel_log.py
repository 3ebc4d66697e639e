"""The running kernel's verifier prints what we print, and finds live what we find live.

The log's section "Live regs before insn" (Linux 6.15 and later) has every instruction of
a program, run or not, sensible or not: only its jumps must be right.
"""

from __future__ import annotations

import errno
import os
import re

import pytest

from osmia.isa import assemble, control_flow, disassemble, live_registers
from osmia.isa.liveness import registers
from osmia.isa.opcodes import FRAME_POINTER
from osmia.kernel.sys import syscall
from osmia.object.uapi import ProgramType

pytestmark = pytest.mark.kernel

LOG_BYTES = 1 << 20
INSTRUCTION_AND_STATE = 2
# In front of the slot of an instruction in a loop: the number of the loop (newer kernels).
_LINE = re.compile(r"^\s*(?:\d+ +)?(\d+): ([0-9.]{10}) \([0-9a-f]{2}\) (.*)$")


def verifier_lines(code: bytes) -> dict[int, tuple[str, str]]:
    """For each slot, its live registers and its text, from the log of loading `code`."""
    log = bytearray(LOG_BYTES)
    fd, _ = syscall.prog_load(
        ProgramType.SOCKET_FILTER,
        code,
        license="GPL",
        log_level=INSTRUCTION_AND_STATE,
        log=log,
        log_size=LOG_BYTES,
    )
    if fd >= 0:
        os.close(fd)
    elif fd in (-errno.EPERM, -errno.EACCES) and not log[0]:
        pytest.skip("bpf(2) is not permitted here")
    text = log.split(b"\0", 1)[0].decode()
    if "Live regs before insn" not in text and kernel_version() < (6, 15):
        pytest.skip("this kernel's log has no live registers (since 6.15)")
    matches = (_LINE.match(line) for line in text.splitlines())
    return {int(match[1]): (match[2], match[3]) for match in matches if match}


def kernel_version() -> tuple[int, int]:
    major, minor = os.uname().release.split(".")[:2]
    return int(major), int(re.match(r"\d+", minor)[0])  # type: ignore[index]


def test_the_verifier_prints_the_same_text(verifier_spellings: list[tuple[bytes, str]]) -> None:
    code = b"".join(code for code, _ in verifier_spellings if code != assemble("exit"))
    code += assemble("r0 = 0\nexit")
    printed = {slot: text for slot, (_, text) in verifier_lines(code).items()}
    assert printed == dict(disassemble(code))


def test_the_verifier_prints_ld_imm64_without_our_ll() -> None:
    code = assemble("r1 = 0x1122334455667788 ll\nr0 = 0\nexit")
    assert verifier_lines(code)[0][1] + " ll" == next(disassemble(code))[1]


PROGRAM = """
        r6 = r1
        r7 = 0
loop:   r7 += 1
        if r7 > 0x10 goto done
        r2 = *(u32 *)(r6 +0)
        w2 &= w7
        *(u64 *)(r10 -8) = r2
        r3 = 1
        r3 = atomic64_fetch_add((u64 *)(r10 -8), r3)
        r0 = 5
        r0 = atomic64_cmpxchg((u64 *)(r10 -8), r0, r3)
        if r0 == r3 goto skip
        call bpf_get_prandom_u32
        r8 = r0
        if w8 & 0x1 goto loop
skip:   r1 = 7
        r2 = 8
        call sum
        r9 = r0
        may_goto loop
        r9 s/= 3
        r9 = be32 r9
        goto loop
done:   r0 = r7
        exit
sum:    r0 = r1
        r0 += r2
        exit
"""


def test_the_verifier_finds_the_same_registers_live() -> None:
    code = assemble(PROGRAM)
    lines = verifier_lines(code)
    flow = control_flow(code)
    before = live_registers(flow).before
    call = next(slot for slot, insn in flow.instructions.items() if insn.is_subprogram_call)
    ours = {slot: registers(mask & ~(1 << FRAME_POINTER)) for slot, mask in before.items()}
    theirs = {
        slot: tuple(int(mark) for mark in marks if mark != ".")
        for slot, (marks, _) in lines.items()
    }
    assert set(range(1, 6)) <= set(ours[call])
    assert ours == theirs
