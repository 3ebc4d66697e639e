"""Probes for what is no type: instruction sets, loops, BTF kinds, commands, cookies …"""

from __future__ import annotations

import ctypes
import errno
import os
import struct
from collections.abc import Callable
from functools import partial
from pathlib import Path

from osmia.errors import KernelError
from osmia.kernel.probes import attach_probes, btf_probes
from osmia.kernel.probes.feature_probes import (
    CALL,
    EXIT,
    MOVE,
    ONE_ENTRY,
    RETURN_0,
    create_map,
    instruction,
    load,
    map_error,
    must_be_privileged,
)
from osmia.kernel.sys import syscall
from osmia.kernel.sys.fd import FileDescriptor
from osmia.kernel.sys.token import current_token
from osmia.object.uapi import AttachType, LinkType, MapFlag, MapType, ProgramFlag, ProgramType
from osmia.records import dataclass

_NOWHERE = 0x7FFF_FFFF


@dataclass(frozen=True, slots=True)
class Ability:
    """The first Linux that has it, and how to ask the running one."""

    since: str
    probe: Callable[[], bool]


def _code_loads(code: bytes, *, flags: int = 0, kind: ProgramType | None = None) -> bool:
    answer = load(kind or ProgramType.SOCKET_FILTER, code, flags=flags)
    must_be_privileged(answer.error)
    return answer.error == 0


def _with_array(code: Callable[[int], bytes]) -> bool:
    """Whether code that refers to an array of one 8-byte value loads."""
    shape = ONE_ENTRY | {"value_size": 8}
    with FileDescriptor(create_map(MapType.ARRAY, shape), "probe") as array:
        return _code_loads(code(array.fileno()))


def _map_value(fd: int) -> bytes:
    """r1 = the address of the array's value (BPF_PSEUDO_MAP_VALUE)."""
    return instruction(0x18, 1, 2, imm=fd) + instruction(0)


def _command_known(call: Callable[[], object]) -> bool:
    """A command that exists looks at the descriptor, which does not."""
    try:
        call()
    except KernelError as error:
        return error.errno == errno.EBADF
    return True


def _batches() -> bool:
    with FileDescriptor(create_map(MapType.ARRAY, ONE_ENTRY), "probe") as array:
        key, value, position = (ctypes.c_uint32() for _ in range(3))
        _count, error = syscall.map_batch(
            syscall.Command.MAP_LOOKUP_BATCH,
            array.fileno(),
            keys=ctypes.addressof(key),
            values=ctypes.addressof(value),
            count=1,
            out_batch=ctypes.addressof(position),
        )
        return error in (0, errno.ENOENT)


def _kfunc_call() -> bool:
    """An id that is no function is refused after the instruction was understood."""
    code = instruction(CALL, src=2, imm=1) + RETURN_0
    answer = load(ProgramType.SCHED_CLS, code)
    return "kernel" in answer.log and "unknown opcode" not in answer.log


def _subprogram_tail_calls() -> bool:
    """The verifier takes them only in functions that it knows by BTF."""
    array = ONE_ENTRY | {"value_size": 4}
    with FileDescriptor(create_map(MapType.PROG_ARRAY, array), "probe") as slots:
        code = (
            instruction(CALL, src=1, imm=1)
            + instruction(EXIT)
            + instruction(0x18, 2, 1, imm=slots.fileno())
            + instruction(0)
            + instruction(MOVE, 3)
            + instruction(CALL, imm=12)
            + RETURN_0
        )
        functions = struct.pack("=4I", 0, 3, 2, 3)
        types = btf_probes.FUNCTION
        btf, _ = syscall.btf_load(types, len(types), token_fd=current_token())
        if btf < 0:
            return False
        with FileDescriptor(btf, "probe"):
            result, _ = syscall.prog_load(
                ProgramType.SOCKET_FILTER,
                code,
                license="GPL",
                btf_fd=btf,
                func_info=functions,
                func_info_rec_size=8,
                token_fd=current_token(),
            )
    if result >= 0:
        os.close(result)
    must_be_privileged(max(0, -result))
    return result >= 0


def _path_descriptor_pins() -> bool:
    """The directory's descriptor is looked at after the map's."""
    with FileDescriptor(create_map(MapType.ARRAY, ONE_ENTRY), "probe") as array:
        try:
            syscall.obj_pin(array.fileno(), "probe", flags=MapFlag.PATH_FD, path_fd=-1)
        except KernelError as error:
            return error.errno == errno.EBADF
    return False


def _named_map() -> bool:
    return map_error(MapType.ARRAY, ONE_ENTRY | {"name": "probe"}) == 0


_LOOP = (
    instruction(MOVE, 0, imm=10)
    + instruction(0x17, 0, imm=1)  # r0 -= 1
    + instruction(0x55, 0, offset=-2)  # if r0 != 0 goto -2
    + instruction(EXIT)
)
_LARGE = instruction(MOVE) * 4096 + RETURN_0

