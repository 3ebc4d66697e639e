"""What stubs are made of, on each machine: instructions that jump to a target nearby, or through a
word that holds its address.

A stub is 24 bytes, 8-byte aligned:

     0  a jump to the target, or to 8 when that is too far away      (8 bytes with padding)
     8  a jump through the word at 16
    16  the target's address

    x86-64   jmp rel32               jmp [rip + 2]
    arm64    b imm26 (128 MiB)       ldr x16, [pc + 8]; br x16

x16 is what the procedure call standard gives to such veneers. The first jump is replaced by one
aligned store. On x86-64 that is all; on arm64 it is of the instructions that may be replaced while
others execute them (B by B; ARM DDI 0487, B2.2.5), once the caches are told: `FLUSH`.
"""

from __future__ import annotations

from osmia.records import dataclass

SIZE = 24
THROUGH, WORD = 8, 16
"""Where a stub's second jump is, and its target's address."""

FLUSH = "dc cvau, $0\\0Adsb ish\\0Aic ivau, $0\\0Adsb ish\\0Aisb"
"""arm64, as inline assembly of LLVM's: the line of memory at an address is fetched anew by all
CPUs. A stub's first 8 bytes are in one line. Linux lets user space do this (SCTLR_EL1.UCI)."""


@dataclass(frozen=True, slots=True)
class StubCode:
    """One machine's stubs."""

    assembly: tuple[str, ...]  # of a stub that traps until it is pointed somewhere
    opcode: int  # of the jump at 0, without its distance
    shift: int  # where in the instruction the distance is
    bits: int  # how many it has, signed
    unit: int  # what it counts, in bytes
    origin: int  # from which byte of the stub it counts
    padding: int  # what follows the jump, in the same 8 bytes
    flushes: bool

    def jump(self, stub: int, target: int) -> int:
        """The first 8 bytes of the stub at an address that goes to another."""
        limit = 1 << (self.bits - 1)
        distance = (target - stub - self.origin) // self.unit
        if not -limit <= distance < limit:
            distance = (THROUGH - self.origin) // self.unit
        return self.opcode | (distance & (2 * limit - 1)) << self.shift | self.padding


X86_64 = StubCode(
    assembly=(
        ".quad 0x0b0f0b0f0b0f0b0f",  # ud2
        ".byte 0xff, 0x25, 2, 0, 0, 0, 0x66, 0x90",
        ".quad 0",
    ),
    opcode=0xE9,
    shift=8,
    bits=32,
    unit=1,
    origin=5,
    padding=0x001F0F << 40,  # nop
    flushes=False,
)
ARM64 = StubCode(
    assembly=("brk #0", "nop", "ldr x16, #8", "br x16", ".quad 0"),
    opcode=0x14000000,
    shift=0,
    bits=26,
    unit=4,
    origin=0,
    padding=0xD503201F << 32,  # nop
    flushes=True,
)

MACHINES = {"x86_64": X86_64, "AMD64": X86_64, "aarch64": ARM64}
"""By what uname says. Systems that write "arm64" let no code be changed in this way."""
