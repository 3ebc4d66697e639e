"""Probes for attach types and links.

Nothing is attached: the target does not exist, and the kernel's errno tells whether it
got as far as looking for it. The exception are trampolines, which a kernel may know and not have:
one is attached to a function that does nothing, and comes off at once.
"""

from __future__ import annotations

import ctypes
import errno
import os
from collections.abc import Callable
from functools import cache

from osmia.errors import KernelError
from osmia.kernel.probes.feature_probes import (
    ONE_ENTRY,
    RETURN_0,
    RETURN_1,
    kernel_btf_id,
    load,
    map_error,
    must_be_privileged,
)
from osmia.kernel.sys import attributes as layout
from osmia.kernel.sys import syscall
from osmia.kernel.sys.fd import FileDescriptor
from osmia.kernel.sys.token import current_token
from osmia.object.uapi import MULTI_TRACING, AttachType, LinkType, MapFlag, MapType, ProgramType

#: A descriptor number that is never open, and no interface's index.
_NOWHERE = 0x7FFF_FFFF

_LOAD_CHECKED: dict[ProgramType, str] = {
    ProgramType.CGROUP_SKB: "CGROUP_INET_INGRESS CGROUP_INET_EGRESS",
    ProgramType.CGROUP_SOCK: "CGROUP_INET_SOCK_CREATE CGROUP_INET_SOCK_RELEASE "
    "CGROUP_INET4_POST_BIND CGROUP_INET6_POST_BIND",
    ProgramType.CGROUP_SOCKOPT: "CGROUP_GETSOCKOPT CGROUP_SETSOCKOPT",
    ProgramType.SK_LOOKUP: "SK_LOOKUP",
    ProgramType.NETFILTER: "NETFILTER",
    ProgramType.SK_REUSEPORT: "SK_REUSEPORT_SELECT SK_REUSEPORT_SELECT_OR_MIGRATE",
    ProgramType.CGROUP_SOCK_ADDR: "CGROUP_INET4_BIND CGROUP_INET6_BIND CGROUP_INET4_CONNECT "
    "CGROUP_INET6_CONNECT CGROUP_UDP4_SENDMSG CGROUP_UDP6_SENDMSG CGROUP_UDP4_RECVMSG "
    "CGROUP_UDP6_RECVMSG CGROUP_INET4_GETPEERNAME CGROUP_INET6_GETPEERNAME "
    "CGROUP_INET4_GETSOCKNAME CGROUP_INET6_GETSOCKNAME CGROUP_UNIX_CONNECT CGROUP_UNIX_SENDMSG "
    "CGROUP_UNIX_RECVMSG CGROUP_UNIX_GETPEERNAME CGROUP_UNIX_GETSOCKNAME",
}
#: Attach types that BPF_PROG_LOAD itself looks at, with the program type.
_BY_LOAD = {
    AttachType[name]: kind for kind, names in _LOAD_CHECKED.items() for name in names.split()
}
#: Attach types that BPF_PROG_ATTACH knows: with a target that is not there it gives EBADF.
_BY_ATTACH = {
    AttachType.CGROUP_SOCK_OPS: ProgramType.SOCK_OPS,
    AttachType.CGROUP_DEVICE: ProgramType.CGROUP_DEVICE,
    AttachType.CGROUP_SYSCTL: ProgramType.CGROUP_SYSCTL,
    AttachType.SK_SKB_STREAM_PARSER: ProgramType.SK_SKB,
    AttachType.SK_SKB_STREAM_VERDICT: ProgramType.SK_SKB,
    AttachType.SK_SKB_VERDICT: ProgramType.SK_SKB,
    AttachType.SK_MSG_VERDICT: ProgramType.SK_MSG,
    AttachType.LIRC_MODE2: ProgramType.LIRC_MODE2,
    AttachType.TCX_INGRESS: ProgramType.SCHED_CLS,
    AttachType.TCX_EGRESS: ProgramType.SCHED_CLS,
    AttachType.NETKIT_PRIMARY: ProgramType.SCHED_CLS,
    AttachType.NETKIT_PEER: ProgramType.SCHED_CLS,
}
_TRAMPOLINES = {
    AttachType.TRACE_FENTRY: ProgramType.TRACING,
    AttachType.TRACE_FEXIT: ProgramType.TRACING,
    AttachType.TRACE_FSESSION: ProgramType.TRACING,
    AttachType.MODIFY_RETURN: ProgramType.TRACING,
    AttachType.LSM_MAC: ProgramType.LSM,
    AttachType.LSM_CGROUP: ProgramType.LSM,
}
#: A function, hook, tracepoint or iterator of the kernel that each of these can be loaded for.
_TRACED = {
    AttachType.TRACE_FENTRY: "bpf_fentry_test1",
    AttachType.TRACE_FEXIT: "bpf_fentry_test1",
    AttachType.TRACE_FSESSION: "bpf_fentry_test1",
    AttachType.MODIFY_RETURN: "security_file_open",
    AttachType.LSM_MAC: "bpf_lsm_file_open",
    AttachType.LSM_CGROUP: "bpf_lsm_socket_create",
    AttachType.TRACE_RAW_TP: "btf_trace_sys_enter",
    AttachType.TRACE_ITER: "bpf_iter_task",
}