ABILITIES: dict[str, Ability] = {
    # Instructions
    "instruction set v2 (jlt, jle, jslt, jsle)": Ability(
        "4.14",
        partial(_code_loads, instruction(MOVE) + instruction(0xA5, 0, imm=1) + RETURN_0),
    ),
    "instruction set v3 (32-bit jumps)": Ability(
        "5.1",
        partial(_code_loads, instruction(MOVE) + instruction(0x16, 0, imm=1) + RETURN_0),
    ),
    "instruction set v4 (movsx, bswap, sdiv, gotol)": Ability(
        "6.6",
        partial(_code_loads, instruction(MOVE) + instruction(0xBF, 0, 0, offset=8) + RETURN_0),
    ),
    "atomic operations beyond add": Ability(
        "5.12",
        partial(
            _with_array,
            lambda fd: (
                _map_value(fd)
                + instruction(MOVE, 2, imm=1)
                + instruction(0xDB, 1, 2, imm=0x01)  # fetch and add
                + RETURN_0
            ),
        ),
    ),
    "load-acquire, store-release": Ability(
        "6.15",
        partial(
            _with_array,
            lambda fd: _map_value(fd) + instruction(0xDB, 2, 1, imm=0x100) + RETURN_0,
        ),
    ),
    "may_goto": Ability("6.9", partial(_code_loads, instruction(0xE5) + RETURN_0)),
    "bounded loops": Ability("5.3", partial(_code_loads, _LOOP)),
    "tail calls in subprograms": Ability("5.10", _subprogram_tail_calls),
    "programs above 4096 instructions": Ability("5.2", partial(_code_loads, _LARGE)),
    "kfunc calls": Ability("5.13", _kfunc_call),
    # Programs and maps
    "global data": Ability("5.2", partial(_with_array, lambda fd: _map_value(fd) + RETURN_0)),
    "object names": Ability("4.15", _named_map),
    "mmapable arrays": Ability(
        "5.5",
        lambda: map_error(MapType.ARRAY, ONE_ENTRY | {"flags": MapFlag.MMAPABLE}) == 0,
    ),
    "map batch operations": Ability("5.6", _batches),
    "sleepable programs": Ability(
        "5.10",
        partial(_code_loads, RETURN_0, flags=ProgramFlag.SLEEPABLE, kind=ProgramType.SYSCALL),
    ),
    "XDP fragments": Ability(
        "5.18",
        partial(_code_loads, RETURN_0, flags=ProgramFlag.XDP_HAS_FRAGS, kind=ProgramType.XDP),
    ),
    # Attachments
    "BPF links": Ability(
        "5.7", lambda: _command_known(lambda: syscall.link_update(_NOWHERE, _NOWHERE))
    ),
    "forced link detach": Ability(
        "5.9", lambda: _command_known(lambda: syscall.link_detach(_NOWHERE))
    ),
    "BPF cookies": Ability("5.15", partial(attach_probes.link_type, LinkType.PERF_EVENT)),
    "tcx": Ability("6.6", partial(attach_probes.attach_type, AttachType.TCX_INGRESS)),
    "netkit": Ability("6.7", partial(attach_probes.attach_type, AttachType.NETKIT_PRIMARY)),
    "kprobe.multi": Ability(
        "5.18", partial(attach_probes.attach_type, AttachType.TRACE_KPROBE_MULTI)
    ),
    "uprobe.multi": Ability(
        "6.6", partial(attach_probes.attach_type, AttachType.TRACE_UPROBE_MULTI)
    ),
    # Commands
    "iterators": Ability(
        "5.8", lambda: _command_known(lambda: os.close(syscall.iter_create(_NOWHERE)))
    ),
    "run statistics": Ability("5.8", lambda: _closes(syscall.enable_stats)),
    "pins by directory descriptor": Ability("6.5", _path_descriptor_pins),
    "BPF tokens": Ability(
        "6.9", lambda: _command_known(lambda: os.close(syscall.token_create(_NOWHERE)))
    ),
    "program streams": Ability(
        "6.17", lambda: _command_known(lambda: syscall.prog_stream_read(_NOWHERE))
    ),
    # Types
    "kernel BTF": Ability("5.4", lambda: Path("/sys/kernel/btf/vmlinux").exists()),
    "BTF": Ability("4.18", lambda: btf_probes.loads(btf_probes.INTEGER)),
    **{
        f"BTF {kind}": Ability(version, partial(btf_probes.loads, btf_probes.BTF_KINDS[kind]))
        for kind, version in {
            "func": "5.0",
            "var, datasec": "5.2",
            "global func": "5.6",
            "float": "5.13",
            "decl_tag": "5.16",
            "type_tag": "5.17",
            "enum64": "6.0",
            "?datasec": "6.10",
        }.items()
    },
}


def _closes(make: Callable[[], int]) -> bool:
    try:
        os.close(make())
    except KernelError as error:
        must_be_privileged(error.errno or 0)
        return False
    return True
