"""What a test calls a program with, where the kernel would: a function's arguments as the context
that the program's kind finds them in.

Trampolines and typed tracepoints pass u64 words (kernel/bpf/trampoline.c), probes the registers of
where a process stopped (struct pt_regs of x86-64 and arm64), system calls' tracepoints a record.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from struct import pack
from typing import TYPE_CHECKING, Any

from osmia.btf import BTF, BTFBuilder, Kind, Ptr, Struct, Union
from osmia.errors import NotSupportedError
from osmia.object.uapi import ProgramType
from osmia.records import dataclass
from osmia.vm.native import M64
from osmia.vm.prototypes import RETURNING, parameters
from osmia.vm.structures import Block, Builder, types_of

if TYPE_CHECKING:
    from osmia.vm.programs import VmProgram

WORD = 8
MOST = 12
"""Arguments of a function that the kernel lets programs trace (MAX_BPF_FUNC_ARGS)."""

_WORDS = frozenset(
    {
        *(ProgramType.TRACING, ProgramType.LSM, ProgramType.STRUCT_OPS),
        *(ProgramType.RAW_TRACEPOINT, ProgramType.RAW_TRACEPOINT_WRITABLE),
    }
)


@dataclass(frozen=True)
class Registers:
    """struct pt_regs of a machine: where the arguments of functions and of system calls are, the
    result, and its size in bytes."""

    arguments: tuple[int, ...]
    syscall: tuple[int, ...]
    result: int
    size: int


X86_64 = Registers((112, 104, 96, 88, 72, 64), (112, 104, 96, 56, 72, 64), 80, 168)
ARM64 = Registers(tuple(range(0, 64, 8)), tuple(range(0, 48, 8)), 0, 272)


class Call:
    """A call of a program with a test's arguments: `context` is what it gets. What was built for
    it is there as long as this is."""

    def __init__(self, program: VmProgram, arguments: Sequence[Any], result: Any) -> None:
        self._program = program
        self._vm = program.vm
        self._made: list[Block] = []
        if isinstance(arguments, str | bytes | Mapping) or not isinstance(arguments, Sequence):
            raise TypeError(f"args={arguments!r:.80}: a list of what the function is called with")
        btf, types = parameters(program)
        if types is not None and len(arguments) > len(types):
            where = program.definition.attach_to if program.definition is not None else ""
            raise ValueError(f"{where} takes {len(types)} arguments, {len(arguments)} are given")
        if len(arguments) > MOST:
            raise ValueError(f"{len(arguments)} arguments: at most {MOST} are possible")
        known = types or ()
        words = [
            self._word(btf, known[n] if n < len(known) else 0, value)
            for n, value in enumerate(arguments)
        ]
        words += [0] * (len(known) - len(words))
        self.context = self._context(words, self._word(btf, 0, result))

    def _word(self, btf: BTF | None, type_id: int, value: Any) -> int:
        """An argument as the machine passes it."""
        if value is None or isinstance(value, int):
            return int(value or 0) & M64
        target = 0
        if btf is not None and type_id:
            kind = btf.type(btf.resolve(type_id))
            target = kind.target if isinstance(kind, Ptr) else 0
            if isinstance(kind, Struct | Union):
                raise NotSupportedError("arguments that are structs, not pointers to them")
        return Builder(self._vm, btf or BTFBuilder().build()).pointer(target, value, self._made)

    def _context(self, words: list[int], result: int) -> bytes:
        program = self._program
        if program.type in _WORDS:
            if program.expected_attach_type in RETURNING:
                words = [*words, result]
            return pack(f"<{len(words)}Q", *words)
        if program.type is ProgramType.KPROBE:
            return self._registers(words, result)
        if program.type is ProgramType.TRACEPOINT:
            return self._record(words, result)
        kind = program.type.name if program.type is not None else "raw"
        raise NotSupportedError(f"{kind} programs are not called with arguments: give ctx=")

    def _registers(self, words: list[int], result: int) -> bytes:
        """Where a process stopped: at a function's entry, or behind its return."""
        machine = self._machine()
        section = self._program.definition.section if self._program.definition is not None else ""
        if not section.lstrip("?").startswith(("ksyscall", "kretsyscall")):
            return _registers(machine, machine.arguments, words, result)
        target = self._vm.target
        if target is None or not target.feature("LINUX_HAS_SYSCALL_WRAPPER"):
            return _registers(machine, machine.syscall, words, result)
        of_user = _registers(machine, machine.syscall, words, 0)
        self._made.append(Block(self._vm, of_user, "struct pt_regs"))
        return _registers(machine, machine.arguments, [self._made[-1].address], result)

    def _machine(self) -> Registers:
        """The registers of the target: the machine that its types are of, else this one."""
        for btf in types_of(self._vm):
            kind = btf.type(btf.find("pt_regs", Kind.STRUCT) or btf.find("pt_regs", Kind.FWD))
            if isinstance(kind, Struct):
                return X86_64 if any(each.name in ("di", "rdi") for each in kind.members) else ARM64
        from osmia.vm.helpers.tracing import machine

        return ARM64 if machine() in ("aarch64", "arm64") else X86_64

    def _record(self, words: list[int], result: int) -> bytes:
        """struct trace_event_raw_sys_enter and _exit: the number of the call, 0 here, behind it the
        arguments or the result."""
        definition = self._program.definition
        event = definition.attach_to.rpartition("/")[2] if definition is not None else ""
        if event.startswith("sys_exit"):
            return pack("<3Q", 0, 0, result)
        if event.startswith("sys_enter"):
            return pack("<8Q", 0, 0, *words[:6], *[0] * (6 - len(words)))
        what = f"the tracepoint {event or 'of this program'} has a record of its own"
        raise NotSupportedError(f'{what}: give ctx=vm.struct("trace_event_raw_…", …)')


def _registers(
    machine: Registers, places: Sequence[int], words: Sequence[int], result: int
) -> bytes:
    if len(words) > len(places):
        raise ValueError(f"{len(words)} arguments: {len(places)} are in registers")
    regs = bytearray(machine.size)
    regs[machine.result : machine.result + WORD] = pack("<Q", result)
    for place, word in zip(places, words, strict=False):
        regs[place : place + WORD] = pack("<Q", word)
    return bytes(regs)
