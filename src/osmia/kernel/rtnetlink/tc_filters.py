"""Filters of the clsact qdisc as tc makes and lists them: added, listed and removed by hand.

`clsact.attach_clsact` gives an attachment that its process takes off again; a filter made
here stays, as after `tc filter add dev DEV ingress bpf da obj FILE sec SECTION`.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping

from osmia.errors import KernelError
from osmia.kernel.rtnetlink.interfaces import interface_index, interface_words
from osmia.kernel.rtnetlink.qdisc_marks import mark_of
from osmia.kernel.rtnetlink.tc_messages import (
    BPF_CLASS_ID,
    BPF_FD,
    BPF_FLAGS,
    BPF_ID,
    BPF_NAME,
    BPF_TAG,
    DELETE_FILTER,
    DIRECT_ACTION,
    GET_FILTER,
    NESTED,
    NEW_FILTER,
    PARENTS,
    TC_MESSAGE,
    TCA_KIND,
    TCA_OPTIONS,
    directions,
    filter_message,
    make_qdisc,
    remove_qdisc,
)
from osmia.kernel.sys.fd import NamedDescriptor
from osmia.kernel.sys.netlink import NetlinkFlag, RouteSocket, attributes, parse_attributes
from osmia.records import dataclass


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
    program: NamedDescriptor,
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
    if direction not in PARENTS:
        raise ValueError(f"a direction is 'ingress' or 'egress', not {direction!r}")
    what = f"filter {name or program.name!r} to {direction} of {interface_words(interface)}"
    options = [
        (BPF_FD, struct.pack("=I", program.fileno())),
        (BPF_NAME, _text(name or program.name)),
    ]
    if direct_action:
        options.append((BPF_FLAGS, struct.pack("=I", DIRECT_ACTION)))
    if class_id:
        options.append((BPF_CLASS_ID, struct.pack("=I", class_id)))
    flags = NetlinkFlag.CREATE | (NetlinkFlag.REPLACE if replace else NetlinkFlag.EXCL)
    body = filter_message(index, PARENTS[direction], priority, handle) + attributes(
        [(TCA_KIND, b"bpf\0"), (TCA_OPTIONS | NESTED, attributes(options))]
    )
    with RouteSocket() as route, mark_of(index) as mark:
        made = make_qdisc(route, index, direction, what)
        if made:
            mark.set()
        elif mark.is_set and _is_empty(route, index):
            mark.remove()  # not the one that was made here: that went with its last filter
        try:
            answers = route.request(NEW_FILTER, flags | NetlinkFlag.ECHO, body, f"add {what}")
        except KernelError:
            if made:
                remove_qdisc(route, index)
                mark.remove()
            raise
    return next(found for answer in answers if (found := _filter(answer, direction)))


def filters(interface: str | int, direction: str = "") -> list[TcFilter]:
    """The bpf filters of an interface, by direction and priority; [] without a qdisc for them."""
    index = interface_index(interface)
    found = []
    with RouteSocket() as route:
        for side in directions(route, index):
            if direction not in ("", side):
                continue
            body = TC_MESSAGE.pack(0, index, 0, PARENTS[side], 0)
            answers = route.request(GET_FILTER, NetlinkFlag.DUMP, body, "list filters")
            found += [each for answer in answers if (each := _filter(answer, side))]
    return found


def remove_filter(found: TcFilter) -> None:
    """Remove a filter; and, with the last one of both directions, the clsact qdisc, if
    `add_filter` made it (on this machine, in any process)."""
    parent = PARENTS[found.direction]
    body = filter_message(found.interface, parent, found.priority, found.handle, found.protocol)
    what = f"remove filter {found.name!r} of {interface_words(found.interface)}"
    with RouteSocket() as route, mark_of(found.interface) as mark:
        body += attributes([(TCA_KIND, b"bpf\0")])
        route.request(DELETE_FILTER, NetlinkFlag(0), body, what)
        if mark.is_set and _is_empty(route, found.interface):
            remove_qdisc(route, found.interface)
            mark.remove()


def _is_empty(route: RouteSocket, index: int) -> bool:
    """Whether no filter of any kind is on an interface's clsact qdisc."""
    bodies = (TC_MESSAGE.pack(0, index, 0, parent, 0) for parent in PARENTS.values())
    return not any(
        route.request(GET_FILTER, NetlinkFlag.DUMP, body, "list filters") for body in bodies
    )


def _filter(answer: bytes, direction: str) -> TcFilter | None:
    """What one message tells; None for a chain's head and for filters of other kinds."""
    _family, index, handle, _parent, info = TC_MESSAGE.unpack_from(answer)
    told = parse_attributes(answer[TC_MESSAGE.size :])
    if not handle or told.get(TCA_KIND, b"").rstrip(b"\0") != b"bpf":
        return None
    options = parse_attributes(told.get(TCA_OPTIONS, b""))
    return TcFilter(
        interface=index,
        direction=direction,
        priority=info >> 16,
        handle=handle,
        protocol=struct.unpack("!H", struct.pack("=H", info & 0xFFFF))[0],
        name=options.get(BPF_NAME, b"").rstrip(b"\0").decode("utf-8", "replace"),
        program_id=_number(options, BPF_ID),
        tag=options.get(BPF_TAG, b"").hex(),
        direct_action=bool(_number(options, BPF_FLAGS) & DIRECT_ACTION),
        class_id=_number(options, BPF_CLASS_ID),
    )


def _number(options: Mapping[int, bytes], kind: int) -> int:
    payload = options.get(kind, bytes(4))
    return int(struct.unpack("=I", payload)[0])


def _text(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape") + b"\0"