def attach_type(kind: AttachType) -> bool:
    """Asked of BPF_PROG_LOAD where that looks at the type, else of the attach command."""
    match kind:
        case _ if kind in _BY_LOAD:
            answer = load(_BY_LOAD[kind], RETURN_1, expected=kind)
            must_be_privileged(answer.error)
            return answer.error == 0
        case _ if kind in _BY_ATTACH:
            return _attach_finds_no_target(kind, _BY_ATTACH[kind])
        case AttachType.FLOW_DISSECTOR:
            return _with_program(ProgramType.FLOW_DISSECTOR, kind, lambda fd: None) == 0
        case _ if kind in MULTI_TRACING:
            answer = load(ProgramType.TRACING, expected=kind)
            must_be_privileged(answer.error)
            return answer.error == 0
        case _ if kind in _TRACED:
            program = _TRAMPOLINES.get(kind, ProgramType.TRACING)
            target = kernel_btf_id(_TRACED[kind])
            answer = load(program, expected=kind, attach_btf_id=target)
            must_be_privileged(answer.error)
            loads = bool(target) and answer.error == 0
            return loads and (kind not in _TRAMPOLINES or trampolines_attach())
        case AttachType.XDP_DEVMAP:
            return map_error(MapType.DEVMAP, ONE_ENTRY | {"value_size": 8}) == 0
        case AttachType.XDP_CPUMAP:
            return map_error(MapType.CPUMAP, ONE_ENTRY | {"value_size": 8}) == 0
        case _:
            return _LINKS[kind]() if kind in _LINKS else False


@cache
def trampolines_attach() -> bool:
    """False where the kernel loads such programs and attaches none: ENOTSUP, as arm64 before 6.4.
    Where it does not load this one, or refuses for another reason, nothing speaks against it."""
    result, _needed = syscall.prog_load(
        ProgramType.TRACING,
        RETURN_0,
        license="GPL",
        expected_attach_type=AttachType.TRACE_FENTRY,
        attach_btf_id=kernel_btf_id("bpf_fentry_test1"),
        token_fd=current_token(),
    )
    if result < 0:
        return True
    with FileDescriptor(result, "probe"):
        try:
            os.close(syscall.raw_tracepoint_open(result, what="attach a probe"))
        except KernelError as error:
            return error.errno != errno.EOPNOTSUPP
    return True


def _attach_finds_no_target(kind: AttachType, program: ProgramType) -> bool:
    result = _with_program(
        program,
        kind,
        lambda fd: syscall.prog_attach(fd, target=_NOWHERE, attach_type=kind),
    )
    return result in (errno.EBADF, errno.ENODEV)


def _link_error(
    program: ProgramType,
    kind: AttachType,
    *,
    target: int = _NOWHERE,
    flags: int = 0,
    options: ctypes.Structure | None = None,
) -> int:
    return _with_program(
        program,
        kind,
        lambda fd: os.close(
            syscall.link_create(fd, target=target, attach_type=kind, flags=flags, options=options)
        ),
    )


def _with_program(program: ProgramType, kind: AttachType, action: Callable[[int], object]) -> int:
    """Do something with a program that expects to be attached so; the errno, or 0."""
    result, _needed = syscall.prog_load(
        program,
        RETURN_1,
        license="GPL",
        expected_attach_type=kind,
        token_fd=current_token(),
    )
    must_be_privileged(-result)
    if result < 0:
        return -result
    with FileDescriptor(result, "probe"):
        try:
            action(result)
        except KernelError as error:
            return error.errno or 0
    return 0


def _kprobe_multi(kind: AttachType) -> bool:
    """ESRCH (or ENOENT): the kernel looked for the function that does not exist."""
    name = b"osmia_no_such_function"
    pointers = (ctypes.c_char_p * 1)(name)
    options = layout.LinkKprobeMultiOptions(cnt=1, syms=ctypes.addressof(pointers))
    error = _link_error(ProgramType.KPROBE, kind, target=0, options=options)
    return error in (errno.ESRCH, errno.ENOENT)


