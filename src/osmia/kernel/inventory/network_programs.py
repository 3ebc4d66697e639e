"""What programs hang on network interfaces and on this network namespace, hook by hook."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterable, Iterator
from typing import Any

from osmia.errors import KernelError
from osmia.kernel.inventory import iterate
from osmia.kernel.rtnetlink import tc_filters
from osmia.kernel.rtnetlink import xdp as xdp_netlink
from osmia.kernel.rtnetlink.interfaces import interface_index
from osmia.kernel.sys import syscall
from osmia.kernel.sys.fd import FileDescriptor
from osmia.named_tuples import NamedTuple
from osmia.object.uapi import AttachType, LinkType

_HOOKS = {
    "tcx/ingress": AttachType.TCX_INGRESS,
    "tcx/egress": AttachType.TCX_EGRESS,
    "netkit/primary": AttachType.NETKIT_PRIMARY,
    "netkit/peer": AttachType.NETKIT_PEER,
}


class NetworkProgram(NamedTuple):
    """A program on an interface, whose index is `interface_id`.

    `kind` is the hook ("xdp/native", "tcx/ingress", "clsact/egress"), `name` a filter's own;
    `link_id` 0 where no link attached it.
    """

    interface: str
    interface_id: int
    kind: str
    program_id: int
    link_id: int = 0
    name: str = ""


def xdp_programs(interface: str = "") -> list[NetworkProgram]:
    """Those on the XDP hooks of an interface, or of all."""
    return [
        NetworkProgram(each.interface_name, each.interface, f"xdp/{each.mode}", each.program_id)
        for each in xdp_netlink.attached_xdp(interface)
    ]


def traffic_programs(interface: str = "") -> list[NetworkProgram]:
    """Those on the tcx and netkit hooks of an interface, or of all, and clsact's filters."""
    places: Iterable[tuple[int, str]] = socket.if_nameindex()
    if interface:
        places = [(interface_index(interface), interface)]
    return [each for index, name in places for each in _on_interface(index, name)]


def _on_interface(index: int, name: str) -> Iterator[NetworkProgram]:
    for kind, hook in _HOOKS.items():
        try:
            found = syscall.prog_query(target=index, attach_type=hook, want_links=True)
        except KernelError:
            continue  # an older kernel, or no netkit device
        links = found.link_ids or (0,) * len(found.prog_ids)
        for program, link in zip(found.prog_ids, links, strict=True):
            yield NetworkProgram(name, index, kind, program, link)
    for each in tc_filters.filters(index):
        yield NetworkProgram(name, index, f"clsact/{each.direction}", each.program_id, 0, each.name)


def flow_dissectors() -> tuple[int, ...]:
    """The ids of programs that dissect flows in this network namespace (since 5.7)."""
    path = "/proc/self/ns/net"
    with FileDescriptor(os.open(path, os.O_RDONLY | os.O_CLOEXEC), path) as namespace:
        try:
            hook = AttachType.FLOW_DISSECTOR
            return syscall.prog_query(target=namespace.fileno(), attach_type=hook).prog_ids
        except KernelError:
            return ()


def netfilter_programs() -> Iterator[tuple[int, dict[str, Any]]]:
    """The programs on netfilter's hooks, which are attached by links: ids, and the places."""
    for link in iterate.links():
        if link.type == LinkType.NETFILTER:
            yield link.program_id, dict(link.details)
