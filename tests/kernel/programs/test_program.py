"""Programs load, tell about themselves, run, and are explained when they do not load."""

from __future__ import annotations

import errno
import os
import signal
import struct
from collections.abc import Callable
from pathlib import Path

import pytest

from osmia.errors import ClosedError, KernelError, NotSupportedError, VerifierError
from osmia.kernel.programs.program import KernelProgram, enable_run_statistics
from osmia.kernel.sys import syscall
from osmia.kernel.sys.fd import FileDescriptor
from osmia.object.model import SourceLine
from osmia.object.uapi import AttachType, MapType, ProgramFlag, ProgramType

pytestmark = pytest.mark.kernel

PACKET = bytes(range(64))
Make = Callable[..., KernelProgram]


def code(*instructions: tuple[int, int, int, int, int]) -> bytes:
    """Instructions as (opcode, dst, src, offset, imm)."""
    return b"".join(
        struct.pack("=BBhi", opcode, src << 4 | dst, offset, imm)
        for opcode, dst, src, offset, imm in instructions
    )


RETURN_2 = code((0xB7, 0, 0, 0, 2), (0x95, 0, 0, 0, 0))


def test_info_is_what_was_loaded(returning: Make) -> None:
    program = returning(ProgramType.XDP, 2, AttachType.XDP, name="pass_all")
    info = program.info
    assert (info.type, info.name) == (ProgramType.XDP, "pass_all")
    assert info.id == program.id > 0
    assert len(info.tag) == 16 and int(info.tag, 16)
    assert info.xlated_len == 16
    assert info.verified_insns == 2
    assert info.gpl_compatible
    assert info.uid == os.getuid()
    assert info.map_ids == ()


def test_map_ids_name_the_maps_used(counting: Make, counter: object) -> None:
    program = counting(ProgramType.XDP, 2)
    (map_id,) = program.info.map_ids
    os.close(syscall.map_get_fd_by_id(map_id))


def test_the_translated_code_is_the_loaded_one_when_nothing_needs_rewriting(
    returning: Make,
) -> None:
    program = returning(ProgramType.XDP, 2)
    assert program.xlated() == RETURN_2


def test_the_machine_code_is_as_long_as_the_kernel_says(returning: Make) -> None:
    program = returning(ProgramType.XDP, 2)
    assert len(program.jited()) == program.info.jited_len > 0


def test_a_run_gives_verdict_packet_and_time(returning: Make) -> None:
    result = returning(ProgramType.XDP, 2).run(PACKET, repeat=100)
    assert result.retval == 2
    assert result.data == PACKET
    assert 0 < result.duration_ns < 1_000_000


def test_a_run_repeats(counting: Make, counter: object) -> None:
    counting(ProgramType.XDP, 2).run(PACKET, repeat=25)
    assert counter.value == 25  # type: ignore[attr-defined]


def test_a_run_gives_back_the_packet_that_the_program_changed() -> None:
    write_first_byte = code(
        (0x61, 2, 1, 0, 0),  # r2 = data
        (0x61, 3, 1, 4, 0),  # r3 = data_end
        (0xBF, 4, 2, 0, 0),
        (0x07, 4, 0, 0, 1),
        (0x2D, 4, 3, 1, 0),  # if data + 1 > data_end skip
        (0x72, 2, 0, 0, 0xAB),
        (0xB7, 0, 0, 0, 3),
        (0x95, 0, 0, 0, 0),
    )
    with KernelProgram.load(ProgramType.XDP, write_first_byte, license="GPL") as program:
        result = program.run(PACKET)
    assert result.data == b"\xab" + PACKET[1:]
    assert result.retval == 3


def test_xdp_contexts_go_in_and_come_back(returning: Make) -> None:
    context = struct.pack("=6I", 0, 64, 0, 1, 0, 0)  # ingress_ifindex 1
    result = returning(ProgramType.XDP, 2).run(PACKET, context)
    assert struct.unpack("=6I", result.ctx_data)[:4] == (0, 64, 0, 1)


def test_skb_programs_change_their_context() -> None:
    set_mark = code((0xB7, 2, 0, 0, 7), (0x63, 1, 2, 8, 0), (0xB7, 0, 0, 0, 0), (0x95, 0, 0, 0, 0))
    with KernelProgram.load(ProgramType.SCHED_CLS, set_mark, license="GPL") as program:
        result = program.run(PACKET)
    assert struct.unpack_from("=I", result.ctx_data, 8) == (7,)


def test_xdp_contexts_can_be_named_values(returning: Make) -> None:
    ctx = returning(ProgramType.XDP, 2).run(PACKET, {"ingress_ifindex": 1, "rx_queue_index": 0}).ctx
    assert ctx.ingress_ifindex == 1
    assert ctx.data_end - ctx.data == len(PACKET)


