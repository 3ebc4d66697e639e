"""Helpers that ask about the machine: time, random numbers, CPU, task."""

from __future__ import annotations

import os
import struct
import threading

from osmia.paths import Path
from osmia.vm.errors import Interrupt
from osmia.vm.helpers.table import Argument, Invocation, helper, native_helper
from osmia.vm.layout import STATE_CPU, STATE_RANDOM, STATE_TIME, TASK_HANDLE
from osmia.vm.maps.constants import E_INVAL, M32, M64
from osmia.vm.native import clock, cpu_state, interrupt, load32, load64, native, store64

MONOTONIC = 1
MONOTONIC_COARSE = 6
BOOTTIME = 7
TAI = 11


@native
def helper_ktime_get_ns(frame: int) -> int:
    """bpf_ktime_get_ns, since 4.1."""
    return (clock(MONOTONIC) + load64(cpu_state(frame) + STATE_TIME)) & M64


@native
def helper_ktime_get_boot_ns(frame: int) -> int:
    """bpf_ktime_get_boot_ns, since 5.8."""
    return (clock(BOOTTIME) + load64(cpu_state(frame) + STATE_TIME)) & M64


@native
def helper_ktime_get_coarse_ns(frame: int) -> int:
    """bpf_ktime_get_coarse_ns, since 5.11."""
    return (clock(MONOTONIC_COARSE) + load64(cpu_state(frame) + STATE_TIME)) & M64


@native
def helper_ktime_get_tai_ns(frame: int) -> int:
    """bpf_ktime_get_tai_ns, since 6.1."""
    return (clock(TAI) + load64(cpu_state(frame) + STATE_TIME)) & M64


@native
def helper_jiffies64(frame: int) -> int:
    """bpf_jiffies64, since 5.6; a jiffy is 4 ms here."""
    return clock(MONOTONIC) // 4000000


@native
def helper_get_prandom_u32(frame: int) -> int:
    """bpf_get_prandom_u32, since 4.1: a xorshift generator a CPU."""
    place = cpu_state(frame) + STATE_RANDOM
    value = load64(place)
    value = value ^ ((value << 13) & M64)
    value = value ^ (value >> 7)
    value = value ^ ((value << 17) & M64)
    store64(place, value)
    return (value >> 16) & M32


@native
def helper_get_smp_processor_id(frame: int) -> int:
    """bpf_get_smp_processor_id, since 4.1: the virtual CPU's number."""
    return load32(cpu_state(frame) + STATE_CPU)


@native
def helper_get_numa_node_id(frame: int) -> int:
    """bpf_get_numa_node_id, since 4.10: there is one node."""
    return 0


@native
def helper_poison(frame: int, number: int) -> int:
    """No helper: what stands where a pass had no answer. Coming by ends the run; `number` is
    that of the call, which says what is missing (`Vm.unresolved`)."""
    return interrupt(frame, Interrupt.POISON, number)


for _name in (
    "poison",
    "ktime_get_ns",
    "ktime_get_boot_ns",
    "ktime_get_coarse_ns",
    "ktime_get_tai_ns",
    "jiffies64",
    "get_prandom_u32",
    "get_smp_processor_id",
    "get_numa_node_id",
):
    native_helper(_name)


@helper("get_current_pid_tgid")
def get_current_pid_tgid(call: Invocation) -> int:
    """This process and thread, since 4.2."""
    return os.getpid() << 32 | threading.get_native_id()


@helper("get_current_uid_gid")
def get_current_uid_gid(call: Invocation) -> int:
    """This process's owner, since 4.2; 0 where the system has none."""
    if not hasattr(os, "getuid"):
        return 0
    return os.getgid() << 32 | os.getuid()


@helper("get_current_comm", Argument.WRITE, Argument.SIZE)
def get_current_comm(call: Invocation, buffer: int, size: int) -> int:
    """This thread's name, since 4.2."""
    size &= M32
    try:
        name = Path("/proc/thread-self/comm").read_bytes().rstrip(b"\n")
    except OSError:
        name = threading.current_thread().name.encode()
    if size:
        call.zero(buffer, size)
        call.write(buffer, name[: min(size, 16) - 1])
    return 0


@helper("get_current_cgroup_id")
def get_current_cgroup_id(call: Invocation) -> int:
    """There are no cgroups here: always 1, the root's."""
    return 1


@helper("get_current_task_btf")
@helper("get_current_task")
def get_current_task(call: Invocation) -> int:
    """bpf_get_current_task, since 4.8, and its _btf, since 5.11: there is no task_struct here to
    be read, but a number for storage, whose low half is the thread's."""
    return TASK_HANDLE + threading.get_native_id()


@helper("get_ns_current_pid_tgid", Argument.ANY, Argument.ANY, Argument.WRITE, Argument.SIZE)
def get_ns_current_pid_tgid(call: Invocation, device: int, inode: int, to: int, size: int) -> int:
    """bpf_get_ns_current_pid_tgid, since 5.7: as this process sees itself, in its own namespace."""
    size &= M32
    try:
        own = Path("/proc/self/ns/pid").stat()
    except OSError:
        own = None
    found = own is not None and (device, inode) == (own.st_dev, own.st_ino)
    if size != 8 or not found:
        call.zero(to, size)
        return E_INVAL
    call.write(to, struct.pack("<II", threading.get_native_id(), os.getpid()))
    return 0


@helper("get_attach_cookie", Argument.ANY)
def get_attach_cookie(call: Invocation, ctx: int) -> int:
    """bpf_get_attach_cookie, since 5.15: as of who was attached without one."""
    return 0
