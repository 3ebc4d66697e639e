"""What needs kprobes, trampolines or the BPF LSM: runs on the second kernel."""

from __future__ import annotations

import ctypes
import errno
import struct
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import osmia
from osmia.btf import IntEncoding, Kind, kernel_btf
from osmia.errors import KernelError, NotSupportedError
from osmia.kernel.inventory.cgroup_programs import (
    CgroupProgram,
    cgroup_programs,
    cgroup_tree,
)
from osmia.kernel.links import (
    SymbolNotFoundError,
    attach_freplace,
    attach_kprobe,
    syscall_function,
)
from osmia.kernel.probes import features
from osmia.kernel.programs.program import KernelProgram
from osmia.kernel.sys.btf_objects import load_btf
from osmia.object import model
from osmia.object.uapi import AttachType, LinkType, ProgramType

from ..conftest import Counter, Network, needs_trampolines

pytestmark = [pytest.mark.kernel, pytest.mark.second_kernel]

Make = Callable[..., KernelProgram]
GETPGID = syscall_function("getpgid")
libc = ctypes.CDLL(None)


def call_getpgid(times: int = 1) -> None:
    for _ in range(times):
        libc.getpgid(0)


def function_id(name: str) -> int:
    found = kernel_btf().find(name, Kind.FUNC)
    assert found, name
    return found


@pytest.mark.parametrize("return_probe", [False, True])
def test_kprobes_count(return_probe: bool, counting: Make, counter: Counter) -> None:
    with attach_kprobe(counting(ProgramType.KPROBE), GETPGID, return_probe=return_probe) as link:
        call_getpgid(5)
        assert counter.value >= 5
        assert link.info.type is LinkType.PERF_EVENT
    before = counter.value
    call_getpgid()
    assert counter.value == before


def test_attach_picks_a_kprobe_for_a_function(counting: Make, counter: Counter) -> None:
    with counting(ProgramType.KPROBE).attach(GETPGID, cookie=3):
        call_getpgid()
    assert counter.value >= 1


def test_the_section_names_a_system_call(counting: Make, counter: Counter) -> None:
    program = counting(ProgramType.KPROBE)
    program.definition = model.Program(
        name="p",
        function="p",
        section="ksyscall/getpgid",
        type=ProgramType.KPROBE,
        attach_to="getpgid",
    )
    with program.attach():
        call_getpgid()
    assert counter.value >= 1
    assert syscall_function("getpgid") == GETPGID


def test_kprobes_in_the_trace_file_system_are_removed_again(
    counting: Make, counter: Counter, monkeypatch: pytest.MonkeyPatch
) -> None:
    from osmia.kernel.links import probes
    from osmia.tracefs import tracefs

    monkeypatch.setattr(probes, "_source", lambda kind: None)  # as before 4.17
    with attach_kprobe(counting(ProgramType.KPROBE), GETPGID):
        assert "osmia_" in (tracefs() / "kprobe_events").read_text()
        call_getpgid(2)
    assert counter.value >= 2
    assert "osmia_" not in (tracefs() / "kprobe_events").read_text()


def test_uprobes_in_the_trace_file_system_are_removed_again(
    counting: Make, counter: Counter, monkeypatch: pytest.MonkeyPatch
) -> None:
    from osmia.kernel.links import attach_uprobe, probes
    from osmia.tracefs import tracefs

    monkeypatch.setattr(probes, "_source", lambda kind: None)
    with attach_uprobe(counting(ProgramType.KPROBE), "libc", "getpgid"):
        call_getpgid(2)
    assert counter.value >= 2
    assert "osmia_" not in (tracefs() / "uprobe_events").read_text()


def test_a_function_that_the_kernel_lacks_is_named(counting: Make) -> None:
    with pytest.raises(KernelError, match="no function 'osmia_no_such_function'"):
        attach_kprobe(counting(ProgramType.KPROBE), "osmia_no_such_function")


SEVERAL = [[GETPGID, syscall_function("getsid")], syscall_function("getpg*")]


