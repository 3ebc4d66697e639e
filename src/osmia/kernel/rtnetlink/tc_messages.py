"""Traffic control over netlink: the numbers, and the messages about clsact and bpf filters."""

from __future__ import annotations

import errno
import struct

from osmia.errors import KernelError
from osmia.kernel.rtnetlink.interfaces import interface_words
from osmia.kernel.sys.netlink import NetlinkFlag, RouteSocket, attributes, parse_attributes

# include/uapi/linux/rtnetlink.h
NEW_FILTER, DELETE_FILTER, GET_FILTER = 44, 45, 46
_NEW_QDISC, _DELETE_QDISC, _GET_QDISC = 36, 37, 38
TC_MESSAGE = struct.Struct("=BxxxiIII")  # struct tcmsg: family, interface, handle, parent, info
TCA_KIND, TCA_OPTIONS = 1, 2
NESTED = 0x8000
# include/uapi/linux/pkt_sched.h
_CLSACT_PARENT, _CLSACT_HANDLE = 0xFFFF_FFF1, 0xFFFF_0000
PARENTS = {"ingress": 0xFFFF_FFF2, "egress": 0xFFFF_FFF3}
_DIRECTIONS = {b"clsact": ("ingress", "egress"), b"ingress": ("ingress",)}
# include/uapi/linux/pkt_cls.h
BPF_CLASS_ID, BPF_FD, BPF_NAME, BPF_FLAGS, BPF_TAG, BPF_ID = 3, 6, 7, 8, 10, 11
DIRECT_ACTION = 1

ALL_PROTOCOLS = 3  # ETH_P_ALL
_LAST_PRIORITY = 0xFFFF


def filter_message(
    index: int, parent: int, priority: int, handle: int, protocol: int = ALL_PROTOCOLS
) -> bytes:
    """The head of a message about one filter of an interface. ValueError for numbers that no
    filter has."""
    if not 0 <= priority <= _LAST_PRIORITY:
        raise ValueError(
            f"a priority is 1 to {_LAST_PRIORITY:,}, or 0 for the kernel to choose, not {priority}"
        )
    if handle < 0 or handle >> 32:
        raise ValueError(f"a handle is a number of 32 bits, not {handle:,}")
    info = priority << 16 | struct.unpack("=H", struct.pack("!H", protocol))[0]
    return TC_MESSAGE.pack(0, index, handle, parent, info)


def _qdisc_message(index: int) -> bytes:
    message = TC_MESSAGE.pack(0, index, _CLSACT_HANDLE, _CLSACT_PARENT, 0)
    return message + attributes([(TCA_KIND, b"clsact\0")])


def make_qdisc(route: RouteSocket, index: int, direction: str, what: str) -> bool:
    """Make an interface's clsact qdisc for `what`; False when there was one.

    An `ingress` qdisc does for ingress. For egress it is KernelError EEXIST: the kernel would
    take the filter and put it to ingress (net/sched/sch_ingress.c, ingress_tcf_block).
    """
    flags = NetlinkFlag.CREATE | NetlinkFlag.EXCL
    what = f"add a clsact qdisc for {what}"
    try:
        route.request(_NEW_QDISC, flags, _qdisc_message(index), what)
    except KernelError as error:
        if error.errno != errno.EEXIST:
            raise
        if direction == "egress" and direction not in directions(route, index):
            hint = f"{interface_words(index)} has an ingress qdisc; egress filters need clsact"
            raise KernelError(errno.EEXIST, what, hint=hint) from None
        return False
    return True


def directions(route: RouteSocket, index: int) -> tuple[str, ...]:
    """What the filters of an interface's clsact or ingress qdisc can see; () without one."""
    body = TC_MESSAGE.pack(0, index, 0, 0, 0)
    for answer in route.request(_GET_QDISC, NetlinkFlag.DUMP, body, "list qdiscs"):
        _family, found, _handle, parent, _info = TC_MESSAGE.unpack_from(answer)
        if (found, parent) == (index, _CLSACT_PARENT):
            told = parse_attributes(answer[TC_MESSAGE.size :])
            return _DIRECTIONS.get(told.get(TCA_KIND, b"").rstrip(b"\0"), ())
    return ()


def remove_qdisc(route: RouteSocket, index: int) -> None:
    """Remove an interface's clsact qdisc; nothing happens when somebody did that before."""
    try:
        request = _qdisc_message(index)
        route.request(_DELETE_QDISC, NetlinkFlag(0), request, "remove the clsact qdisc")
    except KernelError as error:
        # EINVAL: the place has the noop qdisc, or one of another kind.
        if error.errno not in (errno.EINVAL, errno.ENOENT, errno.ENODEV):
            raise
