"""Where breakpoints are: lines, functions, instructions, calls of helpers, accesses to maps.

A place says for each program at which of its slots it may be; where that depends on the run,
`holds` is asked there.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from osmia.debugger.errors import DebuggerError
from osmia.isa import opcodes as op
from osmia.isa.alu import M64
from osmia.isa.forms import Form
from osmia.isa.helper_functions import HELPERS
from osmia.records import dataclass
from osmia.vm.code import TAIL_CALL
from osmia.vm.helpers.table import Argument
from osmia.vm.programs import VmProgram

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from osmia.debugger.machine import Machine
    from osmia.isa.instruction import Instruction
    from osmia.vm.code import Code
    from osmia.vm.interpreter import Frame as Activation
    from osmia.vm.maps.body import MapBody

LOADS = frozenset({Form.LOAD, Form.LOAD_SIGN_EXTENDED, Form.LOAD_ACQUIRE})
STORES = frozenset({Form.STORE, Form.STORE_IMMEDIATE, Form.STORE_RELEASE})
ATOMICS = frozenset({Form.ATOMIC, Form.ATOMIC_FETCH, Form.EXCHANGE, Form.COMPARE_EXCHANGE})
WRITES = STORES | ATOMICS | {Form.CALL, Form.CALL_REGISTER}
"""The instructions that may change memory."""


class Place(Protocol):
    """A kind of place."""

    def slots(self, program: VmProgram) -> Iterable[int]:
        """The slots of a program at which it may be."""

    def holds(self, machine: Machine) -> bool:
        """Whether it is here: the instruction about to run is at one of the slots."""

    def __str__(self) -> str:
        """As people read it."""


class Everywhere:
    """A place that is wherever its slots are."""

    def holds(self, machine: Machine) -> bool:
        """See `Place`."""
        return True


def same_file(known: str, asked: str) -> bool:
    """Whether a file that an object names is the one that is asked for: by all of its path, or
    the end of it."""
    return known == asked or known.endswith("/" + asked.removeprefix("./").lstrip("/"))


@dataclass(frozen=True, slots=True)
class AtLine(Everywhere):
    """Where the code of a line begins, each time it does; in every program."""

    file: str
    line: int

    def slots(self, program: VmProgram) -> Iterable[int]:
        """See `Place`."""
        return line_slots(program.code, self.file, self.line)

    def __str__(self) -> str:
        return f"{self.file.rpartition('/')[2]}:{self.line}"


def line_slots(code: Code, file: str, line: int) -> list[int]:
    """The slots at which a line's code begins that were not reached from the line itself."""
    found, last = [], None
    for slot, here in sorted(code.lines.items()):
        this = here.file, here.line, code.function_at(slot).start
        if this != last and this[:2] == (file, line):
            found.append(slot)
        last = this
    return found


def check_line(frame: Activation, line: int | None, file: str | None) -> str:
    """The function that a frame is in. DebuggerError where that has no code of a line."""
    code = frame.code
    function = code.function_at(frame.slot)
    known = [
        here.line
        for slot, here in code.lines.items()
        if function.start <= slot < function.end and (not file or here.file == file)
    ]
    if line is None or line in known:
        return function.name
    lines = f": its lines are {min(known)} to {max(known)}" if known else " there"
    raise DebuggerError(f"{function.name} has no code of line {line}{lines}")


def nearest_line(programs: Iterable[VmProgram], file: str, line: int) -> AtLine:
    """The line, or the next one that has code. DebuggerError: none has in such a file."""
    known = {
        (each.line, each.file)
        for program in programs
        for each in program.code.lines.values()
        if same_file(each.file, file)
    }
    if not known:
        raise DebuggerError(f"no program has code of a file {file!r}")
    found = min((each for each in known if each[0] >= line), default=None)
    if found is None:
        raise DebuggerError(f"line {line} of {file}: the last that has code is {max(known)[0]}")
    return AtLine(found[1], found[0])


