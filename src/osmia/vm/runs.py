"""One run's input and output: the packet and context in a CPU's block, and what is left.

A CPU has one input for each kind of context, used again by every run on it. Where a context is a
packet's, `osmia.vm.xdp_runs` and `osmia.vm.skb_runs` have what is special about it.
"""

from __future__ import annotations

import errno
import struct
from collections.abc import Sequence
from functools import cache

from osmia.engine.results import RunResult
from osmia.errors import KernelError, NotSupportedError
from osmia.object.uapi import AttachType, ProgramType
from osmia.on_demand import imported
from osmia.vm import layout
from osmia.vm.context_layout import Layout
from osmia.vm.contexts import layout_for

# The name that type checkers know; `typing` is dear.
TYPE_CHECKING = False

if TYPE_CHECKING:
    from typing import Any

    from osmia.vm.cpu import Cpu
    from osmia.vm.engine import Vm

ETHERNET_HEADER = 14
_HEADROOM = bytes(layout.PACKET_HEADROOM)
#: A CPU's state from STATE_INTERRUPT to STATE_PAGED, as a run finds it.
_STATE = struct.Struct("<QQqII6Q6I")
_LOW_HIGH = struct.Struct("<2I")
_WORD = struct.Struct("<Q")
_REDIRECT = struct.Struct("<3Q")
_GUARD = layout.GUARD


