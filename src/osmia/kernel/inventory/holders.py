"""Who keeps programs, maps, links and BTF alive: processes by descriptors, pins by paths."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterator, Mapping
from typing import Literal

from osmia.errors import KernelError
from osmia.kernel.sys import pins, syscall
from osmia.kernel.sys.fd import FileDescriptor
from osmia.paths import Path, text_of
from osmia.records import dataclass

Kind = Literal["program", "map", "link", "btf"]

#: How /proc shows descriptors, and the line of their fdinfo that has the id.
_KINDS: Mapping[str, tuple[Kind, str]] = {
    "anon_inode:bpf-prog": ("program", "prog_id"),
    "anon_inode:bpf-map": ("map", "map_id"),
    "anon_inode:bpf_link": ("link", "link_id"),
    "anon_inode:bpf-link": ("link", "link_id"),
    "anon_inode:[bpf_link]": ("link", "link_id"),
    "anon_inode:btf": ("btf", "btf_id"),
}


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
    found: dict[tuple[Kind, int], list[Path]] = defaultdict(list)
    for mount in pins.bpffs_mounts():
        for directory, _, names in os.walk(mount):
            for name in names:
                path = Path(directory, name)
                thing = _pinned_at(path)
                if thing is not None:
                    found[thing].append(path)
    return dict(found)


def _pinned_at(path: Path) -> tuple[Kind, int] | None:
    try:
        with FileDescriptor(syscall.obj_get(os.fspath(path)), f"pin '{path}'") as fd:
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
        for line in text_of(f"{process}/fdinfo/{descriptor}").splitlines():
            name, _, value = line.partition(":")
            if name == field:
                return kind, int(value)
    except OSError:
        pass
    return None


def _name_of(process: str) -> str:
    try:
        name = text_of(f"{process}/comm").rstrip("\n")
        return name.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
    except OSError:
        return ""
