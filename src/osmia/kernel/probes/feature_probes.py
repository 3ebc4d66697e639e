"""Probes for program types, map types and helpers: the smallest one that loads."""

from __future__ import annotations

import ctypes
import errno
import os
import re
import struct
from typing import Any

from osmia.errors import KernelError, NotSupportedError
from osmia.kernel.probes.btf_probes import INTEGER
from osmia.kernel.sys import syscall
from osmia.kernel.sys.fd import FileDescriptor
from osmia.kernel.sys.privileges import Capability, has_all
from osmia.kernel.sys.token import current_token
from osmia.object.uapi import (
    MAPS_IN_MAPS,
    AttachType,
    MapFlag,
    MapType,
    ProgramFlag,
    ProgramType,
)
from osmia.records import dataclass

_LOG_BYTES = 4096
_WHAT = "ask the kernel for its features"


def instruction(opcode: int, dst: int = 0, src: int = 0, offset: int = 0, imm: int = 0) -> bytes:
    """One slot in this machine's byte order, for programs that are never more than a probe."""
    return struct.pack("=BBhi", opcode, src << 4 | dst, offset, imm)


MOVE, CALL, EXIT = 0xB7, 0x85, 0x95
RETURN_0 = instruction(MOVE) + instruction(EXIT)
RETURN_1 = instruction(MOVE, imm=1) + instruction(EXIT)

#: What programs of these types must expect in order to load.
_EXPECTED = {
    ProgramType.CGROUP_SOCK_ADDR: AttachType.CGROUP_INET4_CONNECT,
    ProgramType.CGROUP_SOCKOPT: AttachType.CGROUP_GETSOCKOPT,
    ProgramType.SK_LOOKUP: AttachType.SK_LOOKUP,
    ProgramType.NETFILTER: AttachType.NETFILTER,
    ProgramType.TRACING: AttachType.TRACE_RAW_TP,
    ProgramType.LSM: AttachType.LSM_MAC,
}
_FLAGS = {ProgramType.SYSCALL: ProgramFlag.SLEEPABLE}
_NEEDS_TARGET = (ProgramType.TRACING, ProgramType.LSM, ProgramType.EXT, ProgramType.STRUCT_OPS)


@dataclass(frozen=True, slots=True)
class Answer:
    """How the kernel answered a load: 0 or an errno, and the verifier's log."""

    error: int
    log: str


def load(
    program_type: ProgramType,
    code: bytes = RETURN_0,
    *,
    expected: AttachType | int = 0,
    flags: int = 0,
    attach_btf_id: int = 0,
) -> Answer:
    """Load it and let it go again; without a log first, which a long program would overflow."""
    result = 0
    log = ctypes.create_string_buffer(_LOG_BYTES)
    for log_level in (0, 1):
        result, _needed = syscall.prog_load(
            program_type,
            code,
            license="GPL",
            expected_attach_type=expected,
            flags=flags,
            # Before 5.0 kprobe programs had to name the running version.
            kern_version=_version_code(),
            attach_btf_id=attach_btf_id,
            token_fd=current_token(),
            log_level=log_level,
            log=log if log_level else None,
            log_size=_LOG_BYTES if log_level else 0,
        )
        if result >= 0:
            os.close(result)
            return Answer(0, "")
    return Answer(-result, log.value.decode("utf-8", "replace"))


def _version_code() -> int:
    """LINUX_VERSION_CODE of the running kernel."""
    major, minor, patch = (
        int(digits) for digits in re.findall(r"\d+", os.uname().release + ".0.0")[:3]
    )
    return major << 16 | minor << 8 | min(patch, 255)


def must_be_privileged(error: int) -> None:
    """EPERM from a process without privileges says nothing about the kernel."""
    if error == errno.EPERM and not has_all((Capability.CAP_BPF,)):
        raise syscall.error_of(syscall.Command.PROG_LOAD, error, _WHAT)


def program_type(kind: ProgramType) -> bool:
    """The types that need a target in BTF are known when the kernel asks for one."""
    answer = load(kind, RETURN_1, expected=_EXPECTED.get(kind, 0), flags=_FLAGS.get(kind, 0))
    must_be_privileged(answer.error)
    if kind in _NEEDS_TARGET:
        return bool(answer.log) or answer.error not in (errno.EINVAL, errno.EPERM)
    return answer.error == 0 or bool(answer.log)


