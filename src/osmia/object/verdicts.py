"""What the return values of packet programs mean, by name: enumerations of the kernel's names.

A verdict is its name, so that it compares with one: `result.verdict == "XDP_DROP"`.
"""

from __future__ import annotations

import errno
from collections.abc import Mapping
from enum import StrEnum
from typing import Self

from osmia.object.uapi import ProgramType


class Verdict(StrEnum):
    """A name, and the number that the program returns for it: unsigned, of 32 bits."""

    number: int

    def __new__(cls, name: str, number: int = 0) -> Self:
        self = str.__new__(cls, name)
        self._value_ = name
        self.number = number
        return self

    def __repr__(self) -> str:
        return repr(self.value)


class XdpAction(Verdict):
    """enum xdp_action (linux/bpf.h), since 4.8."""

    XDP_ABORTED = "XDP_ABORTED", 0
    XDP_DROP = "XDP_DROP", 1
    XDP_PASS = "XDP_PASS", 2
    XDP_TX = "XDP_TX", 3
    XDP_REDIRECT = "XDP_REDIRECT", 4


class TcAction(Verdict):
    """TC_ACT_* (linux/pkt_cls.h), of classifiers and actions."""

    TC_ACT_OK = "TC_ACT_OK", 0
    TC_ACT_RECLASSIFY = "TC_ACT_RECLASSIFY", 1
    TC_ACT_SHOT = "TC_ACT_SHOT", 2
    TC_ACT_PIPE = "TC_ACT_PIPE", 3
    TC_ACT_STOLEN = "TC_ACT_STOLEN", 4
    TC_ACT_QUEUED = "TC_ACT_QUEUED", 5
    TC_ACT_REPEAT = "TC_ACT_REPEAT", 6
    TC_ACT_REDIRECT = "TC_ACT_REDIRECT", 7
    TC_ACT_TRAP = "TC_ACT_TRAP", 8
    TC_ACT_UNSPEC = "TC_ACT_UNSPEC", 0xFFFF_FFFF


class SkAction(Verdict):
    """enum sk_action (linux/bpf.h), of programs of socket maps and that choose sockets."""

    SK_DROP = "SK_DROP", 0
    SK_PASS = "SK_PASS", 1


class LwtAction(Verdict):
    """enum bpf_ret_code (linux/bpf.h), of programs of routes."""

    BPF_OK = "BPF_OK", 0
    BPF_DROP = "BPF_DROP", 2
    BPF_REDIRECT = "BPF_REDIRECT", 7
    BPF_LWT_REROUTE = "BPF_LWT_REROUTE", 128


class NetfilterAction(Verdict):
    """NF_* (linux/netfilter.h) as far as programs may return them."""

    NF_DROP = "NF_DROP", 0
    NF_ACCEPT = "NF_ACCEPT", 1


#: The enumeration of a type's verdicts. Types that are not here return something else: a number
#: of bytes, a choice of 0 and 1 for which the kernel has no names.
VERDICTS: Mapping[int, type[Verdict]] = {
    ProgramType.XDP: XdpAction,
    ProgramType.SCHED_CLS: TcAction,
    ProgramType.SCHED_ACT: TcAction,
    ProgramType.NETFILTER: NetfilterAction,
    ProgramType.SK_SKB: SkAction,
    ProgramType.SK_MSG: SkAction,
    ProgramType.SK_REUSEPORT: SkAction,
    ProgramType.SK_LOOKUP: SkAction,
    ProgramType.LWT_IN: LwtAction,
    ProgramType.LWT_OUT: LwtAction,
    ProgramType.LWT_XMIT: LwtAction,
}

#: Types whose programs return what the kernel's function does instead: 0 or a failure.
_FAILING = frozenset({ProgramType.LSM, ProgramType.TRACING})

_BY_NUMBER = {kind: {each.number: each for each in verdicts} for kind, verdicts in VERDICTS.items()}


def verdict(program_type: int | None, retval: int) -> Verdict | str:
    """The verdict that a return value of a program of that type is; its digits where it is none. Of
    security hooks and the like a failure is "-EPERM" and its like."""
    if program_type is None:
        return str(retval)
    if program_type in _FAILING and (1 << 32) - retval in errno.errorcode:
        return f"-{errno.errorcode[(1 << 32) - retval]}"
    return _BY_NUMBER.get(program_type, {}).get(retval) or str(retval)
