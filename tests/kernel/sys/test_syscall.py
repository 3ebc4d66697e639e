"""The door to bpf(2): layouts as the kernel has them, errors that say what is known."""

from __future__ import annotations

import ctypes
import errno
import os
import struct

import pytest

from osmia.btf import BTF, Struct, Union, kernel_btf
from osmia.errors import BpfPermissionError, KernelError
from osmia.kernel.sys import attributes, privileges, syscall
from osmia.kernel.sys.commands import COMMANDS
from osmia.kernel.sys.syscall import Command
from osmia.object.uapi import MapType

#: A layout and how to find its struct in the kernel: a member of union bpf_attr that it
#: starts with (anonymous structs), a named member of it, or a type of its own.
ATTRIBUTES = {
    attributes.MapCreate: "map_type",
    attributes.MapElement: "map_fd",
    attributes.MapBatch: "batch.",
    attributes.ProgLoad: "prog_type",
    attributes.ObjPath: "pathname",
    attributes.TestRun: "test.",
    attributes.GetInfo: "info.",
    attributes.ProgQuery: "query.",
    attributes.RawTracepointOpen: "raw_tracepoint.",
    attributes.BtfLoad: "btf",
    attributes.TaskFdQuery: "task_fd_query.",
    attributes.LinkUpdate: "link_update.",
    attributes.LinkDetach: "link_detach.",
    attributes.EnableStats: "enable_stats.",
    attributes.IterCreate: "iter_create.",
    attributes.ProgBindMap: "prog_bind_map.",
    attributes.TokenCreate: "token_create.",
    attributes.ProgStreamRead: "prog_stream_read.",
    attributes.ProgAssocStructOps: "prog_assoc_struct_ops.",
    attributes.MapInfo: "struct bpf_map_info",
    attributes.BtfInfo: "struct bpf_btf_info",
    attributes.ProgInfo: "struct bpf_prog_info",
    attributes.PerfEventAttr: "struct perf_event_attr",
    attributes.TokenInfo: "struct bpf_token_info",
}
#: Commands that a kernel this old has no layout for.
SINCE = {
    attributes.TokenCreate: (6, 9),
    attributes.ProgStreamRead: (6, 17),
    attributes.ProgAssocStructOps: (7, 0),
    attributes.TokenInfo: (6, 17),
}
#: Fields that the header has under another name, in a union, or as bit fields.
OTHERWISE_NAMED = {"flags", "reserved", "gpl_compatible", "wakeup_events", "config1", "config2"}


def kernel_version() -> tuple[int, int]:
    major, minor = os.uname().release.split(".")[:2]
    return int(major), int(minor)


def members(btf: BTF, type_id: int, base: int = 0) -> dict[str, int]:
    """Byte offsets of a struct's members by name, anonymous ones flattened."""
    described = btf.type(btf.resolve(type_id))
    assert isinstance(described, Struct | Union)
    found: dict[str, int] = {}
    for member in described.members:
        offset = base + member.bit_offset // 8
        if member.name:
            found[member.name] = offset
        else:
            found |= members(btf, member.type_id, offset)
    return found


def kernel_layout(where: str) -> dict[str, int]:
    btf = kernel_btf()
    if where.startswith("struct "):
        return members(btf, btf.find(where.removeprefix("struct ")))
    attr = btf.type(btf.find("bpf_attr"))
    assert isinstance(attr, Union)
    for member in attr.members:
        if member.name == where.removesuffix(".") and where.endswith("."):
            return members(btf, member.type_id)
        if not member.name:
            inner = members(btf, member.type_id)
            if next(iter(inner)) == where:
                return inner
    raise AssertionError(f"union bpf_attr has no {where}")


@pytest.mark.kernel
@pytest.mark.parametrize("layout", ATTRIBUTES, ids=lambda layout: layout.__name__)
def test_layouts_are_those_of_the_running_kernel(layout: type[ctypes.Structure]) -> None:
    if kernel_version() < SINCE.get(layout, (0, 0)):
        pytest.skip(f"since Linux {SINCE[layout]}")
    theirs = kernel_layout(ATTRIBUTES[layout])
    ours = {name: getattr(layout, name).offset for name, *_ in layout._fields_}
    assert len(ours.keys() & theirs.keys()) >= len(ours) // 2
    wrong = {
        name: (offset, theirs[name])
        for name, offset in ours.items()
        if name in theirs and name not in OTHERWISE_NAMED and theirs[name] != offset
    }
    assert not wrong


@pytest.mark.kernel
def test_commands_are_numbered_as_in_the_running_kernel() -> None:
    btf = kernel_btf()
    numbers = {value.name: value.value for value in btf.type(btf.find("bpf_cmd")).values}  # type: ignore[union-attr]
    shared = {f"BPF_{command.name}": command for command in COMMANDS}
    for name, command in shared.items():
        assert numbers.get(name, command) == command


