"""One run's input and output: the packet and context in a CPU's block, and what is left."""

from __future__ import annotations

import errno
import struct
from collections.abc import Sequence
from functools import cache
from typing import TYPE_CHECKING, Any

from osmia.engine.results import RunResult
from osmia.errors import KernelError
from osmia.object.uapi import AttachType, ProgramType
from osmia.vm import layout, sk_buff
from osmia.vm.contexts import Layout, layout_for

if TYPE_CHECKING:
    from osmia.vm.cpu import Cpu
    from osmia.vm.engine import Vm
    from osmia.vm.programs import VmProgram

ETHERNET_HEADER = 14
XDP_TAILROOM = 320
"""Bytes of a page that the kernel keeps behind an XDP frame (struct skb_shared_info)."""
PAGE = 4096
"""Bytes that an XDP frame has on most machines. Here on all of them: a test gives the same results
where the kernel's pages are larger."""
LARGEST_META = 252
_HEADROOM = bytes(layout.PACKET_HEADROOM)
_PLACES = struct.Struct("<6Q")  # from STATE_PACKET_START on
_PAIR = struct.Struct("<2Q")
_WORDS = struct.Struct("<2I")
_WORD = struct.Struct("<I")
_REDIRECT = struct.Struct("<3Q")
_XDP = struct.Struct("<6I")
_GUARD = layout.GUARD