@dataclass(frozen=True, slots=True)
class AtFunction(Everywhere):
    """The first instruction of the functions, or programs, of a name."""

    name: str

    def slots(self, program: VmProgram) -> Iterable[int]:
        """See `Place`."""
        found = [start for start, each in program.code.functions.items() if each.name == self.name]
        return [0] if program.name == self.name and not found else found

    def __str__(self) -> str:
        return f"{self.name}()"


@dataclass(frozen=True, slots=True)
class AtInlined(Everywhere):
    """Where the code of functions of a name begins that were inlined: `find` gives its slots in
    a program."""

    name: str
    find: Callable[[VmProgram, str], Iterable[int]]

    def slots(self, program: VmProgram) -> Iterable[int]:
        """See `Place`."""
        return self.find(program, self.name)

    def __str__(self) -> str:
        return f"{self.name}(), inlined"


@dataclass(frozen=True, slots=True)
class AtInstruction(Everywhere):
    """An instruction of one program, by its slot."""

    program: VmProgram
    slot: int

    def slots(self, program: VmProgram) -> Iterable[int]:
        """See `Place`."""
        return [self.slot] if program.number == self.program.number else []

    def __str__(self) -> str:
        return f"instruction {self.slot} of {self.program.name}"


@dataclass(frozen=True, slots=True)
class AtHelper(Everywhere):
    """Calls of a helper or kfunc, by its name with or without "bpf_"."""

    name: str

    def slots(self, program: VmProgram) -> Iterable[int]:
        """See `Place`."""
        wanted = self.name.removeprefix("bpf_")
        return [
            slot
            for slot, i in enumerate(program.code.instructions)
            if i is not None and i.is_call and called_name(program, i) == wanted
        ]

    def __str__(self) -> str:
        return f"calls of bpf_{self.name.removeprefix('bpf_')}"


def called_name(program: VmProgram, i: Instruction) -> str:
    """The helper or kfunc that a call names, without "bpf_"; "" for what is none."""
    if i.src == op.CallKind.HELPER:
        known = HELPERS.get(i.imm)
        return known.name.removeprefix("bpf_") if known else ""
    if i.src == op.CallKind.KFUNC:
        return program.vm.resolve(i, program.type).name
    return ""


@dataclass(frozen=True, slots=True)
class AtMap:
    """Accesses to a map: calls of helpers that are given it, loads and stores in its values. With
    a key, those to that entry alone."""

    name: str
    body: MapBody
    key: bytes | None = None
    key_text: str = ""

    def slots(self, program: VmProgram) -> Iterable[int]:
        """See `Place`."""
        wanted = LOADS | STORES | ATOMICS | {Form.CALL}
        return [slot for slot, form in enumerate(program.code.forms) if form in wanted]

    def holds(self, machine: Machine) -> bool:
        """See `Place`."""
        frame = machine.frame
        i, form = frame.code.instructions[frame.slot], frame.code.forms[frame.slot]
        assert i is not None
        if form is Form.CALL:
            return self._is_given(machine, i)
        base = frame.registers[i.src if form in LOADS else i.dst]
        if base is None or not self.body.values_size:
            return False
        offset = (base + i.offset & M64) - self.body.values_address
        if not 0 <= offset < self.body.values_size:
            return False
        return self.key is None or self._key_at(offset) == self.key

    def _key_at(self, offset: int) -> bytes | None:
        number = offset // self.body.step
        start = self.body.values_address + number * self.body.step
        return next((key for key, where in self.body.entries() if where == start), None)

    def _is_given(self, machine: Machine, i: Instruction) -> bool:
        if i.src not in (op.CallKind.HELPER, op.CallKind.KFUNC):
            return False
        given = machine.registers[1:6]
        if self.body.handle not in given:
            return False
        if self.key is None or i.imm == TAIL_CALL:
            return True
        helper = machine.vm.resolve(i, machine.execution.program_type)
        place = helper.arguments.index(Argument.KEY) if Argument.KEY in helper.arguments else None
        address = None if place is None else given[place]
        if address is None or not 0 <= address < machine.memory.size - len(self.key):
            return False
        return machine.memory.read(address, len(self.key)) == self.key

    def __str__(self) -> str:
        return f"accesses to {self.name}" + (f"[{self.key_text}]" if self.key is not None else "")