def _uprobe_multi(kind: AttachType) -> bool:
    """EBADF: the kernel looked at the path and found a directory."""
    path = b"/"
    offset = ctypes.c_uint64(0)
    options = layout.LinkUprobeMultiOptions(
        path=syscall.address_of(path), offsets=ctypes.addressof(offset), cnt=1
    )
    return _link_error(ProgramType.KPROBE, kind, target=0, options=options) == errno.EBADF


def _struct_ops_link() -> bool:
    """Maps for such links have a flag; with it, EINVAL comes from a kernel without."""
    shape = ONE_ENTRY | {"flags": MapFlag.LINK, "btf_vmlinux_value_type_id": 1}
    return map_error(MapType.STRUCT_OPS, shape) not in (errno.EINVAL, errno.E2BIG, errno.EPERM)


def _link_update_known() -> bool:
    try:
        syscall.link_update(_NOWHERE, _NOWHERE)
    except KernelError as error:
        return error.errno == errno.EBADF
    return True


def _iterator_known() -> bool:
    try:
        os.close(syscall.iter_create(_NOWHERE))
    except KernelError as error:
        return error.errno == errno.EBADF
    return True


_XDP_HARDWARE_MODE = 8
_LOOPBACK = 1


def _xdp_link() -> bool:
    """No loopback device offloads programs: EOPNOTSUPP comes from a kernel that tried."""
    error = _link_error(ProgramType.XDP, AttachType.XDP, target=_LOOPBACK, flags=_XDP_HARDWARE_MODE)
    return error in (errno.EOPNOTSUPP, errno.EEXIST, errno.EBUSY)


_LINKS: dict[AttachType, Callable[[], bool]] = {
    AttachType.XDP: _xdp_link,
    AttachType.PERF_EVENT: lambda: (
        _link_error(ProgramType.TRACEPOINT, AttachType.PERF_EVENT) == errno.EBADF
    ),
    AttachType.TRACE_KPROBE_MULTI: lambda: _kprobe_multi(AttachType.TRACE_KPROBE_MULTI),
    AttachType.TRACE_KPROBE_SESSION: lambda: _kprobe_multi(AttachType.TRACE_KPROBE_SESSION),
    AttachType.TRACE_UPROBE_MULTI: lambda: _uprobe_multi(AttachType.TRACE_UPROBE_MULTI),
    AttachType.TRACE_UPROBE_SESSION: lambda: _uprobe_multi(AttachType.TRACE_UPROBE_SESSION),
    AttachType.STRUCT_OPS: _struct_ops_link,
}


def _finds_no_target(program: ProgramType, kind: AttachType) -> bool:
    """A link whose target does not exist: EBADF and ENODEV come from looking for it."""
    return _link_error(program, kind) in (errno.EBADF, errno.ENODEV)


def link_type(kind: LinkType) -> bool:
    """Whether BPF_LINK_CREATE (BPF_RAW_TRACEPOINT_OPEN) makes links of this kind."""
    match kind:
        case LinkType.RAW_TRACEPOINT | LinkType.TRACING:
            return _link_update_known()
        case LinkType.ITER:
            return _iterator_known()
        case LinkType.CGROUP:
            return _finds_no_target(ProgramType.CGROUP_SKB, AttachType.CGROUP_INET_INGRESS)
        case LinkType.NETNS:
            return _finds_no_target(ProgramType.FLOW_DISSECTOR, AttachType.FLOW_DISSECTOR)
        case LinkType.TCX:
            return _finds_no_target(ProgramType.SCHED_CLS, AttachType.TCX_INGRESS)
        case LinkType.NETKIT:
            return _finds_no_target(ProgramType.SCHED_CLS, AttachType.NETKIT_PRIMARY)
        case LinkType.SOCKMAP:
            return _finds_no_target(ProgramType.SK_MSG, AttachType.SK_MSG_VERDICT)
        case LinkType.NETFILTER:
            return attach_type(AttachType.NETFILTER)
        case _:
            return kind in _SAME_AS_ATTACH_TYPE and attach_type(_SAME_AS_ATTACH_TYPE[kind])


_SAME_AS_ATTACH_TYPE = {
    LinkType.XDP: AttachType.XDP,
    LinkType.PERF_EVENT: AttachType.PERF_EVENT,
    LinkType.KPROBE_MULTI: AttachType.TRACE_KPROBE_MULTI,
    LinkType.UPROBE_MULTI: AttachType.TRACE_UPROBE_MULTI,
    LinkType.STRUCT_OPS: AttachType.STRUCT_OPS,
}
