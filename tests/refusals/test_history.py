"""Where a register's value came from, by the end of a verifier log."""

from __future__ import annotations

from osmia.refusals.history import History

ADJUSTED = """\
0: R1=ctx() R10=fp0
; __u8 *bytes = (void *)(long)ctx->data; @ a.c:4
0: (61) r6 = *(u32 *)(r1 +0)          ; R1=ctx() R6=pkt(r=0)
1: (7b) *(u64 *)(r10 -8) = r6         ; R6=pkt(r=0) R10=fp0 fp-8=pkt(r=0)
; if (bpf_xdp_adjust_head(ctx, 4)) @ a.c:6
2: (b4) w2 = 4                        ; R2=4
3: (85) call bpf_xdp_adjust_head#44   ; R0=scalar()
4: (79) r2 = *(u64 *)(r10 -8)         ; R2=scalar(id=1) R10=fp0 fp-8=scalar(id=1)
5: (bf) r3 = r2                       ; R2=scalar(id=1) R3=scalar(id=1)
6: (61) r0 = *(u32 *)(r3 +0)
R3 invalid mem access 'scalar'
"""


def history(log: str) -> History:
    return History(log.rstrip("\n").split("\n"))


def test_a_value_is_followed_through_moves_and_the_stack() -> None:
    origin = history(ADJUSTED).origin("R3")
    assert origin.made is not None
    assert (origin.made.slot, origin.made.text) == (0, "r6 = *(u32 *)(r1 +0)")
    assert origin.known == ("scalar", "pkt")
    assert [step.text for step in origin.calls] == ["call bpf_xdp_adjust_head#44"]


def test_the_source_line_of_an_instruction_is_the_last_that_was_told() -> None:
    found = history(ADJUSTED)
    assert found.line_of(found.steps[0]) == (4, "__u8 *bytes = (void *)(long)ctx->data;")
    assert found.line_of(found.steps[3]) == (6, "if (bpf_xdp_adjust_head(ctx, 4))")


def test_what_a_call_returned_has_its_name_and_the_variables() -> None:
    log = (
        "; value = bpf_map_lookup_elem(&counts, &key); @ a.c:12\n"
        "6: (85) call bpf_map_lookup_elem#1    ; R0=map_value_or_null(id=1,map=counts)\n"
        "7: (79) r0 = *(u64 *)(r0 +0)\n"
    )
    assert history(log).described("R0") == " (bpf_map_lookup_elem's, 'value' of line 12)"


def test_where_paths_were_looked_at_before_it_goes_on_at_the_branch() -> None:
    log = (
        "0: (b7) r6 = 7                        ; R6=7\n"
        "1: (15) if r1 == 0x0 goto pc+2        ; R1=scalar()\n"
        "2: (bf) r6 = r10                      ; R6=fp0 R10=fp0\n"
        "3: (95) exit\n"
        "\n"
        "from 1 to 4: R1=0 R6=7 R10=fp0\n"
        "4: (79) r0 = *(u64 *)(r6 +0)\n"
    )
    origin = history(log).origin("R6")
    assert origin.made is not None
    assert origin.made.text == "r6 = 7"
    assert origin.known == ("7",)


def test_another_functions_registers_are_not_taken_for_ones_own() -> None:
    log = (
        "0: (b7) r6 = 7                        ; R6=7\n"
        "1: (85) call pc+2\n"
        "caller:\n R6=7 R10=fp0\ncallee:\n frame1: R1=ctx() R10=fp0\n"
        "4: (79) r0 = *(u64 *)(r6 +0)\n"
    )
    assert history(log).origin("R6").made is None
    callback = log.replace("1: (85) call pc+2", "1: (85) call bpf_loop#181")
    assert history(callback).origin("R6").made is None


def test_arithmetic_keeps_a_value_and_32_bits_truncate_it() -> None:
    log = (
        "0: (bf) r2 = r10                      ; R2=fp0 R10=fp0\n"
        "1: (07) r2 += -8                      ; R2=fp-8\n"
        "2: (bc) w3 = w2                       ; R2=fp-8 R3=scalar()\n"
        "3: (79) r0 = *(u64 *)(r3 +0)\n"
    )
    assert history(log).origin("R3").truncated
    assert not history(log).origin("R2").truncated


def test_no_log_has_no_history() -> None:
    assert history("").last == ""
    assert history("").origin("R1").made is None
    assert history("").described("R1") == ""
