"""Runs of programs whose context is struct __sk_buff."""

from __future__ import annotations

from osmia.engine.results import RunResult
from osmia.vm import sk_buff
from osmia.vm.runs import ETHERNET_HEADER, PacketInput, refused

# The name that type checkers know; `typing` is dear.
TYPE_CHECKING = False

if TYPE_CHECKING:
    from typing import Any


class SkbInput(PacketInput):
    """See the module."""

    _raw: bytes | bytearray = sk_buff.EMPTY

    def _place_context(self, ctx: Any) -> None:
        self._check_size()
        self.context_size = self.layout.size
        hidden = 0 if self.layout.l2 else ETHERNET_HEADER
        self._raw = raw = self._given_context(ctx) if ctx is not None else sk_buff.EMPTY
        self.memory.write(self.cpu.context, raw)
        begin = self.start + hidden
        arguments = (self.cpu.state, self.cpu.context, self.start, self.size, begin)
        if self.natives.call("skb_place", *arguments):
            raise refused("an IP packet without its whole header")
        if ctx is not None:
            sk_buff.check_given(raw, self.size - hidden)

    def result(self, retval: int, duration_ns: int) -> RunResult:
        meta, data, end = self._bounds()
        if self._in_pieces:
            _, data, end = self._inside(meta, data, end + self._paged())
        packet = self.memory.read(data, end - data)
        if not self.layout.l2:
            packet = bytes(ETHERNET_HEADER) + packet
        left = self.memory.read(self.cpu.context, self.layout.size)
        context = sk_buff.told(left, self._raw)
        return RunResult(
            retval & 0xFFFF_FFFF,
            packet,
            context,
            duration_ns,
            self._redirect(),
            self.layout.decode,
            self.type,
        )