class Input:
    """The input of one run, in a CPU's block. It is also what strict mode asks about the
    context and the packet (`osmia.vm.access.Owner`)."""

    def __init__(self, vm: Vm, cpu: Cpu, program: VmProgram) -> None:
        self.natives = vm.natives
        self.memory = vm.memory
        self.cpu = cpu
        self.type = program.type
        self.layout, self._fields = _surroundings(program.type, program.expected_attach_type)
        self.start = cpu.packet
        self.size = 0
        self.context_size = 0
        self._raw: bytes | bytearray = b""
        self.arguments: tuple[int, ...] = (cpu.context,)

    # Before the run.

    def place(self, data: bytes, ctx: Any) -> None:
        """Put the packet and the context where the program finds them."""
        if len(data) > layout.MAX_PACKET:
            raise KernelError(errno.EINVAL, f"run on {len(data)} bytes of data")
        self.size = size = len(data)
        view, cpu, places = self.memory.view, self.cpu, self.layout
        state, start = cpu.state + _GUARD, self.start
        reserved = layout.XDP_FRAME if self.type is ProgramType.XDP else 0
        lowest = cpu.packet - layout.PACKET_HEADROOM + reserved
        _PAIR.pack_into(view, state + layout.STATE_INTERRUPT, 0, 0)
        place = state + layout.STATE_PACKET_START
        _PLACES.pack_into(view, place, lowest, self._packet_end(), cpu.context, 0, 0, 0)
        _WORDS.pack_into(view, state + layout.STATE_DATA, *self._fields)
        _WORD.pack_into(view, state + layout.STATE_READ_ONLY, not places.changes)
        # Nothing is left of what earlier packets had around the one that comes.
        packet, end = start + _GUARD, start + size
        _, high = _WORDS.unpack_from(view, state + layout.STATE_PACKET_LOW)
        view[packet - layout.PACKET_HEADROOM : packet] = _HEADROOM
        if high > end:
            self.memory.zero(end, high - end)
        _WORDS.pack_into(view, state + layout.STATE_PACKET_LOW, start, end)
        view[packet : packet + size] = data
        if self.type is None:
            self.arguments = (start if data else 0, size)
        elif places.packet:
            self._place_packet(data, ctx)
        else:
            self._place_plain(ctx)

    def _packet_end(self) -> int:
        """Where a growing tail must stop: XDP frames fill a page, as in the kernel's test run."""
        if self.type is ProgramType.XDP:
            room = PAGE - layout.PACKET_HEADROOM - XDP_TAILROOM
            if self.size <= room:
                return self.start + room
        return self.cpu.block + layout.CPU_PACKET + layout.CPU_PACKET_SIZE

    def _place_packet(self, data: bytes, ctx: Any) -> None:
        if len(data) < ETHERNET_HEADER:
            raise _refused(f"it has {len(data)} bytes; an Ethernet header of 14 is the least")
        self.context_size = self.layout.size
        if self.type is ProgramType.XDP:
            self._place_xdp(ctx)
            return
        hidden = 0 if self.layout.l2 else ETHERNET_HEADER
        self._raw = raw = self._given_context(ctx) if ctx is not None else sk_buff.EMPTY
        self.memory.write(self.cpu.context, raw)
        begin = self.start + hidden
        arguments = (self.cpu.state, self.cpu.context, self.start, self.size, begin)
        if self.natives.call("skb_place", *arguments):
            raise _refused("an IP packet without its whole header")
        if ctx is not None:
            sk_buff.check_given(raw, self.size - hidden)

    def _place_xdp(self, ctx: Any) -> None:
        view, place, end = self.memory.view, self.cpu.context + _GUARD, self.start + self.size
        if ctx is None:
            _XDP.pack_into(view, place, self.start, end, self.start, sk_buff.LOOPBACK, 0, 0)
            return
        self._raw = raw = self._given_context(ctx)
        self._place_metadata(raw)
        meta, ahead = self.start, _XDP.unpack(raw)
        ifindex = ahead[3] or sk_buff.LOOPBACK
        _XDP.pack_into(view, place, meta + ahead[0], meta + self.size, meta, ifindex, *ahead[4:])

    def _given_context(self, ctx: Any) -> bytearray:
        if not isinstance(ctx, bytes | bytearray | memoryview):
            try:
                values = dict(ctx or {})
            except (TypeError, ValueError):
                problem = f"ctx={ctx!r:.80}: bytes, or a mapping of fields to values, is needed"
                raise TypeError(problem) from None
            if self.type is ProgramType.XDP:
                values.setdefault("data_end", self.size)
            return self.layout.encode(values)
        raw = bytearray(ctx)
        if any(raw[self.layout.size :]):
            hint = f"struct {self.layout.name} has {self.layout.size} bytes"
            raise KernelError(errno.E2BIG, "run a packet program", hint=hint)
        return raw[: self.layout.size].ljust(self.layout.size, b"\0")

    def _place_metadata(self, raw: bytes | bytearray) -> None:
        """A context that is given says in `data` how much of the data is metadata."""
        data, end, meta, ifindex, queue, egress = struct.unpack("<6I", raw)
        if meta or egress or end != self.size:
            raise _refused("data_meta and egress_ifindex are 0, data_end is the data's length")
        if data > LARGEST_META or data % 4 or self.size - data < ETHERNET_HEADER:
            raise _refused(
                f"{data} bytes of metadata: at most {LARGEST_META}, by four, before a packet"
            )
        if queue and not ifindex:
            raise _refused("rx_queue_index without ingress_ifindex")
        # Metadata takes head room, the packet behind it stays where it is.
        self.memory.write(self.start - data, self.memory.read(self.start, self.size))
        self.start -= data
        self.memory.zero(self.start + self.size, data)
        self.memory.store32(self.cpu.state + layout.STATE_PACKET_LOW, self.start)

    def _place_plain(self, ctx: Any) -> None:
        if ctx is None:
            raw = b""
        elif isinstance(ctx, bytes | bytearray | memoryview):
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
        self.context_size = max(len(raw), 8 * 12 if self.type is not ProgramType.SYSCALL else 0)
        self.memory.zero(self.cpu.context, self.context_size)
        self.memory.write(self.cpu.context, raw)
        self._given = len(raw)

    def _get(self, name: str) -> int:
        place = self.layout.fields[name]
        return self.memory.load(self.cpu.context + place.offset, place.size)

    # After it.

    def result(self, retval: int, duration_ns: int) -> RunResult:
        """What the run left."""
        if self.type is None:
            return RunResult(retval, self.memory.read(self.start, self.size), b"", duration_ns)
        retval &= 0xFFFF_FFFF
        if not self.layout.packet:
            raw = self.memory.read(self.cpu.context, self._given)
            return RunResult(retval, b"", raw, duration_ns, self._redirect(), None, self.type)
        read = self._of_xdp if self.type is ProgramType.XDP else self._of_skb
        packet, context = read()
        redirect, decode = self._redirect(), self.layout.decode
        return RunResult(retval, packet, context, duration_ns, redirect, decode, self.type)

    def _bounds(self) -> tuple[int, int, int]:
        """data_meta, data and data_end, kept inside the packet's room."""
        return self._inside(self._get("data_meta"), self._get("data"), self._get("data_end"))

    def _inside(self, meta: int, data: int, end: int) -> tuple[int, int, int]:
        low = self.cpu.block + layout.CPU_PACKET
        high = low + layout.CPU_PACKET_SIZE
        if low <= meta <= data <= end <= high:
            return meta, data, end
        data = min(max(data, low), high)
        return min(max(meta, low), data), data, min(max(end, data), high)

    def _of_xdp(self) -> tuple[bytes, bytes]:
        """The packet and the context, its pointers as offsets, as the kernel gives them."""
        words = _XDP.unpack_from(self.memory.view, self.cpu.context + _GUARD)
        meta, data, end = self._inside(words[2], words[0], words[1])
        ifindex = _WORD.unpack_from(self._raw, 12)[0] if self._raw else 0
        context = _XDP.pack(data - meta, end - meta, 0, ifindex, *words[4:])
        return self.memory.read(meta, end - meta), context

    def _of_skb(self) -> tuple[bytes, bytes]:
        _, data, end = self._bounds()
        packet = self.memory.read(data, end - data)
        context = sk_buff.told(self.memory.read(self.cpu.context, self.layout.size), self._raw)
        return packet if self.layout.l2 else bytes(ETHERNET_HEADER) + packet, context

    def _redirect(self) -> tuple[int, int | None, int] | None:
        place = self.cpu.state + layout.STATE_REDIRECT_TARGET + _GUARD
        target, handle, flags = _REDIRECT.unpack_from(self.memory.view, place)
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
        if not self.layout.size:
            return self._forbids_plain(write)
        for name, place in self.layout.fields.items():
            if place.covers(offset, size):
                if size in (place.writes if write else place.reads) and offset % size == 0:
                    return None
                what = "write to" if write else "read of"
                return f"a {what} {size} bytes in {self.layout.name}.{name}"
        return f"an access of {size} bytes at {offset} of struct {self.layout.name}"

    def _forbids_plain(self, write: bool) -> str | None:
        writable = self.type in (ProgramType.SYSCALL, ProgramType.RAW_TRACEPOINT_WRITABLE)
        return "a write to a context that is read-only" if write and not writable else None

    def _forbids_packet(self, address: int, size: int, write: bool) -> str | None:
        if write and not self.layout.changes:
            return "a write to a packet that is read-only"
        if self.type is None:
            start, end = self.start, self.start + self.size
        elif self.layout.packet and self.layout.direct:
            start, _, end = self._bounds()
        else:
            return f"address {address:#x} belongs to nothing"
        if address < start or address + size > end:
            return f"an access of {size} bytes at {address - start} of a packet of {end - start}"
        return None


@cache
def _surroundings(
    kind: ProgramType | None, attach: AttachType | None
) -> tuple[Layout, tuple[int, int]]:
    """The context of programs, and where in it the packet's start and end are."""
    found = layout_for(kind, attach)
    if not found.packet:
        return found, (layout.NO_PACKET, layout.NO_PACKET)
    return found, (found.fields["data"].offset, found.fields["data_end"].offset)


def _refused(why: str) -> KernelError:
    return KernelError(errno.EINVAL, "run a packet program", hint=why)
