"""Verifier logs become one line that says what went wrong, and where."""

from __future__ import annotations

import errno

import pytest

from osmia.kernel.programs.verifier_log import explain, tail, verifier_error
from osmia.object.model import SourceLine

WITH_FILE_NAMES = """\
func#0 @0
0: R1=ctx() R10=fp0
; __u32 key = 0; @ count.bpf.c:11
0: (b7) r1 = 0                        ; R1_w=0
1: (63) *(u32 *)(r10 -4) = r1
; value = bpf_map_lookup_elem(&counts, &key); @ count.bpf.c:12
6: (85) call bpf_map_lookup_elem#1    ; R0_w=map_value_or_null(id=1,map=counts,ks=4,vs=8)
; return *value; @ count.bpf.c:13
7: (79) r0 = *(u64 *)(r0 +0)
R0 invalid mem access 'map_value_or_null'
processed 8 insns (limit 1000000) max_states_per_insn 0 total_states 0 peak_states 0 mark_read 0
"""

WITHOUT_FILE_NAMES = """\
0: R1=ctx(off=0,imm=0) R10=fp0
; key = 0;
0: (b7) r1 = 0                        ; R1_w=0
; return *value;
7: (79) r0 = *(u64 *)(r0 +0)
R0 invalid mem access 'map_value_or_null'
processed 8 insns (limit 1000000) max_states_per_insn 0 total_states 0 peak_states 0 mark_read 0
"""

LINES = (
    SourceLine(0, "src/count.bpf.c", 11, 8, "__u32 key = 0;"),
    SourceLine(3, "src/count.bpf.c", 12, 8, "value = bpf_map_lookup_elem(&counts, &key);"),
    SourceLine(7, "src/count.bpf.c", 13, 9, "return *value;"),
)


def test_the_line_comes_from_the_annotation_that_stands_last() -> None:
    complaint = explain(WITH_FILE_NAMES)
    assert complaint.source is not None
    assert (complaint.source.file, complaint.source.line) == ("count.bpf.c", 13)
    assert complaint.source.text == "return *value;"
    assert complaint.instruction == 7
    assert complaint.summary == (
        "count.bpf.c:13: R0 invalid mem access 'map_value_or_null' "
        "(the pointer may be NULL: R0 (bpf_map_lookup_elem's, 'value' of line 12) is a map's value "
        "only if the key is in the map; compare it with NULL before use: if (!value) return …;)"
    )


def test_logs_without_file_names_use_the_line_info() -> None:
    complaint = explain(WITHOUT_FILE_NAMES, LINES)
    assert complaint.source == LINES[2]
    assert complaint.summary.startswith("src/count.bpf.c:13: R0 invalid mem access")


def test_without_lines_the_instruction_is_named() -> None:
    assert explain(WITHOUT_FILE_NAMES).summary.startswith("at instruction 7: R0 invalid mem")


def test_an_instruction_that_the_complaint_names_beats_the_last_one_seen() -> None:
    log = "0: (b7) r0 = 0\n; x @ count.bpf.c:99\n9: (95) exit\nback-edge from insn 4 to 1\n"
    complaint = explain(log, LINES)
    assert complaint.instruction == 4
    assert complaint.source == LINES[1]
    assert "a loop" in complaint.explanation


def test_an_unreleased_reference_says_where_it_was_acquired() -> None:
    log = "7: (95) exit\nUnreleased reference id=2 alloc_insn=3\nprocessed 8 insns\n"
    summary = explain(log, LINES).summary
    assert "Unreleased reference id=2 acquired at src/count.bpf.c:12" in summary
    assert "released on every path" in summary


def test_two_lines_of_complaint_are_both_told() -> None:
    log = (
        "3: (73) *(u8 *)(r0 +9) = r1\n"
        "invalid access to map value, value_size=8 off=9 size=1\n"
        "R0 min value is outside of the allowed memory range\n"
        "processed 4 insns (limit 1000000)\n"
    )
    complaint = explain(log)
    assert complaint.message == (
        "invalid access to map value, value_size=8 off=9 size=1; "
        "R0 min value is outside of the allowed memory range"
    )


@pytest.mark.parametrize(
    ("complaint", "words"),
    [
        (
            "R2 unbounded memory access, make sure to bounds check any such access",
            "no upper bound",
        ),
        ("R2 min value is negative, either use unsigned or 'var &= const'", "negative"),
        ("invalid access to packet, off=0 size=1, R1(id=0,off=0,r=0)", "data_end"),
        ("R1 invalid mem access 'scalar'", "a number"),
        ("R1 !read_ok", "before anything was written"),
        ("BPF program is too large. Processed 1000001 insn", "too complex"),
        ("The sequence of 8193 jumps is too complex.", "too complex"),
        ("infinite loop detected at insn 3\ncur state: R0=0\nold state: R0=P0", "loop"),
        ("R1 pointer += pointer prohibited", "calculation on a pointer"),
        ("invalid func unknown#9999", "helper"),
        ("call to invalid destination", "relocation"),
        ("program of this type cannot use helper bpf_probe_read#4", "helper"),
        ("unknown func bpf_probe_read#4", "helper"),
        ("calling kernel function bpf_task_acquire is not allowed", "kfunc"),
        ("combined stack size of 2 calls is 608. Too large", "512"),
        ("invalid indirect read from stack R2 off -8+0 size 8", "stack"),
        ("invalid read from stack R10 off -8+0 size 8", "stack"),
        ("invalid write to stack R10 off=-520 size=8", "frame"),
        ("invalid bpf_context access off=200 size=4", "context"),
        ("unreachable insn 3", "no path"),
        ("At program exit the register R0 has smin=2 smax=2 should have been in [0, 1]", "return"),
        ("R0 leaks addr as return value", "address"),
        ("cannot call GPL-restricted function from non-GPL compatible program", "GPL"),
        ("cannot pass map_type 1 into func bpf_map_push_elem#87", "type of map"),
        ("R1 type=scalar expected=map_ptr", "argument"),
        ("BPF_EXIT instruction in main prog would lead to reference leak", "released"),
    ],
)
def test_typical_complaints_are_put_in_words(complaint: str, words: str) -> None:
    assert words in explain(f"0: (95) exit\n{complaint}\nprocessed 1 insns\n").explanation


def test_a_log_without_complaint_is_said_to_be_one() -> None:
    assert "without a complaint" in explain("").summary


def test_the_tail_says_how_much_is_left_out() -> None:
    log = "".join(f"line {number}\n" for number in range(100))
    assert tail(log, 2) == "(98 lines omitted)\nline 98\nline 99"
    assert tail("one\ntwo\n", 12) == "one\ntwo"


def test_a_long_log_costs_no_more_than_its_end() -> None:
    log = "; int x; @ a.c:1\n" + "1: (b7) r1 = 0\n" * 200_000 + "2: (95) exit\nR0 !read_ok\n"
    error = verifier_error(errno.EACCES, "main", log)
    assert error.summary.startswith("a.c:1: R0 !read_ok")
    assert error.log is log
    assert error.tail.count("\n") == 12
    assert str(error).startswith("the verifier rejected program 'main': a.c:1: R0 !read_ok")
