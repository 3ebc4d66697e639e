"""Runs of XDP programs: struct xdp_md, metadata before the packet, frames that fill a page."""

from __future__ import annotations

from struct import Struct

from osmia.engine.results import RunResult
from osmia.vm import layout
from osmia.vm.runs import ETHERNET_HEADER, PacketInput, refused

# The name that type checkers know; `typing` is dear.
TYPE_CHECKING = False

if TYPE_CHECKING:
    from typing import Any

XDP_TAILROOM = 320
"""Bytes of a page that the kernel keeps behind an XDP frame (struct skb_shared_info)."""
PAGE = 4096
"""Bytes that an XDP frame has on most machines. Here on all of them: a test gives the same results
where the kernel's pages are larger."""
LARGEST_META = 252
LOOPBACK = 1
"""The interface of test runs."""
_ROOM = PAGE - layout.PACKET_HEADROOM - XDP_TAILROOM
_CONTEXT = Struct("<6I")
_SIZE = 24
_GUARD = layout.GUARD


class XdpInput(PacketInput):
    """See the module."""

    reserved = layout.XDP_FRAME
    _raw: bytes | bytearray = b""

    def _packet_end(self, end: int) -> int:
        return self.cpu.packet + _ROOM if self.size <= _ROOM else self._room_end

    def _place_context(self, ctx: Any) -> None:
        self._check_size()
        self.context_size = _SIZE
        place, start = self.cpu.context + _GUARD, self.start
        if ctx is None:
            self._raw = b""
            _CONTEXT.pack_into(self._view, place, start, start + self.size, start, LOOPBACK, 0, 0)
            return
        self._raw = raw = self._given_context(ctx, data_end=self.size)
        data, end, meta, ifindex, queue, egress = _CONTEXT.unpack(raw)
        if meta or egress or end != self.size:
            raise refused("data_meta and egress_ifindex are 0, data_end is the data's length")
        if data > LARGEST_META or data % 4 or self.size - data < ETHERNET_HEADER:
            raise refused(
                f"{data} bytes of metadata: at most {LARGEST_META}, by four, before a packet"
            )
        if queue and not ifindex:
            raise refused("rx_queue_index without ingress_ifindex")
        self._place_metadata(data)
        meta = self.start
        words = (meta + data, meta + self.size, meta, ifindex or LOOPBACK, queue, egress)
        _CONTEXT.pack_into(self._view, place, *words)

    def _place_metadata(self, size: int) -> None:
        """Metadata takes head room, the packet behind it stays where it is."""
        self.memory.write(self.start - size, self.memory.read(self.start, self.size))
        self.start -= size
        self.memory.zero(self.start + self.size, size)
        self.memory.store32(self.cpu.state + layout.STATE_PACKET_LOW, self.start)

    def result(self, retval: int, duration_ns: int) -> RunResult:
        view = self._view
        words = _CONTEXT.unpack_from(view, self.cpu.context + _GUARD)
        meta, data, end = self._inside(words[2], words[0], words[1] + self._paged())
        ifindex = _CONTEXT.unpack(self._raw)[3] if self._raw else 0
        # Its pointers are offsets, as the kernel gives them.
        context = _CONTEXT.pack(data - meta, end - meta, 0, ifindex, words[4], words[5])
        return RunResult(
            retval & 0xFFFF_FFFF,
            bytes(view[meta + _GUARD : end + _GUARD]),
            context,
            duration_ns,
            self._redirect(),
            self.layout.decode,
            self.type,
        )
