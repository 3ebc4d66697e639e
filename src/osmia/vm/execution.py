"""One interpreted run: what the interpreter asks of its vm, its CPU and its context."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from osmia.isa.instruction import Instruction
from osmia.object.uapi import MapType, ProgramType
from osmia.vm import layout
from osmia.vm.access import Access, AccessError, Areas, Owner
from osmia.vm.errors import Interrupt, ProgramFault, describe_call, describe_jump
from osmia.vm.helpers.table import Argument, Helper, HelperCaller, Invocation

# The name that type checkers know; `typing` is dear.
TYPE_CHECKING = False

if TYPE_CHECKING:
    from osmia.vm.cpu import Cpu
    from osmia.vm.engine import Vm
    from osmia.vm.interpreter import Interpreter
    from osmia.vm.maps.body import MapBody
    from osmia.vm.programs import VmProgram

_FIXED_SIZES = {
    Argument.READ4: (4, False),
    Argument.READ8: (8, False),
    Argument.WRITE8: (8, True),
    Argument.NEW_DYNPTR: (16, True),
    Argument.DYNPTR: (16, False),
}


class Execution:
    """What one run shares with everything around it."""

    def __init__(
        self, vm: Vm, cpu: Cpu, context: Owner | None, program_type: ProgramType | None
    ) -> None:
        self.vm = vm
        self.cpu = cpu
        self.context = context
        self.memory = vm.memory
        self.program_type = program_type

    @property
    def areas(self) -> Areas:
        """The areas of the region that belong to maps."""
        return self.vm.areas

    @property
    def replaces_program(self) -> bool:
        """Whether a tail call replaces the whole program and not the function's frame."""
        return self.vm.tail_calls == "program"

    def immediate(self, i: Instruction, slot: int) -> int:
        """The value of an ld_imm64 at a slot."""
        return self.vm.immediate(i, slot)

    def exchange(self, address: int, size: int, change: Callable[[int], int]) -> int:
        """Change a word atomically; gives what it was."""
        while True:
            old = self.memory.load(address, size)
            name = "exchange64" if size == 8 else "exchange32"
            if self.vm.natives.call(name, address, old, change(old)) == old:
                return old

    def packet_load(self, offset: int, size: int) -> int | None:
        """Packet bytes in network order, for legacy loads; None beyond the packet."""
        import osmia.vm.helpers.skb  # noqa: F401  # what is called here

        natives, frame = self.vm.natives, self.cpu.stack_top
        if not natives.call("packet_holds", frame, offset, size):
            return None
        return natives.call("packet_word", frame, offset, size)

    def check_entry(self, frame: int) -> None:
        """See that a function that has this frame may enter another one by handle."""
        if not self.vm.natives.call("may_enter", frame):
            raise ProgramFault(describe(Interrupt.STACK, 0))

    def linked_program(self, handle: int) -> VmProgram:
        """The program that a call names."""
        dispatcher = self.vm.dispatchers.get(handle)
        if dispatcher is None:
            raise ProgramFault(f"no dispatcher has the handle {handle}")
        return dispatcher.program

    def tail_call_target(self, array: int, key: int) -> VmProgram | None:
        """The program of a slot, counted as a tail call taken; None when it cannot be."""
        header = self.vm.natives.call("map_at", array)
        if not header or self.memory.load32(header + layout.MAP_TYPE) != MapType.PROG_ARRAY:
            raise AccessError(f"r2 is no prog array: {array:#x}")
        number = self.vm.natives.call("take_tail_call", self.cpu.stack_top, header, key)
        return self.vm.lifetimes.programs[number] if number else None

    def call(self, interpreter: Interpreter, i: Instruction) -> int:
        """Call a helper or kfunc: check its arguments, then run it."""
        found, arguments = self.called(interpreter, i)
        return self.invoke(found, arguments, interpreter.frame.pointer, interpreter)

    def called(self, interpreter: Interpreter, i: Instruction) -> tuple[Helper, list[int]]:
        """The helper or kfunc that a call names, and its arguments, checked."""
        found = self.vm.resolve(i, self.program_type)
        if found.name == "poison":
            raise ProgramFault(self.vm.unresolved.words(i.imm))
        values = [interpreter.registers[n] for n in range(1, 1 + len(found.arguments))]
        arguments = []
        for number, value in enumerate(values, start=1):
            if value is None and found.arguments[number - 1] is Argument.OPTIONAL:
                value = 0
            if value is None:
                raise AccessError(f"{found.name} takes r{number}, which is not written yet")
            arguments.append(value)
        if interpreter.strict:
            self._check(interpreter.access, found, arguments)
        return found, arguments

    def invoke(
        self, found: Helper, arguments: Sequence[int], frame: int, caller: HelperCaller
    ) -> int:
        """Run a helper for the function that has this frame."""
        if found.python is not None:
            invocation = Invocation(self.vm, self.cpu, frame, caller)
            try:
                return found.python(invocation, *arguments)
            except (ProgramFault, AccessError):
                raise
            except Exception as error:
                raise ProgramFault(f"{found.name} raised {error!r}") from error
        result = self.vm.natives.call(found.native, frame, *arguments)
        why = self.memory.load64(self.cpu.state + layout.STATE_INTERRUPT)
        if why:
            self.memory.store64(self.cpu.state + layout.STATE_INTERRUPT, 0)
            detail = self.memory.load64(self.cpu.state + layout.STATE_DETAIL)
            raise ProgramFault(f"{found.name}: {describe(why, detail)}")
        return result

    def _check(self, access: Access, found: Helper, arguments: list[int]) -> None:
        of_map: MapBody | None = None
        for position, kind in enumerate(found.arguments):
            value = arguments[position]
            try:
                match kind:
                    case Argument.MAP:
                        of_map = self.vm.map_of(value)
                        if of_map is None:
                            raise AccessError("not a map")
                    case Argument.KEY if of_map is not None:
                        access.check(value, of_map.key_size, False)
                    case Argument.VALUE if of_map is not None:
                        access.check(value, of_map.value_size, False)
                    case Argument.INITIAL if of_map is not None and value:
                        access.check(value, of_map.value_size, False)
                    case Argument.MEMORY:
                        access.check_there(value, arguments[position + 1])
                    case Argument.RESULT if of_map is not None:
                        access.check(value, of_map.value_size, True)
                    case Argument.READ | Argument.WRITE:
                        size = arguments[position + 1]
                        access.check(value, size, kind is Argument.WRITE)
                    case Argument.BUFFER if value:
                        access.check(value, arguments[position + 1], True)
                    case Argument.CONTEXT:
                        if value != self.cpu.context:
                            raise AccessError("not the context")
                    case _ if kind in _FIXED_SIZES:
                        access.check(value, *_FIXED_SIZES[kind])
            except AccessError as error:
                raise AccessError(f"{found.name}, argument r{position + 1}: {error}") from None


def describe(why: int, detail: int) -> str:
    """An interrupt in words."""
    match why:
        case Interrupt.BUDGET:
            return "the instruction budget is used up"
        case Interrupt.ACCESS:
            return f"memory at {detail:#x} is outside the region"
        case Interrupt.HANDLE:
            return f"{detail:#x} is no map that this helper takes"
        case Interrupt.DEADLOCK:
            return f"the spin lock at {detail:#x} is never released"
        case Interrupt.JUMP:
            return describe_jump(detail)
        case Interrupt.FUNCTION:
            return describe_call(detail)
        case Interrupt.STACK:
            return "the stack has no room for one more call of a program or a callback"
        case Interrupt.PACKET:
            return f"an IP packet of {detail} bytes is without its whole header"
        case _:
            return "a helper failed"