def test_skb_contexts_can_be_named_values() -> None:
    add_to_mark = code(
        (0x61, 2, 1, 8, 0),
        (0x07, 2, 0, 0, 1),
        (0x63, 1, 2, 8, 0),
        (0xB7, 0, 0, 0, 0),
        (0x95, 0, 0, 0, 0),
    )
    with KernelProgram.load(ProgramType.SCHED_CLS, add_to_mark, license="GPL") as program:
        result = program.run(PACKET, {"mark": 41, "priority": 3})
    assert (result.ctx.mark, result.ctx.priority) == (42, 3)


def test_a_context_that_fits_no_type_is_refused(returning: Make) -> None:
    with pytest.raises(TypeError, match="a context for this program type"):
        returning(ProgramType.RAW_TRACEPOINT, 0).run(ctx={"a": 1})


def test_an_interrupted_run_lets_go(returning: Make) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    previous = signal.signal(signal.SIGALRM, interrupt)
    signal.setitimer(signal.ITIMER_REAL, 0.05)
    try:
        with pytest.raises(KeyboardInterrupt):
            returning(ProgramType.XDP, 2).run(PACKET, repeat=0xFFFF_FFFF)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, previous)


def test_a_signal_ends_a_run_and_nothing_runs_twice(returning: Make) -> None:
    previous = signal.signal(signal.SIGALRM, lambda *_: None)
    signal.setitimer(signal.ITIMER_REAL, 0.05)
    try:
        with pytest.raises(KernelError) as caught:
            returning(ProgramType.XDP, 2).run(PACKET, repeat=0xFFFF_FFFF)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, previous)
    assert caught.value.errno == errno.EINTR


def test_a_program_runs_no_more_often_than_the_kernel_can_count(returning: Make) -> None:
    with pytest.raises(ValueError, match=r"4,294,967,297 times"):
        returning(ProgramType.XDP, 2).run(PACKET, repeat=(1 << 32) + 1)


def test_raw_tracepoint_contexts_are_the_arguments() -> None:
    second = code((0x79, 0, 1, 8, 0), (0x95, 0, 0, 0, 0))
    with KernelProgram.load(ProgramType.RAW_TRACEPOINT, second, license="GPL") as program:
        assert program.run(ctx=[3, 1234]).retval == 1234


def test_syscall_programs_write_to_their_context() -> None:
    store = code((0xB7, 2, 0, 0, 7), (0x7B, 1, 2, 8, 0), (0xB7, 0, 0, 0, 0), (0x95, 0, 0, 0, 0))
    given = bytes(16)
    with KernelProgram.load(
        ProgramType.SYSCALL, store, license="GPL", flags=ProgramFlag.SLEEPABLE
    ) as program:
        result = program.run(ctx=given)
    assert result.ctx_data == bytes(8) + struct.pack("=Q", 7)
    assert given == bytes(16)


def test_a_packet_too_short_is_explained(returning: Make) -> None:
    with pytest.raises(KernelError, match="Ethernet header of 14"):
        returning(ProgramType.XDP, 2).run(b"short")


def test_types_without_test_runs_say_so(returning: Make) -> None:
    program = returning(ProgramType.KPROBE, 0)
    with pytest.raises(NotSupportedError, match="test runs of KPROBE"):
        program.run()


def test_run_statistics_count_while_enabled(returning: Make) -> None:
    program = returning(ProgramType.XDP, 2)
    with enable_run_statistics():
        program.run(PACKET, repeat=10)
        spent, runs = program.run_statistics
    assert runs == 10
    assert spent > 0


def test_streams_are_empty_for_a_program_that_prints_nothing(returning: Make) -> None:
    program = returning(ProgramType.XDP, 2)
    assert (program.read_output(), program.read_errors()) == ("", "")


def test_a_program_can_be_opened_by_its_id(returning: Make) -> None:
    program = returning(ProgramType.XDP, 2, name="by_id")
    with KernelProgram.from_id(program.id) as again:
        assert (again.name, again.type, again.id) == ("by_id", ProgramType.XDP, program.id)
        assert again.expected_attach_type is None


def test_an_id_that_nothing_has_is_enoent() -> None:
    with pytest.raises(KernelError) as caught:
        KernelProgram.from_id(0x7FFF_FFFF)
    assert caught.value.errno == errno.ENOENT


def test_a_pinned_program_outlives_its_descriptor(returning: Make, bpffs: Path) -> None:
    program = returning(ProgramType.XDP, 2)
    identifier = program.id
    program.pin(bpffs / "program")
    program.close()
    with KernelProgram.from_pin(bpffs / "program") as again:
        assert again.id == identifier


