"""Runs of programs whose context is struct __sk_buff."""

from __future__ import annotations

from struct import Struct

from osmia.engine.results import RunResult
from osmia.vm import layout, sk_buff
from osmia.vm.helpers.skb import IPV6_HEADER
from osmia.vm.runs import ETHERNET_HEADER, PacketInput, refused

# The name that type checkers know; `typing` is dear.
TYPE_CHECKING = False

if TYPE_CHECKING:
    from typing import Any


_GUARD = layout.GUARD
_SIZE = 192
_LOOKED_AT = ETHERNET_HEADER + IPV6_HEADER
"""Bytes of a packet that decide what its context has; see `sk_buff.skb_place`."""
_MARKS = Struct("<2Q2I")
"""A CPU's state from STATE_MAC to STATE_ENCAPSULATED."""
_NO_TUNNEL = bytes(4)


class SkbInput(PacketInput):
    """See the module."""

    _raw: bytes | bytearray = sk_buff.EMPTY
    _seen = _words = _told = b""
    """The first bytes of a packet for which there was no context, of the size that was placed last:
    what the program got then, and what is told when it has left that so."""

    def _prepare(self, size: int) -> None:
        super()._prepare(size)
        self._placed = -1
        self._check_size()
        self.context_size = _SIZE
        self._seen = b""
        start = self.cpu.packet
        self._marks = _MARKS.pack(start, start + ETHERNET_HEADER, 0, 0)
        self._placed = size

    def _place_context(self, ctx: Any) -> None:
        if ctx is not None:
            self._raw = raw = self._given_context(ctx)
            self._fill(raw)
            hidden = 0 if self.layout.l2 else ETHERNET_HEADER
            sk_buff.check_given(raw, self.size - hidden)
            return
        self._raw = sk_buff.EMPTY
        view, state, place = self._view, self._state, self.cpu.context + _GUARD
        head = bytes(view[self._packet : self._packet + _LOOKED_AT])
        if head != self._seen:  # most packets are like the one before
            self._fill(sk_buff.EMPTY)
            self._words = bytes(view[place : place + _SIZE])
            self._told = sk_buff.told(self._words, sk_buff.EMPTY)
            self._seen = head
            return
        view[place : place + _SIZE] = self._words
        marks = state + layout.STATE_MAC
        view[marks : marks + _MARKS.size] = self._marks
        tunnel = state + layout.STATE_TUNNEL
        view[tunnel : tunnel + 4] = _NO_TUNNEL

    def _fill(self, given: bytes | bytearray) -> None:
        """What the kernel sets in a context of which this was given."""
        self.memory.write(self.cpu.context, given)
        begin = self.start if self.layout.l2 else self.start + ETHERNET_HEADER
        arguments = (self.cpu.state, self.cpu.context, self.start, self.size, begin)
        if self.natives.call("skb_place", *arguments):
            raise refused("an IP packet without its whole header")

    def result(self, retval: int, duration_ns: int) -> RunResult:
        view, place = self._view, self.cpu.context + _GUARD
        left = bytes(view[place : place + _SIZE])
        if left == self._words and self._raw is sk_buff.EMPTY and not self._in_pieces:
            context = self._told
            packet = bytes(view[self._packet : self._packet + self.size])
            if not self.layout.l2:
                packet = bytes(ETHERNET_HEADER) + packet[ETHERNET_HEADER:]
        else:
            context = sk_buff.told(left, self._raw)
            packet = self._changed()
        return RunResult(
            retval & 0xFFFF_FFFF,
            packet,
            context,
            duration_ns,
            self._redirect(),
            self.layout.decode,
            self.type,
        )

    def _changed(self) -> bytes:
        """The packet that is where the context says."""
        meta, data, end = self._bounds()
        if self._in_pieces:
            _, data, end = self._inside(meta, data, end + self._paged())
        packet = self.memory.read(data, end - data)
        return packet if self.layout.l2 else bytes(ETHERNET_HEADER) + packet
