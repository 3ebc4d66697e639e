"""Events from BPF programs: ring buffers, perf buffers, the trace pipe.

>>> with RingBuffer(fd, size, codec=codec) as events:
...     for event in events:
...         print(event.pid, event.comm)
"""

from osmia.events.perf_buffer import PerfBuffer
from osmia.events.ring_buffer import RingBuffer
from osmia.events.source import EventCodec, EventSource
from osmia.events.trace_pipe import TraceLine, TracePipe
from osmia.events.user_ring_buffer import Reservation, RingFullError, UserRingBuffer

__all__ = [
    "EventCodec",
    "EventSource",
    "PerfBuffer",
    "Reservation",
    "RingBuffer",
    "RingFullError",
    "TraceLine",
    "TracePipe",
    "UserRingBuffer",
]
