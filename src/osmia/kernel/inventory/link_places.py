"""Where links are attached, by names: control groups, and interfaces in whatever network.

The kernel tells the number of a cgroup and the index of an interface, but not in which network
namespace that counts. So those that are known are asked, the own one first, which of their
interfaces has the link.
"""

from __future__ import annotations

import ctypes
import os
import socket
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from threading import Thread

from osmia.errors import KernelError, OsmiaError
from osmia.kernel.inventory.cgroup_programs import cgroup_root
from osmia.kernel.links.info import LinkInfo
from osmia.kernel.rtnetlink.xdp import attached_xdp
from osmia.kernel.sys import syscall
from osmia.named_tuples import NamedTuple
from osmia.object.uapi import LinkType

_CLONE_NEWNET = 0x4000_0000
_OWN = Path("/proc/thread-self/ns/net")
#: Where `ip netns` keeps namespaces by name.
_NAMED = Path("/run/netns")


class Interface(NamedTuple):
    """An interface by name; `namespace` is a path of its network namespace, "" of the own one,
    None where several could be meant that all call it so."""

    name: str
    namespace: str | None


def cgroup_paths(numbers: Collection[int]) -> dict[int, Path]:
    """By number, the directories of cgroups that are there (below the v2 mount)."""
    wanted, found = set(numbers), dict[int, Path]()
    if not wanted:
        return found
    with suppress(OsmiaError):
        root = cgroup_root()
        for number, path in _directories(root):
            if number in wanted:
                found[number] = path
                if len(found) == len(wanted):
                    break
    return found


def interfaces(links: Iterable[LinkInfo]) -> dict[int, Interface]:
    """By link, the interface that it is on, for those that are found on one."""
    left = {link.id: link for link in links if link.details.get("interface_index")}
    alike = Counter(map(_xdp_place, left.values()))
    found: dict[int, list[Interface]] = {}
    for namespace, path in _namespaces():
        if not left:
            break
        here = _inside(namespace, lambda: _on_interfaces(left.values()))
        for link, name in here.items():
            found.setdefault(link, []).append(Interface(name, path))
            # Of XDP only the program is told, which may be on such an index in several networks.
            if left[link].type != LinkType.XDP or (not path and alike[_xdp_place(left[link])] == 1):
                del left[link]
    return {link: _agreed(several) for link, several in found.items() if _one_name(several)}


def _xdp_place(link: LinkInfo) -> tuple[int, int]:
    return link.details["interface_index"], link.program_id


def _one_name(several: list[Interface]) -> bool:
    return len({each.name for each in several}) == 1


def _agreed(several: list[Interface]) -> Interface:
    return several[0] if len(several) == 1 else Interface(several[0].name, None)


def _on_interfaces(links: Iterable[LinkInfo]) -> dict[int, str]:
    """By link, the interface of this thread's network namespace that has it."""
    found = {}
    xdp = _xdp_programs()
    for link in links:
        index = link.details["interface_index"]
        has = _xdp_place(link) in xdp if link.type == LinkType.XDP else _has(link, index)
        with suppress(OSError):  # gone meanwhile
            if has:
                found[link.id] = socket.if_indextoname(index)
    return found


def _xdp_programs() -> set[tuple[int, int]]:
    try:
        return {(each.interface, each.program_id) for each in attached_xdp()}
    except KernelError:
        return set()


def _has(link: LinkInfo, index: int) -> bool:
    """Whether an interface has a tcx or netkit link."""
    try:
        there = syscall.prog_query(
            target=index, attach_type=link.details["attach_type"], want_links=True
        )
    except KernelError:  # no such interface here
        return False
    return link.id in there.link_ids


def _namespaces() -> Iterator[tuple[Path | None, str]]:
    """The network namespaces that are known, each once, with a path; None, "": the own one."""
    yield None, ""
    seen = {_OWN.stat().st_ino}
    paths = list(_NAMED.iterdir()) if _NAMED.is_dir() else []
    paths += [each / "ns/net" for each in Path("/proc").iterdir() if each.name.isdigit()]
    for path in paths:
        with suppress(OSError):  # ended meanwhile, or somebody else's
            number = path.stat().st_ino
            if number not in seen:
                seen.add(number)
                yield path, str(path)


def _inside(namespace: Path | None, ask: Callable[[], dict[int, str]]) -> dict[int, str]:
    """What `ask` gives in a network namespace; {} where this process may not go there."""
    if namespace is None:
        return ask()
    answer: dict[int, str] = {}

    def enter() -> None:
        # A thread has a namespace of its own, which ends with it.
        with suppress(OSError):
            there = os.open(namespace, os.O_RDONLY | os.O_CLOEXEC)
            try:
                entered = ctypes.CDLL(None).setns(there, _CLONE_NEWNET) == 0
            finally:
                os.close(there)
            if entered:
                answer.update(ask())

    thread = Thread(target=enter)
    thread.start()
    thread.join()
    return answer


def _directories(root: Path) -> Iterator[tuple[int, Path]]:
    """A directory and those below it, each with its number."""
    yield root.stat().st_ino, root
    waiting = [root]
    while waiting:
        with suppress(OSError), os.scandir(waiting.pop()) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    path = Path(entry.path)
                    waiting.append(path)
                    yield entry.inode(), path
