"""The code of a loader program, written as assembly text.

Registers: r6 is the context (struct bpf_loader_ctx and what follows it in the skeleton), r7 the
result of the last call that may fail. All else stands in the blob, so that what the verifier
sees at the place where failures end is the same wherever they come from.

A failure has to reach that place over any distance with jumps of 16 bits: each step leaves a
jump to that of the step before, and fails by going to its own.
"""

from __future__ import annotations

from errno import EKEYREJECTED
from hashlib import sha256
from sys import byteorder

from osmia.isa.assembler import assemble
from osmia.kernel.skeletons.blob import Attributes, Blob
from osmia.kernel.sys.syscall import Command

#: struct bpf_loader_ctx (libbpf's skel_internal.h): places of its fields, and its size.
CONTEXT_FLAGS, CONTEXT_LOG_LEVEL, CONTEXT_LOG_SIZE, CONTEXT_LOG = 4, 8, 12, 16
CONTEXT_SIZE = 24
#: What a loader gives that finds its map changed, negative.
CHANGED = EKEYREJECTED
#: `flags`: who runs the loader is the kernel itself, and so are the addresses it gives.
_FROM_KERNEL = 1


class LoaderCode:
    """The code so far. Places (`at`) are those of a Blob."""

    def __init__(self) -> None:
        self._steps: list[list[str]] = [[]]
        self._last_check = 0
        self._labels = 0

    def step(self) -> None:
        """Begin a step: fewer instructions than a jump can pass over."""
        self._steps.append([])

    def add(self, *lines: str) -> None:
        """Statements as they are."""
        self._steps[-1] += lines

    def label(self) -> str:
        """A name for a place that has none yet."""
        self._labels += 1
        return f"after_{self._labels}"

    def check(self) -> None:
        """Fail where r7 is negative."""
        self._last_check = len(self._steps)
        self.add(f"if r7 s< 0 goto failed_{self._last_check}")

    def store_address(self, at: int, of: int) -> None:
        """Put the address of a place into another."""
        self.add(f"r0 = {_address(of)}", f"r1 = {_address(at)}", "*(u64 *)(r1 + 0) = r0")

    def copy(self, at: int, source: int) -> None:
        """Copy a number of 32 bits."""
        self.add(f"r1 = {_address(source)}", "r0 = *(u32 *)(r1 + 0)")
        self.store(at, "r0")

    def store(self, at: int, register: str, size: int = 4) -> None:
        """Store a register, not r1."""
        self.add(f"r1 = {_address(at)}", f"*(u{8 * size} *)(r1 + 0) = {register}")

    def copy_from_context(self, at: int, offset: int, size: int, *, unless_zero: bool) -> None:
        """Copy a field of the context; `unless_zero` leaves what is there for a zero."""
        done = self.label()
        self.add(f"r0 = *(u{8 * size} *)(r6 + {offset})")
        if unless_zero:
            self.add(f"if r0 == 0 goto {done}")
        self.store(at, "r0", size)
        self.add(f"{done}:")

    def copy_to_context(self, offset: int, source: int) -> None:
        """Copy a number of 32 bits into the context."""
        self.add(f"r1 = {_address(source)}", "r0 = *(u32 *)(r1 + 0)")
        self.add(f"*(u32 *)(r6 + {offset}) = r0")

    def copy_initial_value(self, at: int, offset: int, size: int) -> None:
        """Read `size` bytes where the context's field at `offset` points, if anywhere."""
        by_kernel, done = self.label(), self.label()
        self.add(
            f"r3 = *(u64 *)(r6 + {offset})",
            f"if r3 == 0 goto {done}",
            f"r1 = {_address(at)}",
            f"r2 = {size}",
            f"r0 = *(u32 *)(r6 + {CONTEXT_FLAGS})",
            f"if r0 & {_FROM_KERNEL} goto {by_kernel}",
            "call bpf_copy_from_user",
            f"goto {done}",
            f"{by_kernel}: call bpf_probe_read_kernel",
            f"{done}:",
        )

    def log_to(self, attributes: Attributes, level: str, size: str, log: str) -> None:
        """Let the kernel write its log where who runs the loader wants it."""
        for field, offset in ((level, CONTEXT_LOG_LEVEL), (size, CONTEXT_LOG_SIZE)):
            self.copy_from_context(attributes.place(field), offset, 4, unless_zero=False)
        self.copy_from_context(attributes.place(log), CONTEXT_LOG, 8, unless_zero=False)

    def call(self, command: Command, attributes: Attributes) -> None:
        """A command of bpf(2): what it gives is in r7."""
        self.add(
            f"r1 = {int(command)}",
            f"r2 = {_address(attributes.at)}",
            f"r3 = {attributes.size}",
            "call bpf_sys_bpf",
            "r7 = r0",
        )

    def find_type(self, name: tuple[int, int], kind: int) -> None:
        """Find a type of the kernel or a module: r7 has its id, above it a descriptor or 0."""
        at, length = name
        self.add(f"r1 = {_address(at)}", f"r2 = {length}", f"r3 = {kind}", "r4 = 0")
        self.add("call bpf_btf_find_by_name_kind", "r7 = r0")

    def find_symbol(self, name: tuple[int, int], found: int) -> None:
        """Find a symbol of the kernel: its address is put at `found`."""
        at, length = name
        self.add(f"r1 = {_address(at)}", f"r2 = {length}", "r3 = 0", f"r4 = {_address(found)}")
        self.add("call bpf_kallsyms_lookup_name", "r7 = r0")

    def close(self, descriptor: int) -> None:
        """Close a descriptor, if it is one, and forget it."""
        done = self.label()
        self.add(
            f"r8 = {_address(descriptor)}",
            "r1 = *(u32 *)(r8 + 0)",
            f"if r1 == 0 goto {done}",
            "call bpf_sys_close",
            "*(u32 *)(r8 + 0) = 0",
            f"{done}:",
        )

    def assembled(self, blob: Blob, *, checks: bool = False) -> bytes:
        """The whole program: it ends well, or closes what the blob has of descriptors. With
        `checks` it first makes sure that its map is what the blob is now."""
        self.add("r0 = 0", "exit")
        lines = []
        for number, step in enumerate(self._steps, 1):
            lines += step
            if number <= self._last_check:
                relay = f"failed_{number}: goto failed_{number - 1}"
                lines += [f"goto step_{number}", relay, f"step_{number}:"]
        self._steps = [[]]
        for descriptor in blob.descriptors:
            self.close(descriptor)
        cleanup = ["failed_0:", *self._steps[0], "r0 = r7", "exit"]
        check = _check(sha256(bytes(blob)).digest()) if checks else []
        start = ["r6 = r1", *check, "goto first", *cleanup, "first:"]
        return assemble("\n".join([*start, *lines]))


def _check(digest: bytes) -> list[str]:
    """Statements that go on where struct bpf_map says of the loader's map that it is exclusive and
    has that SHA-256; else the program ends, having done nothing."""
    lines = ["r1 = map[idx:0]", f"r2 = *(u32 *)(r1 + {len(digest)})", "if r2 != 1 goto changed"]
    for at in range(0, len(digest), 8):
        part = int.from_bytes(digest[at : at + 8], byteorder)
        lines += [f"r2 = *(u64 *)(r1 + {at})", f"r3 = {part:#x} ll", "if r2 != r3 goto changed"]
    return [*lines, "goto unchanged", f"changed: r0 = {-CHANGED}", "exit", "unchanged:"]


def _address(at: int) -> str:
    return f"map[idx:0][0]+{at}"
