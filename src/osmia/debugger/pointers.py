"""What a number in a register points to: context, packet, stack, map, value, function."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from osmia.records import dataclass
from osmia.vm import layout
from osmia.vm.access import StackFrame
from osmia.vm.maps.body import MapBody

if TYPE_CHECKING:
    from osmia.debugger.machine import Machine
    from osmia.engine.maps import Map
    from osmia.vm.runs import Input

RING = "ring buffer record"


@dataclass(frozen=True, slots=True)
class Pointer:
    """Where an address points to. `to` is "context", "packet", "stack", "value" (of a map),
    "data" (a section of global variables), "map" or "function"; `name` says which: of a map or a
    section, of the function whose stack or address it is. `offset` is in bytes from the start of
    that; of stacks from the frame's r10, so it is negative. `key` is that of a map's value; `type`
    is what BTF says lies there."""

    to: str
    name: str = ""
    offset: int = 0
    key: Any = None
    type: str = ""

    def __str__(self) -> str:
        match self.to:
            case "stack":
                return f"stack of {self.name}{self.offset:+}"
            case "value":
                held = f"{self.name}[{self.key}]" if self.key is not None else self.name
                text = f"value of {held}"
            case "data":
                text = self.name
            case "map" | "function":
                text = f"{self.to} {self.name}"
            case _:
                text = self.to
        text += f"{self.offset:+}" if self.offset else ""
        return f"{text}, {self.type} *" if self.type else text


class Pointers:
    """Finds what addresses of one run point to. `maps` are by number; `variables` gives for a
    section's map and an offset in it a variable, the offset in that and its type."""

    def __init__(self, machine: Machine, given: Input, named: Named) -> None:
        self._machine = machine
        self._given = given
        self._named = named

    def find(self, value: int | None) -> Pointer | None:
        """What a value points to; None for a number."""
        if value is None or value < layout.FIRST_ADDRESS:
            return None
        if value >= layout.MAP_HANDLE:
            return self._handle(value)
        machine = self._machine
        if machine.cpu.block <= value < machine.cpu.block + layout.CPU_BLOCK:
            return self._on_cpu(value)
        owner = machine.execution.areas.owner(value)
        return self._value(owner, value) if isinstance(owner, MapBody) else None

    def _handle(self, value: int) -> Pointer | None:
        machine = self._machine
        body = machine.vm.map_of(value)
        if body is not None:
            return Pointer("map", body.name)
        for frame in machine.frames:
            slot = frame.code.function_of(value)
            if slot is not None:
                return Pointer("function", frame.code.functions[slot].name)
        return None

    def _on_cpu(self, value: int) -> Pointer | None:
        machine, given = self._machine, self._given
        for frame in reversed(machine.frames):
            if frame.pointer - layout.FRAME_SIZE <= value <= frame.pointer:
                name = frame.code.function_at(frame.slot).name
                return Pointer("stack", name, value - frame.pointer)
        if machine.cpu.context <= value < machine.cpu.context + max(given.context_size, 1):
            kind = given.layout.name
            return Pointer(
                "context", "", value - machine.cpu.context, type=f"struct {kind}" if kind else ""
            )
        low = machine.cpu.block + layout.CPU_PACKET
        if low <= value < low + layout.CPU_PACKET_SIZE:
            start, _ = packet_bounds(machine, given)
            return Pointer("packet", "", value - start)
        return None

    def _value(self, body: MapBody, value: int) -> Pointer:
        variable = self._named.variable(body.number, value - body.values_address)
        if variable is not None:
            return variable
        offset = value - body.values_address
        known = self._named.maps.get(body.number)
        kind = known.value_codec.type_name if known is not None and known.value_codec else ""
        if not body.step or not body.value_size:
            return Pointer("value", body.name, offset)
        start = body.values_address + offset // body.step * body.step
        raw = next((key for key, where in body.entries() if where == start), None)
        key = raw
        if raw is not None and known is not None and known.key_codec is not None:
            key = known.key_codec.decode(raw)
        offset = offset % body.step % body.definition.stride
        return Pointer("value", body.name, offset, key, kind)


class Named:
    """The names and types of a loaded object's maps and global variables, by the vm's numbers."""

    def __init__(self, loaded: Any) -> None:
        self.maps: dict[int, Map] = {}
        self._sections: dict[int, Any] = {}
        if loaded is None:
            return
        self.maps = {each.raw.id: each for each in loaded.maps.values()}
        sections = loaded.object.data_sections
        self._sections = {
            each.raw.id: sections[name]
            for name, each in loaded.section_maps.items()
            if name in sections
        }
        self._data = loaded.data

    def variable(self, number: int, offset: int) -> Pointer | None:
        """The variable at an offset of the section that a map holds; None for other maps."""
        section = self._sections.get(number)
        if section is None:
            return None
        key = section.variable_at(offset)
        if key is None:
            return Pointer("data", section.name, offset)
        variable = section.variables[key]
        kind = self._data.slot(key).codec.type_name if key in self._data else ""
        return Pointer("data", key, offset - variable.offset, type=kind)


def packet_bounds(machine: Machine, given: Input) -> tuple[int, int]:
    """Where the packet starts and ends now; of a raw program its memory."""
    if given.type is None:
        return given.start, given.start + given.size
    return machine.vm.packet_bounds(machine.cpu)


def stack_frame(machine: Machine, address: int) -> StackFrame | None:
    """The active frame that an address lies in, where its bytes are kept account of."""
    found = machine.access.stack.frame_of(address)
    return found if isinstance(found, StackFrame) else None
