"""Refusals of one complaint that are of different kinds, and no kind where none is meant."""

from __future__ import annotations

import pytest

from osmia.kernel.programs.verifier_log import explain

from .test_history import ADJUSTED


def test_a_packet_pointer_is_void_after_the_packet_moved() -> None:
    complaint = explain(ADJUSTED)
    assert complaint.kind == "packet-void"
    assert "R3 was a packet pointer until bpf_xdp_adjust_head in line 6" in complaint.means
    assert "packet pointers void" in complaint.means


def test_a_number_that_was_never_a_packet_pointer_is_not_void() -> None:
    log = ADJUSTED.replace("R6=pkt(r=0)", "R6=scalar()").replace("fp-8=pkt(r=0)", "fp-8=scalar()")
    assert explain(log).kind == "number-loaded"


def test_a_call_that_leaves_the_packet_where_it_is_makes_nothing_void() -> None:
    log = ADJUSTED.replace("bpf_xdp_adjust_head#44", "bpf_ktime_get_ns#5")
    assert explain(log).kind == "number-loaded"


def test_a_call_before_the_pointer_was_read_makes_nothing_void() -> None:
    log = "0: (85) call bpf_xdp_adjust_head#44   ; R0=scalar()\n" + "\n".join(
        line for line in ADJUSTED.split("\n") if "adjust_head" not in line
    )
    assert explain(log).kind == "number-loaded"


@pytest.mark.parametrize(
    "complaint",
    [
        "kptr access misaligned expected=8 off=4; x",
        "Global function f() with 7 > 5 args. Buggy compiler",
        "program's hash doesn't match map's excl_prog_hash",
        "invalid map_ptr to access map->key",
        "R1 is a percpu thing of another kind",
    ],
)
def test_what_no_kind_is_about_gets_no_wrong_hint(complaint: str) -> None:
    found = explain(f"0: (95) exit\n{complaint}\nprocessed 1 insns\n")
    assert found.kind in ("", "kptr-type")


def test_a_lock_that_is_taken_twice_is_not_told_to_be_a_call_under_a_lock() -> None:
    log = "9: (85) call {}\nfunction calls are not allowed while holding a lock\n"
    assert explain(log.format("bpf_spin_lock#93")).kind == "lock-twice"
    assert explain(log.format("bpf_ktime_get_ns#5")).kind == "lock-call"


def test_a_modified_context_is_not_said_to_be_readable_directly() -> None:
    log = "9: (61) r0 = *(u32 *)(r1 +0)\ndereference of modified ctx ptr R1 off=8 disallowed\n"
    complaint = explain(log)
    assert complaint.kind == "context-modified"
    assert "barrier_var" in complaint.hint
    assert "preserve_static_offset" in complaint.hint
    assert "BPF_CORE_READ" in complaint.hint
    passed = log.replace("(61) r0 = *(u32 *)(r1 +0)", "(85) call bpf_skb_pull_data#39")
    assert explain(passed).kind == "context-passed"


def test_what_was_acquired_tells_leaks_apart() -> None:
    log = "3: (85) call {}\n7: (95) exit\nUnreleased reference id=2 alloc_insn=3\n"
    assert explain(log.format("bpf_iter_num_new#1234")).kind == "iterator-leak"
    assert explain(log.format("bpf_ringbuf_reserve_dynptr#198")).kind == "dynptr-leak"
    assert explain(log.format("bpf_sk_lookup_udp#85")).kind == "reference-leak"
