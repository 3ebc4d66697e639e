"""What is in the kernel: all programs, maps, links and BTF objects, as their information.

The generators open one object at a time and survive that objects vanish between being
listed and being opened. They need CAP_SYS_ADMIN.
"""

from __future__ import annotations

import errno
from collections.abc import Callable, Iterator

from osmia.errors import KernelError
from osmia.kernel.sys import syscall
from osmia.kernel.sys.fd import FileDescriptor

# The name that type checkers know; `typing` is dear.
TYPE_CHECKING = False

if TYPE_CHECKING:
    from typing import TypeVar

    from osmia.engine.maps.info import MapInfo
    from osmia.kernel.links.info import LinkInfo
    from osmia.kernel.programs.info import ProgramInfo
    from osmia.kernel.sys.btf_objects import BtfObjectInfo

    _Info = TypeVar("_Info")


def program_ids() -> Iterator[int]:
    """The ids of all programs, ascending (since 4.13)."""
    return _ids(syscall.prog_get_next_id)


def map_ids() -> Iterator[int]:
    """The ids of all maps, ascending (since 4.13)."""
    return _ids(syscall.map_get_next_id)


def link_ids() -> Iterator[int]:
    """The ids of all links, ascending (since 5.8)."""
    return _ids(syscall.link_get_next_id)


def btf_ids() -> Iterator[int]:
    """The ids of all BTF objects, the kernel's own included, ascending (since 5.4)."""
    return _ids(syscall.btf_get_next_id)


def programs() -> Iterator[ProgramInfo]:
    """All programs."""
    from osmia.kernel.programs.info import program_info

    return _infos(program_ids(), syscall.prog_get_fd_by_id, program_info)


def maps() -> Iterator[MapInfo]:
    """All maps."""
    from osmia.kernel.maps.info import read_info

    return _infos(map_ids(), syscall.map_get_fd_by_id, read_info)


def links() -> Iterator[LinkInfo]:
    """All links."""
    from osmia.kernel.links.info import link_info

    return _infos(link_ids(), syscall.link_get_fd_by_id, link_info)


def btfs() -> Iterator[BtfObjectInfo]:
    """All BTF objects."""
    from osmia.kernel.sys.btf_objects import btf_info

    return _infos(btf_ids(), syscall.btf_get_fd_by_id, btf_info)


def _ids(next_id: Callable[[int], int | None]) -> Iterator[int]:
    identifier = next_id(0)
    while identifier is not None:
        yield identifier
        identifier = next_id(identifier)


def _infos(
    ids: Iterator[int], open_by_id: Callable[[int], int], read: Callable[[int], _Info]
) -> Iterator[_Info]:
    for identifier in ids:
        try:
            fd = FileDescriptor(open_by_id(identifier), f"object {identifier}")
        except KernelError as error:
            # Gone since it was listed; EAGAIN: a link that is not attached yet.
            if error.errno in (errno.ENOENT, errno.EAGAIN):
                continue
            raise
        with fd:
            told = read(fd.fileno())
        yield told
