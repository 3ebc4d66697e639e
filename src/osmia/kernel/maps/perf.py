"""Perf events in a perf event array: what programs send on each CPU, as one reader."""

from __future__ import annotations

import sys
from contextlib import ExitStack
from typing import TYPE_CHECKING

from osmia.engine.maps.errors import Operation, element_error
from osmia.kernel.sys import perf_events
from osmia.kernel.sys.attributes import PerfEventAttr
from osmia.kernel.sys.cpus import online_cpus
from osmia.kernel.sys.fd import FileDescriptor
from osmia.kernel.sys.perf_events import PerfFlag, PerfIoctl

if TYPE_CHECKING:
    from osmia.events import EventCodec, PerfBuffer
    from osmia.kernel.maps.raw import KernelMap

# include/uapi/linux/perf_event.h
_TYPE_SOFTWARE = 1
_SW_BPF_OUTPUT = 10  # since 4.4
_SAMPLE_RAW = 1 << 10


def open_perf_buffer(raw: KernelMap, codec: EventCodec | None, pages: int | None) -> PerfBuffer:
    """A reader with a perf event on every CPU that is online and has an entry; closing it takes
    them out of the map again."""
    from osmia.events.perf_buffer import DEFAULT_PAGES, PerfBuffer

    with ExitStack() as opened:
        events = {}
        for cpu in online_cpus():
            if cpu < raw.max_entries:
                events[cpu] = opened.enter_context(_output_event(cpu))
        buffer = PerfBuffer(
            {cpu: event.fileno() for cpu, event in events.items()},
            pages=pages or DEFAULT_PAGES,
            codec=codec,
            close=lambda: _take_out(raw, events),
            name=raw.name,
        )
        # From here on closing the buffer undoes all of it.
        opened.pop_all()
    try:
        for cpu, event in events.items():
            if error := raw.update(_key(cpu), raw.reference(event)):
                raise element_error(raw, Operation.UPDATE, error, cpu)
            perf_events.perf_event_ioctl(event.fileno(), PerfIoctl.ENABLE)
    except BaseException:
        buffer.close()
        raise
    return buffer


def _take_out(raw: KernelMap, events: dict[int, FileDescriptor]) -> None:
    for cpu, event in events.items():
        if not raw.closed:
            raw.delete(_key(cpu))  # refused: not stored yet, or replaced by somebody
        event.close()


def _key(cpu: int) -> bytes:
    return cpu.to_bytes(4, sys.byteorder)


def _output_event(cpu: int) -> FileDescriptor:
    """A perf event that takes what programs on `cpu` send, not enabled yet."""
    attribute = PerfEventAttr(
        type=_TYPE_SOFTWARE,
        config=_SW_BPF_OUTPUT,
        sample_type=_SAMPLE_RAW,
        sample_period=1,
        wakeup_events=1,
        flags=PerfFlag.DISABLED,
    )
    what = f"open the perf event of CPU {cpu}"
    return FileDescriptor(perf_events.perf_event_open(attribute, cpu=cpu, what=what), what)
