"""Where values come from, back along a path."""

from __future__ import annotations

import pytest

from osmia.verifier.instructions import Effect, callee, effect, target
from osmia.verifier.log import VerifierLog, logs_in
from osmia.verifier.origins import Origin, wanted_registers
from osmia.verifier.report import report_of, texts_of
from osmia.verifier.states import visit

from .programs import PASTED


def chain(origin: Origin) -> list[tuple[str, str]]:
    """Place and way of each value, the first of what it was made of followed."""
    found = [(origin.place, origin.how)]
    return found + (chain(origin.made_of[0]) if origin.made_of else [])


def test_a_number_is_followed_through_the_stack_to_the_context() -> None:
    ((name, log),) = logs_in(PASTED.encode())
    report = report_of(log, name)
    assert not report.accepted
    (origin,) = report.origins
    assert chain(origin) == [
        ("R3", "calculated"),
        ("R3", "from the stack, fp-8"),
        ("fp-8", "stored there"),
        ("R2", "from the context, offset 12"),
        ("R1", "the context"),
    ]
    assert origin.known == "scalar(umin=4,umax=4294967299)"
    line = report.places.line(0)
    assert line is not None and (line.file, line.line) == ("b.bpf.c", 7)


def test_registers_after_a_call_were_lost_in_it() -> None:
    text = PASTED.replace("3: (79) r3 = *(u64 *)(r10 -8) ", "3: (79) r4 = *(u64 *)(r10 -8) ")
    ((name, log),) = logs_in(text.encode())
    (origin,) = report_of(log, name).origins
    assert chain(origin)[1] == ("R3", "lost in a call: R1 to R5 have no value after one")


LOOP = """\
0: R1=ctx() R10=fp0
0: (b7) r4 = 0                        ; R4=0
1: (07) r4 += 1                       ; R4=1
2: (55) if r4 != 0x3 goto pc-2        ; R4=1
1: (07) r4 += 1                       ; R4=2
2: (55) if r4 != 0x3 goto pc-2        ; R4=2
1: (07) r4 += 1                       ; R4=3
2: (55) if r4 != 0x3 goto pc-2        ; R4=3
3: (61) r0 = *(u32 *)(r4 +0)
R4 invalid mem access 'scalar'
"""


def test_rounds_of_a_loop_are_told_once() -> None:
    ((_, log),) = logs_in(LOOP.encode())
    assert chain(report_of(log).origins[0]) == [
        ("R4", "calculated"),
        ("R4", "calculated, in a round before of a loop"),
    ]


CALLBACK = """\
0: R1=ctx() R10=fp0
0: (61) r2 = *(u32 *)(r1 +12)         ; R2=scalar() R1=ctx()
1: (7b) *(u64 *)(r10 -8) = r2         ; R2=scalar() R10=fp0 fp-8=scalar()
2: (bf) r3 = r10                      ; R3=fp0 R10=fp0
3: (07) r3 += -8                      ; R3=fp-8
4: (85) call bpf_loop#181 9: frame1: R1=scalar() R2=fp[0]-8 R10=fp0 cb
9: (79) r1 = *(u64 *)(r2 +0)          ; frame1: R1=scalar() R2=fp[0]-8 cb
10: (79) r0 = *(u64 *)(r1 +0)
R1 invalid mem access 'scalar'
"""


def test_a_callbacks_context_is_followed_into_the_call_of_the_helper() -> None:
    ((_, log),) = logs_in(CALLBACK.encode())
    assert chain(report_of(log).origins[0]) == [
        ("R1", "from memory"),
        ("R2", "what bpf_loop gives its callback"),
        ("R3", "calculated"),
        ("R3", "copied"),
    ]
    assert texts_of(log)[4] == "call bpf_loop#181"


def test_a_jump_that_a_log_of_level_1_was_cut_back_to_has_the_next_state_behind_it() -> None:
    log = VerifierLog(b"12: (16) if w2 == 0x5 goto pc+4 17: R0=1 R2=5 refs=2\n17: (95) exit\n")
    seen = visit(log, 0)
    assert seen.text == "if w2 == 0x5 goto pc+4"
    assert seen.after == {"R0": "1", "R2": "5", "refs": "2"}


CALLS = """\
0: R1=ctx() R10=fp0
0: (b7) r2 = 7                        ; R2=7
1: (85) call pc+2
callee:
 frame1: R1=ctx() R2=7 R10=fp0
4: frame1: R1=ctx() R2=7 R10=fp0
4: (bf) r0 = r2                       ; frame1: R0=7 R2=7
5: (95) exit
returning from callee:
 frame1: R0=7 R1=ctx() R2=7 R10=fp0
to caller at 2:
 R0=7 R10=fp0
2: (61) r3 = *(u32 *)(r0 +0)
R0 invalid mem access 'scalar'
"""


def test_a_value_is_followed_into_the_function_that_returned_it_and_out_to_its_argument() -> None:
    ((_, log),) = logs_in(CALLS.encode())
    report = report_of(log)
    assert chain(report.origins[0]) == [
        ("R0", "returned by the function called"),
        ("R0", "copied"),
        ("R2", "argument of the call"),
        ("R2", "a constant"),
    ]
    assert report.places.starts == [0, 4]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("r1 = 5", Effect("constant", 1)),
        ("w3 = w4", Effect("copy", 3, (4,))),
        ("r3 = (s8)r4", Effect("copy", 3, (4,))),
        ("r3 += r4", Effect("arithmetic", 3, (3, 4))),
        ("r3 s>>= 32", Effect("arithmetic", 3, (3,))),
        ("r3 = -r3", Effect("arithmetic", 3, (3,))),
        ("r3 = be16 r3", Effect("arithmetic", 3, (3,))),
        ("r4 = *(u8 *)(r4 +0)", Effect("load", 4, (4,), 4, 0, 1)),
        ("r4 = *(s32 *)(r10 -12)", Effect("load", 4, (10,), 10, -12, 4)),
        ("*(u64 *)(r10 -8) = r2", Effect("store", -1, (2, 10), 10, -8, 8)),
        ("*(u32 *)(r10 -8) = 0", Effect("store", -1, (10,), 10, -8, 4)),
        ("lock *(u64 *)(r0 +0) += r1", Effect("store", -1, (1, 0), 0, 0, 8)),
        ("r3 = atomic64_fetch_add((u64 *)(r10 -8), r3)", Effect("load", 3, (10,), 10, -8, 8)),
        ("call bpf_get_smp_processor_id#8", Effect("call", 0, (1, 2, 3, 4, 5))),
        ("if w0 s> w2 goto pc+3", Effect("jump", -1, (0, 2))),
        ("exit", Effect("exit", -1, (0,))),
        ("nonsense r1", Effect("other", -1, (1,))),
    ],
)
def test_what_an_instruction_does(text: str, expected: Effect) -> None:
    assert effect(text) == expected


def test_where_jumps_and_calls_go() -> None:
    assert target(36, "if r3 != 0x27 goto pc-9") == 28
    assert target(3, "goto pc+2") == 6
    assert target(3, "exit") is None
    assert callee(1, "call pc+19") == 21
    assert callee(1, "call bpf_loop#181") is None


def test_the_registers_that_a_complaint_names_or_the_instruction_reads() -> None:
    assert wanted_registers("R6 invalid mem access 'scalar'", "r2 = *(u64 *)(r6 +0)") == [6]
    assert wanted_registers("misaligned access", "r2 = *(u64 *)(r7 +1)") == [7]
    assert wanted_registers("BPF program is too large", "if r4 == 0x40 goto pc+1") == []
    assert wanted_registers("back-edge from insn 3 to 1", "exit") == []