def test_names_become_what_the_kernel_takes() -> None:
    assert syscall.object_name("flows") == b"flows"
    assert syscall.object_name("a-b c/d.e") == b"a_b_c_d.e"
    assert syscall.object_name("é" * 3) == b"___"
    assert syscall.object_name("a_very_long_map_name") == b"a_very_long_map"


def test_addresses_reach_the_bytes_of_any_buffer() -> None:
    for buffer in (b"abc", bytearray(b"abc"), memoryview(bytearray(b"abc"))):
        assert ctypes.string_at(syscall.address_of(buffer), 3) == b"abc"
    assert syscall.address_of(None) == 0
    assert syscall.address_of(4096) == 4096


@pytest.mark.kernel
def test_a_refused_call_says_what_was_attempted() -> None:
    with pytest.raises(KernelError, match=r"cannot create map 'broken': .*EINVAL") as caught:
        syscall.map_create(MapType.HASH, key_size=0, value_size=4, max_entries=1, name="broken")
    assert caught.value.errno == errno.EINVAL


@pytest.mark.kernel
def test_an_unknown_id_is_enoent() -> None:
    for open_by_id in (
        syscall.map_get_fd_by_id,
        syscall.prog_get_fd_by_id,
        syscall.btf_get_fd_by_id,
        syscall.link_get_fd_by_id,
    ):
        with pytest.raises(KernelError, match="ENOENT"):
            open_by_id(2**31 - 2)


@pytest.mark.kernel
def test_a_batch_that_is_refused_from_the_start_did_nothing() -> None:
    fd = syscall.map_create(MapType.QUEUE, key_size=0, value_size=4, max_entries=4)
    done, error = syscall.map_batch(
        Command.MAP_LOOKUP_BATCH, fd, keys=bytearray(4), values=bytearray(16), count=4
    )
    os.close(fd)
    assert (done, error) == (0, errno.EOPNOTSUPP)


@pytest.mark.kernel
def test_permission_hints_name_only_what_is_missing() -> None:
    child = os.fork()
    if child == 0:
        os.setresgid(65534, 65534, 65534)
        os.setresuid(65534, 65534, 65534)
        try:
            syscall.map_get_fd_by_id(1)
        except BpfPermissionError as error:
            os._exit(0 if "this process lacks CAP_SYS_ADMIN" in str(error) else 1)
        os._exit(2)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def test_a_process_with_all_it_needs_is_not_told_to_get_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    status = "CapEff:\t000001ffffffffff\nSeccomp:\t0"
    files = {"/proc/thread-self/status": status, "/proc/self/uid_map": "0 0 4294967295"}
    monkeypatch.setattr(privileges, "_read", lambda path: files.get(path, ""))
    hint = privileges.permission_hint((privileges.Capability.CAP_BPF,))
    assert "lacks" not in hint
    assert "this process has CAP_BPF" in hint


def test_capabilities_of_a_user_namespace_do_not_count(monkeypatch: pytest.MonkeyPatch) -> None:
    files = {
        "/proc/thread-self/status": "CapEff:\t000001ffffffffff",
        "/proc/self/uid_map": "0 1000 1",
    }
    monkeypatch.setattr(privileges, "_read", lambda path: files.get(path, ""))
    assert "user namespace" in privileges.permission_hint((privileges.Capability.CAP_BPF,))


def test_lockdown_and_seccomp_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    files = {
        "/proc/thread-self/status": "CapEff:\t000001ffffffffff\nSeccomp:\t2",
        "/sys/kernel/security/lockdown": "none integrity [confidentiality]",
    }
    monkeypatch.setattr(privileges, "_read", lambda path: files.get(path, ""))
    hint = privileges.permission_hint((privileges.Capability.CAP_BPF,))
    assert "lockdown" in hint
    assert "seccomp" in hint


@pytest.fixture
def handed(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, bytes]]:
    """What is handed to bpf(2) from now on, command and bytes; nothing is done."""
    calls: list[tuple[int, bytes]] = []

    def invoke(command: int, attribute: ctypes.Structure) -> int:
        calls.append((command, bytes(attribute)))
        return 0

    monkeypatch.setattr(syscall, "invoke", invoke)
    return calls


def test_a_struct_ops_is_associated_by_map_and_program(handed: list[tuple[int, bytes]]) -> None:
    syscall.prog_assoc_struct_ops(7, 9, what="associate")
    assert handed == [(38, struct.pack("=III", 9, 7, 0))]


def test_types_are_opened_with_the_token_that_is_given(handed: list[tuple[int, bytes]]) -> None:
    syscall.btf_get_fd_by_id(5)
    syscall.btf_get_fd_by_id(5, token_fd=8)
    assert handed == [
        (19, struct.pack("=IIIi", 5, 0, 0, 0)),
        (19, struct.pack("=IIIi", 5, 0, 1 << 16, 8)),
    ]