class Input:
    """The input of a run whose context is bytes, or numbers: `place` puts it into the CPU's block,
    `result` tells what the run left. It is also what strict mode asks about the context and the
    packet (`osmia.vm.access.Owner`)."""

    #: Bytes before the packet that its head may not move into.
    reserved = 0

    def __init__(
        self, vm: Vm, cpu: Cpu, kind: ProgramType | None, context: Layout, state: tuple[int, ...]
    ) -> None:
        self.natives = vm.natives
        self.memory = vm.memory
        self.cpu = cpu
        self.type = kind
        self.layout = context
        self.start = cpu.packet
        self.size = 0
        self.context_size = 0
        self.arguments: tuple[int, ...] = (cpu.context,)
        self._given = 0
        self._no_context = bytes(8 * 12 if kind is not ProgramType.SYSCALL else 0)
        self._data, self._data_end, self._read_only = state
        self._lowest = cpu.packet - layout.PACKET_HEADROOM + self.reserved
        self._room_end = cpu.block + layout.CPU_PACKET + layout.CPU_PACKET_SIZE
        self._view = vm.memory.view
        self._state = cpu.state + _GUARD
        self._packet = cpu.packet + _GUARD
        self._placed = -1  # the size that `_head`, the state of a run that begins, is for
        self._head = b""

    # Before the run.

    def place(self, data: bytes, ctx: Any) -> None:
        """Put the packet and the context where the program finds them."""
        view, packet, size = self._view, self._packet, len(data)
        if size != self._placed:
            self._prepare(size)
        # Nothing is left of what earlier packets had around the one that comes.
        _, high = _LOW_HIGH.unpack_from(view, self._state + layout.STATE_PACKET_LOW)
        view[self._state : self._state + _STATE.size] = self._head
        view[packet - layout.PACKET_HEADROOM : packet] = _HEADROOM
        view[packet : packet + size] = data
        self.start = self.cpu.packet
        if high > self.start + size:
            self.memory.zero(self.start + size, high - self.start - size)
        self._place_context(ctx)

    def _prepare(self, size: int) -> None:
        """What packets of a size have in common: of runs, most are like the one before."""
        if size > layout.MAX_PACKET:
            raise KernelError(errno.EINVAL, f"run on {size} bytes of data")
        start = self.cpu.packet
        self.size, end = size, start + size
        self._head = _STATE.pack(
            *(0, 0, 0, 0, self.cpu.number),
            *(self._lowest, self._packet_end(end), self.cpu.context),
            *(0, 0, 0),
            *(start, end, self._data, self._data_end, self._read_only, 0),
        )
        self._placed = size

    def split(self, linear: int) -> None:
        """Have only the first bytes of the packet in its linear part. NotSupportedError where there
        is no packet."""
        raise NotSupportedError("linear= is for programs that take packets")

    def _packet_end(self, end: int) -> int:
        """Where the tail of a packet that ends there may grow to."""
        return self._room_end

    def _place_context(self, ctx: Any) -> None:
        if ctx is None:
            self.context_size = len(self._no_context)
            place = self.cpu.context + _GUARD
            self._view[place : place + self.context_size] = self._no_context
            self._given = 0
            return
        if isinstance(ctx, bytes | bytearray | memoryview):
            raw = bytes(ctx)
        elif isinstance(ctx, Sequence) and all(isinstance(word, int) for word in ctx):
            raw = struct.pack(f"<{len(ctx)}Q", *(word & 0xFFFF_FFFF_FFFF_FFFF for word in ctx))
        elif hasattr(ctx, "__bytes__"):  # a structure
            raw = bytes(ctx)
        else:
            raise TypeError(
                f"a context for this program type is bytes or numbers, not {type(ctx).__name__}"
            )
        if len(raw) > layout.CPU_CONTEXT_SIZE:
            raise KernelError(errno.E2BIG, f"run with a context of {len(raw)} bytes")
        self.context_size = max(len(raw), len(self._no_context))
        self.memory.zero(self.cpu.context, self.context_size)
        self.memory.write(self.cpu.context, raw)
        self._given = len(raw)

    # After it.

    def interrupted(self) -> bool:
        """Whether a compiled run was ended by something."""
        found: int = _WORD.unpack_from(self._view, self._state)[0]  # STATE_INTERRUPT, the first
        return found != 0

    def result(self, retval: int, duration_ns: int) -> RunResult:
        """What the run left."""
        raw = self.memory.read(self.cpu.context, self._given) if self._given else b""
        redirect = self._redirect()
        return RunResult(retval & 0xFFFF_FFFF, b"", raw, duration_ns, redirect, None, self.type)

    def _redirect(self) -> tuple[int, int | None, int] | None:
        target, handle, flags = _REDIRECT.unpack_from(
            self._view, self._state + layout.STATE_REDIRECT_TARGET
        )
        if not target and not handle:
            return None
        number = (handle - layout.MAP_HANDLE) >> layout.MAP_HANDLE_SHIFT if handle else None
        return target, number, flags & 0x7FFF_FFFF_FFFF_FFFF

    # During it, in strict mode.

    def forbids(self, address: int, size: int, write: bool) -> str | None:
        """See `osmia.vm.access.Owner`."""
        if address >= self.cpu.block + layout.CPU_PACKET:
            return self._forbids_packet(address, size, write)
        offset = address - self.cpu.context
        if offset + size > self.context_size:
            return f"an access of {size} bytes at {offset} runs over the context"
        return self._forbids_context(offset, size, write)

    def _forbids_context(self, offset: int, size: int, write: bool) -> str | None:
        writable = self.type in (ProgramType.SYSCALL, ProgramType.RAW_TRACEPOINT_WRITABLE)
        return "a write to a context that is read-only" if write and not writable else None

    def _forbids_packet(self, address: int, size: int, write: bool) -> str | None:
        if write and not self.layout.changes:
            return "a write to a packet that is read-only"
        bounds = self._visible()
        if bounds is None:
            return f"address {address:#x} belongs to nothing"
        start, end = bounds
        if address < start or address + size > end:
            return f"an access of {size} bytes at {address - start} of a packet of {end - start}"
        return None

    def _visible(self) -> tuple[int, int] | None:
        """What the program sees of the packet: from where to where; None for nothing."""
        return None


class RawInput(Input):
    """The input of a raw program: r1 is where its memory is, r2 how many bytes it has."""

    def _place_context(self, ctx: Any) -> None:
        self.arguments = (self.start if self.size else 0, self.size)

    def result(self, retval: int, duration_ns: int) -> RunResult:
        return RunResult(retval, self.memory.read(self.start, self.size), b"", duration_ns)

    def _visible(self) -> tuple[int, int]:
        return self.start, self.start + self.size