ONE_ENTRY = {"key_size": 4, "value_size": 4, "max_entries": 1}
_SHAPES: dict[MapType, dict[str, int]] = {
    MapType.STACK_TRACE: {"value_size": 8},
    MapType.LPM_TRIE: {"key_size": 8, "value_size": 8, "flags": MapFlag.NO_PREALLOC},
    MapType.CGROUP_STORAGE: {"key_size": 16, "value_size": 8, "max_entries": 0},
    MapType.PERCPU_CGROUP_STORAGE: {"key_size": 16, "value_size": 8, "max_entries": 0},
    MapType.QUEUE: {"key_size": 0},
    MapType.STACK: {"key_size": 0},
    MapType.BLOOM_FILTER: {"key_size": 0},
    MapType.RINGBUF: {"key_size": 0, "value_size": 0, "max_entries": 65536},
    MapType.USER_RINGBUF: {"key_size": 0, "value_size": 0, "max_entries": 65536},
    MapType.REUSEPORT_SOCKARRAY: {"value_size": 8},
    MapType.ARENA: {"key_size": 0, "value_size": 0, "flags": MapFlag.MMAPABLE},
    MapType.INSN_ARRAY: {"value_size": 16},
}
#: These need BTF of their values; without it the kernel says EINVAL, or knows nothing of them.
_STORAGES = (
    MapType.SK_STORAGE,
    MapType.INODE_STORAGE,
    MapType.TASK_STORAGE,
    MapType.CGRP_STORAGE,
)


def map_type(kind: MapType) -> bool:
    """A map of one entry; storages of kernel objects with the BTF of an integer."""
    shape = ONE_ENTRY | _SHAPES.get(kind, {})
    if kind is MapType.STRUCT_OPS:
        # Without the id of a kernel struct it cannot be made; 524 and 2 come from behind that.
        shape |= {"btf_vmlinux_value_type_id": 1}
        return map_error(kind, shape) not in (errno.EINVAL, errno.E2BIG, errno.EPERM)
    if kind in _STORAGES:
        with _integer_btf() as btf:
            shape |= {"max_entries": 0, "flags": MapFlag.NO_PREALLOC, "btf_fd": btf.fileno()}
            shape |= {"btf_key_type_id": 1, "btf_value_type_id": 1}
            return map_error(kind, shape) == 0
    if kind in MAPS_IN_MAPS:
        with FileDescriptor(create_map(MapType.ARRAY, ONE_ENTRY), "inner map") as inner:
            return map_error(kind, shape | {"inner_map_fd": inner.fileno()}) == 0
    return map_error(kind, shape) == 0


def create_map(kind: MapType, shape: dict[str, Any]) -> int:
    """A map's descriptor; `shape` are arguments of `syscall.map_create`."""
    return syscall.map_create(kind, what=_WHAT, token_fd=current_token(), **shape)


def map_error(kind: MapType, shape: dict[str, Any]) -> int:
    """The errno of creating such a map, 0 when that works."""
    try:
        os.close(create_map(kind, shape))
    except KernelError as error:
        must_be_privileged(error.errno or 0)
        return error.errno or 0
    return 0


def _integer_btf() -> FileDescriptor:
    result, _needed = syscall.btf_load(INTEGER, len(INTEGER), token_fd=current_token())
    if result < 0:
        raise syscall.error_of(syscall.Command.BTF_LOAD, -result, "load BTF")
    return FileDescriptor(result, "BTF")


def helper(program_type: ProgramType, number: int) -> bool:
    """A program that calls it with whatever the registers hold.

    The verifier looks first whether the type may call the helper, and says so; any other
    complaint is about the arguments.
    """
    if program_type in (ProgramType.EXT, ProgramType.STRUCT_OPS):
        raise NotSupportedError(f"{program_type.name} programs have the helpers of their target")
    code = instruction(CALL, imm=number) + RETURN_0
    expected = _EXPECTED.get(program_type, 0)
    target = _TARGETS.get(program_type, "")
    answer = load(
        program_type,
        code,
        expected=expected,
        flags=_FLAGS.get(program_type, 0),
        attach_btf_id=kernel_btf_id(target) if target else 0,
    )
    must_be_privileged(answer.error)
    return not any(refusal in answer.log for refusal in _HELPER_REFUSALS)


_HELPER_REFUSALS = ("invalid func ", "unknown func ", "cannot use helper ", "cannot call helper")
_TARGETS = {ProgramType.TRACING: "btf_trace_sys_enter", ProgramType.LSM: "bpf_lsm_file_open"}


def kernel_btf_id(name: str) -> int:
    """The id of a function or typedef of vmlinux, 0 when there is none of that name."""
    from osmia.btf import Kind, kernel_btf

    return kernel_btf().find(name, Kind.FUNC, Kind.TYPEDEF)
