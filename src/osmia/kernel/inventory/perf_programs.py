"""Programs on perf events and raw tracepoints, found through the descriptors of processes."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from osmia.enums import IntEnum
from osmia.errors import BpfPermissionError, KernelError
from osmia.kernel.sys import syscall
from osmia.named_tuples import NamedTuple

#: What /proc shows the descriptors to be. The kernel tells nothing of perf events' links
#: (since 5.15): those are links like others.
_KINDS = ("anon_inode:[perf_event]", "anon_inode:bpf_link", "anon_inode:bpf-link")


class EventKind(IntEnum):
    """enum bpf_task_fd_type, include/uapi/linux/bpf.h."""

    RAW_TRACEPOINT = 0
    TRACEPOINT = 1
    KPROBE = 2
    KRETPROBE = 3
    UPROBE = 4
    URETPROBE = 5


class PerfProgram(NamedTuple):
    """A process's descriptor of an event that runs a program.

    `name` is the tracepoint, function or file; `offset` in bytes, in that; `address` of a
    kprobe that has no name.
    """

    pid: int
    fd: int
    program_id: int
    kind: EventKind
    name: str
    offset: int
    address: int


def perf_programs() -> Iterator[PerfProgram]:
    """All that the kernel tells, by process and descriptor (since 4.18, CAP_SYS_ADMIN)."""
    try:
        # Who may not ask does not see others' descriptors either, and would be told of none.
        syscall.task_fd_query(os.getpid(), 0)
    except BpfPermissionError:
        raise
    except KernelError:  # it is none that runs a program
        pass
    processes = [int(path.name) for path in Path("/proc").iterdir() if path.name.isdigit()]
    for pid in sorted(processes):
        for fd in sorted(_events(Path(f"/proc/{pid}/fd"))):
            try:
                program_id, kind, name, offset, address = syscall.task_fd_query(pid, fd)
            except BpfPermissionError:
                raise
            except KernelError:  # closed meanwhile, or without a program
                continue
            yield PerfProgram(pid, fd, program_id, EventKind(kind), name, offset, address)


def _events(descriptors: Path) -> Iterator[int]:
    try:
        for each in descriptors.iterdir():
            if str(each.readlink()) in _KINDS:
                yield int(each.name)
    except OSError:  # the process ended, or is somebody else's
        return
