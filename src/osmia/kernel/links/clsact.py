"""clsact: programs as traffic control filters, the way before tcx (since 4.5).

What is added here is what is removed: the filter, as long as it is still this program's,
and the clsact qdisc when this process made it and no filter is left in it.
"""

from __future__ import annotations

import errno
import os
import struct
from collections.abc import Callable
from contextlib import ExitStack
from typing import TYPE_CHECKING

from osmia.arguments import names_wrong_arguments
from osmia.errors import KernelError
from osmia.kernel.links.attachable import Attachable
from osmia.kernel.links.link import HookLink
from osmia.kernel.rtnetlink.interfaces import interface_index, interface_words
from osmia.kernel.rtnetlink.tc_messages import (
    BPF_FD,
    BPF_FLAGS,
    BPF_ID,
    BPF_NAME,
    DELETE_FILTER,
    DIRECT_ACTION,
    GET_FILTER,
    NESTED,
    NEW_FILTER,
    PARENTS,
    TC_MESSAGE,
    TCA_KIND,
    TCA_OPTIONS,
    filter_message,
    make_qdisc,
    remove_qdisc,
)
from osmia.kernel.sys.fd import NamedDescriptor
from osmia.kernel.sys.netlink import NetlinkFlag, RouteSocket, attributes, parse_attributes
from osmia.object.uapi import AttachType
from osmia.records import dataclass

if TYPE_CHECKING:
    from osmia.engine.program import Program

#: Qdiscs that this process made: (network namespace, interface index).
_made: set[tuple[int, int]] = set()


@dataclass(frozen=True, slots=True)
class _Place:
    """Where a filter is: `priority` and `handle` 0 let the kernel choose."""

    index: int
    parent: int
    priority: int
    handle: int

    def message(self) -> bytes:
        return filter_message(self.index, self.parent, self.priority, self.handle)


@names_wrong_arguments
def attach_clsact(
    program: Attachable,
    interface: str | int,
    direction: str = "",
    *,
    priority: int = 0,
    handle: int = 0,
    replace: bool = False,
) -> HookLink:
    """Attach as a direct-action filter on an interface's "ingress" or "egress".

    The clsact qdisc is made when there is none. Filters run by ascending `priority`
    (1–65535; 0: the kernel takes one below those it gave before). With `replace` a filter
    with the same priority and handle gives way; without, that is KernelError EEXIST.

    The attachment is no link: it lasts until `detach`, beyond this process. `update` swaps
    the program atomically.
    """
    side = direction or _direction(program)
    parent = PARENTS[side]
    index = interface_index(interface)
    what = f"program {program.name!r} on clsact {side} of {interface_words(interface)}"
    identifier = program.id
    with ExitStack() as undo:
        route = undo.enter_context(RouteSocket())
        undo.push(_on_error(lambda: _remove_qdisc(route, index)))
        _add_qdisc(route, index, side, what)
        flags = NetlinkFlag.CREATE | (NetlinkFlag.REPLACE if replace else NetlinkFlag.EXCL)
        wanted = _Place(index, parent, priority, handle)
        place = _put(route, wanted, program, flags, what)
        hook = _Filter(route, place, identifier, what)
        undo.pop_all()
    return HookLink(what, hook.remove, hook.replace)


class _Filter:
    """One filter that is ours as long as its program id says so."""

    def __init__(self, route: RouteSocket, place: _Place, program_id: int, what: str) -> None:
        self._route = route
        self._place = place
        self._program_id = program_id
        self._what = what

    def replace(self, program: Program) -> None:
        what, identifier = f"update {self._what}", program.id
        _put(self._route, self._place, program, NetlinkFlag.CREATE | NetlinkFlag.REPLACE, what)
        self._program_id = identifier

    def remove(self) -> None:
        with self._route:
            try:
                if _program_at(self._route, self._place) == self._program_id:
                    self._delete()
                _remove_qdisc(self._route, self._place.index)
            except KernelError as error:
                if error.errno not in (errno.ENODEV, errno.ENOENT):  # the interface is gone
                    raise

    def _delete(self) -> None:
        body = self._place.message() + attributes([(TCA_KIND, b"bpf\0")])
        self._route.request(DELETE_FILTER, NetlinkFlag(0), body, f"detach {self._what}")


def _on_error(action: Callable[[], None]) -> Callable[..., None]:
    def leave(kind: object, *_: object) -> None:
        if kind is not None:
            action()

    return leave


def _direction(program: Attachable) -> str:
    match program.expected_attach_type:
        case AttachType.TCX_INGRESS:
            return "ingress"
        case AttachType.TCX_EGRESS:
            return "egress"
    raise ValueError(f"program {program.name!r} does not say which: 'ingress' or 'egress'?")


def _put(
    route: RouteSocket, place: _Place, program: NamedDescriptor, flags: NetlinkFlag, what: str
) -> _Place:
    """Add or replace a filter; where the kernel put it."""
    options = attributes(
        [
            (BPF_FD, struct.pack("=I", program.fileno())),
            (BPF_NAME, program.name.encode() + b"\0"),
            (BPF_FLAGS, struct.pack("=I", DIRECT_ACTION)),
        ]
    )
    body = place.message() + attributes([(TCA_KIND, b"bpf\0"), (TCA_OPTIONS | NESTED, options)])
    answers = route.request(NEW_FILTER, flags | NetlinkFlag.ECHO, body, f"attach {what}")
    for answer in answers:
        _family, index, handle, parent, info = TC_MESSAGE.unpack_from(answer)
        return _Place(index, parent, info >> 16, handle)
    return place


def _filters(route: RouteSocket, index: int, parent: int) -> list[tuple[_Place, int]]:
    """The bpf filters of one direction, and their programs' ids; other kinds have id 0."""
    body = TC_MESSAGE.pack(0, index, 0, parent, 0)
    found = []
    for answer in route.request(GET_FILTER, NetlinkFlag.DUMP, body, "list filters"):
        _family, _index, handle, _parent, info = TC_MESSAGE.unpack_from(answer)
        # A chain's head is listed as a filter without a handle.
        if handle:
            told = parse_attributes(answer[TC_MESSAGE.size :])
            options = parse_attributes(told.get(TCA_OPTIONS, b""))
            (program,) = struct.unpack("=I", options.get(BPF_ID, bytes(4)))
            found.append((_Place(index, parent, info >> 16, handle), program))
    return found


def _program_at(route: RouteSocket, place: _Place) -> int:
    """The id of the program of a filter, 0 when there is no such filter."""
    filters = _filters(route, place.index, place.parent)
    return next((program for found, program in filters if found == place), 0)


def _namespace() -> int:
    return os.stat("/proc/thread-self/ns/net").st_ino  # noqa: PTH116 - of this thread


def _add_qdisc(route: RouteSocket, index: int, side: str, what: str) -> None:
    if make_qdisc(route, index, side, what):
        _made.add((_namespace(), index))


def _remove_qdisc(route: RouteSocket, index: int) -> None:
    """Remove the qdisc when this process made it and nothing is left in it."""
    key = (_namespace(), index)
    if key not in _made:
        return
    if any(_filters(route, index, parent) for parent in PARENTS.values()):
        return
    _made.discard(key)
    remove_qdisc(route, index)