@pytest.mark.parametrize("functions", SEVERAL)
def test_kprobe_multi_counts_or_says_what_the_kernel_lacks(
    functions: str | list[str], counting: Make, counter: Counter
) -> None:
    program = counting(ProgramType.KPROBE, 0, AttachType.TRACE_KPROBE_MULTI)
    if not features.has_attach_type(AttachType.TRACE_KPROBE_MULTI):  # Debian's 6.1: no fprobe
        with pytest.raises(NotSupportedError, match=r"kprobe\.multi links"):
            program.attach(functions)
        return
    with program.attach(functions) as link:
        call_getpgid(3)
        assert counter.value >= 3
        assert link.info.type is LinkType.KPROBE_MULTI


def test_a_pattern_that_matches_nothing_is_named(counting: Make) -> None:
    program = counting(ProgramType.KPROBE, 0, AttachType.TRACE_KPROBE_MULTI)
    with pytest.raises(SymbolNotFoundError, match="osmia_nothing"):
        program.attach("osmia_nothing*")


@needs_trampolines
@pytest.mark.parametrize("attach_type", [AttachType.TRACE_FENTRY, AttachType.TRACE_FEXIT])
@pytest.mark.parametrize("cookie", [0, 7])
def test_fentry_and_fexit_count(
    attach_type: AttachType, cookie: int, counting: Make, counter: Counter
) -> None:
    program = counting(ProgramType.TRACING, 0, attach_type, attach_btf_id=function_id(GETPGID))
    with program.attach(cookie=cookie) as link:
        call_getpgid(4)
        assert counter.value >= 4
        assert link.info.type is LinkType.TRACING
        assert link.info.details["target_btf_id"] == function_id(GETPGID)
    before = counter.value
    call_getpgid()
    assert counter.value == before


@needs_trampolines
def test_fmod_ret_changes_the_result(returning: Make, tmp_path: Path) -> None:
    program = returning(
        ProgramType.TRACING,
        -errno.EACCES,
        AttachType.MODIFY_RETURN,
        attach_btf_id=function_id("security_inode_mkdir"),
    )
    with program.attach(), pytest.raises(PermissionError):
        (tmp_path / "refused").mkdir()
    (tmp_path / "allowed").mkdir()


@needs_trampolines
def test_lsm_programs_are_asked(counting: Make, counter: Counter, tmp_path: Path) -> None:
    program = counting(
        ProgramType.LSM, 0, AttachType.LSM_MAC, attach_btf_id=function_id("bpf_lsm_file_open")
    )
    with program.attach():
        (tmp_path / "file").write_text("x")
    assert counter.value >= 1


@needs_trampolines
def test_lsm_programs_of_a_cgroup_rule_its_processes(returning: Make, network: Network) -> None:
    import socket

    program = returning(
        ProgramType.LSM,
        0,  # refuse
        AttachType.LSM_CGROUP,
        attach_btf_id=function_id("bpf_lsm_socket_bind"),
    )
    with socket.socket() as probe:
        with program.attach("/sys/fs/cgroup"):
            with pytest.raises(PermissionError):
                probe.bind(("127.0.0.1", 0))
            mine = CgroupProgram(AttachType.LSM_CGROUP, program.id, "multi")
            assert mine in cgroup_programs("/sys/fs/cgroup")
            effective = cgroup_programs("/sys/fs/cgroup", effective=True)
            assert mine._replace(sharing="") in effective
            assert mine in dict(cgroup_tree("/sys/fs/cgroup"))[Path("/sys/fs/cgroup")]
        assert mine not in cgroup_programs("/sys/fs/cgroup")
        probe.bind(("127.0.0.1", 0))


@pytest.fixture
def target() -> Iterator[KernelProgram]:
    """A classifier whose global function `verdict` gives 1, with the BTF that says so."""
    from osmia.btf import BTFBuilder

    types = BTFBuilder()
    integer = types.add_int("int", 4, IntEncoding.SIGNED)
    prototype = types.add_func_proto(integer, ())
    verdict = types.add_func("verdict", prototype, linkage=1)
    main = types.add_func("main", prototype, linkage=1)
    code = instructions(
        (0x85, 0, 1, 0, 1),  # call verdict
        (0x95, 0, 0, 0, 0),
        (0xB7, 0, 0, 0, 1),
        (0x95, 0, 0, 0, 0),
    )
    with (
        load_btf(types.build()) as btf,
        KernelProgram.load(
            ProgramType.SCHED_CLS,
            code,
            license="GPL",
            name="target",
            btf_fd=btf.fileno(),
            func_info=struct.pack("=4I", 0, main, 2, verdict),
        ) as program,
    ):
        yield program


