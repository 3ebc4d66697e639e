"""`Contents`: what a run that stands still has, to look at and to change."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any

from osmia.debugger import finding
from osmia.debugger.errors import DebuggerError
from osmia.debugger.expressions.expression import Expression, assign
from osmia.debugger.frames import Frame, Registers, VariableReader
from osmia.debugger.listing import ListedInstruction, ListedLine, Sources, disassembly
from osmia.debugger.pointers import Named, Pointers, packet_bounds
from osmia.vm import layout

if TYPE_CHECKING:
    from osmia.debugger.dwarf.c_types import CType
    from osmia.debugger.expressions.types import Types
    from osmia.debugger.given import Given
    from osmia.debugger.machine import Machine
    from osmia.engine.results import RunResult
    from osmia.vm.cpu import Cpu
    from osmia.vm.engine import Vm
    from osmia.vm.loaded import VmObject
    from osmia.vm.programs import VmProgram
    from osmia.vm.runs import Input


class Contents:
    """The part of a `Session` that looks and changes."""

    vm: Vm
    program: VmProgram
    loaded: VmObject | None
    machine: Machine
    pointers: Pointers
    sources: Sources
    given: Given
    _given: Input
    _cpu: Cpu

    def check_open(self) -> None:
        """Raise where it is closed."""
        raise NotImplementedError

    def check_still(self) -> None:
        """Raise where the run is moving, or is closed."""
        raise NotImplementedError

    @property
    def position(self) -> int:
        """How many instructions have run."""
        return self.machine.position

    @property
    def result(self) -> RunResult | None:
        """What the run gave; None before its end."""
        if self.machine.frames or self.machine.result is None:
            return None
        found = self._given.result(self.machine.result, 0)
        return found if self.given.rounds is None else self.given.rounds.result(found)

    @property
    def frames(self) -> list[Frame]:
        """The active functions, the innermost first; none at the end. They are good until the run
        moves."""
        self.check_open()
        machine = self.machine
        return [
            Frame(
                self,
                index,
                machine.frames[-1 - index],
                machine.entries[len(machine.frames) - 1 - index],
            )
            for index in range(len(machine.frames))
        ]

    def _innermost(self) -> Frame | None:
        machine = self.machine
        if not machine.frames:
            return None
        return Frame(self, 0, machine.frames[-1], machine.entries[len(machine.frames) - 1])

    @property
    def registers(self) -> Registers:
        """Those of the innermost function. DebuggerError at the end."""
        self.check_open()
        if not self.machine.frames:
            raise DebuggerError("the program has ended: there are no registers")
        return Registers(self, self.machine.frames[-1], len(self.machine.frames) - 1)

    @cached_property
    def variables(self) -> VariableReader | None:
        """What knows local variables; None where nothing does."""
        return finding.variable_reader(self)

    @cached_property
    def _named(self) -> Named:
        return Named(self.loaded)

    @property
    def maps(self) -> Mapping[str, Any]:
        """The maps of the program's object, by name."""
        if self.loaded is not None:
            return self.loaded.maps
        return {each.name: each for each in self.vm.maps.values() if each.name}

    @property
    def data(self) -> Any:
        """The global variables of the program's object."""
        return {} if self.loaded is None else self.loaded.data

    def memory(self, address: int, size: int) -> bytes:
        """Bytes of what the program can address. DebuggerError for what it cannot."""
        self.check_open()
        return self.vm.memory.read(self._reachable(address, size), size)

    def write(self, address: int, data: bytes) -> None:
        """Change bytes of what the program can address."""
        self.check_still()
        self.vm.memory.write(self._reachable(address, len(data)), data)
        self.machine.access.stack.wrote(address, len(data))

    def _reachable(self, address: int, size: int) -> int:
        if size < 0 or not layout.FIRST_ADDRESS <= address <= self.vm.memory.size - size:
            raise DebuggerError(f"{size} bytes at {address:#x} are not the program's to address")
        return address

    @property
    def packet(self) -> bytes:
        """The packet as it is now, from `data` to `data_end`; of a raw program its memory."""
        start, end = packet_bounds(self.machine, self._given)
        return self.vm.memory.read(start, end - start)

    @packet.setter
    def packet(self, data: bytes) -> None:
        start, end = packet_bounds(self.machine, self._given)
        if len(data) != end - start:
            raise DebuggerError(f"{len(data)} bytes for a packet of {end - start}")
        self.write(start, bytes(data))

    @property
    def ctx(self) -> Any:
        """The context as it is now: its fields where its type is known, else bytes."""
        given = self._given
        size = given.layout.size or given.context_size
        raw = self.memory(self._cpu.context, size)
        return given.layout.decode(raw) if given.layout.size else raw

    @ctx.setter
    def ctx(self, value: Any) -> None:
        layout_ = self._given.layout
        self.write(
            self._cpu.context, bytes(layout_.encode(dict(value))) if layout_.size else bytes(value)
        )

    @property
    def context_type(self) -> CType | None:
        """The context's type; None where it is bytes or numbers."""
        from osmia.debugger.dwarf.c_types import CType

        given = self._given.layout
        return CType(*given.declared) if given.size else None

    @property
    def places(self) -> dict[str, int]:
        """Where the context is, and the packet: "ctx", "packet"."""
        start, _ = packet_bounds(self.machine, self._given)
        return {"ctx": self._cpu.context, "packet": start}

    @cached_property
    def types(self) -> Types:
        """The types that expressions may name."""
        from osmia.debugger.expressions.types import Types

        return Types(self)

    def evaluate(self, expression: str, frame: int = 0) -> Any:
        """The value of an expression (see `osmia.debugger.expressions.expression`) in a frame."""
        return Expression(expression).value(self, self._frame(frame))

    def assign(self, target: str, value: Any, frame: int = 0) -> None:
        """Change what an expression names."""
        self.check_still()
        assign(self, self._frame(frame), target, value)

    def _frame(self, index: int) -> Frame | None:
        frames = self.frames
        if not frames:
            return None
        if not 0 <= index < len(frames):
            raise DebuggerError(f"there is no frame {index}: there are {len(frames)}")
        return frames[index]

    def source(
        self, frame: Frame | int = 0, around: int = 5, *, line: int | None = None
    ) -> list[ListedLine]:
        """The source lines around a frame's, or another line of its file: from the file, where it
        is there, else those that have code. None where the object has no lines."""
        held = self._frame(frame) if isinstance(frame, int) else frame
        if held is None or not held.line:
            return []
        return self.sources.around(held.code, held.file, line or held.line, held.line, around)

    def disassembly(self, frame: Frame | int = 0, around: int = 5) -> list[ListedInstruction]:
        """The instructions around a frame's."""
        held = self._frame(frame) if isinstance(frame, int) else frame
        return [] if held is None else disassembly(held, around)
