"""Filters of the clsact qdisc as tc makes and lists them: added, listed and removed by hand.

`clsact.attach_clsact` gives an attachment that its process takes off again; a filter made
here stays, as after `tc filter add dev DEV ingress bpf da obj FILE sec SECTION`.
"""

from __future__ import annotations

import errno
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from osmia.errors import KernelError
from osmia.kernel.links.interfaces import interface_index, interface_words
from osmia.kernel.netlink import NetlinkFlag, RouteSocket, attributes, parse_attributes

if TYPE_CHECKING:
    from osmia.kernel.programs import Program

# include/uapi/linux/rtnetlink.h
_NEW_QDISC, _DELETE_QDISC = 36, 37
_NEW_FILTER, _DELETE_FILTER, _GET_FILTER = 44, 45, 46
_MESSAGE = struct.Struct("=BxxxiIII")  # struct tcmsg: family, interface, handle, parent, info
_KIND, _OPTIONS = 1, 2
_NESTED = 0x8000
# include/uapi/linux/pkt_sched.h
_CLSACT, _CLSACT_HANDLE = 0xFFFF_FFF1, 0xFFFF_0000
_PARENTS = {"ingress": 0xFFFF_FFF2, "egress": 0xFFFF_FFF3}
# include/uapi/linux/pkt_cls.h
_CLASS_ID, _FD, _NAME, _FLAGS, _TAG, _ID = 3, 6, 7, 8, 10, 11
_DIRECT_ACTION = 1

ALL_PROTOCOLS = 3  # ETH_P_ALL


@dataclass(frozen=True, slots=True)
class TcFilter:
    """A bpf filter of an interface, as `tc filter show` lists it.

    `name` is what its maker called it ("FILE:[SECTION]" by tc), `tag` the program's, hex.
    """

    interface: int
    direction: str
    priority: int
    handle: int
    protocol: int
    name: str
    program_id: int
    tag: str
    direct_action: bool
    class_id: int = 0


def add_filter(
    program: Program,
    interface: str | int,
    direction: str,
    *,
    name: str = "",
    direct_action: bool = True,
    class_id: int = 0,
    priority: int = 0,
    handle: int = 0,
    replace: bool = False,
) -> TcFilter:
    """Add a filter to an interface's "ingress" or "egress"; it stays until it is removed.

    The clsact qdisc is made when there is none. `priority` 1–65535, 0: the kernel chooses.
    With `direct_action` the program's return value is the verdict, without it a class id.
    A filter with the same priority and handle gives way with `replace`, else KernelError
    EEXIST.
    """
    index = interface_index(interface)
    if direction not in _PARENTS:
        raise ValueError(f"a direction is 'ingress' or 'egress', not {direction!r}")
    what = f"filter {name or program.name!r} to {direction} of {interface_words(interface)}"
    options = [(_FD, struct.pack("=I", program.fileno())), (_NAME, _text(name or program.name))]
    if direct_action:
        options.append((_FLAGS, struct.pack("=I", _DIRECT_ACTION)))
    if class_id:
        options.append((_CLASS_ID, struct.pack("=I", class_id)))
    flags = NetlinkFlag.CREATE | (NetlinkFlag.REPLACE if replace else NetlinkFlag.EXCL)
    body = _place(index, direction, priority, handle, ALL_PROTOCOLS) + attributes(
        [(_KIND, b"bpf\0"), (_OPTIONS | _NESTED, attributes(options))]
    )
    with RouteSocket() as route:
        made = _make_qdisc(route, index, what)
        try:
            answers = route.request(_NEW_FILTER, flags | NetlinkFlag.ECHO, body, f"add {what}")
        except KernelError:
            if made:
                _remove_qdisc(route, index)
            raise
    return next(found for answer in answers if (found := _filter(answer, direction)))


def filters(interface: str | int, direction: str = "") -> list[TcFilter]:
    """The bpf filters of an interface, by direction and priority; [] without a clsact qdisc."""
    index = interface_index(interface)
    found = []
    with RouteSocket() as route:
        for side in (direction,) if direction else _PARENTS:
            body = _MESSAGE.pack(0, index, 0, _PARENTS[side], 0)
            try:
                answers = route.request(_GET_FILTER, NetlinkFlag.DUMP, body, "list filters")
            except KernelError as error:
                if error.errno != errno.EINVAL:  # no qdisc
                    raise
                continue
            found += [each for answer in answers if (each := _filter(answer, side))]
    return found


def remove_filter(found: TcFilter) -> None:
    """Remove a filter; the qdisc stays."""
    body = _place(found.interface, found.direction, found.priority, found.handle, found.protocol)
    what = f"remove filter {found.name!r} of {interface_words(found.interface)}"
    with RouteSocket() as route:
        body += attributes([(_KIND, b"bpf\0")])
        route.request(_DELETE_FILTER, NetlinkFlag(0), body, what)


def _filter(answer: bytes, direction: str) -> TcFilter | None:
    """What one message tells; None for a chain's head and for filters of other kinds."""
    _family, index, handle, _parent, info = _MESSAGE.unpack_from(answer)
    told = parse_attributes(answer[_MESSAGE.size :])
    if not handle or told.get(_KIND, b"").rstrip(b"\0") != b"bpf":
        return None
    options = parse_attributes(told.get(_OPTIONS, b""))
    return TcFilter(
        interface=index,
        direction=direction,
        priority=info >> 16,
        handle=handle,
        protocol=struct.unpack("!H", struct.pack("=H", info & 0xFFFF))[0],
        name=options.get(_NAME, b"").rstrip(b"\0").decode("utf-8", "replace"),
        program_id=_number(options, _ID),
        tag=options.get(_TAG, b"").hex(),
        direct_action=bool(_number(options, _FLAGS) & _DIRECT_ACTION),
        class_id=_number(options, _CLASS_ID),
    )


def _number(options: Mapping[int, bytes], kind: int) -> int:
    payload = options.get(kind, bytes(4))
    return int(struct.unpack("=I", payload)[0])


def _place(index: int, direction: str, priority: int, handle: int, protocol: int) -> bytes:
    info = priority << 16 | struct.unpack("=H", struct.pack("!H", protocol))[0]
    return _MESSAGE.pack(0, index, handle, _PARENTS[direction], info)


def _text(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape") + b"\0"


def _qdisc(index: int) -> bytes:
    return _MESSAGE.pack(0, index, _CLSACT_HANDLE, _CLSACT, 0) + attributes([(_KIND, b"clsact\0")])


def _make_qdisc(route: RouteSocket, index: int, what: str) -> bool:
    """Make the clsact qdisc; False when there was one."""
    flags = NetlinkFlag.CREATE | NetlinkFlag.EXCL
    try:
        route.request(_NEW_QDISC, flags, _qdisc(index), f"make a clsact qdisc for {what}")
    except KernelError as error:
        if error.errno != errno.EEXIST:
            raise
        return False
    return True


def _remove_qdisc(route: RouteSocket, index: int) -> None:
    route.request(_DELETE_QDISC, NetlinkFlag(0), _qdisc(index), "remove the clsact qdisc")
