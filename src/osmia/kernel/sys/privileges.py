"""Why the kernel said EPERM: what this process may do and how the kernel is set up.

Everything here is looked up, after the refusal; nothing is guessed. Capability numbers:
include/uapi/linux/capability.h.
"""

from __future__ import annotations

import os
import resource

from osmia.enums import IntEnum
from osmia.object.uapi import ProgramType
from osmia.paths import text_of


class Capability(IntEnum):
    """The capabilities that bpf(2) and perf_event_open(2) ask for."""

    CAP_NET_ADMIN = 12
    CAP_SYS_ADMIN = 21
    CAP_SYSLOG = 34
    CAP_PERFMON = 38  # since 5.8; CAP_SYS_ADMIN before
    CAP_BPF = 39  # since 5.8; CAP_SYS_ADMIN before


#: Program types that need CAP_NET_ADMIN beside CAP_BPF (kernel/bpf/syscall.c,
#: is_net_admin_prog_type, since 5.8).
_NETWORK = frozenset(
    {
        ProgramType.SCHED_CLS,
        ProgramType.SCHED_ACT,
        ProgramType.XDP,
        ProgramType.CGROUP_SOCK,
        ProgramType.LWT_IN,
        ProgramType.LWT_OUT,
        ProgramType.LWT_XMIT,
        ProgramType.LWT_SEG6LOCAL,
        ProgramType.SOCK_OPS,
        ProgramType.SK_SKB,
        ProgramType.SK_MSG,
        ProgramType.LIRC_MODE2,
        ProgramType.FLOW_DISSECTOR,
        ProgramType.CGROUP_DEVICE,
        ProgramType.CGROUP_SOCK_ADDR,
        ProgramType.CGROUP_SYSCTL,
        ProgramType.CGROUP_SOCKOPT,
        ProgramType.NETFILTER,
        ProgramType.EXT,
    }
)
#: … and those that need CAP_PERFMON (is_perfmon_prog_type).
_TRACING = frozenset(
    {
        ProgramType.KPROBE,
        ProgramType.TRACEPOINT,
        ProgramType.PERF_EVENT,
        ProgramType.RAW_TRACEPOINT,
        ProgramType.RAW_TRACEPOINT_WRITABLE,
        ProgramType.TRACING,
        ProgramType.LSM,
        ProgramType.STRUCT_OPS,
        ProgramType.EXT,
    }
)

_ADMIN = (Capability.CAP_SYS_ADMIN,)
#: By command of bpf(2); others ask for CAP_BPF.
_COMMANDS: dict[str, tuple[Capability, ...]] = {
    "PROG_GET_NEXT_ID": _ADMIN,
    "MAP_GET_NEXT_ID": _ADMIN,
    "BTF_GET_NEXT_ID": _ADMIN,
    "LINK_GET_NEXT_ID": _ADMIN,
    "PROG_GET_FD_BY_ID": _ADMIN,
    "MAP_GET_FD_BY_ID": _ADMIN,
    "LINK_GET_FD_BY_ID": _ADMIN,
    "BTF_GET_FD_BY_ID": _ADMIN,
    "ENABLE_STATS": _ADMIN,
    "TASK_FD_QUERY": _ADMIN,
    "PROG_ATTACH": (Capability.CAP_NET_ADMIN,),
    "PROG_DETACH": (Capability.CAP_NET_ADMIN,),
    "PROG_QUERY": (Capability.CAP_NET_ADMIN,),
    "RAW_TRACEPOINT_OPEN": (Capability.CAP_PERFMON,),
    # These ask for what the program and the hook ask for, or for access to the file.
    "LINK_CREATE": (),
    "LINK_UPDATE": (),
    "LINK_DETACH": (),
    "OBJ_PIN": (),
    "OBJ_GET": (),
}


def needed_to_call(command: str) -> tuple[Capability, ...]:
    """What this command of bpf(2) asks for."""
    return _COMMANDS.get(command, (Capability.CAP_BPF,))


def needed_to_load(program_type: ProgramType | int) -> tuple[Capability, ...]:
    """What loading a program of this type asks for; CAP_SYS_ADMIN does in place of all."""
    if Capability.CAP_SYS_ADMIN in effective_capabilities():
        return (Capability.CAP_BPF,)
    needed = [Capability.CAP_BPF]
    if program_type in _NETWORK:
        needed.append(Capability.CAP_NET_ADMIN)
    if program_type in _TRACING:
        needed.append(Capability.CAP_PERFMON)
    return tuple(needed)


def has_all(needed: tuple[Capability, ...]) -> bool:
    """Whether this process has these capabilities where the kernel looks for them."""
    return effective_capabilities().issuperset(needed) and in_initial_user_namespace()


def effective_capabilities() -> frozenset[Capability]:
    """Those of `Capability` that this thread has; CAP_SYS_ADMIN implies BPF and PERFMON."""
    bits = int(_status_field("CapEff") or "0", 16)
    held = {capability for capability in Capability if bits >> capability & 1}
    if Capability.CAP_SYS_ADMIN in held:
        held |= {Capability.CAP_BPF, Capability.CAP_PERFMON}
    return frozenset(held)


def in_initial_user_namespace() -> bool:
    """Whether capabilities held here are those that the kernel asks for."""
    # A namespace that maps every id to itself is the initial one, or as good as.
    fields = _read("/proc/self/uid_map").split()
    return not fields or fields == ["0", "0", "4294967295"]


def permission_hint(needed: tuple[Capability, ...]) -> str:
    """What is known about a refusal of something that usually needs `needed`."""
    held = effective_capabilities()
    missing = [capability.name for capability in needed if capability not in held]
    if missing:
        return f"this process lacks {' and '.join(missing)}{_unprivileged_setting()}"
    if not in_initial_user_namespace():
        return (
            "the capabilities of this process are those of a user namespace; "
            "the kernel asks for the initial namespace's, or for a BPF token"
        )
    return _other_obstacles(needed)


def _unprivileged_setting() -> str:
    setting = _read("/proc/sys/kernel/unprivileged_bpf_disabled")
    return (
        f", and kernel.unprivileged_bpf_disabled is {setting}" if setting not in ("", "0") else ""
    )


def _other_obstacles(needed: tuple[Capability, ...]) -> str:
    found = []
    if limit := _memlock_limit():
        found.append(limit)
    lockdown = _read("/sys/kernel/security/lockdown")
    if "[none]" not in lockdown and "[" in lockdown:
        found.append(f"kernel lockdown is on ({lockdown})")
    if _status_field("Seccomp") == "2":
        found.append("a seccomp filter is active")
    if found:
        return "; ".join(found)
    if needed:
        names = " and ".join(capability.name for capability in needed)
        return f"missing privileges are not the reason: this process has {names}"
    return ""


def _memlock_limit() -> str:
    """Before 5.11 maps and programs were charged to RLIMIT_MEMLOCK, and EPERM said so."""
    major, minor = (int(part) for part in os.uname().release.split(".")[:2])
    soft, _hard = resource.getrlimit(resource.RLIMIT_MEMLOCK)
    if (major, minor) >= (5, 11) or soft == resource.RLIM_INFINITY:
        return ""
    return f"RLIMIT_MEMLOCK is {soft} bytes, and this kernel charges BPF memory to it"


def _status_field(name: str) -> str:
    for line in _read("/proc/thread-self/status").split("\n"):
        field, _, value = line.partition(":")
        if field == name:
            return value.strip()
    return ""


def _read(path: str) -> str:
    """The text of a small kernel file, "" where it cannot be read."""
    try:
        return text_of(path).strip()
    except OSError:
        return ""