def instructions(*slots: tuple[int, int, int, int, int]) -> bytes:
    return b"".join(
        struct.pack("=BBhi", opcode, src << 4 | dst, offset, imm)
        for opcode, dst, src, offset, imm in slots
    )


def test_freplace_takes_the_place_of_a_function(target: KernelProgram) -> None:
    from osmia.btf import BTFBuilder

    types = BTFBuilder()
    integer = types.add_int("int", 4, IntEncoding.SIGNED)
    replacement = types.add_func("verdict", types.add_func_proto(integer, ()), linkage=1)
    own = target.btf()
    assert own is not None
    with (
        load_btf(types.build()) as btf,
        KernelProgram.load(
            ProgramType.EXT,
            instructions((0xB7, 0, 0, 0, 2), (0x95, 0, 0, 0, 0)),
            license="GPL",
            name="other",
            btf_fd=btf.fileno(),
            func_info=struct.pack("=2I", 0, replacement),
            attach_btf_id=own.find("verdict", Kind.FUNC),
            attach_fd=target.fileno(),
        ) as program,
    ):
        assert target.run(bytes(64)).retval == 1
        with program.attach() as link:
            assert target.run(bytes(64)).retval == 2
            assert link.info.type is LinkType.TRACING
        assert target.run(bytes(64)).retval == 1
        with pytest.raises(KernelError, match="say target= and function= to attach it again"):
            program.attach()
        with attach_freplace(program, target, "verdict"):
            assert target.run(bytes(64)).retval == 2


@pytest.mark.parametrize(
    ("attach_type", "version"),
    [(AttachType.TCX_INGRESS, "6.6"), (AttachType.TRACE_UPROBE_MULTI, "6.6")],
)
def test_what_came_later_says_since_when(
    attach_type: AttachType, version: str, returning: Make, network: Network
) -> None:
    if features.has_attach_type(attach_type):
        pytest.skip("this kernel is new enough")
    if attach_type is AttachType.TCX_INGRESS:
        program = returning(ProgramType.SCHED_CLS, 0, attach_type)
        with pytest.raises(NotSupportedError) as caught:
            program.attach("left", first=True)
    else:
        program = returning(ProgramType.KPROBE, 0, attach_type)
        with pytest.raises(NotSupportedError) as caught:
            program.attach("libc:getpgid")
    assert caught.value.since == version


STRUCT_OPS = """
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>
char LICENSE[] SEC("license") = "GPL";
SEC("struct_ops/ssthresh") __u32 BPF_PROG(ssthresh, struct sock *sk) { return 2; }
SEC("struct_ops/cong_avoid") void BPF_PROG(cong_avoid, struct sock *sk, __u32 ack, __u32 acked) {}
SEC("struct_ops/undo_cwnd") __u32 BPF_PROG(undo_cwnd, struct sock *sk) { return 2; }
SEC(".struct_ops.link") struct tcp_congestion_ops linked = {
    .ssthresh = (void *)ssthresh, .cong_avoid = (void *)cong_avoid,
    .undo_cwnd = (void *)undo_cwnd, .name = "osmia_later",
};
"""


def test_struct_ops_with_a_link_say_since_when() -> None:
    if not features.kernel_is_older_than("6.4"):
        pytest.skip("this kernel is new enough")
    with pytest.raises(NotSupportedError, match="has no struct_ops with a link") as caught:
        osmia.compile(STRUCT_OPS).load().close()
    assert caught.value.since == "6.4"


@needs_trampolines
def test_messages_of_tracing_programs_name_the_function(counting: Make) -> None:
    program = counting(
        ProgramType.TRACING, 0, AttachType.TRACE_FENTRY, attach_btf_id=function_id(GETPGID)
    )
    program.definition = model.Program(
        name="p",
        function="p",
        section=f"fentry/{GETPGID}",
        type=ProgramType.TRACING,
        attach_to=GETPGID,
    )
    with program.attach() as link:
        assert f"fentry of {GETPGID}" in repr(link)
