"""BPF iterators: programs that print a line for each map element, task, link, …"""

from __future__ import annotations

import codecs
import ctypes
import os
from collections.abc import Iterator

from osmia.arguments import names_wrong_arguments
from osmia.kernel.links.attachable import Attachable
from osmia.kernel.links.link import KernelLink
from osmia.kernel.probes.features import needs
from osmia.kernel.sys import syscall
from osmia.kernel.sys.attributes import (
    IterCgroupInfo,
    IterMapInfo,
    IterTaskInfo,
    LinkIterOptions,
)
from osmia.kernel.sys.fd import FileDescriptor, HasFileno
from osmia.object.uapi import AttachType

_CHUNK = 1 << 16

#: enum bpf_cgroup_iter_order
CGROUP_ORDERS = {
    "self_only": 1,
    "descendants_pre": 2,
    "descendants_post": 3,
    "ancestors_up": 4,
    "children": 5,  # since 6.19
}


class IteratorLink(KernelLink):
    """An iterator's link: iterating over it runs the program and gives lines of text.

    Every iteration, and every `read`, is a new run over the kernel's objects.
    """

    def read_bytes(self) -> bytes:
        """All that one run prints."""
        return b"".join(self._chunks())

    def read(self) -> str:
        """All that one run prints, as text (UTF-8; other bytes become replacement marks)."""
        return self.read_bytes().decode("utf-8", "replace")

    def __iter__(self) -> Iterator[str]:
        """The lines of one run, without their ends, as they are printed."""
        decoder = codecs.getincrementaldecoder("utf-8")("replace")
        rest = ""
        for chunk in self._chunks():
            *lines, rest = (rest + decoder.decode(chunk)).split("\n")
            yield from lines
        rest += decoder.decode(b"", final=True)
        if rest:
            yield rest

    def start(self) -> FileDescriptor:
        """A descriptor whose read(2) runs the program once through (BPF_ITER_CREATE)."""
        return FileDescriptor(
            syscall.iter_create(self.fileno(), what=f"run {self.what}"), f"run of {self.what}"
        )

    def _chunks(self) -> Iterator[bytes]:
        with self.start() as run:
            while True:
                try:
                    chunk = os.read(run.fileno(), _CHUNK)
                except BlockingIOError:  # the kernel had a look at many objects; go on
                    continue
                if not chunk:
                    return
                yield chunk


@names_wrong_arguments
def attach_iterator(
    program: Attachable,
    *,
    map: HasFileno | int | None = None,  # noqa: A002 - the kernel's word
    cgroup: str | os.PathLike[str] | int | None = None,
    cgroup_order: str = "descendants_pre",
    pid: int = 0,
    tid: int = 0,
) -> IteratorLink:
    """Make a run of an iterator program possible (since 5.8).

    `map`: what a map element iterator goes over. `cgroup`: where a cgroup iterator starts
    (a directory or a descriptor), and in which order (a key of CGROUP_ORDERS; since
    6.1). `pid` or `tid`: the process or thread that a task iterator is about (since 6.1).
    """
    if cgroup_order not in CGROUP_ORDERS:
        known = ", ".join(CGROUP_ORDERS)
        raise ValueError(f"cgroup_order is one of {known}; not {cgroup_order!r}")
    what = f"iterator program {program.name!r}"
    with _open_cgroup(cgroup) as directory:
        info: ctypes.Structure | None = None
        if map is not None:
            info = IterMapInfo(map_fd=map if isinstance(map, int) else map.fileno())
        elif cgroup is not None:
            info = IterCgroupInfo(order=CGROUP_ORDERS[cgroup_order], cgroup_fd=directory.fileno())
        elif pid or tid:
            info = IterTaskInfo(pid=pid, tid=tid)
        options = LinkIterOptions()
        if info is not None:
            options.iter_info = ctypes.addressof(info)
            options.iter_info_len = ctypes.sizeof(info)
        version = "6.1" if cgroup is not None or pid or tid else "5.8"
        if cgroup is not None and cgroup_order == "children":
            version = "6.19"
        with needs(version, "such iterators"):
            fd = syscall.link_create(
                program.fileno(),
                attach_type=AttachType.TRACE_ITER,
                options=options,
                what=f"attach {what}",
            )
    return IteratorLink(FileDescriptor(fd), what)


def _open_cgroup(cgroup: str | os.PathLike[str] | int | None) -> FileDescriptor:
    """A descriptor of our own of the cgroup; of nothing when none was given."""
    match cgroup:
        case None:
            return FileDescriptor(os.open("/", os.O_PATH | os.O_CLOEXEC), "no cgroup")
        case int():
            return FileDescriptor(os.dup(cgroup), "cgroup")
        case _:
            flags = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
            return FileDescriptor(os.open(cgroup, flags), f"cgroup {os.fspath(cgroup)}")
