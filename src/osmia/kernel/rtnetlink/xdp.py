"""XDP programs attached by netlink, as `ip link set dev DEV xdp` does: they stay.

The way before XDP links (since 4.8, generic mode since 4.12). `ip link show` lists both.
"""

from __future__ import annotations

import errno
import struct

from osmia.errors import KernelError
from osmia.kernel.rtnetlink.interfaces import interface_index, interface_words
from osmia.kernel.sys.fd import NamedDescriptor
from osmia.kernel.sys.netlink import NetlinkFlag, RouteSocket, attributes, parse_attributes
from osmia.records import dataclass

# include/uapi/linux/rtnetlink.h
_GET_LINK, _SET_LINK = 18, 19
_MESSAGE = struct.Struct("=BxHiII")  # struct ifinfomsg: family, type, index, flags, change
# include/uapi/linux/if_link.h
_INTERFACE_NAME, _XDP = 3, 43
_FD, _FLAGS = 1, 3
_PROGRAMS = {"native": 5, "generic": 6, "offload": 7}
_ATTACHED, _PROGRAM_ID = 2, 4
_ATTACHED_MODES = {1: "native", 2: "generic", 3: "offload"}
_IF_NOT_EXISTS = 1
_MODES = {"": 0, "generic": 2, "native": 4, "offload": 8}
_NESTED = 0x8000


@dataclass(frozen=True, slots=True)
class AttachedXdp:
    """A program on an interface's XDP hook, and the mode that it runs in."""

    interface: int
    interface_name: str
    mode: str
    program_id: int


def set_xdp(
    program: NamedDescriptor, interface: str | int, *, mode: str = "", replace: bool = False
) -> None:
    """Put a program on an interface's XDP hook; it stays until it is removed or replaced.

    `mode`: "native", "generic", "offload"; "" is native where the driver can, else generic.
    Without `replace` a program that is there is KernelError EBUSY.
    """
    flags = _flags(mode) | (0 if replace else _IF_NOT_EXISTS)
    what = f"attach program {program.name!r} to {interface_words(interface)}"
    try:
        _set(interface, program.fileno(), flags, what)
    except KernelError as error:
        if error.errno == errno.EBUSY and not error.hint:
            raise KernelError(
                error.errno, what, hint="an XDP program is there; replace it, or detach it first"
            ) from None
        raise


def remove_xdp(interface: str | int, *, mode: str = "") -> None:
    """Take the program off an interface's XDP hook; nothing happens when there is none."""
    _set(interface, -1, _flags(mode), f"detach XDP from {interface_words(interface)}")


def attached_xdp(interface: str | int = "") -> list[AttachedXdp]:
    """The programs on an interface's XDP hooks; without one, on those of all interfaces."""
    index = interface_index(interface) if interface else 0
    flags = NetlinkFlag(0) if index else NetlinkFlag.DUMP
    with RouteSocket() as route:
        answers = route.request(
            _GET_LINK, flags, _MESSAGE.pack(0, 0, index, 0, 0), "list XDP programs"
        )
    return [found for answer in answers for found in _attached(answer)]


def _attached(answer: bytes) -> list[AttachedXdp]:
    _family, _type, index, _change, _mask = _MESSAGE.unpack_from(answer)
    told = parse_attributes(answer[_MESSAGE.size :])
    name = told.get(_INTERFACE_NAME, b"").rstrip(b"\0").decode("utf-8", "replace")
    xdp = parse_attributes(told.get(_XDP, b""))
    mode = _ATTACHED_MODES.get(xdp.get(_ATTACHED, b"\0")[0], "")
    programs = {
        mode: number for mode, kind in _PROGRAMS.items() if (number := _number(xdp.get(kind, b"")))
    }
    if not programs and mode and (number := _number(xdp.get(_PROGRAM_ID, b""))):
        programs[mode] = number
    return [AttachedXdp(index, name, mode, number) for mode, number in programs.items()]


def _number(payload: bytes) -> int:
    return int(struct.unpack("=I", payload)[0]) if len(payload) == 4 else 0


def _flags(mode: str) -> int:
    if mode not in _MODES:
        raise ValueError(f"mode is one of {', '.join(map(repr, _MODES))}, not {mode!r}")
    return _MODES[mode]


def _set(interface: str | int, fd: int, flags: int, what: str) -> None:
    xdp = attributes([(_FD, struct.pack("=i", fd)), (_FLAGS, struct.pack("=I", flags))])
    body = _MESSAGE.pack(0, 0, interface_index(interface), 0, 0) + attributes(
        [(_XDP | _NESTED, xdp)]
    )
    with RouteSocket() as route:
        route.request(_SET_LINK, NetlinkFlag(0), body, what)
