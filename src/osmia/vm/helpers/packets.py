"""Packets as programs see them: legacy loads, skb bytes, head, tail and metadata."""

from __future__ import annotations

from osmia.vm.layout import STATE_CONTEXT
from osmia.vm.native import cpu_state, load8, load32, load64, native

SKB_DATA = 76
SKB_DATA_END = 80


@native
def packet_start(frame: int) -> int:
    """The address of an skb's first byte."""
    return load32(load64(cpu_state(frame) + STATE_CONTEXT) + SKB_DATA)


@native
def packet_end(frame: int) -> int:
    """The address behind an skb's last byte."""
    return load32(load64(cpu_state(frame) + STATE_CONTEXT) + SKB_DATA_END)


@native
def packet_holds(frame: int, offset: int, size: int) -> int:
    """Whether an skb has `size` bytes at an offset: 1 or 0."""
    start = packet_start(frame)
    end = packet_end(frame)
    return 1 if start + offset + size <= end else 0


@native
def packet_word(frame: int, offset: int, size: int) -> int:
    """1, 2 or 4 bytes of an skb, in network order."""
    at = packet_start(frame) + offset
    value = 0
    while size != 0:
        value = (value << 8) | load8(at)
        at = at + 1
        size = size - 1
    return value
