"""Who keeps programs, maps, links and BTF alive: processes by descriptors, pins by paths."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterator, Mapping

from osmia.errors import KernelError
from osmia.kernel.sys import syscall
from osmia.kernel.sys.fd import FileDescriptor
from osmia.kernel.sys.mounts import mount_points
from osmia.paths import Path, text_of
from osmia.records import dataclass

# The name that type checkers know; `typing` is dear.
TYPE_CHECKING = False

if TYPE_CHECKING:
    from typing import Literal

    Kind = Literal["program", "map", "link", "btf"]

#: How /proc shows descriptors, and the line of their fdinfo that has the id.
_KINDS: Mapping[str, tuple[Kind, bytes]] = {
    "anon_inode:bpf-prog": ("program", b"\nprog_id:"),
    "anon_inode:bpf-map": ("map", b"\nmap_id:"),
    "anon_inode:bpf_link": ("link", b"\nlink_id:"),
    "anon_inode:bpf-link": ("link", b"\nlink_id:"),
    "anon_inode:[bpf_link]": ("link", b"\nlink_id:"),
    "anon_inode:btf": ("btf", b"\nbtf_id:"),
}
#: Bytes of a descriptor's fdinfo: the kernel gives it whole, to who has the room.
_MOST_TOLD = 1 << 16


@dataclass(frozen=True, slots=True)
class Process:
    """A process that holds a descriptor."""

    pid: int
    name: str


def processes() -> dict[tuple[Kind, int], list[Process]]:
    """By kind and id, the processes with a descriptor of it; those that we may look into.

    One walk through /proc: ids are in fdinfo since 4.13 (programs, maps) and 5.8 (links).
    """
    found: dict[tuple[Kind, int], list[Process]] = defaultdict(list)
    for name in os.listdir("/proc"):  # noqa: PTH208
        if name.isdigit():
            held = set(_held_by(f"/proc/{name}"))
            if held:
                process = Process(int(name), _name_of(f"/proc/{name}"))
                for thing in held:
                    found[thing].append(process)
    return dict(found)


def pinned() -> dict[tuple[Kind, int], list[Path]]:
    """By kind and id, the paths in all mounted bpffs where it is pinned."""
    return {thing: list(map(Path, paths)) for thing, paths in pins().items()}


def pins() -> dict[tuple[Kind, int], list[str]]:
    """The same as text, for those who would make no other path."""
    found: dict[tuple[Kind, int], list[str]] = defaultdict(list)
    for mount in dict.fromkeys(place for place, _options in mount_points("bpf")):
        for directory, _, names in os.walk(mount):
            for name in names:
                path = f"{directory}/{name}"
                thing = _pinned_at(path)
                if thing is not None:
                    found[thing].append(path)
    return dict(found)


def _pinned_at(path: str) -> tuple[Kind, int] | None:
    try:
        with FileDescriptor(syscall.obj_get(path), f"pin '{path}'") as fd:
            return _identify("/proc/self", str(fd.fileno()))
    except KernelError:  # removed meanwhile, or of no kind that is pinned: maps.debug
        return None


def _held_by(process: str) -> Iterator[tuple[Kind, int]]:
    try:
        descriptors = os.listdir(f"{process}/fd")  # noqa: PTH208
    except OSError:  # ended meanwhile, or somebody else's
        return
    for descriptor in descriptors:
        thing = _identify(process, descriptor)
        if thing is not None:
            yield thing


def _identify(process: str, descriptor: str) -> tuple[Kind, int] | None:
    try:
        known = _KINDS.get(os.readlink(f"{process}/fd/{descriptor}"))  # noqa: PTH115
        if known is None:
            return None
        kind, field = known
        told = os.open(f"{process}/fdinfo/{descriptor}", os.O_RDONLY | os.O_CLOEXEC)
        try:
            text = os.read(told, _MOST_TOLD)
        finally:
            os.close(told)
    except OSError:
        return None
    _, found, value = text.partition(field)
    return (kind, int(value.partition(b"\n")[0])) if found else None


def _name_of(process: str) -> str:
    try:
        name = text_of(f"{process}/comm").rstrip("\n")
        return name.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
    except OSError:
        return ""