class PacketInput(Input):
    """The input of a program whose context is a packet's.

    The pieces of a packet lie side by side: data_end says where the linear part ends, and the
    CPU's state how many bytes are behind it.
    """

    _in_pieces = False

    def split(self, linear: int) -> None:
        if linear < ETHERNET_HEADER:
            raise refused(f"linear={linear}: the Ethernet header of 14 bytes is never in pieces")
        place = self.cpu.context + self.layout.fields["data_end"].offset
        end = self.memory.load32(place)
        first = max(end - self._frame_start() - linear, 0)
        self.memory.store32(place, end - first)
        self.memory.store32(self.cpu.state + layout.STATE_PAGED, first)
        self._in_pieces = True

    def _frame_start(self) -> int:
        """Where the packet's Ethernet header is."""
        hidden = 0 if self.layout.l2 else ETHERNET_HEADER
        return self._get("data") - hidden

    def _paged(self) -> int:
        """How many bytes the run left behind data_end."""
        if not self._in_pieces:
            return 0
        self._in_pieces = False
        return self.memory.load32(self.cpu.state + layout.STATE_PAGED)

    def _given_context(self, ctx: Any, **others: int) -> bytearray:
        """A context that is given, as bytes; `others` has fields for a mapping without them."""
        if not isinstance(ctx, bytes | bytearray | memoryview):
            try:
                values = dict(ctx or {})
            except (TypeError, ValueError):
                problem = f"ctx={ctx!r:.80}: bytes, or a mapping of fields to values, is needed"
                raise TypeError(problem) from None
            return self.layout.encode(others | values)
        raw = bytearray(ctx)
        if any(raw[self.layout.size :]):
            hint = f"struct {self.layout.name} has {self.layout.size} bytes"
            raise KernelError(errno.E2BIG, "run a packet program", hint=hint)
        return raw[: self.layout.size].ljust(self.layout.size, b"\0")

    def _check_size(self) -> None:
        if self.size < ETHERNET_HEADER:
            raise refused(f"it has {self.size} bytes; an Ethernet header of 14 is the least")

    def _get(self, name: str) -> int:
        place = self.layout.fields[name]
        return self.memory.load(self.cpu.context + place.offset, place.size)

    def _bounds(self) -> tuple[int, int, int]:
        """data_meta, data and data_end, kept inside the packet's room."""
        return self._inside(self._get("data_meta"), self._get("data"), self._get("data_end"))

    def _inside(self, meta: int, data: int, end: int) -> tuple[int, int, int]:
        low, high = self.cpu.block + layout.CPU_PACKET, self._room_end
        if low <= meta <= data <= end <= high:
            return meta, data, end
        data = min(max(data, low), high)
        return min(max(meta, low), data), data, min(max(end, data), high)

    def _forbids_context(self, offset: int, size: int, write: bool) -> str | None:
        for name, place in self.layout.fields.items():
            if place.covers(offset, size):
                if size in (place.writes if write else place.reads) and offset % size == 0:
                    return None
                what = "write to" if write else "read of"
                return f"a {what} {size} bytes in {self.layout.name}.{name}"
        return f"an access of {size} bytes at {offset} of struct {self.layout.name}"

    def _visible(self) -> tuple[int, int] | None:
        if not self.layout.direct:
            return None
        start, _, end = self._bounds()
        return start, end


Surroundings = tuple[type[Input], Layout, tuple[int, ...]]


@cache
def surroundings(kind: ProgramType | None, attach: AttachType | None) -> Surroundings:
    """What programs find around them: the class of their inputs, their context, and of it where the
    packet's start and end are and whether the packet may not be written to."""
    found = layout_for(kind, attach)
    read_only = int(not found.changes)
    if not found.packet:
        no_packet = (layout.NO_PACKET, layout.NO_PACKET, read_only)
        return Input if kind is not None else RawInput, found, no_packet
    module, name = ("xdp", "XdpInput") if kind is ProgramType.XDP else ("skb", "SkbInput")
    made: type[Input] = getattr(imported(f"osmia.vm.{module}_runs"), name)
    return made, found, (found.fields["data"].offset, found.fields["data_end"].offset, read_only)


def input_on(vm: Vm, cpu: Cpu, kind: ProgramType | None, attach: AttachType | None) -> Input:
    """The input of a program on a CPU."""
    made, context, state = surroundings(kind, attach)
    return made(vm, cpu, kind, context, state)


def refused(why: str) -> KernelError:
    """The error for a packet or context that no test run takes."""
    return KernelError(errno.EINVAL, "run a packet program", hint=why)