def test_a_pin_makes_its_directories_and_goes(returning: Make, bpffs: Path) -> None:
    program = returning(ProgramType.XDP, 2)
    program.pin(bpffs / "deep" / "program")
    program.unpin(bpffs / "deep" / "program")
    with pytest.raises(KernelError) as caught:
        KernelProgram.from_pin(bpffs / "deep" / "program")
    assert caught.value.errno == errno.ENOENT


def test_opening_a_pinned_map_as_a_program_is_refused(bpffs: Path) -> None:
    made = syscall.map_create(MapType.ARRAY, key_size=4, value_size=4, max_entries=1)
    with FileDescriptor(made, "map"):
        syscall.obj_pin(made, str(bpffs / "map"))
    with pytest.raises(KernelError, match="it is a map, not a program"):
        KernelProgram.from_pin(bpffs / "map")


def test_a_closed_program_is_refused(returning: Make) -> None:
    program = returning(ProgramType.XDP, 2)
    program.close()
    program.close()
    assert program.closed
    with pytest.raises(ClosedError):
        program.run(PACKET)


READS_UNSET_REGISTER = code((0xBF, 0, 3, 0, 0), (0x95, 0, 0, 0, 0))


def test_a_rejected_program_is_explained_with_its_source_line() -> None:
    lines = [SourceLine(0, "drop.bpf.c", 17, 9, "return verdict;")]
    with pytest.raises(VerifierError) as caught:
        KernelProgram.load(
            ProgramType.XDP, READS_UNSET_REGISTER, name="drop", source_lines=lambda: lines
        )
    error = caught.value
    assert error.summary.startswith("drop.bpf.c:17: R3 !read_ok (the register is read before")
    assert error.program == "drop"
    assert "R3 !read_ok" in error.tail
    assert "processed 1 insns" in error.log
    assert error.errno == errno.EACCES


def test_a_log_that_outgrows_the_first_buffer_is_whole() -> None:
    long = code(*[(0xB7, 0, 0, 0, 0)] * 4000) + READS_UNSET_REGISTER
    with pytest.raises(VerifierError) as caught:
        KernelProgram.load(ProgramType.XDP, long, name="long")
    assert len(caught.value.log) > 64 << 10
    assert caught.value.log.startswith("0: R1=ctx(")
    assert "R3 !read_ok" in caught.value.summary


def test_the_log_of_success_is_there_on_demand() -> None:
    with KernelProgram.load(ProgramType.XDP, RETURN_2, license="GPL", log_level=1) as program:
        assert "processed 2 insns" in program.log
    with KernelProgram.load(ProgramType.XDP, RETURN_2, license="GPL") as program:
        assert program.log == ""


def test_a_helper_that_the_type_may_not_call_is_named() -> None:
    bind = code((0x85, 0, 0, 0, 64), (0x95, 0, 0, 0, 0))
    with pytest.raises(VerifierError, match="may not call that helper"):
        KernelProgram.load(ProgramType.XDP, bind, license="GPL", name="bind")


def test_a_loop_without_end_is_named() -> None:
    forever = code((0xB7, 0, 0, 0, 0), (0x05, 0, 0, -1, 0), (0x95, 0, 0, 0, 0))
    with pytest.raises(VerifierError) as caught:
        KernelProgram.load(ProgramType.XDP, forever, license="GPL", name="forever")
    assert "loop" in caught.value.summary or "no path reaches" in caught.value.summary


def test_an_empty_program_is_explained() -> None:
    with pytest.raises(KernelError, match="it has 0 instructions"):
        KernelProgram.load(ProgramType.XDP, b"", name="nothing")


def test_a_type_and_an_attach_type_that_do_not_fit_are_named() -> None:
    with pytest.raises(KernelError, match="CGROUP_SKB may not be for attach type XDP"):
        KernelProgram.load(
            ProgramType.CGROUP_SKB,
            RETURN_2,
            license="GPL",
            expected_attach_type=AttachType.XDP,
        )


def test_an_unreleased_reference_says_where_it_was_acquired() -> None:
    lookup = code(
        (0x7A, 10, 0, -16, 0),
        (0x7A, 10, 0, -8, 0),
        (0xBF, 2, 10, 0, 0),
        (0x07, 2, 0, 0, -16),
        (0xB7, 3, 0, 0, 12),
        (0xB7, 4, 0, 0, -1),
        (0xB7, 5, 0, 0, 0),
        (0x85, 0, 0, 0, 84),  # sk_lookup_tcp
        (0xB7, 0, 0, 0, 0),
        (0x95, 0, 0, 0, 0),
    )
    lines = [SourceLine(0, "s.c", 3, 0, "lookup"), SourceLine(8, "s.c", 4, 0, "return 0;")]
    with pytest.raises(VerifierError) as caught:
        KernelProgram.load(ProgramType.SCHED_CLS, lookup, license="GPL", source_lines=lambda: lines)
    assert "acquired at s.c:3" in caught.value.summary
    assert caught.value.summary.startswith("s.c:4: ")
