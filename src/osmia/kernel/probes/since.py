"""Which Linux version brought what: program, map, attach and link types, and single abilities.

Versions are those of the mainline release that first had the thing for x86-64; what came later
to another machine says so. Distributions port things back; `osmia.kernel.probes.features` asks
the running kernel.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

from osmia.enums import IntEnum
from osmia.object.uapi import AttachType, LinkType, MapType, ProgramType

_Names = TypeVar("_Names", bound=IntEnum)


def _table(enum: type[_Names], text: str) -> Mapping[_Names, str]:
    """Rows of "version: NAME NAME …" as a mapping."""
    rows = (line.split(":") for line in text.strip().splitlines())
    return {enum[name]: version.strip() for version, names in rows for name in names.split()}


PROGRAM_TYPES = _table(
    ProgramType,
    """
    3.19: SOCKET_FILTER
    4.1: KPROBE SCHED_CLS SCHED_ACT
    4.7: TRACEPOINT
    4.8: XDP
    4.9: PERF_EVENT
    4.10: CGROUP_SKB CGROUP_SOCK LWT_IN LWT_OUT LWT_XMIT
    4.13: SOCK_OPS
    4.14: SK_SKB
    4.15: CGROUP_DEVICE
    4.17: SK_MSG RAW_TRACEPOINT CGROUP_SOCK_ADDR
    4.18: LWT_SEG6LOCAL LIRC_MODE2
    4.19: SK_REUSEPORT
    4.20: FLOW_DISSECTOR
    5.2: CGROUP_SYSCTL RAW_TRACEPOINT_WRITABLE
    5.3: CGROUP_SOCKOPT
    5.5: TRACING
    5.6: STRUCT_OPS EXT
    5.7: LSM
    5.9: SK_LOOKUP
    5.14: SYSCALL
    6.4: NETFILTER
    """,
)

MAP_TYPES = _table(
    MapType,
    """
    3.19: HASH ARRAY
    4.2: PROG_ARRAY
    4.3: PERF_EVENT_ARRAY
    4.6: PERCPU_HASH PERCPU_ARRAY STACK_TRACE
    4.8: CGROUP_ARRAY
    4.10: LRU_HASH LRU_PERCPU_HASH
    4.11: LPM_TRIE
    4.12: ARRAY_OF_MAPS HASH_OF_MAPS
    4.14: DEVMAP SOCKMAP
    4.15: CPUMAP
    4.18: XSKMAP SOCKHASH
    4.19: CGROUP_STORAGE REUSEPORT_SOCKARRAY
    4.20: PERCPU_CGROUP_STORAGE QUEUE STACK
    5.2: SK_STORAGE
    5.4: DEVMAP_HASH
    5.6: STRUCT_OPS
    5.8: RINGBUF
    5.10: INODE_STORAGE
    5.11: TASK_STORAGE
    5.16: BLOOM_FILTER
    6.1: USER_RINGBUF
    6.2: CGRP_STORAGE
    6.9: ARENA
    6.19: INSN_ARRAY
    """,
)

ATTACH_TYPES = _table(
    AttachType,
    """
    4.10: CGROUP_INET_INGRESS CGROUP_INET_EGRESS CGROUP_INET_SOCK_CREATE
    4.13: CGROUP_SOCK_OPS
    4.14: SK_SKB_STREAM_PARSER SK_SKB_STREAM_VERDICT
    4.15: CGROUP_DEVICE
    4.17: SK_MSG_VERDICT CGROUP_INET4_BIND CGROUP_INET6_BIND CGROUP_INET4_CONNECT
    4.17: CGROUP_INET6_CONNECT CGROUP_INET4_POST_BIND CGROUP_INET6_POST_BIND
    4.18: CGROUP_UDP4_SENDMSG CGROUP_UDP6_SENDMSG LIRC_MODE2
    4.20: FLOW_DISSECTOR
    5.2: CGROUP_SYSCTL CGROUP_UDP4_RECVMSG CGROUP_UDP6_RECVMSG
    5.3: CGROUP_GETSOCKOPT CGROUP_SETSOCKOPT
    5.5: TRACE_RAW_TP TRACE_FENTRY TRACE_FEXIT
    5.7: MODIFY_RETURN LSM_MAC
    5.8: TRACE_ITER CGROUP_INET4_GETPEERNAME CGROUP_INET6_GETPEERNAME
    5.8: CGROUP_INET4_GETSOCKNAME CGROUP_INET6_GETSOCKNAME XDP_DEVMAP
    5.9: CGROUP_INET_SOCK_RELEASE XDP_CPUMAP SK_LOOKUP XDP
    5.13: SK_SKB_VERDICT
    5.14: SK_REUSEPORT_SELECT SK_REUSEPORT_SELECT_OR_MIGRATE
    5.15: PERF_EVENT
    5.18: TRACE_KPROBE_MULTI
    6.0: LSM_CGROUP
    6.4: STRUCT_OPS NETFILTER
    6.6: TCX_INGRESS TCX_EGRESS TRACE_UPROBE_MULTI
    6.7: CGROUP_UNIX_CONNECT CGROUP_UNIX_SENDMSG CGROUP_UNIX_RECVMSG
    6.7: CGROUP_UNIX_GETPEERNAME CGROUP_UNIX_GETSOCKNAME NETKIT_PRIMARY NETKIT_PEER
    6.10: TRACE_KPROBE_SESSION
    6.13: TRACE_UPROBE_SESSION
    7.0: TRACE_FSESSION
    7.1: TRACE_FENTRY_MULTI TRACE_FEXIT_MULTI TRACE_FSESSION_MULTI
    """,
)

LINK_TYPES = _table(
    LinkType,
    """
    5.7: RAW_TRACEPOINT TRACING CGROUP
    5.8: ITER NETNS
    5.9: XDP
    5.15: PERF_EVENT
    5.18: KPROBE_MULTI
    6.4: STRUCT_OPS NETFILTER
    6.6: TCX UPROBE_MULTI
    6.7: NETKIT
    6.10: SOCKMAP
    """,
)

TRAMPOLINES = frozenset(
    {
        AttachType.TRACE_FENTRY,
        AttachType.TRACE_FEXIT,
        AttachType.TRACE_FSESSION,
        AttachType.TRACE_FENTRY_MULTI,
        AttachType.TRACE_FEXIT_MULTI,
        AttachType.TRACE_FSESSION_MULTI,
        AttachType.MODIFY_RETURN,
        AttachType.LSM_MAC,
        AttachType.LSM_CGROUP,
    }
)
"""What is attached by a BPF trampoline in one of the kernel's own functions."""

#: Machines that got trampolines after x86-64: at all, and in the kernel's own functions.
#: arm64: commits efc9909fdce0 and, ftrace's direct calls, 2aa6ac03516d.
_LATER_TRAMPOLINES = {"aarch64": ("6.0", "6.4")}


def attach_type(kind: AttachType, machine: str = "") -> str:
    """The first Linux that attaches so, on a machine as uname names it (without one: on this)."""
    version = ATTACH_TYPES[kind]
    _, later = _LATER_TRAMPOLINES.get(machine or _machine(), ("", ""))
    return max(version, later, key=_number) if later and kind in TRAMPOLINES else version


def trampolines(machine: str = "") -> str:
    """The first Linux with trampolines between programs (freplace) and for struct_ops."""
    return _LATER_TRAMPOLINES.get(machine or _machine(), ("5.6", ""))[0]


def _machine() -> str:
    import platform  # for what is refused alone

    return platform.machine()


def _number(version: str) -> tuple[int, ...]:
    return tuple(map(int, version.split(".")))
